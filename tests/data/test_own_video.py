"""People's own clips: which frames become the context, what is assumed and said, and the cameras' presets."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hmbench.data.camera_presets import PRESETS, draw_presets, preset_poses
from hmbench.data.cameras import parse_cameras, to_unreal
from hmbench.data.own_video import OwnVideo, OwnVideoConfig, check_own_video, sample_from_video
from hmbench.errors import SampleError, UserError
from hmbench.types import Video
from hmbench.video.files import write_lossless, write_video
from hmbench.video.geometry import field_of_view, pose_problem, relative_to, yaw


def counting_video(frames: int, height: int = 32, width: int = 48) -> Video:
    """Frame k is grey k, with a red upper left and a blue lower right quarter."""
    video = np.zeros((frames, height, width, 3), dtype=np.uint8)
    video += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    video[:, : height // 2, : width // 2, 0] = 255
    video[:, height // 2 :, width // 2 :, 2] = 255
    return video


SMALL = OwnVideoConfig(num_context=9, num_target=13, size=None)


def test_last_and_first_frames(tmp_path: Path) -> None:
    video = counting_video(40)
    write_lossless(tmp_path / "clip.mp4", video, fps=15)
    last = sample_from_video(tmp_path / "clip.mp4", "static", "a caption", SMALL)
    np.testing.assert_array_equal(last.prompt.context, video[-9:])
    first = sample_from_video(
        tmp_path / "clip.mp4",
        "static",
        "a caption",
        OwnVideoConfig(num_context=9, num_target=5, size=None, part="first"),
    )
    np.testing.assert_array_equal(first.prompt.context, video[:9])
    assert last.truth is None and last.prompt.caption == "a caption" and last.prompt.num_target_frames == 13
    assert last.id == "clip_static" and last.prompt.fps == 15
    assert not any("scaled" in w or "fps" in w or "caption" in w for w in last.meta.warnings)
    assert any("standing still" in w for w in last.meta.warnings)


@pytest.mark.parametrize(
    ("fps", "expected"), [(30, range(23, 40, 2)), (60, range(4, 40, 4)), (7.5, [5, 6, 6, 7, 7, 8, 8, 9, 9])]
)
def test_rates(tmp_path: Path, fps: float, expected: list[int]) -> None:
    """30 fps gives every second frame, 60 every fourth; a slower video repeats frames and says so."""
    count = 10 if fps < 15 else 40
    write_lossless(tmp_path / "clip.mp4", counting_video(count), fps=fps)
    sample = sample_from_video(tmp_path / "clip.mp4", "static", "", SMALL)
    numbers = sample.meta.extra["source_frames"]
    assert len(numbers) == 9 and np.abs(np.array(numbers) - list(expected)).max() <= 1
    steps = np.diff(numbers)
    assert set(steps.tolist()) <= ({2} if fps == 30 else {4} if fps == 60 else {0, 1})
    assert sample.prompt.context[:, 0, 0, 1].tolist() == numbers
    text = " | ".join(sample.meta.warnings)
    assert f"from a video of {fps:g} fps" in text and ("repeat" in text) == (fps < 15)
    assert "no caption" in text


def test_cover_and_crop(tmp_path: Path) -> None:
    """A video twice as wide as wanted loses its sides, not its shape."""
    wide = np.zeros((9, 64, 256, 3), dtype=np.uint8)
    wide[:, :, 64:192] = 200
    write_lossless(tmp_path / "wide.mp4", wide, fps=15)
    config = OwnVideoConfig(num_context=9, num_target=9, size=(32, 64))
    sample = sample_from_video(tmp_path / "wide.mp4", "static", "", config)
    assert sample.prompt.context.shape == (9, 32, 64, 3) and (sample.prompt.context[:, :, 2:-2] == 200).all()
    assert "scaled and centre-cropped from 256x64 to 64x32" in " ".join(sample.meta.warnings)
    odd = OwnVideoConfig(num_context=9, num_target=9, size=(30, 52))
    assert sample_from_video(tmp_path / "wide.mp4", "static", "", odd).prompt.size == (30, 52)


def test_lens(tmp_path: Path) -> None:
    write_lossless(tmp_path / "clip.mp4", counting_video(9, 90, 160), fps=15)
    given = OwnVideoConfig(num_context=9, num_target=9, size=None, fov=65)
    assert field_of_view(sample_from_video(tmp_path / "clip.mp4", "static", "", given).prompt.intrinsics)[
        0
    ] == pytest.approx(65)
    cropped = OwnVideoConfig(num_context=9, num_target=9, size=(90, 90), fov=65)
    lens = sample_from_video(tmp_path / "clip.mp4", "static", "", cropped).prompt.intrinsics
    assert lens.focal == pytest.approx(80 / np.tan(np.radians(32.5))) and lens.width == 90
    assumed = sample_from_video(tmp_path / "clip.mp4", "static", "", SMALL)
    assert 37 < field_of_view(assumed.prompt.intrinsics)[0] < 38
    assert any("taken as HM-World's" in w for w in assumed.meta.warnings)
    write_lossless(tmp_path / "cropped.mp4", counting_video(9, 240, 416), fps=15)
    own = sample_from_video(tmp_path / "cropped.mp4", "static", "", SMALL).prompt.intrinsics
    assert own.focal == pytest.approx(1257 / 2, rel=1e-3)  # the length recovered from the public clips at 832x480


def test_phone_video_is_turned_upright(tmp_path: Path) -> None:
    """A display matrix as phones write it: stored landscape, shown turned clockwise by a quarter."""
    path = tmp_path / "phone.mp4"
    write_video(path, counting_video(12, 32, 64), fps=15)
    content = bytearray(path.read_bytes())
    one = (1 << 16).to_bytes(4, "big")
    identity = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4, "big")
    place = content.index(identity, content.index(b"tkhd"))
    zero, minus = bytes(4), (-(1 << 16)).to_bytes(4, "big", signed=True)
    content[place : place + 36] = zero + one + zero + minus + zero + zero + zero + zero + (1 << 30).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    sample = sample_from_video(path, "static", "", SMALL)
    assert sample.prompt.size == (64, 32)
    frame = sample.prompt.context[0].astype(int)
    assert frame[:30, 18:, 0].mean() > 150 > 100 > frame[34:, 18:, 0].mean()  # red moved from upper left to upper right
    assert frame[34:, :14, 2].mean() > 150  # blue from lower right to lower left
    assert any("turned upright by 270 degrees" in w for w in sample.meta.warnings)


def test_what_cannot_be_used(tmp_path: Path) -> None:
    write_lossless(tmp_path / "short.mp4", counting_video(30), fps=15)
    with pytest.raises(SampleError, match=r"30 frames at 15 fps.*needs 77.*--video-frames 29"):
        sample_from_video(tmp_path / "short.mp4", "static")
    with pytest.raises(UserError, match=r"must have 4k \+ 1 frames, not 10 and 9"):
        OwnVideoConfig(num_context=10, num_target=9)
    with pytest.raises(UserError, match="no part 'middle'"):
        OwnVideoConfig(part="middle")
    for size in ((0, 0), (16, 4096), (8, 8), (9000, 9000)):
        with pytest.raises(UserError, match="too small, too large or too narrow"):
            OwnVideoConfig(size=size)
    with pytest.raises(UserError, match="between 5 and 160"):
        OwnVideoConfig(fov=170)
    with pytest.raises(UserError, match=r"no camera preset 'pan-lft-and-back'. Did you mean 'pan-left-and-back'"):
        sample_from_video(tmp_path / "short.mp4", "pan-lft-and-back", "", SMALL)
    with pytest.raises(UserError, match=r"There is no file"):
        sample_from_video(tmp_path / "short.mp4", tmp_path / "none.json", "", SMALL)
    with pytest.raises(SampleError, match="There is no video"):
        sample_from_video(tmp_path / "none.mp4", "static", "", SMALL)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SampleError, match="damaged or no video"):
        sample_from_video(tmp_path / "text.mp4", "static", "", SMALL)


def test_camera_file(tmp_path: Path) -> None:
    poses = preset_poses("hm-world-left", 9, 13)
    content = {
        f"{side}_cam": {str(i): m.tolist() for i, m in enumerate(to_unreal(half))}
        for side, half in zip(("cond", "tgt"), poses, strict=True)
    }
    (tmp_path / "path.json").write_text(json.dumps(content))
    write_lossless(tmp_path / "clip.mp4", counting_video(9), fps=15)
    sample = sample_from_video(tmp_path / "clip.mp4", tmp_path / "path.json", "", SMALL)
    np.testing.assert_allclose(sample.prompt.context_poses, poses[0], atol=1e-12)
    np.testing.assert_allclose(sample.prompt.target_poses, poses[1], atol=1e-12)
    assert sample.id == "clip_path"
    with pytest.raises(SampleError, match="has 13 cameras for 9 frames"):
        sample_from_video(
            tmp_path / "clip.mp4", tmp_path / "path.json", "", OwnVideoConfig(num_context=9, num_target=9, size=None)
        )


def test_as_a_dataset(tmp_path: Path) -> None:
    write_lossless(tmp_path / "my clip!.mp4", counting_video(9), fps=15)
    data = OwnVideo(tmp_path / "my clip!.mp4", "pan-left-and-back:60", "a", SMALL)
    (sample_id,) = data.ids("all")
    assert sample_id == "my-clip-_pan-left-and-back-60"
    assert data.load(sample_id).meta.camera_path == "pan-left-and-back:60"
    other = OwnVideo(tmp_path / "my clip!.mp4", "pan-right-and-back:60", "a", SMALL)
    assert data.revision((sample_id,)) != other.revision((sample_id,))
    with pytest.raises(UserError, match="no split 'test'"):
        data.ids("test")
    with pytest.raises(SampleError, match="no sample 'x'"):
        data.load("x")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_smooth_rigid_paths(name: str) -> None:
    context, target = preset_poses(name, 77, 77)
    assert context.shape == target.shape == (77, 4, 4)
    path = np.concatenate([context, target])
    assert pose_problem(path) is None
    turns, steps = np.abs(np.diff(yaw(path))), np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1)
    assert turns.max() < 4.5 and steps.max() < 0.2  # degrees and metres a frame at 15 fps
    assert np.abs(np.diff(turns)).max() < 1.0
    if not PRESETS[name].moves_context:
        np.testing.assert_array_equal(context, np.tile(np.eye(4), (77, 1, 1)))
    if name.endswith("and-back") or name == "look-around":
        np.testing.assert_allclose(target[-1], np.eye(4), atol=1e-9)
        assert max(np.abs(yaw(target)).max(), np.abs(target[:, 2, 3]).max() * 10) >= 19
    other = preset_poses(name, 21, 21)[1]
    np.testing.assert_allclose(other[-1], target[-1], atol=1e-9)  # the same path at any length


def test_sides_and_amounts() -> None:
    left, right = (yaw(preset_poses(f"pan-{side}-and-back", 77, 77)[1]) for side in ("left", "right"))
    assert left.min() == pytest.approx(-40, abs=0.1) and left.max() <= 0
    np.testing.assert_allclose(left, -right, atol=1e-9)
    assert yaw(preset_poses("pan-left:60", 77, 77)[1]).min() == pytest.approx(-60)
    assert preset_poses("dolly-in:3", 77, 77)[1][-1, 2, 3] == pytest.approx(3)
    assert preset_poses("dolly-out", 77, 77)[1][-1, 2, 3] == pytest.approx(-2)
    assert PRESETS["hm-world-left"].moves_context and not PRESETS["pan-left"].moves_context
    for wrong in ("pan-left:x", "pan-left:0", "pan-left:999", "static:3", "pan-left:nan"):
        with pytest.raises(UserError, match="asks for"):
            preset_poses(wrong, 9, 9)


def test_orbits_keep_looking_at_their_centre() -> None:
    target = preset_poses("orbit-left-and-back", 77, 77)[1]
    to_centre = np.array([0, 0, 4.0]) - target[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(to_centre, axis=1), 4.0)
    np.testing.assert_allclose(to_centre / 4, target[:, :3, 2], atol=1e-12)
    assert target[:, 0, 3].min() < -1.5  # it walks to the left


def test_hm_world_presets_move_as_the_public_clips_do(real_clips: Path) -> None:
    """Same order of sweep, and the extreme within the same stretch of the clip."""
    preset = np.concatenate(preset_poses("hm-world-left", 77, 77))
    ours = np.abs(yaw(preset))
    for number in range(1, 5):
        content = json.loads((real_clips / f"cam{number}.json").read_text())
        poses = np.concatenate(parse_cameras(content, 77, 77, ""))
        real = yaw(relative_to(poses, poses[0]))
        swing = np.abs(real - real[0])
        assert 0.5 < ours.max() / swing.max() < 2
        assert abs(int(ours.argmax()) - int(swing.argmax())) < 25


def test_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    some = {name: PRESETS[name] for name in ("orbit-left-and-back", "hm-world-right")}
    monkeypatch.setattr("hmbench.data.camera_presets.PRESETS", some)
    paths = draw_presets(tmp_path / "pictures")
    assert [p.stem for p in paths] == list(some)
    with Image.open(paths[0]) as picture:
        assert picture.size == (990, 396)


def test_uneven_frames_are_taken_as_a_player_shows_them(tmp_path: Path) -> None:
    """A pause shows the frame before it: nothing is filled with frames from the future."""
    path = tmp_path / "phone.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=15)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "gray"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, milliseconds in enumerate((0, 67, 500, 567, 633, 700)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48), 40 * level, np.uint8), format="gray")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    first = OwnVideoConfig(num_context=9, num_target=9, size=None, part="first")
    sample = sample_from_video(path, "static", "", first)
    assert sample.meta.extra["source_frames"] == [0, 1, 1, 1, 1, 1, 1, 1, 2]
    assert sample.prompt.context[:, 0, 0, 0].tolist() == [0, *[40] * 7, 80]
    said = " | ".join(sample.meta.warnings)
    assert "not evenly spaced" in said and "only its first 9 of" not in said
    last = OwnVideoConfig(num_context=5, num_target=9, size=None)
    assert sample_from_video(path, "static", "", last).meta.extra["source_frames"] == [1, 2, 3, 4, 5]


def test_cameras_of_another_convention_are_named_before_anything_is_generated(tmp_path: Path) -> None:
    """A camera that turns before a wall, written as it should be, and as OpenCV and NeRF tools write it."""
    from tests.metrics.background.panorama import FOCAL, WIDTH, poses, views, wall

    heading = np.linspace(-20, 20, 17)
    write_lossless(tmp_path / "clip.mp4", views(wall(), heading[:9]), fps=15)
    upright = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])  # the wall's y down is z up
    right = upright @ poses(heading)
    config = OwnVideoConfig(
        num_context=9, num_target=5, size=None, fov=float(np.degrees(2 * np.arctan(WIDTH / 2 / FOCAL)))
    )
    for matrices, named in (
        (to_unreal(right), None),
        (right, "opencv"),
        (np.linalg.inv(right), "opencv-w2c"),
        (right @ np.diag([1, -1, -1, 1.0]), "opengl"),
    ):
        halves = [{str(i): m.tolist() for i, m in enumerate(half)} for half in (matrices[:9], matrices[9:14])]
        (tmp_path / "camera.json").write_text(json.dumps(dict(zip(("cond_cam", "tgt_cam"), halves, strict=True))))
        if named is None:
            sample = sample_from_video(tmp_path / "clip.mp4", tmp_path / "camera.json", "", config)
            np.testing.assert_allclose(sample.prompt.context_poses, right[:9], atol=1e-9)
            continue
        with pytest.raises(SampleError, match=f"pictures contradict the cameras.*--cameras {named}`"):
            sample_from_video(tmp_path / "clip.mp4", tmp_path / "camera.json", "", config)


def test_settings_are_refused_before_a_frame_is_decoded(tmp_path: Path, monkeypatch) -> None:
    """A typo in the preset was answered after torch was imported."""
    write_video(tmp_path / "clip.mp4", counting_video(3), fps=15)  # too short: told when it is read
    monkeypatch.setattr("hmbench.data.own_video.pictures", None)
    right = {"video": str(tmp_path / "clip.mp4"), "camera": "pan-left-and-back", "size": [32, 48], "num_context": 9}
    check_own_video(**right)
    for wrong, sentence in (
        ({"camera": "pan-left-and-bck"}, "Did you mean 'pan-left-and-back'"),
        ({"part": "middle"}, "There is no part 'middle'"),
        ({"num_context": 10}, "4k \\+ 1 frames"),
        ({"video": str(tmp_path / "no.mp4")}, "There is no video"),
        ({"prt": "last"}, "no setting 'prt'. Did you mean 'part'"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_own_video(**{**right, **wrong})
