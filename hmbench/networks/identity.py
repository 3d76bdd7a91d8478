"""Which weights stand behind a run's numbers: recorded in ``run.json``, and part of what makes scores stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hmbench.digests import content_digest
from hmbench.networks.files import FOLDER, read_card
from hmbench.networks.pull import read_lock

USED = {
    "alexnet": ("alexnet/",),
    "dino": ("dino-vitb16/",),
    "clip_b16": ("clip-vit-base-patch16/",),
    "clip_b16_released": ("clip-vit-base-patch16/",),
    "clip_b16_whole": ("clip-vit-base-patch16/",),
    "clip_b32": ("clip-vit-base-patch32/",),
    "musiq": ("pyiqa/musiq",),
    "niqe": ("pyiqa/niqe",),
    "reid": ("shipped/reid",),
    "tracks": ("yolo11/", "dino-vitb16/", "shipped/detector", "shipped/reid"),
}
"""What a metric needs to the files that it then looks through, as `weights_identity` calls them."""
_OF_CLIPS = frozenset({"truth", "labels", "separate", "events"})
"""Needs that no network answers."""


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
            found[str(inside)] = locked.get(str(inside)) or content_digest(path)
    return found


def weights_of(needs: Iterable[str], identity: Mapping[str, str]) -> dict[str, str]:
    """The weights that a metric looks through; all there are, if it needs something that nobody here knows.

    Args:
        needs: `MetricInfo.needs`.
        identity: What `weights_identity` gave.
    """
    wanted: list[str] = []
    for need in set(needs) - _OF_CLIPS:
        if need not in USED:
            return dict(identity)
        wanted += USED[need]
    return {name: digest for name, digest in identity.items() if name.startswith(tuple(wanted))}
