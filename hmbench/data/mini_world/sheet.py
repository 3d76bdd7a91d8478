"""Contact sheets: clips as rows, moments as columns, subjects outlined; for people to look at."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.types import LabelMaps, Video

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


def make_sheet(folder: Path, *, limit: int = 12, columns: int = 8, outlines: bool = True) -> Picture:
    """Return a sheet of the first samples of an HM-World folder.

    Args:
        folder: The folder.
        limit: Rows at most.
        columns: Moments a row, over context and target.
        outlines: Draw the subjects' edges where the labels are known.
    """
    from hmbench.data.hm_world import HMWorld

    data = HMWorld(folder)
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
    """Write a picture as PNG or JPEG, by its suffix."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"quality": 85} if path.suffix.lower() in {".jpg", ".jpeg"} else {}
    Image.fromarray(picture).save(path, **options)


def _bar(text: str, width: int) -> Picture:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, 14), (24, 24, 28))
    ImageDraw.Draw(image).text((4, 1), text, fill=(230, 230, 230))
    return np.asarray(image)
