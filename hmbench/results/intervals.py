"""95 % intervals of means over clips that stand in scenes, at the numbers of scenes that benchmarks have.

Clips of a scene resemble each other, so scenes are what is counted. Two rules were chosen by simulation, by what they
cover with 4 to 17 scenes of unequal size (docs/statistics.md has a picture, ``hmbench study coverage`` the numbers):

* A metric with two ends (shares, scores from 0 to 1): Wilson's interval (1927) with an effective number of clips. That
  number is what the spread between scenes says, as Korn and Graubard (1998) have it for surveys, made smaller for the
  few degrees of freedom. A mean of zeros still has an interval, since few scenes cannot rule out a rare event.
* Any other: the bootstrap-t over scenes (Hall 1988), which follows skewness, and never narrower than Student's t.

Both rest on the same variance (CR2, Bell and McCaffrey 2002) with Satterthwaite's degrees of freedom, which are fewer
than scenes - 1 where one scene has most of the clips.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 1999
MIN_SCENES = 4
"""Fewer scenes give no interval: with three, a ninth of the bootstrap's draws have no spread and its t has no end."""
NO_SPREAD = 1e-9
"""A standard error up to this share of the largest value is rounding."""

Array = NDArray[np.float64]
Bounds = tuple[float | None, float | None]
_TAIL = (1 - CONFIDENCE) / 2
_Z = float(special.ndtri(1 - _TAIL))


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True)
class Scenes:
    """What intervals and tests look at: sum and number of the clips of each scene."""

    sums: Array
    """Sum of a scene's values, ``[K]``."""
    counts: Array
    """Clips of a scene, ``[K]``."""

    @classmethod
    def of(cls, values: Array, clusters: Sequence[str]) -> Scenes:
        """Groups clips. A clip whose scene is unknown (empty text) is a scene of its own.

        Args:
            values: A finite value for each clip, ``[N]``.
            clusters: Scene of each clip, ``[N]``.
        """
        names = [name or f"clip {number}" for number, name in enumerate(clusters)]
        _, index = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        sums = np.bincount(index, weights=values).astype(np.float64)
        return cls(sums, np.bincount(index).astype(np.float64))

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Mean over clips."""
        return float(self.sums.sum() / self.counts.sum())

    @property
    def error(self) -> float:
        """Standard error of the mean (CR2): 0 if the scenes' means differ by rounding only."""
        error = float(np.sqrt(_variance(self.sums[None], self.counts[None])[0]))
        return 0.0 if error <= NO_SPREAD * np.abs(self.sums / self.counts).max() else error

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom of `error`, for independent clips: scenes - 1 if all are of one size."""
        share = self.counts / self.counts.sum()
        residual = np.eye(len(self)) - np.outer(share, np.ones(len(self)))
        matrix = (residual * self.counts) @ residual.T / (1 - share)[:, None]
        return float(np.trace(matrix) ** 2 / np.trace(matrix @ matrix))

    def studentised(self, *, seed: int, draws: int = BOOTSTRAP_DRAWS) -> Array:
        """(drawn mean - mean) / drawn error of draws of whole scenes; infinite where a draw has no spread.

        Args:
            seed: Seed.
            draws: How many draws.

        Returns:
            ``[draws]``.
        """
        drawn = _drawn(seed, draws, len(self))
        sums, counts = self.sums[drawn], self.counts[drawn]
        away = sums.sum(axis=1) / counts.sum(axis=1) - self.mean
        size = np.abs(self.sums / self.counts).max()
        error = np.sqrt(_variance(sums, counts))
        away[np.abs(away) <= NO_SPREAD * size] = 0.0
        error[error <= NO_SPREAD * size] = 0.0
        ends = np.where(away == 0, 0.0, np.copysign(np.inf, away))
        np.divide(away, error, out=ends, where=error > 0)
        return ends


def mean_interval(
    values: Array, clusters: Sequence[str], *, bounds: Bounds | None = None, seed: int = 0
) -> Interval | None:
    """A 95 % interval of the mean over clips.

    Args:
        values: Finite values, ``[N]``.
        clusters: Scene of each value, ``[N]``; empty text is a scene of its own.
        bounds: Ends of the metric, None for an end that it does not have. Without any, values that all lie in [0, 1]
            are taken for a metric from 0 to 1.
        seed: Seed of the bootstrap.

    Returns:
        The interval, or None: below `MIN_SCENES` scenes, or without ends if (nearly) all scenes agree exactly, which
        says nothing about spread.
    """
    scenes = Scenes.of(values, clusters)
    if len(scenes) < MIN_SCENES:
        return None
    low, high = _ends(values, bounds, (0.0, 1.0))
    if low is not None and high is not None:
        return _wilson(scenes, low, high)
    found = _student(scenes, seed)
    if found is None:
        return None
    return Interval(
        found.low if low is None else max(low, found.low), found.high if high is None else min(high, found.high)
    )


def difference_interval(
    differences: Array, clusters: Sequence[str], *, bounds: Bounds | None = None, seed: int = 0
) -> Interval | None:
    """A 95 % interval of the mean of paired differences.

    Differences are skewed and seldom at an end, so the bootstrap-t counts here for every metric. Where it has no end
    (rare events differ in one or two scenes) Wilson's stands alone, and where no scene differs at all it says how large
    a share could have been missed.

    Args:
        differences: Model minus reference, ``[N]``.
        clusters: Scene of each clip, ``[N]``.
        bounds: Ends of the metric (not of differences), as in `mean_interval`.
        seed: Seed of the bootstrap.

    Returns:
        The interval, or None as in `mean_interval`.
    """
    scenes = Scenes.of(differences, clusters)
    if len(scenes) < MIN_SCENES:
        return None
    low, high = _ends(differences, bounds and _difference_ends(bounds), (-1.0, 1.0))
    if low is None or high is None:
        return _student(scenes, seed)
    if scenes.error == 0:
        missed = (high - low) / 2 * _Z**2 / (len(scenes) + _Z**2)
        return Interval(max(low, scenes.mean - missed), min(high, scenes.mean + missed))
    plain, t = _wilson(scenes, low, high), _bootstrap_t(scenes, seed)
    return Interval(
        max(low, min(plain.low, t.low)) if np.isfinite(t.low) else plain.low,
        min(high, max(plain.high, t.high)) if np.isfinite(t.high) else plain.high,
    )


@functools.lru_cache(maxsize=32)
def _drawn(seed: int, draws: int, scenes: int) -> NDArray[np.int64]:
    """Which scenes each draw has, ``[draws, scenes]``: the same for all metrics of a table."""
    drawn = np.random.default_rng(seed).integers(scenes, size=(draws, scenes))
    drawn.flags.writeable = False
    return drawn


def _variance(sums: Array, counts: Array) -> Array:
    """CR2 variance of the mean over clips, for each row of ``[B, K]``."""
    total = counts.sum(axis=1, keepdims=True)
    residual = counts * sums.sum(axis=1, keepdims=True)
    residual /= total
    np.subtract(sums, residual, out=residual)
    residual *= residual
    weight = counts / total
    residual /= np.subtract(1, weight, out=weight)
    return np.asarray(residual.sum(axis=1) / total[:, 0] ** 2, dtype=np.float64)


def _ends(values: Array, bounds: Bounds | None, guess: tuple[float, float]) -> Bounds:
    """Ends to rely on: the given ones unless a value lies outside of them."""
    low, high = guess if bounds is None else bounds
    beyond = (low is not None and values.min() < low) or (high is not None and values.max() > high)
    return (None, None) if beyond else (low, high)


def _difference_ends(bounds: Bounds) -> Bounds:
    low, high = bounds
    return (None, None) if low is None or high is None else (low - high, high - low)


def _wilson(scenes: Scenes, low: float, high: float) -> Interval:
    """Wilson's interval of a mean between two ends.

    The effective number of clips is that with which a share would have this standard error. Without any spread between
    scenes nothing is known of it, and each scene counts as one clip: the most careful reading.
    """
    share = min(1.0, max(0.0, (scenes.mean - low) / (high - low)))
    error = scenes.error / (high - low)
    if error > 0:
        size = share * (1 - share) / error**2 * (_Z / _t_quantile(scenes.freedom)) ** 2
    else:
        size = float(len(scenes))
    pull = _Z**2 / size
    centre = (share + pull / 2) / (1 + pull)
    half = np.sqrt(share * (1 - share) * pull + pull**2 / 4) / (1 + pull)
    ends = max(0.0, centre - half), min(1.0, centre + half)
    return Interval(*(float(low + end * (high - low)) for end in ends))


def _t_quantile(freedom: float) -> float:
    return float(special.stdtrit(freedom, 1 - _TAIL))


def _bootstrap_t(scenes: Scenes, seed: int) -> Interval:
    """Hall's bootstrap-t; an end is infinite where too many draws have no spread."""
    t = scenes.studentised(seed=seed)
    above = float(np.quantile(t, 1 - _TAIL, method="higher"))
    below = float(np.quantile(t, _TAIL, method="lower"))
    return Interval(scenes.mean - above * scenes.error, scenes.mean - below * scenes.error)


def _student(scenes: Scenes, seed: int) -> Interval | None:
    """The bootstrap-t, at least as wide as Student's t; None if either has no end."""
    if scenes.error == 0:
        return None
    half = _t_quantile(scenes.freedom) * scenes.error
    t = _bootstrap_t(scenes, seed)
    if not np.isfinite(t).all():
        return None
    return Interval(min(scenes.mean - half, t.low), max(scenes.mean + half, t.high))
