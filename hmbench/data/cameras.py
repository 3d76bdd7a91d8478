"""HM-World's ``camera.json`` and its axes: the only place that knows Unreal's conventions.

The files hold Unreal camera-to-world matrices: left-handed world, centimetres, columns = forward, right, up and
translation. hmbench uses OpenCV axes (x right, y down, z forward), right-handed, metres. The released conversion
(H-EmbodVis/HyDRA) reorders the columns and scales, which leaves a left-handed world, harmless for relative poses. Here
the world's y axis is mirrored as well, so that every matrix is a proper rotation; relative poses are the same (tested).

Two forms exist: ``{"cond_cam": {"0": 4x4, ...}, "tgt_cam": {...}}``, and an older one with keys ``"0"`` .. ``"148"``
and strings ``"[a b c d] [..] [..] [..]"``, each bracket a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmbench.data.camera_conventions import HM_WORLD, Convention
from hmbench.errors import SampleError
from hmbench.types import Poses
from hmbench.video.geometry import pose_problem

CENTIMETRES = 100.0
FOCAL_PER_WIDTH = 1.4731
"""Focal length over the width of an uncropped 16:9 frame, recovered from the public clips by epipolar geometry
(f = 1257 pixels at 832x480, median error 0.19 pixels); HM-World publishes no intrinsics."""


def from_unreal(matrices: Poses) -> Poses:
    """OpenCV camera-to-world poses in metres from Unreal matrices ``[T, 4, 4]``.

    World axes become (x, -y, z) of Unreal's: right-handed with z up.
    """
    return HM_WORLD.poses(matrices)


def to_unreal(poses: Poses) -> Poses:
    """The inverse of `from_unreal`."""
    return HM_WORLD.matrices(poses)


def point_from_unreal(points: Poses) -> Poses:
    """World points ``[..., 3]`` in centimetres, Unreal axes, as metres in hmbench's world."""
    metres: Poses = np.asarray(points, dtype=np.float64) * np.array([1.0, -1.0, 1.0]) / CENTIMETRES
    return metres


def most_frames(content: Any) -> int:
    """How many frames either half of the clip can have at most, told from a parsed ``camera.json`` of either form."""
    halves = [content.get(key) for key in ("cond_cam", "tgt_cam")] if isinstance(content, dict) else []
    counts = [len(half) for half in halves if isinstance(half, dict)]
    return max([8, *counts, *([] if counts else [len(content)])]) if isinstance(content, dict) else 8


def parse_cameras(
    content: Any, num_context: int, num_target: int, where: str, convention: Convention = HM_WORLD
) -> tuple[Poses, Poses]:
    """Context and target poses of a parsed ``camera.json``.

    Args:
        content: The JSON value.
        num_context: Context frames of the clip.
        num_target: Target frames of the clip.
        where: File name for messages.
        convention: What the matrices mean.

    Returns:
        OpenCV camera-to-world poses in metres, ``[num_context, 4, 4]`` and ``[num_target, 4, 4]``, one world frame.

    Raises:
        SampleError: If frames are missing, a matrix does not parse, or a pose is not rigid.
    """
    if isinstance(content, dict) and {"cond_cam", "tgt_cam"} <= set(content):
        halves = [
            _numbered(content[key], count, f"{where}, {key}")
            for key, count in (("cond_cam", num_context), ("tgt_cam", num_target))
        ]
    elif isinstance(content, dict) and "0" in content:
        halves = list(_old_form(content, num_context, num_target, where))
    else:
        keys = ", ".join(list(content)[:5]) if isinstance(content, dict) else type(content).__name__
        raise SampleError(
            f"{where} is in no known camera format (found: {keys}).",
            "Expected 'cond_cam' and 'tgt_cam' with a 4x4 matrix a frame.",
        )
    matrices = np.concatenate(halves)
    if not convention.to_world and (problem := pose_problem(matrices)):
        raise SampleError(f"{where}: {problem}.", "Frames count from the first context frame; fetch the file again.")
    poses = convention.poses(matrices)
    if problem := pose_problem(poses):
        raise SampleError(f"{where}: {problem}.", "Frames count from the first context frame; fetch the file again.")
    return poses[:num_context], poses[num_context:]


def _numbered(half: Any, count: int, where: str) -> Poses:
    expected = {str(i) for i in range(count)}
    if not isinstance(half, dict) or not expected <= set(half):
        found = len(half) if isinstance(half, dict) else 0
        raise SampleError(
            f"{where} has {found} cameras, expected frames 0 to {count - 1}.",
            "The camera file belongs to another clip or is truncated.",
        )
    if len(half) != count:
        raise SampleError(
            f"{where} has {len(half)} cameras for {count} frames.", "The camera file belongs to another clip."
        )
    return np.stack([_matrix(half[str(i)], f"{where}, frame {i}") for i in range(count)])


def _matrix(value: Any, where: str) -> Poses:
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SampleError(f"{where} is no matrix of numbers.", "Fetch the camera file again.") from error
    if matrix.shape != (4, 4):
        raise SampleError(f"{where} has shape {matrix.shape}, expected 4x4.", "Fetch the camera file again.")
    return matrix


def _old_form(content: dict[str, Any], num_context: int, num_target: int, where: str) -> tuple[Poses, Poses]:
    """The older form: 149 strings for 150 raw frames, padded to 77 + 77 exactly as its videos were.

    The first matrix is replaced by the second and the last is duplicated; each half is padded by one at both ends.
    """
    count = num_context + num_target - 5
    if num_context != num_target or not {str(i) for i in range(count)} <= set(content):
        raise SampleError(
            f"{where} (older form) has {len(content)} cameras, expected {count} "
            f"for {num_context} + {num_target} frames.",
            "The camera file belongs to another clip or is truncated.",
        )
    raw = [_brackets(content[str(i)], f"{where}, frame {i}") for i in range(count)]
    raw[0] = raw[1]
    raw.append(raw[-1])
    half = len(raw) // 2
    first, second = raw[:half], raw[half:]
    return np.stack([first[0], *first, first[-1]]), np.stack([second[0], *second, second[-1]])


def _brackets(text: Any, where: str) -> Poses:
    columns = [part.split() for part in str(text).replace("[", " ").split("]") if part.strip()]
    try:
        matrix = np.array([[float(number) for number in column] for column in columns]).T
    except ValueError as error:
        raise SampleError(f"{where} does not parse: {str(text)[:60]!r}.", "Fetch the camera file again.") from error
    if matrix.shape != (4, 4):
        raise SampleError(f"{where} has shape {matrix.shape}, expected 4x4.", "Fetch the camera file again.")
    return matrix
