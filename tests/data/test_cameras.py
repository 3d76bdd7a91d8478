import json
import re

import cv2
import numpy as np
import pytest

from hmbench.data.camera_conventions import HM_WORLD, NAMES, convention
from hmbench.data.camera_evidence import CameraVerdict, held_against_pictures
from hmbench.data.cameras import from_unreal, parse_cameras, point_from_unreal, to_unreal
from hmbench.errors import SampleError
from hmbench.types import Intrinsics
from hmbench.video.geometry import pose_problem, relative_to


def unreal_path(count: int) -> np.ndarray:
    """A camera in Unreal axes that walks along x and turns right (left-handed, centimetres)."""
    matrices = np.tile(np.eye(4), (count, 1, 1))
    for i in range(count):
        angle = np.radians(2.0 * i)
        matrices[i, :3, 0] = (np.cos(angle), np.sin(angle), 0)  # forward
        matrices[i, :3, 1] = (-np.sin(angle), np.cos(angle), 0)  # right
        matrices[i, :3, 2] = (0, 0, 1)  # up
        matrices[i, :3, 3] = (10.0 * i, 0, 170)
    return matrices


def as_json(matrices: np.ndarray) -> dict:
    return {str(i): m.tolist() for i, m in enumerate(matrices)}


def released_relative(matrices: np.ndarray, anchor: int) -> np.ndarray:
    """The released conversion, written out: reorder columns, flip one, scale, then relative to an anchor."""
    world = matrices[:, :, [1, 2, 0, 3]].copy()
    world[:, :3, 1] *= -1
    world[:, :3, 3] /= 100
    return np.linalg.inv(world[anchor]) @ world


def test_poses_are_proper_and_relative_poses_equal_the_released_ones() -> None:
    matrices = unreal_path(9)
    poses = from_unreal(matrices)
    assert pose_problem(poses) is None
    np.testing.assert_allclose(relative_to(poses, poses[4]), released_relative(matrices, 4), atol=1e-12)
    forward = relative_to(poses, poses[0])[1, :3, 3]
    np.testing.assert_allclose(forward, [0, 0, 0.1], atol=1e-12)  # 10 cm ahead is 0.1 m along z


def test_there_and_back() -> None:
    matrices = unreal_path(5)
    np.testing.assert_allclose(to_unreal(from_unreal(matrices)), matrices, atol=1e-12)


def test_points_move_with_cameras() -> None:
    matrices = unreal_path(3)
    point = matrices[2, :3, 3] + 300 * matrices[2, :3, 0]  # three metres ahead of the last camera
    pose = from_unreal(matrices)[2]
    local = np.linalg.inv(pose) @ np.append(point_from_unreal(point), 1)
    np.testing.assert_allclose(local[:3], [0, 0, 3], atol=1e-9)


def test_the_older_form_is_padded_like_its_videos() -> None:
    matrices = unreal_path(149)
    text = {str(i): " ".join("[" + " ".join(map(str, c)) + "]" for c in m.T) for i, m in enumerate(matrices)}
    context, target = parse_cameras(text, 77, 77, "camera.json")
    full = from_unreal(matrices)
    np.testing.assert_allclose(context[0], full[1])
    np.testing.assert_allclose(context[1], full[1])
    np.testing.assert_allclose(context[2], full[1])
    np.testing.assert_allclose(context[3], full[2])
    np.testing.assert_allclose(context[75], full[74])
    np.testing.assert_allclose(context[76], full[74])
    second = [75, 75, *range(76, 149), 148, 148]  # padded by one at either end, and the last frame stood there twice
    np.testing.assert_allclose(target, full[second])


@pytest.mark.parametrize("first", [0, 1, 2, 5])
def test_frames_may_be_counted_from_anywhere(first: int) -> None:
    """From 0, from 1, or on from the other half."""
    matrices = unreal_path(9)
    numbered = {str(first + i): m.tolist() for i, m in enumerate(matrices[5:])}
    halves = {"cond_cam": [m.tolist() for m in matrices[:5]], "tgt_cam": numbered}
    _, target = parse_cameras(halves, 5, 4, "camera.json")
    np.testing.assert_allclose(target, from_unreal(matrices)[5:])


def columns_as_text(m: np.ndarray) -> str:
    return " ".join("[" + " ".join(map(str, column)) + "]" for column in m.T)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda m: m[:3].tolist(),
        lambda m: m.ravel().tolist(),
        lambda m: m[:3].ravel().tolist(),
        lambda m: m.T.tolist(),
        lambda m: m.T.ravel().tolist(),
        columns_as_text,
    ],
    ids=["3x4", "flat 16", "flat 12", "row vectors", "column-major", "text"],
)
def test_other_spellings_of_a_matrix_give_the_same_poses(spelt) -> None:
    matrices = unreal_path(10)
    expected = from_unreal(matrices)
    written = [spelt(m) for m in matrices]
    halves = {"cond_cam": {str(i): m for i, m in enumerate(written[:6])}, "tgt_cam": written[6:]}
    continued = {**halves, "tgt_cam": {f"{i:04d}": m for i, m in enumerate(written[6:], 6)}}
    for content in (halves, continued):
        found = parse_cameras(json.loads(json.dumps(content)), 6, 4, "camera.json")
        np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["tgt_cam"].update({"4": {"location": [0, 0, 1], "rotation": [0, 90, 0]}}), "angles in some order"),
        (lambda c: c["cond_cam"].pop("3"), "has 4 cameras, expected frames 0 to 4"),
        (lambda c: c["tgt_cam"].update({"5": c["tgt_cam"]["0"]}), "has 6 cameras for 5 frames"),
        (lambda c: c["cond_cam"]["2"][0].__setitem__(3, float("nan")), "the pose of frame 2 has a NaN"),
        (lambda c: c["cond_cam"]["1"].__setitem__(0, [2.0, 0, 0, 0]), "the pose of frame 1 is not rigid"),
        (lambda c: c["tgt_cam"].update({"4": [[1, 0], [0, 1]]}), r"frame 4 has shape \(2, 2\), expected 4x4"),
        (lambda c: c["tgt_cam"].update({"4": "hello"}), "frame 4 is no matrix of numbers"),
        (lambda c: c.clear(), "in no known camera format"),
    ],
)
def test_wrong_cameras_are_named(change, sentence: str) -> None:
    content = {"cond_cam": as_json(unreal_path(5)), "tgt_cam": as_json(unreal_path(5))}
    content = json.loads(json.dumps(content))
    parse_cameras(content, 5, 5, "camera.json")
    change(content)
    with pytest.raises(SampleError, match=sentence):
        parse_cameras(content, 5, 5, "camera.json")


def test_real_cameras_are_proper(real_clips) -> None:
    for path in sorted(real_clips.glob("cam*.json")):
        content = json.loads(path.read_text())
        context, target = parse_cameras(content, 77, 77, path.name)
        assert pose_problem(np.concatenate([context, target])) is None
        raw = np.array([content["tgt_cam"][str(i)] for i in range(77)])
        np.testing.assert_allclose(relative_to(target, target[0]), released_relative(raw, 0), atol=2e-5)


@pytest.mark.parametrize(
    ("path", "depth", "unit"),
    [
        (0.0535, 0.02, "metres"),  # 5.35 m, read as centimetres
        (5.35, 0.477, None),  # in metres it would race over half a kilometre
        (3.0, 0.5, "metres"),
        (3.01, 0.5, None),
        (3.0, 0.6, None),
        (12.0, 401.0, "centimetres"),
        (301.0, None, "centimetres"),
        (300.0, None, None),
    ],
)
def test_another_unit_is_asked_for_only_if_it_is_plausible_itself(path, depth, unit):
    assert CameraVerdict(expected=None, best=None, path=path, depth=depth).other_unit == unit


@pytest.mark.parametrize("name", [name for name in NAMES if convention(name)[:2] != HM_WORLD[:2]])
def test_cameras_on_their_side_are_warned_of_where_pictures_say_nothing(name):
    video = np.full((12, 32, 48, 3), 90, np.uint8)
    lens = Intrinsics(focal=60.0, width=48, height=32)
    poses = from_unreal(unreal_path(12))
    assert held_against_pictures(poses, video, lens, "camera.json", HM_WORLD, "Say {}.") is None
    wrong = HM_WORLD.poses(convention(name).matrices(poses))
    said = held_against_pictures(wrong, video, lens, "folder/camera.json", HM_WORLD, "Say {}.")
    if name.startswith("unreal-w2c"):  # it turns the other way, as upright as the right one
        assert said is None
        return
    assert said is not None
    assert re.fullmatch(
        r"camera.json: the pictures do not say what the matrices mean; so read, the camera lies on its side, and as "
        r"(\S+) it would stand upright\. If that is right, say so for the data set: "
        r"`hmbench data card DATA --cameras \1`\.",
        said,
    )


def test_cameras_of_another_clip_are_said() -> None:
    """Cameras that no convention makes right were believed: only another convention refutes one."""
    lens = Intrinsics(focal=600.0, width=416, height=240)
    k = np.array([[600.0, 0, 208], [0, 600.0, 120], [0, 0, 1]])
    wide = np.array([[600.0, 0, 700], [0, 600.0, 170], [0, 0, 1]])  # of the canvas
    noise = np.random.default_rng(0).integers(0, 256, (34, 140, 3), np.uint8)
    canvas = cv2.resize(noise, (1400, 340), interpolation=cv2.INTER_CUBIC)

    level = np.eye(4)
    level[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]  # looks along x, z is up

    def turning(degrees: float) -> np.ndarray:
        poses = np.tile(np.eye(4), (24, 1, 1))
        for t, angle in enumerate(np.radians(np.linspace(-degrees, degrees, 24))):
            poses[t, :2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return poses @ level

    shown = [k @ pose[:3, :3].T @ level[:3, :3] @ np.linalg.inv(wide) for pose in turning(12)]
    video = np.stack([cv2.warpPerspective(canvas, h, (416, 240)) for h in shown]).astype(np.uint8)
    assert held_against_pictures(turning(12), video, lens, "camera.json", HM_WORLD, "Say {}.") is None
    said = held_against_pictures(turning(30), video, lens, "camera.json", HM_WORLD, "Say {}.")
    assert said is not None and "the background does not move as the cameras say" in said
