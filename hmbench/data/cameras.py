"""HM-World's ``camera.json`` and its axes: the only place that knows Unreal's conventions.

The files hold Unreal camera-to-world matrices: left-handed world, centimetres, columns = forward, right, up and
translation. hmbench uses OpenCV axes (x right, y down, z forward), right-handed, metres. The released conversion
(H-EmbodVis/HyDRA) reorders the columns and scales, which leaves a left-handed world, harmless for relative poses. Here
the world's y axis is mirrored as well, so that every matrix is a proper rotation; relative poses are the same (tested).

Two forms exist: ``{"cond_cam": {"0": 4x4, ...}, "tgt_cam": {...}}``, and an older one with keys ``"0"`` .. ``"148"``
and strings ``"[a b c d] [..] [..] [..]"``, each bracket a column. Of the first, other people's spellings are read, too:
lists, frames that go on from the context, 3x4, flat, and matrices of row vectors.
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
    counts = [len(half) for half in halves if isinstance(half, dict | list)]
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
    """Matrices of one half, in order: an object by frame, counted from 0 or going on from the other half, or a list."""
    if isinstance(half, list):
        half = dict(enumerate(half))
    numbers = {int(key): key for key in half if str(key).isdecimal()} if isinstance(half, dict) else {}
    first = min(numbers, default=0)
    if len(numbers) != len(half or ()) or not set(range(first, first + count)) <= set(numbers):
        raise SampleError(
            f"{where} has {len(numbers)} cameras, expected frames 0 to {count - 1}.",
            "The camera file belongs to another clip or is truncated.",
        )
    if len(numbers) != count:
        raise SampleError(
            f"{where} has {len(numbers)} cameras for {count} frames.", "The camera file belongs to another clip."
        )
    return np.stack([_matrix(half[numbers[first + i]], f"{where}, frame {first + i}") for i in range(count)])


def _matrix(value: Any, where: str) -> Poses:
    """A matrix in any usual spelling: 4x4, 3x4, either of them flat, bracketed text, or with its place in the last row.

    Which of them it is can be told from the numbers alone; what the axes mean cannot (`camera_conventions`).
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        return _brackets(value, where)
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SampleError(
            f"{where} is no matrix of numbers.",
            "A camera is a 4x4 matrix a frame; angles in some order are not guessed at: write matrices.",
        ) from error
    if matrix.shape in ((12,), (16,)):
        matrix = matrix.reshape(-1, 4)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
    if matrix.shape != (4, 4):
        raise SampleError(f"{where} has shape {matrix.shape}, expected 4x4.", "Fetch the camera file again.")
    row_vectors = matrix[3, :3].any() and (matrix[:, 3] == (0, 0, 0, 1)).all()
    return matrix.T if row_vectors else matrix


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
