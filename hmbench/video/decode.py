"""The one place that decodes video: within limits, as a player would show it, or refused in one sentence.

What a player does with a file is done here: the default stream, edit lists, rotation and mirror tags, pixel aspect
ratio, colour matrix and range, bit depth. HDR (PQ, HLG) is refused by name: shown without tone mapping its colours are
wrong. A file that is cut off or damaged is refused, whatever of it still decodes, and PyAV may raise what it likes.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hmbench.errors import SampleError
from hmbench.video.container import cut_off
from hmbench.video.parity import assert_parity

AGAIN = "Fetch or write it again."
_FORMATS = "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg,h264,hevc,ivf,nut,yuv4mpegpipe,apng"
"""Containers that hold a video themselves; playlists, which name other files or hosts, are none of them."""
_HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
_OTHER_CURVES = {8: "linear light", 9: "a logarithmic curve", 10: "a logarithmic curve", 17: "SMPTE ST 428"}
_MATRICES = (0, 1, 2, 4, 5, 6, 7, 9)
"""RGB, BT.709, unknown, FCC, BT.470 and BT.601, SMPTE 170M, SMPTE 240M, BT.2020: those that swscale converts."""
_WIDE = {9: "BT.2020's", 11: "DCI-P3's", 12: "Display P3's"}
"""Primaries by which a colour's numbers mean a stronger colour."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a video may demand of this machine; generous for clips of a benchmark."""

    pixels: int = 8192 * 4352
    """Of one picture."""
    frames: int = 100_000
    """Of one file."""
    memory: int = 2 << 30
    """Bytes of decoded frames that are held at once."""
    seconds: float = 900.0
    """To decode one file."""


LIMITS = Limits()


class Header(NamedTuple):
    """What a video file says of itself; sizes are those of the picture that a player shows."""

    width: int
    height: int
    fps: float
    codec: str
    frames: int
    """Pictures that its packets announce; the decoder has the last word."""
    seconds: float
    """From the first picture to the end of the last."""
    steady: bool
    """Whether its pictures are evenly spaced in time."""
    pixels: str
    """Pixel format as stored."""
    notes: tuple[str, ...]
    """What a player does before it shows a picture: turning, stretching."""


class Picture(NamedTuple):
    """One decoded picture."""

    time: float
    """Seconds after the first one."""
    image: NDArray[np.uint8]
    """``[H, W, 3]`` RGB, or ``[H, W]`` for grey."""


def decoder_versions() -> str:
    """The libraries that decode and convert, for the record of a run."""
    names = ("libavcodec", "libavformat", "libswscale")
    return ", ".join(f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in names)


def read_header(path: Path, limits: Limits = LIMITS) -> Header:
    """What is in a file, from its packets and its first picture: some milliseconds.

    Raises:
        SampleError: If the file is missing, cut off, damaged, no video, HDR, or beyond the limits.
    """
    assert_parity(_pictures)
    with _opened(path, limits) as (container, stream), _explained(path):
        times, step, frame = _packets(container, stream, path, limits)
        if frame is None:
            raise SampleError(f"{path} has no frames.", AGAIN)
        fps = _rate(stream, times, path)
        view = _View(path, stream, frame, limits)
        height, width = view.shown
        gaps = np.diff(times)
        middle = float(np.median(gaps)) if len(gaps) else 1 / fps
        steady = bool(len(gaps) == 0 or np.abs(gaps - middle).max() <= max(0.1 * middle, 2.5 * step))
        seconds = float(times[-1] - times[0] + middle) if len(times) else 0.0
        name = stream.codec_context.name
        return Header(width, height, fps, name, len(times), seconds, steady, frame.format.name, tuple(view.notes))


def pictures(path: Path, *, grey: bool = False, limits: Limits = LIMITS) -> Iterator[Picture]:
    """All pictures of a video, one after another, as a player shows them.

    Args:
        path: The file.
        grey: Give the luma as it is stored, ``[H, W]``: label maps, which no matrix may touch.
        limits: What the file may demand.

    Raises:
        SampleError: If the file is missing, cut off, damaged, no video, HDR, beyond the limits, or if its pictures
            change their size.
    """
    assert_parity(_pictures)
    return _pictures(path, grey=grey, limits=limits)


def _pictures(path: Path, *, grey: bool = False, limits: Limits = LIMITS) -> Iterator[Picture]:
    until = time.monotonic() + limits.seconds
    with _opened(path, limits) as (container, stream), _explained(path):
        fps = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
        convert = VideoReformatter()  # one for the clip: to_ndarray alone would set up a new one for each frame
        view: _View | None = None
        start, transparent = 0.0, False
        for number, frame in enumerate(container.decode(stream)):
            if frame.is_corrupt:
                raise SampleError(f"Frame {number} of {path} is damaged.", AGAIN)
            if number >= limits.frames or time.monotonic() > until:
                what = f"{limits.frames:,} frames" if number >= limits.frames else f"{limits.seconds:g} s of decoding"
                raise SampleError(f"{path} needs more than {what}.", "Cut it to the part that is meant.")
            if view is None:
                view = _View(path, stream, frame, limits)
                start = frame.time or 0.0
                transparent = frame.format.has_palette or any(c.is_alpha for c in frame.format.components)
            elif (frame.height, frame.width) != view.stored:
                raise SampleError(
                    f"{path} changes its size at frame {number}: {view.stored[1]}x{view.stored[0]}, then "
                    f"{frame.width}x{frame.height}.",
                    "Write it again with one size.",
                )
            elif _coding(frame) != view.coding:  # spliced: an HDR scene after an ordinary one
                _check_coding(path, frame)
            seconds = frame.time - start if frame.time is not None else number / fps
            if transparent and _alpha(convert, frame) < 255:
                raise _transparent(path, f" (frame {number})")
            image: Any = convert.reformat(frame, format="gray" if grey else "rgb24").to_ndarray()
            yield Picture(seconds, view.upright(image))
        if view is None:
            raise SampleError(f"{path} has no frames.", AGAIN)


def _transparent(path: Path, where: str = "") -> SampleError:
    return SampleError(
        f"{path} is transparent in parts{where}: what is seen there depends on who shows it.",
        "Lay it over its background, and write it without transparency.",
    )


def _alpha(convert: VideoReformatter, frame: Any) -> int:
    """The least opaque pixel of a picture, 255 for none."""
    return int(convert.reformat(frame, format="rgba").to_ndarray()[..., 3].min())


def shown_at_ticks(source: Iterable[Picture], header: Header, fps: float) -> Iterator[tuple[int, Picture]]:
    """What a player shows at each tick of a clock of `fps`: the last picture that has begun, never one of the future.

    Args:
        source: Pictures in order.
        header: Of the same video.
        fps: Ticks a second, from the first picture on to the end of the last.

    Yields:
        The picture's number and the picture, once a tick.
    """
    early = min(0.25 / header.fps, 0.002)  # containers round times
    tick = 0
    shown: tuple[int, Picture] | None = None
    end = Picture(header.seconds - early, np.empty(0, np.uint8))
    for number, picture in enumerate(itertools.chain(source, [end])):
        while shown is not None and tick / fps < picture.time - early:
            yield shown
            tick += 1
        shown = number, picture


class _View:
    """How the pictures of one stream are shown.

    Args:
        path: For messages.
        stream: PyAV's stream.
        frame: Its first picture.
        limits: For the size.
    """

    def __init__(self, path: Path, stream: Any, frame: Any, limits: Limits) -> None:
        self.stored = (int(frame.height), int(frame.width))
        self.notes: list[str] = []
        self.coding = _coding(frame)
        _check_coding(path, frame)
        if (wide := _WIDE.get(int(frame.color_primaries))) is not None:
            self.notes.append(f"its colours are {wide}, shown as BT.709's: paler than a player that knows shows them")
        if frame.interlaced_frame:
            self.notes.append("it is interlaced: its two fields are one picture, combed where something moves")
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        self._sides = _square(self.stored, float(aspect) if aspect else 1.0)
        if self._sides != self.stored:
            self.notes.append(f"its pixels are {aspect} as wide as high, stretched as players do")
        self._turn = _display(frame, path)
        if self._turn != (False, False, False):
            self.notes.append(f"{_turn_name(self._turn)}, as the file's own tag says")
        self.shown = self._sides[::-1] if self._turn[0] else self._sides
        _check_size(self.shown, path, limits)

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A stored picture as it is shown."""
        if self._sides != self.stored:
            import cv2

            image = np.asarray(cv2.resize(image, self._sides[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        transposed, left_right, up_down = self._turn
        if transposed:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if up_down else 1, :: -1 if left_right else 1])


def _coding(frame: Any) -> tuple[int, int]:
    """Transfer curve and matrix that a picture names."""
    return int(frame.color_trc), int(frame.colorspace)


def _check_coding(path: Path, frame: Any) -> None:
    """Raises SampleError for a picture whose numbers cannot be taken for those of an ordinary video."""
    if (kind := int(frame.color_trc)) in _HDR:
        raise SampleError(
            f"{path} is an HDR video, {_HDR[kind]}: its colours cannot be taken for those of an ordinary video.",
            "Tone-map it first, for example: ffmpeg -i IN -vf zscale=t=linear:npl=203,format=gbrpf32le,"
            "zscale=p=bt709,tonemap=mobius,zscale=t=bt709:m=bt709:r=tv,format=yuv420p OUT.mp4",
        )
    if kind in _OTHER_CURVES:
        raise SampleError(f"{path} holds {_OTHER_CURVES[kind]}, which players convert.", "Convert it to BT.709.")
    if int(frame.colorspace) not in _MATRICES:
        raise SampleError(
            f"{path} codes its colours by a matrix that is not read here (number {int(frame.colorspace)}).",
            "Write it again as BT.709.",
        )


def _check_size(size: tuple[int, int], path: Path, limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise SampleError(
            f"{path} has pictures of {size[1]}x{size[0]} pixels, more than {limits.pixels:,} in one.",
            "Scale it down first.",
        )


def _square(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """(height, width) with square pixels; the shorter side of a pixel is stretched, so that nothing is lost."""
    height, width = size
    if aspect <= 0 or abs(aspect - 1) < 1e-3:
        return size
    return (height, max(1, round(width * aspect))) if aspect > 1 else (max(1, round(height / aspect)), width)


def _display(frame: Any, path: Path) -> tuple[bool, bool, bool]:
    """Transposed, then mirrored left to right, then upside down: what the display matrix asks for."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), dtype="<i4")[:5].astype(int)
    along, across = bool(a and d and not (b or c)), bool(b and c and not (a or d))
    if not (along or across):
        raise SampleError(
            f"{path} asks players to turn it by {-math.degrees(math.atan2(b, a)):.0f} degrees.",
            "Turn its pictures, and remove the tag.",
        )
    return (False, bool(a < 0), bool(d < 0)) if along else (True, bool(c < 0), bool(b < 0))


def _turn_name(turn: tuple[bool, bool, bool]) -> str:
    names = {
        (False, True, True): "turned upright by 180 degrees",
        (True, True, False): "turned upright by 270 degrees",
        (True, False, True): "turned upright by 90 degrees",
    }
    return names.get(turn, "mirrored")


def _packets(container: Any, stream: Any, path: Path, limits: Limits) -> tuple[NDArray[np.float64], float, Any]:
    """Times of the shown pictures in seconds, sorted; the stream's tick; the first picture."""
    tick, times, count = float(stream.time_base or 0), list[float](), 0
    first: Any = None
    hidden_frames = stream.codec_context.name == "vp8"  # its reference frames that nobody sees are packets of their own
    for packet in container.demux(stream):
        if first is None:
            first = next(iter(packet.decode()), None)
        if packet.size == 0 or packet.is_discard or (hidden_frames and not bytes(packet)[0] >> 4 & 1):
            continue
        if packet.is_corrupt:
            raise SampleError(f"{path} is cut off or damaged in frame {count}.", AGAIN)
        count += 1
        if count > limits.frames:
            raise SampleError(f"{path} has more than {limits.frames:,} frames.", "Cut it to the part that is meant.")
        if packet.pts is not None:
            times.append(packet.pts * tick)
    if len(times) < count:  # raw streams have no times
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        return np.arange(count) / fps, tick, first
    return np.sort(np.array(times, dtype=np.float64)), tick, first


def _rate(stream: Any, times: NDArray[np.float64], path: Path) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    if rate <= 0 and len(times) > 1 and times[-1] > times[0]:
        rate = (len(times) - 1) / (times[-1] - times[0])
    if rate <= 0:
        raise SampleError(f"{path} has no frame rate.", "Write it again with a constant frame rate.")
    return rate


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """The container and the video stream that a player would choose."""
    if not path.is_file():
        raise SampleError(f"There is no video {path}.", "Check the path, or generate the missing file again.")
    with _explained(path):
        if reason := cut_off(path):
            raise SampleError(f"{path} is damaged or no video: {reason}.", AGAIN)
        options = {
            "protocol_whitelist": "file",
            "format_whitelist": _FORMATS,
            "max_pixels": str(limits.pixels),
            "err_detect": "explode",
        }
        container = av.open(str(path), options=options, metadata_errors="replace")
    with container:
        with _explained(path):
            shown = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            stream = container.streams.best("video") if shown else None
            if stream is None or stream not in shown:
                stream = next(iter(shown), None)
            if stream is None:
                raise SampleError(f"{path} has no video stream.", "Replace it with a video file.")
            if stream.metadata.get("alpha_mode") == "1":  # a layer beside the picture, which the decoder passes over
                raise _transparent(path)
            _check_size((stream.height, stream.width), path, limits)
            stream.thread_type = "AUTO"
            # the default conceals damage with grey blocks
            stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(limits.pixels)}
        yield container, stream


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever PyAV raises on a file, as one sentence: damaged codecs make it raise more than its own errors."""
    try:
        yield
    except SampleError:
        raise
    except OSError as error:
        if isinstance(error, av.error.FFmpegError):
            raise _damaged(path, error) from error
        raise SampleError(f"{path} cannot be read: {error.strerror or error}.", "Check the file.") from error
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SampleError:
    return SampleError(f"{path} is damaged or no video ({type(error).__name__}).", AGAIN)
