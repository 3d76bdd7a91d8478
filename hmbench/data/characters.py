"""``character.json`` in whatever form: 3D paths of characters, recognised by their shape rather than by a schema.

The file's schema is not documented. It is walked as a tree: whatever parses as a point is one (three numbers, an object
with x, y and z, a transform, a matrix, Unreal's ``X=.. Y=.. Z=..``), and every key or index on the way to it is a
frame, a half of the clip, or part of somebody's name. Rotations, scales and velocities beside a point are passed over.
What the numbers mean (axes, unit, first frame) is not decided here but by `hmbench.data.told_apart.readings`, which
holds them against the masks.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PLACES = (
    "location", "position", "translation", "worldlocation", "worldposition", "actorlocation", "pos", "loc", "center",
    "centre", "root", "rootlocation", "xyz", "coordinates", "coordinate", "coord", "coords", "point", "t", "origin",
)  # fmt: skip
"""Names of what is taken as a point, the most telling first; letters only, lower case."""
TRANSFORMS = ("transform", "matrix", "pose", "worldtransform", "transformation", "extrinsic", "c2w", "actortransform")
NO_PLACES = re.compile(
    r"rot|euler|quat|scale|veloc|speed|accel|forward|right|upvec|direction|orient|extent|size|color|colour|heading|"
    r"pitch|yaw|roll|head|foot|hand|knee|elbow|pelvis|spine|neck|camera|intrinsic"
)
"""Names under which three numbers are no place of a character (or the place of one of its bones)."""
FRAMES = ("frame", "frameid", "frameindex", "frameidx", "framenumber", "index", "idx", "time", "step")
NAMES = ("actor", "actorname", "actorid", "character", "charactername", "name", "id", "subject", "label")
_CONTEXT, _TARGET = "cond|condition|context|ctx|past|history|source|src", "tgt|target|future|gt|next"
CONTEXT = re.compile(rf"^(?i:{_CONTEXT})(?:$|[_\-. ]|(?=[A-Z]))|[_\-. ](?i:{_CONTEXT})$")
TARGET = re.compile(rf"^(?i:{_TARGET})(?:$|[_\-. ]|(?=[A-Z]))|[_\-. ](?i:{_TARGET})$")
WRAPPERS = re.compile(
    r"^(characters?|actors?|subjects?|objects?|frames?|data|poses?|tracks?|paths?|transforms?|positions?|locations?|"
    r"translations?|trajector(y|ies)|coordinates|points?)$"
)
FRAME_KEY = re.compile(r"^(?:(?:frame|frm|f|img|image)[_\- ]?)?(\d+)(?:\.[a-z]{2,4})?$")
"""A key that counts frames: ``12``, ``0012``, ``frame_0012``, ``0012.png``."""
SHORT_GAP = 4
"""Frames that a file may leave out between two that it names: whoever walks is in between."""
LEAST_FRAMES = 5
LEAST_COLUMN = 8
"""Numbers from which on each of three lists is a coordinate over time, and not a point or a row of a matrix."""


class _Step(NamedTuple):
    """One key, index or field on the way to a point."""

    kind: str
    """``key``, ``index`` (of a list), ``frame`` (a record's own field) or ``name`` (a record's own field)."""
    value: str


Leaf = tuple[tuple[_Step, ...], tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class CharacterPath:
    """Where one character is, in the file's own axes and unit."""

    name: tuple[str, ...]
    """Keys that tell it from the others, outermost first: actor, character."""
    points: Floats
    """``[Tc + Tt, 3]``, NaN where the file does not say."""


@dataclass(frozen=True, kw_only=True)
class CharacterFile:
    """What a ``character.json`` says."""

    paths: tuple[CharacterPath, ...] = ()
    """By name."""
    note: str = ""
    """How its frames were read, for people."""
    problem: str | None = None
    """Why nothing could be read."""


def read_characters(content: Any, num_context: int, num_target: int) -> CharacterFile:
    """Paths of all characters of a parsed ``character.json``.

    Args:
        content: The JSON value.
        num_context: Frames of the context.
        num_target: Frames of the target.
    """
    leaves = list(_leaves(content, ()))
    if not leaves:
        return CharacterFile(problem="it holds no 3D points")
    groups = _by_identity(leaves)
    if groups is None:
        return CharacterFile(problem="its points do not go by frames")
    paths, notes = [], Counter[str]()
    for name, halves in groups.items():
        built = _whole_path(halves, num_context, num_target)
        if built is None:
            notes["some frames lie outside the clip"] += 1
            continue
        points, note = built
        paths.append(CharacterPath(name=name, points=points))
        notes[note] += 1
    if not paths:
        counts = sorted({len(frames) for halves in groups.values() for frames in halves.values()})
        found = ", ".join(map(str, counts[:4]))
        return CharacterFile(problem=f"its frames do not fit the clip ({found} for {num_context} + {num_target})")
    return CharacterFile(paths=tuple(sorted(paths, key=lambda p: p.name)), note="; ".join(notes))


def _leaves(node: Any, steps: tuple[_Step, ...]) -> Iterator[Leaf]:
    """Every point below a node, with the way to it."""
    point = _point(node)
    if point is not None:
        yield steps, point
    elif isinstance(node, dict):
        own, skip = _fields(node)
        columns = _columns(node)
        for index, row in enumerate(columns):
            yield (*steps, *own, _Step("index", str(index))), row
        best = None if columns else _best_place(node)
        for key, value in node.items() if not columns else ():
            word = _letters(key)
            beside = best is not None and key != best and (word in PLACES or _is_beside(word, value))
            if key in skip or beside:
                continue
            step = () if key == best or word in TRANSFORMS else (_Step("key", str(key)),)
            yield from _leaves(value, (*steps, *own, *step))
    elif isinstance(node, list):
        for index, row in enumerate(_transposed(node)):
            yield (*steps, _Step("index", str(index))), row
        for index, value in enumerate(node):
            own = _fields(value)[0] if isinstance(value, dict) else ()
            numbered = any(step.kind == "frame" for step in own)
            named = any(step.kind == "name" for step in own)
            step = () if numbered or named else (_Step("index", str(index)),)
            yield from _leaves(value, (*steps, *step))


def _fields(record: dict[str, Any]) -> tuple[tuple[_Step, ...], set[str]]:
    """A record's own frame number and names, and the keys that hold them."""
    steps, used = list[_Step](), set[str]()
    for key, value in record.items():
        word = _letters(key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if word in FRAMES and (whole or (isinstance(value, str) and value.isdigit())):
            if not any(step.kind == "frame" for step in steps):
                steps.append(_Step("frame", str(int(value))))
            used.add(key)
        elif word in NAMES and (isinstance(value, str) or whole):
            steps.append(_Step("name", str(value)))
            used.add(key)
    return tuple(steps), used


def _is_beside(word: str, value: Any) -> bool:
    """Whether what stands in a record beside a place is none: a rotation, a box, or three more numbers of any name."""
    return NO_PLACES.search(word) is not None or _point(value) is not None


def _best_place(record: dict[str, Any]) -> str | None:
    """The key of a record that holds its place, by the order of `PLACES`."""
    words = {_letters(key): key for key in record}
    return next((words[form] for place in PLACES for form in (place, f"{place}s") if form in words), None)


def _point(node: Any) -> tuple[float, float, float] | None:
    if isinstance(node, str):
        return _point_of_text(node)
    if isinstance(node, dict):
        return _point_of_object(node)
    if isinstance(node, list):
        if len(node) in (3, 6, 7) and all(_number(v) for v in node):  # a rotation may follow
            return float(node[0]), float(node[1]), float(node[2])
        if len(node) == 3 and all(isinstance(v, str) for v in node):
            return _point_of_text(" ".join(node))
        if len(node) in (3, 4) and all(isinstance(row, list) and len(row) == 4 for row in node):
            return _point_of_matrix(node)
        if len(node) == 16 and all(_number(v) for v in node):
            return _point_of_matrix([node[i : i + 4] for i in range(0, 16, 4)])
    return None


def _point_of_matrix(rows: list[list[Any]]) -> tuple[float, float, float] | None:
    if not all(_number(v) for row in rows for v in row):
        return None
    last = rows[3] if len(rows) == 4 else [0, 0, 0, 1]
    if any(last[:3]) and not any(row[3] for row in rows[:3]):  # Unreal's own matrices have the place in the last row
        return float(last[0]), float(last[1]), float(last[2])
    return float(rows[0][3]), float(rows[1][3]), float(rows[2][3])


def _point_of_object(node: dict[str, Any]) -> tuple[float, float, float] | None:
    words = {_letters(key): value for key, value in node.items()}
    for prefix in ("", "t", "pos", "loc", "location", "position"):
        axes = [words.get(prefix + axis) for axis in "xyz"]
        if all(_number(v) for v in axes):
            return tuple(float(v) for v in axes)  # type: ignore[arg-type,return-value]
    if "frame" in words or any(_number(v) for k, v in words.items() if k in FRAMES):
        return None  # its frame number must be read first
    best = _best_place(node)
    if best is not None and not any(_letters(k) in NAMES for k in node):
        return _point(node[best])
    return None


def _columns(node: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Rows of ``{"x": [...], "y": [...], "z": [...]}``."""
    words = {_letters(key): value for key, value in node.items()}
    axes = [words.get(axis) for axis in "xyz"]
    if not all(isinstance(a, list) and len(a) >= LEAST_FRAMES and all(_number(v) for v in a) for a in axes):
        return []
    if len({len(a) for a in axes if a is not None}) != 1:
        return []
    return [tuple(map(float, row)) for row in zip(*axes, strict=True)]  # type: ignore[misc]


def _transposed(node: list[Any]) -> list[tuple[float, float, float]]:
    """Rows of ``[[x, ...], [y, ...], [z, ...]]``."""
    lists = len(node) == 3 and all(isinstance(v, list) and len(v) >= LEAST_COLUMN for v in node)
    if not lists or len({len(v) for v in node}) != 1 or not all(_number(x) for v in node for x in v):
        return []
    return [tuple(map(float, row)) for row in zip(*node, strict=True)]  # type: ignore[misc]


def _point_of_text(text: str) -> tuple[float, float, float] | None:
    text = text.split("|")[0]  # Unreal's transform as text: place, rotation and scale
    named = re.findall(r"([XYZxyz])\s*[=:]\s*(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)", text)
    if len(named) == 3 and {axis.lower() for axis, _ in named} == set("xyz"):
        values = {axis.lower(): float(value) for axis, value in named}
        return values["x"], values["y"], values["z"]
    if not re.fullmatch(r"[\s\[\]\(\),;eE\d.+-]+", text):
        return None
    numbers = re.findall(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", text)
    return (float(numbers[0]), float(numbers[1]), float(numbers[2])) if len(numbers) == 3 else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _letters(key: Any) -> str:
    return re.sub(r"[^a-z]", "", str(key).lower())


Halves = dict[str, dict[int, tuple[float, float, float]]]
"""``context``, ``target`` or ``both`` to frame number to point."""


def _by_identity(leaves: list[Leaf]) -> dict[tuple[str, ...], Halves] | None:
    """Points by who, which half, which frame; None if no step counts frames."""
    places = [_frame_step(leaves, length) for length in range(max(len(steps) for steps, _ in leaves) + 1)]
    found: dict[tuple[str, ...], Halves] = defaultdict(dict)
    halves = _half_by_index(leaves, places)
    for steps, point in leaves:
        at = places[len(steps)]
        if at is None:
            continue
        half, who = "both", []
        for place, step in enumerate(steps):
            if place == at:
                continue
            if step.kind == "key" and CONTEXT.search(step.value):
                half = "context"
            elif step.kind == "key" and TARGET.search(step.value):
                half = "target"
            elif halves is not None and place == halves:
                half = "context" if step.value == "0" else "target"
            else:
                who.append(step.value)
        number = _frame_number(steps[at].value)
        assert number is not None, "the step was chosen because its values are frames"
        found[tuple(who)].setdefault(half, {})[number] = point
    return _shortened(found) if found else None


def _frame_number(text: str) -> int | None:
    """The frame that a key or index names; None if it names none."""
    found = FRAME_KEY.match(text.lower())
    return int(found[1]) if found else None


def _frame_step(leaves: list[Leaf], length: int) -> int | None:
    """Which step of ways of this length counts frames: a record's own number, or the integer step with most values."""
    ways = [steps for steps, _ in leaves if len(steps) == length]
    counts = dict[int, int]()
    for place in range(length):
        steps = [way[place] for way in ways]
        if all(step.kind != "name" and _frame_number(step.value) is not None for step in steps):
            counts[place] = len({step.value for step in steps})
    own = {place for place in counts if all(way[place].kind == "frame" for way in ways)}
    best = max(counts, key=lambda place: (counts[place], place in own, place), default=None)
    return best if best is not None and counts[best] >= LEAST_FRAMES else None


def _half_by_index(leaves: list[Leaf], frames: list[int | None]) -> int | None:
    """The outermost step if it is a list of two: context and target without their names."""
    tops = {steps[0] for steps, _ in leaves if steps}
    lists = {step.value for step in tops if step.kind == "index"}
    no_frames = all(frames[len(steps)] != 0 for steps, _ in leaves)
    return 0 if lists == {"0", "1"} and len(tops) == 2 and no_frames else None


def _shortened(found: dict[tuple[str, ...], Halves]) -> dict[tuple[str, ...], Halves]:
    """Names without what wraps everybody alike; one name alone keeps its last two parts."""
    names = list(found)
    lengths = {len(name) for name in names}
    if len(lengths) != 1:
        return {tuple(part for part in name if not WRAPPERS.match(part.lower())): h for name, h in found.items()}
    width = lengths.pop()
    same = [len({name[i] for name in names}) == 1 for i in range(width)]
    keep = [i for i in range(width) if not (same[i] and WRAPPERS.match(names[0][i].lower()))]
    return {tuple(name[i] for i in keep): halves for name, halves in found.items()}


def _whole_path(halves: Halves, num_context: int, num_target: int) -> tuple[Floats, str] | None:
    """One path over the clip from the halves that a file has; None if its frames do not fit."""
    total = num_context + num_target
    points = np.full((total, 3), np.nan)
    notes = []
    for half, count, first in (("context", num_context, 0), ("target", num_target, num_context), ("both", total, 0)):
        frames = halves.get(half)
        if not frames:
            continue
        base = _base(sorted(frames), count, first)
        if base is None:
            return None
        for number, point in frames.items():
            if 0 <= number - base < count:
                points[first + number - base] = point
        notes.append(f"{half} from {base}" if half != "both" else f"one count from {base}")
    return _filled(points), ", ".join(notes)


def _filled(points: Floats) -> Floats:
    """A path ``[T, 3]`` with its short gaps drawn straight."""
    known = np.flatnonzero(np.isfinite(points[:, 0]))
    for before, after in itertools.pairwise(known.tolist()):
        if 1 < after - before <= SHORT_GAP + 1:
            share = (np.arange(before + 1, after) - before)[:, None] / (after - before)
            points[before + 1 : after] = points[before] * (1 - share) + points[after] * share
    return points


def _base(frames: list[int], count: int, first: int) -> int | None:
    """The number of a half's first frame: of a complete count its lowest, else the usual one that holds them all."""
    low, high = frames[0], frames[-1]
    if len(frames) == count and high - low == count - 1:
        return low
    for base in (0, 1, first, first + 1):
        if base <= low and high < base + count:
            return base
    if len(frames) == high - low + 1 and count < len(frames) <= count + 2:  # a frame too many at an end
        return low
    return None
