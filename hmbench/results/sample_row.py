"""What a run says of each of its samples: a line of ``samples.jsonl``, as a record."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import plain
from hmbench.results.records import check_fields
from hmbench.results.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """What a sample is, and how its prediction was read, as a line of ``samples.jsonl`` has it.

    On disk what was done to the prediction stands beside the other fields, in one flat object. A line that holds the id
    alone, or that and what failed, is of a sample that could not be evaluated.
    """

    id: str
    """Sample id."""
    scene: str | None = None
    """Scene, by which intervals are clustered; None where the data do not say."""
    cell: str | None = None
    """Kind of clip of a generated set, such as ``unseen``."""
    camera_path: str | None = None
    """Name of the camera's path."""
    subject_path: str | None = None
    """Name of the subject's path."""
    num_subjects: int | None = None
    """Subjects; None where nothing tells them apart."""
    categories: tuple[str, ...] = ()
    """Kinds of subjects in it, sorted: person, robot, animal, other or unknown."""
    num_events: int | None = None
    """Exits and re-entries; None without a truth."""
    max_hidden: int | None = None
    """Longest time that a subject is out of sight, frames; None if none ever is."""
    warnings: tuple[str, ...] = ()
    """What its data warn of."""
    told_apart: str | None = None
    """How subjects were told apart (`hmbench.types.ToldApart.way`); None if exact labels say it."""
    told_apart_detail: str | None = None
    """What was used for it."""
    told_apart_reason: str | None = None
    """Why they were not told apart; None if they were."""
    certainty: tuple[float, ...] = ()
    """Mean certainty of each subject's labels, in [0, 1]."""
    unclear_frames: tuple[int, ...] = ()
    """Visible frames of each subject in which it could not be told from others."""
    left_out_events: tuple[dict[str, int], ...] = ()
    """Events that are not scored because their frames are unclear: label, exit, reentry."""
    failed: dict[str, str] = field(default_factory=dict)
    """What broke on it: part to message."""
    reading: dict[str, Any] = field(default_factory=dict)
    """What was done to the prediction before it was scored (`hmbench.results.predictions.Plan.changes`)."""

    def line(self) -> dict[str, Any]:
        """The flat object; a sample that is unknown but for its id says no more than that."""
        own = [one.name for one in fields(self) if one.name not in ("failed", "reading")]
        told: dict[str, Any] = {name: plain(getattr(self, name)) for name in own}
        if self.unknown:
            told = {"id": self.id}
        elif self.told_apart is None:
            told = {name: value for name, value in told.items() if name not in _TOLD_APART}
        return {**told, **self.reading, **({"failed": self.failed} if self.failed else {})}

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it but its id and what failed: it could not be evaluated."""
        return self == SampleRow(id=self.id, failed=self.failed, reading=self.reading)

    @classmethod
    def from_line(cls, content: Any, source: str) -> SampleRow:
        """The sample of a flat object, of this version or an earlier one.

        Args:
            content: What was read.
            source: What the message calls it.

        Raises:
            UserError: If it names no sample, or a field is of another kind.
        """
        check_fields(cls, content, source)
        own = {one.name for one in fields(cls)} - {"reading"}
        told: dict[str, Any] = {key: _frozen(value) for key, value in content.items() if key in own}
        _check_inside(told, source)
        return cls(**told, reading={key: value for key, value in content.items() if key not in own})


_TOLD_APART = (
    "told_apart", "told_apart_detail", "told_apart_reason", "certainty", "unclear_frames", "left_out_events"
)  # fmt: skip
_INSIDE: dict[str, type | tuple[type, ...]] = {
    "categories": str, "warnings": str, "certainty": (int, float), "unclear_frames": int, "left_out_events": dict,
}  # fmt: skip


def read_samples(run: Path) -> dict[str, SampleRow] | None:
    """``samples.jsonl`` of a run by sample id; None if the run has none.

    Raises:
        UserError: If a line is damaged.
    """
    path = run / "samples.jsonl"
    lines = enumerate(RunFolder(run).lines("samples.jsonl"), 1)
    rows = [SampleRow.from_line(content, f"{path}, line {number}") for number, content in lines]
    return {row.id: row for row in rows} if path.is_file() else None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_inside(told: dict[str, Any], source: str) -> None:
    """Refuses lists that hold something else than their field says."""
    for name, kind in _INSIDE.items():
        for value in told.get(name) or ():
            if not isinstance(value, kind) or isinstance(value, bool):
                raise UserError(f"{source} is damaged: its {name} hold {str(value)[:60]!r}.", "Score again.")
