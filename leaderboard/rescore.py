"""Does an entry follow from its videos? They are scored again, and only then is the entry called verified.

An entry carries values and the digest of every video. Its own digest shows accidents, not intent: whoever edits the
values can make it anew. What holds against intent is this: `python -m leaderboard check --rescore --run RUN` takes the
submitted videos, checks that they are those that the entry names, computes every value anew, and writes what it found.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hmbench.digests import content_digest
from hmbench.errors import UserError
from hmbench.results.run_folder import RunFolder
from leaderboard.entry import Entry, write_entry

TOLERANCE = 1e-3
"""Relative, and absolute for values below 1: other machines add up in another order; an edit worth making is larger."""


def rescore(
    entry: Entry, run_path: Path, *, data: str | None = None, weights: Path | None = None, device: str = "cpu"
) -> list[str]:
    """Values of an entry that do not follow from its videos, as sentences; empty if all do.

    Args:
        entry: The entry.
        run_path: The run folder that was submitted, with its predictions.
        data: The clips; by default where the run found them.
        weights: Folder of the metrics' weights.
        device: Torch device.

    Raises:
        UserError: If the videos or the data are not those of the entry.
    """
    from hmbench.data.dataset import no_code
    from hmbench.run.evaluate import EvalRequest, score

    run = RunFolder(run_path)
    _check_videos(entry, run)
    with tempfile.TemporaryDirectory(prefix="hmbench-rescore-") as scratch:
        request = EvalRequest(
            predictions=run.predictions,
            data=data or no_code(run.read_manifest().data),
            split=entry.split,
            samples=entry.samples,
            profile=entry.profile,
            weights=weights,
            device=device,
            out=Path(scratch) / "run",
        )
        result = score(request)
        if result.manifest.data_revision != entry.data_revision:
            raise UserError(
                f"The data are not those of {entry.name} (revision {result.manifest.data_revision}, entry "
                f"{entry.data_revision}).",
                "Give the data that it was evaluated on: --data.",
            )
        found = {(row.metric, row.sample): row for row in RunFolder(request.out).rows()}
    return _differences(entry, found)


def videos_fit(entry: Entry, run_path: Path) -> bool:
    """Whether a run's videos are those that an entry names."""
    try:
        _check_videos(entry, RunFolder(run_path))
    except UserError:
        return False
    return True


def mark_verified(path: Path, entry: Entry) -> None:
    """Writes into an entry that its values were computed anew from its videos."""
    from hmbench.run.environment import environment

    by = {name: version for name, version in environment().items() if name in ("hmbench", "git", "torch", "av")}
    done = {"on": datetime.now(UTC).date().isoformat(), "tolerance": TOLERANCE, **by}
    write_entry(path, replace(entry, verified=done))


def _check_videos(entry: Entry, run: RunFolder) -> None:
    if not entry.videos:
        raise UserError(f"{entry.name} names no videos: an earlier version wrote it.", "Submit the run again.")
    for sample in entry.samples:
        path = run.prediction(sample)
        if not path.is_file():
            raise UserError(f"{run.path} has no video of {sample}.", "Give the run folder that was submitted: --run.")
        if content_digest(path)[:16] != entry.videos.get(sample):
            raise UserError(
                f"The video of {sample} in {run.path} is not the one that {entry.name} names.",
                "Give the run folder that was submitted, unchanged.",
            )


def _differences(entry: Entry, found: dict[tuple[str, str], Any]) -> list[str]:
    said = []
    for metric, column in entry.values.items():
        version = entry.metrics[metric].version
        for sample, claimed in zip(entry.samples, column, strict=True):
            row = found.get((metric, sample))
            if row is None or row.version != version:
                said.append(f"{metric} cannot be computed anew: this hmbench has no version {version} of it here")
                break
            same = claimed is row.value if None in (claimed, row.value) else _close(claimed, row.value)
            if not same:
                said.append(f"{metric} of {sample}: the entry says {claimed}, its video gives {row.value}")
    return said


def _close(claimed: float | None, found: float | None) -> bool:
    assert claimed is not None and found is not None, (claimed, found)
    return math.isclose(claimed, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
