"""A run on disk: which file holds what (see `RunFolder`). Imports neither torch nor any model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from hmbench.digests import file_digest
from hmbench.errors import UserError
from hmbench.files import SEAL, file_name, parse_json, read_json, read_sealed, write_sealed
from hmbench.results.record_checks import check_inside
from hmbench.results.records import FORMATS, EventRow, Row, RunManifest, check_fields, read_rows
from hmbench.results.sample_scores import SampleScores, read_scores
from hmbench.subject_names import current_name

SEALED_BY_SUMMARY = ("rows.jsonl", "events.jsonl", "samples.jsonl")
"""Files whose digests stand in ``summary.json``."""


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
        return self.predictions / f"{file_name(sample)}.mp4"

    def tracks(self, sample: str) -> Path:
        """Tracks of a sample."""
        return self.path / "tracks" / f"{file_name(sample)}.json"

    def scores(self, sample: str) -> Path:
        """Rows and events of a sample."""
        return self.path / "scores" / f"{file_name(sample)}.json"

    def failure(self, sample: str, stage: str) -> Path:
        """Why a stage failed on a sample; absent if it did not."""
        return self.path / "errors" / f"{file_name(sample)}.{stage}.json"

    def write_manifest(self, manifest: RunManifest) -> None:
        """Writes ``run.json``."""
        write_sealed(self.path / "run.json", manifest.content())

    def read_manifest(self) -> RunManifest:
        """Reads ``run.json``.

        Raises:
            UserError: If this is no run folder, it was damaged or edited, written by another version, or names a
                sample that could lead out of the folder.
        """
        path = self.path / "run.json"
        if not path.is_file():
            raise UserError(
                f"{self.path} is not a run: it has no run.json.", "Give the --out folder of `hmbench eval`."
            )
        raw = read_json(path, kind=dict)
        unknown = set(raw) - {f.name for f in fields(RunManifest)} - {SEAL}
        if unknown or raw.get("format") not in FORMATS:
            raise UserError(
                f"{path} was written by another version of hmbench (format {raw.get('format')}).",
                "Evaluate again, or use the hmbench version named in its 'environment'.",
            )
        content = read_sealed(path, required=raw["format"] > 1)
        check_fields(RunManifest, content, str(path))
        check_inside(content, str(path))
        for sample in content["samples"]:
            file_name(sample)
        return RunManifest.from_content(content)

    def rows(self) -> list[Row]:
        """All rows of ``rows.jsonl``.

        Raises:
            UserError: If the run has not been scored, the file was changed since, or a line is damaged.
        """
        self._check_unchanged("rows.jsonl")
        return list(read_rows(self.path / "rows.jsonl"))

    def values(self) -> list[Row]:
        """The same without details, models and revisions, in a third of the time.

        Raises:
            UserError: As `rows` does.
        """
        from hmbench.results.quick_rows import quick_rows  # brings Arrow, which few readers of a run need

        self._check_unchanged("rows.jsonl")
        found = quick_rows(self.path / "rows.jsonl")
        return list(read_rows(self.path / "rows.jsonl")) if found is None else found

    def read_scores(self, sample: str) -> SampleScores:
        """What scoring a sample left.

        Raises:
            UserError: If it is missing, damaged or edited.
        """
        return read_scores(self.scores(sample))

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Objects of ``events.jsonl`` or ``samples.jsonl``; none where there is no such file.

        Subjects of the mini world have today's names, whatever they were called when the run was made.

        Raises:
            UserError: If the file was changed since the run was scored, or a line is damaged.
        """
        self._check_unchanged(name)
        path = self.path / name
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as lines:
                for number, line in enumerate(lines, 1):
                    found = parse_json(line, f"{path}, line {number}", kind=dict)
                    if isinstance(found.get("subject"), str):
                        found["subject"] = current_name(found["subject"])
                    yield found

    def events(self) -> Iterator[EventRow]:
        """Exits and re-entries of ``events.jsonl``; none where there is no such file.

        Raises:
            UserError: If the file was changed since the run was scored, or a line is damaged.
        """
        for number, line in enumerate(self.lines("events.jsonl"), 1):
            yield EventRow.from_line(line, f"{self.path / 'events.jsonl'}, line {number}")

    def write_summary(self, content: dict[str, Any]) -> None:
        """Writes ``summary.json``, with the digests of the files that the run's readers read."""
        digests = {name: file_digest(self.path / name) for name in SEALED_BY_SUMMARY}
        write_sealed(self.path / "summary.json", {**content, "files": digests})

    def summary(self) -> dict[str, Any]:
        """``summary.json``; one of an earlier version carries no digest.

        Raises:
            UserError: If it is missing, or was changed since it was written.
        """
        content = read_sealed(self.path / "summary.json", required=False)
        for key in ("metrics", "failures"):
            if not isinstance(content.get(key), dict):
                raise UserError(f"{self.path / 'summary.json'} is damaged: it has no {key}.", "Score the run again.")
        return content

    def _check_unchanged(self, name: str) -> None:
        """Refuses a file that is not the one that ``summary.json`` was written for; earlier versions recorded none."""
        if not (self.path / "summary.json").is_file():
            return
        recorded = self.summary().get("files")
        wanted = recorded.get(name) if isinstance(recorded, dict) else None
        path = self.path / name
        if wanted is not None and (not path.is_file() or file_digest(path) != wanted):
            raise UserError(
                f"{path} is not as it was scored: its digest is not the one in summary.json.",
                f"Write it again, from the scores: hmbench score --run {self.path}",
            )
