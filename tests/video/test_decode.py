"""Reading videos of strangers: as a player shows them, within limits, or one sentence. Files are made here by PyAV."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hmbench.errors import SampleError, UserError
from hmbench.types import Video
from hmbench.video import files, parity
from hmbench.video.decode import Limits, pictures, read_header
from hmbench.video.files import read_labels, read_video, write_labels, write_lossless, write_video


def corners(frames: int = 6, height: int = 32, width: int = 64) -> Video:
    """Red, green, blue and white quarters: each turn and mirror looks different."""
    video = np.zeros((frames, height, width, 3), dtype=np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    video[:, top, left] = (255, 0, 0)
    video[:, top, width // 2 :] = (0, 255, 0)
    video[:, height // 2 :, left] = (0, 0, 255)
    video[:, height // 2 :, width // 2 :] = (255, 255, 255)
    return video


def encode(
    path: Path,
    video: Video,
    *,
    codec: str = "libx264rgb",
    stored: str = "rgb24",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    times: list[int] | None = None,
    tune: Callable[[Any], None] = lambda stream: None,
) -> Path:
    """A video with whatever `tune` sets on its stream; `times` in 1/1000 s."""
    with av.open(str(path), "w", options=container or {}) as out:
        stream: Any = out.add_stream(codec, rate=15, options=options or {"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], stored
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        tune(stream)
        for number, image in enumerate(video):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rotation_tag_turns_the_picture(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    """Counter-clockwise, then mirrored left to right: all eight ways in which a phone may be held."""
    video = corners()
    path = encode(tmp_path / "a.mp4", video, tune=lambda s: s.set_display_rotation(degrees, hflip=mirrored))
    expected = np.rot90(video, degrees // 90, axes=(1, 2))
    expected = expected[:, :, ::-1] if mirrored else expected
    np.testing.assert_array_equal(read_video(path), expected)
    header = read_header(path)
    assert (header.height, header.width) == expected.shape[1:3]
    said = " ".join(header.notes)
    assert ("mirrored" in said) == mirrored and (f"turned upright by {degrees} degrees" in said) == (
        degrees > 0 and not mirrored
    )


def test_another_angle_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", corners(), tune=lambda s: s.set_display_rotation(30))
    with pytest.raises(SampleError, match="asks players to turn it by 30 degrees"):
        read_video(path)


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = encode(
        tmp_path / "a.mp4",
        corners(6, 32, 48),
        tune=lambda s: setattr(s.codec_context, "sample_aspect_ratio", Fraction(4, 3)),
    )
    shown = read_video(path)
    assert shown.shape == (6, 32, 64, 3) and shown[0, 4, 4].tolist() == [255, 0, 0]
    assert "4/3" in read_header(path).notes[0]


def test_the_default_stream_is_read_and_not_the_first(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams: list[Any] = [out.add_stream("ffv1", rate=15) for _ in range(2)]
        for stream, level in zip(streams, (10, 200), strict=True):
            stream.height, stream.width, stream.pix_fmt = 32, 48, "gray"
            stream.disposition = av.stream.Disposition.default if level == 200 else av.stream.Disposition.dub
        for k in range(4):
            for stream, level in zip(streams, (10, 200), strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((32, 48), level, np.uint8), format="gray")
                frame.pts = k
                out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode(None))
    assert read_labels(path).ravel()[0] == 200


@pytest.mark.parametrize("share", [0.6, 0.95, 0.999])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    """With its index in front, an MP4 plays up to the cut, and a clip of the right length may be all that is left."""
    video = np.random.default_rng(0).integers(0, 255, (30, 32, 48, 3)).astype(np.uint8)
    codec = {"codec": "mpeg4", "stored": "yuv420p", "options": {}} if suffix == ".avi" else {}
    front = {"movflags": "+faststart"} if suffix == ".mp4" else {}
    path = encode(tmp_path / f"a{suffix}", video, container=front, **codec)  # type: ignore[arg-type]
    assert len(read_video(path)) == 30
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for read in (read_video, read_header):
        with pytest.raises(SampleError, match="bytes are missing at its end"):
            read(path)


def test_a_size_that_changes_is_named(tmp_path: Path) -> None:
    parts = []
    for number, size in enumerate(((32, 48), (48, 32))):
        encode(tmp_path / f"{number}.h264", corners(4, *size), codec="libx264", stored="yuv420p", options={"crf": "10"})
        parts.append((tmp_path / f"{number}.h264").read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    with pytest.raises(SampleError, match="changes its size at frame 4: 48x32, then 32x48"):
        read_video(tmp_path / "both.h264")


@pytest.mark.parametrize(("number", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(tmp_path: Path, number: int, name: str) -> None:
    def tag(stream: Any) -> None:
        stream.codec_context.color_trc, stream.codec_context.colorspace = number, 9

    path = encode(tmp_path / "a.mp4", corners(), codec="libx264", stored="yuv420p", options={"crf": "5"}, tune=tag)
    with pytest.raises(SampleError, match=f"is an HDR video, {name}.*Tone-map it first"):
        read_video(path)


def test_hdr_after_an_ordinary_scene_is_refused(tmp_path: Path) -> None:
    """Only the first picture's tags were looked at; a spliced file has others from some frame on."""
    path = tmp_path / "spliced.h264"
    for number, transfer in enumerate((1, 16)):
        part = tmp_path / f"{number}.h264"
        with av.open(str(part), "w", format="h264") as out:
            stream: Any = out.add_stream("libx264", rate=15, options={"bf": "0"})
            stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
            stream.codec_context.color_trc = transfer
            for _ in range(4):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")))
            out.mux(stream.encode(None))
        path.write_bytes((path.read_bytes() if path.exists() else b"") + part.read_bytes())
    with pytest.raises(SampleError, match="is an HDR video, PQ"):
        list(pictures(path))


def test_limits_come_before_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "a.mp4", corners(60))
    with pytest.raises(SampleError, match="has about 60 frames, expected 9"):
        read_video(path, frames=9)
    decoded = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal decoded
        for picture in pictures(*args, **kwargs):
            decoded += 1
            yield picture

    monkeypatch.setattr(files, "pictures", counted)
    monkeypatch.setattr(files, "LIMITS", Limits(memory=60 * 32 * 64 * 3 - 1))
    with pytest.raises(SampleError, match="is 60 frames of 64x32 and needs"):
        read_video(path)
    assert decoded == 0
    with pytest.raises(SampleError, match="64x32 pixels, more than 2,000 in one"):
        read_header(path, Limits(pixels=2000))
    with pytest.raises(SampleError, match="needs more than 5 frames"):
        list(pictures(path, limits=Limits(frames=5)))
    with pytest.raises(SampleError, match="has more than 5 frames"):
        read_header(path, Limits(frames=5))
    with pytest.raises(SampleError, match="more than 0 s of decoding"):
        list(pictures(path, limits=Limits(seconds=0)))


def test_variable_rate_is_noticed(tmp_path: Path) -> None:
    even = encode(tmp_path / "even.mkv", corners(6), times=[0, 67, 133, 200, 267, 333])
    uneven = encode(tmp_path / "uneven.mkv", corners(6), times=[0, 67, 500, 567, 633, 700])
    assert read_header(even).steady and not read_header(uneven).steady
    times = [picture.time for picture in pictures(uneven)]
    np.testing.assert_allclose(times, [0, 0.067, 0.5, 0.567, 0.633, 0.7], atol=1e-9)


def test_what_is_no_video_of_its_own(tmp_path: Path) -> None:
    """Playlists name other files and hosts: none of them is opened."""
    secret = encode(tmp_path / "secret.mp4", corners())
    for name, text in (
        ("a.mp4", f"ffconcat version 1.0\nfile {secret}\n"),
        ("b.mp4", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SampleError, match="damaged or no video"):
            read_video(tmp_path / name)
    (tmp_path / "c.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(SampleError, match=r"Git LFS pointer.*git lfs pull"):
        read_video(tmp_path / "c.mp4")
    (tmp_path / "d.mp4").write_bytes(b"")
    with pytest.raises(SampleError, match="it is empty"):
        read_video(tmp_path / "d.mp4")
    (tmp_path / "e.mp4").symlink_to(tmp_path / "f.mp4")
    (tmp_path / "f.mp4").symlink_to(tmp_path / "e.mp4")
    with pytest.raises(SampleError, match="There is no video"):
        read_video(tmp_path / "e.mp4")


def test_whatever_pyav_raises_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged codec makes PyAV raise AttributeError, among others."""
    path = encode(tmp_path / "a.mp4", corners())

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise AttributeError("'NoneType' object has no attribute 'name'")

    monkeypatch.setattr(av, "open", broken)
    with pytest.raises(SampleError, match=r"damaged or no video \(AttributeError\)"):
        read_header(path)


def test_labels_are_few(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 48)).astype(np.uint8)
    write_labels(tmp_path / "m.mkv", noise, fps=15)
    with pytest.raises(SampleError, match="has 255 labels, more than 32: it is no map of subjects"):
        read_labels(tmp_path / "m.mkv")


def test_equal_labels_give_equal_bytes(tmp_path: Path) -> None:
    """Matroska's random numbers and the encoder's threads made each file differ."""
    labels = np.random.default_rng(2).integers(0, 3, (9, 64, 112)).astype(np.uint8)
    contents = set()
    for number in range(4):
        write_labels(tmp_path / f"{number}.mkv", labels, fps=15)
        contents.add((tmp_path / f"{number}.mkv").read_bytes())
    assert len(contents) == 1
    write_lossless(tmp_path / "a.mp4", corners(), fps=15)
    assert b" threads=1 " in (tmp_path / "a.mp4").read_bytes()  # the encoder's note: it names how many it used


def test_decoders_are_held_against_the_shipped_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_passed", [])
    parity.assert_parity(pictures.__globals__["_pictures"])
    assert parity._passed == [True]
    right = [picture.image for picture in pictures(parity.CLIP)]
    assert parity.worst_error(right) <= 3
    assert parity.worst_error(right[:1]) == float("inf")


def test_the_wrong_matrix_and_the_wrong_range_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clip with other tags is what an old PyAV would have made of it."""
    for name, colours, full in (("601", 5, 1), ("range", 1, 2)):
        path = tmp_path / f"{name}.mkv"
        with av.open(str(parity.CLIP)) as source, av.open(str(path), "w") as out:
            stream: Any = out.add_stream("ffv1", rate=15)
            stream.height, stream.width, stream.pix_fmt = 16, 64, "yuv420p"
            stream.codec_context.colorspace, stream.codec_context.color_range = colours, full
            for frame in source.decode(video=0):
                frame.colorspace, frame.color_range = colours, full
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        monkeypatch.setattr(parity, "CLIP", path)
        monkeypatch.setattr(parity, "_passed", [])
        with pytest.raises(UserError, match=r"decodes a known clip wrongly.*pip install 'av>=17'"):
            read_header(path)
        assert parity.worst_error([p.image for p in pictures.__globals__["_pictures"](path)]) > 12


def test_the_shipped_clip_is_what_its_command_makes(tmp_path: Path) -> None:
    write_video(tmp_path / "again.mp4", parity.known_frames(), fps=15, crf=1)
    ours, shipped = (read_video(path).astype(int) for path in (tmp_path / "again.mp4", parity.CLIP))
    assert np.abs(ours - shipped).max() <= 1
