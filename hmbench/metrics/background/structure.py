"""What a prediction's background shows, held against what was there, at the scale that people see.

Camera and timing are taken out first: a frame is compared with the real view of its time (a frame more or less), moved
by what fits best within a small reach. Then structure is compared in windows, each moved by a pixel more. What is left
is content: is there a house where the house was. Correlation asks for the same structure, not for the same contrast, so
that blur costs what it takes away and no more.

Letters: T frames, h and w rows and columns of a view.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.metrics.background.views import FAINT, FINE_WIDTH, SHIFTS, WIDTH, Floats, Likeness, Views, moved

WINDOW = 9
"""Columns and rows of a window: a twelfth of the view, the size of a door in the next house."""
REACH = 2
"""Coarse columns and rows (3.6 % of the width) by which a frame may be moved as a whole."""
SLACK = 1
"""Frames by which a frame may be early or late besides the clip's lag: 7.5 frames a second are no fault of memory."""
LOCAL = 1
"""Fine columns and rows by which a window may be moved."""
WIDE = 6
"""Fine columns and rows within which something counts as displaced, and not as forgotten."""
EVERY = 2
"""Of how many frames one is compared."""
EVERY_WIDE = 4
"""Of how many compared frames one is searched widely."""
SAME = 0.4
"""Correlation from which on a window shows what another one shows."""


class Structure(NamedTuple):
    """What a prediction shows of the real background; means over frames."""

    kept: float
    """Correlation of structure in windows, weighted by the real contrast: 1 is the truth, 0 a blank."""
    displaced: float
    """Share of the real structure that is found, but beside its place."""
    forgotten: float
    """Share of the real structure that is not found near its place at all."""
    invented: float
    """Structure that is shown and was not there, as a share of the real structure (of its own, where that is more)."""


class Partner(NamedTuple):
    """The real view that a predicted frame is compared with."""

    frame: int
    """Target frame."""
    shift: NDArray[np.int64]
    """Coarse columns and rows by which it is moved."""


def partners(pairs: Likeness, lag: int) -> list[Partner | None]:
    """The real view that each frame is compared with; None for frames whose time lies outside the clip."""
    close = np.abs(SHIFTS).max(axis=1) <= REACH
    shifts, at = SHIFTS[close], pairs.at[close]
    cost = 0.001 * np.abs(shifts).sum(axis=1)[:, None]
    found: list[Partner | None] = []
    last = at.shape[2] - 1
    for t in range(at.shape[1]):
        times = [u for u in range(t - lag - SLACK, t - lag + SLACK + 1) if 0 <= u <= last]
        if not times:
            found.append(None)
            continue
        values = at[:, t, times] - cost
        best, which = np.unravel_index(int(values.argmax()), values.shape)
        found.append(Partner(times[int(which)], shifts[best]))
    return found


def structure(predicted: Views, real: Views, chosen: list[Partner | None]) -> Structure | None:
    """Structure kept, displaced, forgotten and invented; None if no frame shows background with structure.

    Args:
        predicted: Fine views ``[T, h, w]``.
        real: Fine views of the target.
        chosen: What each predicted frame is compared with.
    """
    rows, wide = [], []
    first: tuple[Floats, _Windows] | None = None
    times = [t for t, partner in enumerate(chosen) if partner is not None][::EVERY]
    for number, t in enumerate(times):
        partner = chosen[t]
        assert partner is not None, "frames without a partner are left out"
        dx, dy = (int(v) for v in partner.shift * round(FINE_WIDTH / WIDTH))
        view = Views(moved(real.colours[partner.frame][None], dx, dy), moved(real.seen[partner.frame][None], dx, dy))
        windows = _Windows(predicted.colours[t], predicted.seen[t], view.colours[0], view.seen[0])
        weight = windows.real_contrast
        if weight.sum() <= 0:
            continue
        near = windows.correlation(LOCAL, 1)
        rows.append(float((near * weight).sum() / weight.sum()))
        first = first or (near, windows)
        if number % EVERY_WIDE == 0:
            wide.append(_shares(near, windows))
    if first is None:
        return None
    if not wide:  # frames whose turn it was show nothing that could be compared
        wide.append(_shares(*first))
    displaced, forgotten, invented = np.mean(wide, axis=0)
    return Structure(float(np.mean(rows)), float(displaced), float(forgotten), float(invented))


def _shares(near: Floats, windows: _Windows) -> tuple[float, float, float]:
    """What is displaced, forgotten and invented in a frame that is searched widely."""
    wide = np.maximum(windows.correlation(WIDE, 2), near)
    real, shown = windows.real_contrast, windows.shown_contrast
    total = float(real.sum())
    displaced = float(real[(near < SAME) & (wide >= SAME)].sum()) / total
    forgotten = float(real[wide < SAME].sum()) / total
    invented = float(shown[wide < SAME].sum()) / max(total, float(shown.sum()))
    return displaced, forgotten, invented


class _Windows:
    """Two views that are compared window by window."""

    def __init__(self, x: Floats, seen_x: Floats, y: Floats, seen_y: Floats) -> None:
        both = (seen_x > 0) & (seen_y > 0)
        self.mask = both[..., None].astype(np.float32)
        self.count = np.maximum(_box(both.astype(np.float32)), 1e-6)
        self.x, self.y = x * self.mask, y * self.mask
        self.mean_x, self.var_x = self._moments(self.x)
        usable = (self.count > 0.5) & both
        self.shown_contrast = _contrast(self.var_x) * usable
        self.real_contrast = _contrast(self._moments(self.y)[1]) * usable

    def correlation(self, reach: int, step: int) -> Floats:
        """Best correlation of each window over shifts, 0 where it is negative, ``[h, w]``."""
        best = np.zeros(self.count.shape, np.float32)
        steps = range(-reach, reach + 1, step)
        for dy in steps:
            for dx in steps:
                y = moved(self.y[None], dx, dy)[0] * self.mask
                mean_y, var_y = self._moments(y)
                shared = self._mean((self.x * y).sum(axis=2)) - (self.mean_x * mean_y).sum(axis=2)
                np.maximum(best, shared / np.sqrt((self.var_x + FAINT) * (var_y + FAINT)), out=best)
        return best

    def _moments(self, a: Floats) -> tuple[Floats, Floats]:
        mean = _box(a) / self.count[..., None]
        spread = self._mean(np.square(a).sum(axis=2)) - np.square(mean).sum(axis=2)
        return np.asarray(mean, np.float32), np.asarray(np.maximum(spread, 0), np.float32)

    def _mean(self, a: Floats) -> Floats:
        return np.asarray(_box(a) / self.count, np.float32)


def _contrast(variance: Floats) -> Floats:
    """Contrast of windows; 0 below half of what counts as structure."""
    return np.asarray(np.sqrt(np.maximum(variance - FAINT / 4, 0)), np.float32)


def _box(a: Floats) -> Floats:
    return np.asarray(cv2.blur(a, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT), np.float32)
