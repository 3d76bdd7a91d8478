"""Pose algebra, pinhole projection and view overlap; pure functions on arrays.

Poses are float64 ``[..., 4, 4]`` camera-to-world with OpenCV axes (x right, y down, z forward) in metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.types import Intrinsics, Poses

Array = NDArray[np.float64]

HUGE = 1e12
"""No camera is so far away, in any unit."""
RIGID_TOLERANCE = 1e-3
"""Largest entry of ``R R^T - I`` accepted as a rotation; HM-World stores 32-bit floats as text, 1e-6 off."""


def invert(poses: Poses) -> Poses:
    """World-to-camera matrices of rigid camera-to-world ones (or back), without a general inverse."""
    rotation = np.swapaxes(poses[..., :3, :3], -1, -2)
    inverse = np.zeros_like(poses)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -np.einsum("...ij,...j->...i", rotation, poses[..., :3, 3])
    inverse[..., 3, 3] = 1.0
    return inverse


def relative_to(poses: Poses, anchor: Array) -> Poses:
    """`poses` seen from the camera `anchor` ``[4, 4]``: the anchor itself becomes the identity."""
    return np.asarray(invert(anchor) @ poses)


def pose_problem(poses: Poses) -> str | None:
    """Why `poses` ``[T, 4, 4]`` are no rigid right-handed camera path, or None if they are.

    The sentence names the first frame at fault.
    """
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        return f"expected 4x4 matrices, got an array of shape {poses.shape}"
    finite = np.isfinite(poses).all(axis=(1, 2))
    if not finite.all():
        return f"the pose of frame {int(np.argmin(finite))} has a NaN or infinite entry"
    rotation = poses[:, :3, :3]
    if np.abs(poses).max() > HUGE:
        return f"the pose of frame {int(np.argmax(np.abs(poses).max(axis=(1, 2)) > HUGE))} has a number beyond {HUGE:g}"
    error = np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max(axis=(1, 2))
    if error.max() > RIGID_TOLERANCE:
        frame = int(np.argmax(error > RIGID_TOLERANCE))
        return f"the pose of frame {frame} is not rigid (its axes are off by {error[frame]:.2g})"
    mirrored = np.linalg.det(rotation) < 0
    if mirrored.any():
        return f"the pose of frame {int(np.argmax(mirrored))} is a mirror image (determinant -1)"
    if np.abs(poses[:, 3] - np.array([0, 0, 0, 1.0])).max() > RIGID_TOLERANCE:
        return "the last row of a pose is not 0 0 0 1"
    return None


def project(points: Array, poses: Poses, intrinsics: Intrinsics) -> tuple[Array, Array]:
    """Pixels of world points.

    Args:
        points: World points, metres, ``[..., 3]``.
        poses: Cameras, ``[..., 4, 4]``, broadcast against the points.
        intrinsics: The lens.

    Returns:
        Pixel coordinates ``[..., 2]`` (x right, y down; the first pixel's centre is 0.5, 0.5) and depth along the
        optical axis ``[...]`` in metres; where the depth is not positive the pixel is NaN.
    """
    rotation, translation = poses[..., :3, :3], poses[..., :3, 3]
    local = np.einsum("...ji,...j->...i", rotation, points - translation)
    depth = local[..., 2]
    safe = np.where(depth > 1e-9, depth, np.nan)[..., None]
    centre = np.array([intrinsics.width / 2, intrinsics.height / 2])
    return intrinsics.focal * local[..., :2] / safe + centre, depth


def field_of_view(intrinsics: Intrinsics) -> tuple[float, float]:
    """Full horizontal and vertical field of view in degrees."""
    half = np.arctan([intrinsics.width / 2 / intrinsics.focal, intrinsics.height / 2 / intrinsics.focal])
    horizontal, vertical = np.degrees(2 * half)
    return float(horizontal), float(vertical)


def yaw(poses: Poses) -> Array:
    """Heading around the vertical axis in degrees, ``[T]``, positive to the right, 0 for the identity."""
    return np.asarray(np.degrees(np.arctan2(poses[..., 0, 2], poses[..., 2, 2])))


def scale_intrinsics(intrinsics: Intrinsics, width: int, height: int) -> Intrinsics:
    """The lens after scaling the image to cover ``width x height`` and cropping its centre."""
    scale = max(width / intrinsics.width, height / intrinsics.height)
    return Intrinsics(focal=intrinsics.focal * scale, width=width, height=height)
