"""Which story explains where a subject is after it came back: on its path in time, later, beside it, standing still.

Each story predicts the points in the world, and its residual says how well. The path is where the real subject was at
every moment, also while nobody saw it: a delayed subject walks where the real one walked some frames before.

Letters: T frames, the context's and the target's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hmbench.metrics.reentry.motion import Floats, across

MOST_LATE, MOST_EARLY = 45, 15
"""Frames of shift that are tried: three seconds and one second at 15 fps."""


@dataclass(frozen=True, kw_only=True)
class PathFit:
    """Residuals in body heights, each the mean distance between the points and a story."""

    on_time: float
    """On the path at its time."""
    late: float
    """On the path, `shift` frames behind."""
    shift: float
    """Frames behind at which the path explains most; negative is ahead."""
    beside: float
    """Parallel to the path at its time."""
    still: float
    """At one point."""
    turned: float
    """On the path turned by half a circle, wherever it starts."""


STORIES = tuple(field.name for field in fields(PathFit))
"""Names of the residuals, and of the shift."""


def fit_path(points: Floats, frames: NDArray[np.intp], path: Floats, eyes: Floats, height: float) -> PathFit:
    """How well each story explains points.

    What is missed along the line of sight counts less (`across`).

    Args:
        points: Where the subject is, metres ``[n, 3]``.
        frames: When, counted in the path, ``[n]``.
        path: Where it should be, ``[T, 3]``, NaN where nobody knows.
        eyes: Where the camera is in those frames, ``[n, 3]``.
        height: The body's height, metres.
    """

    def residual(vectors: Floats) -> float:
        return float(np.linalg.norm(across(vectors, points - eyes), axis=1).mean()) / height

    wanted = path[frames]
    shift, late = _best_shift(points, frames, path, residual)
    return PathFit(
        on_time=residual(points - wanted),
        late=late,
        shift=shift,
        beside=residual(_centred(points - wanted)),
        still=residual(_centred(points)),
        turned=residual(_centred(points + wanted)),
    )


def bridged(path: Floats) -> Floats:
    """A path ``[T, 3]`` with its gaps crossed in straight lines; NaN before its first and after its last point."""
    known = np.flatnonzero(np.isfinite(path).all(axis=1))
    if not len(known):
        return path
    times = np.arange(len(path))
    columns = [np.interp(times, known, path[known, i], left=np.nan, right=np.nan) for i in range(3)]
    return np.stack(columns, axis=1)


def _best_shift(
    points: Floats, frames: NDArray[np.intp], path: Floats, residual: Callable[[Floats], float]
) -> tuple[float, float]:
    """The shift that explains most, and its residual; shifts without a path for all points do not count."""
    best = (float("nan"), float("nan"))
    for shift in sorted(range(-MOST_EARLY, MOST_LATE + 1), key=abs):
        earlier = frames - shift
        if earlier.min() < 0 or earlier.max() >= len(path):
            continue
        left = residual(points - path[earlier])
        if np.isfinite(left) and not left >= best[1]:
            best = (float(shift), left)
    return best


def _centred(points: Floats) -> Floats:
    return np.asarray(points - np.median(points, axis=0), np.float64)
