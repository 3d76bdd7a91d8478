"""Paired statistics for runs on the same clips: intervals, an exact test, and Holm's correction.

Why a sign-flip test: tables report mean differences, and this is the test of exactly that number; it assumes no
distribution, only that two models without a difference could swap names. Clips of one scene resemble each other, so
whole scenes are flipped where there are enough of them. With fewer than `MIN_SCENES` no p-value below 2 / 2^scenes is
possible; then single clips are flipped, which takes them as independent, and the result says so (`unit`).
Wilcoxon's signed-rank test would answer another question (the median of ranks) and cannot respect scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hmbench.results.summary import bootstrap_interval

MIN_SCENES = 10
"""Scenes from which on whole scenes are flipped: ten allow p-values down to 0.002."""
EXACT_UNITS = 14
"""Up to so many units, all 2^n flips are counted."""
FLIPS = 20_000
"""Random flips beyond; the smallest p-value is then 1 / (FLIPS + 1)."""
TIE = 1e-12
"""Differences up to this, relative to the larger value, are rounding and count as ties."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """One model against another on one metric, on the clips that both have."""

    difference: float
    """Mean of (model - reference)."""
    low: float | None
    """Lower end of its 95 % interval, scenes drawn with replacement; None below two scenes."""
    high: float | None
    """Upper end."""
    p: float
    """Two-sided p-value of no difference, before any correction."""
    unit: Literal["scene", "clip"]
    """What was flipped; ``clip`` takes clips as independent."""
    units: int
    """How many were flipped; no p-value is below 2 / 2^units."""
    wins: int
    """Clips on which the model is better; larger if the metric has no direction."""
    ties: int
    """Clips without a difference."""
    losses: int
    """Clips on which the reference is better."""


def paired_test(
    model: Array, reference: Array, clusters: Sequence[str], *, higher_is_better: bool = True, seed: int = 0
) -> PairedTest:
    """Compares two models clip by clip.

    Args:
        model: Values of one model, ``[N]``, finite.
        reference: Values of the other on the same clips, ``[N]``.
        clusters: Scene of each clip, ``[N]``; empty text means unknown, a scene of its own.
        higher_is_better: Direction of wins.
        seed: Seed of bootstrap and random flips.

    Raises:
        ValueError: If there are no clips, or lengths differ.
    """
    if not len(model) == len(reference) == len(clusters) or len(model) == 0:
        raise ValueError(f"need equally many clips, at least one: {len(model)=} {len(reference)=} {len(clusters)=}")
    difference = _without_rounding(model, reference)
    scenes = [name or f"clip {number}" for number, name in enumerate(clusters)]
    unit: Literal["scene", "clip"] = "scene" if len(set(scenes)) >= MIN_SCENES else "clip"
    flipped = _sums(difference, scenes) if unit == "scene" else difference
    interval = bootstrap_interval(difference, scenes, seed=seed)
    better = difference if higher_is_better else -difference
    return PairedTest(
        difference=float(difference.mean()),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        p=sign_flip_p(flipped, seed=seed),
        unit=unit,
        units=len(flipped),
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
    )


def sign_flip_p(differences: Array, *, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sum of differences under random signs.

    Exact up to `EXACT_UNITS` values, else by `flips` random draws, with the observed signs counted among them so that
    the value is never 0. All differences 0 gives 1.

    Args:
        differences: One value a unit (sums of scenes, or clips), ``[N]``.
        seed: Seed of the draws.
        flips: Number of draws.
    """
    observed = abs(differences.sum())
    # a flip that reproduces the observed sum in another order of addition must count as equal
    threshold = observed - 1e-9 * np.abs(differences).sum()
    if len(differences) <= EXACT_UNITS:
        codes = np.arange(2 ** len(differences))[:, None] >> np.arange(len(differences))
        signs = 1.0 - 2.0 * (codes & 1)
        return float((np.abs(signs @ differences) >= threshold).mean())
    rng = np.random.default_rng(seed)
    as_large = 0
    for start in range(0, flips, 1000):  # in parts: 20,000 flips of 1,000 clips would take 160 MB at once
        signs = rng.integers(0, 2, size=(min(1000, flips - start), len(differences))) * 2.0 - 1.0
        as_large += int((np.abs(signs @ differences) >= threshold).sum())
    return (as_large + 1) / (flips + 1)


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


def _without_rounding(model: Array, reference: Array) -> Array:
    difference = np.asarray(model - reference, dtype=np.float64)
    scale = np.maximum(np.abs(model), np.abs(reference))
    difference[np.abs(difference) <= TIE * scale] = 0.0
    return difference


def _sums(values: Array, clusters: Sequence[str]) -> Array:
    """Sum of each cluster: flipping it flips the whole scene's share of the mean."""
    _, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return np.bincount(index, weights=values).astype(np.float64)
