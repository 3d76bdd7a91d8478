"""Which scenes, subjects and path cells belong to training and to the test; versions `mini-v1` and `mini-easy-v1`.

Three scenes and nine subjects are held out. A camera path with a subject path is a *path cell* (280 of them); a hash
gives a fifth of them to the test, so no test clip repeats the motion of a training clip.

`mini-easy-v1` is a world of its own for models that had hours instead of weeks. The camera stands and only turns.
It has ten scenes, eight subjects that look unlike each other, one or two of them and large in view, and four simple
paths. Training and test share scenes and subjects; no test clip repeats the motion of a training clip. Its results are
never mixed with those of `mini-v1`.
"""

from collections import Counter
from typing import Literal, NamedTuple, get_args

from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_PATHS, SUBJECT_PATHS
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES
from hmbench.data.mini_world.spec import VERSION, ClipSpec

SplitName = Literal["train", "test", "easy-train", "easy-test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
TEST_CELLS = ("seen", "unseen-scene", "unseen-subject", "unseen-both")

EASY_VERSION = "mini-easy-v1"
EASY_CELL = "easy"
EASY_SCENES = (
    "BrickStreet", "GlassAvenue", "CityPark", "AutumnPark", "MarketPlaza",
    "TempleCourt", "StationHall", "ContainerHarbour", "GreenVillage", "GoldenForest",
)  # fmt: skip
EASY_SUBJECTS = (
    "StripedBlackTopWoman", "CamouflageYellowTopWoman", "CheckedRedCoatMan", "DottedTealTopWoman",
    "StripedBlueRobot", "HazardRedRobot", "FurryWhiteBear", "BrownDog",
)  # fmt: skip
EASY_PATHS = ("Straight", "ArcLeft", "ArcRight", "Weave")
EASY_LEAST_SHARE = 0.02
"""Least median share of the frame that the first subject fills while it is in view."""

HELD_OUT_SCENES = ("FountainPlaza", "Warehouse", "SnowVillage")
HELD_OUT_SUBJECTS = (
    "CheckedYellowTopMan", "SkyTopWoman", "StripedPinkCoatMan", "ZigzagPurpleCoatWoman", "StripedYellowTopChild",
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


def version_of(split: SplitName) -> str:
    """Return the world that a split belongs to: results of different ones are never ranked together."""
    return EASY_VERSION if split.startswith("easy-") else VERSION


def least_share(split: SplitName) -> float | None:
    """Return the least median share of the frame that a clip's first subject must fill; None for the filter's own."""
    return EASY_LEAST_SHARE if split.startswith("easy-") else None


def pool(split: SplitName, cell: str) -> Pool:
    """Return what clips of a cell are drawn from; training has the one cell ``train``, the easy world ``easy``."""
    if split.startswith("easy-"):
        return _easy_pool(split)
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
    if split.startswith("easy-"):
        return EASY_CELL
    return "train" if split == "train" else TEST_CELLS[slot % len(TEST_CELLS)]


def candidate(split: SplitName, seed: int, slot: int, attempt: int) -> ClipSpec:
    """Return the attempt-th candidate for a slot.

    Slots are independent, so any number of workers, in any order, makes the same set. Scenes and numbers of subjects
    are taken in turn within a cell; the rest is drawn.
    """
    cell = cell_of(split, slot)
    choice = pool(split, cell)
    turn = slot // len(TEST_CELLS) if split == "test" else slot
    version, most = version_of(split), 2 if split.startswith("easy-") else 3
    order = Stream(version, split, cell, seed, "scenes", turn // len(choice.scenes)).sample(
        choice.scenes, len(choice.scenes)
    )
    s = Stream(version, split, cell, seed, slot, attempt)
    path, camera = s.choice(choice.paths)
    return ClipSpec(
        scene=order[turn % len(order)],
        subjects=tuple(s.sample(choice.subjects, 1 + turn % most)),
        subject_path=path,
        camera_path=camera,
        seed=s.integer(10**6),
    )


def _easy_pool(split: SplitName) -> Pool:
    still = [k for k, path in enumerate(CAMERA_PATHS) if path.startswith("Static")]
    simple = [k for k, path in enumerate(SUBJECT_PATHS) if path in EASY_PATHS]
    return Pool(
        tuple(k for k, row in enumerate(SCENES) if row.name in EASY_SCENES),
        tuple(k for k, look in enumerate(LOOKS) if look.name in EASY_SUBJECTS),
        tuple((p, c) for p in simple for c in still if is_easy_test_path(p, c) == (split == "easy-test")),
    )


def is_easy_test_path(subject_path: int, camera_path: int) -> bool:
    """Tell whether a path cell of the easy world belongs to the test: one sweep of the camera for each subject path."""
    sweeps, paths = len(CAMERA_PATHS) // 7, [k for k, path in enumerate(SUBJECT_PATHS) if path in EASY_PATHS]
    return paths.index(subject_path) % sweeps == camera_path // 7


def spread_slots(split: SplitName, seed: int, count: int) -> tuple[int, ...]:
    """Return slots for a small set that repeats no scene where there are scenes enough.

    Cells are filled in turn, as always. Two cells draw from the familiar scenes, each in an order of its own, so that
    the first slots meet some scenes twice. While there are at least as many familiar scenes as such clips, a slot whose
    scene is taken already is passed over. Held-out scenes are three and cannot but repeat.
    """
    cells = TEST_CELLS if split == "test" else ("train",)
    scenes = [pool(split, cell).scenes for cell in cells]
    wanted = Counter(scenes[number % len(cells)] for number in range(count))
    following = list(range(len(cells)))
    taken: set[int] = set()
    chosen = []
    for number in range(count):
        column = number % len(cells)
        slot = following[column]
        if wanted[scenes[column]] <= len(scenes[column]):
            while candidate(split, seed, slot, 0).scene in taken:
                slot += len(cells)
        taken.add(candidate(split, seed, slot, 0).scene)
        chosen.append(slot)
        following[column] = slot + len(cells)
    return tuple(sorted(chosen))
