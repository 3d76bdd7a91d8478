"""Cameras as HyDRA sees them: 12 numbers a latent frame (section 4.1; the way of ReCamMaster).

Poses arrive as camera-to-world matrices with OpenCV axes (x right, y down, z forward) in metres. The model receives
them relative to the first target camera, which becomes the identity, one for each latent frame.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CAMERA_DIM = 12
"""The first three rows of a pose, row by row: r11 r12 r13 tx, r21 r22 r23 ty, r31 r32 r33 tz."""


def relative_poses(poses: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses ``[T, 4, 4]`` seen from the camera `reference` ``[4, 4]``."""
    return np.asarray(np.linalg.solve(np.asarray(reference, np.float64), np.asarray(poses, np.float64)))


def camera_rows(poses: NDArray[np.float64], stride: int = 4) -> NDArray[np.float64]:
    """Pose of each latent frame, ``[T, 4, 4] -> [1 + (T - 1) / stride, 12]``: frames 0, stride, 2 * stride, ...

    A causal video VAE makes latent k of frames 4k-3..4k, so this is the last frame of each group.
    """
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise ValueError(f"poses must be [T, 4, 4], got {list(poses.shape)}")
    if (len(poses) - 1) % stride:
        raise ValueError(f"{len(poses)} poses do not make whole latent frames: give {stride}k + 1 poses")
    return poses[::stride, :3, :4].reshape(-1, CAMERA_DIM)


def camera_condition(
    context: NDArray[np.float64], target: NDArray[np.float64], stride: int = 4
) -> tuple[Tensor, Tensor]:
    """Cameras of a clip as the transformer takes them.

    Args:
        context: Camera-to-world of the context frames, ``[Tc, 4, 4]``, metres.
        target: Camera-to-world of the target frames, ``[Tt, 4, 4]``, in the same world.
        stride: Frames a latent frame.

    Returns:
        Context ``[1, Fc, 12]`` and target ``[1, Ft, 12]``, float32, relative to the first target camera.
    """
    rows = (camera_rows(relative_poses(poses, target[0]), stride) for poses in (context, target))
    past, future = (torch.from_numpy(row).float().unsqueeze(0) for row in rows)
    return past, future
