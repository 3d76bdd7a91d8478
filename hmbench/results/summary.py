"""Means over clips with intervals over scenes; several seeds of a clip are one value, missing ones are counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hmbench.results.intervals import Bounds, mean_interval
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import Row
from hmbench.results.seeds import one_row_a_clip

bootstrap_interval = mean_interval
"""Its name in 0.1, when it was a bootstrap for every metric."""
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
    """Lower end of the 95 % interval; None where `hmbench.results.intervals.mean_interval` has none."""
    high: float | None
    """Upper end of the 95 % interval."""
    scored: int
    """Samples with a value."""
    total: int
    """Samples."""
    reasons: dict[str, int]
    """Why the others have none: reason to count."""
    scenes: int = 0
    """Scenes that the scored samples stand in."""


def summarise(
    rows: Sequence[Row],
    *,
    metrics: Mapping[str, MetricRecord] | None = None,
    seed: int = 0,
    samples: int | None = None,
) -> dict[str, MetricSummary]:
    """Clip-weighted means with intervals over scenes.

    The result does not depend on the order of the rows. A missing value is skipped and counted. Several rows of one
    metric and sample are seeds of it, and count as their mean.

    Args:
        rows: Rows of one run, or of one model's runs with several seeds.
        metrics: What is known of each metric, as in a manifest: its bounds decide how its interval is made.
        seed: Seed of the bootstrap; the same for every metric, so that metrics see the same draws.
        samples: How many samples the run has, scored or not; by default as many as a metric has rows. Those without a
            row are counted under `UNFINISHED`.

    Returns:
        Metric name to summary, in order of first appearance of the metric in the sorted rows' samples.
    """
    by_metric: dict[str, list[Row]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return {
        name: _summarise_one(name, one_row_a_clip(group), bounds_of((metrics or {}).get(name)), seed, samples)
        for name, group in by_metric.items()
    }


def bounds_of(metric: MetricRecord | None) -> Bounds | None:
    """Ends of a metric; None if nobody says them."""
    return None if metric is None or "bounds" in metric.untold else metric.bounds


def _summarise_one(
    name: str, rows: Sequence[Row], bounds: Bounds | None, seed: int, samples: int | None
) -> MetricSummary:
    versions = {row.version for row in rows}
    if len(versions) > 1:
        raise ValueError(f"rows of {name} mix versions {sorted(versions)}")
    scored = sorted((row for row in rows if row.value is not None), key=lambda row: row.sample)
    values = np.array([row.value for row in scored], dtype=np.float64)
    clusters = [row.cluster or row.sample for row in scored]
    interval = mean_interval(values, clusters, bounds=bounds, seed=seed) if len(values) else None
    reasons: dict[str, int] = {}
    for row in sorted((r for r in rows if r.value is None), key=lambda row: row.sample):
        reasons[row.reason or "unknown"] = reasons.get(row.reason or "unknown", 0) + 1
    if samples is not None and samples > len(rows):
        reasons[UNFINISHED] = samples - len(rows)
    return MetricSummary(
        metric=name,
        version=versions.pop(),
        mean=math.fsum(values) / len(values) if len(values) else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        scored=len(values),
        total=max(len(rows), samples or 0),
        reasons=reasons,
        scenes=len(set(clusters)),
    )
