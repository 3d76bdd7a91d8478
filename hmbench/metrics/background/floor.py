"""What needs no memory of the place: a family of predictions, and how well the best of them follows the camera.

A picture that does not change follows by exactly nothing, so that all stills (any context frame, flat and blurred
pictures, means of rows, of columns and of the context) are at the floor by construction and need not be tried. Tried is
what changes without knowing the place:

* the context again and backwards, at five speeds; as four slides; a slow fade between its ends: these know nothing of
  the asked camera;
* the last context frame alone, turned as the camera turns, its border repeated, mirrored or black, or moved sideways
  and round: this follows the camera, and remembers nothing but what it sees when it starts.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.registration import (
    background_mask,
    context_mask,
    following_of,
    other_views,
    target_views,
)
from hmbench.metrics.background.views import FINE_WIDTH, Floats, Likeness, Views, likeness, small_views
from hmbench.types import Intrinsics, Prompt, Video

SPEEDS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Speeds at which the context is played."""
BORDERS = {"edge": cv2.BORDER_REPLICATE, "mirror": cv2.BORDER_REFLECT, "black": cv2.BORDER_CONSTANT}
"""What a turned picture shows where it has nothing."""


def memoryless_following(case: Case) -> dict[str, float]:
    """How well each member of the family follows the asked camera, measured as a prediction is."""
    context = small_views(case.sample.prompt.context, context_mask(case)).coarse
    steps = case.sample.prompt.num_target_frames
    real, other = target_views(case).coarse, other_views(case)
    shown = likeness(_joined(context, _fade(context, steps)), real)
    found = {
        name: following_of(Likeness(shown.at[:, rows]), other)
        for name, rows in orders(len(context.seen), steps).items()
    }
    small = _small(case.sample.prompt)
    free = resized(background_mask(case), small.size)
    for name, video in turned_last_frame(small).items():
        views = small_views(video, free, of=case.sample.prompt.size).coarse
        found[name] = following_of(likeness(views, real), other)
    return found


def orders(context: int, target: int) -> dict[str, NDArray[np.intp]]:
    """What ignores cameras: which context frame each target frame shows; from `context` on, the fade's."""
    t = np.arange(target)
    last = context - 1
    slides = (t * 4 // target) * last // 3
    return {
        **camera_blind(context, target),
        "slides": slides,
        "slides backwards": last - slides,
        "fade": context + t,
        "fade back": context + t[::-1],
    }


def camera_blind(context: int, target: int) -> dict[str, NDArray[np.intp]]:
    """The context again and backwards at each of `SPEEDS`: the context frame of each target frame, ``[target]``."""
    last = context - 1
    played = {s: _to_and_fro(np.floor(np.arange(target) * s).astype(np.intp), last) for s in SPEEDS}
    again = {f"again at {speed:g}": rows for speed, rows in played.items()}
    return again | {f"backwards at {speed:g}": last - rows for speed, rows in played.items()}


def turned_last_frame(prompt: Prompt) -> dict[str, Video]:
    """The last context frame as the camera would see it (the homography of scenery far away), ``[Tt, H, W, 3]``."""
    lens = prompt.intrinsics.matrix()
    back = np.linalg.inv(lens)
    first = prompt.context_poses[-1, :3, :3]
    turns = [lens @ first.T @ pose[:3, :3] @ back for pose in prompt.target_poses]
    videos = {
        f"last frame turned, {name}": np.stack([seen_from(prompt.context[-1], turn, border) for turn in turns])
        for name, border in BORDERS.items()
    }
    ahead = prompt.target_poses[:, :3, 2] @ first
    columns = np.rint(prompt.intrinsics.focal * np.arctan2(ahead[:, 0], ahead[:, 2])).astype(int)
    videos["last frame moved round"] = np.stack([np.roll(prompt.context[-1], -dx, axis=1) for dx in columns])
    return videos


def _small(prompt: Prompt) -> Prompt:
    """The last context frame alone, twice as wide as fine views at most, with the lens of that size."""
    height, width = prompt.size
    if width <= 2 * FINE_WIDTH:
        return replace(prompt, context=prompt.context[-1:])
    wide, high = 2 * FINE_WIDTH, round(2 * FINE_WIDTH * height / width)
    lens = Intrinsics(focal=prompt.intrinsics.focal * wide / width, width=wide, height=high)
    frame = cv2.resize(prompt.context[-1], (wide, high), interpolation=cv2.INTER_AREA)
    return replace(prompt, context=np.asarray(frame, np.uint8)[None], intrinsics=lens)


def seen_from(picture: NDArray[np.uint8], turn: NDArray[np.float64], border: int) -> NDArray[np.uint8]:
    """A picture through a homography ``[3, 3]`` that takes pixels of the new view to pixels of the picture."""
    size = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(picture, turn, size, flags=flags, borderMode=border), np.uint8)


def resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask ``[T, H, W]`` at another (height, width)."""
    frames = (cv2.resize(f.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) for f in mask)
    return np.stack([np.asarray(f, np.uint8).astype(np.bool_) for f in frames])


def _to_and_fro(steps: NDArray[np.intp], last: int) -> NDArray[np.intp]:
    """Steps along a clip that turns round at its ends."""
    phase = steps % max(2 * last, 1)
    return np.minimum(phase, max(2 * last, 1) - phase) if last else np.zeros_like(steps)


def _joined(a: Views, b: Views) -> Views:
    return Views(np.concatenate([a.colours, b.colours]), np.concatenate([a.seen, b.seen]))


def _fade(context: Views, steps: int) -> Views:
    """From the last context view to the first; where one is masked the other is seen alone."""
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None, None]
    weights = (1 - share) * context.seen[-1], share * context.seen[0]
    seen = weights[0] + weights[1]
    mixed = weights[0][..., None] * context.colours[-1] + weights[1][..., None] * context.colours[0]
    colours: Floats = mixed / np.maximum(seen, 1e-3)[..., None]
    return Views(colours * (seen > 0)[..., None], (seen > 0).astype(np.float32))
