"""Checkpoints that survive a kill at any moment: a folder is complete or it does not count.

Everything is written to a hidden folder; ``complete.json``, with the size and digest of every file, comes last; all is
flushed to the disk; then the folder takes its name. Resuming takes the newest folder whose files are, by digest, what
``complete.json`` says.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reference_model.released.checkpoint import file_digest
from reference_model.training.disk import FAILURES, flush_folder, flush_tree, is_disk_full, write_atomically
from reference_model.training.stop import TrainingStoppedError

COMPLETE = "complete.json"


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: ``<out>/checkpoints``.
        keep: How many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def newest(self) -> Path | None:
        """The newest complete checkpoint, or None; damaged ones are passed over."""
        found = sorted(self.folder.glob("step-*"), reverse=True)
        return next((path for path in found if is_complete(path)), None)

    def path(self, step: int) -> Path:
        """Where the checkpoint after this many steps lives."""
        return self.folder / f"step-{step:08d}"

    def working(self, step: int) -> Path:
        """Where it is written first."""
        return self.folder / f".step-{step:08d}"

    def finish(self, step: int, state: dict[str, Any]) -> Path:
        """Completes what was written to `working` and removes old checkpoints; called by one process.

        Args:
            step: Steps done.
            state: What ``complete.json`` also holds.

        Raises:
            TrainingStoppedError: If the disk is full.
        """
        self.guarded(step, lambda working: self._complete(working, step, state))
        for old in sorted(self.folder.glob("step-*"))[: -self.keep]:
            shutil.rmtree(old)
        return self.path(step)

    def _complete(self, working: Path, step: int, state: dict[str, Any]) -> None:
        files = sorted(p for p in working.rglob("*") if p.is_file())
        facts = {str(p.relative_to(working)): {"bytes": p.stat().st_size, "sha256": file_digest(p)} for p in files}
        write_atomically(working / COMPLETE, {"step": step, **state, "files": facts})
        flush_tree(working)
        if (path := self.path(step)).exists():
            shutil.rmtree(path)
        working.rename(path)
        flush_folder(self.folder)

    def remove_remains(self) -> None:
        """Removes what a killed process was writing; called by one process, before any writes."""
        for working in self.folder.glob(".step-*"):
            shutil.rmtree(working)

    def guarded(self, step: int, write: Callable[[Path], None]) -> None:
        """Calls `write` with the working folder; a full disk ends the run and leaves older checkpoints alone.

        Raises:
            TrainingStoppedError: If the disk is full.
        """
        working = self.working(step)
        try:
            working.mkdir(parents=True, exist_ok=True)
            write(working)
        except FAILURES as error:  # each library has a class of its own for a full disk
            if not is_disk_full(error):
                raise
            shutil.rmtree(working, ignore_errors=True)
            newest = self.newest()
            kept = f"the newest complete checkpoint is {newest}" if newest else "there is no older checkpoint"
            raise TrainingStoppedError(
                f"The disk is full: the checkpoint of step {step} could not be written to {self.folder}; {kept}.",
                "Free some space and run the same command again: it goes on from there.",
            ) from error


def is_complete(path: Path) -> bool:
    """Whether every file of a checkpoint is there, and is by its digest what was written: a flipped bit is not."""
    record = path / COMPLETE
    if not record.is_file():
        return False
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
        sizes = all((path / name).stat().st_size == facts["bytes"] for name, facts in files.items())
        return sizes and all(file_digest(path / name) == facts["sha256"] for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def read_state(path: Path) -> dict[str, Any]:
    """What `Checkpoints.finish` was given, and the step."""
    return dict(json.loads((path / COMPLETE).read_text(encoding="utf-8")))
