"""What scoring a sample leaves in ``scores/<sample>.json``, which resuming and assembling read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.errors import UserError
from hmbench.files import read_json, read_sealed, unsealed, write_sealed
from hmbench.results.records import EventRow, Row, check_fields

_ROW = tuple(one.name for one in fields(Row))


class Failure(NamedTuple):
    """Something that went wrong on one sample."""

    part: str
    """A metric's name, ``tracker``, ``events``, or the stage if the sample failed as a whole."""
    message: str
    """What went wrong."""
    traceback: str
    """Where; empty for errors that explain themselves."""


@dataclass(frozen=True, kw_only=True)
class SampleScores:
    """Rows and events of a sample, and what each of them was computed by."""

    rows: tuple[Row, ...]
    """A row a metric, in the order of tables."""
    sample: dict[str, Any]
    """What the sample is, as a line of ``samples.jsonl`` says it; empty in files of 0.1, which had no events."""
    failures: tuple[Failure, ...] = ()
    """What broke on it."""
    events: tuple[dict[str, Any], ...] = ()
    """Its exits and re-entries, as lines of ``events.jsonl`` (`hmbench.results.records.EventRow`)."""
    stamp: str | None = None
    """Digests of all that decides the rows, and of the video; None where something failed: it is scored again."""
    by: dict[str, str] = field(default_factory=dict)
    """Metric to its record's stamp and the video's digest; none for what has to be computed again."""
    events_by: str | None = None
    """The same of tracks and events."""

    @property
    def failed(self) -> str:
        """What broke, in a line: parts that broke for one reason stand together."""
        by_reason: dict[str, list[str]] = {}
        for failure in self.failures:
            by_reason.setdefault(failure.message, []).append(failure.part)
        return "; ".join(f"{', '.join(parts)}: {message}" for message, parts in by_reason.items())

    def write(self, path: Path) -> None:
        """Writes the file."""
        rows, failures = [vars(row) for row in self.rows], [failure._asdict() for failure in self.failures]
        write_sealed(path, {**vars(self), "rows": rows, "failures": failures})

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> SampleScores:
        """The scores of JSON as this version writes it.

        Raises:
            KeyError, TypeError: If it is of an earlier version, or not what was written.
        """
        return cls(
            rows=tuple(row_of(row) for row in content["rows"]),
            sample=dict(content["sample"]),
            failures=tuple(Failure(one["part"], one["message"], one["traceback"]) for one in content["failures"]),
            events=tuple(content["events"]),
            stamp=content["stamp"],
            by=dict(content.get("by") or {}),
            events_by=content.get("events_by"),
        )


def row_of(content: Mapping[str, Any]) -> Row:
    """A row of JSON; names that repeat in every row are held once."""
    known = {name: content[name] for name in _ROW if name in content}
    return Row(**{**known, "metric": sys.intern(known["metric"])})


def stored_scores(path: Path) -> SampleScores | None:
    """A score file as hmbench wrote it; None if there is none, or it was damaged or edited: it is made again."""
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = read_json(path, kind=dict)
        sealed = "by" in content  # earlier versions sealed nothing
        content = unsealed(content, path) if sealed else content
        _check_kinds(content, path)
        return SampleScores.from_content(content)
    except (UserError, KeyError, TypeError, AttributeError):
        return None


def _check_kinds(content: Mapping[str, Any], path: Path) -> None:
    """Refuses values of other kinds, and another sample's: whoever knows how makes a digest anew.

    Raises:
        UserError, KeyError, TypeError, AttributeError: If one is.
    """
    for row in content["rows"]:
        check_fields(Row, row, str(path))
    texts = [content["stamp"], content.get("events_by"), *dict(content.get("by") or {}).values()]
    texts += [text for one in content["failures"] for text in one.values()]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("stamps and failures are texts")
    for event in content["events"]:
        EventRow.from_line(event, str(path))
    if {content["sample"]["id"], *(row["sample"] for row in content["rows"])} != {path.stem}:
        raise TypeError("the sample is another one")


def read_scores(path: Path) -> SampleScores:
    """A score file of a run that others may have written, checked row by row; of 0.1, its rows and stamp.

    Raises:
        UserError: If it is missing, damaged or edited.
    """
    content = read_sealed(path, required=False)
    again = f"Run: hmbench score --run {path.parent.parent}"
    if not isinstance(content.get("rows"), list):
        raise UserError(f"{path} is damaged: it has no rows.", again)
    for row in content["rows"]:
        check_fields(Row, row, str(path))
    try:
        if "failures" in content:
            events = [EventRow.from_line(event, str(path)).line() for event in content["events"]]
            return SampleScores.from_content({**content, "events": events})
        stamp = content.get("stamp")
        rows = tuple(row_of(row) for row in content["rows"])
        return SampleScores(rows=rows, sample={}, stamp=stamp if isinstance(stamp, str) else None)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error} is missing or of another kind.", again) from error
