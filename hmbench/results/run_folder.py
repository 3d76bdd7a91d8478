"""A run on disk: which file holds what (see `RunFolder`). Imports neither torch nor any model."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from hmbench.errors import UserError
from hmbench.files import SEAL, file_name, read_json, read_sealed, write_sealed
from hmbench.results.records import FORMATS, Row, RunManifest, check_fields, read_rows


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
        write_sealed(self.path / "run.json", asdict(manifest))

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
        for sample in content["samples"]:
            file_name(sample)
        lists = {key: tuple(content.get(key, ())) for key in ("samples", "notices")}
        return RunManifest(**{**content, **lists})

    def rows(self) -> list[Row]:
        """All rows of ``rows.jsonl``.

        Raises:
            UserError: If the run has not been scored, or a line is damaged.
        """
        return list(read_rows(self.path / "rows.jsonl"))
