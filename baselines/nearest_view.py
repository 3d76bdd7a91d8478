"""``nearest-view``: geometry alone as memory, without weights.

Each target frame is painted from the context frames that looked nearest to its direction, each turned into the target's
view by the rotation between the two cameras (the homography of infinitely far scenery); the nearest that covers a pixel
wins, and pixels that none covers repeat the nearest frame's edge. It is the archivist without the tracker: what stood
far away is where it was, near things shift as the camera travels, and subjects come back frozen or not at all. A model
that learned to remember should beat it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.protocols import ModelInfo
from hmbench.types import Poses, Prompt, Video

DEGREES_A_METRE = 4.0
"""How many degrees of turn count as much as a metre of distance when views are compared: at 14 m, where much of a scene
stands, a metre across moves things by four."""
VIEWS = 4
"""Context frames that one target frame is painted from."""
APART = 5.0
"""Degrees (or as much distance) by which these differ from each other: neighbouring frames cover the same."""


class NearestView:
    """Repaints remembered frames from the target's direction."""

    info = ModelInfo(
        name="nearest-view", description="the context frames that looked nearest, turned into the target's view"
    )

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Repainted frames, uint8 ``[Tt, H, W, 3]``; the seed changes nothing."""
        distance = view_distance(prompt.target_poses, prompt.context_poses)
        between = view_distance(prompt.context_poses, prompt.context_poses)
        frames = np.empty((prompt.num_target_frames, *prompt.size, 3), np.uint8)
        for t in range(len(frames)):
            frames[t] = self._paint(prompt, t, spread_views(distance[t], between, VIEWS, APART))
        return frames

    def _paint(self, prompt: Prompt, t: int, views: list[int]) -> NDArray[np.uint8]:
        height, width = prompt.size
        lens = prompt.intrinsics.matrix()
        painted = np.zeros((height, width, 3), np.uint8)
        covered = np.zeros((height, width), bool)
        for rank, view in enumerate(reversed(views)):
            # the nearest is painted last, over all others; the first of this order also fills what nobody covers
            turn = prompt.context_poses[view, :3, :3].T @ prompt.target_poses[t, :3, :3]
            to_view = lens @ turn @ np.linalg.inv(lens)
            seen = warp(np.full((height, width), 255, np.uint8), to_view, cv2.BORDER_CONSTANT) == 255
            picture = warp(prompt.context[view], to_view, cv2.BORDER_REPLICATE)
            painted[seen] = picture[seen]
            covered |= seen
            if rank == len(views) - 1:
                painted[~covered] = picture[~covered]
        return painted


def nearest_view() -> NearestView:
    """The context frames that looked nearest, turned into the target's view."""
    return NearestView()


def view_distance(a: Poses, b: Poses) -> NDArray[np.float64]:
    """Degrees between the optical axes of cameras, and metres between them as degrees, ``[A, B]``."""
    cosine = np.clip(a[:, :3, 2] @ b[:, :3, 2].T, -1.0, 1.0)
    metres = np.linalg.norm(a[:, None, :3, 3] - b[None, :, :3, 3], axis=-1)
    return np.asarray(np.degrees(np.arccos(cosine)) + DEGREES_A_METRE * metres, np.float64)


def spread_views(distance: NDArray[np.float64], between: NDArray[np.float64], count: int, apart: float) -> list[int]:
    """The nearest views, each at least `apart` from those before; the later one of equals, whose subjects are fresher.

    Args:
        distance: Of each context frame from the target, ``[Tc]``.
        between: Of the context frames from each other, ``[Tc, Tc]``.
        count: How many at most.
        apart: Least distance.
    """
    chosen: list[int] = []
    for view in np.lexsort((-np.arange(len(distance)), distance)):
        if all(between[view, other] >= apart for other in chosen):
            chosen.append(int(view))
        if len(chosen) == count:
            break
    return chosen


def warp(picture: NDArray[np.uint8], to_view: NDArray[np.float64], border: int) -> NDArray[np.uint8]:
    """The picture as the target sees it; `to_view` takes target pixels to the picture's."""
    height, width = picture.shape[:2]
    # hmbench counts pixels from their corners, OpenCV from their centres
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    between = np.linalg.inv(half) @ to_view @ half
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(picture, between, (width, height), flags=flags, borderMode=border), np.uint8)
