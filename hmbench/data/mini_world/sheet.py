"""Contact sheets: clips as rows, moments as columns, subjects outlined; for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import UserError
from hmbench.types import LabelMaps, Video

if TYPE_CHECKING:
    from hmbench.data.dataset import Dataset

COLORS = ((255, 40, 40), (60, 140, 255), (255, 225, 0), (255, 0, 255))
"""Outline of label 1, 2, 3 and of a duplicate."""
Picture = NDArray[np.uint8]


def outline(frame: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Picture:
    """Return the frame with a line of one pixel inside the edge of every subject."""
    out = frame.copy()
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        core = inside.copy()
        core[1:-1, 1:-1] &= inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        core[[0, -1]] = core[:, [0, -1]] = False
        out[inside & ~core] = COLORS[(int(label) - 1) % len(COLORS)]
    return out


def strip(video: Video, labels: LabelMaps | None, *, columns: int = 8, title: str = "") -> Picture:
    """Return one row: evenly spaced frames from first to last, with a bar of text above."""
    moments = np.linspace(0, len(video) - 1, columns).round().astype(int)
    frames = [video[t] if labels is None else outline(video[t], labels[t]) for t in moments]
    return np.concatenate([_bar(title, sum(f.shape[1] for f in frames)), np.concatenate(frames, 1)])


def make_sheet(source: Path | Dataset, *, limit: int = 12, columns: int = 8, outlines: bool = True) -> Picture:
    """Return a sheet of the first samples of an HM-World folder or of other data.

    Args:
        source: The folder, or the data.
        limit: Rows at most.
        columns: Moments a row, over context and target.
        outlines: Draw the subjects' edges where the labels are known.

    Raises:
        UserError: If the sheet would be empty, or the folder holds no samples.
    """
    from hmbench.data.hm_world import HMWorld

    if limit < 1 or columns < 1:
        raise UserError(f"A sheet of {limit} rows and {columns} columns is empty.", "Both must be at least 1.")
    data = HMWorld(source) if isinstance(source, Path) else source
    rows = []
    for name in data.ids("all")[:limit]:
        sample = data.load(name)
        video, labels = sample.prompt.context, None
        if sample.truth is not None:
            video = np.concatenate([video, sample.truth.target])
            if outlines and sample.truth.context_labels is not None and sample.truth.target_labels is not None:
                labels = np.concatenate([sample.truth.context_labels, sample.truth.target_labels])
        rows.append(strip(video, labels, columns=columns, title=name))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def save_picture(path: Path, picture: Picture) -> None:
    """Write a picture as PNG or JPEG, by its suffix.

    Raises:
        UserError: If it cannot be written there.
    """
    from PIL import Image

    options: dict[str, Any] = {"quality": 85} if path.suffix.lower() in {".jpg", ".jpeg"} else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, **options)
    except OSError as error:
        height, width = picture.shape[:2]
        raise UserError(
            f"The picture of {width}x{height} pixels cannot be written to {path}: {error.strerror or error}.",
            "Give a file name in a folder that can be written; JPEG holds 65500 pixels a side at most.",
        ) from error


def _bar(text: str, width: int) -> Picture:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, 14), (24, 24, 28))
    ImageDraw.Draw(image).text((4, 1), text, fill=(230, 230, 230))
    return np.asarray(image)
