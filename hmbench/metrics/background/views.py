"""Small views of a clip in which only structure is left, and how alike any two of them are.

A view is a frame at the scale at which a place is recognised (`WIDTH` pixels across), with subjects masked and with the
mean colour of every row taken out. What a picture says that is the same all along a row (sky, wall, floor) says nothing
about where a camera looks, and is what cheap pictures get right.

Letters: T predicted frames, S real frames, h and w rows and columns of a view.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.types import Video

Floats = NDArray[np.float32]

WIDTH = 56
"""Columns of a view: a pixel is the width of a window pane in the next house, and 1.8 % of what is in view."""
FINE_WIDTH = 112
"""Columns of the views in which structure is compared: half the mini world's."""
FAR = (6, 2)
"""Columns and rows by which views are moved against each other to find a place."""
NEAR = 1
"""Columns and rows by which they are moved where they are asked to show the same view."""
LEAST_OVERLAP = 0.4
"""Share of a view that must be seen as background in both; elsewhere they cannot be compared."""
FAINT = 0.0004
"""Variance of colour (on [0, 1], summed over channels) that counts as no structure: a contrast of about 1 %."""
UNKNOWN = -1.0
"""Likeness of views that cannot be compared."""
SHIFTS = np.stack(np.meshgrid(np.arange(-FAR[0], FAR[0] + 1), np.arange(-FAR[1], FAR[1] + 1)), axis=-1).reshape(-1, 2)
"""All shifts within `FAR`, columns and rows ``[shifts, 2]``."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Views(NamedTuple):
    """Views of a clip."""

    colours: Floats
    """Brightness, red and blue against it, rows' means taken out, 0 where masked, ``[T, h, w, 3]``."""
    seen: Floats
    """1 where the background is seen, else 0, ``[T, h, w]``."""


class Scales(NamedTuple):
    """Views of a clip at two scales."""

    coarse: Views
    """`WIDTH` columns: where a place is recognised."""
    fine: Views
    """`FINE_WIDTH` columns: where structure is compared."""


class Likeness(NamedTuple):
    """How alike the views of two clips are, each with each, at every shift: correlation of structure.

    Shifts run over `SHIFTS`; what the real view shows at x, the predicted one shows at x + shift.
    """

    at: Floats
    """``[shifts, T, S]``; `UNKNOWN` where too little is seen in both."""

    def best(self) -> tuple[Floats, NDArray[np.int64]]:
        """Likeness at the best shift of each pair ``[T, S]``, and that shift, columns and rows ``[T, S, 2]``."""
        return self.at.max(axis=0), SHIFTS[self.at.argmax(axis=0)]

    def near(self, shift: NDArray[np.int64]) -> Floats:
        """Likeness at the best shift within `NEAR` of a given one, ``[T, S]``."""
        close = np.abs(SHIFTS - shift).max(axis=1) <= NEAR
        return np.asarray(self.at[close].max(axis=0), np.float32)


def small_views(video: Video, background: NDArray[np.bool_], *, of: tuple[int, int] | None = None) -> Scales:
    """Views of a clip at both scales; the coarse ones are made of the fine ones.

    Args:
        video: uint8 ``[T, H, W, 3]``.
        background: Pixels that belong to no subject, ``[T, H, W]``.
        of: (height, width) of the clip, where the video is a smaller copy whose proportions are rounded.
    """
    height, whole = of or video.shape[1:3]
    sizes = [(width, max(round(width * height / whole), 4)) for width in (FINE_WIDTH, WIDTH)]
    views = [
        Views(np.empty((len(video), h, w, 3), np.float32), np.empty((len(video), h, w), np.float32)) for w, h in sizes
    ]
    for t, (frame, mask) in enumerate(zip(video, background, strict=True)):
        # areas shrink in 8 bits first: half a grey level is lost, and most of the time
        free = mask.view(np.uint8)
        masked = frame if mask.all() else cv2.bitwise_and(frame, frame, mask=free)
        shown = cv2.resize(masked, sizes[0], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        share = cv2.resize(free * np.uint8(255), sizes[0], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        _fill(views[0], t, shown, share)
        shown, share = (cv2.resize(a, sizes[1], interpolation=cv2.INTER_AREA) for a in (shown, share))
        _fill(views[1], t, np.asarray(shown, np.float32), np.asarray(share, np.float32))
    return Scales(coarse=views[1], fine=views[0])


def _fill(views: Views, t: int, shown: Floats, share: Floats) -> None:
    """A view from a picture whose masked pixels are black ``[h, w, 3]`` and the share of pixels that are not."""
    mean = shown / np.maximum(share, 1e-3)[..., None]
    views.seen[t] = share > 0.5
    brightness = mean @ _LUMA
    picture = np.stack([brightness, mean[..., 0] - brightness, mean[..., 2] - brightness], axis=-1)
    weight = views.seen[t][..., None]
    rows = (picture * weight).sum(axis=1, keepdims=True) / np.maximum(weight.sum(axis=1, keepdims=True), 1)
    views.colours[t] = (picture - rows) * weight


def likeness(predicted: Views, real: Views) -> Likeness:
    """Correlation of every predicted view with every real one, moved against each other.

    Sums over both masks for all pairs at once are products of matrices, so that a clip takes a fraction of a second.
    """
    x, seen = predicted.colours.reshape(len(predicted.colours), -1), _flat(predicted.seen)
    energy_x = _flat(np.square(predicted.colours).sum(axis=-1))
    squares = np.square(real.colours).sum(axis=-1)
    at = np.empty((len(SHIFTS), len(x), len(real.colours)), np.float32)
    for value, (dx, dy) in zip(at, SHIFTS, strict=True):
        colours, mask, energy_y = (moved(a, dx, dy) for a in (real.colours, real.seen, squares))
        flat = _flat(mask)
        overlap = seen @ flat.T
        own = (energy_x @ flat.T + FAINT * overlap) * (seen @ _flat(energy_y).T + FAINT * overlap)
        np.divide(x @ colours.reshape(len(colours), -1).T, np.sqrt(np.maximum(own, 1e-12)), out=value)
        value[overlap < LEAST_OVERLAP * seen.shape[1]] = UNKNOWN
    return Likeness(at)


def _flat(a: Floats) -> Floats:
    return np.ascontiguousarray(a.reshape(len(a), -1))


def moved(a: Floats, dx: int, dy: int) -> Floats:
    """Views ``[T, h, w, ...]`` moved right and down by whole pixels; 0 comes in from outside."""
    out = np.zeros_like(a)
    h, w = a.shape[1:3]
    to_rows, to_columns = slice(max(dy, 0), h + min(dy, 0)), slice(max(dx, 0), w + min(dx, 0))
    from_rows, from_columns = slice(max(-dy, 0), h + min(-dy, 0)), slice(max(-dx, 0), w + min(-dx, 0))
    out[:, to_rows, to_columns] = a[:, from_rows, from_columns]
    return out
