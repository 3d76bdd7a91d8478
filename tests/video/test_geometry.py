import warnings

import numpy as np
import pytest

from hmbench.types import Intrinsics
from hmbench.video.geometry import (
    field_of_view,
    invert,
    pose_problem,
    project,
    relative_to,
    scale_intrinsics,
    yaw,
)

LENS = Intrinsics(focal=1257.0, width=832, height=480)


def random_poses(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    rotation[np.linalg.det(rotation) < 0, :, 0] *= -1
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotation, rng.standard_normal((count, 3))
    return poses


def test_invert_agrees_with_a_general_inverse() -> None:
    poses = random_poses(7)
    np.testing.assert_allclose(invert(poses), np.linalg.inv(poses), atol=1e-12)


def test_the_anchor_becomes_the_identity() -> None:
    poses = random_poses(5)
    np.testing.assert_allclose(relative_to(poses, poses[2])[2], np.eye(4), atol=1e-12)
    # a point that the first camera sees is where the anchor's camera coordinates say, by another way
    point = np.array([0.3, -0.2, 4.0, 1.0])
    np.testing.assert_allclose(relative_to(poses, poses[2])[0] @ point, np.linalg.inv(poses[2]) @ (poses[0] @ point))


def test_projection_by_hand() -> None:
    pose = np.eye(4)
    pixels, depth = project(np.array([[0.0, 0, 5], [1, 0.5, 10], [0, 0, -1]]), pose, LENS)
    np.testing.assert_allclose(pixels[0], [416, 240])
    np.testing.assert_allclose(pixels[1], [416 + 125.7, 240 + 62.85])
    assert np.isnan(pixels[2]).all() and depth[2] == -1


def test_recovered_field_of_view_of_hm_world() -> None:
    np.testing.assert_allclose(field_of_view(LENS), (36.6, 21.6), atol=0.05)


def test_scaling_covers_and_crops() -> None:
    scaled = scale_intrinsics(LENS, 416, 240)
    assert scaled.focal == pytest.approx(628.5)
    assert scale_intrinsics(LENS, 480, 480).focal == pytest.approx(1257)


def test_yaw_turns_right() -> None:
    pose = np.eye(4)
    pose[0, 0] = pose[2, 2] = np.cos(0.3)
    pose[0, 2], pose[2, 0] = np.sin(0.3), -np.sin(0.3)
    assert yaw(pose) == pytest.approx(np.degrees(0.3))


def test_a_camera_beyond_all_measure_is_named_without_a_warning() -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, 0, 3] = -1e200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pose_problem(poses) == "the pose of frame 1 has a number beyond 1e+12"


def test_bad_paths_are_told_apart() -> None:
    poses = random_poses(4)
    assert pose_problem(poses) is None
    assert "shape" in str(pose_problem(poses[:, :3]))
    broken = poses.copy()
    broken[2, 0, 3] = np.nan
    assert pose_problem(broken) == "the pose of frame 2 has a NaN or infinite entry"
    broken = poses.copy()
    broken[1, :3, :3] *= 1.1
    assert "frame 1 is not rigid" in str(pose_problem(broken))
    broken = poses.copy()
    broken[3, :3, 0] *= -1
    assert "frame 3 is a mirror image" in str(pose_problem(broken))
    broken = poses.copy()
    broken[1, :3, :3] *= 1.1
    broken[3, :3, :3] *= 1.5
    assert pose_problem(broken) == "the pose of frame 1 is not rigid (its axes are off by 0.21)", "the first, not worst"
    broken = poses.copy()
    broken[2, 3, 1] = 0.01
    assert pose_problem(broken) == "the last row of a pose is not 0 0 0 1"
