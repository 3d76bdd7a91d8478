"""What the numbers in ``character.json`` mean: the reading under which they fall on the mask and move with it.

Axes, unit and frame of reference of HM-World's positions are not documented. Every signed permutation of axes, three
units and four frames of reference are tried: under the right one the projected positions lie on the mask while it shows
anybody, and nowhere in view while it does not. The file is not guessed at: without a reading that fits well enough, or
with two that fit alike and put subjects at different places, there is none, and a sentence says why.

Letters: K subjects, T frames.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.data.told_apart.placing import Placing, place, steadied, whole_parts
from hmbench.errors import UserError
from hmbench.types import Intrinsics, Poses
from hmbench.video.geometry import project

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Reference = Literal["world", "first-camera", "target-camera", "own-camera"]
REFERENCES: tuple[Reference, ...] = ("world", "first-camera", "target-camera", "own-camera")
UNITS = {"cm": 0.01, "m": 1.0, "mm": 0.001}
HEIGHTS = (0.15, 8.0)
"""Metres: bodies outside these bounds are no subjects, and their unit is wrong."""
LEAST_FIT = 0.85
"""Fit that a reading must reach."""
LEAST_ODD_FIT = 0.96
"""The same for readings other than the cameras' own (`UNREAL`): hundreds are tried, and positions of another clip fit
some by up to 0.95. A reading that the card says needs `LEAST_FIT` alone."""
ALIKE, LEAST_ALIKE = 0.04, 0.015
"""Readings whose fits differ by less fit alike; the smaller bound holds where the best is all but perfect."""
ELSEWHERE = 0.35
"""Heights of the tallest part by which two readings must differ in the median to be different readings."""
NEAR = 0.2
"""Of the tallest part's height: at this distance from the mask a point has lost two thirds of its hit."""
STEADY = 0.3
"""Of a part's height: a position that wanders about its body by this much has lost two thirds of its steadiness."""
OTHER_REFERENCE = 0.95
"""Positions in a camera's axes are less to be expected than in the world that the cameras are in."""
FAR_OFFSET = 5.0
"""Metres by which positions are off their bodies that cost two thirds of a fit."""
SEARCH_NEAR = 0.6
"""As `NEAR`, while offsets are not known yet."""
MOST_CLOSE = 8
"""Readings at most that are looked at closely."""
SEARCH_STEP = 3
"""All readings are tried on every n-th frame, those that come close on all."""
CLOSE = 0.3
""" "Close" to the best fit."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One meaning of a position's three numbers."""

    axes: tuple[str, str, str]
    """What the world's (or camera's) x, y and z are in the file, for example ``("x", "-y", "z")``."""
    unit: str
    """A key of `UNITS`."""
    reference: Reference
    """Whose axes: the cameras' world, the first context or target camera, or each frame's own (right, down, ahead)."""

    @property
    def name(self) -> str:
        """As ``data inspect`` prints it and a card spells it: ``x,-y,z cm world``."""
        return f"{','.join(self.axes)} {self.unit} {self.reference}"

    def points(self, raw: Floats, poses: Poses, num_context: int) -> Floats:
        """World points, metres, from a file's numbers ``[..., T, 3]``."""
        local = raw @ self._matrix().T * UNITS[self.unit]
        if self.reference == "world":
            return np.asarray(local, np.float64)
        frames = poses
        if self.reference != "own-camera":
            frames = poses[[0 if self.reference == "first-camera" else num_context]]
        return np.asarray(np.einsum("tij,...tj->...ti", frames[:, :3, :3], local) + frames[:, :3, 3], np.float64)

    def _matrix(self) -> Floats:
        matrix = np.zeros((3, 3))
        for row, axis in enumerate(self.axes):
            matrix[row, "xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
        return matrix


_ALL_AXES: tuple[tuple[str, str, str], ...] = tuple(
    (signs[0] + order[0], signs[1] + order[1], signs[2] + order[2])
    for order in itertools.permutations("xyz")
    for signs in itertools.product(("", "-"), repeat=3)
)
UNREAL = Reading(axes=("x", "-y", "z"), unit="cm", reference="world")
"""What HM-World's cameras are in, and so the first guess for its positions."""


def parse_reading(text: str) -> Reading:
    """The reading of a name.

    Raises:
        UserError: If it is none.
    """
    known = {reading.name: reading for reading in (*world_readings(), *camera_readings())}
    if text in known:
        return known[text]
    raise UserError(
        f"{text!r} is no reading of positions.", f"Write axes, unit and reference, for example {UNREAL.name!r}."
    )


def world_readings() -> list[Reading]:
    """Every reading in the cameras' world, the expected one first."""
    found = [Reading(axes=axes, unit=unit, reference="world") for unit in UNITS for axes in _ALL_AXES]
    return [UNREAL, *(reading for reading in found if reading != UNREAL)]


def camera_readings() -> list[Reading]:
    """Every reading in the axes of a camera."""
    return [
        Reading(axes=axes, unit=unit, reference=reference)
        for reference in REFERENCES[1:]
        for unit in UNITS
        for axes in _ALL_AXES
    ]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a reading fits one clip."""

    reading: Reading
    """Which."""
    on_mask: float
    """Share of the positions in view that lie on the mask (those near it count in part)."""
    explained: float
    """Share of the frames with a mask in which a position lies on it."""
    height: float
    """Metres that the mask's tallest part is high at the nearest subject's depth, median."""

    views: NDArray[np.int64]
    """Frames in which each subject's position is in view, ``[K]``."""
    hits: Floats
    """In how many of these it lies on the mask (near it counts in part), ``[K]``."""
    steady: float = 1.0
    """How little the positions wander about the parts that they lie on: 1 for not at all."""
    offset: float = 0.0
    """Largest offset between a subject's positions and its middles, metres."""
    placing: Placing | None = None
    """The positions under this reading, brought onto the mask."""

    @property
    def score(self) -> float:
        """Geometric mean of both shares, times the root of the steadiness, less for what is less to be expected."""
        unlikely = 1.0 if self.reading.reference == "world" else OTHER_REFERENCE
        far = np.exp(-((self.offset / FAR_OFFSET) ** 2))
        return float(np.sqrt(self.on_mask * self.explained * self.steady) * unlikely * far)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The outcome: a reading, or why there is none."""

    best: Fit | None
    """The best reading's fit, also where it is refused; None if nothing could be held against the mask."""
    second: Fit | None = None
    """The best one that puts subjects elsewhere."""
    problem: str | None = None
    """Why no reading can be taken; None if `best` can."""

    def sentence(self) -> str:
        """For ``data inspect`` and a sample's notes."""
        if self.best is None:
            return self.problem or "nothing to fit"
        text = f"{self.best.reading.name} (fit {self.best.score:.2f}"
        text += f", next {self.second.score:.2f})" if self.second else ")"
        return f"{text}: {self.problem}" if self.problem else text


def fit_reading(
    raw: Floats,
    poses: Poses,
    lens: Intrinsics,
    evidence: MaskEvidence,
    num_context: int,
    only: Reading | None = None,
) -> Fitted:
    """The reading of one clip's positions.

    Args:
        raw: Numbers of the file, ``[K, T, 3]``, NaN where it is silent.
        poses: Cameras, ``[T, 4, 4]``.
        lens: The lens at the mask's size.
        evidence: The mask.
        num_context: Frames of the context.
        only: A reading that is known; it must fit all the same.
    """
    raw = steadied(raw)
    if not (evidence.tallest > 0).any():
        return Fitted(best=None, problem="the mask shows nobody")
    parts = whole_parts(evidence)
    groups: list[list[Reading]] = [[only]] if only else [world_readings(), camera_readings()]
    outcome = Fitted(best=None, problem="under no reading do the positions come into view at a plausible size")
    for group in groups:  # camera axes are asked only where nothing in the cameras' world fits
        close = group if only else _close_ones(group, raw, poses, lens, evidence, num_context)
        fits, pictures = [], []
        for reading in close:
            placing = place(reading.points(raw, poses, num_context), poses, lens, parts, 0)
            fit, pixels = _placed_fit(reading, placing, poses, lens, evidence)
            if fit is not None:
                fits.append(fit)
                pictures.append(pixels)
        best = max((fit.score for fit in fits), default=0.0)
        for i, fit in enumerate(fits):
            if fit.score > best - 2 * ALIKE:
                placing = place(fit.reading.points(raw, poses, num_context), poses, lens, parts)
                again, pixels = _placed_fit(fit.reading, placing, poses, lens, evidence)
                if again is not None and again.score > fit.score:
                    fits[i], pictures[i] = again, pixels
        if fits and (outcome.best is None or best > outcome.best.score + ALIKE):
            outcome = _decided(fits, pictures, evidence, only)
        if outcome.best is not None and outcome.best.score >= _least(outcome.best.reading, only):
            break
    return outcome


def _placed_fit(
    reading: Reading, placing: Placing, poses: Poses, lens: Intrinsics, evidence: MaskEvidence
) -> tuple[Fit | None, Floats]:
    """The fit of positions that were brought onto the mask, and their pixels."""
    pixels, depth = project(placing.points, poses[None], lens)
    fit = _fit(reading, pixels, depth, lens, evidence, np.arange(len(poses)), NEAR)
    if fit is None:
        return None, pixels
    steady = 1.0 if np.isnan(placing.left) else float(np.exp(-((placing.left / STEADY) ** 2)))
    far = float(np.linalg.norm(placing.offsets, axis=1).max())
    return replace(fit, steady=steady, offset=far, placing=placing), pixels


def fit_of(reading: Reading, points: Floats, poses: Poses, lens: Intrinsics, evidence: MaskEvidence) -> Fit | None:
    """How well world points ``[K, T, 3]`` lie on the mask, as they are; None if they never do at a plausible size."""
    pixels, depth = project(points, poses[None], lens)
    return _fit(reading, pixels, depth, lens, evidence, np.arange(len(poses)), NEAR)


def _least(reading: Reading, only: Reading | None) -> float:
    """Fit that a reading must reach to be taken."""
    return LEAST_FIT if reading in (UNREAL, only) else LEAST_ODD_FIT


def _decided(fits: list[Fit], pictures: list[Floats], evidence: MaskEvidence, only: Reading | None) -> Fitted:
    """The best fit, or why it cannot be taken; of readings that put everybody at the same places the first."""
    top = max(range(len(fits)), key=lambda i: (fits[i].score, -i))
    same = [i for i in range(len(fits)) if not _elsewhere(pictures[top], pictures[i], evidence)]
    chosen = min(i for i in same if fits[i].score > fits[top].score - ALIKE)
    rest = [i for i in range(len(fits)) if i not in same]
    other = max(rest, key=lambda i: fits[i].score, default=None)
    best, second = fits[chosen], None if other is None else fits[other]
    problem = None
    least = _least(best.reading, only)
    if best.score < least:
        problem = f"no reading of the positions fits the masks (at least {least} is needed)"
    elif second is not None and best.score - second.score < _alike(best.score):
        problem = f"another reading, {second.reading.name}, fits as well ({second.score:.2f})"
    return Fitted(best=best, second=second, problem=problem)


def _alike(best: float) -> float:
    """Difference of fits below which two fit alike: the less is amiss with the best, the less another may be worse."""
    return float(np.clip(1 - best + 0.01, LEAST_ALIKE, ALIKE))


def _close_ones(
    group: list[Reading], raw: Floats, poses: Poses, lens: Intrinsics, evidence: MaskEvidence, num_context: int
) -> list[Reading]:
    """Readings that come close to the best on some of the frames, the expected one first."""
    frames = np.arange(SEARCH_STEP // 2, len(poses), SEARCH_STEP)
    found = []
    for reading in group:
        points = reading.points(raw, poses, num_context)[:, frames]
        pixels, depth = project(points, poses[None, frames], lens)
        fit = _fit(reading, pixels, depth, lens, evidence, frames, SEARCH_NEAR)
        if fit is not None:
            found.append(fit)
    best = max((fit.score for fit in found), default=0.0)
    close = sorted((fit for fit in found if fit.score >= best - CLOSE), key=lambda fit: -fit.score)[:MOST_CLOSE]
    return [reading for reading in group if any(fit.reading == reading for fit in close)]


def _fit(
    reading: Reading,
    pixels: Floats,
    depth: Floats,
    lens: Intrinsics,
    evidence: MaskEvidence,
    frames: NDArray[np.intp],
    reach: float,
) -> Fit | None:
    """The fit over some frames; None where too few positions are in view, or bodies would be no bodies."""
    inside, hits = on_mask(pixels, depth, lens, evidence, frames, reach)
    if inside.sum() < 5:
        return None
    tallest, enough = evidence.tallest[frames], evidence.enough[frames]
    seen = hits > 0.3
    if not seen.any() or not enough.any():
        return None
    nearest = np.where(seen, depth, np.inf).min(axis=0)
    known = np.isfinite(nearest)
    height = float(np.median(tallest[known] * evidence.step * nearest[known] / lens.focal))
    if not HEIGHTS[0] <= height <= HEIGHTS[1]:
        return None
    return Fit(
        reading=reading,
        on_mask=float(hits.sum() / inside.sum()),
        views=inside.sum(axis=1),
        hits=hits.sum(axis=1),
        explained=float(hits.max(axis=0)[enough].mean()),
        height=height,
    )


def on_mask(
    pixels: Floats,
    depth: Floats,
    lens: Intrinsics,
    evidence: MaskEvidence,
    frames: NDArray[np.intp],
    reach: float,
) -> tuple[Bools, Floats]:
    """Which positions are in view, and how much each of these is on the mask, in [0, 1]; both ``[K, n]``.

    Args:
        pixels: Frame pixels, ``[K, n, 2]``.
        depth: Metres, ``[K, n]``.
        lens: The lens.
        evidence: The mask.
        frames: The frames, ``[n]``.
        reach: Of the tallest part's height: at this distance from the mask two thirds of a hit are lost.
    """
    with np.errstate(invalid="ignore"):
        inside = (depth > 0.1) & (pixels >= 0).all(axis=-1) & (pixels < [lens.width, lens.height]).all(axis=-1)
    tallest = evidence.tallest[frames]
    near = np.maximum(reach * tallest, 2.0)
    share = np.exp(-((evidence.distance_at(pixels, frames) / near) ** 2))
    return inside, np.where(inside & (tallest > 0), share, 0.0)


def _elsewhere(a: Floats, b: Floats, evidence: MaskEvidence) -> bool:
    """Whether two readings put somebody at another place of the picture, most of the time that the mask shows any."""
    there = evidence.tallest > 0
    apart = np.linalg.norm(np.nan_to_num(a, nan=-1e4) - np.nan_to_num(b, nan=-1e4), axis=-1)[:, there]
    return bool((np.median(apart / (evidence.tallest[there] * evidence.step), axis=1) > ELSEWHERE).any())
