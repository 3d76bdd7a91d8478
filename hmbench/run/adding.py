"""How scores of a run add up: what a score file still holds that is right, and what has to be computed.

Every metric has a stamp, the digest of all that decides its numbers besides the video: its version and description, the
weights that it looks through, the tracker if it needs tracks, the data. ``run.json`` keeps each metric's stamp, and a
score file says of each row by which stamp and on which video it was computed. So `hmbench score --metric psnr` computes
what is new or stale among what was asked, keeps every other row that is still right, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hmbench.results.metric_record import LAST, MetricRecord
from hmbench.results.records import Row, RunManifest
from hmbench.results.sample_scores import SampleScores


class Added(NamedTuple):
    """What a run has scored after this command."""

    metrics: dict[str, MetricRecord]
    """Metric to its record: those asked for, and those of before that are kept."""
    kept: dict[str, MetricRecord]
    """The latter alone."""
    dropped: dict[str, str]
    """Metrics of before that are not kept, and why."""


def stamp_of(*decides: Any) -> str:
    """Digest of what decides a number."""
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]


def add_up(before: RunManifest, after: RunManifest, asked: Mapping[str, MetricRecord], tracks: str | None) -> Added:
    """Joins what is asked with what the run has.

    Args:
        before: The run as it is.
        after: The run as this command makes it.
        asked: Metric to its record.
        tracks: What decides this command's tracks; None if it makes none.
    """
    kept, dropped = {}, {}
    for name, record in before.metrics.items():
        if name in asked:
            continue
        if record.stamp is None:
            dropped[name] = "an earlier version of hmbench scored it"
        elif before.profile != after.profile:
            dropped[name] = f"it was scored with profile {before.profile}"
        elif before.reading != after.reading:
            dropped[name] = "predictions were read otherwise"
        elif tracks is not None and record.tracks not in (None, tracks):
            dropped[name] = "it was scored with another tracker"
        else:
            kept[name] = record
    return Added({**kept, **asked}, kept, dropped)


def said_of_dropped(dropped: Mapping[str, str]) -> str | None:
    """A sentence that names what leaves the run; None if nothing does."""
    if not dropped:
        return None
    reasons: dict[str, list[str]] = {}
    for name, why in dropped.items():
        reasons.setdefault(why, []).append(name)
    parts = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return f"These scores of the run do not go with the new ones and are taken out: {parts}. Score them again."


def right_rows(scores: SampleScores | None, stamps: Mapping[str, str], video: str) -> dict[str, Row]:
    """Rows of a score file that were computed by these stamps on this video, by metric.

    Args:
        scores: What the file holds; None if there is none.
        stamps: Metric to stamp.
        video: Digest of the prediction.
    """
    return {
        row.metric: row
        for row in (scores.rows if scores else ())
        if scores and row.metric in stamps and scores.by.get(row.metric) == f"{stamps[row.metric]}:{video}"
    }


def in_order(rows: Iterable[Row], metrics: Mapping[str, MetricRecord]) -> tuple[Row, ...]:
    """Rows in the order of tables."""
    return tuple(sorted(rows, key=lambda row: (place(metrics.get(row.metric)), row.metric)))


def place(record: MetricRecord | None) -> int:
    """Where a metric stands in tables."""
    return LAST if record is None else record.order
