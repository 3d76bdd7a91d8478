"""Predictions that need no memory and no model: what a benchmark must not reward.

``still`` repeats a picture, ``flat`` and ``row-means`` know the colours of the context and nothing else, ``stickers``
paste the context's moving things on it where they were, ``gated-stickers`` hide them while the camera looks elsewhere.
None of them may stand above a model that remembers; tables show them under a line "no memory". They see no more than a
model sees: what moves is found by itself, against the median of frames that look the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Video

SAME_VIEW = 3.0
"""Degrees within which two frames look the same way."""
SEEN_AGAIN = 15.0
"""Degrees from the sticker's view within which ``gated-stickers`` shows it."""
DIFFERENT = 30.0
"""Grey levels from which on a pixel moved."""
LEAST_SHARE = 0.004
"""Share of the frame below which a moving patch is flicker."""
_NOTICE = "a trick without memory: it marks what a score must not reward and is no competitor."


class Sticker(NamedTuple):
    """Something that moved in the context, cut out."""

    picture: NDArray[np.uint8]
    """Its pixels ``[h, w, 3]``."""
    left: int
    """Where it was."""
    top: int
    """Where it was."""


def _info(name: str, description: str) -> ModelInfo:
    return ModelInfo(name=name, description=description, standing="no memory", notice=f"{name} is {_NOTICE}")


class Still:
    """Repeats one context frame.

    Args:
        frame: Which, from 0; negative ones count from the end.
    """

    def __init__(self, frame: int) -> None:
        self.frame = frame
        self.info = _info("still", f"repeats context frame {frame}")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """One frame, as often as there are target frames, uint8 ``[Tt, H, W, 3]``."""
        chosen = min(max(self.frame, -len(prompt.context)), len(prompt.context) - 1)
        return _repeated(prompt.context[chosen], prompt)


class Flat:
    """One colour: the context's mean."""

    info = _info("flat", "the mean colour of the context")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Uint8 ``[Tt, H, W, 3]``."""
        colour = prompt.context.mean(axis=(0, 1, 2))
        return _repeated(np.broadcast_to(colour, prompt.context.shape[1:]), prompt)


class RowMeans:
    """Each row the mean of the context's: sky above, ground below."""

    info = _info("row-means", "each row is the mean of the context's")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Uint8 ``[Tt, H, W, 3]``."""
        return _repeated(row_means(prompt), prompt)


class Stickers:
    """What moved in the context, pasted on its row means.

    Args:
        gated: Hide them while the camera looks elsewhere.
    """

    def __init__(self, *, gated: bool) -> None:
        self.gated = gated
        when = "while the camera looks their way" if gated else "all the time"
        self.info = _info("gated-stickers" if gated else "stickers", f"what moved, pasted on row means {when}")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Uint8 ``[Tt, H, W, 3]``."""
        source, stickers = best_stickers(prompt)
        empty = np.clip(np.rint(row_means(prompt)), 0, 255).astype(np.uint8)
        full = empty.copy()
        for sticker in stickers:
            height, width = sticker.picture.shape[:2]
            full[sticker.top : sticker.top + height, sticker.left : sticker.left + width] = sticker.picture
        away = degrees_between(prompt.target_poses, prompt.context_poses[source])
        shown = (away <= SEEN_AGAIN) if self.gated else np.ones(len(away), bool)
        return np.where(shown[:, None, None, None], full[None], empty[None])


def row_means(prompt: Prompt) -> NDArray[np.float64]:
    """Mean colour of each row of the context, ``[H, W, 3]``."""
    rows = prompt.context.mean(axis=(0, 2))
    return np.broadcast_to(rows[:, None], prompt.context.shape[1:])


def best_stickers(prompt: Prompt) -> tuple[int, list[Sticker]]:
    """The context frame in which most moves, and what moves there."""
    best: tuple[float, int, list[Sticker]] = (0.0, 0, [])
    for t in range(0, len(prompt.context), 4):
        same = degrees_between(prompt.context_poses, prompt.context_poses[t]) <= SAME_VIEW
        usual = np.median(prompt.context[same], axis=0)
        change = np.abs(prompt.context[t] - usual).max(axis=2)
        found = _patches(cv2.GaussianBlur(change, (0, 0), 1.0) > DIFFERENT, prompt.context[t])
        size = float(sum(sticker.picture.size for sticker in found))
        if size > best[0]:
            best = (size, t, found)
    return best[1], best[2]


def degrees_between(poses: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle between the optical axes of cameras ``[T, 4, 4]`` and of one ``[4, 4]``, ``[T]``."""
    return np.asarray(np.degrees(np.arccos(np.clip(poses[:, :3, 2] @ pose[:3, 2], -1, 1))), np.float64)


def _patches(moved: NDArray[np.bool_], frame: NDArray[np.uint8]) -> list[Sticker]:
    whole = cv2.morphologyEx(moved.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(whole)
    least = LEAST_SHARE * moved.size
    return [
        Sticker(frame[y : y + h, x : x + w].copy(), int(x), int(y)) for x, y, w, h, area in boxes[1:] if area >= least
    ]


def _repeated(picture: NDArray[np.generic], prompt: Prompt) -> Video:
    frame = np.clip(np.rint(np.asarray(picture, np.float64)), 0, 255).astype(np.uint8)
    return np.repeat(frame[None], prompt.num_target_frames, axis=0)


def still(*, frame: int = 0) -> Still:
    """Repeats one context frame, by default the first."""
    return Still(frame)


def flat() -> Flat:
    """The mean colour of the context."""
    return Flat()


def row_means_model() -> RowMeans:
    """Each row the mean of the context's."""
    return RowMeans()


def stickers() -> Stickers:
    """What moved in the context, pasted on its row means."""
    return Stickers(gated=False)


def gated_stickers() -> Stickers:
    """Stickers, hidden while the camera looks elsewhere."""
    return Stickers(gated=True)
