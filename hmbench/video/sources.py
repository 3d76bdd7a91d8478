"""Videos in whatever form people have them: a video file, a folder of pictures, an array in a ``.npy`` file.

Each has a header and pictures, as `hmbench.video.decode` gives them for files. Pictures and arrays have no rate: their
`Header.fps` is NaN.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import SampleError
from hmbench.video.decode import LIMITS, Header, Picture, pictures, read_header

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".gif", ".avi", ".m4v")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def source_header(path: Path) -> Header:
    """Header of a video in any form; its `fps` is NaN where the form has no rate.

    Raises:
        SampleError: If it is missing, damaged, or no video.
    """
    if path.is_dir():
        files = picture_files(path)
        height, width = _picture(files[0]).shape[:2]
        return Header(width, height, math.nan, files[0].suffix[1:].lower(), len(files), math.nan, True, "rgb", ())
    if path.suffix.lower() == ".npy":
        count, height, width = _array(path).shape[:3]
        return Header(width, height, math.nan, "npy", count, math.nan, True, "rgb", ())
    return read_header(path)


def source_pictures(path: Path) -> Iterator[Picture]:
    """Pictures of a video in any form; those without a rate have the time NaN.

    Raises:
        SampleError: If it is missing, damaged, no video, or its pictures have unequal sizes.
    """
    if path.is_dir():
        return _folder_pictures(path)
    if path.suffix.lower() == ".npy":
        return (Picture(math.nan, np.ascontiguousarray(image)) for image in _array(path))
    return pictures(path)


def source_digest(path: Path) -> str:
    """Digest of the bytes of a video in any form, 16 hexadecimal digits.

    Raises:
        SampleError: If it is missing.
    """
    if not path.exists():
        raise SampleError(f"There is no prediction {path}.", "Generate it first, or name the file after the sample.")
    digest = hashlib.sha256()
    for file in picture_files(path) if path.is_dir() else [path]:
        _check_ordinary(file)
        with file.open("rb") as content:
            own = hashlib.file_digest(content, "sha256")
        if not path.is_dir():
            return own.hexdigest()[:16]
        digest.update(f"{file.name} {own.hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _check_ordinary(path: Path) -> None:
    """Whoever opens a pipe waits for ever."""
    if path.exists() and not path.is_file():
        raise SampleError(f"{path} is no ordinary file.", "Put the video itself there.")


def picture_files(folder: Path) -> list[Path]:
    """Pictures of a folder in the order of their numbers (``2.png`` before ``10.png``).

    Raises:
        SampleError: If there are none, or two kinds of them.
    """
    found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not p.name.startswith(".")]
    kinds = {p.suffix.lower() for p in found}
    if not found or len(kinds) > 1:
        what = "no pictures" if not found else f"pictures of {len(kinds)} kinds ({', '.join(sorted(kinds))})"
        raise SampleError(f"{folder} has {what}.", "A folder that stands for a video holds its frames as PNG or JPG.")
    if len(found) > LIMITS.frames:
        raise SampleError(f"{folder} has more than {LIMITS.frames:,} pictures.", "Cut it to the part that is meant.")
    return in_series(folder, found)


def in_series(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Pictures of one series in the order of their numbers.

    Args:
        folder: For messages.
        files: The pictures.

    Raises:
        SampleError: If names differ in more than their numbers, one number comes twice, or one is missing.
    """
    parts = {path: re.split(r"([0-9]+)", path.name.lower()) for path in files}
    found = sorted(parts, key=lambda p: [int(s[:18]) if place % 2 else s for place, s in enumerate(parts[p])])
    _check_numbers(folder, [parts[path] for path in found])
    return found


def _check_numbers(folder: Path, names: list[list[str]]) -> None:
    """Raises SampleError for a gap or a copy, which moves every frame behind it. Names come in parts."""
    shapes = {tuple(name[::2]) for name in names}
    if len(shapes) > 1:
        first, other = ("".join(next(n for n in names if tuple(n[::2]) == shape)) for shape in sorted(shapes)[:2])
        raise SampleError(
            f"{folder} has pictures of several series: {first} and {other}.",
            "A folder that stands for a video holds its frames alone, which differ in their numbers.",
        )
    columns = [[int(number[:18]) for number in column] for column in zip(*(name[1::2] for name in names), strict=True)]
    counted = [column for column in columns if len(set(column)) > 1]
    if len(names) < 2 or len(counted) > 1:  # 0.9 and 1.0: such names are put in order, and nothing more is known
        return
    steps = {b - a for a, b in itertools.pairwise(counted[0])} if counted else {0}
    if len(steps) > 1 or 0 in steps:
        least = min(steps)
        place = next((a for a, b in itertools.pairwise(counted[0]) if b - a > least), 0) if counted and least else None
        what = "two pictures of one number" if place is None else f"no picture between number {place} and the next"
        raise SampleError(
            f"{folder} has {what}: frames are missing, or come twice.",
            "Number them without a gap, each frame once.",
        )


def _folder_pictures(folder: Path) -> Iterator[Picture]:
    size: tuple[int, ...] | None = None
    for file in picture_files(folder):
        image = _picture(file)
        if size is not None and image.shape != size:
            raise SampleError(
                f"{file} is {image.shape[1]}x{image.shape[0]}, the pictures before it {size[1]}x{size[0]}.",
                "Give all pictures of a video one size.",
            )
        size = image.shape
        yield Picture(math.nan, image)


def _picture(path: Path) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    _check_ordinary(path)
    try:
        with Image.open(path) as image:
            if image.width * image.height > LIMITS.pixels:
                raise SampleError(f"{path} has {image.width}x{image.height} pixels.", "Scale it down first.")
            if image.mode not in {"RGB", "RGBA", "L", "P", "LA", "PA"}:
                raise SampleError(f"{path} is stored as {image.mode}, not as 8 bits a channel.", "Save it as RGB.")
            if getattr(image, "n_frames", 1) > 1:
                raise SampleError(f"{path} holds several pictures.", "Save each frame as a file.")
            if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
                raise SampleError(
                    f"{path} is transparent in parts: what would be seen there depends on who shows it.",
                    "Lay it over its background, and save it as RGB.",
                )
            _check_profile(path, image)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except SampleError:
        raise
    except Exception as error:  # a damaged picture makes PIL raise much
        raise SampleError(f"{path} is damaged or no picture ({type(error).__name__}).", "Write it again.") from error


def _check_profile(path: Path, image: Any) -> None:
    """Refuses a picture whose embedded colour profile is not sRGB's: a viewer shows other colours than its numbers."""
    from PIL import Image, ImageCms

    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA"}:
        return
    try:
        patches = Image.fromarray(np.array(_PATCHES, np.uint8)[None])
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(patches, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        apart = np.abs(np.asarray(shown, np.int16) - np.asarray(patches, np.int16)).max()
        name = ImageCms.getProfileDescription(source).strip()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return  # viewers pass over a profile that they cannot read, too
    if apart > _SAME_COLOUR:
        raise SampleError(
            f"{path} has the colour profile {name[:60]!r}: its colours are off by up to {apart} of 255 as sRGB.",
            "Convert it to sRGB first.",
        )


_PATCHES = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 180, 140), (128, 128, 128), (30, 60, 90))
_SAME_COLOUR = 5
"""Of 255: versions of sRGB's profile differ by 1 or 2, Adobe RGB's and Display P3's greens and reds by 20 and more."""


def _array(path: Path) -> NDArray[np.uint8]:
    _check_ordinary(path)
    try:
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, OverflowError, MemoryError) as error:
        raise SampleError(
            f"{path} is damaged or no array of frames ({type(error).__name__}).", "Save it again with numpy.save."
        ) from error
    right = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] == 3
    if not right or not array.size:
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise SampleError(
            f"{path} holds {found}, expected uint8 [T, H, W, 3].",
            "Save RGB frames of 0 to 255: floats in [0, 1] as (x * 255).round().astype('uint8'), [T, 3, H, W] as "
            "x.transpose(0, 2, 3, 1).",
        )
    frames: NDArray[np.uint8] = array
    return frames
