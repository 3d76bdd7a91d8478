"""Reading a prediction: the frames that continue a sample, at its size and its rate.

A prediction that does not fit is refused until the user says how to make it fit (`Reading`): frames at another rate or
pictures of another shape give scores that look right and are wrong. Whatever was done is returned and recorded.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import SampleError
from hmbench.results.prediction_evidence import (
    CONTEXT_PSNR,
    NO_COLOUR,
    context_likeness,
    frames_of_context,
    is_context,
    notes_on,
)
from hmbench.results.reading import EXACT, Reading
from hmbench.types import Sample, Video
from hmbench.video.decode import Header, shown_at_ticks
from hmbench.video.files import resize_video
from hmbench.video.sources import source_header, source_pictures

RATE_TOLERANCE = 0.005
"""Relative: 14.985 is 15 fps, 16 is not."""
ASPECT_TOLERANCE = 0.01
"""Relative: sides that were rounded to multiples of 8 pass (416x240 and 208x120), 16:9 for 832x480 does not."""


class Expected(NamedTuple):
    """What a prediction has to be."""

    context: int
    """Frames of the context, which it may begin with."""
    target: int
    """Frames of the target."""
    fps: float
    """Frames a second."""
    size: tuple[int, int]
    """(height, width)."""


class Plan(NamedTuple):
    """How a prediction is read."""

    resample: bool
    """Take what a player shows at each tick instead of frame for frame."""
    dropped: int
    """Context frames at its beginning."""
    notes: tuple[str, ...]
    """What is done to it, as sentences."""
    changes: dict[str, Any]
    """The same as data."""


def expected_of(sample: Sample) -> Expected:
    """What a prediction of a sample has to be."""
    prompt = sample.prompt
    return Expected(sample.num_context_frames, prompt.num_target_frames, prompt.fps, prompt.size)


def plan_reading(path: Path, header: Header, expected: Expected, reading: Reading = EXACT) -> Plan:
    """How a prediction with this header is read.

    Raises:
        SampleError: If its rate, length or shape does not fit and `reading` does not say what to do.
    """
    notes = [f"predictions: {note}" for note in header.notes]
    if header.pixels.startswith(("gray", "mono")):
        notes.append(f"{NO_COLOUR} ({header.pixels})")
    changes: dict[str, Any] = {}
    count, resample = _rate(path, header, expected, reading, notes, changes)
    dropped = _length(path, count, header, expected, reading, notes, changes)
    height, width = expected.size
    if (header.height, header.width) != (height, width):
        changes["resized_from"] = [header.width, header.height]
        ratio = header.width * height / (header.height * width)
        if abs(ratio - 1) <= ASPECT_TOLERANCE:
            notes.append(f"predictions were scaled from {header.width}x{header.height} to {width}x{height}")
        elif reading.fit is None:
            raise SampleError(
                f"{path} is {header.width}x{header.height}, the clip {width}x{height}: another shape.",
                "Say how it is to fit: --fit crop (cut what is too much), pad (black bars) or stretch.",
            )
        else:
            changes["fit"] = reading.fit
            shape = f"{header.width}x{header.height}, not {width}x{height}"
            notes.append(f"predictions of another shape ({shape}) were made to fit: {reading.fit}")
    return Plan(resample, dropped, tuple(notes), changes)


def read_prediction(path: Path, sample: Sample, reading: Reading = EXACT) -> tuple[Video, dict[str, Any]]:
    """The target part of a prediction at the sample's size and rate, and what had to be changed to get it.

    Args:
        path: The video: target frames alone, or context and target; a file, a folder of pictures, or ``.npy``.
        sample: The sample that it continues.
        reading: What to do where it does not fit.

    Raises:
        SampleError: If it is missing, damaged, of another length, rate or shape, or if its first part is not the
            sample's context.
    """
    expected, header = expected_of(sample), source_header(path)
    plan = plan_reading(path, header, expected, reading)
    wanted = plan.dropped + expected.target
    source = source_pictures(path)
    frames = (p for _, p in shown_at_ticks(source, header, expected.fps)) if plan.resample else source
    taken = [_fitted(picture.image, expected.size, reading.fit) for picture in itertools.islice(frames, wanted)]
    more = next(frames, None) is not None
    if len(taken) < wanted or (more and reading.frames == "exact" and not plan.resample):
        raise SampleError(
            f"{path} has {'more than ' if more else ''}{len(taken)} frames that can be decoded, expected {wanted}.",
            "It is cut off or damaged: write it again.",
        )
    video = np.stack(taken)
    changes = dict(plan.changes)
    if plan.dropped and "fit" not in changes:  # a cropped context is another picture
        changes["context_psnr"] = _check_context(path, video[: plan.dropped], sample.prompt.context)
    if "frames_left_out" in changes:
        _refuse_context(path, video, sample)
    seen = notes_on(video[plan.dropped :], sample)
    if any(note.startswith(NO_COLOUR) for note in plan.notes):
        seen = [note for note in seen if not note.startswith(NO_COLOUR)]
    if notes := [*plan.notes, *seen]:
        changes["notes"] = notes
    return video[plan.dropped :], changes


def _rate(
    path: Path, header: Header, expected: Expected, reading: Reading, notes: list[str], changes: dict[str, Any]
) -> tuple[int, bool]:
    """How many frames it has at the sample's rate, and whether it is resampled to get there."""
    if math.isnan(header.fps):
        return header.frames, False
    other = abs(header.fps / expected.fps - 1) > RATE_TOLERANCE
    if not other and header.steady:
        return header.frames, False
    if header.codec == "gif" and header.frames in (expected.target, expected.context + expected.target):
        ticks = 100 / expected.fps  # a GIF counts hundredths of a second: 15 fps are 6 or 7 of them
        if math.floor(ticks) <= 100 / header.fps <= math.ceil(ticks):
            changes["rate"] = round(header.fps, 4)
            notes.append(f"predictions are GIFs of {header.fps:.4g} fps, as near to {expected.fps:g} as a GIF can be")
            return header.frames, False
    found = f"{header.fps:.4g} fps" if header.steady else f"unevenly spaced in time ({header.fps:.4g} fps on average)"
    if reading.align is None:
        raise SampleError(
            f"{path} is {found}, the clip {expected.fps:g} fps: its {header.frames} frames last {header.seconds:.2f} "
            f"s, the target's {expected.target} last {expected.target / expected.fps:.2f} s.",
            "Say how to align it: --align resample (by time), or first-frames (frame by frame, whatever it says).",
        )
    changes["rate"], changes["align"] = round(header.fps, 4), reading.align
    if reading.align == "first-frames":
        says = f"say {found}" if header.steady else f"are {found}"
        notes.append(f"predictions {says}; their frames were taken one by one as {expected.fps:g} fps")
        return header.frames, False
    which = f"of {found}" if header.steady else found
    notes.append(f"predictions {which} were resampled to {expected.fps:g} fps (what a player shows at each tick)")
    return _ticks(header, expected), True


def _ticks(header: Header, expected: Expected) -> int:
    """Frames of a resampled video: a length that fits within a frame of either clock counts as fitting."""
    for count in (expected.target, expected.context + expected.target):
        covered = (count - 1) / expected.fps < header.seconds - 1e-6
        if covered and abs(header.seconds - count / expected.fps) < max(1 / expected.fps, 1 / header.fps) + 1e-6:
            return count
    return math.floor(header.seconds * expected.fps + 0.5)


def _length(
    path: Path,
    count: int,
    header: Header,
    expected: Expected,
    reading: Reading,
    notes: list[str],
    changes: dict[str, Any],
) -> int:
    """How many context frames come before the target."""
    before, after = expected.context, expected.target
    if count == after:
        return 0
    if count == before + after and reading.frames == "exact":
        changes["context_frames_dropped"] = before
        return before
    if reading.frames == "first" and count > after:
        changes["frames_left_out"] = count - after
        notes.append(f"only the first {after} frames of predictions are scored; {count - after} more are left out")
        return 0
    at = "" if count == header.frames else f" ({count} at {expected.fps:g} fps)"
    raise SampleError(
        f"{path} has {header.frames} frames{at}, expected {after} (the target) or {before + after} "
        "(context and target).",
        "Generate as many frames as the sample's target has"
        + (", or score the first ones alone: --frames first." if count > after else "."),
    )


def _fitted(image: NDArray[np.uint8], size: tuple[int, int], fit: str | None) -> NDArray[np.uint8]:
    """One picture at the sample's size."""
    height, width = size
    ratio = image.shape[1] * height / (image.shape[0] * width)
    if fit in (None, "stretch") or abs(ratio - 1) <= ASPECT_TOLERANCE:
        whole: NDArray[np.uint8] = resize_video(image[None], height, width)[0]
        return whole
    factors = height / image.shape[0], width / image.shape[1]
    scale = max(factors) if fit == "crop" else min(factors)
    sides = [max(1, round(side * scale)) for side in image.shape[:2]]
    scaled = resize_video(image[None], *sides)[0]
    if fit == "crop":
        top, left = (max(0, have - want) // 2 for have, want in zip(sides, size, strict=True))
        return np.ascontiguousarray(scaled[top : top + height, left : left + width])
    out = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (max(0, want - have) // 2 for have, want in zip(sides, size, strict=True))
    out[top : top + sides[0], left : left + sides[1]] = scaled
    return out


def _check_context(path: Path, frames: Video, context: Video) -> float | None:
    """PSNR of the first part and the context, None if they are equal.

    Raises:
        SampleError: If it is not the context.
    """
    likeness = context_likeness(frames, context)
    if likeness < CONTEXT_PSNR:
        raise SampleError(
            f"{path} has as many frames as context and target together, but its first {len(frames)} are not the "
            f"context (PSNR {likeness:.1f} dB at a quarter of the size, at least {CONTEXT_PSNR:g} expected).",
            "Give the target alone, or the context as the model saw it and then the target.",
        )
    return None if math.isinf(likeness) else round(likeness, 2)


def _refuse_context(path: Path, frames: Video, sample: Sample) -> None:
    """The first frames that are to be scored must not be the context before the target, nor its last ones.

    Raises:
        SampleError: If they are.
    """
    context = sample.prompt.context
    if late := frames_of_context(frames, context, None if sample.truth is None else sample.truth.target):
        raise SampleError(
            f"{path} begins with the last {late} frames of the context, which --frames first would score as the "
            "target.",
            f"Cut its first {late} frames off.",
        )
    if is_context(frames, context):
        raise SampleError(
            f"{path} begins with the context, which --frames first would score as the target.",
            "Leave --frames first out, or cut the context off longer videos.",
        )
