"""Decoding held against the ffmpeg program, over codecs, ranges, matrices, bit depths, rotations, rates; all generated.

Two references for each file: what it was made of (flat patches of known colours), and what ffmpeg decodes from it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hmbench.errors import SampleError
from hmbench.types import Video
from hmbench.video.files import probe, read_video
from hmbench.video.parity import COLOURS


def find_ffmpeg() -> str | None:
    """The program on the path, or the one that the package imageio-ffmpeg brings."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


FFMPEG = find_ffmpeg()
pytestmark = pytest.mark.skipif(
    FFMPEG is None, reason="no ffmpeg here (apt install ffmpeg, or pip install imageio-ffmpeg)"
)
SIDE = 32


def patches() -> Video:
    """Six frames of 64x128: four colours in each, which move on by one a frame."""
    colours = np.array([*COLOURS[0], *COLOURS[1]], dtype=np.uint8)
    rows = np.stack([colours[(np.arange(4) + k) % 8] for k in range(6)])
    return rows.repeat(SIDE, axis=1)[:, None].repeat(2 * SIDE, axis=1)


def ffmpeg(*arguments: str, data: bytes = b"") -> bytes:
    assert FFMPEG is not None
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-nostdin", "-y", *arguments], input=data or None, capture_output=True
    )
    if done.returncode:
        text = done.stderr.decode()
        if "Unknown encoder" in text or "Encoder not found" in text:
            pytest.skip(f"this ffmpeg has no such encoder: {text.strip().splitlines()[-1]}")
        raise AssertionError(text)
    return done.stdout


def make(path: Path, *options: str, rate: str = "15") -> Path:
    """Patches through ffmpeg's encoder."""
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{4 * SIDE}x{2 * SIDE}", "-r", rate, "-i", "pipe:0")
    assert FFMPEG is not None
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-y", *raw, *options, str(path)], input=patches().tobytes(), capture_output=True
    )
    if done.returncode:
        text = done.stderr.decode()
        if "Unknown encoder" in text or "Encoder not found" in text:
            pytest.skip(f"this ffmpeg has no such encoder: {text.strip().splitlines()[-1]}")
        raise AssertionError(text)
    return path


def theirs(path: Path, height: int = 2 * SIDE, width: int = 4 * SIDE) -> Video:
    raw = ffmpeg("-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-sws_flags", "bilinear", "pipe:1")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def inner(video: Video) -> np.ndarray:
    """Means of the patches' middles, ``[T, 4, 3]``."""
    parts = [video[:, 8:-8, SIDE * k + 8 : SIDE * k + SIDE - 8].reshape(len(video), -1, 3) for k in range(4)]
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


MATRICES = {"bt709": "bt709", "smpte170m": "bt601", "bt2020nc": "bt2020"}
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le")


@pytest.mark.parametrize("pixels", FORMATS)
@pytest.mark.parametrize("span", ["tv", "pc"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_matrices_ranges_and_bit_depths(tmp_path: Path, matrix: str, span: str, pixels: str) -> None:
    scale = f"scale=out_color_matrix={MATRICES[matrix]}:out_range={span},format={pixels}"
    tags = ("-colorspace", matrix, "-color_range", span, "-color_primaries", "bt709", "-color_trc", "bt709")
    path = make(tmp_path / "a.mkv", "-vf", scale, *tags, "-c:v", "libx264", "-crf", "1", "-preset", "ultrafast")
    ours, reference = read_video(path), theirs(path)
    assert np.abs(inner(ours) - inner(reference)).max() < 1.5
    assert np.abs(ours.astype(int) - reference).mean() < 2  # at edges, chroma of half the size is scaled up otherwise
    assert np.abs(inner(ours) - inner(patches())).max() < 5


CODECS = {
    "h264": ("a.mp4", "-c:v", "libx264", "-crf", "1", "-pix_fmt", "yuv420p"),
    "h264 with B-frames": ("a.mp4", "-c:v", "libx264", "-crf", "1", "-bf", "3", "-pix_fmt", "yuv420p"),
    "hevc": ("a.mp4", "-c:v", "libx265", "-crf", "1", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"),
    "vp8": ("a.webm", "-c:v", "libvpx", "-crf", "4", "-b:v", "5M", "-pix_fmt", "yuv420p"),
    "vp9": ("a.webm", "-c:v", "libvpx-vp9", "-lossless", "1", "-pix_fmt", "yuv420p"),
    "mpeg4": ("a.avi", "-c:v", "mpeg4", "-q:v", "1", "-pix_fmt", "yuv420p"),
    "prores": ("a.mov", "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "mjpeg": ("a.mov", "-c:v", "mjpeg", "-q:v", "1", "-pix_fmt", "yuvj420p"),
    "ffv1": ("a.mkv", "-c:v", "ffv1", "-pix_fmt", "gbrp"),
    "png": ("a.mov", "-c:v", "png", "-pix_fmt", "rgb24"),
    "gif": ("a.gif",),
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs(tmp_path: Path, name: str) -> None:
    file, *options = CODECS[name]
    path = make(tmp_path / file, *options)
    ours, reference = read_video(path), theirs(path)
    assert ours.shape == reference.shape == (6, 2 * SIDE, 4 * SIDE, 3)
    assert np.abs(ours.astype(int) - reference).mean() < 1
    assert np.abs(inner(ours) - inner(patches())).max() < (40 if name == "gif" else 6)  # a GIF has 256 colours


@pytest.mark.parametrize("rate", ["10", "24000/1001", "24", "25", "30000/1001", "30", "60"])
def test_rates(tmp_path: Path, rate: str) -> None:
    path = make(tmp_path / "a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", rate=rate)
    above, _, below = rate.partition("/")
    found = probe(path)
    assert found.fps == pytest.approx(int(above) / int(below or 1), rel=1e-3) and found.frames == 6 and found.steady
    assert found.seconds == pytest.approx(6 / found.fps, rel=1e-2)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotations(tmp_path: Path, degrees: int) -> None:
    """ffmpeg turns pictures by itself, as players do."""
    make(tmp_path / "a.mp4", "-c:v", "libx264", "-crf", "1", "-pix_fmt", "yuv420p")
    path = tmp_path / "b.mp4"
    ffmpeg("-display_rotation:v:0", str(degrees), "-i", str(tmp_path / "a.mp4"), "-c", "copy", str(path))
    ours = read_video(path)
    reference = theirs(path, *ours.shape[1:3])
    assert ours.shape == reference.shape and np.abs(ours.astype(int) - reference).mean() < 1


def test_an_edit_list_hides_frames(tmp_path: Path) -> None:
    """Cut without encoding: the frames before the cut stay in the file, and no player shows them."""
    make(tmp_path / "a.mp4", "-c:v", "libx264", "-crf", "1", "-g", "100", "-pix_fmt", "yuv420p")
    path = tmp_path / "b.mp4"
    ffmpeg("-ss", "0.14", "-i", str(tmp_path / "a.mp4"), "-c", "copy", "-avoid_negative_ts", "disabled", str(path))
    ours, reference = read_video(path), theirs(path)
    assert len(ours) == len(reference) < 6
    assert np.abs(ours.astype(int) - reference).mean() < 1


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_hdr_is_refused(tmp_path: Path, curve: str) -> None:
    tags = f"format=yuv420p10le,setparams=color_trc={curve}:colorspace=bt2020nc:color_primaries=bt2020:range=tv"
    path = make(tmp_path / "a.mkv", "-vf", tags, "-c:v", "libx264")
    with pytest.raises(SampleError, match="is an HDR video"):
        read_video(path)
