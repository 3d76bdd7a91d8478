"""The small default test sets behind ``--data mini`` and ``mini-easy``: 16 clips at 224x128, made when first used."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hmbench.data.embedded_clips import slot_of
from hmbench.data.mini_world.generate import GenerateConfig, Made, generate
from hmbench.data.mini_world.spec import GENERATOR
from hmbench.data.mini_world.splits import SplitName, spread_slots, version_of
from hmbench.digests import content_digests
from hmbench.durable import storing, sweep
from hmbench.errors import UserError
from hmbench.files import read_sealed, write_sealed

DEFAULT_CLIPS = 16
"""Four of each test cell."""
DEFAULT_SIZE = (224, 128)
CHOICE = 3
"""Raised whenever the set has other files, though the generator is the same.

1: the first slots of the test split, nine scenes; 2: eleven scenes; 3: the clips of 2, subjects named by their clothes.
"""
COMPLETE = "complete"
_OF_ALL = ("caption.txt", "splits.json", "mini.json")
_OF_A_CLIP = (
    "cond.mp4", "tgt.mp4", "cond_mask.mp4", "tgt_mask.mp4", "masks.mkv", "camera.json", "character.json", "check.json",
    "truth.json",
)  # fmt: skip


def default_folder(cache_dir: Path, split: SplitName = "test") -> Path:
    """Return where the default set of this generator lives: a new generator never reads an old one's clips."""
    return cache_dir / f"{version_of(split)}-g{GENERATOR}-c{CHOICE}-{DEFAULT_SIZE[0]}x{DEFAULT_SIZE[1]}"


def ensure_default_mini(
    cache_dir: Path,
    *,
    split: SplitName = "test",
    workers: int | None = None,
    on_done: Callable[[Made, int], None] | None = None,
    ids: Sequence[str] | None = None,
) -> Path:
    """Make the default test set if it is not there, and return its folder (in HM-World's layout).

    Its 16 clips stand in eleven scenes, as many as four of each cell can: three scenes are held out, and no other scene
    is taken twice. An interrupted run goes on where it was; two processes at once do the work twice but end with the
    same files.

    Args:
        cache_dir: Folder for caches.
        split: ``test`` of `mini-v1`, or ``easy-test`` of `mini-easy-v1`.
        workers: Processes; None takes one a core, at most 4.
        on_done: Called with each clip and the total, for progress.
        ids: Only these clips of the set; the others can be drawn later.
    """
    folder = default_folder(cache_dir, split)
    whole = _take_out_damaged(folder)
    if len(whole) >= DEFAULT_CLIPS if ids is None else whole.issuperset(ids):
        return folder
    sweep(folder)
    count = workers or min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    slots = spread_slots(split, 0, DEFAULT_CLIPS) if ids is None else tuple(sorted(map(slot_of, ids)))
    config = GenerateConfig(out=folder, split=split, slots=slots, size=DEFAULT_SIZE, workers=count)
    generate(config, None if on_done is None else lambda made: on_done(made, len(slots)))
    files = sorted(p for p in folder.glob("[!.]*/*") if p.is_file()) + [folder / name for name in _OF_ALL]
    found = content_digests(files, trust=False)
    write_sealed(folder / f".{COMPLETE}", {str(path.relative_to(folder)): found[path] for path in files})
    return folder


def _take_out_damaged(folder: Path) -> frozenset[str]:
    """Clips that are there, if every file is as it was made; else none, and damaged ones are taken out, to be remade.

    A set of an earlier version, whose mark is an empty file, is looked at by its clips' files alone.
    """
    mark = folder / f".{COMPLETE}"
    if not mark.is_file():
        return frozenset()
    try:
        record: dict[str, str] = read_sealed(mark)
    except UserError:
        record = {}
    there = [folder / name for name in record if (folder / name).is_file()]
    found = {str(path.relative_to(folder)): digest for path, digest in content_digests(there).items()}
    bad = {name for name, digest in record.items() if found.get(name) != digest}
    clips = {path.name for path in folder.glob("[!.]*") if path.is_dir()}
    damaged = {Path(name).parts[0] for name in bad} & clips
    if not record:
        damaged = {clip for clip in clips if not all((folder / clip / name).is_file() for name in _OF_A_CLIP)}
    if record and not bad:
        return frozenset(Path(name).parts[0] for name in record) & clips
    with storing(folder):
        mark.unlink(missing_ok=True)
        for clip in damaged:
            shutil.rmtree(folder / clip)
    return frozenset()
