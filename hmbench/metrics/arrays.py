"""Metrics on plain arrays, without samples, models or files: ``hmbench.metrics.psnr(a, b)`` and its neighbours.

Each gives the number that a run would give, by the same code. Videos are uint8 ``[T, H, W, 3]``; a single picture
``[H, W, 3]`` counts as a clip of one frame, and a batch ``[N, T, H, W, 3]`` gives an array of N numbers. Torch tensors
on the CPU are taken, too. Boxes are ``[T, 4]``, xyxy in pixels, rows of NaN where there is nothing.

Letters: N clips, T frames, Tc context frames, Tt target frames, H height, W width, K tracks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmbench.metrics.hota import Hota, Overlaps, overlaps
from hmbench.metrics.hota import hota as _hota
from hmbench.metrics.hota import idf1 as _idf1
from hmbench.subjects.boxes import areas, centres, framewise_iou, present
from hmbench.types import Boxes, Video
from hmbench.video.events import find_events, visible_frames

Numbers = float | NDArray[np.float64]
Tracks = ArrayLike | Sequence[ArrayLike]
WINDOW_SECONDS, EARLY_SECONDS, LEAST_FRAMES = 3.0, 1.0, 3
"""As in `hmbench.metrics.reentry.records`: length of a window, how early a return may be, frames that make one."""


class Return(NamedTuple):
    """One exit and re-entry, judged by boxes alone. Frames count from the first context frame."""

    exit: int
    """First hidden frame of the truth."""
    reentry: int
    """First frame in which the truth is visible again."""
    seen: bool
    """The prediction shows it in at least three frames from the re-entry on, within three seconds."""
    offset_frames: float
    """First sight minus that of the truth, positive is late; NaN if it never came back."""
    coverage: float
    """Share of the window's frames with the true box that have a predicted one, in [0, 1]."""
    iou: float
    """Mean overlap over frames with both, in [0, 1]; 0 if there is none."""
    centre_error: float
    """Mean distance of the centres in frame diagonals; NaN without frames with both."""
    size_ratio: float
    """Median of predicted over true square root of the area; NaN without frames with both."""


def psnr(a: ArrayLike, b: ArrayLike, mask: ArrayLike | None = None) -> Numbers:
    """Peak signal-to-noise ratio in dB: mean over frames, capped at 100. The metric `psnr` of a run.

    Args:
        a: uint8 ``[T, H, W, 3]``, one picture ``[H, W, 3]``, or a batch ``[N, T, H, W, 3]``.
        b: The same shape.
        mask: Pixels that count, bool ``[T, H, W]`` (with a batch ``[N, T, H, W]``); by default all.

    Returns:
        A number; of a batch, float64 ``[N]``. NaN where no frame shows 16 pixels of the mask.

    Raises:
        ValueError: If the arrays are not uint8 of one shape.
    """
    from hmbench.metrics.fidelity import psnr_from_mse, region_means, squared_error

    def one(x: Video, y: Video, pixels: NDArray[np.bool_] | None) -> float:
        mse, _ = region_means(squared_error(x, y), pixels)
        return float(psnr_from_mse(mse).mean()) if len(mse) else math.nan

    return _each(one, a, b, mask)


def ssim(a: ArrayLike, b: ArrayLike, mask: ArrayLike | None = None) -> Numbers:
    """Structural similarity in [-1, 1], Gaussian window of 11 taps: mean over frames. The metric `ssim` of a run.

    Args, returns and raises as `psnr`; frames must be larger than 10 pixels each way.
    """
    from hmbench.metrics.fidelity import SSIM_BORDER, region_means, ssim_maps

    def one(x: Video, y: Video, pixels: NDArray[np.bool_] | None) -> float:
        inner = slice(SSIM_BORDER, -SSIM_BORDER)
        values, _ = region_means(ssim_maps(x, y), None if pixels is None else pixels[:, inner, inner])
        return float(values.mean()) if len(values) else math.nan

    return _each(one, a, b, mask)


def lpips(a: ArrayLike, b: ArrayLike, *, weights: str | Path, device: str = "cpu") -> Numbers:
    """LPIPS with AlexNet, from 0 up, lower is better: mean over frames. The metric `lpips` of a run.

    Args:
        a: As in `psnr`, uint8: scaling to [-1, 1] is done here.
        b: The same shape.
        weights: Folder filled by ``hmbench weights pull DIR``.
        device: Torch device.

    Raises:
        UserError: If the folder lacks the network.
        ValueError: If the arrays are not uint8 of one shape.
    """
    from hmbench.errors import UserError
    from hmbench.metrics.perceptual import lpips_parts
    from hmbench.networks.backbones import find_backbones

    network = find_backbones(profile="paper", weights=Path(weights), device=device).lpips
    if network.missing:
        raise UserError(f"LPIPS cannot be computed: {network.missing}.")
    model = network.get()
    return _each(lambda x, y, _: float(lpips_parts(model, x, y).frames.mean()), a, b, None)


def dsc(
    prediction: ArrayLike,
    boxes: ArrayLike,
    reference: ArrayLike,
    reference_boxes: ArrayLike,
    *,
    profile: str = "mini",
    weights: str | Path | None = None,
    device: str = "cpu",
) -> float:
    """Dynamic Subject Consistency of one subject in [0, 1]: mean cosine over all pairs of its views in two videos.

    The idea of HyDRA's metric (`dsc_gt` of a run is this, with boxes that a tracker found). Order does not matter, so
    that it cannot see motion.

    Args:
        prediction: uint8 ``[T, H, W, 3]``.
        boxes: The subject in it, ``[T, 4]``.
        reference: uint8 ``[R, H, W, 3]``, the real video or its context.
        reference_boxes: The subject in that, ``[R, 4]``.
        profile: ``mini`` looks through the shipped network, ``paper`` through CLIP.
        weights: For ``paper``: folder filled by ``hmbench weights pull DIR``.
        device: Torch device.

    Returns:
        The score; NaN where one of the videos has no box.

    Raises:
        UserError: If the network's weights are missing.
        ValueError: If a video is not uint8 or has another number of frames than its boxes, or these are not xyxy.
    """
    from hmbench.errors import UserError
    from hmbench.networks.backbones import find_backbones

    folder = None if weights is None else Path(weights)
    encoder = find_backbones(profile=profile, weights=folder, device=device).crops[""]
    if encoder.missing:
        raise UserError(f"DSC cannot be computed: {encoder.missing}.")
    means = []
    for video, places in ((_clip(prediction), _boxes(boxes)), (_clip(reference), _boxes(reference_boxes))):
        if len(video) != len(places):
            raise ValueError(f"a video of {len(video)} frames has boxes for {len(places)}")
        if not present(places).any():
            return math.nan
        means.append(encoder.get().crops(video, places).mean(dim=0).double())
    return min(max(float(means[0] @ means[1]), 0.0), 1.0)


def hota(references: Tracks, predictions: Tracks) -> Hota:
    """HOTA, DetA and AssA of one clip, each in [0, 1], after TrackEval: mean over IoU thresholds 0.05 to 0.95.

    Args:
        references: The true tracks, ``[K, T, 4]`` or a sequence of ``[T, 4]``; NaN rows where one is absent.
        predictions: Predicted tracks over the same frames; may be empty.

    Raises:
        ValueError: If there is no reference box, the numbers of frames differ, or boxes are not xyxy.
    """
    return _hota(_overlaps(references, predictions))


def idf1(references: Tracks, predictions: Tracks) -> float:
    """IDF1 of one clip in [0, 1] (Ristani et al. 2016), IoU of a match 0.5. Arguments as `hota`."""
    return _idf1(_overlaps(references, predictions))


def reentry(boxes: ArrayLike, true_boxes: ArrayLike, size: tuple[int, int], *, fps: float = 15.0) -> list[Return]:
    """Returns of one subject, judged by boxes alone: did it come back, when, where, how large.

    What needs pictures (identity, gait, whether the camera follows) is left to runs, whose verdicts rest on it, too.

    Args:
        boxes: The subject in the prediction, ``[Tt, 4]``.
        true_boxes: The subject in the whole real clip, context and target, ``[Tc + Tt, 4]``.
        size: (height, width) of the frame.
        fps: Frames a second; windows are 3 s long, and a return may be 1 s early.

    Returns:
        One `Return` for each exit and re-entry, in order; empty if the subject never leaves and comes back.

    Raises:
        ValueError: If the clip is no longer than the prediction, or boxes, size or fps are none.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"size is (height, width) of the frame in pixels, got {tuple(size)}")
    if not 0 < fps < math.inf:
        raise ValueError(f"fps is a positive number of frames a second, got {fps}")
    shown, truth = _boxes(boxes), _boxes(true_boxes)
    num_context = len(truth) - len(shown)
    if num_context < 1:
        raise ValueError(f"true_boxes cover context and target: {len(truth)} frames for a target of {len(shown)}")
    area = np.where(present(truth), areas(truth), 0.0)
    events = find_events(visible_frames(area, size[0] * size[1]), num_context, 1)
    return [_return(shown, truth[num_context:], e.exit, e.reentry, num_context, size, fps) for e in events]


def _return(
    boxes: Boxes, truth: Boxes, left: int, back: int, num_context: int, size: tuple[int, int], fps: float
) -> Return:
    start = back - num_context
    stop = min(start + max(2 * LEAST_FRAMES, round(WINDOW_SECONDS * fps)), len(boxes))
    early = max(0, max(left, back - round(EARLY_SECONDS * fps)) - num_context)
    frames = np.arange(len(boxes))
    there = present(boxes) & (frames >= early) & (frames < stop)
    asked = present(truth) & (frames >= start) & (frames < stop)
    seen = int(there[start:].sum()) >= LEAST_FRAMES
    both = there & asked
    distance = np.linalg.norm(centres(boxes[both]) - centres(truth[both]), axis=1)
    ratio = np.sqrt(areas(boxes[both]) / np.maximum(areas(truth[both]), 1e-9))
    return Return(
        exit=left,
        reentry=back,
        seen=seen,
        offset_frames=float(np.argmax(there) - np.argmax(asked)) if seen else math.nan,
        coverage=float(there[asked].mean()),
        iou=float(framewise_iou(boxes[both], truth[both]).mean()) if both.any() else 0.0,
        centre_error=float(distance.mean() / np.hypot(*size)) if both.any() else math.nan,
        size_ratio=float(np.median(ratio)) if both.any() else math.nan,
    )


def _overlaps(references: Tracks, predictions: Tracks) -> Overlaps:
    real, found = [_boxes(t) for t in _list(references)], [_boxes(t) for t in _list(predictions)]
    if not any(present(track).any() for track in real):
        raise ValueError("there is no reference box in any frame, so that there is nothing to compare with")
    if len(lengths := {len(track) for track in (*real, *found)}) > 1:
        raise ValueError(f"all tracks must cover the same frames, got {' and '.join(map(str, sorted(lengths)))}")
    return overlaps(real, found, len(real[0]))


def _list(tracks: Any) -> list[Any]:
    if getattr(tracks, "ndim", 3) != 3:
        raise ValueError(f"tracks are [K, T, 4] or a sequence of [T, 4], got {tracks.shape}")
    return list(tracks)


def _boxes(boxes: Any) -> Boxes:
    found = np.asarray(boxes, np.float32)
    if found.ndim != 2 or found.shape[1] != 4:
        raise ValueError(f"boxes are [T, 4], got {found.shape}")
    missing = np.isnan(found)
    half = missing.any(axis=1) & ~missing.all(axis=1)
    turned = ~missing.any(axis=1) & ~((found[:, 2:] >= found[:, :2]).all(axis=1) & np.isfinite(found).all(axis=1))
    if (half | turned).any():
        place = int(np.argmax(half | turned))
        raise ValueError(
            f"boxes are xyxy (left, top, right, bottom) in pixels, or NaN in all four, got {found[place].tolist()} at "
            f"{place}; x, y, width, height become it by adding x to width and y to height"
        )
    return found


def _clip(video: Any) -> Video:
    found = np.asarray(video)
    if found.dtype != np.uint8 or found.ndim not in (3, 4) or found.shape[-1] != 3:
        raise ValueError(
            f"a video is uint8 [T, H, W, 3], got {found.dtype} {list(found.shape)}; "
            "floats in [0, 1] become it by (x * 255).round().astype('uint8'), [T, 3, H, W] by moving the channels last"
        )
    if not found.size:
        raise ValueError(f"a video has at least one frame and pixel, got {list(found.shape)}")
    return found if found.ndim == 4 else found[None]


_One = Callable[[Video, Video, "NDArray[np.bool_] | None"], float]


def _each(one: _One, a: ArrayLike, b: ArrayLike, mask: ArrayLike | None) -> Numbers:
    """A number for a clip or picture, an array of numbers for a batch."""
    x, y = np.asarray(a), np.asarray(b)
    if x.shape != y.shape:
        raise ValueError(f"both must have one shape, got {list(x.shape)} and {list(y.shape)}")
    pixels = None if mask is None else np.asarray(mask, bool)
    if pixels is not None and pixels.shape != x.shape[:-1]:
        raise ValueError(f"the mask must be {list(x.shape[:-1])}, got {list(pixels.shape)}")
    if x.ndim == 5:
        masks = [None] * len(x) if pixels is None else list(pixels)
        return np.array([one(_clip(p), _clip(q), m) for p, q, m in zip(x, y, masks, strict=True)], np.float64)
    if pixels is not None and pixels.ndim == 2:
        pixels = pixels[None]
    return one(_clip(x), _clip(y), pixels)
