"""Predictions of another rate, length, shape, form or name: refused in one sentence, or read as the user says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from hmbench.data.cameras import parse_cameras
from hmbench.data.disc_world import DiscWorld
from hmbench.errors import SampleError, UserError
from hmbench.results.notes import sample_notes
from hmbench.results.prediction_evidence import AGAIN, COLOURLESS, LATE, PLAIN, context_likeness
from hmbench.results.prediction_files import find_predictions, find_seeds
from hmbench.results.predictions import Expected, _fitted, plan_reading, read_prediction
from hmbench.results.reading import Reading
from hmbench.run.predictions_check import Checked, Look, tell_same
from hmbench.run.request import EvalRequest, parse_shard
from hmbench.types import Sample, Video
from hmbench.video.decode import Header
from hmbench.video.files import write_lossless
from hmbench.video.sources import source_digest, source_header


@pytest.fixture(scope="module")
def clip() -> Sample:
    world = DiscWorld()
    return world.load(world.ids("all")[0])


def truth(clip: Sample) -> Video:
    assert clip.truth is not None
    return clip.truth.target


def numbered(count: int, height: int = 48, width: int = 80) -> Video:
    """Frame k has the level 2 k."""
    return np.broadcast_to(2 * np.arange(count, dtype=np.uint8)[:, None, None, None], (count, height, width, 3)).copy()


def write(path: Path, video: Video, fps: float = 15) -> Path:
    write_lossless(path, video, fps=fps)
    return path


def test_twice_the_rate_is_refused_or_aligned_when_told(tmp_path: Path, clip: Sample) -> None:
    """The truth itself at 30 fps has as many frames as context and target: its first half must not be dropped."""
    path = write(tmp_path / "a.mp4", truth(clip).repeat(2, axis=0), 30)
    with pytest.raises(SampleError, match=r"is 30 fps, the clip 15 fps: its 42 frames last 1.40 s.*--align resample"):
        read_prediction(path, clip)
    video, changes = read_prediction(path, clip, Reading(align="resample"))
    np.testing.assert_array_equal(video, truth(clip))
    assert changes["rate"] == 30 and changes["align"] == "resample" and "resampled to 15 fps" in changes["notes"][0]
    with pytest.raises(SampleError, match=r"its first 21 are not the context \(PSNR"):
        read_prediction(path, clip, Reading(align="first-frames"))


def test_the_same_frames_under_a_wrong_rate(tmp_path: Path, clip: Sample) -> None:
    path = write(tmp_path / "a.mp4", truth(clip), 16)
    with pytest.raises(SampleError, match=r"is 16 fps, the clip 15 fps"):
        read_prediction(path, clip)
    video, changes = read_prediction(path, clip, Reading(align="first-frames"))
    np.testing.assert_array_equal(video, truth(clip))
    assert changes == {
        "rate": 16.0,
        "align": "first-frames",
        "notes": ["predictions say 16 fps; their frames were taken one by one as 15 fps"],
    }
    near = write(tmp_path / "b.mp4", truth(clip), 15 / 1.001)
    assert read_prediction(near, clip)[1] == {}


@pytest.mark.parametrize("count", [33, 34])
def test_resampling_shows_what_a_player_shows(tmp_path: Path, clip: Sample, count: int) -> None:
    """24 fps: 21 frames at 15 last 1.40 s, 33 and 34 frames last 1.375 and 1.417 s; both fit within a frame."""
    path = write(tmp_path / "a.mp4", numbered(count), 24)
    video, _ = read_prediction(path, clip, Reading(align="resample"))
    assert (video[:, 0, 0, 0] // 2).tolist() == [math.floor(k * 24 / 15 + 1e-6) for k in range(21)]
    with pytest.raises(SampleError, match=r"has 36 frames \(23 at 15 fps\), expected 21"):
        read_prediction(write(tmp_path / "b.mp4", numbered(36), 24), clip, Reading(align="resample"))


def test_a_slow_video_is_too_short_by_time(tmp_path: Path, clip: Sample) -> None:
    path = write(tmp_path / "a.mp4", truth(clip), 30)
    with pytest.raises(SampleError, match=r"has 21 frames \(11 at 15 fps\), expected 21"):
        read_prediction(path, clip, Reading(align="resample"))


def test_longer_videos(tmp_path: Path, clip: Sample) -> None:
    path = write(tmp_path / "a.mp4", np.concatenate([truth(clip), truth(clip)[:4]]))
    with pytest.raises(SampleError, match=r"has 25 frames, expected 21.*--frames first"):
        read_prediction(path, clip)
    video, changes = read_prediction(path, clip, Reading(frames="first"))
    np.testing.assert_array_equal(video, truth(clip))
    assert changes["frames_left_out"] == 4 and "only the first 21 frames" in changes["notes"][0]


def test_the_first_half_is_held_against_the_context(tmp_path: Path, clip: Sample) -> None:
    context = clip.prompt.context
    both = np.concatenate([context, truth(clip)])
    video, changes = read_prediction(write(tmp_path / "a.mp4", both), clip)
    np.testing.assert_array_equal(video, truth(clip))
    assert changes == {"context_frames_dropped": 21, "context_psnr": None}
    noisy = (context.astype(float) + np.random.default_rng(0).normal(0, 6, context.shape)).clip(0, 255).astype(np.uint8)
    _, changes = read_prediction(write(tmp_path / "b.mp4", np.concatenate([noisy, truth(clip)])), clip)
    assert 30 < changes["context_psnr"] < 50
    with pytest.raises(SampleError, match=r"its first 21 are not the context"):
        read_prediction(write(tmp_path / "c.mp4", both[::-1]), clip)


def test_the_first_frames_that_are_the_context_are_not_scored_as_the_target(tmp_path: Path, clip: Sample) -> None:
    """``--frames first`` on context and target together gave the context's PSNR to every row."""
    context, both = clip.prompt.context, np.concatenate([clip.prompt.context, truth(clip)])
    part = np.concatenate([context, truth(clip)[:5]])  # shorter than context and target: 153 frames for 154
    for name, video in (
        ("both", both),
        ("more", np.concatenate([both, both[:5]])),
        ("fewer", both[1:]),
        ("part", part),
    ):
        with pytest.raises(SampleError, match="begins with the context, which --frames first would score"):
            read_prediction(write(tmp_path / f"{name}.mp4", video), clip, Reading(frames="first"))
    long = np.concatenate([truth(clip), context, context[:3]])
    video, _ = read_prediction(write(tmp_path / "long.mp4", long), clip, Reading(frames="first"))
    np.testing.assert_array_equal(video, truth(clip))


def test_a_prediction_that_is_the_context_or_a_frame_late_says_so(tmp_path: Path, clip: Sample) -> None:
    """Models of images to video return the frame that they were given first: PSNR lost 4 dB without a word."""
    ground = cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 40, 3), np.uint8), (320, 48))
    turning = np.stack([ground[:, 3 * t : 3 * t + 80] for t in range(42)])
    context, target = turning[:21], turning[21:]
    assert clip.truth is not None
    clip = replace(clip, prompt=replace(clip.prompt, context=context), truth=replace(clip.truth, target=target))
    late = np.concatenate([context[-1:], target[:-1]])
    noise = np.random.default_rng(0).integers(-4, 5, late.shape)
    five = (
        "predictions begin with the last 5 frames of the context, so that each frame is 5 late: leave the frames out "
        "that the model was given"
    )
    cases = {
        "late": (late, [LATE]),
        "late through a codec": (np.clip(late + noise, 0, 255).astype(np.uint8), [LATE]),
        "the context": (context, [AGAIN]),
        "right": (target, None),
        "five late": (np.concatenate([context[-5:], target[:-5]]), [five]),
        "grey": (target.mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3), [COLOURLESS]),
        "a frame early": (np.concatenate([target[1:], target[-1:]]), None),
        "black": (np.zeros_like(target), [PLAIN]),
        "stands still": (context[-1:].repeat(len(target), axis=0), None),
    }
    for name, (video, notes) in cases.items():
        assert read_prediction(write(tmp_path / f"{name}.mp4", video), clip)[1].get("notes") == notes, name
        unknown = replace(clip, truth=None)
        assert read_prediction(tmp_path / f"{name}.mp4", unknown)[1].get("notes") == notes, name
    overlap = write(tmp_path / "overlap.mp4", np.concatenate([context[-5:], target]))  # what chunked models return
    with pytest.raises(SampleError, match=r"begins with the last 5 frames of the context.*Cut its first 5 frames off"):
        read_prediction(overlap, clip, Reading(frames="first"))
    stills = replace(clip, prompt=replace(clip.prompt, context=context[:1].repeat(len(context), axis=0)), truth=None)
    assert "notes" not in read_prediction(write(tmp_path / "s.mp4", stills.prompt.context), stills)[1]


def test_a_file_without_colour_says_so(tmp_path: Path, clip: Sample) -> None:
    with av.open(str(tmp_path / "g.mkv"), "w") as out:
        stream = out.add_stream("ffv1", rate=15)
        stream.height, stream.width, stream.pix_fmt = 48, 80, "gray"
        for frame in truth(clip):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    assert read_prediction(tmp_path / "g.mkv", clip)[1]["notes"] == ["predictions hold no colour (gray)"]


def test_pictures_in_a_folder_are_one_series(tmp_path: Path, clip: Sample) -> None:
    """A frame that is missing and a copy of another gave the right number of frames, and most of them in a wrong place.

    A name with a raised two, which counts as a digit and is none for `int`, ended in a traceback.
    """

    def folder(name: str, names: list[str]) -> Path:
        (tmp_path / name).mkdir()
        for file, frame in zip(names, truth(clip), strict=True):
            Image.fromarray(frame).save(tmp_path / name / file)
        return tmp_path / name

    for kind, form in {"plain": "{}.png", "tens": "{}0.png", "seconds": "{}.5.PNG", "raised": "x²_{}.png"}.items():
        video, _ = read_prediction(folder(kind, [form.format(t) for t in range(21)]), clip)
        np.testing.assert_array_equal(video, truth(clip))
    numbers = [*range(9), *range(10, 22)]
    cases = {
        "gap": ([f"{t}.png" for t in numbers], "no picture between number 8 and the next"),
        "twice": (["01.png", *(f"{t}.png" for t in range(1, 21))], "two pictures of one number"),
        "copy": ([*(f"{t}.png" for t in range(20)), "7 (copy).png"], "several series"),
    }
    for kind, (names, why) in cases.items():
        with pytest.raises(SampleError, match=why):
            read_prediction(folder(kind, names), clip)


def test_a_raised_two_is_no_number(tmp_path: Path, clip: Sample) -> None:
    """``str.isdigit`` takes it for one, and `int` does not: a traceback."""
    for seed in ("²3", "10", "9"):
        (tmp_path / f"{clip.id}_seed{seed}.mp4").touch()
    assert find_seeds(tmp_path, [clip.id], "{id}_seed{seed}.mp4") == ("9", "10", "²3")
    with pytest.raises(UserError, match="is not of the form k/n"):
        parse_shard("²/3")
    with pytest.raises(SampleError, match="has 2 cameras, expected frames 0 to 2"):
        pose = np.eye(4).tolist()
        parse_cameras(
            {side: {"0": pose, "1": pose, "²": pose} for side in ("cond_cam", "tgt_cam")}, 3, 3, "camera.json"
        )


def test_a_seed_that_no_record_holds_is_refused_before_anything_is_written() -> None:
    """A run with a seed of 400 digits could never be read again."""
    with pytest.raises(UserError, match="too many digits"):
        EvalRequest(model="oracle", data="disc", out=Path("out"), seed=10**400)


def test_likeness_by_hand() -> None:
    flat = np.full((3, 32, 32, 3), 100, np.uint8)
    assert context_likeness(flat, flat) == math.inf
    assert context_likeness(flat + np.uint8(10), flat) == pytest.approx(20 * math.log10(25.5))


def test_another_shape_is_an_error_until_told_how(tmp_path: Path, clip: Sample) -> None:
    square = np.zeros((21, 60, 60, 3), np.uint8)
    square[:, :, :30] = 200
    path = write(tmp_path / "a.mp4", square)
    with pytest.raises(SampleError, match=r"is 60x60, the clip 80x48: another shape.*--fit crop"):
        read_prediction(path, clip)
    seen = {}
    for fit in ("stretch", "crop", "pad"):
        video, changes = read_prediction(path, clip, Reading(fit=fit))
        assert video.shape == (21, 48, 80, 3) and changes["fit"] == fit and changes["resized_from"] == [60, 60]
        seen[fit] = video[0, 24, :, 0].astype(int)
    assert (seen["stretch"][:38] > 180).all() and (seen["stretch"][42:] < 20).all()
    assert (seen["pad"][:15] == 0).all() and (seen["pad"][18:38] > 180).all() and (seen["pad"][64:] == 0).all()
    assert (seen["crop"][:38] > 180).all()
    half = write(tmp_path / "b.mp4", np.zeros((21, 24, 40, 3), np.uint8))
    assert read_prediction(half, clip)[1]["resized_from"] == [40, 24]


def test_pictures_and_arrays(tmp_path: Path, clip: Sample) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(truth(clip)):
        Image.fromarray(image).save(folder / f"{number}.png")  # 10.png after 2.png
    np.testing.assert_array_equal(read_prediction(folder, clip)[0], truth(clip))
    np.save(tmp_path / "a.npy", truth(clip))
    np.testing.assert_array_equal(read_prediction(tmp_path / "a.npy", clip)[0], truth(clip))
    before = source_digest(folder)
    Image.fromarray(truth(clip)[0] // 2).save(folder / "3.png")
    assert source_digest(folder) != before
    (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:60])
    with pytest.raises(SampleError, match=r"5.png is damaged or no picture"):
        read_prediction(folder, clip)
    np.save(tmp_path / "b.npy", truth(clip) / 255)
    with pytest.raises(SampleError, match=r"holds float64 \(21, 48, 80, 3\), expected uint8"):
        source_header(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SampleError, match="no array of frames"):
        source_header(tmp_path / "c.npy")


def test_which_file_is_whose(tmp_path: Path) -> None:
    ids = ("a_b_1", "a_b_2", "c")
    for name in ("a_b_1.webm", "c.npy", "stranger.mp4", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "a_b_2").mkdir()
    (tmp_path / "a_b_2" / "0001.jpg").touch()
    found = find_predictions(tmp_path, ids)
    assert {k: v.name for k, v in found.files.items()} == {"a_b_1": "a_b_1.webm", "a_b_2": "a_b_2", "c": "c.npy"}
    assert found.others == ("stranger.mp4",)
    (tmp_path / "c.mp4").touch()
    with pytest.raises(UserError, match=r"c has 2 predictions in .*: c.mp4, c.npy"):
        find_predictions(tmp_path, ids)


def test_names_by_pattern_and_by_table(tmp_path: Path) -> None:
    ids = ("a_b_1", "a_b_2")
    for name in ("gen-a_b_1_seed0.mp4", "gen-a_b_2_seed0.mp4", "gen-a_b_2_seed1.mp4"):
        (tmp_path / name).touch()
    one = find_predictions(tmp_path, ids, "gen-{id}_seed0.mp4")
    assert {k: v.name for k, v in one.files.items()} == {k: f"gen-{k}_seed0.mp4" for k in ids}
    with pytest.raises(UserError, match=r"a_b_2 has 2 predictions"):
        find_predictions(tmp_path, ids, "gen-{id}_seed{seed}.mp4")
    with pytest.raises(UserError, match=r"must have \{id\} once"):
        find_predictions(tmp_path, ids, "gen.mp4")
    table = tmp_path / "names.csv"
    table.write_text("id,file\na_b_1,gen-a_b_2_seed1.mp4\n\n")
    assert find_predictions(tmp_path, ids, str(table)).files == {"a_b_1": tmp_path / "gen-a_b_2_seed1.mp4"}
    table.write_text("a_b_1\n")
    with pytest.raises(UserError, match="line 1 has no file"):
        find_predictions(tmp_path, ids, str(table))
    table.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="is no CSV"):
        find_predictions(tmp_path, ids, str(table))


def test_one_file_for_two_samples(tmp_path: Path) -> None:
    """A table that gives two samples one file is refused; copies under two names are said."""
    (tmp_path / "t.csv").write_text("id,file\nx,a.mp4\ny,./a.mp4\n")
    (tmp_path / "a.mp4").write_bytes(b"a")
    with pytest.raises(UserError, match="line 3 gives y the file of x"):
        find_predictions(tmp_path, ("x", "y"), str(tmp_path / "t.csv"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "t.csv").write_text("x,a\0.mp4\ny,loop\n")
    assert find_predictions(tmp_path, ("x", "y"), str(tmp_path / "t.csv")).files.keys() == {"x", "y"}
    looks = []
    for name, content in (("x", b"1" * 90), ("y", b"2" * 90), ("z", b"1" * 90), ("w", b"3"), ("v", b"1" * 89 + b"4")):
        (tmp_path / f"{name}.npy").write_bytes(content)
        looks.append(Look(name, tmp_path / f"{name}.npy", None, None, None, ""))
    said = tell_same(Checked(tuple(looks), ()))
    assert said.startswith("2 of 5 predictions are the same file") and said.endswith("those of x and z")
    assert tell_same(Checked((looks[0], looks[1], looks[3], looks[4]), ())) == ""


def test_options_are_known_words() -> None:
    with pytest.raises(UserError, match=r"--align 'resampel' is unknown. Did you mean 'resample'"):
        Reading(align="resampel")


def test_notes_are_said_once_a_kind() -> None:
    samples = [
        {"id": "a", "warnings": ["no caption"], "notes": ["scaled from 40x24 to 80x48"]},
        {"id": "b", "warnings": ["no caption"], "notes": ["scaled from 20x12 to 80x48"]},
        {"id": "c", "warnings": []},
    ]
    assert sample_notes(samples) == (
        "no caption (2 of 3 samples)",
        "scaled from 40x24 to 80x48 (2 of 3 samples)",
    )


def test_unevenly_spaced_pictures_are_refused_at_the_right_rate_too() -> None:
    """15 frames a second on average say nothing of when each is shown."""
    header = Header(80, 48, 15.0, "h264", 9, 0.6, steady=False, pixels="yuv420p", notes=())
    expected = Expected(context=9, target=9, fps=15.0, size=(48, 80))
    with pytest.raises(SampleError, match=r"unevenly spaced in time \(15 fps on average\)"):
        plan_reading(Path("a.mp4"), header, expected)
    assert not plan_reading(Path("a.mp4"), header._replace(steady=True), expected).changes
    told = plan_reading(Path("a.mp4"), header, expected, Reading(align="first-frames"))
    assert told.changes == {"rate": 15.0, "align": "first-frames"} and not told.resample


def test_a_crop_takes_the_middle() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, :, 0] = np.arange(40)
    assert _fitted(wide, (10, 20), "crop")[0, :, 0].tolist() == list(range(10, 30))
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    assert _fitted(tall, (20, 10), "crop")[:, 0, 0].tolist() == list(range(10, 30))
