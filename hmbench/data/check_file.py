"""``check.json``: in which frames the engine had each character in view.

Its only public reader takes it as ``{"cond_check" | "tgt_check": {actor: {character: [{"frame": int, "inFrame":
bool}, ...]}}}``; the data set's card speaks of times at which subjects enter and leave. Both are read: a flag a frame,
flags only where they change, or events by name. What does not parse becomes a warning, never a guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Who = tuple[str, ...]
"""Keys above a list of flags: actor and character, or a character alone."""
IN_FRAME = ("inframe", "isinframe", "inview", "visible", "isvisible", "insight")
KINDS = ("event", "type", "state", "action", "status", "kind")
LEAVES = re.compile(r"exit|leav|out|disappear|hid")
RETURNS = re.compile(r"ent(e)?r|return|appear|back|^in")
GAPS = 0.8
"""A list that names this share of the frames has a flag a frame, with some missing; one that names fewer has events."""


def read_flags(content: Any, num_context: int, num_target: int, warnings: list[str]) -> dict[Who, Flags]:
    """In-frame flags ``[Tc + Tt]`` by actor and character.

    An actor that only one half lists is out of frame in the other: that is what a character's absence means.

    Args:
        content: The JSON value.
        num_context: Frames of the context.
        num_target: Frames of the target.
        warnings: Receives what did not fit.
    """
    halves: list[dict[Who, Flags]] = []
    for side, count, first in (("cond", num_context, 0), ("tgt", num_target, num_context)):
        key = _half_key(content, side)
        found = {}
        for who, entries in _lists(content[key], ()) if key is not None else ():
            parsed = _one_list(entries, count, first)
            name = "/".join(who)
            if parsed is None:
                warnings.append(
                    f"check.json, {key}: the entries of {name!r} do not parse or do not cover {count} frames"
                )
                continue
            flags, missing = parsed
            found[who] = flags
            if missing:
                warnings.append(f"check.json, {key}: {missing} frames of {name!r} are missing and taken from the last")
        halves.append(found)
    if not halves[0] and not halves[1]:
        warnings.append("check.json has no in-frame flags that could be read")
        return {}
    everybody = list(dict.fromkeys([*halves[0], *halves[1]]))
    for who in everybody:
        absent = [side for side, half in zip(("context", "target"), halves, strict=True) if who not in half]
        if absent:
            warnings.append(f"check.json does not list {'/'.join(who)} in the {absent[0]}")
    counts = (num_context, num_target)
    return {
        who: np.concatenate([half.get(who, np.zeros(n, np.bool_)) for half, n in zip(halves, counts, strict=True)])
        for who in everybody
    }


def _half_key(content: Any, side: str) -> str | None:
    words = {"cond": ("cond", "context", "ctx"), "tgt": ("tgt", "target")}[side]
    if not isinstance(content, dict):
        return None
    return next((key for key in content if str(key).lower().startswith(words)), None)


def _lists(node: Any, who: Who) -> Iterator[tuple[Who, Any]]:
    """Every list of entries (or object of event lists) below a node, with the keys above it."""
    if isinstance(node, list):
        yield who, node
    elif isinstance(node, dict):
        if (
            node
            and all(isinstance(v, list) and all(isinstance(x, int) for x in v) for v in node.values())
            and all(LEAVES.search(str(k).lower()) or RETURNS.search(str(k).lower()) for k in node)
        ):  # {"exit": [30], "enter": [60]}
            yield who, [{"frame": frame, "event": kind} for kind, frames in node.items() for frame in frames]
        else:
            for key, value in node.items():
                yield from _lists(value, (*who, str(key)))


def _one_list(entries: Any, count: int, first: int) -> tuple[Flags, int] | None:
    """Flags of one character and how many frames were missing; frames count from 0, from 1, or go on."""
    known: dict[int, bool] = {}
    named = False
    for entry in entries:
        pair = _entry(entry)
        if pair is None:
            return None
        known[pair[0]] = pair[1]
        named |= pair[2]
    if not known or len(known) != len(entries):
        return None
    frames = sorted(known)
    base = _base(frames, count, first)
    if base is None:
        return None
    flags = np.zeros(count, np.bool_)
    state = not known[frames[0]] if named else known[frames[0]]
    for frame in range(count):
        state = known.get(frame + base, state)
        flags[frame] = state
    complete = len(frames) >= GAPS * count
    if not complete and not named and not _changes(known, base):
        return None
    return flags, count - len(frames) if complete else 0


def _changes(known: dict[int, bool], base: int) -> bool:
    """Whether a list names its first frame and then only frames at which the flag changes."""
    values = [known[frame] for frame in sorted(known)]
    return min(known) == base and all(a != b for a, b in itertools.pairwise(values))


def _base(frames: list[int], count: int, first: int) -> int | None:
    if frames[-1] - frames[0] == count - 1:
        return frames[0]
    return next((base for base in (0, 1, first, first + 1) if base <= frames[0] and frames[-1] < base + count), None)


def _entry(entry: Any) -> tuple[int, bool, bool] | None:
    """Frame, whether it is in frame from there on, and whether that was said by an event's name."""
    if not isinstance(entry, dict):
        return None
    words = {re.sub(r"[^a-z]", "", str(key).lower()): value for key, value in entry.items()}
    frame = words.get("frame", words.get("frameid", words.get("frameindex")))
    if isinstance(frame, bool) or not isinstance(frame, int):
        return None
    for key in IN_FRAME:
        if key in words and isinstance(words[key], bool | int):
            return frame, bool(words[key]), False
    for key in KINDS:
        text = str(words.get(key, "")).lower()
        if LEAVES.search(text):
            return frame, False, True
        if RETURNS.search(text):
            return frame, True, True
    return None
