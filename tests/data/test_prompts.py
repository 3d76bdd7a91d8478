"""Prompts as files: what a model elsewhere is given, and that the target is not in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.camera_conventions import convention
from hmbench.data.disc_world import DiscWorld
from hmbench.data.prompts import PromptForm, read_record, resampled, write_prompt, write_prompts
from hmbench.errors import UserError
from hmbench.types import Prompt
from hmbench.video.files import read_video


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    """A walk with a turn, so that no camera is like another."""
    given = DiscWorld().load(DiscWorld().ids("all")[0]).prompt
    count = len(given.context_poses) + len(given.target_poses)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_euler(
        "yxz", np.outer(np.arange(count), (2.0, 0.5, -0.3)), degrees=True
    ).as_matrix()
    poses[:, :3, 3] = np.outer(np.arange(count), (0.1, -0.02, 0.3)) + np.array((5, 1, -2))
    past = len(given.context_poses)
    return replace(given, context_poses=poses[:past], target_poses=poses[past:], caption='A "dog"\nruns')


def test_what_is_written_means_what_it_says(prompt: Prompt, tmp_path: Path) -> None:
    write_prompt(tmp_path / "p", "clip-1", prompt, PromptForm(cameras="unreal", origin="world"), seed=7)
    said, cameras = read_record(tmp_path / "p"), np.load(tmp_path / "p" / "cameras.npz")
    known = convention(said["cameras"]["convention"])
    np.testing.assert_allclose(known.poses(cameras["target"]), prompt.target_poses, atol=1e-9)
    np.testing.assert_allclose(known.poses(cameras["context"]), prompt.context_poses, atol=1e-9)
    assert said["cameras"]["metres_a_unit"] == 0.01 and said["cameras"]["matrices"] == "camera-to-world"
    assert (said["id"], said["seed"], said["answer"], said["fps"]) == ("clip-1", 7, "clip-1.mp4", prompt.fps)
    assert (said["context_frames"], said["target_frames"]) == (len(prompt.context), len(prompt.target_poses))
    assert (said["height"], said["width"]) == prompt.size and said["caption"] == prompt.caption
    assert said["intrinsics"][0][0] == cameras["intrinsics"][1, 1] == prompt.intrinsics.focal
    np.testing.assert_array_equal(read_video(tmp_path / "p" / "context.mp4"), prompt.context)
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == [
        "cameras.npz", "caption.txt", "context.mp4", "first.png", "prompt.json",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["opencv", "opencv-w2c", "opengl", "opengl-cm", "unreal-w2c"])
def test_cameras_from_the_first_target_one(prompt: Prompt, tmp_path: Path, name: str) -> None:
    write_prompt(tmp_path / name, "x", prompt, PromptForm(cameras=name, file="json"))
    content = json.loads((tmp_path / name / "cameras.json").read_text())
    found = convention(name).poses(np.array(content["context"] + content["target"]))
    first = np.linalg.inv(prompt.target_poses[0])
    wanted = first @ np.concatenate([prompt.context_poses, prompt.target_poses])
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(found[len(prompt.context)], np.eye(4), atol=1e-12)


def test_colmap_lines(prompt: Prompt, tmp_path: Path) -> None:
    write_prompt(tmp_path / "p", "x", prompt, PromptForm(file="colmap", origin="world"))
    lines = (tmp_path / "p" / "cameras.txt").read_text().splitlines()[1::2]
    assert len(lines) == len(prompt.context) + len(prompt.target_poses)
    words = lines[len(prompt.context) + 2].split()
    quaternion, moved = np.array(words[1:5], float), np.array(words[5:8], float)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(quaternion[[1, 2, 3, 0]]).as_matrix()
    matrix[:3, 3] = moved
    np.testing.assert_allclose(matrix @ prompt.target_poses[2], np.eye(4), atol=1e-7)
    assert words[9] == "target/00002.png"


def test_another_rate(prompt: Prompt) -> None:
    """At half the rate every other frame, counted from the cut outwards; between, cameras are halfway."""
    context, past, future = resampled(prompt, prompt.fps / 2, None)
    np.testing.assert_array_equal(context, prompt.context[::-1][::2][::-1])
    np.testing.assert_allclose(past, prompt.context_poses[::-1][::2][::-1], atol=1e-12)
    np.testing.assert_allclose(future, prompt.target_poses[::2], atol=1e-12)
    _, _, double = resampled(prompt, prompt.fps * 2, None)
    assert len(double) == 2 * len(prompt.target_poses) - 1
    between = prompt.target_poses[3, :3, 3] / 2 + prompt.target_poses[4, :3, 3] / 2
    np.testing.assert_allclose(double[7, :3, 3], between, atol=1e-12)
    turn = Rotation.from_matrix(double[7, :3, :3]).inv() * Rotation.from_matrix(prompt.target_poses[4, :3, :3])
    whole = Rotation.from_matrix(prompt.target_poses[3, :3, :3]).inv() * Rotation.from_matrix(
        prompt.target_poses[4, :3, :3]
    )
    assert turn.magnitude() == pytest.approx(whole.magnitude() / 2)
    assert len(resampled(prompt, None, 5)[2]) == 5
    with pytest.raises(UserError, match=r"99 target frames are asked for, and the clip has \d+ at this rate"):
        resampled(prompt, None, 99)


def test_a_folder_of_prompts(tmp_path: Path) -> None:
    data = DiscWorld()
    ids = data.ids("all")[:2]
    assert write_prompts(data, ids, tmp_path / "out", PromptForm()) == list(ids)
    assert write_prompts(data, ids, tmp_path / "out", PromptForm()) == []
    with pytest.raises(UserError, match="holds prompts in another form"):
        write_prompts(data, ids, tmp_path / "out", PromptForm(cameras="opengl"))
    data.name = "others"
    with pytest.raises(UserError, match="holds prompts of other data \\(disc\\)"):
        write_prompts(data, ids, tmp_path / "out", PromptForm())
    with pytest.raises(UserError, match="no camera convention 'fisheye'"):
        write_prompts(data, ids, tmp_path / "none", PromptForm(cameras="fisheye"))
    assert not (tmp_path / "none").exists()
    assert "hmbench score --predictions" in (tmp_path / "out" / "README.txt").read_text()


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["data", "prompts", "disc", str(tmp_path / "out"), "--limit", "1", "--camera-file", "json"]
    )
    assert run.exit_code == 0 and "1 new prompts of 1" in run.output
    (folder,) = (p for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert (folder / "cameras.json").is_file() and read_record(folder)["id"] == folder.name
    wrong = CliRunner().invoke(app, ["data", "prompts", "disc", str(tmp_path / "x"), "--origin", "moon"])
    assert wrong.exit_code != 0
