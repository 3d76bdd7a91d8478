"""A run on disk: which file holds what (see `RunFolder`). Imports neither torch nor any model."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.results.records import Row, RunManifest, read_rows


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

    def failure(self, sample: str, stage: str) -> Path:
        """Why a stage failed on a sample; absent if it did not."""
        return self.path / "errors" / f"{sample}.{stage}.json"

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
        lists = {key: tuple(content.get(key, ())) for key in ("samples", "notices")}
        return RunManifest(**{**content, **lists})

    def rows(self) -> list[Row]:
        """All rows of ``rows.jsonl``.

        Raises:
            UserError: If the run has not been scored, or a line is damaged.
        """
        return list(read_rows(self.path / "rows.jsonl"))
