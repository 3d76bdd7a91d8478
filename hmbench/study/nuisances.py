"""Changes that nobody minds and that no metric should punish much, each at a strength in (0, 1].

`LEVELS` are further strengths that are always shown, some of them beyond what nobody minds.

crf         H.264 at a worse quality, 28 at full strength
shift       all frames moved by two pixels to the right
brightness  a tenth brighter
late        everything two frames late (one at half strength)
zoom        enlarged by 2 %
jitter      each frame moved by up to two pixels
blur        Gaussian, sigma one pixel
half        half the resolution and back
rate        each frame twice: 7.5 instead of 15 frames a second (each fourth repeated at half strength)
gamma       0.85
grain       noise of five grey levels
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from hmbench.types import Video
from hmbench.video.files import read_video, write_video

Nuisance = Literal[
    "crf", "shift", "brightness", "late", "zoom", "jitter", "blur", "half", "rate", "gamma", "grain"
]  # fmt: skip
NUISANCES: tuple[Nuisance, ...] = get_args(Nuisance)
CRF, GAIN, PIXELS, LATE, ZOOM, SIGMA, GAMMA, GRAIN = 28, 0.1, 2.0, 2, 0.02, 1.0, 0.15, 5.0
"""Full strength of each."""
LEVELS: dict[tuple[Nuisance, float], str] = {
    ("late", 1 / LATE): "1 frame late",
    ("late", 5 / LATE): "5 frames late",
    ("crf", (23 - 17) / (CRF - 17)): "crf 23",
    ("crf", (35 - 17) / (CRF - 17)): "crf 35",
}
"""Strengths beside the full one, and what tables call them."""
LIMITS: dict[tuple[Nuisance, float], float] = {
    **{(kind, 1.0): 0.93 for kind in NUISANCES},
    ("late", 1 / LATE): 0.95,
    ("late", 1.0): 0.95,
    ("late", 5 / LATE): 0.7,
    ("crf", (23 - 17) / (CRF - 17)): 0.93,
    ("rate", 1.0): 0.9,
}
"""Nuisance and strength to the least `memory_score` that is asked of it."""


def disturbed(video: Video, kind: Nuisance, strength: float, *, fps: float) -> Video:
    """The video after a nuisance, ``[T, H, W, 3]``; what is random is the same for the same video size."""
    if kind == "crf":
        return _encoded(video, round(17 + (CRF - 17) * strength), fps)
    return _CHANGES[kind](video, strength)


def _encoded(video: Video, crf: int, fps: float) -> Video:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, video, fps=fps, crf=crf)
        return read_video(path, frames=len(video))


def _moved(frame: Video, dx: float, dy: float, zoom: float = 1.0) -> Video:
    height, width = frame.shape[:2]
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[zoom, 0, dx + x - zoom * x], [0, zoom, dy + y - zoom * y]], np.float32)
    return np.asarray(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _jitter(video: Video, strength: float) -> Video:
    steps = np.random.default_rng(3).uniform(-PIXELS * strength, PIXELS * strength, (len(video), 2))
    return np.stack([_moved(frame, dx, dy) for frame, (dx, dy) in zip(video, np.rint(steps), strict=True)])


def _late(video: Video, strength: float) -> Video:
    frames = max(round(LATE * strength), 1)
    return video[np.maximum(np.arange(len(video)) - frames, 0)]


def _rate(video: Video, strength: float) -> Video:
    every = max(round(2 / strength), 2)
    frames = np.arange(len(video))
    return video[np.where(frames % every == every - 1, frames - 1, frames)]


def _half(video: Video, strength: float) -> Video:
    height, width = video.shape[1:3]
    small = (round(width / (1 + strength)), round(height / (1 + strength)))
    out = (cv2.resize(frame, small, interpolation=cv2.INTER_AREA) for frame in video)
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in out]).astype(np.uint8)


def _grain(video: Video, strength: float) -> Video:
    noise = np.random.default_rng(1).normal(0, GRAIN * strength, video.shape)
    return np.clip(np.rint(video + noise), 0, 255).astype(np.uint8)


def _levels(video: Video, values: np.ndarray) -> Video:
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)[video], np.uint8)


_GREYS = np.arange(256)
_CHANGES: dict[str, Callable[[Video, float], Video]] = {
    "shift": lambda video, s: np.stack([_moved(frame, PIXELS * s, 0) for frame in video]),
    "brightness": lambda video, s: _levels(video, _GREYS * (1 + GAIN * s)),
    "late": _late,
    "zoom": lambda video, s: np.stack([_moved(frame, 0, 0, 1 + ZOOM * s) for frame in video]),
    "jitter": _jitter,
    "blur": lambda video, s: np.stack([cv2.GaussianBlur(f, (0, 0), SIGMA * s) for f in video]).astype(np.uint8),
    "half": _half,
    "rate": _rate,
    "gamma": lambda video, s: _levels(video, 255 * (_GREYS / 255) ** (1 - GAMMA * s)),
    "grain": _grain,
}
