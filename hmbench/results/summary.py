"""Means over clips with honest intervals: whole scenes are drawn with replacement, missing values are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.results.records import Row

BOOTSTRAP_DRAWS = 2000
CONFIDENCE = 0.95
MIN_CLUSTERS = 5
"""Fewer scenes give no interval: two or three drawn with replacement come out far too narrow to mean 95 %."""
UNFINISHED = "not evaluated yet"
"""Why a sample of an unfinished run has no value."""


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """One metric over all samples."""

    metric: str
    """Metric name."""
    version: int
    """Metric version."""
    mean: float | None
    """Mean over scored samples; None if none was scored."""
    low: float | None
    """Lower end of the 95 % interval; None below `MIN_CLUSTERS` scenes."""
    high: float | None
    """Upper end of the 95 % interval."""
    scored: int
    """Samples with a value."""
    total: int
    """Samples."""
    reasons: dict[str, int]
    """Why the others have none: reason to count."""


def summarise(rows: Sequence[Row], *, seed: int = 0, samples: int | None = None) -> dict[str, MetricSummary]:
    """Clip-weighted means with percentile bootstrap intervals, whole scenes drawn with replacement.

    The result does not depend on the order of the rows. A missing value is skipped and counted.

    Args:
        rows: Rows of one run.
        seed: Seed of the bootstrap; the same for every metric, so that metrics see the same draws.
        samples: How many samples the run has, scored or not; by default as many as a metric has rows. Those without a
            row are counted under `UNFINISHED`.

    Returns:
        Metric name to summary, in order of first appearance of the metric in the sorted rows' samples.
    """
    by_metric: dict[str, list[Row]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return {name: _summarise_one(name, group, seed, samples) for name, group in by_metric.items()}


def bootstrap_interval(
    values: NDArray[np.float64], clusters: Sequence[str], *, seed: int, draws: int = BOOTSTRAP_DRAWS
) -> tuple[float, float] | None:
    """A 95 % percentile interval of the mean, resampling whole clusters.

    Args:
        values: Finite values, ``[N]``.
        clusters: Cluster of each value, ``[N]``.
        seed: Seed.
        draws: Bootstrap draws.

    Returns:
        (low, high), or None with fewer than `MIN_CLUSTERS` clusters, which say too little about their spread.
    """
    names, index = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < MIN_CLUSTERS:
        return None
    sums = np.bincount(index, weights=values)
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def _summarise_one(name: str, rows: Sequence[Row], seed: int, samples: int | None) -> MetricSummary:
    versions = {row.version for row in rows}
    if len(versions) > 1:
        raise ValueError(f"rows of {name} mix versions {sorted(versions)}")
    scored = sorted((row for row in rows if row.value is not None), key=lambda row: row.sample)
    values = np.array([row.value for row in scored], dtype=np.float64)
    interval = bootstrap_interval(values, [row.cluster for row in scored], seed=seed) if len(values) else None
    reasons: dict[str, int] = {}
    for row in sorted((r for r in rows if r.value is None), key=lambda row: row.sample):
        reasons[row.reason or "unknown"] = reasons.get(row.reason or "unknown", 0) + 1
    if samples is not None and samples > len(rows):
        reasons[UNFINISHED] = samples - len(rows)
    return MetricSummary(
        metric=name,
        version=versions.pop(),
        mean=math.fsum(values) / len(values) if len(values) else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        scored=len(values),
        total=max(len(rows), samples or 0),
        reasons=reasons,
    )
