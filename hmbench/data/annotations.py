"""What a sample's small files say of its subjects: ``check.json``, ``character.json`` and our own ``truth.json``.

The schemas of the first two are not documented: `hmbench.data.check_file` and `hmbench.data.characters` read them by
their shape. Here the two lists are brought together: every actor of either file is a subject, so that two actors of one
character are two, and one that a file forgets is not lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hmbench.data.characters import CharacterFile, CharacterPath, read_characters
from hmbench.data.check_file import Flags, Who, read_flags
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json
from hmbench.subject_names import NAMES_VERSION, current_name
from hmbench.types import Category, SubjectTruth
from hmbench.video.events import visible_frames

Floats = NDArray[np.float64]
NOTES_FILE = "notes.json"
_MOST = 1e9
"""Metres or pixels: whatever is larger is none, and overflows where it is squared."""
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
class Actor:
    """One subject as ``check.json`` and ``character.json`` list it."""

    name: str
    """Its character; with the actor where two wear the same."""
    flags: Flags | None = None
    """In-frame flags, ``[Tc + Tt]``; None where ``check.json`` does not list it."""
    path: Floats | None = None
    """Positions in the file's own axes and unit, ``[Tc + Tt, 3]``, NaN where it is silent; None if it has none."""


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Everything the small files of one sample say."""

    actors: tuple[Actor, ...] = ()
    """Everybody that HM-World's own files list."""
    listed: tuple[Actor, ...] = ()
    """Everybody that ``check.json`` lists, where ``character.json`` names none of them."""
    path_note: str = ""
    """How the frames of ``character.json`` were read."""

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


def read_annotations(
    folder: Path, num_context: int, num_target: int, size: tuple[int, int] | None = None
) -> Annotations:
    """Reads ``truth.json`` if it is there, else ``check.json`` and ``character.json`` as far as they parse.

    Args:
        folder: The sample's folder.
        num_context: Frames of the context.
        num_target: Frames of the target.
        size: (height, width) of the clip, which the lens of ``truth.json`` must be of; None for any.

    Raises:
        SampleError: If one of the files is no JSON, or ``truth.json`` is of another clip or size.
    """
    warnings: list[str] = []
    own = read_notes(folder)
    check = _json(folder / "check.json", warnings)
    flags = read_flags(check, num_context, num_target, warnings) if check is not None else {}
    truth = folder / "truth.json"
    if truth.is_file():
        content = _json(truth, warnings)
        mine = {current_name(who[-1]): found for who, found in flags.items()}
        return _from_truth(content, mine, (num_context, num_target), str(truth), size)
    character = _json(folder / "character.json", warnings)
    known = read_characters(character, num_context, num_target) if character is not None else CharacterFile()
    if known.problem:
        warnings.append(f"character.json has no positions that could be read: {known.problem}")
    actors = _actors(flags, known, warnings)
    nameless = bool(actors) and bool(flags) and all(actor.flags is None for actor in actors)
    names = tuple(actor.name for actor in actors)
    if own is not None:  # an imported clip has none of HM-World's files, and need not be told so
        warnings = [one for one in warnings if one not in ("no check.json", "no character.json")]
    return Annotations(
        actors=actors,
        listed=_actors(flags, CharacterFile(), []) if nameless else (),
        names=names,
        flags={actor.name: actor.flags for actor in actors if actor.flags is not None},
        path_note=known.note,
        notes={} if own is None else {label: SubjectNote(name=name) for label, name in own.names.items()},
        focal=None if own is None else own.focal,
        warnings=(*warnings, *(own.warnings if own else ())),
    )


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What hmbench wrote beside a clip that it imported or made masks for (``notes.json``)."""

    warnings: tuple[str, ...] = ()
    """What was done to the clip, and what was assumed."""
    names: dict[int, str] = field(default_factory=dict)
    """Label to name."""
    focal: float | None = None
    """Focal length in pixels."""
    cameras: str = "given"
    """``none`` if nobody gave cameras and the clip's is taken as standing still."""


def read_notes(folder: Path) -> Notes | None:
    """The notes beside a clip; None without any.

    Raises:
        SampleError: If they are damaged.
    """
    path = folder / NOTES_FILE
    if not path.is_file():
        return None
    try:
        content = read_json(path, kind=dict)
        return Notes(
            warnings=tuple(str(one) for one in content.get("warnings", [])),
            names={int(label): str(name) for label, name in content.get("names", {}).items()},
            focal=None if content.get("focal") is None else _focal(content["focal"]),
            cameras=str(content.get("cameras", "given")),
        )
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise SampleError(f"{path} does not parse: {error!r}.", "Import the clip again.") from error


def _actors(flags: dict[Who, Flags], known: CharacterFile, warnings: list[str]) -> tuple[Actor, ...]:
    """Everybody that either file lists, the two files' entries brought together by their names."""
    pairs: list[tuple[Who, Flags | None, Floats | None]] = []
    free = list(known.paths)
    for who, found in flags.items():
        fits = _same(who, free, flags)
        free = [path for path in free if path not in fits]
        if len(fits) > 1:  # which of them is its place, nobody says
            shown = ", ".join(sorted("/".join(path.name) for path in fits)[:4])
            warnings.append(f"character.json has several points a frame of {'/'.join(who)} ({shown}): none is taken")
        pairs.append((who, found, fits[0].points if len(fits) == 1 else None))
    if free and len(free) == len(known.paths) and flags:
        warnings.append("check.json and character.json have no name in common")
        if len(free) >= len(flags):  # whoever they are, positions tell them apart and flags only counted them
            pairs = []
    pairs += [(path.name, None, path.points) for path in free]
    named = [_shown(who) for who, _, _ in pairs]
    return tuple(Actor(name=_unique(named, i), flags=found, path=path) for i, (_, found, path) in enumerate(pairs))


def _same(who: Who, paths: list[CharacterPath], everybody: dict[Who, Flags]) -> list[CharacterPath]:
    """The one path whose name has all parts of this name; failing that, the parts that no other actor has.

    Several, if they are points of this one alone; none, if no path has its name.
    """
    words = [part.lower() for part in who]
    own = [w for w in words if sum(w in [p.lower() for p in other] for other in everybody) == 1]
    several: list[CharacterPath] = []
    for wanted in (words, own, *([word] for word in own)):
        fits = [p for p in paths if wanted and all(_has(p, word) for word in wanted)]
        if len(fits) == 1:
            return fits
        several = several or (fits if set(wanted) & set(own) else [])
    return several


def _has(path: CharacterPath, word: str) -> bool:
    parts = [part.lower() for part in path.name]
    return word in parts or any(re.search(rf"(^|[^a-z0-9]){re.escape(word)}([^a-z0-9]|$)", part) for part in parts)


def _shown(who: Who) -> tuple[str, str]:
    """Character, and the rest of the name that tells two of one character apart."""
    return (who[-1], "/".join(who[:-1])) if who else ("subject", "")


def _unique(names: list[tuple[str, str]], index: int) -> str:
    name, rest = names[index]
    if sum(other == name for other, _ in names) == 1:
        return name
    return f"{name} ({rest})" if sum(other == (name, rest) for other in names) == 1 else f"{name} #{index + 1}"


def _json(path: Path, warnings: list[str]) -> Any:
    if not path.is_file():
        if path.name != "truth.json":
            warnings.append(f"no {path.name}")
        return None
    try:
        return read_json(path)
    except UserError as error:
        raise SampleError(error.what, error.hint) from error


def _from_truth(
    content: Any, flags: dict[str, NDArray[np.bool_]], halves: tuple[int, int], where: str, size: tuple[int, int] | None
) -> Annotations:
    """Our own file; it is written by hmbench, so anything unexpected in it is an error."""
    count = sum(halves)
    try:
        if content.get("num_context", halves[0]) != halves[0]:
            raise ValueError(f"it is of a clip with {content['num_context']} context frames, this one has {halves[0]}")
        renamed = content.get("names", 1) < NAMES_VERSION
        notes = {int(entry["label"]): _note(entry, count, renamed) for entry in content["subjects"]}
        if len(notes) < len(content["subjects"]):
            raise ValueError("two subjects have one label")
        lens = content["intrinsics"]
        if size is not None and (lens.get("height", size[0]), lens.get("width", size[1])) != size:
            raise ValueError(
                f"its focal length is of pictures of {lens.get('width')}x{lens.get('height')}, the clip has "
                f"{size[1]}x{size[0]}"
            )
        return Annotations(
            notes=notes,
            names=tuple(note.name for note in notes.values()),
            separate=True,
            cell=content.get("cell"),
            focal=_focal(content["intrinsics"]["focal"]),
            flags=flags,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SampleError(f"{where} does not parse: {error!r}.", "Make the sample again.") from error


def _focal(value: Any) -> float:
    """A focal length in pixels, which projects subjects; any number that is none would do so wrongly."""
    focal = float(value)
    if isinstance(value, bool | str) or not 1 <= focal <= 1e6:
        raise ValueError(f"a focal length of {value!r} pixels")
    return focal


def _note(entry: dict[str, Any], count: int, renamed: bool) -> SubjectNote:
    arrays = {
        key: np.asarray(entry[key], dtype=np.float64) if entry.get(key) is not None else None
        for key in ("positions", "amodal_area")
    }
    for key, array in arrays.items():
        if array is not None and len(array) != count:
            raise ValueError(f"{key} has {len(array)} entries for {count} frames")
        if array is not None and array.shape[1:] != ((3,) if key == "positions" else ()):
            raise ValueError(f"{key} has the shape {list(array.shape)}")
        if array is not None and np.nanmax(np.abs(array), initial=0) > _MOST:
            raise ValueError(f"{key} has a number beyond {_MOST:g}")
    if entry["category"] not in get_args(Category):
        raise ValueError(f"unknown category {entry['category']!r}")
    return SubjectNote(
        name=current_name(str(entry["name"])) if renamed else str(entry["name"]),
        category=cast(Category, entry["category"]),
        positions=arrays["positions"],
        amodal_area=arrays["amodal_area"],
    )


def _eroded(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Runs longer than `AGREEMENT`, shortened by it: disagreement that is more than a shifted edge."""
    padded = np.concatenate([[False] * AGREEMENT, flags])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, AGREEMENT + 1).all(axis=1), dtype=np.bool_)
