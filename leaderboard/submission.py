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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.protocols import RANKED, standing_of
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.summary import MetricSummary, summarise

RESULTS = Path(__file__).parent / "results"
"""Where accepted entries live."""


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
    format: int = field(default=1)
    """Version of this schema."""

    @property
    def ranked(self) -> bool:
        """Whether it takes part in rankings, by the same rule as in `hmbench compare`."""
        return (self.standing or self.kind) in RANKED

    @property
    def board(self) -> tuple[str, str, str, str, str]:
        """Entries are only ever ranked within one board: equal data, split, profile and tracker."""
        return self.data_name, self.data_revision, self.split, self.profile, self.tracker or ""


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
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UserError(
            f"{name!r} is no name for an entry.", "Use up to 64 letters, digits, dots, dashes, underscores."
        )
    path = results / f"{name}.json"
    if path.exists() and not replace:
        raise UserError(f"There is an entry {path} already.", "Choose another --name, or add --replace.")
    entry = entry_from_run(run_path, name=name, link=link)
    record = _record(entry)
    write_json(path, {**record, "digest": _digest(record)})
    return path


def entry_from_run(run_path: Path, *, name: str, link: str = "") -> Entry:
    """The entry of a run, after every check.

    Raises:
        UserError: If the run is untrained, incomplete or changed.
    """
    run = RunFolder(run_path)
    manifest, rows = run.read_manifest(), run.rows()
    if standing_of(manifest.model_info) == "untrained":
        raise UserError(
            f"{run_path} is of an untrained model: {manifest.model_info.get('notice') or manifest.model}",
            "Train it (`hmbench train-reference`), evaluate again, and submit that run.",
        )
    _check_complete(run, manifest, rows)
    predictions = _check_unchanged(run, manifest, rows)
    clusters = {row.sample: row.cluster for row in rows}
    by_place = {(row.metric, row.sample): row.value for row in rows}
    values = {m: tuple(by_place[m, s] for s in manifest.samples) for m in manifest.metrics}
    info = manifest.model_info
    return Entry(
        name=name,
        kind="bound" if standing_of(info) == "bound" else "model",
        standing=standing_of(info),
        description=str(info.get("description", "")),
        link=link,
        data_name=manifest.data_name,
        data_revision=manifest.data_revision,
        split=manifest.split,
        profile=manifest.profile,
        tracker=manifest.tracker,
        seed=manifest.seed,
        weights=dict(info.get("weights") or {}),
        settings=dict(info.get("settings") or {}),
        options=manifest.options,
        environment=manifest.environment,
        metrics=manifest.metrics,
        order=tuple(dict.fromkeys(row.metric for row in rows)),
        samples=manifest.samples,
        clusters=tuple(clusters[s] for s in manifest.samples),
        values=values,
        means=_means(summarise(rows, metrics=manifest.metrics)),
        predictions=predictions,
    )


def read_entry(path: Path) -> Entry:
    """Reads an entry and recomputes what it claims.

    Raises:
        UserError: If it was changed by hand or written by another version.
    """
    record = dict(read_json(path))
    digest = record.pop("digest", None)
    if record.get("format") != 1:
        raise UserError(f"{path} has format {record.get('format')}, expected 1.", "Submit the run again.")
    if digest != _digest(record):
        raise UserError(f"{path} was changed after it was accepted.", "Submit the run again.")
    try:
        entry = Entry(
            **{
                **record,
                "order": tuple(record["order"]),
                "samples": tuple(record["samples"]),
                "clusters": tuple(record["clusters"]),
                "values": {metric: tuple(column) for metric, column in record["values"].items()},
            }
        )
    except (KeyError, TypeError) as error:
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


def read_entries(results: Path = RESULTS) -> list[Entry]:
    """All entries, by name."""
    return [read_entry(path) for path in sorted(results.glob("*.json"))]


def _check_complete(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> None:
    failures = read_json(run.path / "summary.json").get("failures", {})
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


def _check_unchanged(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> str:
    """Compares videos, scores, rows and summary with each other; returns a digest over all videos."""
    kept = {(row.sample, row.metric): row for row in rows}
    digests = []
    for sample in manifest.samples:
        scores = read_json(run.scores(sample))
        for stored in scores["rows"]:
            row = Row(**stored)
            if kept.get((row.sample, row.metric)) != row:
                raise _changed(run, f"rows.jsonl and the scores of {sample} disagree on {row.metric}")
        digest = _video_digest(_video(run, manifest, sample))
        if not str(scores["stamp"]).endswith(f":{digest}"):
            raise _changed(run, f"the prediction of {sample} is not the one that was scored")
        digests.append(digest)
    summary = read_json(run.path / "summary.json")["metrics"]
    for metric, found in summarise(rows).items():
        if summary.get(metric, {}).get("mean") != found.mean:
            raise _changed(run, f"summary.json does not follow from the rows of {metric}")
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]


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


def _record(entry: Entry) -> dict[str, Any]:
    return dict(json.loads(json.dumps(asdict(entry), allow_nan=False)))


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True, allow_nan=False).encode()).hexdigest()
