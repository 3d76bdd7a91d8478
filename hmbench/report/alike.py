"""Do two runs, or two entries of a leaderboard, mean the same number by a metric's name?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hmbench.networks.identity import weights_of
from hmbench.results.metric_record import MetricRecord


class Scored(Protocol):
    """What was scored: a run's manifest, or an entry."""

    @property
    def metrics(self) -> Mapping[str, MetricRecord]:
        """Metric to what is known of it."""
        ...

    @property
    def metric_weights(self) -> Mapping[str, str]:
        """Weight file to digest, of all metrics together."""
        ...


def weights_behind(scored: Scored, metric: str) -> dict[str, str]:
    """Weight file to digest of what a metric looked through; runs of 0.1 recorded it for all metrics together."""
    record = scored.metrics.get(metric)
    if record is None:
        return {}
    return weights_of(record.needs, scored.metric_weights) if record.weights is None else record.weights


def other_weights(first: Scored, second: Scored, metric: str) -> list[str]:
    """Files of the networks of a metric that differ, or that one of the two lacks."""
    ours, theirs = weights_behind(first, metric), weights_behind(second, metric)
    return sorted(file for file in ours.keys() | theirs.keys() if ours.get(file) != theirs.get(file))


def unlike(scored: Sequence[Scored], metric: str) -> str | None:
    """Why numbers of this metric must not stand in one column; None if they may.

    Args:
        scored: Runs or entries that have the metric; others are passed over.
        metric: Its name.
    """
    having = [one for one in scored if metric in one.metrics]
    if len(versions := sorted({one.metrics[metric].version for one in having})) > 1:
        return f"versions {' and '.join(map(str, versions))}"
    for one in having[1:]:
        if files := other_weights(having[0], one, metric):
            return f"different weights ({', '.join(files[:3])})"
    return None
