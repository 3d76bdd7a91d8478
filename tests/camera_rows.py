"""Cameras for tests, as rows of 12 numbers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def camera(yaw: float = 0.0, x: float = 0.0, z: float = 0.0, y: float = 0.0, pitch: float = 0.0) -> Tensor:
    """A camera turned `yaw` degrees to the right and `pitch` degrees up, at (x, y, z)."""
    a, b = math.radians(yaw), math.radians(pitch)
    turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]])
    pose = np.concatenate([turn @ tilt, [[x], [y], [z]]], axis=1)
    return torch.tensor(pose.ravel(), dtype=torch.float32)


def path(*cameras: Tensor) -> Tensor:
    """Cameras of one clip, ``[1, F, 12]``."""
    return torch.stack(cameras)[None]


def random_cameras(batch: int, frames: int, seed: int = 0) -> Tensor:
    """Level cameras within a few metres, ``[B, F, 12]``."""
    rng = np.random.default_rng(seed)
    rows = [
        [camera(rng.uniform(-60, 60), *rng.uniform(-4, 4, 2), 0.0, rng.uniform(-8, 8)) for _ in range(frames)]
        for _ in range(batch)
    ]
    return torch.stack([torch.stack(row) for row in rows])
