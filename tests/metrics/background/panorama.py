"""A world for tests of the background: a wide wall of blocks, and a camera that turns in front of it.

The wall is painted by hand from random rectangles, so that every direction looks different, and a view is a cut of it:
turning by a degree moves it by `PIXELS` pixels, exactly. There are no subjects.
"""

from __future__ import annotations

import cv2
import numpy as np

from hmbench.case import Case
from hmbench.types import Intrinsics, Meta, Prompt, Sample, Truth

WIDTH, HEIGHT, HALF = 112, 64, 30
PIXELS = 3.0
"""Pixels a degree."""
FOCAL = PIXELS * 180 / np.pi


def wall(seed: int = 0, degrees: float = 200.0) -> np.ndarray:
    """A picture ``[HEIGHT + 40, degrees * PIXELS, 3]`` of random blocks."""
    rng = np.random.default_rng(seed)
    wide = int(degrees * PIXELS)
    picture = np.full((HEIGHT + 40, wide, 3), 120, np.uint8)
    for _ in range(int(degrees * 3)):
        x, y = rng.integers(0, wide), rng.integers(0, HEIGHT + 40)
        w, h = rng.integers(6, 24), rng.integers(6, 24)
        picture[y : y + h, x : x + w] = rng.integers(20, 236, 3)
    return picture


def views(picture: np.ndarray, yaw: np.ndarray, *, pitch: float = 0.0, zoom: float = 1.0) -> np.ndarray:
    """What the camera sees at headings `yaw` (degrees to the right, 0 is the wall's middle), uint8 ``[T, H, W, 3]``."""
    out = []
    for degrees in yaw:
        x = picture.shape[1] / 2 + degrees * PIXELS
        y = picture.shape[0] / 2 + pitch * PIXELS
        matrix = np.array(
            [[zoom, 0, WIDTH / 2 - 0.5 - zoom * (x - 0.5)], [0, zoom, HEIGHT / 2 - 0.5 - zoom * (y - 0.5)]]
        )
        out.append(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(out)


def poses(yaw: np.ndarray) -> np.ndarray:
    """Cameras that look along headings, ``[T, 4, 4]``."""
    out = np.tile(np.eye(4), (len(yaw), 1, 1))
    angle = np.radians(yaw)
    out[:, 0, 0] = out[:, 2, 2] = np.cos(angle)
    out[:, 0, 2], out[:, 2, 0] = np.sin(angle), -np.sin(angle)
    return out


def away_and_back() -> np.ndarray:
    """Headings of context and target: across the wall, then back and to and fro, as no replay of the context goes."""
    return np.concatenate([_along(-28, 0, 28, 28), _along(28, -28, 14, -14)])


def _along(*corners: float) -> np.ndarray:
    return np.interp(np.linspace(0, len(corners) - 1, HALF), np.arange(len(corners)), corners)


def make_sample(yaw: np.ndarray | None = None, picture: np.ndarray | None = None) -> Sample:
    """A clip of the wall."""
    yaw = away_and_back() if yaw is None else yaw
    picture = wall() if picture is None else picture
    video, cameras = views(picture, yaw), poses(yaw)
    return Sample(
        id="wall",
        prompt=Prompt(
            context=video[:HALF],
            context_poses=cameras[:HALF],
            target_poses=cameras[HALF:],
            caption="",
            fps=15.0,
            intrinsics=Intrinsics(focal=FOCAL, width=WIDTH, height=HEIGHT),
        ),
        truth=Truth(
            target=video[HALF:],
            context_labels=np.zeros(video[:HALF].shape[:3], np.uint8),
            target_labels=np.zeros(video[HALF:].shape[:3], np.uint8),
        ),
        meta=Meta(),
    )


def make_case(prediction: np.ndarray | None = None, sample: Sample | None = None) -> Case:
    """A prediction of the clip; the truth by default."""
    sample = make_sample() if sample is None else sample
    assert sample.truth is not None
    return Case(sample, sample.truth.target if prediction is None else prediction, ())
