"""Boxes: from label maps, and how two of them lie to each other. All xyxy in pixels, half-open, NaN rows where absent.

Letters: T frames, N and M boxes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.types import Boxes, LabelMaps

Floats = NDArray[np.float64]


def label_boxes(labels: LabelMaps | NDArray[np.bool_], *, min_pixels: int = 1) -> Boxes:
    """One box a frame around everything labelled.

    Args:
        labels: ``[T, H, W]``; whatever is not 0 counts.
        min_pixels: Frames that show less have no box.

    Returns:
        float32 ``[T, 4]``.
    """
    boxes = np.full((len(labels), 4), np.nan, np.float32)
    for box, frame in zip(boxes, labels, strict=True):
        rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
        if len(rows) and (min_pixels <= 1 or np.count_nonzero(frame) >= min_pixels):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def pairwise_iou(a: Boxes, b: Boxes) -> Floats:
    """Intersection over union of every box with every other, ``[N, M]``; boxes must not be NaN."""
    low = np.maximum(a[:, None, :2], b[None, :, :2]).astype(np.float64)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    total = areas(a)[:, None] + areas(b)[None] - shared
    return np.asarray(shared / np.maximum(total, 1e-9), np.float64)


def framewise_iou(a: Boxes, b: Boxes) -> Floats:
    """Intersection over union of corresponding boxes, ``[T]``, NaN where one is absent."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=1).astype(np.float64)
    return np.asarray(shared / np.maximum(areas(a) + areas(b) - shared, 1e-9), np.float64)


def areas(boxes: Boxes) -> Floats:
    """Pixels of each box, ``[N]``."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1), np.float64)


def centres(boxes: Boxes) -> Floats:
    """Middle of each box, ``[N, 2]``."""
    return (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2


def covered(inner: Boxes, outer: Boxes) -> Floats:
    """Share of the smaller of two corresponding boxes that lies in the other, ``[N]``."""
    low, high = np.maximum(inner[:, :2], outer[:, :2]), np.minimum(inner[:, 2:], outer[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=1)
    return np.asarray(shared / np.maximum(np.minimum(areas(inner), areas(outer)), 1e-9), np.float64)


def feet(boxes: Boxes) -> Floats:
    """Middle of each box's lower side, ``[N, 2]``."""
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1).astype(np.float64)


def heights(boxes: Boxes) -> Floats:
    """Height of each box, ``[N]``."""
    return (boxes[:, 3] - boxes[:, 1]).astype(np.float64)


def present(boxes: Boxes) -> NDArray[np.bool_]:
    """Rows that are boxes, ``[N]``."""
    return ~np.isnan(boxes[:, 0])


def touches_edge(boxes: Boxes, size: tuple[int, int], *, slack: float = 1.5) -> NDArray[np.bool_]:
    """Boxes that the frame cuts off, ``[N]``; see `cut_off`."""
    return np.asarray(cut_off(boxes, size, slack=slack).any(axis=1))


def cut_off(boxes: Boxes, size: tuple[int, int], *, slack: float = 1.5) -> NDArray[np.bool_]:
    """Whether the frame cuts boxes off at the left or right, and at the top or bottom, ``[N, 2]``.

    Args:
        boxes: ``[N, 4]``.
        size: (height, width).
        slack: Pixels from the edge that still count as cut off.
    """
    height, width = size
    with np.errstate(invalid="ignore"):
        return np.asarray((boxes[:, :2] <= slack) | (boxes[:, 2:] >= np.array([width, height]) - slack))
