"""Video in and out of files, exactly: lossless files are read back bit for bit, equal frames give equal files.

A truncated or broken file raises; damage inside a picture raises where the decoder notices it, which H.264, having no
checksums, does not always.

PyAV carries the codecs. Two writers: lossless RGB H.264 for predictions, since a lossy file would change the scores of
what it stores, and ordinary H.264 (yuv420p) for clips and pictures that people look at. Label maps are FFV1 grey.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hmbench.errors import SampleError
from hmbench.types import LabelMaps, Video


class VideoInfo(NamedTuple):
    """What a video file says of itself."""

    width: int
    height: int
    fps: float
    codec: str


def probe(path: Path) -> VideoInfo:
    """Size, rate and codec, without decoding.

    Raises:
        SampleError: If the file is missing or is no video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise SampleError(f"{path} has no frame rate.", "Write it again with a constant frame rate.")
        return VideoInfo(stream.width, stream.height, float(rate), stream.codec_context.name)


def read_video(path: Path, *, frames: int | None = None, size: tuple[int, int] | None = None) -> Video:
    """All frames of a video.

    Args:
        path: The file.
        frames: How many it must have; None accepts any number above 0.
        size: (height, width) that it must have; None accepts any.

    Returns:
        uint8 ``[T, H, W, 3]`` RGB.

    Raises:
        SampleError: If the file is missing, damaged, or of another length or size.
    """
    decoded = _decode(path, "rgb24", frames)
    if size is not None and decoded.shape[1:3] != size:
        got, want = decoded.shape[1:3][::-1], size[::-1]
        raise SampleError(
            f"{path} is {got[0]}x{got[1]} pixels, expected {want[0]}x{want[1]}.",
            "Scale it to the size of the clip that it belongs to.",
        )
    return decoded


def write_video(path: Path, video: Video, *, fps: float, crf: int = 17) -> None:
    """Ordinary H.264 (yuv420p), playable everywhere, lossy; written under a temporary name, then renamed.

    Args:
        path: An ``.mp4`` file.
        video: uint8 ``[T, H, W, 3]``; odd sizes lose their last row or column, which yuv420p cannot hold.
        fps: Frames a second.
        crf: x264 quality, smaller is better; 17 is hard to tell from the original.
    """
    even = video[:, : video.shape[1] // 2 * 2, : video.shape[2] // 2 * 2]
    # x264's macroblock tree is left out: with it equal frames gave other bytes (22 of 200 encodes at 112x64)
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
    _encode(path, even, "libx264", "yuv420p", "rgb24", fps, options)


def write_lossless(path: Path, video: Video, *, fps: float) -> None:
    """Lossless RGB H.264 in mp4: `read_video` gives back the same bytes; mpv, VLC and ffmpeg play it.

    Args:
        path: An ``.mp4`` file.
        video: uint8 ``[T, H, W, 3]``.
        fps: Frames a second.
    """
    _encode(path, video, "libx264rgb", "rgb24", "rgb24", fps, {"qp": "0", "preset": "ultrafast"})


def write_labels(path: Path, labels: LabelMaps, *, fps: float) -> None:
    """Label maps ``[T, H, W]``, exactly, as FFV1 grey in ``.mkv``."""
    _encode(path, labels, "ffv1", "gray", "gray", fps, {})


def read_labels(path: Path, *, frames: int | None = None) -> LabelMaps:
    """Label maps as written by `write_labels`, uint8 ``[T, H, W]``.

    Raises:
        SampleError: If the file is missing, damaged, or of another length.
    """
    return _decode(path, "gray", frames)


def resize_video(video: Video, height: int, width: int) -> Video:
    """Frames scaled to ``height x width`` (area average down, cubic up); the same array if nothing changes."""
    if video.shape[1:3] == (height, width):
        return video
    import cv2

    shrinks = height * width < video.shape[1] * video.shape[2]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=method) for frame in video])


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise SampleError(f"There is no video {path}.", "Check the path, or generate the missing file again.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SampleError(f"{path} has no video stream.", "Replace it with a video file.")
            yield container
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise SampleError(
            f"{path} is damaged or no video ({error.__class__.__name__}).", "Fetch or write it again."
        ) from error


def _decode(path: Path, pixel_format: str, frames: int | None) -> NDArray[np.uint8]:
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"err_detect": "explode"}  # the default conceals damage with grey blocks
        decoded: list[NDArray[np.uint8]] = []
        convert = VideoReformatter()  # one for the clip: to_ndarray alone would set up a new one for each frame
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise SampleError(f"Frame {len(decoded)} of {path} is damaged.", "Fetch or write it again.")
            image: Any = convert.reformat(frame, format=pixel_format).to_ndarray()
            decoded.append(image)
    if not decoded:
        raise SampleError(f"{path} has no frames.", "Fetch or write it again.")
    if frames is not None and len(decoded) != frames:
        raise SampleError(
            f"{path} has {len(decoded)} frames, expected {frames}.",
            "A shorter file is usually truncated: fetch or write it again.",
        )
    return np.stack(decoded)


def _encode(
    path: Path,
    frames: NDArray[np.uint8],
    codec: str,
    stored: str,
    given: str,
    fps: float,
    options: dict[str, str],
) -> None:
    """Encodes into a temporary neighbour of `path` and renames it, so that a killed process leaves no half file."""
    if len(frames) == 0:
        raise ValueError(f"cannot write a video without frames to {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with av.open(str(temporary), "w") as container:
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
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
