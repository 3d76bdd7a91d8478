"""Points in JSON of an unknown schema: whatever parses as one, with the way to it.

Three numbers, an object with x, y and z, a transform, a matrix, Unreal's ``X=.. Y=.. Z=..`` are points; rotations,
scales and velocities beside them are passed over. `hmbench.data.characters` makes paths of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

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
COMPOUND = re.compile(
    r"^(?:world|global|abs|absolute|actor|character|body|component|unreal|ue)?"
    r"(?:location|position|translation|coordinates?|coords?|pos|loc|xyz|center|centre)"
    r"(?:world|global|abs|absolute|3d|ws|wcs|cm|mm|m|meters?|unreal|ue)?$"
)
"""A place with where or in what it is measured: ``position_world``, ``location3d``; lower case, without separators."""
FRAME_LISTS = ("frames", "frameids", "frameindices", "frameidx", "framenumbers", "frame", "indices", "index")
"""Names of a list that numbers the points of a list beside it."""
HALF_FIELDS = ("half", "part", "segment", "phase", "split", "section")
"""A record's field that says in which half of the clip it lies."""
FRAMES = ("frame", "frameid", "frameindex", "frameidx", "framenumber", "index", "idx", "time", "step")
NAMES = ("actor", "actorname", "actorid", "character", "charactername", "name", "id", "subject", "label")
_CONTEXT, _TARGET = "cond|condition|context|ctx|past|history|source|src", "tgt|target|future|gt|next"
CONTEXT = re.compile(rf"^(?i:{_CONTEXT})(?:$|[_\-. ]|(?=[A-Z]))|[_\-. ](?i:{_CONTEXT})$")
TARGET = re.compile(rf"^(?i:{_TARGET})(?:$|[_\-. ]|(?=[A-Z]))|[_\-. ](?i:{_TARGET})$")
OTHER_HALVES = (
    ("first", "pre", "before", "input", "history", "given", "observed", "seen", "known"),
    ("second", "post", "after", "output", "prediction", "predicted", "pred", "generated", "unseen", "unknown"),
)
"""Whole keys that mean context and target only where both kinds stand side by side."""
LEAST_FRAMES = 5
LEAST_COLUMN = 8
"""Numbers from which on each of three lists is a coordinate over time, and not a point or a row of a matrix."""


class Step(NamedTuple):
    """One key, index or field on the way to a point."""

    kind: str
    """``key``, ``index`` (of a list), ``frame`` (a record's own field) or ``name`` (a record's own field)."""
    value: str


Leaf = tuple[tuple[Step, ...], tuple[float, float, float]]


def leaves_of(node: Any, steps: tuple[Step, ...]) -> Iterator[Leaf]:
    """Every point below a node, with the way to it."""
    if isinstance(node, dict):
        yield from _leaves_of_object(node, steps)
    elif (point := _point(node)) is not None:
        yield steps, point
    elif isinstance(node, list):
        for index, row in enumerate(_transposed(node)):
            yield (*steps, Step("index", str(index))), row
        fields = [_fields(value)[0] if isinstance(value, dict) else () for value in node]
        names = [tuple(step.value for step in own if step.kind == "name") for own in fields]
        apart = len(set(names)) == len(names)  # names that come again and again are no places in the list
        for index, (value, own) in enumerate(zip(node, fields, strict=True)):
            numbered = any(step.kind == "frame" for step in own)
            step = () if numbered or (names[index] and apart) else (Step("index", str(index)),)
            yield from leaves_of(value, (*steps, *step))


def _leaves_of_object(node: dict[str, Any], steps: tuple[Step, ...]) -> Iterator[Leaf]:
    own, skip = _fields(node)
    steps = (*steps, *own)
    point = _point({key: value for key, value in node.items() if key not in skip})  # its own fields are read first
    if point is not None:
        yield steps, point
        return
    columns, numbers = _columns(node), _frame_list(node)
    for index, row in enumerate(columns):
        counted = numbers is not None and len(numbers) == len(columns)
        yield (*steps, Step("frame", str(numbers[index])) if counted else Step("index", str(index))), row  # type: ignore[index]
    best = None if columns else _best_place(node)
    for key, value in node.items() if not columns else ():
        word = _letters(key)
        beside = best is not None and key != best and (word in PLACES or _is_beside(word, value))
        if key in skip or beside:
            continue
        step = () if key == best or word in TRANSFORMS else (Step("key", str(key)),)
        if numbers is not None and isinstance(value, list) and len(value) == len(numbers):
            for number, item in zip(numbers, value, strict=True):
                yield from leaves_of(item, (*steps, *step, Step("frame", str(number))))
        else:
            yield from leaves_of(value, (*steps, *step))


def _frame_list(record: dict[str, Any]) -> list[int] | None:
    """The numbers of ``{"frames": [3, 4, ...], "positions": [[...], [...], ...]}``."""
    lists = [v for k, v in record.items() if _letters(k) in FRAME_LISTS and isinstance(v, list)]
    return next((found for found in lists if len(found) >= LEAST_FRAMES and _counts_up(found)), None)


def _counts_up(numbers: list[Any]) -> bool:
    whole = all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in numbers)
    return whole and len(set(numbers)) == len(numbers)


def _fields(record: dict[str, Any]) -> tuple[tuple[Step, ...], set[str]]:
    """A record's own frame number and names, and the keys that hold them."""
    steps, used = list[Step](), set[str]()
    for key, value in record.items():
        word = _letters(key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if word in FRAMES and (whole or (isinstance(value, str) and value.isdecimal())):
            if not any(step.kind == "frame" for step in steps):
                steps.append(Step("frame", str(int(value))))
            used.add(key)
        elif word in NAMES and (isinstance(value, str) or whole):
            steps.append(Step("name", str(value)))
            used.add(key)
        elif word in HALF_FIELDS and isinstance(value, str) and half_of(value) is not None:
            steps.append(Step("key", value))
            used.add(key)
    return tuple(steps), used


def _is_beside(word: str, value: Any) -> bool:
    """Whether what stands in a record beside a place is none: a rotation, a box, or three more numbers of any name."""
    return NO_PLACES.search(word) is not None or _point(value) is not None


def _best_place(record: dict[str, Any]) -> str | None:
    """The key of a record that holds its place, by the order of `PLACES`."""
    words = {_letters(key): key for key in record}
    named = next((words[form] for place in PLACES for form in (place, f"{place}s") if form in words), None)
    if named is not None:
        return named
    longer = [key for key in record if COMPOUND.match(_word(key)) and _point(record[key]) is not None]
    return min(longer, key=lambda key: ("world" not in _word(key), list(record).index(key)), default=None)


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
    for prefix in ("", "t", "pos", "loc", "location", "position", "translation", "world", "p", "center"):
        axes = [_as_number(words.get(prefix + axis)) for axis in "xyz"]
        if all(v is not None for v in axes):
            return tuple(axes)  # type: ignore[return-value]
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


def _as_number(value: Any) -> float | None:
    """A number, or a text that is one; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?\s*", value):
        return float(value)
    return float(value) if _number(value) else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _word(key: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(key).lower())


def _letters(key: Any) -> str:
    return re.sub(r"[^a-z]", "", str(key).lower())


def half_of(key: str, *, wide: bool = False) -> str | None:
    """``context`` or ``target`` if a key means that half of a clip; `wide` takes words that often mean other things."""
    if CONTEXT.search(key):
        return "context"
    if TARGET.search(key):
        return "target"
    sides = zip(("context", "target"), OTHER_HALVES, strict=True)
    return next((side for side, words in sides if wide and key.lower() in words), None)
