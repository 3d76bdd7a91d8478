"""Decoders are held against a known clip before the first video of a process is read.

Old versions of PyAV read BT.709 colours with BT.601's matrix: every score of a lossy clip was then wrong, and nothing
said so. ``parity.mp4`` holds two frames of flat patches, BT.709, limited range, H.264; they were made by
``python -m hmbench.video.make_parity_clip``, whose colours stand below. Reading it takes about a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from hmbench.errors import UserError

CLIP = Path(__file__).with_name("parity.mp4")
COLOURS = (
    ((220, 30, 30), (30, 200, 40), (40, 60, 220), (235, 235, 235)),
    ((200, 40, 190), (40, 190, 200), (210, 200, 40), (20, 20, 20)),
)
"""RGB of each patch, from left to right, a line a frame."""
PATCH = 16
TOLERANCE = 8
"""8 bits of limited range cost up to 3; the wrong matrix or range costs 16 and more."""
_passed: list[bool] = []


def assert_parity(read: Callable[[Path], Iterable[Any]]) -> None:
    """Reads the shipped clip once a process and compares its colours.

    Args:
        read: Gives pictures with an ``image``, as `hmbench.video.decode.pictures` does.

    Raises:
        UserError: If the decoders of this machine show other colours.
    """
    if _passed:
        return
    found = [picture.image for picture in read(CLIP)]
    worst = worst_error(found)
    if worst > TOLERANCE:
        raise UserError(
            f"PyAV {av.__version__} on this machine decodes a known clip wrongly (colours are off by {worst:.0f} of "
            "255): no number from any video would be right.",
            "Install the version that hmbench asks for: pip install 'av>=17'.",
        )
    _passed.append(True)


def worst_error(frames: list[NDArray[np.uint8]]) -> float:
    """The largest distance of a patch's colour from what it was made of; infinite for another number of frames."""
    if len(frames) != len(COLOURS) or any(frame.shape != (PATCH, 4 * PATCH, 3) for frame in frames):
        return float("inf")
    inner = [[frame[4:-4, PATCH * k + 4 : PATCH * k + PATCH - 4] for k in range(4)] for frame in frames]
    means = np.array([[patch.reshape(-1, 3).mean(axis=0) for patch in line] for line in inner])
    return float(np.abs(means - np.array(COLOURS)).max())


def known_frames() -> NDArray[np.uint8]:
    """The clip as it was before encoding, uint8 ``[2, 16, 64, 3]``."""
    lines = np.array(COLOURS, dtype=np.uint8)
    return lines.repeat(PATCH, axis=1)[:, None].repeat(PATCH, axis=1)
