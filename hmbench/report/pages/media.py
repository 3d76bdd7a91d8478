"""Videos and film strips for browsers: small H.264 of lossless predictions, made once, kept in hmbench's cache.

    <cache>/pages/<2 hexadecimal digits>/<key>.mp4      key: digest of the source and of the encoder's settings

A file is written whole or not at all, so that a build that was stopped goes on where it was. Key frames stand close
together (`GOP`), so that scrubbing and stepping are exact and quick.
"""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmbench.cache import cache_folder
from hmbench.durable import replacing
from hmbench.errors import SampleError
from hmbench.files import write_text
from hmbench.types import Video

CRF = 23
"""x264's quality."""
GOP = 11
"""Frames from one key frame to the next."""
SETTINGS = f"h264 yuv420p crf{CRF} gop{GOP} v1"
"""Part of every key: another encoder, another file."""
BITS_PER_PIXEL = 0.16
"""Of a clip at these settings: mini clips of 224x128 need 0.09 to 0.2."""
STRIP_FRAMES = 8
STRIP_WIDTH = 120
"""Pictures of a strip, and pixels of one."""
STRIP_BYTES = 9_000
"""Of a strip, about."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One video to make."""

    key: str
    """What the file is of: equal keys are equal files."""
    frames: Callable[[], Video]
    """Reads the source, uint8 ``[T, H, W, 3]``."""
    fps: float
    """Frames a second."""
    moments: tuple[int, ...]
    """Frames of the strip."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of a job."""

    video: Path
    """H.264 in the cache."""
    strip: Path
    """WebP in the cache."""
    size: tuple[int, int]
    """(height, width) of the source."""
    frames: int
    """How many."""


def key_of(*parts: object) -> str:
    """Key of a video made from these parts."""
    return hashlib.sha256("\0".join([SETTINGS, *map(str, parts)]).encode()).hexdigest()[:24]


def estimate(videos: int, pixels: int, frames: int) -> int:
    """Bytes that so many videos and their strips will take, before any is made.

    Args:
        videos: How many.
        pixels: Of a frame.
        frames: Of a video.
    """
    return round(videos * (pixels * frames * BITS_PER_PIXEL / 8 + STRIP_BYTES))


def make_all(
    jobs: Sequence[Job], *, workers: int, on_done: Callable[[int], None] | None = None
) -> dict[str, Made | str]:
    """Makes what is not in the cache yet.

    Args:
        jobs: What to make; equal keys are made once.
        workers: Threads (the encoder works outside Python's lock).
        on_done: Hears how many more are complete.

    Returns:
        Key to what was made, or to why it could not be.
    """
    unique = {job.key: job for job in jobs}
    times = Counter(job.key for job in jobs)
    done: dict[str, Made | str] = {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting = {pool.submit(_make, job): job.key for job in unique.values()}
        for finished in as_completed(waiting):
            done[waiting[finished]] = finished.result()
            if on_done:
                on_done(times[waiting[finished]])
    return done


def place(path: Path, folder: Path) -> str:
    """Copies a cached file into a site, once; returns its name."""
    name = path.name
    target = folder / name
    if not target.is_file() or not filecmp.cmp(path, target, shallow=False):  # a copy may have been cut off
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return name


def moments_around(reentry: int | None, frames: int) -> tuple[int, ...]:
    """Frames of a strip: from a little before a re-entry on, or spread over all.

    Args:
        reentry: Frame of the re-entry in the video; None if there is none.
        frames: Length of the video.
    """
    first, last = (0, frames - 1) if reentry is None else (max(0, reentry - 6), min(frames - 1, reentry + 36))
    return tuple(int(t) for t in np.linspace(first, last, STRIP_FRAMES).round())


def film_strip(video: Video, moments: Iterable[int]) -> NDArray[np.uint8]:
    """Frames beside each other, uint8 ``[h, STRIP_FRAMES * STRIP_WIDTH, 3]``."""
    import cv2

    height = max(2, round(video.shape[1] * STRIP_WIDTH / video.shape[2]))
    pictures = [
        cv2.resize(video[min(t, len(video) - 1)], (STRIP_WIDTH, height), interpolation=cv2.INTER_AREA) for t in moments
    ]
    return np.concatenate(pictures, axis=1)


def _make(job: Job) -> Made | str:
    folder = cache_folder() / "pages" / job.key[:2]
    video, facts = folder / f"{job.key}.mp4", folder / f"{job.key}.txt"
    strip = folder / f"{key_of(job.key, job.moments)}.webp"
    if not (video.is_file() and strip.is_file() and facts.is_file()):
        from hmbench.video.files import write_video  # brings PyAV, which pages without videos do not need

        try:
            frames = job.frames()
        except SampleError as error:
            return str(error)
        folder.mkdir(parents=True, exist_ok=True)
        _write_strip(strip, film_strip(frames, job.moments))
        write_video(video, frames, fps=job.fps, crf=CRF, gop=GOP)
        write_text(facts, " ".join(map(str, frames.shape[:3])))
    length, height, width = (int(n) for n in facts.read_text().split())
    return Made(video=video, strip=strip, size=(height, width), frames=length)


def _write_strip(path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, "WEBP", quality=72, method=4)
