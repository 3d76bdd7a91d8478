"""Paired statistics for runs on the same clips: intervals, a test that keeps its level, and Holm's correction.

The p-value is the largest of three, since each alone fails somewhere (docs/statistics.md has the simulations):

* Signs of whole scenes are flipped at random. This is exact if two models without a difference could swap names,
  however alike the clips of a scene are. It errs where equal means come with unequal shapes (one model is always fair,
  the other rarely excellent).
* Student's t on scenes, which minds that scenes have unequal numbers of clips.
* The bootstrap-t on scenes, which minds skewness.

Below `MIN_TEST_SCENES` scenes there is no p-value: with five, flipping signs cannot give less than 2 / 2^5 = 0.0625.
Clips are never taken as independent: that test found differences that were not there in 15 to 36 % of cases.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hmbench.results.intervals import Bounds, Scenes, difference_interval

MIN_TEST_SCENES = 6
"""Scenes from which on there is a p-value."""
EXACT_SCENES = 13
"""Up to so many scenes, all 2^n flips are counted."""
FLIPS = 9_999
"""Random flips beyond; the smallest p-value is then 2 / (FLIPS + 1)."""
TIE = 1e-6
"""Differences up to this, relative to the larger value, are rounding and count as ties: metrics compute in single
precision, whose last digits differ between machines. One sign in all clips would be taken for evidence."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """One model against another on one metric, on the clips that both have."""

    difference: float
    """Mean of (model - reference)."""
    low: float | None
    """Lower end of its 95 % interval; None where `difference_interval` has none."""
    high: float | None
    """Upper end."""
    p: float | None
    """Two-sided p-value of no difference, before any correction; None below `MIN_TEST_SCENES` scenes."""
    reason: str | None
    """Why there is no p-value."""
    scenes: int
    """How many scenes; no p-value is below 2 / 2^scenes."""
    wins: int
    """Clips on which the model is better; larger if the metric has no direction."""
    ties: int
    """Clips without a difference."""
    losses: int
    """Clips on which the reference is better."""


def paired_test(
    model: Array,
    reference: Array,
    clusters: Sequence[str],
    *,
    higher_is_better: bool = True,
    bounds: Bounds | None = None,
    seed: int = 0,
) -> PairedTest:
    """Compares two models clip by clip.

    Args:
        model: Values of one model, ``[N]``, finite.
        reference: Values of the other on the same clips, ``[N]``.
        clusters: Scene of each clip, ``[N]``; empty text means unknown, a scene of its own.
        higher_is_better: Direction of wins.
        bounds: Ends of the metric, see `hmbench.results.intervals.mean_interval`.
        seed: Seed of bootstrap and random flips.

    Raises:
        ValueError: If there are no clips, or lengths differ.
    """
    if not len(model) == len(reference) == len(clusters) or len(model) == 0:
        raise ValueError(f"need equally many clips, at least one: {len(model)=} {len(reference)=} {len(clusters)=}")
    difference = _without_rounding(model, reference)
    scenes = Scenes.of(difference, clusters)
    interval = difference_interval(difference, clusters, bounds=bounds, seed=seed)
    enough = len(scenes) >= MIN_TEST_SCENES
    better = difference if higher_is_better else -difference
    return PairedTest(
        difference=float(difference.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=scene_p(scenes, seed=seed) if enough else None,
        reason=None if enough else too_few_scenes(len(scenes)),
        scenes=len(scenes),
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
    )


def too_few_scenes(count: int) -> str:
    """Why so few scenes have no p-value."""
    return (
        f"{count} scene{'s' if count != 1 else ''}: flipping the signs of fewer than {MIN_TEST_SCENES} scenes cannot "
        "give a p-value below 0.05"
    )


def scene_p(scenes: Scenes, *, seed: int = 0) -> float:
    """Two-sided p-value of a mean of 0: the largest of sign flips, Student's t and the bootstrap-t (see above).

    Args:
        scenes: Differences, at least `MIN_TEST_SCENES` scenes.
        seed: Seed of draws.
    """
    return max(scene_p_values(scenes, seed=seed))


def scene_p_values(scenes: Scenes, *, seed: int = 0) -> Iterator[float]:
    """The three p-values, the quick one first: Student's t, the bootstrap-t, sign flips."""
    if scenes.mean == 0:
        yield 1.0
        return
    t = scenes.mean / scenes.error if scenes.error > 0 else np.copysign(np.inf, scenes.mean)
    yield float(2 * special.stdtr(scenes.freedom, -abs(t)))
    drawn = scenes.studentised(seed=seed)
    beyond = min(int((drawn >= t).sum()), int((drawn <= t).sum()))
    yield min(1.0, 2 * (1 + beyond) / (1 + len(drawn)))
    yield sign_flip_p(scenes.sums, seed=seed)


def sign_flip_p(differences: Array, *, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sum of differences under random signs, as `scipy.stats.permutation_test` has it.

    Exact up to `EXACT_SCENES` values, else by `flips` random draws, with the observed signs counted among them so that
    the value is never 0. All differences 0 gives 1.

    Args:
        differences: One value a unit (sums of scenes), ``[N]``.
        seed: Seed of the draws.
        flips: Number of draws.
    """
    if len(differences) < 2 or not differences.any():  # one sign can only be flipped to the other side
        return 1.0
    exact = len(differences) <= EXACT_SCENES
    signs = _signs(len(differences), seed, 2**EXACT_SCENES if exact else flips)
    null, observed = np.sum(signs * differences, axis=-1), np.sum(differences)
    close = abs(100 * np.finfo(np.float64).eps * observed)  # sums that differ by rounding alone are equal
    less, greater = int((null <= observed + close).sum()), int((null >= observed - close).sum())
    own = 0 if exact else 1  # the observed signs are among all signs, and are counted among drawn ones
    return float(min(1.0, 2 * (min(less, greater) + own) / (len(null) + own)))


@functools.lru_cache(maxsize=16)
def _signs(count: int, seed: int, flips: int) -> Array:
    """The signs that `scipy.stats.permutation_test` draws, ``[flips, count]``.

    They follow from numbers alone, so that tests of many models and metrics on the same scenes draw them once.
    """
    from scipy.stats import permutation_test  # a second to import: only where something is tested

    drawn: list[Array] = []

    def keep(x: Array, axis: int) -> Array:
        drawn.append(np.array(x).reshape(-1, count))
        return np.asarray(np.sum(x, axis=axis))

    permutation_test(
        (np.ones(count),), keep, permutation_type="samples", vectorized=True, n_resamples=flips, batch=1000,
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    return np.concatenate(drawn[1:])  # the first are the observed ones


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that keep the chance of any false finding below their level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def tied(a: float, b: float) -> bool:
    """Whether two values differ by rounding alone."""
    return abs(a - b) <= TIE * max(abs(a), abs(b))


def levelled(values: Sequence[float]) -> list[float]:
    """Values in order, each as the first of those that it ties with."""
    found: list[float] = []
    for value in values:
        found.append(found[-1] if found and tied(value, found[-1]) else value)
    return found


def _without_rounding(model: Array, reference: Array) -> Array:
    difference = np.asarray(model - reference, dtype=np.float64)
    scale = np.maximum(np.abs(model), np.abs(reference))
    difference[np.abs(difference) <= TIE * scale] = 0.0
    return difference
