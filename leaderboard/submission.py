"""A finished run becomes a leaderboard entry: one JSON file that carries its own evidence.

An entry holds the value of every metric on every clip, so that anybody can recompute its means and pair it with
others; `read_entry` does so and refuses an entry whose numbers were touched. A run is refused if its model is
untrained, if a clip failed or is missing, or if its files no longer fit each other (a prediction replaced after
scoring, an edited row).

    python -m leaderboard add runs/hydra --name hydra-mini --link https://...
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.protocols import RANKED
from hmbench.report.compare_inputs import read_samples
from hmbench.report.pages.events import checked_event, read_events
from hmbench.results.record_checks import check_inside
from hmbench.results.records import Row, RunManifest, check_fields
from hmbench.results.run_folder import RunFolder
from hmbench.results.summary import MetricSummary, summarise

RESULTS = Path(__file__).parent / "results"
"""Where accepted entries live."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of entries."""
FORMATS = (1, 2)
"""Schemas that can be read."""


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
    metrics: dict[str, dict[str, Any]]
    """Metric to version, direction, unit, backbone and the like."""
    order: tuple[str, ...]
    """Metrics in table order."""
    samples: tuple[str, ...]
    """Clips, in order."""
    clusters: tuple[str, ...]
    """Scene of each clip."""
    values: dict[str, tuple[float | None, ...]]
    """Metric to its value on each clip; None where it was skipped."""
    means: dict[str, dict[str, Any]]
    """Metric to mean, low, high, scored, total: derived, checked on reading."""
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
    clips: tuple[dict[str, Any], ...] = ()
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


def accept(run_path: Path, *, name: str, link: str = "", results: Path = RESULTS, replace: bool = False) -> Path:
    """Checks a run and writes its entry.

    Args:
        run_path: Folder of `hmbench eval`.
        name: Name in tables: letters, digits, dots, dashes, underscores.
        link: Paper or code.
        results: Folder of entries.
        replace: Whether an entry of this name may be overwritten.

    Returns:
        The entry's path.

    Raises:
        UserError: If the run cannot be accepted; the message says why.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for an entry.", "Use up to 64 letters, digits, dots, dashes, underscores."
        )
    path = results / f"{name}.json"
    if path.exists() and not replace:
        raise UserError(f"There is an entry {path} already.", "Choose another --name, or add --replace.")
    entry = entry_from_run(run_path, name=name, link=link)
    record = entry_record(entry)
    write_json(path, {**record, "digest": entry_digest(record)})
    return path


def entry_from_run(run_path: Path, *, name: str, link: str = "") -> Entry:
    """The entry of a run, after every check.

    Raises:
        UserError: If the run is untrained, incomplete or changed.
    """
    run = RunFolder(run_path)
    manifest, rows = run.read_manifest(), run.rows()
    if manifest.about.standing == "untrained":
        raise UserError(
            f"{run_path} is of an untrained model: {manifest.about.notice or manifest.model}",
            "Train it (`hmbench train-reference`), evaluate again, and submit that run.",
        )
    _check_complete(run, manifest, rows)
    _check_whole_split(manifest)
    videos = _check_unchanged(run, manifest, rows)
    described = read_samples(run_path) or {}
    clusters = {row.sample: row.cluster for row in rows}
    by_place = {(row.metric, row.sample): row.value for row in rows}
    values = {m: tuple(by_place[m, s] for s in manifest.samples) for m in manifest.metrics}
    about = manifest.about
    return Entry(
        name=name,
        kind="bound" if about.standing == "bound" else "model",
        standing=about.standing,
        description=about.description,
        link=link,
        data_name=manifest.data_name,
        data_revision=manifest.data_revision,
        split=manifest.split,
        profile=manifest.profile,
        tracker=manifest.tracker,
        seed=manifest.seed,
        weights=about.weights,
        settings=about.settings,
        options=manifest.options,
        environment=manifest.environment,
        metrics=manifest.metrics,
        order=tuple(dict.fromkeys(row.metric for row in rows)),
        samples=manifest.samples,
        clusters=tuple(clusters[s] for s in manifest.samples),
        values=values,
        means=_means(summarise(rows, metrics=manifest.metrics)),
        predictions=hashlib.sha256(" ".join(videos.values()).encode()).hexdigest()[:16],
        model=manifest.model,
        videos=videos,
        tracker_settings=manifest.tracker_settings,
        metric_weights=manifest.metric_weights,
        told_apart=told_apart(described.values()),
        clips=tuple(described.get(s, {"id": s}) for s in manifest.samples),
        events=tuple(read_events(run_path)),
    )


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
                "clips": tuple(dict(clip) for clip in record.get("clips") or ()),
                "events": tuple(checked_event(event) for event in record.get("events") or ()),
            }
        )
        _check_shape(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no entry: {error}.", "Submit the run again.") from error
    derived = _means(summarise(entry_rows(entry), metrics=entry.metrics))
    if _without_intervals(derived) != _without_intervals(entry.means):
        raise UserError(f"The means of {path} do not follow from its values.", "Submit the run again.")
    return replace(entry, means=derived)  # intervals are this version's, whichever rule the entry was accepted under


def entry_rows(entry: Entry) -> list[Row]:
    """The entry's values as rows."""
    return [
        Row(sample=sample, metric=metric, version=int(entry.metrics[metric]["version"]), value=value, cluster=cluster)
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


def told_apart(clips: Iterable[Mapping[str, Any]]) -> str:
    """How the subjects of the clips were told apart, as `samples.jsonl` says."""
    return ", ".join(sorted({str(clip["told_apart"]) for clip in clips if clip.get("told_apart")}))


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


def _check_whole_split(manifest: RunManifest) -> None:
    """Refuses a run of a part of its split: boards are of whole splits. Data that are not here cannot be asked."""
    from hmbench.data.dataset import open_recorded

    try:
        ids = set(open_recorded(manifest.data).ids(manifest.split))
    except UserError:
        return
    if set(manifest.samples) < ids:
        raise UserError(
            f"This run has {len(manifest.samples)} of the {len(ids)} clips of {manifest.data_name}, split "
            f"{manifest.split!r}: no board is made of a part.",
            "Evaluate all of them, without --limit and --sample.",
        )


def _check_complete(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> None:
    failures = run.summary()["failures"]
    if failures:
        sample, why = next(iter(failures.items()))
        raise UserError(
            f"{run.path} is incomplete: {len(failures)} of {len(manifest.samples)} clips failed, "
            f"for example {sample} ({why}).",
            "Run the same `hmbench eval` command again to repeat them.",
        )
    there = {(row.sample, row.metric) for row in rows}
    wanted = {(sample, metric) for sample in manifest.samples for metric in manifest.metrics}
    if missing := sorted(wanted - there):
        raise UserError(
            f"{run.path} is incomplete: {len(missing)} rows are missing, "
            f"for example {missing[0][1]} of {missing[0][0]}.",
            "Run the same `hmbench eval` command again to finish it.",
        )
    if surplus := sorted(there - wanted):
        raise UserError(f"{run.path} has rows that it should not have, for example {surplus[0]}.", "Score it again.")


def _check_unchanged(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> dict[str, str]:
    """Compares videos, scores, rows and summary with each other; returns the digest of each clip's video."""
    kept = {(row.sample, row.metric): row for row in rows}
    digests: dict[str, str] = {}
    for sample in manifest.samples:
        scores = run.read_scores(sample)
        for row in (Row(**stored) for stored in scores["rows"] if stored["metric"] in manifest.metrics):
            if kept.get((row.sample, row.metric)) != row:
                raise _changed(run, f"rows.jsonl and the scores of {sample} disagree on {row.metric}")
        digest = _video_digest(_video(run, manifest, sample))
        if not str(scores.get("stamp")).endswith(f":{digest}"):
            raise _changed(run, f"the prediction of {sample} is not the one that was scored")
        digests[sample] = digest
    summary = run.summary()["metrics"]
    for metric, found in summarise(rows).items():
        if summary.get(metric, {}).get("mean") != found.mean:
            raise _changed(run, f"summary.json does not follow from the rows of {metric}")
    return digests


def _changed(run: RunFolder, what: str) -> UserError:
    return UserError(f"{run.path} was changed after scoring: {what}.", "Score it again: `hmbench score --run`.")


def _video(run: RunFolder, manifest: RunManifest, sample: str) -> Path:
    path = run.prediction(sample)
    if not path.is_file():  # a run of somebody's videos names their folder as its model
        path = Path(manifest.model) / f"{sample}.mp4"
    if not path.is_file():
        raise UserError(f"The prediction of {sample} is missing in {run.path}.", "Submit a run with its predictions.")
    return path


def _video_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _means(summary: dict[str, MetricSummary]) -> dict[str, dict[str, Any]]:
    keys = ("mean", "low", "high", "scored", "total")
    return {metric: {key: getattr(found, key) for key in keys} for metric, found in summary.items()}


def _without_intervals(means: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {m: {k: v for k, v in found.items() if k not in {"low", "high"}} for m, found in means.items()}


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as JSON, without its digest."""
    return dict(json.loads(json.dumps(asdict(entry), allow_nan=False)))


def entry_digest(record: dict[str, Any]) -> str:
    """The digest that lies in an entry: shows accidents, not intent (`leaderboard.rescore` does)."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
