"""``character.json`` in whatever form: 3D paths of characters, recognised by their shape rather than by a schema.

The file's schema is not documented. It is walked as a tree: whatever parses as a point is one
(`hmbench.data.character_points`), and every key or index on the way to it is a frame, a half of the clip, or part of
somebody's name.
What the numbers mean (axes, unit, first frame) is not decided here but by `hmbench.data.told_apart.readings`, which
holds them against the masks.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.character_points import LEAST_FRAMES, Leaf, half_of, leaves_of

Floats = NDArray[np.float64]
WRAPPERS = re.compile(
    r"^(characters?|actors?|subjects?|objects?|frames?|data|poses?|tracks?|paths?|transforms?|positions?|locations?|"
    r"translations?|trajector(y|ies)|coordinates|points?)$"
)
FRAME_KEY = re.compile(r"^(?:(?:frame|frm|f|img|image)[_\- ]?)?(\d+)(?:\.[a-z]{2,4})?$")
"""A key that counts frames: ``12``, ``0012``, ``frame_0012``, ``0012.png``."""
SHORT_GAP = 4
"""Frames that a file may leave out between two that it names: whoever walks is in between."""


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
    leaves = list(leaves_of(content, ()))
    if not leaves:
        return CharacterFile(problem="it holds no 3D points")
    groups = _by_identity(leaves, (num_context, num_target))
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


Halves = dict[str, dict[int, tuple[float, float, float]]]
"""``context``, ``target`` or ``both`` to frame number to point."""


def _by_identity(leaves: list[Leaf], counts: tuple[int, int]) -> dict[tuple[str, ...], Halves] | None:
    """Points by who, which half, which frame; None if no step counts frames."""
    lengths = range(max(len(steps) for steps, _ in leaves) + 1)
    places = [_frame_step(leaves, length) for length in lengths]
    found: dict[tuple[str, ...], Halves] = defaultdict(dict)
    sides = [_half_step(leaves, length, places[length], counts) for length in lengths]
    halves = _half_by_index(leaves, places)
    for steps, point in leaves:
        at = places[len(steps)]
        if at is None:
            continue
        half, who = "both", []
        for place, step in enumerate(steps):
            if place == at:
                continue
            if place == sides[len(steps)]:
                half = half_of(step.value, wide=True) or half
            elif halves is not None and place == halves:
                half = "context" if step.value == "0" else "target"
            else:
                who.append(step.value)
        number = _frame_number(steps[at].value)
        assert number is not None, "the step was chosen because its values are frames"
        found[tuple(who)].setdefault(half, {})[number] = point
    return _shortened(found) if found else None


def _half_step(leaves: list[Leaf], length: int, frames: int | None, counts: tuple[int, int]) -> int | None:
    """Which step of ways of this length says the half: all of its values do, for somebody may be called Target.

    If it names one half alone, no way has more frames than that half: else it is a name.
    """
    ways = [steps for steps, _ in leaves if len(steps) == length]
    alone = None
    for place in range(length):
        if place == frames or any(way[place].kind != "key" for way in ways):
            continue
        values = {way[place].value for way in ways}
        if {half_of(value, wide=True) for value in values} == {"context", "target"}:
            return place
        sides = {half_of(value) for value in values}
        if alone is None and len(sides) == 1 and None not in sides and frames is not None:
            most = counts[0] if sides == {"context"} else counts[1]
            if len({way[frames].value for way in ways}) <= most:
                alone = place
    return alone


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
