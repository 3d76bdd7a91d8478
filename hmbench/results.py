"""Results on disk and their summary: rows a machine reads, means with honest intervals.

A run is a folder (see `RunFolder`). A row is one sample and one metric. Missing values are null with a reason; they are
counted and skipped by means, never turned into numbers. This module imports neither torch nor any model.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import UserError

BOOTSTRAP_DRAWS = 2000
CONFIDENCE = 0.95
MIN_CLUSTERS = 5
"""Fewer scenes give no interval: two or three drawn with replacement come out far too narrow to mean 95 %."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric on one sample."""

    sample: str
    """Sample id."""
    metric: str
    """Metric name."""
    version: int
    """Metric version."""
    value: float | None
    """The measurement; None if it was skipped."""
    reason: str | None = None
    """Why it was skipped."""
    cluster: str = ""
    """Scene, by which intervals are clustered."""
    model: str = ""
    """Model name."""
    trained: bool | None = None
    """False: the model's weights are untrained and this is no result."""
    profile: str = ""
    """``mini`` or ``paper``."""
    data_revision: str = ""
    """Digest of the run's samples."""
    details: dict[str, Any] = field(default_factory=dict)
    """Numbers behind the value."""


@dataclass(frozen=True, kw_only=True)
class RunManifest:
    """What was asked and what it resolved to: enough to repeat a run and to refuse unfair comparisons."""

    model: str
    """As given: a name, ``module:factory`` or folder."""
    options: dict[str, str]
    """Model options as given."""
    model_info: dict[str, Any]
    """What the model says of itself: settings, weights' digests, whether it was trained."""
    data: str
    """As given: ``mini``, a folder, ..."""
    data_name: str
    """Resolved name of the data."""
    data_revision: str
    """Digest of the samples used."""
    split: str
    """Split name."""
    samples: tuple[str, ...]
    """Ids of all samples of the run, in order."""
    seed: int
    """Seed of the run; each sample's seed follows from it and the sample's id."""
    profile: str
    """``mini`` or ``paper``: which backbones the metrics use."""
    device: str
    """Torch device."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metric name to its version, direction, unit and bounds."""
    tracker: str | None = None
    """Name of the tracker, None if none ran."""
    tracker_settings: dict[str, Any] = field(default_factory=dict)
    """Everything that decides the tracks besides frames and weights; empty for a tracker that does not say."""
    metric_weights: dict[str, str] = field(default_factory=dict)
    """Weight file to digest, of everything that metrics and tracker use."""
    environment: dict[str, str] = field(default_factory=dict)
    """Versions of Python, hmbench and the libraries that carry numbers; git revision."""
    format: int = 1
    """Version of this file's schema."""

    def identity(self) -> dict[str, Any]:
        """The part that must agree for a run to be resumed: another value means another run."""
        keys = ("model", "options", "model_info", "data_revision", "split", "samples", "seed")
        return {key: _plain(getattr(self, key)) for key in keys}


class RunFolder:
    """The files of a run.

    ``run.json``, ``predictions/<sample>.mp4``, ``tracks/<sample>.json``, ``scores/<sample>.json`` (what resuming
    reads), and what people and programs read: ``rows.jsonl``, ``events.jsonl``, ``samples.jsonl``, ``summary.json``,
    ``table.{md,csv,tex}``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def predictions(self) -> Path:
        """Folder of generated videos."""
        return self.path / "predictions"

    def prediction(self, sample: str) -> Path:
        """The generated video of a sample."""
        return self.predictions / f"{sample}.mp4"

    def tracks(self, sample: str) -> Path:
        """Tracks of a sample."""
        return self.path / "tracks" / f"{sample}.json"

    def scores(self, sample: str) -> Path:
        """Rows and events of a sample."""
        return self.path / "scores" / f"{sample}.json"

    def write_manifest(self, manifest: RunManifest) -> None:
        """Writes ``run.json``."""
        write_json(self.path / "run.json", asdict(manifest))

    def read_manifest(self) -> RunManifest:
        """Reads ``run.json``.

        Raises:
            UserError: If this is no run folder, or it was written by another version.
        """
        path = self.path / "run.json"
        if not path.is_file():
            raise UserError(
                f"{self.path} is not a run: it has no run.json.", "Give the --out folder of `hmbench eval`."
            )
        content = read_json(path)
        unknown = set(content) - {f.name for f in fields(RunManifest)}
        if unknown or content.get("format") != 1:
            raise UserError(
                f"{path} was written by another version of hmbench (format {content.get('format')}).",
                "Evaluate again, or use the hmbench version named in its 'environment'.",
            )
        return RunManifest(**{**content, "samples": tuple(content["samples"])})

    def rows(self) -> list[Row]:
        """All rows of ``rows.jsonl``.

        Raises:
            UserError: If the run has not been scored, or a line is damaged.
        """
        return list(read_rows(self.path / "rows.jsonl"))


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a ``rows.jsonl`` file.

    Raises:
        UserError: If the file is missing or a line is damaged.
    """
    if not path.is_file():
        raise UserError(f"There are no scores at {path}.", "Run `hmbench score --run` on this folder first.")
    names = {f.name for f in fields(Row)}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Row(**{k: v for k, v in json.loads(line).items() if k in names})
            except (json.JSONDecodeError, TypeError) as error:
                raise UserError(f"{path}, line {number} is damaged: {error}.", "Score the run again.") from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows, an object a line, atomically."""
    write_text(path, "".join(json.dumps(asdict(row), allow_nan=False) + "\n" for row in rows))


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


def summarise(rows: Sequence[Row], *, seed: int = 0) -> dict[str, MetricSummary]:
    """Clip-weighted means with percentile bootstrap intervals, whole scenes drawn with replacement.

    The result does not depend on the order of the rows. A missing value is skipped and counted.

    Args:
        rows: Rows of one run.
        seed: Seed of the bootstrap; the same for every metric, so that metrics see the same draws.

    Returns:
        Metric name to summary, in order of first appearance of the metric in the sorted rows' samples.
    """
    by_metric: dict[str, list[Row]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return {name: _summarise_one(name, group, seed) for name, group in by_metric.items()}


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


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically: a killed process leaves the old file or the new one, never half of one."""
    write_text(path, json.dumps(_plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: If the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.", "Check the path.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no valid JSON: {error}.", "Fetch or write it again.") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name and renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _summarise_one(name: str, rows: Sequence[Row], seed: int) -> MetricSummary:
    versions = {row.version for row in rows}
    if len(versions) > 1:
        raise ValueError(f"rows of {name} mix versions {sorted(versions)}")
    scored = sorted((row for row in rows if row.value is not None), key=lambda row: row.sample)
    values = np.array([row.value for row in scored], dtype=np.float64)
    interval = bootstrap_interval(values, [row.cluster for row in scored], seed=seed) if len(values) else None
    reasons: dict[str, int] = {}
    for row in sorted((r for r in rows if r.value is None), key=lambda row: row.sample):
        reasons[row.reason or "unknown"] = reasons.get(row.reason or "unknown", 0) + 1
    return MetricSummary(
        metric=name,
        version=versions.pop(),
        mean=math.fsum(values) / len(values) if len(values) else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        scored=len(values),
        total=len(rows),
        reasons=reasons,
    )


def _plain(value: Any) -> Any:
    """Tuples, paths and NumPy scalars as JSON types."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
