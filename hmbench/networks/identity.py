"""Which weights stand behind a run's numbers: recorded in ``run.json``, and part of what makes scores stale."""

from __future__ import annotations

from pathlib import Path

from hmbench.networks.files import FOLDER, read_card
from hmbench.networks.pull import read_lock

READ_WHOLE = 2 * 1024**2
"""Bytes up to which an unlocked file is digested; larger ones are told apart by size, which is read in no time."""


def weights_identity(weights: Path | None) -> dict[str, str]:
    """File to digest, of the shipped weights and those in a folder.

    Files that the folder's lock records carry the recorded sha256: `from_folder` lets no other file be loaded.

    Args:
        weights: Folder filled by `hmbench weights pull`; None if none is used.
    """
    found = {
        f"shipped/{path.stem}": str(read_card(path.stem)["sha256"]) for path in sorted(FOLDER.glob("*.safetensors"))
    }
    if weights is None or not weights.is_dir():
        return found
    locked = {name: e["sha256"] for record in read_lock(weights).values() for name, e in record["files"].items()}
    for path in sorted(p for p in weights.rglob("*") if p.is_file() and not p.name.endswith(".lock.json")):
        inside = path.relative_to(weights)
        if not any(part.startswith(".") for part in inside.parts):  # what an interrupted download leaves
            found[str(inside)] = locked.get(str(inside)) or _short(path)
    return found


def _short(path: Path) -> str:
    from hmbench.networks.files import digest

    size = path.stat().st_size
    return digest(path) if size <= READ_WHOLE else f"{size} bytes"
