"""``static-cache``: a three-dimensional memory of a world that stands still, without weights.

Each target frame is painted from remembered frames at the depth where they agree (a plane sweep, Collins 1996): every
pixel is tried at some twenty distances, each remembered view is moved to the target's camera as if everything stood
there, and the distance at which the views differ least is taken. What stands still is sharp and in place, also when
the camera travels, which `nearest_view` cannot. What moves has no depth at which the views agree: it comes back where
and how it was last seen, frozen, in pieces, or not at all. It is the archivist of the paper's argument.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from baselines.nearest_view import spread_views, view_distance, warp
from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Video

NEAREST = 1.5
"""Metres of the nearest plane."""
PLANES = 20
"""Planes, even in inverse distance from `NEAREST` to infinity."""
VIEWS = 5
"""Remembered frames that a target frame is painted from."""
APART = 1.5
"""Degrees (or as much distance, see `nearest_view`) between them: enough parallax, and enough in common."""
WINDOW = 5
"""Pixels of the square over which views are compared."""
FARTHER = 0.3
"""Grey levels by which a nearer plane must be better than the next farther one: where nothing tells, it is far."""

AGREE = 16.0
"""Grey levels by which views may differ at a plane that is not the farthest. What moves has no depth: without this it
is broken into smaller pieces, each at the depth that happens to fit it best."""
HALF_A_PIXEL = 0.5
"""Parallax at the nearest plane below which depth does not matter."""
_MEAN = np.full(3, 1 / 3, np.float32)

Plane = NDArray[np.float64]
Picture = NDArray[np.uint8]


class StaticCache:
    """Repaints remembered frames at the depth where they agree."""

    info = ModelInfo(
        name="static-cache", description="remembered frames, moved to the target's camera by a plane sweep"
    )

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Repainted frames, uint8 ``[Tt, H, W, 3]``; the seed changes nothing."""
        distance = view_distance(prompt.target_poses, prompt.context_poses)
        between = view_distance(prompt.context_poses, prompt.context_poses)
        return np.stack(
            [
                paint(prompt, t, spread_views(distance[t], between, VIEWS, APART))
                for t in range(prompt.num_target_frames)
            ]
        )


def static_cache() -> StaticCache:
    """Remembered frames, moved to the target's camera by a plane sweep."""
    return StaticCache()


def paint(prompt: Prompt, t: int, views: list[int]) -> Picture:
    """One target frame.

    Args:
        prompt: The clip.
        t: Target frame.
        views: Context frames, the nearest first.

    Returns:
        uint8 ``[H, W, 3]``; what no view covers repeats the edge of the nearest.
    """
    height, width = prompt.size
    best = np.full((height, width), np.inf, np.float32)
    painted = np.zeros((height, width, 3), np.uint8)
    apart = np.linalg.norm(prompt.context_poses[views, :3, 3] - prompt.target_poses[t, :3, 3], axis=1).max()
    # a camera that only turns sees no depth
    planes = PLANES if apart * prompt.intrinsics.focal / NEAREST > HALF_A_PIXEL else 1
    for rank, inverse in enumerate(np.linspace(0.0, 1 / NEAREST, planes)):
        moved = [_seen(prompt, t, view, inverse) for view in views]
        colours, cost = _agreement(moved)
        # the first plane is the one at infinity, which needs no agreement
        better = (cost < best - FARTHER) & (cost <= AGREE) if rank else cost < best
        painted[better], best[better] = colours[better], cost[better]
    return painted


def _agreement(moved: list[tuple[Picture, NDArray[np.bool_]]]) -> tuple[Picture, NDArray[np.float32]]:
    """Colours of the nearest view that covers a pixel, and by how many grey levels the others differ from them.

    Where a single view covers a pixel nothing can be said: 255, more than any difference, but less than infinity.
    """
    colours = moved[0][0].copy()
    known = np.zeros(colours.shape[:2], np.bool_)
    total, count = np.zeros(known.shape, np.float32), np.zeros(known.shape, np.float32)
    for picture, covered in moved:
        new = covered & ~known
        colours[new] = picture[new]
        both = (covered & known).astype(np.float32)
        total += both * (cv2.absdiff(picture, colours).astype(np.float32) @ _MEAN)
        count += both
        known |= covered
    window = (WINDOW, WINDOW)
    differ, seen = (
        np.asarray(cv2.boxFilter(part, -1, window, borderType=cv2.BORDER_REFLECT), np.float32)
        for part in (total, count)
    )
    return colours, np.where(seen > 1e-6, differ / np.maximum(seen, 1e-6), np.float32(255))


def _seen(prompt: Prompt, t: int, view: int, inverse: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A remembered frame in the target's camera, if all stood at this inverse distance, and the pixels it covers."""
    there, here = prompt.context_poses[view], prompt.target_poses[t]
    turn = there[:3, :3].T @ here[:3, :3]
    shift = there[:3, :3].T @ (here[:3, 3] - there[:3, 3])
    lens = prompt.intrinsics.matrix()
    plane: Plane = turn + np.outer(shift, (0.0, 0.0, inverse))
    to_view = lens @ plane @ np.linalg.inv(lens)
    height, width = prompt.size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
    if (to_view[2] @ corners).min() <= 1e-6:  # a part of the plane is behind the remembered camera
        return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
    whole = np.full((height, width), 255, np.uint8)
    picture = warp(prompt.context[view], to_view, cv2.BORDER_REPLICATE)
    return picture, warp(whole, to_view, cv2.BORDER_CONSTANT) == 255
