"""Changes that no metric should punish much: codec quality, a pixel of shift, a little brightness."""

import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from hmbench.types import Video


def reencode(video: Video, crf: int, *, fps: float = 15.0) -> Video:
    """Return the video after H.264 (yuv420p) at a quality and back, in memory.

    Args:
        video: uint8 [T, H, W, 3], even sides.
        crf: x264 quality; 17 is what clips are stored with, 28 is visibly coarse.
        fps: Frames a second.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream(
            "libx264",
            rate=round(fps),
            options={"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"},
        )
        stream.height, stream.width = video.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        for image in video:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=1)))
        container.mux(stream.encode(None))
    buffer.seek(0)
    frames: list[Video] = []
    with av.open(buffer, "r") as container:
        frames += [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
    return np.stack(frames)


def shift(video: Video, dx: int = 1, dy: int = 0) -> Video:
    """Return the video moved by whole pixels; the border repeats."""
    h, w = video.shape[1:3]
    rows, columns = np.clip(np.arange(h) - dy, 0, h - 1), np.clip(np.arange(w) - dx, 0, w - 1)
    return video[:, rows][:, :, columns]


def brighten(video: Video, levels: int = 6) -> Video:
    """Return the video with grey levels added, clipped."""
    return np.clip(video.astype(np.int16) + levels, 0, 255).astype(np.uint8)


NUISANCES: dict[str, Callable[[Video], Video]] = {
    "crf23": lambda video: reencode(video, 23),
    "crf28": lambda video: reencode(video, 28),
    "shift1": shift,
    "bright6": brighten,
}
"""By name, at their usual strength."""
