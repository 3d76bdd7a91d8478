"""Where the camera of a prediction stands: its background, found again among the views of the real continuation.

Every predicted frame is compared with every real one. Three things come out. The *lag* is the delay at which most
frames show what was asked for. The *place* of a frame is the real view that it shows, moved by the shift that fits
best. And how far the picture *follows* the asked camera is how surely frames fit the view of their own time better than
views of other times, against the same number of the truth. A picture that does not change fits every view equally well
whenever it is shown, so that it follows by exactly nothing, whatever it shows. A clear difference counts in full: a
blurred picture of the right view follows as well as a sharp one.

Letters: T frames (the prediction's and the target's).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.views import SHIFTS, UNKNOWN, WIDTH, Floats, Likeness, Scales, likeness, small_views
from hmbench.types import Intrinsics, LabelMaps, Poses

Angles = NDArray[np.float64]

MAX_LAG = 8
"""Frames of delay (or lead) that are looked for: half a second at 15 fps."""
LAG_COST = 0.004
"""Likeness that a frame of delay must gain: a shift of two pixels is not a delay where the camera turns slowly."""
DEGREES_A_METRE = 4.0
"""Degrees that a metre of distance between two cameras counts: what is 14 m away seems to move by as much."""
SHIFT_COST = 0.002
"""Likeness that a pixel of common shift must gain."""
SURE = 0.3
"""Likeness from which on a frame counts in full as one whose place is known."""
DISTINCT = 0.15
"""Difference of likeness from which on a frame clearly fits one view better than another."""
ANOTHER_VIEW = 10.0
"""Degrees from which on a view is another one: a quarter of the mini world's view (half of what the camera turns by,
where that is less)."""
LEAST_ASKED = 0.25
"""Share of the frames that must tell where the camera looks: who hides the background all the time follows nothing."""
MARGIN = 0.02
"""Share of a frame's width around subjects that counts as theirs: shadows and ragged masks."""
TARGET_VIEWS, OTHER_VIEWS, MASK = "background target views", "background other views", "background mask"
"""Keys of `Case.memo` for what depends on the clip alone."""
STANDING = 2.0
"""Degrees: a camera that stays within them asks nobody to follow."""


class Registration(NamedTuple):
    """A prediction's background against the target's."""

    lag: int
    """Frames by which the prediction is late; negative if it is early."""
    near: Floats
    """Likeness of each predicted frame with each real one, where a common shift puts it, ``[T, T]``."""
    following: float
    """0 for a picture that does not follow the asked camera, the truth has about 1; NaN where the camera stands."""
    evidence: Angles
    """What each frame contributes to `following`, ``[T]``; NaN where nobody asks."""
    error: Angles
    """Degrees between the camera of each frame and the asked one, the lag taken out, ``[T]``; NaN where not found."""
    found: Angles
    """Likeness of each frame with the view that it shows, ``[T]``; below 0 where nothing could be compared."""
    path: float
    """Degrees by which the asked camera turns away from the best of all standing cameras, on average."""


def registration_of(case: Case) -> Registration:
    """The registration of a case, made once; the sample must have a truth."""
    return case.memo("background registration", lambda: _register(case))


def predicted_likeness(case: Case) -> Likeness:
    """Likeness of the prediction's views with the target's, made once."""
    return case.memo(
        "background likeness",
        lambda: likeness(predicted_views(case).coarse, target_views(case).coarse),
    )


def other_views(case: Case) -> NDArray[np.bool_]:
    """Which asked views are others than which, ``[T, T]``: `ANOTHER_VIEW` apart."""
    return case.memo(OTHER_VIEWS, lambda: _others(case.sample.prompt.target_poses))


def path_of(poses: Poses) -> float:
    """Degrees by which a camera turns away from the best of all standing cameras, on average."""
    return float(viewing_distance(poses, poses).mean(axis=0).min())


def following_of(pairs: Likeness, other: NDArray[np.bool_]) -> float:
    """How surely frames show the views of their times, lag and common shift taken out; the truth has about 1.

    Args:
        pairs: Likeness of frames and real views.
        other: `other_views`.
    """
    lag, aside = timing(pairs)
    found = pairs.best()[0].max(axis=1).astype(np.float64)
    return mean_evidence(evidence_of(pairs.near(aside), found, lag, other))


def mean_evidence(evidence: Angles) -> float:
    """Mean over the frames that are asked; 0 if these are less than `LEAST_ASKED`."""
    asked = np.isfinite(evidence)
    return float(evidence[asked].mean()) if asked.mean() >= LEAST_ASKED else 0.0


def predicted_views(case: Case) -> Scales:
    """Views of the prediction, the real subjects' places masked."""
    return case.memo("background predicted views", lambda: small_views(case.prediction, background_mask(case)))


def target_views(case: Case) -> Scales:
    """Views of the real continuation, subjects masked."""
    return case.memo(TARGET_VIEWS, lambda: small_views(case.truth.target, background_mask(case)))


def background_mask(case: Case) -> NDArray[np.bool_]:
    """Pixels of the target that show no subject, ``[T, H, W]``.

    A prediction is masked by them alone, and not by what a tracker finds in it: else what is wrong could be hidden
    behind whatever looks like a subject. One who stands elsewhere hides some background, and that is counted.
    """
    return case.memo(MASK, lambda: _real_mask(case))


def context_mask(case: Case) -> NDArray[np.bool_]:
    """Pixels of the context that show no subject, ``[Tc, H, W]``."""
    context, labels = case.sample.prompt.context, case.truth.context_labels
    if labels is None:
        return np.ones(context.shape[:3], np.bool_)
    return _away_from(labels)


def viewing_distance(a: Poses, b: Poses) -> Angles:
    """Degrees between the views of cameras ``[A, 4, 4]`` and ``[B, 4, 4]``, ``[A, B]``; metres as `DEGREES_A_METRE`."""
    metres = np.linalg.norm(a[:, None, :3, 3] - b[None, :, :3, 3], axis=-1)
    return np.asarray(_apart(a[:, None, :3, 2], b[None, :, :3, 2]) + DEGREES_A_METRE * metres, np.float64)


def own_time(values: NDArray[np.floating], lag: int) -> NDArray[np.floating]:
    """Entries ``[..., t, t - lag]`` of matrices ``[..., T, T]`` for the frames that have such a partner."""
    return np.diagonal(values, -lag, axis1=-2, axis2=-1)


def timing(pairs: Likeness) -> tuple[int, NDArray[np.int64]]:
    """The lag in frames and the shift, common to all frames, at which the views of own times are most alike.

    Both are looked for at once: while a camera turns steadily, a late one and one that stands aside show the same.
    """
    values = np.maximum(pairs.at, 0)
    reach = min(MAX_LAG, values.shape[-1] - 1)
    lags = np.arange(-reach, reach + 1)
    mean = np.stack([own_time(values, lag).mean(axis=-1) - LAG_COST * abs(lag) for lag in lags])
    mean -= SHIFT_COST * np.abs(SHIFTS).sum(axis=1)
    which, shift = np.unravel_index(int(mean.argmax()), mean.shape)
    return int(lags[which]), SHIFTS[shift]


def evidence_of(near: NDArray[np.floating], found: Angles, lag: int, other: NDArray[np.bool_]) -> Angles:
    """How surely each frame is more alike to the view of its own time than to other views, -1 to 1, ``[T]``.

    The likeness is freed of what a predicted frame has in common with all views, and of what a view has in common with
    all frames. A still picture has equal rows, of which nothing is left. Frames count by how well they are found at
    all: else a picture that is blank while the camera looks elsewhere would seem to know where it looks. NaN for frames
    whose time lies outside of the clip, whose view is like all others, or of which subjects hide too much.

    Args:
        near: Likeness of frames and views ``[T, T]``.
        found: Likeness of each frame with the view that fits best ``[T]``.
        lag: Frames.
        other: `other_views`.
    """
    known = own_time(near, lag) > UNKNOWN
    near = np.maximum(near, 0).astype(np.float64)
    weight = np.clip(found / SURE, 0, 1)
    usual = weight @ near / max(float(weight.sum()), 1e-9)
    clean = near - near.mean(axis=1, keepdims=True) - usual + usual.mean()
    shown = np.arange(max(lag, 0), len(near) + min(lag, 0))
    lead = np.clip((own_time(clean, lag)[:, None] - clean[shown]) / DISTINCT, -1, 1)
    count = other[shown - lag].sum(axis=1)
    out = np.full(len(near), np.nan)
    asked = (count > 0) & known
    total = (lead * other[shown - lag]).sum(axis=1)
    out[shown[asked]] = weight[shown[asked]] * total[asked] / count[asked]
    return out


def _register(case: Case) -> Registration:
    poses = case.sample.prompt.target_poses
    pairs = predicted_likeness(case)
    lag, aside = timing(pairs)
    best, shifts = pairs.best()
    shown, every = best.argmax(axis=1), np.arange(len(best))
    found = best[every, shown].astype(np.float64)
    near = pairs.near(aside)
    evidence = evidence_of(near, found, lag, other_views(case))
    path = path_of(poses)
    following = mean_evidence(evidence) if path >= STANDING else float("nan")
    error = _errors(poses, case.sample.prompt.intrinsics, shown, shifts[every, shown], lag)
    return Registration(lag, near, following, evidence, error, found, path)


def _others(poses: Poses) -> NDArray[np.bool_]:
    apart = viewing_distance(poses, poses)
    return np.asarray(apart >= min(ANOTHER_VIEW, max(float(apart.max()) / 2, 1e-3)), np.bool_)


def _errors(
    poses: Poses, intrinsics: Intrinsics, shown: NDArray[np.intp], shift: NDArray[np.int64], lag: int
) -> Angles:
    """Degrees between the view that each frame shows and the one it was asked for."""
    asked = np.clip(np.arange(len(shown)) - lag, 0, len(poses) - 1)
    steps = shift * (intrinsics.width / WIDTH / intrinsics.focal)
    # what the camera shows further right it looks at from further left
    ahead = np.concatenate([-steps, np.ones((len(steps), 1))], axis=1)
    looks = np.einsum("tij,tj->ti", poses[shown, :3, :3], ahead / np.linalg.norm(ahead, axis=1, keepdims=True))
    metres = np.linalg.norm(poses[shown, :3, 3] - poses[asked, :3, 3], axis=1)
    return np.asarray(_apart(looks, poses[asked, :3, 2]) + DEGREES_A_METRE * metres, np.float64)


def _apart(a: Angles, b: Angles) -> Angles:
    """Degrees between unit vectors; exact for small angles, where the cosine is not."""
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=-1) / 2, 0, 1))), np.float64)


def _real_mask(case: Case) -> NDArray[np.bool_]:
    labels = case.truth.target_labels
    return np.ones(case.truth.target.shape[:3], np.bool_) if labels is None else _away_from(labels)


def _margin(mask: NDArray[np.generic]) -> int:
    return max(round(MARGIN * int(mask.shape[2])), 1)


def _away_from(labels: LabelMaps) -> NDArray[np.bool_]:
    import cv2

    margin = _margin(labels)
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return np.stack([cv2.dilate((frame > 0).astype(np.uint8), kernel) == 0 for frame in labels])
