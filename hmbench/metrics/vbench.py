"""VBench's dimensions of motion (Huang et al. 2024), as in its released code: optional rows (``--vbench``).

They know neither the truth nor the question: a still picture is perfectly smooth and free of flicker. Read them beside
`dynamic_degree`, and none of them as memory. VBench's own protocol differs in what it is shown: it measures flicker on
videos of still scenes only. Here every prediction is measured, and the arithmetic is theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmbench.case import Case
from hmbench.networks.backbones import FILES, Backbone, from_folder
from hmbench.networks.motion_networks import load_flow, load_interpolator
from hmbench.protocols import MetricInfo
from hmbench.types import Score, Video

Flow = Callable[[Tensor, Tensor], Tensor]
"""Two pictures, float32 ``[1, 3, H, W]`` in 0..255, to the optical flow in pixels, ``[1, 2, H, W]``."""
Interpolator = Callable[[Tensor, Tensor], Tensor]
"""Two pictures, float32 ``[1, 3, H, W]`` in [0, 1], to the one half-way between them, likewise."""
NO_INTERPOLATOR = (
    f"no frame interpolator: VBench's (AMT-S) can be had from its authors only. Export one as a TorchScript module "
    f"(first, second) -> middle to WEIGHTS/{FILES['interpolator']}, and pass --weights"
)
LOOKED_AT = 8.0
"""Frames a second that VBench's dynamic degree looks at."""
FAST_SHARE = 0.05
"""Share of the pixels, the fastest ones, whose mean speed counts."""


class TemporalFlickering:
    """VBench's temporal flickering: (255 - mean absolute difference of neighbouring frames) / 255."""

    info = MetricInfo(
        name="temporal_flickering",
        version=1,
        higher_is_better=True,
        bounds=(0.0, 1.0),
        source="VBench (Huang et al. 2024), temporal_flickering, without its filter for still videos",
    )

    def __call__(self, case: Case) -> Score:
        """The score; skipped for a single frame."""
        if len(case.prediction) < 2:
            return Score.skipped("the prediction has fewer than two frames")
        return Score(flicker_score(case.prediction))


class MotionSmoothness:
    """VBench's motion smoothness: how well every second frame is guessed from its neighbours.

    VBench guesses with AMT-S, whose code is in no package and whose weights are not ours to ship. Any interpolator may
    be put here; with another one than AMT-S the numbers are no VBench numbers, and the details name what was used.

    Args:
        interpolator: Guesses the frame between two.
    """

    def __init__(self, interpolator: Backbone[Interpolator]) -> None:
        self.interpolator = interpolator
        self.info = MetricInfo(
            name="motion_smoothness",
            version=1,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({interpolator.name}),
            source="VBench (Huang et al. 2024), motion_smoothness, with the interpolator that was given",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without an interpolator, or for fewer than three frames."""
        if self.interpolator.missing:
            return Score.skipped(self.interpolator.missing)
        if len(case.prediction) < 3:
            return Score.skipped("the prediction has fewer than three frames")
        with torch.inference_mode():
            value = smoothness_score(case.prediction, self.interpolator.get())
        return Score(value, details={"interpolator": self.interpolator.name})


class DynamicDegree:
    """VBench's dynamic degree: 1 if the fastest pixels move fast in enough frames, else 0; its mean is a share.

    The truth may be calm, so it has no direction here.

    Args:
        flow: Optical flow; VBench's is RAFT, trained on FlyingChairs and FlyingThings.
    """

    def __init__(self, flow: Backbone[Flow]) -> None:
        self.flow = flow
        self.info = MetricInfo(
            name="dynamic_degree",
            version=1,
            higher_is_better=None,
            bounds=(0.0, 1.0),
            needs=frozenset({flow.name}),
            source="VBench (Huang et al. 2024), dynamic_degree",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the flow's weights, or for a single frame."""
        if self.flow.missing:
            return Score.skipped(self.flow.missing)
        fps = case.sample.prompt.fps
        if len(looked_at(case.prediction, fps)) < 2:
            return Score.skipped("the prediction has fewer than two frames that VBench looks at")
        with torch.inference_mode():
            speeds = fast_speeds(looked_at(case.prediction, fps), self.flow.get())
        threshold, needed = dynamic_limits(min(case.prediction.shape[1:3]), len(speeds) + 1)
        return Score(
            float((speeds > threshold).sum() >= needed),
            details={"median_speed": float(np.median(speeds)), "threshold": threshold, "frames_needed": needed},
        )


def flicker_score(video: Video) -> float:
    """(255 - mean over pairs of neighbours of their mean absolute difference) / 255.

    Args:
        video: ``uint8 [T, H, W, 3]``, at least two frames.
    """
    differences = [
        float(np.abs(after.astype(np.float32) - before.astype(np.float32)).mean(dtype=np.float64))
        for before, after in itertools.pairwise(video)
    ]
    return (255.0 - float(np.mean(differences))) / 255.0


def smoothness_score(video: Video, interpolator: Interpolator) -> float:
    """(255 - mean absolute difference of frames 1, 3, 5... from their guesses) / 255.

    A guess is cut to whole numbers as VBench does. A last odd frame without a right neighbour is left out.

    Args:
        video: ``uint8 [T, H, W, 3]``, at least three frames.
        interpolator: Guesses the frame between two.
    """
    even = [torch.tensor(frame).permute(2, 0, 1)[None].float() / 255 for frame in video[::2]]
    differences = []
    for real, before, after in zip(video[1::2], even[:-1], even[1:], strict=False):
        guess = interpolator(before, after)
        cut = (guess * 255).squeeze(0).permute(1, 2, 0).cpu().numpy().clip(0, 255).astype(np.uint8)
        differences.append(np.abs(real.astype(np.int16) - cut).mean())
    return (255.0 - float(np.mean(differences))) / 255.0


def looked_at(video: Video, fps: float) -> Video:
    """The frames that VBench's dynamic degree looks at: every (fps / 8)-th, rounded, at least every one."""
    return video[:: max(1, round(fps / LOOKED_AT))]


def dynamic_limits(short_side: int, frames: int) -> tuple[float, int]:
    """The speed in pixels that counts as fast, and in how many pairs of frames it must.

    Args:
        short_side: Shorter side of the picture, pixels.
        frames: Frames that are looked at.
    """
    return 6.0 * (short_side / 256.0), round(4 * (frames / 16.0))


def fast_speeds(frames: Video, flow: Flow) -> NDArray[np.float64]:
    """Mean speed of the fastest twentieth of the pixels, for each pair of neighbours, in pixels.

    Pictures are padded to multiples of 8 by repeating their edges, evenly on both sides, and the padding counts, as in
    VBench.

    Args:
        frames: ``uint8 [T, H, W, 3]``.
        flow: Optical flow.

    Returns:
        ``[T - 1]``.
    """
    pictures = [_padded(torch.tensor(frame).permute(2, 0, 1)[None].float()) for frame in frames]
    speeds = []
    for before, after in itertools.pairwise(pictures):
        speed = flow(before, after)[0].cpu().numpy()
        radius = np.sqrt(np.square(speed[0]) + np.square(speed[1])).ravel()
        speeds.append(float(np.sort(radius)[::-1][: int(radius.size * FAST_SHARE)].mean()))
    return np.array(speeds, dtype=np.float64)


def _padded(picture: Tensor) -> Tensor:
    height, width = picture.shape[-2:]
    down, right = -height % 8, -width % 8
    return torch.nn.functional.pad(
        picture, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate"
    )


def _interpolator(weights: Path | None, device: str) -> Backbone[Interpolator]:
    """The one that the user exported: there is none to pull."""
    if weights is None or not (weights / FILES["interpolator"]).is_file():
        return Backbone("interpolator", _none, NO_INTERPOLATOR)
    return from_folder("interpolator", weights, lambda path: load_interpolator(path, device))


def _none() -> Interpolator:
    raise AssertionError("a missing interpolator was loaded")


def vbench_metrics(weights: Path | None, device: str) -> list[TemporalFlickering | MotionSmoothness | DynamicDegree]:
    """The three dimensions, with what a weights folder has for them."""
    return [
        TemporalFlickering(),
        MotionSmoothness(_interpolator(weights, device)),
        DynamicDegree(from_folder("raft", weights, lambda path: load_flow(path, device))),
    ]
