"""A merged mask divided among subjects whose places are known.

A connected part that only one subject can claim is that subject's. One that several claim is divided pixel by pixel, by
what is known of each: where its body is and how large (its place and the shape that it had when it stood alone, most of
all in neighbouring frames), its colours, and who stands in front.

Letters: K subjects, T frames, h and w of the reduced mask, G cells a side of a body's grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.bodies import Places, body_sizes
from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.types import LabelMaps, Video

Floats = NDArray[np.float64]
GRID = 48
"""Cells a side of the grid that a body's shape is kept on; it spans `SPAN` of the body's larger side."""
SPAN = 1.6
CLAIM = 0.12
"""A subject claims a part if this share of the part, or of its own body, lies in both."""
MEMORY = 30
"""Frames within which a shape seen alone tells more than the average one."""
COLOURS = 8
"""Levels a channel of the colour histograms."""
COLOUR_WEIGHT = 1.2
"""Of the colours' log-likelihood, against the shape's."""
COLOUR_LIMIT = 3.0
FLOOR = 0.03
"""Least probability of a body anywhere in its grid."""
MARGIN = 0.5
"""Of a body's size: parts of it may lie so far outside its usual box, and positions may be so far off."""
OUT_OF_REACH = 20.0
"""Log-likelihood that a subject loses outside its box where somebody else's box reaches."""
BLUR = 1.0
"""Reduced pixels by which evidence is spread before pixels choose."""
SEAM = 2
"""Reduced pixels by which labels are spread before they are enlarged: the mask's edge lies between reduced pixels."""
FAR = 1.0
"""Of a body's size: a part farther from everybody is nobody's, and is said to be unexplained."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """A divided mask."""

    labels: LabelMaps
    """Reduced label maps ``[T, h, w]``; subject k has k + 1."""
    certainty: Floats
    """How sure the labels of each subject are, in [0, 1], ``[K, T]``; NaN where it shows nothing."""
    shared: NDArray[np.bool_]
    """Frames in which a part was divided that the subject claims, ``[K, T]``."""
    unexplained: NDArray[np.bool_]
    """Frames with a visible part that is near nobody, ``[T]``."""
    sizes: Floats
    """Width and height of each body in metres, ``[K, 2]``."""


def divide(evidence: MaskEvidence, places: Places, video: Video) -> Division:
    """Divides a mask among subjects.

    Args:
        evidence: The mask.
        places: Where the subjects are.
        video: The clip's frames, ``[T, H, W, 3]``, for their colours.
    """
    job = _Job(evidence, places, video)
    job.settle_lone_parts()
    job.learn()
    job.divide_shared_parts()
    return job.result()


class _Job:
    """One division in the making."""

    def __init__(self, evidence: MaskEvidence, places: Places, video: Video) -> None:
        self.evidence, self.places, self.video = evidence, places, video
        self.count, self.frames = places.scale.shape
        self.labels = np.zeros(evidence.small.shape, np.uint8)
        self.certainty = np.full((self.count, self.frames), np.nan)
        self.shared = np.zeros((self.count, self.frames), np.bool_)
        self.lone = np.zeros((self.count, self.frames), np.bool_)
        self.unexplained = np.zeros(self.frames, np.bool_)
        self.todo: list[tuple[int, int, list[int]]] = []
        self.sizes = body_sizes(evidence, places)

    def settle_lone_parts(self) -> None:
        """Gives every part that one subject alone can claim to it, and notes the others."""
        for t in range(self.frames):
            stats = self.evidence.stats[t]
            if len(stats) < 2:
                continue
            there, boxes = self._boxes(t)
            inside = [self._inside(t, box, len(stats)) for box in boxes]
            for part in range(1, len(stats)):
                area = float(stats[part, 4])
                claims = [
                    k
                    for k, box, found in zip(there, boxes, inside, strict=True)
                    if found[part] >= max(2.0, CLAIM * min(area, 0.5 * _box_area(box)))
                ]
                if not claims:
                    claims = self._nearest(t, there, boxes, stats[part])
                if len(claims) == 1:
                    self._give(t, part, claims[0], stats)
                elif claims:
                    self.todo.append((t, part, claims))
                    self.shared[claims, t] = True

    def learn(self) -> None:
        """Shapes and colours of subjects that stand alone."""
        self.lone &= ~self.shared
        self.shapes, self.near_shapes = [], []
        self.colours = []
        for k in range(self.count):
            frames = np.flatnonzero(self.lone[k])
            grids = {int(t): self._grid(k, int(t)) for t in frames}
            whole = [grids[t] for t in grids if not self._cut(k, t)] or list(grids.values())
            self.shapes.append(np.mean(whole, axis=0) if len(whole) >= 3 else _usual_shape(self.sizes[k]))
            self.near_shapes.append(grids)
            self.colours.append(self._histogram(k, frames))

    def divide_shared_parts(self) -> None:
        """Lets the pixels of shared parts choose."""
        for t, part, claims in self.todo:
            left, top, wide, high, _ = self.evidence.stats[t][part].tolist()
            window = (slice(top, top + high), slice(left, left + wide))
            own = self.evidence.parts[t][window] == part
            order = sorted(claims, key=lambda k: self.places.depth[k, t])
            free, likely = np.ones(own.shape), []
            codes = self._codes(t, window)
            for k in order:
                shape = self._shape_at(k, t, window)
                likely.append(np.log(shape * free) + COLOUR_WEIGHT * self.colours[k][codes])
                free = free * (1 - np.minimum(shape, 0.95))
            scores = np.stack([cv2.GaussianBlur(x, (0, 0), BLUR) for x in likely])
            reach = np.stack([self._reach(k, t, window) for k in order])
            scores = scores - OUT_OF_REACH * (~reach & reach.any(axis=0))  # colours put nobody where no body can be
            odds = np.exp(scores - scores.max(axis=0))
            sure = odds.max(axis=0) / odds.sum(axis=0)
            chosen = scores.argmax(axis=0)
            for place, k in enumerate(order):
                mine = own & (chosen == place)
                self.labels[t][window][mine] = k + 1
                if mine.any():
                    self._note(k, t, float(sure[mine].mean()), int(mine.sum()))

    def result(self) -> Division:
        """What was found."""
        return Division(
            labels=self.labels,
            certainty=self.certainty,
            shared=self.shared,
            unexplained=self.unexplained,
            sizes=self.sizes,
        )

    def _boxes(self, t: int) -> tuple[list[int], list[Floats]]:
        """Who is in front of the camera, and the boxes of their bodies (reduced pixels)."""
        there, boxes = [], []
        for k in range(self.count):
            x, y = self.places.centre[k, t]
            if np.isfinite(x) and np.isfinite(y):
                half = self.sizes[k] * self.places.scale[k, t] / 2
                there.append(k)
                boxes.append(np.array([x - half[0], y - half[1], x + half[0], y + half[1]]))
        return there, boxes

    def _inside(self, t: int, box: Floats, parts: int) -> NDArray[np.int64]:
        """Pixels of every part inside a box."""
        height, width = self.evidence.small.shape[1:]
        x0, y0 = np.floor(box[:2]).astype(int).clip(0, [width, height])
        x1, y1 = np.ceil(box[2:]).astype(int).clip(0, [width, height])
        return np.bincount(self.evidence.parts[t, y0:y1, x0:x1].ravel(), minlength=parts)

    def _nearest(self, t: int, there: list[int], boxes: list[Floats], part: NDArray[np.int32]) -> list[int]:
        """The subject nearest to a part that nobody claims; noted where even that one is far."""
        left, top, wide, high, area = part.tolist()
        best: int | None = None
        least = float("inf")
        for k, box in zip(there, boxes, strict=True):
            across = max(left - box[2], box[0] - left - wide, 0.0)
            down = max(top - box[3], box[1] - top - high, 0.0)
            distance = float(np.hypot(across, down)) / max(float((box[2:] - box[:2]).max()), 4.0)
            if distance < least:
                best, least = k, distance
        if best is None or least > FAR:
            self.unexplained[t] |= bool(area >= self.evidence.least)
        return [] if best is None else [best]

    def _give(self, t: int, part: int, k: int, stats: NDArray[np.int32]) -> None:
        left, top, wide, high, area = stats[part].tolist()
        window = (slice(top, top + high), slice(left, left + wide))
        self.labels[t][window][self.evidence.parts[t][window] == part] = k + 1
        self.lone[k, t] |= bool(area >= self.evidence.least)
        self._note(k, t, 1.0, area)

    def _note(self, k: int, t: int, sure: float, area: int) -> None:
        """Certainty of a subject's frame, weighed by pixels."""
        before = self.certainty[k, t]
        count = int(np.count_nonzero(self.labels[t] == k + 1))
        old = 0.0 if np.isnan(before) else float(before)
        self.certainty[k, t] = sure if np.isnan(before) else old + (sure - old) * area / (count or 1)

    def _cut(self, k: int, t: int) -> bool:
        """Whether the frame's edge cuts the subject."""
        mine = self.labels[t] == k + 1
        return bool(mine[0].any() or mine[-1].any() or mine[:, 0].any() or mine[:, -1].any())

    def _mapping(self, k: int, t: int) -> tuple[float, float, float]:
        """Reduced pixels of the grid's first corner, and a cell's side."""
        side = SPAN * float(self.sizes[k].max() * self.places.scale[k, t])
        x, y = self.places.centre[k, t]
        return float(x) - side / 2, float(y) - side / 2, side / GRID

    def _grid(self, k: int, t: int) -> Floats:
        """A subject's own mask on its body's grid."""
        left, top, cell = self._mapping(k, t)
        warp = np.array([[cell, 0, left + cell / 2 - 0.5], [0, cell, top + cell / 2 - 0.5]])
        mine = (self.labels[t] == k + 1).astype(np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(mine, warp, (GRID, GRID), flags=flags).astype(np.float64)

    def _shape_at(self, k: int, t: int, window: tuple[slice, slice]) -> Floats:
        """Probability of the body at each pixel of a window."""
        shape, known = self.shapes[k], self.near_shapes[k]
        close = [s for s in known if abs(s - t) <= MEMORY]
        if close:
            nearest = min(close, key=lambda s: abs(s - t))
            shape = (shape + known[nearest]) / 2
        left, top, cell = self._mapping(k, t)
        high = window[0].stop - window[0].start
        wide = window[1].stop - window[1].start
        x0, y0 = window[1].start - left, window[0].start - top
        warp = np.array([[1 / cell, 0, x0 / cell + 0.5 / cell - 0.5], [0, 1 / cell, y0 / cell + 0.5 / cell - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        soft = cv2.GaussianBlur(shape, (0, 0), 1.5)
        seen = cv2.warpAffine(soft, warp, (wide, high), flags=flags)
        return np.asarray(np.maximum(seen, FLOOR * _falloff(warp, wide, high)), np.float64)

    def _reach(self, k: int, t: int, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Pixels of a window that lie in the subject's box, or near it."""
        half = (0.5 + MARGIN) * self.sizes[k] * self.places.scale[k, t] + 1
        x = np.arange(window[1].start, window[1].stop) + 0.5 - self.places.centre[k, t, 0]
        y = np.arange(window[0].start, window[0].stop) + 0.5 - self.places.centre[k, t, 1]
        return np.asarray((np.abs(x) <= half[0])[None] & (np.abs(y) <= half[1])[:, None])

    def _codes(self, t: int, window: tuple[slice, slice]) -> NDArray[np.intp]:
        """Colour codes of a window's pixels."""
        step, start = self.evidence.step, self.evidence.step // 2
        frame = self.video[t, start::step, start::step][window]
        levels = (frame >> (8 - int(np.log2(COLOURS)))).astype(np.intp)
        return np.asarray((levels[..., 0] * COLOURS + levels[..., 1]) * COLOURS + levels[..., 2])

    def _histogram(self, k: int, frames: NDArray[np.intp]) -> Floats:
        """Log-likelihood of colours against the average over all colours, limited; zeros without evidence."""
        counts = np.zeros(COLOURS**3)
        for t in frames[:: max(1, len(frames) // 16)].tolist():
            mine = self.labels[t] == k + 1
            rows, columns = np.flatnonzero(mine.any(axis=1)), np.flatnonzero(mine.any(axis=0))
            window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            counts += np.bincount(self._codes(t, window)[mine[window]], minlength=COLOURS**3)
        if counts.sum() < 50:
            return np.zeros(COLOURS**3)
        cube = cv2.GaussianBlur(counts.reshape(COLOURS, -1), (0, 0), 0.5).reshape(-1)
        share = (cube + 0.002 * counts.sum()) / (counts.sum() * (1 + 0.002 * COLOURS**3))
        return np.asarray(np.clip(np.log(share * 60), -COLOUR_LIMIT, COLOUR_LIMIT), np.float64)


def _usual_shape(size: Floats) -> Floats:
    """An ellipse of a body's proportions on its grid."""
    axis = (np.arange(GRID) + 0.5) / GRID * SPAN - SPAN / 2
    half = size / size.max() / 2
    radius = np.hypot(axis[None] / half[0], axis[:, None] / half[1])
    return np.asarray(0.9 / (1 + np.exp((radius - 1) * 6)), np.float64)


def _falloff(warp: Floats, wide: int, high: int) -> Floats:
    """Less and less outside the grid's middle, so that pixels far from everybody go to the nearest body."""
    x = (warp[0, 0] * np.arange(wide) + warp[0, 2] - GRID / 2).astype(np.float32)
    y = (warp[1, 1] * np.arange(high) + warp[1, 2] - GRID / 2).astype(np.float32)
    return np.asarray(np.exp(np.sqrt(x[None] ** 2 + y[:, None] ** 2) * np.float32(-3 / GRID)), np.float32)


def _box_area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def enlarged(labels: LabelMaps, mask: NDArray[np.bool_], step: int) -> LabelMaps:
    """Reduced label maps ``[T, h, w]`` on the full mask ``[T, H, W]``."""
    if step == 1:
        return labels
    out = np.zeros(mask.shape, np.uint8)
    for t in np.flatnonzero(labels.any(axis=(1, 2))).tolist():
        rows, columns = np.flatnonzero(labels[t].any(axis=1)), np.flatnonzero(labels[t].any(axis=0))
        top, left = max(int(rows[0]) - SEAM, 0), max(int(columns[0]) - SEAM, 0)
        bottom, right = int(rows[-1]) + SEAM + 1, int(columns[-1]) + SEAM + 1
        near = labels[t, top:bottom, left:right]
        wide = cv2.dilate(near, np.ones((2 * SEAM + 1, 2 * SEAM + 1), np.uint8))
        filled = np.where(near > 0, near, wide)
        last = int(bottom >= labels.shape[1]), int(right >= labels.shape[2])  # a rest that no reduced pixel stands for
        filled = cv2.copyMakeBorder(filled, 0, last[0], 0, last[1], cv2.BORDER_REPLICATE)
        size = (filled.shape[1] * step, filled.shape[0] * step)
        full = cv2.resize(filled, size, interpolation=cv2.INTER_NEAREST)
        window = (slice(top * step, top * step + size[1]), slice(left * step, left * step + size[0]))
        own = mask[t][window]
        out[t][window] = full[: own.shape[0], : own.shape[1]] * own
    return out
