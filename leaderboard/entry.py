"""A leaderboard entry: what its JSON file holds, read and written here, and nowhere else.

An entry holds the value of every metric on every clip, so that anybody can recompute its means and pair it with
others; `read_entry` does so and refuses an entry whose numbers were touched.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import plain, read_json, write_json
from hmbench.protocols import RANKED
from hmbench.report.pages.events import checked_event
from hmbench.results.metric_record import MetricRecord, metric_contents, metric_records
from hmbench.results.record_checks import check_inside
from hmbench.results.records import Row, check_fields
from hmbench.results.sample_row import SampleRow
from hmbench.results.summary import MetricSummary, summarise

RESULTS = Path(__file__).parent / "results"
"""Where accepted entries live."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of entries."""
FORMATS = (1, 2)
"""Schemas that can be read."""
MEANS = ("mean", "low", "high", "scored", "total")
"""What an entry's file has of each mean."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One accepted run."""

    name: str
    """Name in tables and of the file."""
    kind: str
    """``bound`` or ``model``, as version 0.1 had it; see `standing`."""
    description: str
    """One line."""
    link: str
    """Paper or code; empty if none."""
    data_name: str
    """Data."""
    data_revision: str
    """Digest of its samples."""
    split: str
    """Split."""
    profile: str
    """``mini`` or ``paper``."""
    tracker: str | None
    """Tracker; None if none ran."""
    seed: int
    """Seed of the run."""
    weights: dict[str, str]
    """Weight files to digests."""
    settings: dict[str, Any]
    """The model's settings."""
    options: dict[str, str]
    """The model's options as given."""
    environment: dict[str, str]
    """Versions."""
    metrics: dict[str, MetricRecord]
    """Metric to what is known of it."""
    order: tuple[str, ...]
    """Metrics in table order."""
    samples: tuple[str, ...]
    """Clips, in order."""
    clusters: tuple[str, ...]
    """Scene of each clip."""
    values: dict[str, tuple[float | None, ...]]
    """Metric to its value on each clip; None where it was skipped."""
    means: dict[str, MetricSummary]
    """Metric to its mean: derived, checked on reading."""
    predictions: str
    """Digest over the digests of all predicted videos."""
    standing: str = ""
    """What its numbers are worth (`hmbench.protocols.Standing`); empty in entries of 0.1."""
    model: str = ""
    """The model as it was named to `hmbench eval`; empty in entries of format 1."""
    videos: dict[str, str] = field(default_factory=dict)
    """Clip to the digest of its predicted video, by which a page knows the video that was scored."""
    tracker_settings: dict[str, Any] = field(default_factory=dict)
    """Everything that decides the tracks besides frames and weights."""
    metric_weights: dict[str, str] = field(default_factory=dict)
    """Weight file to digest, of everything that metrics and tracker look through."""
    told_apart: str = ""
    """How the subjects of the clips were told apart; empty if the data say so themselves."""
    clips: tuple[SampleRow, ...] = ()
    """What each clip is (a line of ``samples.jsonl``), in the order of `samples`."""
    events: tuple[dict[str, Any], ...] = ()
    """Every re-entry with its verdict and numbers (a line of ``events.jsonl``)."""
    verified: dict[str, Any] = field(default_factory=dict)
    """When, and by which versions, its values were computed anew from its videos (`leaderboard.rescore`)."""
    format: int = field(default=2)
    """Version of this schema; 1 had nothing from `model` on."""

    @property
    def ranked(self) -> bool:
        """Whether it takes part in rankings, by the same rule as in `hmbench compare`."""
        return (self.standing or self.kind) in RANKED

    @property
    def described(self) -> str:
        """How it stands, for lists: verified on which day, or not."""
        return f"verified {self.verified['on']}" if self.verified.get("on") else "not verified from its videos"

    @property
    def board(self) -> tuple[str, ...]:
        """Entries are ranked within one board only: equal data, clips, split, profile, tracker, told-apart subjects."""
        same = self.data_name, self.data_revision, self.split, self.profile, self.tracker or "", self.told_apart
        return *same, hashlib.sha256("\n".join(self.samples).encode()).hexdigest()[:6]


def read_entry(path: Path) -> Entry:
    """Reads an entry and recomputes what it claims.

    Raises:
        UserError: If it was changed by hand or written by another version.
    """
    record: dict[str, Any] = read_json(path, kind=dict)
    digest = record.pop("digest", None)
    if record.get("format") not in FORMATS:
        raise UserError(f"{path} has format {record.get('format')}, expected 1 or 2.", "Submit the run again.")
    if digest != entry_digest(record):
        raise UserError(f"{path} was changed after it was accepted.", "Submit the run again.")
    check_fields(Entry, record, str(path))
    check_inside(record, str(path))
    try:
        entry = Entry(
            **{
                **record,
                "order": tuple(record["order"]),
                "samples": tuple(record["samples"]),
                "clusters": tuple(record["clusters"]),
                "values": {metric: tuple(column) for metric, column in record["values"].items()},
                "metrics": metric_records(record["metrics"]),
                "means": {},
                "clips": tuple(SampleRow.from_line(clip, f"a clip of {path}") for clip in record.get("clips") or ()),
                "events": tuple(checked_event(event) for event in record.get("events") or ()),
            }
        )
        _check_shape(entry)
        claimed = {metric: _told(mean) for metric, mean in record["means"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no entry: {error}.", "Submit the run again.") from error
    derived = summarise(entry_rows(entry), metrics=entry.metrics)
    if {metric: _told(asdict(mean)) for metric, mean in derived.items()} != claimed:
        raise UserError(f"The means of {path} do not follow from its values.", "Submit the run again.")
    return replace(entry, means=derived)  # intervals are this version's, whichever rule the entry was accepted under


def entry_rows(entry: Entry) -> list[Row]:
    """The entry's values as rows."""
    return [
        Row(sample=sample, metric=metric, version=entry.metrics[metric].version, value=value, cluster=cluster)
        for metric, column in entry.values.items()
        for sample, cluster, value in zip(entry.samples, entry.clusters, column, strict=True)
    ]


def read_entries(results: Path = RESULTS, on_refused: Callable[[Path, UserError], None] | None = None) -> list[Entry]:
    """All entries, by name.

    Args:
        results: Their folder.
        on_refused: Hears of each entry that was refused; without it the first one raises.
    """
    found = []
    for path in sorted(results.glob("*.json")):
        try:
            found.append(read_entry(path))
        except UserError as error:
            if on_refused is None:
                raise
            on_refused(path, error)
    return found


def _check_shape(entry: Entry) -> None:
    """Raises ValueError unless every list is as long as the clips and every name is a plain one."""
    count = len(entry.samples)
    if not NAME.fullmatch(str(entry.name)):
        raise ValueError(f"its name {entry.name!r} is none")
    if not all(isinstance(text, str) for text in (*entry.samples, *entry.clusters, *entry.order)):
        raise ValueError("a clip, a scene or a metric has no name")
    if len(entry.clusters) != count or len(set(entry.samples)) != count or len(entry.clips) not in {0, count}:
        raise ValueError(f"it has {count} clips, {len(entry.clusters)} scenes and {len(entry.clips)} descriptions")
    if set(entry.order) != set(entry.values) or set(entry.values) != set(entry.metrics):
        raise ValueError("its metrics, their order and their values are not the same ones")
    for metric, column in entry.values.items():
        if len(column) != count or not all(v is None or type(v) in (int, float) for v in column):
            raise ValueError(f"{metric} has not one number a clip")
    if strange := {e["sample"] for e in entry.events} - set(entry.samples):
        raise ValueError(f"it has events of clips that it has not, for example {min(strange)!r}")


def _told(mean: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an entry's means are held to; intervals are each version's own."""
    return tuple(mean[key] for key in MEANS if key not in ("low", "high"))


def write_entry(path: Path, entry: Entry) -> None:
    """Writes an entry, with its digest."""
    record = entry_record(entry)
    write_json(path, {**record, "digest": entry_digest(record)})


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as JSON, without its digest."""
    means = {metric: {key: getattr(mean, key) for key in MEANS} for metric, mean in entry.means.items()}
    own = {one.name: getattr(entry, one.name) for one in fields(entry)}
    clips = [clip.line() for clip in entry.clips]
    content = {**own, "metrics": metric_contents(entry.metrics), "means": means, "clips": clips}
    return dict(plain(content))


def entry_digest(record: dict[str, Any]) -> str:
    """The digest that lies in an entry: shows accidents, not intent (`leaderboard.rescore` does)."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
