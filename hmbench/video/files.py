"""Video in and out of files, exactly: lossless files are read back bit for bit, equal frames give equal files.

Reading stands in `hmbench.video.decode`. A truncated or broken file raises; damage inside a picture raises where the
decoder notices it, which H.264, having no checksums, does not always.

PyAV carries the codecs. Two writers: lossless RGB H.264 for predictions, since a lossy file would change the scores of
what it stores, and ordinary H.264 (yuv420p) for clips and pictures that people look at. Label maps are FFV1 grey.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hmbench.durable import replacing
from hmbench.errors import SampleError
from hmbench.types import LabelMaps, Video
from hmbench.video.decode import LIMITS, Header, pictures, read_header

SMALLEST_SIDE = 16
"""Pixels: below it the windows of SSIM and the networks' first layers see nothing."""
LARGEST_RATIO = 8
"""One side over the other."""
MAX_LABELS = 32
"""Subjects that a label map may have; HM-World has 1 to 3 in a clip."""


def probe(path: Path) -> Header:
    """Size, rate, codec, number of frames and more, from the first picture and the packets.

    Raises:
        SampleError: If the file is missing, damaged or no video.
    """
    return read_header(path)


def check_picture(path: Path, height: int, width: int) -> None:
    """Raises SampleError for pictures in which no metric and no network sees anything: too small, or a mere line."""
    if min(height, width) < SMALLEST_SIDE or max(height, width) > LARGEST_RATIO * min(height, width):
        raise SampleError(
            f"{path} is {width}x{height} pixels: a clip needs at least {SMALLEST_SIDE} on each side, and one side at "
            f"most {LARGEST_RATIO} times the other.",
            "Use the clip at its real size.",
        )


def read_video(
    path: Path, *, frames: int | None = None, size: tuple[int, int] | None = None, most: int | None = None
) -> Video:
    """All frames of a video.

    Args:
        path: The file.
        frames: How many it must have; None accepts any number above 0.
        size: (height, width) that it must have; None accepts any.
        most: More frames than twice so many are refused before any is decoded.

    Returns:
        uint8 ``[T, H, W, 3]`` RGB.

    Raises:
        SampleError: If the file is missing, damaged, or of another length or size.
    """
    decoded = _collect(path, frames, most=most)
    if size is not None and decoded.shape[1:3] != size:
        got, want = decoded.shape[1:3][::-1], size[::-1]
        raise SampleError(
            f"{path} is {got[0]}x{got[1]} pixels, expected {want[0]}x{want[1]}.",
            "Scale it to the size of the clip that it belongs to.",
        )
    return decoded


def write_video(path: Path, video: Video, *, fps: float, crf: int = 17, gop: int | None = None) -> None:
    """Ordinary H.264 (yuv420p), playable everywhere, lossy; written under a temporary name, then renamed.

    Args:
        path: An ``.mp4`` file.
        video: uint8 ``[T, H, W, 3]``; odd sizes lose their last row or column, which yuv420p cannot hold.
        fps: Frames a second.
        crf: x264 quality, smaller is better; 17 is hard to tell from the original.
        gop: Frames from one key frame to the next, none of them told from later ones, so that any frame is found
            quickly; None leaves it to x264.
    """
    even = video[:, : video.shape[1] // 2 * 2, : video.shape[2] // 2 * 2]
    # x264's macroblock tree is left out: with it equal frames gave other bytes (22 of 200 encodes at 112x64)
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    if gop is not None:
        options |= {"g": str(gop), "bf": "0", "preset": "medium"}
    _encode(path, even, "libx264", "yuv420p", "rgb24", fps, options)


def write_lossless(path: Path, video: Video, *, fps: float) -> None:
    """Lossless RGB H.264 in mp4: `read_video` gives back the same bytes; mpv, VLC and ffmpeg play it.

    Args:
        path: An ``.mp4`` file.
        video: uint8 ``[T, H, W, 3]``.
        fps: Frames a second.
    """
    _encode(path, video, "libx264rgb", "rgb24", "rgb24", fps, {"qp": "0", "preset": "ultrafast", "threads": "1"})


def write_labels(path: Path, labels: LabelMaps, *, fps: float) -> None:
    """Label maps ``[T, H, W]``, exactly, as FFV1 grey in ``.mkv``; equal maps give equal bytes on every machine."""
    options = {"threads": "1", "slices": "4", "level": "3", "slicecrc": "1", "context": "0", "coder": "1"}
    _encode(path, labels, "ffv1", "gray", "gray", fps, options)


def read_labels(path: Path, *, frames: int | None = None) -> LabelMaps:
    """Label maps as written by `write_labels`, uint8 ``[T, H, W]``.

    Raises:
        SampleError: If the file is missing, damaged, of another length, or no label map (noise, a lossy picture).
    """
    labels = _collect(path, frames, grey=True)
    if (count := np.count_nonzero(np.bincount(labels.ravel(), minlength=256)[1:])) > MAX_LABELS:
        raise SampleError(
            f"{path} has {count} labels, more than {MAX_LABELS}: it is no map of subjects.",
            "A label map has 0 for the background and one number for each subject.",
        )
    return labels


def resize_video(video: Video, height: int, width: int) -> Video:
    """Frames scaled to ``height x width`` (area average down, cubic up); the same array if nothing changes."""
    if video.shape[1:3] == (height, width):
        return video
    import cv2

    shrinks = height * width < video.shape[1] * video.shape[2]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in video])


def _collect(path: Path, frames: int | None, *, grey: bool = False, most: int | None = None) -> NDArray[np.uint8]:
    """All pictures in one array; its length and its memory are looked at before any of it is decoded."""
    header = read_header(path)
    expected = frames if frames is not None else most
    if expected is not None and header.frames > 2 * expected + 8:
        raise _wrong_length(path, f"about {header.frames}", expected)
    needed = header.frames * header.height * header.width * (1 if grey else 3)
    if needed > LIMITS.memory:
        raise SampleError(
            f"{path} is {header.frames} frames of {header.width}x{header.height} and needs {needed / 2**30:.1f} GiB "
            f"of memory, more than {LIMITS.memory >> 30}.",
            "Cut or scale it to what a clip of a benchmark has.",
        )
    limit = frames + 1 if frames is not None else header.frames + 64
    decoded = [picture.image for picture in itertools.islice(pictures(path, grey=grey), limit)]
    if frames is not None and len(decoded) != frames:
        more = header.frames if len(decoded) > frames else len(decoded)
        raise _wrong_length(path, str(more), frames)
    if len(decoded) < header.frames:
        raise SampleError(
            f"{path} is cut off or damaged: {len(decoded)} of its {header.frames} frames can be decoded.",
            "Fetch or write it again.",
        )
    return np.stack(decoded)


def _wrong_length(path: Path, found: str, frames: int) -> SampleError:
    return SampleError(
        f"{path} has {found} frames, expected {frames}.",
        "A shorter file is usually truncated: fetch or write it again.",
    )


def _encode(
    path: Path,
    frames: NDArray[np.uint8],
    codec: str,
    stored: str,
    given: str,
    fps: float,
    options: dict[str, str],
) -> None:
    """Encodes into a temporary neighbour that takes the name of `path` when it is whole and on the disk."""
    if len(frames) == 0:
        raise ValueError(f"cannot write a video without frames to {path}")
    # Matroska gives each file a random number of its own, unless it is told to be exact
    exact = {"fflags": "+bitexact"} if path.suffix == ".mkv" else {}
    with replacing(path) as temporary, av.open(str(temporary), "w", options=exact) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = stored
        if stored == "yuv420p":  # tag and matrix agree, so that every player decodes the same colours
            stream.codec_context.colorspace = 1
            stream.codec_context.color_range = 1
        reformatter = VideoReformatter()  # one a clip: a new one for each frame sets up its tables again
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=given)
            if stored == "yuv420p":
                frame = reformatter.reformat(frame, format=stored, dst_colorspace=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
