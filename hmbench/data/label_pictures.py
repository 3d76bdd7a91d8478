"""Label maps as pictures: PNG files whose grey value, palette index or colour is the label, exactly as it is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmbench.errors import SampleError
from hmbench.video.sources import in_series

MOST_PIXELS = 10**9
"""Of all pictures of a clip."""


def read_pictures(folder: Path) -> NDArray[Any]:
    """The pictures of a folder, ``[T, H, W]`` of grey values or palette indices, or ``[T, H, W, 3]``.

    Raises:
        SampleError: If they are none, or no series, or one is no PNG, transparent, damaged, or unlike the others.
    """
    files = in_series(folder, [p for p in folder.iterdir() if p.suffix.lower() == ".png"])
    if not files:
        raise SampleError(f"{folder} has no .png pictures.", "One a frame: 00000.png, 00001.png, ...")
    frames: list[NDArray[Any]] = []
    for file in files:
        frames.append(_picture(file))
        if frames[0].shape != frames[-1].shape:
            raise SampleError(f"The pictures in {folder} have unequal sizes or modes.", "Write them all alike.")
        if frames[0].shape[0] * frames[0].shape[1] * len(files) > MOST_PIXELS:
            raise SampleError(f"The pictures in {folder} have more than {MOST_PIXELS:,} pixels.", "Check the folder.")
    return np.stack(frames)


def number_in_name(path: Path) -> tuple[int, str]:
    """Numbers in names sort as numbers."""
    digits = re.findall(r"[0-9]+", path.stem)
    return (int(digits[-1][:18]) if digits else -1, path.name)


def _picture(file: Path) -> NDArray[Any]:
    if file.exists() and not file.is_file():  # whoever opens a pipe waits for ever
        raise SampleError(f"{file} is no ordinary file.", "Put the picture itself there.")
    try:
        with Image.open(file) as image:
            if problem := _problem(file, image):
                raise SampleError(f"{file} holds no labels: {problem}.", "Write each as an 8-bit grey or palette PNG.")
            indexed = image.mode in ("P", "L", "1", "I", "I;16")
            values = np.asarray(image if indexed else image.convert("RGB"))
            return values.astype(np.uint8 if values.dtype in (np.bool_, np.uint8) else np.int32)
    except SampleError:
        raise
    except Exception as error:  # a damaged picture makes PIL raise much
        raise SampleError(f"{file} cannot be read: {type(error).__name__}.", "Write it again as PNG.") from error


def _problem(file: Path, image: Image.Image) -> str | None:
    """Why values of a picture cannot be taken for labels."""
    if image.format != "PNG":
        return f"it is {image.format} and not PNG, which changes values"
    if getattr(image, "n_frames", 1) > 1:
        return f"it has {image.n_frames} frames"  # type: ignore[attr-defined]
    with file.open("rb") as content:
        header = content.read(26)  # signature, length and kind of the first chunk, width, height, depth, colour type
    if header[24] == 16 and header[25] in (2, 6):
        return "it has 16 bits a colour, of which 8 would be lost"
    transparent = image.mode in ("LA", "RGBA", "PA") or (image.mode == "RGB" and "transparency" in image.info)
    if transparent and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        return "parts of it are transparent"
    return None
