"""What a sample's small files say of its subjects: ``check.json``, ``character.json`` and our own ``truth.json``.

The schemas of the first two are not documented. ``check.json`` is read as its only public reader reads it
(``{"cond_check" | "tgt_check": {actor: {character: [{"frame": int, "inFrame": bool}, ...]}}}``); of ``character.json``
only positions that can be recognised are used. What does not parse becomes a warning of the sample, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hmbench.data.cameras import point_from_unreal
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json
from hmbench.types import Category, SubjectTruth
from hmbench.video.events import visible_frames

Floats = NDArray[np.float64]
AGREEMENT = 3
"""Frames by which the engine's in-frame flags may differ from the masks at an exit or entry: the flags test a centre or
a bounding volume, the masks visible pixels."""


@dataclass(frozen=True, kw_only=True)
class SubjectNote:
    """What the files say of one subject."""

    name: str
    """Its name."""
    category: Category = "unknown"
    """Its kind."""
    positions: Floats | None = None
    """World positions in metres, ``[Tc + Tt, 3]``."""
    amodal_area: Floats | None = None
    """Pixels inside the frame if nothing occluded it, ``[Tc + Tt]``."""


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Everything the small files of one sample say."""

    notes: dict[int, SubjectNote] = field(default_factory=dict)
    """Label to note; only where labels are known to belong to names."""
    names: tuple[str, ...] = ()
    """Names of all subjects."""
    separate: bool = False
    """Whether label maps tell subjects apart."""
    cell: str | None = None
    """Cell of the split."""
    focal: float | None = None
    """Focal length in pixels, where it is known exactly."""
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    """In-frame flags by name, ``[Tc + Tt]``."""
    warnings: tuple[str, ...] = ()
    """What did not fit."""

    def subject(self, label: int) -> SubjectNote:
        """The note on a label; one with a made-up name if the files are silent."""
        if label in self.notes:
            return self.notes[label]
        if len(self.names) == 1:
            return SubjectNote(name=self.names[0])
        return SubjectNote(name=f"subject-{label}" if self.separate else "all-subjects")

    def disagreements(self, subjects: tuple[SubjectTruth, ...], pixels: int) -> list[str]:
        """Sentences on subjects whose in-frame flags contradict their masks beyond the edges of a visibility run."""
        sentences = []
        by_name = {subject.name: subject for subject in subjects}
        for name, flags in self.flags.items():
            if name not in by_name:
                continue
            seen = visible_frames(by_name[name].visible_area, pixels)
            wrong = int((_eroded(flags & ~seen) | _eroded(seen & ~flags)).sum())
            if wrong:
                sentences.append(f"check.json contradicts the masks of {name} in at least {wrong} frames")
        return sentences


def read_annotations(folder: Path, num_context: int, num_target: int) -> Annotations:
    """Reads ``truth.json`` if it is there, else ``check.json`` and ``character.json`` as far as they parse.

    Raises:
        SampleError: If one of the files is no JSON.
    """
    count = num_context + num_target
    warnings: list[str] = []
    check = _json(folder / "check.json", warnings)
    flags = _flags(check, num_context, num_target, warnings) if check is not None else {}
    truth = folder / "truth.json"
    if truth.is_file():
        return _from_truth(_json(truth, warnings), flags, count, str(truth))
    character = _json(folder / "character.json", warnings)
    positions = _positions(character, num_context, num_target, warnings) if character is not None else {}
    names = tuple(sorted(flags or positions))
    notes = {1: SubjectNote(name=names[0], positions=positions.get(names[0]))} if len(names) == 1 else {}
    return Annotations(notes=notes, names=names, flags=flags, warnings=tuple(warnings))


def _json(path: Path, warnings: list[str]) -> Any:
    if not path.is_file():
        if path.name != "truth.json":
            warnings.append(f"no {path.name}")
        return None
    try:
        return read_json(path)
    except UserError as error:
        raise SampleError(error.what, error.hint) from error


def _flags(content: Any, num_context: int, num_target: int, warnings: list[str]) -> dict[str, NDArray[np.bool_]]:
    """In-frame flags by character, over context and target."""
    halves = []
    for key, count in (("cond_check", num_context), ("tgt_check", num_target)):
        half: dict[str, NDArray[np.bool_]] = {}
        for name, entries in _characters(content, key):
            parsed = _one_flag_list(entries, count)
            if parsed is None:
                warnings.append(
                    f"check.json, {key}: the entries of {name!r} do not parse or do not cover {count} frames"
                )
            else:
                half[name] = parsed
        halves.append(half)
    if not halves[0] and not halves[1]:
        warnings.append("check.json has no in-frame flags that could be read")
    shared = sorted(set(halves[0]) & set(halves[1]))
    return {name: np.concatenate([halves[0][name], halves[1][name]]) for name in shared}


def _characters(content: Any, key: str) -> list[tuple[str, Any]]:
    half = content.get(key) if isinstance(content, dict) else None
    if not isinstance(half, dict):
        return []
    return [
        (str(name), entries) for actor in half.values() if isinstance(actor, dict) for name, entries in actor.items()
    ]


def _one_flag_list(entries: Any, count: int) -> NDArray[np.bool_] | None:
    """Flags of one character; frames may count from 0 or from 1, or go on from the context."""
    try:
        frames = np.array([int(entry["frame"]) for entry in entries])
        inside = np.array([bool(entry["inFrame"]) for entry in entries])
    except (TypeError, KeyError, ValueError):
        return None
    if len(frames) != count or not np.array_equal(np.sort(frames), np.arange(frames.min(), frames.min() + count)):
        return None
    return np.asarray(inside[np.argsort(frames)], dtype=np.bool_)


def _positions(content: Any, num_context: int, num_target: int, warnings: list[str]) -> dict[str, Floats]:
    """World positions by character, from ``{"cond_character" | "tgt_character": {name: {frame: [x, y, z]}}}``."""
    halves: list[dict[str, Floats]] = []
    for side, count in (("cond", num_context), ("tgt", num_target)):
        key = next((k for k in content if str(k).startswith(side)), None) if isinstance(content, dict) else None
        half = content[key] if key is not None else None
        found = {}
        for name, frames in half.items() if isinstance(half, dict) else []:
            parsed = _one_path(frames, count)
            if parsed is not None:
                found[str(name)] = parsed
        halves.append(found)
    shared = sorted(set(halves[0]) & set(halves[1]))
    if not shared:
        warnings.append("character.json has no positions that could be read")
    return {name: point_from_unreal(np.concatenate([halves[0][name], halves[1][name]])) for name in shared}


def _one_path(frames: Any, count: int) -> Floats | None:
    if not isinstance(frames, dict) or not {str(i) for i in range(count)} <= set(frames):
        return None
    try:
        path = np.array([frames[str(i)] for i in range(count)], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return path if path.shape == (count, 3) else None


def _from_truth(content: Any, flags: dict[str, NDArray[np.bool_]], count: int, where: str) -> Annotations:
    """Our own file; it is written by hmbench, so anything unexpected in it is an error."""
    try:
        notes = {int(entry["label"]): _note(entry, count) for entry in content["subjects"]}
        return Annotations(
            notes=notes,
            names=tuple(note.name for note in notes.values()),
            separate=True,
            cell=content.get("cell"),
            focal=float(content["intrinsics"]["focal"]),
            flags=flags,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SampleError(f"{where} does not parse: {error!r}.", "Make the sample again.") from error


def _note(entry: dict[str, Any], count: int) -> SubjectNote:
    arrays = {
        key: np.asarray(entry[key], dtype=np.float64) if entry.get(key) is not None else None
        for key in ("positions", "amodal_area")
    }
    for key, array in arrays.items():
        if array is not None and len(array) != count:
            raise ValueError(f"{key} has {len(array)} entries for {count} frames")
    if entry["category"] not in get_args(Category):
        raise ValueError(f"unknown category {entry['category']!r}")
    return SubjectNote(
        name=str(entry["name"]),
        category=cast(Category, entry["category"]),
        positions=arrays["positions"],
        amodal_area=arrays["amodal_area"],
    )


def _eroded(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Runs longer than `AGREEMENT`, shortened by it: disagreement that is more than a shifted edge."""
    padded = np.concatenate([[False] * AGREEMENT, flags])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, AGREEMENT + 1).all(axis=1), dtype=np.bool_)
