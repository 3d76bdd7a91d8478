"""Positions brought onto the mask: the offset that stays with a subject, the lag of all, and jitter taken out.

A file's position may be the feet or the middle of a body, come some frames late, or wobble. What stays with a subject
for the whole clip is found from the parts of the mask that nobody else can claim: one offset in the world for each
subject, and one lag for all.

Letters: K subjects, T frames, P parts of the mask in a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.types import Intrinsics, Poses
from hmbench.video.geometry import project

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_LAG = 5
"""Frames that positions may come late or early."""
SETTLED = 0.03
"""Heights of a part: with no more left over, nobody looks for a lag."""
WORTH = 0.85
"""A lag is taken if what remains falls below this share of what remains without."""
USUAL_OFFSET = 0.7
"""Metres: offsets of this size are usual; larger ones need more evidence."""
PRIOR_FRAMES = 4.0
"""Frames of evidence that a usual offset weighs as much as."""
REACH = 1.2
"""Of a part's size: a position farther from its middle does not belong to it."""
LEAST_FRAMES = 5
JITTERY = 0.8
"""Second over first differences of a path: white noise has 1.7, whatever walks much less than 1."""
SMOOTHING = 11
"""Frames over which a jittery path is smoothed."""


class WholeParts(NamedTuple):
    """Parts of the mask that the frame does not cut, in frame pixels, NaN where a frame has fewer."""

    centre: Floats
    """``[T, P, 2]``."""
    size: Floats
    """Width and height, ``[T, P, 2]``."""


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Positions of all subjects, brought onto the mask."""

    points: Floats
    """World points near the middle of each body, metres, ``[K, T, 3]``."""
    lag: int
    """Frames by which the file's positions come late."""
    offsets: Floats
    """Metres from the file's points to the middles, ``[K, 3]``."""
    left: float
    """What remains between middles and parts, in heights of the part (root mean square); NaN without evidence."""
    frames: NDArray[np.int64]
    """Frames of evidence a subject, ``[K]``."""


def whole_parts(evidence: MaskEvidence, most: int = 5) -> WholeParts:
    """The largest parts of each frame that are visible subjects and not cut off."""
    count, height, width = evidence.small.shape
    centre, size = np.full((count, most, 2), np.nan), np.full((count, most, 2), np.nan)
    for t, found in enumerate(evidence.stats):
        rows = [
            (area, left, top, wide, high)
            for left, top, wide, high, area in found[1:].tolist()
            if area >= evidence.least and left > 0 and top > 0 and left + wide < width and top + high < height
        ]
        for place, (_, left, top, wide, high) in enumerate(sorted(rows, reverse=True)[:most]):
            centre[t, place] = (left + wide / 2) * evidence.step, (top + high / 2) * evidence.step
            size[t, place] = wide * evidence.step, high * evidence.step
    return WholeParts(centre, size)


def steadied(raw: Floats) -> Floats:
    """Paths ``[K, T, 3]`` with white noise smoothed out where there is any."""
    from scipy.signal import savgol_filter  # a second to import, and few data have positions

    out = raw.copy()
    for path in out:
        known = np.isfinite(path).all(axis=1)
        if known.sum() < SMOOTHING:
            continue
        rows = path[known]
        first = np.median(np.linalg.norm(np.diff(rows, axis=0), axis=1))
        second = np.median(np.linalg.norm(np.diff(rows, 2, axis=0), axis=1))
        if second > JITTERY * first > 0:
            path[known] = savgol_filter(rows, SMOOTHING, 2, axis=0)
    return out


def shifted(points: Floats, lag: int) -> Floats:
    """Points ``[K, T, 3]`` that come `lag` frames late, at their own time; the ends go on as they went."""
    if lag == 0:
        return points
    t = np.arange(points.shape[1]) + lag
    inner = t.clip(0, points.shape[1] - 1)
    out: Floats = points[:, inner].copy()
    beyond = (t - inner).astype(np.float64)[None, :, None]
    slope = np.zeros_like(out)
    reach = min(5, points.shape[1] - 1)
    slope[:, t < 0] = ((points[:, reach] - points[:, 0]) / reach)[:, None]
    slope[:, t >= points.shape[1]] = ((points[:, -1] - points[:, -1 - reach]) / reach)[:, None]
    return np.asarray(out + slope * beyond, np.float64)


def place(points: Floats, poses: Poses, lens: Intrinsics, parts: WholeParts, most_lag: int = MOST_LAG) -> Placing:
    """The offset of each subject and the lag of all that bring positions onto the mask.

    Args:
        points: World points under a reading, metres ``[K, T, 3]``.
        poses: Cameras ``[T, 4, 4]``.
        lens: The lens.
        parts: Parts of the mask.
        most_lag: Largest lag that is tried.
    """
    plain = _place(points, poses, lens, parts, 0)
    if not plain.left > SETTLED:
        return plain
    best = plain
    for step in (2, 1):  # coarse, then around the best
        near = [best.lag + s * step for s in ((-2, -1, 1, 2) if step == 2 else (-1, 1))]
        tried = [_place(points, poses, lens, parts, lag) for lag in near if abs(lag) <= most_lag]
        fitting = [p for p in tried if np.isfinite(p.left) and p.frames.sum() >= 0.8 * plain.frames.sum()]
        best = min([best, *fitting], key=lambda p: p.left)
    return best if best.left < WORTH * plain.left else plain


def _place(points: Floats, poses: Poses, lens: Intrinsics, parts: WholeParts, lag: int) -> Placing:
    own = shifted(points, lag)
    offsets = np.zeros((len(points), 3))
    left, frames = np.full(len(points), np.nan), np.zeros(len(points), np.int64)
    for _ in range(4):
        pixels, depth = project(own + offsets[:, None], poses[None], lens)
        claims = _claims(pixels, depth, parts)
        for k, chosen in enumerate(claims):
            t = np.flatnonzero(chosen >= 0)
            frames[k] = len(t)
            if len(t) < LEAST_FRAMES:
                continue
            goal, size = parts.centre[t, chosen[t]], parts.size[t, chosen[t], 1]
            offsets[k], left[k] = _offset(own[k, t], goal, size, poses[t], lens)
    weight = frames * np.isfinite(left)
    rms = float(np.sqrt((np.nan_to_num(left) ** 2 * weight).sum() / weight.sum())) if weight.any() else float("nan")
    return Placing(points=own + offsets[:, None], lag=lag, offsets=offsets, left=rms, frames=frames)


def _claims(pixels: Floats, depth: Floats, parts: WholeParts) -> NDArray[np.int64]:
    """Which part each subject claims, ``[K, T]``; -1 for none, and where two claim one."""
    apart = (pixels[:, :, None] - parts.centre) / parts.size.max(axis=-1, keepdims=True)
    distance = np.linalg.norm(apart, axis=-1)
    distance = np.where(np.isfinite(distance) & (depth > 0.1)[:, :, None], distance, np.inf)
    best = distance.argmin(axis=-1)
    near = distance.min(axis=-1)
    out = np.where(near <= REACH, best, -1)
    for k in range(len(out)):
        for other in range(len(out)):
            if other != k:  # a part that another one is over as well is nobody's evidence
                also = np.take_along_axis(distance[other], best[k][:, None], axis=1)[:, 0] <= REACH
                out[k, also & (best[k] >= 0)] = -1
    return out.astype(np.int64)


def _offset(points: Floats, goal: Floats, size: Floats, poses: Poses, lens: Intrinsics) -> tuple[Floats, float]:
    """The world offset that brings points onto pixels, by robust least squares, and what remains in part heights."""
    rotation = poses[:, :3, :3]
    offset, weight = np.zeros(3), np.ones(len(points))
    left = np.zeros(len(points))
    for _ in range(3):
        local = np.einsum("tji,tj->ti", rotation, points + offset - poses[:, :3, 3])
        depth = np.maximum(local[:, 2], 0.1)
        seen = lens.focal * local[:, :2] / depth[:, None] + [lens.width / 2, lens.height / 2]
        metres = (goal - seen) * (depth / lens.focal)[:, None]
        down = np.swapaxes(rotation, 1, 2)
        jacobian = down[:, :2] - (local[:, :2] / depth[:, None])[:, :, None] * down[:, 2:3]
        a = np.einsum("t,tij,tik->jk", weight, jacobian, jacobian)
        b = np.einsum("t,tij,ti->j", weight, jacobian, metres)
        prior = PRIOR_FRAMES * (0.2 / USUAL_OFFSET) ** 2
        step = np.linalg.solve(a + prior * np.eye(3), b - prior * offset)
        offset = offset + step
        rest = metres - np.einsum("tij,j->ti", jacobian, step)
        left = np.linalg.norm(rest * (lens.focal / depth)[:, None], axis=1) / size
        weight = 1 / (1 + (left / 0.15) ** 2)
    return offset, float(np.sqrt(np.average(left**2, weights=weight)))
