"""Subjects of one mask told apart by where their 3D positions fall on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Actor
from hmbench.data.told_apart.bodies import Places
from hmbench.data.told_apart.cast import contradicted, never_alone
from hmbench.data.told_apart.doubts import doubt
from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.data.told_apart.readings import Fitted, Reading, fit_reading
from hmbench.data.told_apart.split import Division, divide, enlarged
from hmbench.types import Intrinsics, LabelMaps, Poses, Video
from hmbench.video.geometry import project

Floats = NDArray[np.float64]
NEAR_PLANE = 0.1
"""Metres in front of the camera from which on a position can be seen."""


@dataclass(frozen=True, kw_only=True)
class Separated:
    """A clip whose mask was divided, or the reason why it was not."""

    labels: LabelMaps | None
    """``[T, H, W]``; subject k has k + 1."""
    certainty: Floats
    """``[K, T]``."""
    unexplained: NDArray[np.bool_]
    """``[T]``."""
    positions: Floats | None
    """Middles of the bodies in the world, metres, ``[K, T, 3]``."""
    detail: str
    """What was used, and how well it fits."""
    reason: str | None = None
    """Why there are no labels."""


def nothing(frames: int, subjects: int, detail: str, reason: str) -> Separated:
    """The outcome without labels."""
    return Separated(
        labels=None,
        certainty=np.full((subjects, frames), np.nan),
        unexplained=np.zeros(frames, np.bool_),
        positions=None,
        detail=detail,
        reason=reason,
    )


def by_positions(
    raw: Floats,
    mask: NDArray[np.bool_],
    evidence: MaskEvidence,
    video: Video,
    camera: tuple[Poses, Intrinsics, int],
    actors: tuple[Actor, ...],
    only: Reading | None = None,
) -> Separated:
    """Divides a mask by positions whose axes and unit nobody documented.

    Args:
        raw: Positions as the file gives them, ``[K, T, 3]``, NaN where it is silent.
        mask: ``[T, H, W]``.
        evidence: The same mask, reduced.
        video: The clip, ``[T, H, W, 3]``.
        camera: Poses ``[T, 4, 4]``, lens, and the number of context frames.
        actors: Whose they are.
        only: The reading, where it is known.
    """
    poses, lens, num_context = camera
    fitted: Fitted = fit_reading(raw, poses, lens, evidence, num_context, only)
    if fitted.problem or fitted.best is None or fitted.best.placing is None:
        return nothing(len(mask), len(raw), fitted.sentence(), fitted.problem or "nothing to fit")
    if said := doubt(fitted.best, poses, lens, evidence):
        return nothing(len(mask), len(raw), fitted.sentence(), said)
    points = fitted.best.placing.points
    places = places_of(points, poses, lens, evidence)
    division: Division = divide(evidence, places, video)
    names = tuple(actor.name for actor in actors)
    unlikely = never_alone(fitted.best, division.certainty, division.shared, names)
    if unlikely := unlikely or contradicted(division.labels, places, actors, fitted.best.score):
        return nothing(len(mask), len(raw), fitted.sentence(), unlikely)
    return Separated(
        labels=enlarged(division.labels, mask, evidence.step),
        certainty=division.certainty,
        unexplained=division.unexplained,
        positions=points,
        detail=fitted.sentence(),
    )


def places_of(points: Floats, poses: Poses, lens: Intrinsics, evidence: MaskEvidence) -> Places:
    """World points ``[K, T, 3]`` as places in the reduced mask."""
    pixels, depth = project(points, poses[None], lens)
    ahead = np.nan_to_num(depth, nan=-1.0) > NEAR_PLANE
    safe = np.where(ahead, depth, 1.0)
    return Places(
        centre=np.where(ahead[..., None], pixels / evidence.step, np.nan),
        scale=lens.focal / evidence.step / safe,
        depth=np.where(ahead, depth, np.inf),
    )
