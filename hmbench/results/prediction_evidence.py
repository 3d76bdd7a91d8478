"""What the pictures of a prediction say against how it is read: whether it is the context, and whether it is late.

Length and rate cannot tell these. A video that repeats the context, or that begins with the frame a model was given,
has the right number of frames and a number that looks right.
"""

from __future__ import annotations

import math

import numpy as np

from hmbench.types import Sample, Video
from hmbench.video.files import resize_video

CONTEXT_PSNR = 26.0
"""dB at a quarter of the size. On the mini world's 16 clips the context through the small codec has 34.9 to 43.4, the
target or either half at half the speed 9.5 to 24.9."""
LOOKS = 9
"""Frames that are compared to tell a repeated context."""
MOVES = 16.0
"""Mean squared difference of two frames that follow each other (36 dB): less is no evidence of time."""
STILL = 0.25
"""Of the least step around it: a first step this small is none."""

LATE = (
    "predictions begin with the last frame of the context, so that each frame is one late: "
    "leave the frame out that the model was given"
)
PLAIN = "predictions are one plain colour throughout, as a filter or a failed decoder leaves them"
AGAIN = "predictions show the context again, frame by frame: look whether they are the right files"
NO_COLOUR = "predictions hold no colour"
COLOURLESS = f"{NO_COLOUR}: red, green and blue are equal in every pixel, and not so in the context"
GREY = 3
"""Of 255: channels that differ by no more are equal; grey frames through a codec differ by 1."""
COLOURED = 24
"""Of 255: a pixel whose channels differ by more has a colour."""


def context_likeness(frames: Video, context: Video) -> float:
    """Median PSNR in dB of frames and context at a quarter of their size, infinite if they are equal.

    Args:
        frames: ``[T, H, W, 3]``.
        context: The same shape.
    """
    middle = float(np.median(_errors(frames, context)))
    return math.inf if middle == 0 else 10 * math.log10(255**2 / middle)


def is_context(frames: Video, context: Video, other: Video | None = None) -> bool:
    """Whether frames are those of the context, where that can be told.

    Args:
        frames: ``[T, H, W, 3]``, read as the target.
        context: ``[Tc, H, W, 3]``.
        other: The real target. Where it looks like the context itself, or, if it is unknown, where nothing moves in the
            context, nothing can be told.
    """
    count = min(len(frames), len(context), *([] if other is None else [len(other)]))
    chosen = np.unique(np.linspace(0, count - 1, LOOKS).astype(int))
    real = context[chosen]
    unlike = real[-1:].repeat(len(real), axis=0) if other is None else other[chosen]
    return context_likeness(unlike, real) < CONTEXT_PSNR <= context_likeness(frames[chosen], real)


def notes_on(video: Video, sample: Sample) -> list[str]:
    """Sentences on a prediction that was read as the target, ``[Tt, H, W, 3]``."""
    target = sample.truth.target if sample.truth is not None else None
    found = [PLAIN] if (video[:: max(1, len(video) // LOOKS)] == video[0, 0, 0]).all() else []
    found += [COLOURLESS] if not found and lost_its_colour(video, sample.prompt.context) else []
    found += [LATE] if begins_late(video, sample.prompt.context, target) else []
    if is_context(video, sample.prompt.context, target):
        return [*found, AGAIN]
    if late := frames_of_context(video, sample.prompt.context, target):
        found.append(
            f"predictions begin with the last {late} frames of the context, so that each frame is {late} late: "
            "leave the frames out that the model was given"
        )
    return found


def lost_its_colour(video: Video, context: Video) -> bool:
    """Whether every pixel is grey, although some of the context's are not."""

    def spread(frames: Video) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        some = frames[:: max(1, len(frames) // LOOKS)]
        return np.asarray(some.max(axis=3) - some.min(axis=3))

    return bool(spread(video).max() <= GREY and (spread(context) > COLOURED).mean() > 0.01)


def frames_of_context(video: Video, context: Video, target: Video | None) -> int:
    """How many of the context's last frames a prediction begins with: two or more, 0 if none or if nobody can tell.

    Models that go on in pieces return the frames that they were given before the new ones.

    Args:
        video: ``[T, H, W, 3]``, read as the target.
        context: ``[Tc, H, W, 3]``.
        target: The real target, if it is known.
    """
    late = len(context) - int(np.argmin(_errors(video[:1].repeat(len(context), axis=0), context)))
    if not 2 <= late < min(len(video), len(context)):
        return 0
    given = context[-late:]
    steps = [_errors(given[:-1], given[1:])]
    if target is not None:
        if len(target) < late:
            return 0
        steps.append(_errors(target[:late], given))
    least = min(float(np.median(step)) for step in steps)
    return late if least > MOVES and float(np.median(_errors(video[:late], given))) < STILL * least else 0


def begins_late(video: Video, context: Video, target: Video | None) -> bool:
    """Whether the first frame is the last one of the context, although everything moves before, after and in truth."""
    if len(video) < 2 or len(context) < 2:
        return False
    first = _errors(video[:1], context[-1:])[0]
    steps = [_errors(context[-2:-1], context[-1:])[0], _errors(video[1:2], video[:1])[0]]
    steps += [] if target is None else [_errors(target[:1], context[-1:])[0]]
    return bool(min(steps) > MOVES and first < STILL * min(steps))


def _errors(frames: Video, others: Video) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean squared difference of each pair at a quarter of the size, ``[T]``."""
    height, width = (max(8, side // 4) for side in others.shape[1:3])
    small, real = (resize_video(video, height, width).astype(np.float64) for video in (frames, others))
    return np.asarray(((small - real) ** 2).mean(axis=(1, 2, 3)))
