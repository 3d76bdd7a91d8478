"""The small default test sets behind ``--data mini`` and ``mini-easy``: 16 clips at 224x128, made when first used."""

import os
from collections.abc import Callable
from pathlib import Path

from hmbench.data.mini_world.generate import GenerateConfig, Made, generate
from hmbench.data.mini_world.spec import GENERATOR
from hmbench.data.mini_world.splits import SplitName, spread_slots, version_of

DEFAULT_CLIPS = 16
"""Four of each test cell."""
DEFAULT_SIZE = (224, 128)
CHOICE = 2
"""Raised whenever the set has other clips. 1: the first slots of the test split, nine scenes; 2: eleven scenes."""
COMPLETE = "complete"


def default_folder(cache_dir: Path, split: SplitName = "test") -> Path:
    """Return where the default set of this generator lives: a new generator never reads an old one's clips."""
    return cache_dir / f"{version_of(split)}-g{GENERATOR}-c{CHOICE}-{DEFAULT_SIZE[0]}x{DEFAULT_SIZE[1]}"


def ensure_default_mini(
    cache_dir: Path,
    *,
    split: SplitName = "test",
    workers: int | None = None,
    on_done: Callable[[Made, int], None] | None = None,
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
    """
    folder = default_folder(cache_dir, split)
    if (folder / f".{COMPLETE}").is_file():
        return folder
    count = workers or min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    slots = spread_slots(split, 0, DEFAULT_CLIPS)
    config = GenerateConfig(out=folder, split=split, slots=slots, size=DEFAULT_SIZE, workers=count)
    generate(config, None if on_done is None else lambda made: on_done(made, DEFAULT_CLIPS))
    (folder / f".{COMPLETE}").touch()
    return folder
