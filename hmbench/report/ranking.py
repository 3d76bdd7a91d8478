"""Who is first on a metric, who shares a rank, and whom a paired test does not tell from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmbench.results.intervals import Bounds
from hmbench.results.statistics import holm, levelled, paired_test

SEPARATED = 0.05
"""Corrected p-value below which a model is worse than the first one beyond chance."""

Column = Sequence[float | None]
"""A metric's value on each clip; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a model stands on one metric."""

    rank: int
    """From 1; means that are equal but for rounding share the best of their ranks."""
    with_first: bool
    """A paired test, corrected by Holm over all rivals of the first, does not separate it from the first."""


def standings(
    means: Sequence[float | None],
    columns: Sequence[Column],
    clusters: Sequence[str],
    *,
    higher_is_better: bool,
    bounds: Bounds | None = None,
) -> list[Standing | None]:
    """The standing of each model, None for one without a mean.

    Args:
        means: Mean of each model; None leaves it out.
        columns: Values of each model on the same clips.
        clusters: Scene of each clip.
        higher_is_better: Direction.
        bounds: Ends of the metric.
    """
    sign = -1.0 if higher_is_better else 1.0
    keyed = sorted((sign * mean, i) for i, mean in enumerate(means) if mean is not None)
    order = [i for _, i in keyed]
    found: list[Standing | None] = [None] * len(means)
    if not order:
        return found
    p_values = [_p(columns[order[0]], columns[i], clusters, bounds) for i in order[1:]]
    same = [True, *(p >= SEPARATED for p in holm(p_values))]
    keys = levelled([key for key, _ in keyed])
    for place, i in enumerate(order):
        found[i] = Standing(rank=keys.index(keys[place]) + 1, with_first=same[place])
    return found


def first_and_second(means: Sequence[float | None], *, higher_is_better: bool | None) -> tuple[set[int], set[int]]:
    """Places of the best and of the second-best means; equal ones share it, and where all are equal nobody is best.

    Args:
        means: Mean of each model; None leaves it out.
        higher_is_better: Direction; None ranks nobody.
    """
    order = sorted((i for i, mean in enumerate(means) if mean is not None), key=lambda i: means[i] or 0.0)
    order = order[::-1] if higher_is_better else order
    levels = dict(zip(order, levelled([means[i] or 0.0 for i in order]), strict=True))
    known = list(dict.fromkeys(levels.values()))
    if higher_is_better is None or len(known) < 2:
        return set(), set()
    first = {i for i, level in levels.items() if level == known[0]}
    return first, set() if len(first) > 1 else {i for i, level in levels.items() if level == known[1]}


def _p(best: Column, other: Column, clusters: Sequence[str], bounds: Bounds | None) -> float:
    """1 without a common clip, or with too few scenes for a test: nothing is separated by nothing."""
    both = [(c, a, b) for c, a, b in zip(clusters, best, other, strict=True) if a is not None and b is not None]
    if not both:
        return 1.0
    names, ours, theirs = zip(*both, strict=True)
    p = paired_test(np.array(ours, dtype=float), np.array(theirs, dtype=float), names, bounds=bounds).p
    return 1.0 if p is None else p
