"""Label maps in whatever form people have them: who is where, frame by frame, as numbers that stay with a subject.

============================ ===================================================================================
``masks.mkv``                hmbench's own form: grey FFV1, the pixel's value is the label
``masks/00000.png`` ...      a picture a frame: grey or palette index is the label (SAM 2, DAVIS), or a colour a subject
``masks/NAME/00000.png`` ... a folder a subject, whatever is not black is the subject
``masks.npz``, ``.npy``      an array ``[T, H, W]`` of whole numbers
``masks.json``               COCO run lengths: ``annotations`` with ``image_id`` and ``track_id``, or with
                             ``segmentations`` (YouTube-VIS)
============================ ===================================================================================

Labels become 1, 2, ... in the order of their numbers, names or colours. Frames count over the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.array_files import read_array
from hmbench.data.label_pictures import MOST_PIXELS, number_in_name, read_pictures
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json
from hmbench.types import LabelMaps
from hmbench.video.files import MAX_LABELS, read_labels

STEM = "masks"
SUFFIXES = (".mkv", ".npz", ".npy", ".json")
VOID = 255
"""Label of pixels that nobody judges in DAVIS and YouTube-VOS; alone, or beside numbers as large, it is a subject."""


class Labels(NamedTuple):
    """Label maps and what they call subjects."""

    maps: LabelMaps
    """``[T, H, W]``: 0 is the background, then 1, 2, ..."""
    names: dict[int, str]
    """Label to name, where the form has names."""


def label_path(folder: Path, stem: str = STEM) -> Path | None:
    """Where label maps of a clip are, or None: ``masks.mkv`` first, then the other forms."""
    candidates = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    return next((path for path in [*candidates, folder / stem] if path.is_file() or path.is_dir()), None)


def read_label_maps(path: Path, frames: int | None = None) -> Labels:
    """Label maps in any form.

    Args:
        path: File or folder.
        frames: How many there must be; None for as many as there are.

    Raises:
        SampleError: If they cannot be read, have another length, or more labels than a clip has subjects.
    """
    if path.suffix == ".mkv":
        found = Labels(read_labels(path, frames=frames), {})
    elif path.is_dir():
        found = _folder(path)
    elif path.suffix == ".json":
        found = _coco(path, frames)
    else:
        found = _numbered(_array(path), path)
    if frames is not None and len(found.maps) != frames:
        raise SampleError(
            f"{path} has label maps of {len(found.maps)} frames, the clip {frames}.",
            "They count over the whole clip, context and target.",
        )
    return found


def _array(path: Path) -> NDArray[Any]:
    array = read_array(path, ("maps", "masks", "labels"), most=8 * MOST_PIXELS)
    if array.ndim != 3 or array.dtype.kind not in "iub" or array.size > MOST_PIXELS:
        raise SampleError(
            f"{path} is no label map: {array.dtype} {list(array.shape)}.", "It must be [T, H, W] of whole numbers."
        )
    return array


def _numbered(maps: NDArray[Any], path: Path, names: dict[int, str] | None = None) -> Labels:
    """Maps with the labels 1, 2, ... in order."""
    values = np.flatnonzero(np.bincount(maps.ravel(), minlength=256)) if maps.dtype == np.uint8 else np.unique(maps)
    values = values[values != 0]
    others = values[values != VOID]
    if (values < 0).any() or (0 < len(others) < len(values) and others.max() <= MAX_LABELS):
        strange = int(values.min()) if (values < 0).any() else VOID
        raise SampleError(
            f"{path} has the label {strange} beside {len(values) - 1} more: data sets write it where nobody is judged.",
            "Write 0 for the background, and 1, 2, ... for subjects.",
        )
    if len(values) > MAX_LABELS:
        raise SampleError(
            f"{path} has {len(values)} labels, more than {MAX_LABELS}: it is no map of subjects.",
            "A label map has 0 for the background and one number for each subject.",
        )
    out = np.zeros(maps.shape, np.uint8)
    for label, value in enumerate(values.tolist(), 1):
        out[maps == value] = label
    named = {label: names[int(value)] for label, value in enumerate(values.tolist(), 1) if names and value in names}
    return Labels(out, named)


def _folder(path: Path) -> Labels:
    subjects = sorted((p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".")), key=number_in_name)
    if not subjects:
        return _coloured(read_pictures(path), path)
    stacks = [read_pictures(one) for one in subjects]
    if len({stack.shape[:3] for stack in stacks}) > 1:
        raise SampleError(f"The folders in {path} have unequal numbers or sizes of pictures.", "One a frame in each.")
    if len(subjects) > MAX_LABELS:
        raise SampleError(f"{path} has {len(subjects)} subjects, more than {MAX_LABELS}.", "Leave some out.")
    maps = np.zeros(stacks[0].shape[:3], np.uint8)
    for label, stack in reversed(list(enumerate(stacks, 1))):  # where two overlap, the first one is in front
        maps[stack > 0 if stack.ndim == 3 else stack.any(axis=3)] = label
    named = {n: one.name for n, one in enumerate(subjects, 1) if not one.name.isdecimal()}
    return Labels(maps, named)


def _coloured(pictures: NDArray[Any], path: Path) -> Labels:
    if pictures.ndim == 4:  # a colour a subject
        red, green, blue = (pictures[..., channel].astype(np.int32) for channel in range(3))
        pictures = (red << 16) | (green << 8) | blue
    return _numbered(pictures, path)


def _coco(path: Path, frames: int | None) -> Labels:
    try:
        content = read_json(path, kind=dict)
        pieces = list(_pieces(content, frames))
        if not pieces:
            raise ValueError("it has no segmentation")
        height, width = (int(side) for side in pieces[0][2]["size"])
        count = frames or max(frame for _, frame, _ in pieces) + 1
        if height * width * count > MOST_PIXELS or min(height, width, count) < 1:
            raise ValueError(f"{count} frames of {height}x{width}")
        order = {who: n for n, who in enumerate(sorted({p[0] for p in pieces}, key=str), 1)}
        if len(order) > MAX_LABELS:
            raise ValueError(f"{len(order)} subjects, more than {MAX_LABELS}")
        maps = np.zeros((count, height, width), np.uint8)
        for who, frame, run in pieces:
            if not 0 <= frame < count or list(run["size"]) != [height, width]:
                raise ValueError(f"a segmentation of frame {frame} and size {run['size']} in {count} frames")
            maps[frame][decode_runs(run["counts"], height, width)] = order[who]
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SampleError(
            f"{path} is no COCO file of run lengths: {error}.",
            "It needs annotations with track_id, image_id (the frame, from 0) and segmentation {size, counts}.",
        ) from error
    return _numbered(maps, path, {n: who for who, n in order.items() if isinstance(who, str)})


def _pieces(content: dict[str, Any], frames: int | None) -> Iterable[tuple[Any, int, dict[str, Any]]]:
    """(subject, frame, run lengths) of every annotation; images are frames in the order of their ids.

    Raises:
        ValueError: If images are listed, and not one for each frame: those that are left out move the ones behind them.
    """
    listed = {int(image["id"]): image for image in content.get("images", [])}
    images = sorted(listed)
    if images and frames is not None and len(images) != frames:
        raise ValueError(f"{len(images)} images for {frames} frames: list every frame, also where nobody is seen")
    names = [listed[number].get("file_name") for number in images]
    if all(isinstance(name, str) for name in names) and names != [p.as_posix() for p in _by_number(names)]:
        raise ValueError("the names of its images have another order than their ids")
    place = {number: n for n, number in enumerate(images)}
    for one in content["annotations"]:
        who = next((one[key] for key in ("track_id", "instance_id", "id") if key in one), None)
        if "segmentations" in one:
            yield from ((who, n, run) for n, run in enumerate(one["segmentations"]) if run)
        elif isinstance(one["segmentation"], dict):
            number = int(one["image_id"])
            yield who, place.get(number, number), one["segmentation"]


def _by_number(names: Sequence[str]) -> list[Path]:
    return sorted(map(Path, names), key=lambda path: (path.parent, number_in_name(path)))


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """A mask ``[H, W]`` from COCO's run lengths, plain or compressed: column by column, background first.

    Raises:
        ValueError: If the runs do not fill the picture.
    """
    runs = _plain_runs(counts) if isinstance(counts, str) else [int(c) for c in counts]
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise ValueError(f"runs of {sum(runs)} pixels for a picture of {height * width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(flat.reshape(width, height).T, np.bool_)


def _plain_runs(text: str) -> list[int]:
    """COCO's compressed form: five bits a character, low first; from the fourth run on the difference to two before."""
    runs: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            bits = ord(text[place]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place, shift = place + 1, shift + 5
            if not more and bits & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
