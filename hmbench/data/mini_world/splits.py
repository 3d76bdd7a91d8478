"""Which scenes, subjects and path cells belong to training and to the four test cells; version `mini-v1`.

Three scenes and nine subjects are held out. A camera path with a subject path is a *path cell* (280 of them); a hash
gives a fifth of them to the test, so no test clip repeats the motion of a training clip.
"""

from typing import Literal, NamedTuple, get_args

from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_PATHS, SUBJECT_PATHS
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES
from hmbench.data.mini_world.spec import VERSION, ClipSpec

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
TEST_CELLS = ("seen", "unseen-scene", "unseen-subject", "unseen-both")

HELD_OUT_SCENES = ("FountainPlaza", "Warehouse", "SnowVillage")
HELD_OUT_SUBJECTS = (
    "CheckedYellowMan", "SkyWoman", "StripedPinkMan", "ZigzagPurpleWoman", "StripedYellowChild",
    "HazardBlackRobot", "ZigzagOrangeCat", "PinkOstrich", "StripedRedBuggy",
)  # fmt: skip


class Pool(NamedTuple):
    """What a cell draws from."""

    scenes: tuple[int, ...]
    subjects: tuple[int, ...]
    paths: tuple[tuple[int, int], ...]
    """(subject path, camera path)."""


def is_test_path(subject_path: int, camera_path: int) -> bool:
    """Tell whether a path cell belongs to the test."""
    return Stream(VERSION, "path cell", subject_path, camera_path).integer(5) == 0


def pool(split: SplitName, cell: str) -> Pool:
    """Return what clips of a cell are drawn from; training has the one cell ``train``."""
    known = ("train",) if split == "train" else TEST_CELLS
    if cell not in known:
        raise ValueError(f"split {split!r} has the cells {known}, got {cell!r}")
    new_scene, new_subject = (
        cell in ("unseen-scene", "unseen-both"),
        cell in ("unseen-subject", "unseen-both"),
    )
    return Pool(
        tuple(k for k, row in enumerate(SCENES) if (row.name in HELD_OUT_SCENES) == new_scene),
        tuple(k for k, look in enumerate(LOOKS) if (look.name in HELD_OUT_SUBJECTS) == new_subject),
        tuple(
            (p, c)
            for p in range(len(SUBJECT_PATHS))
            for c in range(len(CAMERA_PATHS))
            if is_test_path(p, c) == (split == "test")
        ),
    )


def cell_of(split: SplitName, slot: int) -> str:
    """Return the cell of the slot-th clip: test clips take the four cells in turn."""
    return "train" if split == "train" else TEST_CELLS[slot % len(TEST_CELLS)]


def candidate(split: SplitName, seed: int, slot: int, attempt: int) -> ClipSpec:
    """Return the attempt-th candidate for a slot.

    Slots are independent, so any number of workers, in any order, makes the same set. Scenes and numbers of subjects
    are taken in turn within a cell; the rest is drawn.
    """
    cell = cell_of(split, slot)
    choice = pool(split, cell)
    turn = slot if split == "train" else slot // len(TEST_CELLS)
    order = Stream(VERSION, split, cell, seed, "scenes", turn // len(choice.scenes)).sample(
        choice.scenes, len(choice.scenes)
    )
    s = Stream(VERSION, split, cell, seed, slot, attempt)
    path, camera = s.choice(choice.paths)
    return ClipSpec(
        scene=order[turn % len(order)],
        subjects=tuple(s.sample(choice.subjects, 1 + turn % 3)),
        subject_path=path,
        camera_path=camera,
        seed=s.integer(10**6),
    )
