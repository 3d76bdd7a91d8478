"""What a mask that covers all subjects shows, small enough to ask many questions of.

Letters: T frames, H height, W width, h and w of the reduced mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.video.events import VISIBLE_SHARE

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
WIDTH = 416
"""Pixels: masks are reduced to about this width (every n-th pixel), where a body is still some pixels wide."""
FAR_STEP = 2
"""Further reduction of the distances to the mask, which are asked of points that are metres off."""


@dataclass(frozen=True, kw_only=True)
class MaskEvidence:
    """A merged mask, reduced."""

    size: tuple[int, int]
    """(height, width) of the frames."""
    step: int
    """Frame pixels a reduced pixel."""
    small: Bools
    """``[T, h, w]``."""
    parts: NDArray[np.int32]
    """Connected parts of each frame, numbered from 1, ``[T, h, w]``."""
    stats: tuple[NDArray[np.int32], ...]
    """Of each frame: x, y, width, height, area of its parts (reduced pixels) from row 1 on."""
    distance: NDArray[np.float32]
    """Reduced pixels from anywhere to the mask, ``[T, h / 2, w / 2]``; a large number in frames without any."""
    tallest: Floats
    """Height of each frame's tallest part, reduced pixels, ``[T]``; 0 without any."""

    enough: Bools
    """Frames in which some part is large enough to be a visible subject, ``[T]``."""

    @property
    def least(self) -> float:
        """Reduced pixels from which on a subject counts as visible."""
        return float(VISIBLE_SHARE * self.small[0].size)

    def distance_at(self, points: Floats, frames: NDArray[np.intp]) -> Floats:
        """Reduced pixels to the mask at frame pixels ``[..., n, 2]`` of some frames; outside the frame, at its edge."""
        height, width = self.distance.shape[1:]
        place = np.nan_to_num(points / (self.step * FAR_STEP), nan=0.0, posinf=0.0, neginf=0.0)
        x = place[..., 0].clip(0, width - 1).astype(np.intp)
        y = place[..., 1].clip(0, height - 1).astype(np.intp)
        return self.distance[np.broadcast_to(frames, x.shape), y, x].astype(np.float64)


def mask_evidence(mask: Bools) -> MaskEvidence:
    """The evidence of a mask ``[T, H, W]``."""
    count, height, width = mask.shape
    step = max(1, round(width / WIDTH))
    small = np.ascontiguousarray(mask[:, step // 2 :: step, step // 2 :: step])
    parts = np.zeros(small.shape, np.int32)
    stats = []
    far = small[:, ::FAR_STEP, ::FAR_STEP]
    distance = np.full(far.shape, 1e6, np.float32)
    tallest = np.zeros(count)
    for t in range(count):
        if not small[t].any():
            stats.append(np.zeros((1, 5), np.int32))
            continue
        window = _window(small[t])
        _, parts[t][window], found, _ = cv2.connectedComponentsWithStats(
            np.ascontiguousarray(small[t][window]).view(np.uint8), connectivity=8
        )
        found[1:, : cv2.CC_STAT_WIDTH] += (window[1].start, window[0].start)
        stats.append(np.asarray(found, np.int32))
        tallest[t] = found[1:, cv2.CC_STAT_HEIGHT].max()
        if far[t].any():
            distance[t] = cv2.distanceTransform((~far[t]).view(np.uint8), cv2.DIST_L2, 3) * FAR_STEP
    return MaskEvidence(
        size=(height, width),
        step=step,
        small=small,
        parts=parts,
        stats=tuple(stats),
        distance=distance,
        tallest=tallest,
        enough=np.array([found[1:, 4].max(initial=0) >= VISIBLE_SHARE * small[0].size for found in stats]),
    )


def _window(frame: Bools) -> tuple[slice, slice]:
    """The rows and columns of a frame that are not empty."""
    rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
