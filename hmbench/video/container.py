"""Whether a video file is whole, told from its container: a cut-off file is refused, whatever of it still decodes.

A fast-start MP4 that a broken download cut at 60 % has its whole index in front and plays up to the cut; so does a
Matroska file. Containers say how long they are, and the file's end is held against that.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_LFS = b"version https://git-lfs.github.com/spec/"
_MOST_BOXES = 100_000


def cut_off(path: Path) -> str | None:
    """Why a file is not whole, as a sentence's end ("it ends 1,024 bytes early"); None if nothing says so.

    Known: MP4 and MOV (boxes), Matroska and WebM (segment), AVI (RIFF), GIF (trailer). Others are not looked at.
    """
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    with path.open("rb") as file:
        head = file.read(64)
        if head.startswith(_LFS):
            return "it is a Git LFS pointer and not the video: run `git lfs pull`"
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            missing = _mp4_end(file, size) - size
        elif head.startswith(_EBML):
            missing = _matroska_end(file, size) - size
        elif head.startswith(b"RIFF"):
            missing = int.from_bytes(head[4:8], "little") + 8 - size
        elif head.startswith(b"GIF8"):
            file.seek(max(0, size - 64))
            return None if file.read().rstrip(b"\0")[-1:] == b";" else "its end is missing"
        else:
            return None
    return f"{missing:,} bytes are missing at its end" if missing > 0 else None


def _mp4_end(file: IO[bytes], size: int) -> int:
    """Where the last box that matters ends."""
    start = end = 0
    for _ in range(_MOST_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            break
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the file's end
            break
        if length < 8:  # no box: whatever follows the video
            break
        start += length
        if kind in (b"mdat", b"moov", b"moof"):
            end = start
        if start > size:
            break
    return end


def _matroska_end(file: IO[bytes], size: int) -> int:
    """Where the segment ends; the file's own end if the segment does not say (live streams)."""
    file.seek(4)
    length, width = _ebml_size(file.read(8))
    if length is None:
        return size
    place = 4 + width + length
    file.seek(place)
    head = file.read(12)
    if head[:4] != _SEGMENT:
        return size
    length, width = _ebml_size(head[4:])
    return size if length is None else place + 4 + width + length


def _ebml_size(data: bytes) -> tuple[int | None, int]:
    """An EBML size and the bytes that it takes; None for "unknown"."""
    if not data or data[0] == 0:
        return None, 1
    width = 9 - data[0].bit_length()
    value = int.from_bytes(data[:width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width
