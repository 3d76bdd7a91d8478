"""What stands in a run's files: rows and the manifest, as records."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import parse_json, plain, write_text
from hmbench.protocols import MetricInfo, ModelInfo, standing_of
from hmbench.results.metric_record import MetricRecord, metric_contents, metric_records
from hmbench.subject_names import current_name

FORMATS = (1, 2)
"""Versions of ``run.json`` that can be read; from 2 on it carries a digest of itself."""
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "None": (type(None),),
    "dict": (dict,), "tuple": (list, tuple), "Any": (object,),
}  # fmt: skip


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
    data_options: dict[str, Any] = field(default_factory=dict)
    """Options of the data source, such as which video of whose."""
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
    metrics: dict[str, MetricRecord] = field(default_factory=dict)
    """Metric name to what is known of it."""
    tracker: str | None = None
    """Name of the tracker, None if none ran."""
    tracker_settings: dict[str, Any] = field(default_factory=dict)
    """Everything that decides the tracks besides frames and weights; empty for a tracker that does not say."""
    metric_weights: dict[str, str] = field(default_factory=dict)
    """Weight file to digest, of everything that metrics and tracker use."""
    reading: dict[str, str] = field(default_factory=dict)
    """How predictions of another rate, length or shape were made to fit (``align``, ``frames``, ``fit``, ``match``)."""
    notices: tuple[str, ...] = ()
    """What a reader must know of all its numbers, besides the model's own notice."""
    environment: dict[str, str] = field(default_factory=dict)
    """Versions of Python, hmbench and the libraries that carry numbers; git revision."""
    format: int = 2
    """Version of this file's schema."""

    @property
    def about(self) -> ModelInfo:
        """The model as a record; what an earlier version did not write has its default."""
        said = self.model_info
        return ModelInfo(
            name=str(said.get("name", self.model)),
            description=str(said.get("description") or ""),
            trained=said.get("trained"),
            notice=said.get("notice"),
            standing=standing_of(said),
            weights=dict(said.get("weights") or {}),
            settings=dict(said.get("settings") or {}),
        )

    def metric(self, name: str) -> MetricInfo | None:
        """What the run says of a metric; None if it has no such metric."""
        return self.metrics.get(name)

    def content(self) -> dict[str, Any]:
        """The manifest as JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"metrics": metric_contents(self.metrics)}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> RunManifest:
        """The manifest of checked JSON (`RunFolder.read_manifest`)."""
        lists = {key: tuple(content.get(key, ())) for key in ("samples", "notices")}
        return cls(**{**content, **lists, "metrics": metric_records(content.get("metrics") or {})})

    def identity(self) -> dict[str, Any]:
        """The part that must agree for a run to be resumed: another value means another run."""
        keys = ("model", "options", "model_info", "data_revision", "split", "samples", "seed")
        found = {key: plain(getattr(self, key)) for key in keys}
        told = ("standing",)  # what is said of a model, not what it is; runs of 0.1 did not say it
        return {**found, "model_info": {k: v for k, v in found["model_info"].items() if k not in told}}


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """One exit and re-entry of a subject, as a line of ``events.jsonl`` has it (docs/metrics/subjects.md).

    On disk the numbers stand beside the other fields, in one flat object.
    """

    sample: str
    """Sample id."""
    label: int
    """The subject's value in the label maps."""
    subject: str
    """Its name."""
    category: str
    """person, robot, animal, other or unknown."""
    exit: int
    """First frame in which it is out of sight, counted from the context's first."""
    reentry: int
    """First frame in which it is back."""
    hidden: int
    """Frames out of sight."""
    place: tuple[float, float] | None = None
    """Where it re-enters, as shares of the picture's width and height."""
    verdict: str | None = None
    """What became of it; None where that cannot be told."""
    window: tuple[int, int] | None = None
    """Frames in which the return is looked for, half-open."""
    tracks: tuple[int, ...] = ()
    """Tracks of the prediction that are taken for it."""
    numbers: dict[str, float | bool | None] = field(default_factory=dict)
    """Everything that was measured of the return; None where it could not be."""

    def line(self) -> dict[str, Any]:
        """The flat object; an event without a verdict has neither window nor tracks nor numbers."""
        told = {one.name: plain(getattr(self, one.name)) for one in fields(self) if one.name != "numbers"}
        if self.window is None:
            del told["window"], told["tracks"]
        return {**told, **self.numbers}

    @classmethod
    def from_line(cls, content: Any, source: str) -> EventRow:
        """The event of a flat object, of this version or an earlier one (which had no category, length or place).

        Args:
            content: What was read.
            source: What the message calls it.

        Raises:
            UserError: If it says nothing of when and in which clip, or a field is of another kind.
        """
        if not isinstance(content, dict):
            raise UserError(f"{source} is no event: it holds no object.", "It was damaged or edited; score again.")
        own = {one.name for one in fields(cls)} - {"numbers"}
        told = {"subject": "", "category": "unknown", **{key: content[key] for key in content if key in own}}
        if isinstance(told.get("exit"), int) and isinstance(told.get("reentry"), int):
            told.setdefault("hidden", told["reentry"] - told["exit"])
        numbers = {key: value for key, value in content.items() if key not in own}
        check_fields(cls, {**told, "numbers": numbers}, source)
        for key, value in numbers.items():
            if value is not None and not isinstance(value, bool | int | float):
                raise UserError(
                    f"{source} is damaged: its {key} is {str(value)[:60]!r}, expected a number.", "Score again."
                )
        lists = {
            key: None if told[key] is None else tuple(told[key]) for key in ("place", "window", "tracks") if key in told
        }
        return cls(**{**told, **lists, "subject": current_name(told["subject"]), "numbers": numbers})


def check_fields(record: type, content: Any, source: str) -> None:
    """Refuses JSON whose entries are not of the kinds that a record says, or that lacks one that it needs.

    Args:
        record: A dataclass.
        content: What was read.
        source: What the message calls it.

    Raises:
        UserError: With the first entry that does not fit.
    """
    hint = "It was damaged or edited; make it again."
    if not isinstance(content, dict):
        raise UserError(f"{source} is no record: it holds no object.", hint)
    for name, needed, kinds, exact, wanted in _expected(record):
        if name not in content:
            if needed:
                raise UserError(f"{source} is damaged: it has no {name}.", hint)
            continue
        value = content[name]
        if type(value) in exact:  # of a million rows nearly all
            continue
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds):
            raise UserError(f"{source} is damaged: its {name} is {str(value)[:60]!r}, expected {wanted}.", hint)


@functools.cache
def _expected(record: type) -> tuple[tuple[str, bool, tuple[type, ...], frozenset[type], str], ...]:
    """Each field of a record: name, whether it is needed, its types as tuple and as set, their name."""
    found = []
    for one in fields(record):
        names = [part.strip() for part in re.sub(r"\[.*\]", "", str(one.type)).split("|")]
        kinds = tuple(kind for name in names for kind in _KINDS.get(name, (object,)))
        needed = one.default is MISSING and one.default_factory is MISSING
        found.append((one.name, needed, kinds, frozenset(kinds), str(one.type)))
    return tuple(found)


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a ``rows.jsonl`` file.

    Raises:
        UserError: If the file is missing or a line is damaged.
    """
    if not path.is_file():
        raise UserError(f"There are no scores at {path}.", "Run `hmbench score --run` on this folder first.")
    names = {f.name for f in fields(Row)}
    own, said = names.issuperset, f"{path}, line "  # made once: there are hundreds of thousands of lines
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, 1):
            try:
                if not line.isascii() and any("\udc80" <= letter <= "\udcff" for letter in line):
                    raise UserError("it is no text in UTF-8.", "")
                source = f"{said}{number}"
                content = parse_json(line, source, kind=dict)
                check_fields(Row, content, source)
            except UserError as error:
                raise UserError(f"{said}{number} is damaged: {error.what}", "Score the run again.") from error
            yield Row(**content) if own(content) else Row(**{k: v for k, v in content.items() if k in names})


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows, an object a line, atomically."""
    write_text(path, "".join(json.dumps(asdict(row), allow_nan=False) + "\n" for row in rows))
