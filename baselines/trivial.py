"""Models without weights that mark the ends of every scale.

``oracle`` is shown the truth and marks the best that a metric can reach; ``copy-last`` freezes the last context frame,
``reverse-context`` walks the context back the way it came (as a camera that returns would see a world in which nothing
moved on), ``noise`` marks the floor. None of them looks at a camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Truth, Video


class Oracle:
    """Returns the real continuation."""

    info = ModelInfo(
        name="oracle",
        description="the real continuation: the bound that each metric can reach",
        notice="oracle is shown the truth: it marks the bound of each metric and is no competitor.",
        standing="bound",
    )

    def generate_from_truth(self, prompt: Prompt, truth: Truth, *, seed: int) -> Video:
        """The truth's target frames, uint8 ``[Tt, H, W, 3]``."""
        return truth.target.copy()


class CopyLast:
    """Repeats the last context frame."""

    info = ModelInfo(name="copy-last", description="repeats the last context frame", standing="no memory")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """One frame, as often as there are target frames, uint8 ``[Tt, H, W, 3]``."""
        return np.repeat(prompt.context[-1:], prompt.num_target_frames, axis=0)


class ReverseContext:
    """Plays the context backwards from its end."""

    info = ModelInfo(
        name="reverse-context",
        description="plays the context backwards, and forwards again if too short",
        standing="no memory",
    )

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Context frames Tc-2, Tc-3, ..., 0, 1, ...: uint8 ``[Tt, H, W, 3]``."""
        frames: Video = prompt.context[ping_pong(len(prompt.context), prompt.num_target_frames)]
        return frames


class Noise:
    """Independent uniform noise in each pixel."""

    info = ModelInfo(name="noise", description="uniform noise from the seed", standing="no memory")

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """Noise, uint8 ``[Tt, H, W, 3]``, the same for the same seed."""
        shape = (prompt.num_target_frames, *prompt.size, 3)
        return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def oracle() -> Oracle:
    """The real continuation, which marks the bound that each metric can reach."""
    return Oracle()


def copy_last() -> CopyLast:
    """Repeats the last context frame."""
    return CopyLast()


def reverse_context() -> ReverseContext:
    """Plays the context backwards, and forwards again if it is too short."""
    return ReverseContext()


def noise() -> Noise:
    """Uniform noise from the seed."""
    return Noise()


def ping_pong(context_frames: int, target_frames: int) -> NDArray[np.int64]:
    """Which context frame each target frame shows, int64 ``[target_frames]``.

    >>> ping_pong(3, 6).tolist()
    [1, 0, 1, 2, 1, 0]
    """
    last = context_frames - 1
    if last == 0:
        return np.zeros(target_frames, dtype=np.int64)
    phase = (np.arange(1, target_frames + 1) + last) % (2 * last)
    return np.minimum(phase, 2 * last - phase)
