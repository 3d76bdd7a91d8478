"""How sure divided labels are, and what is left out for it.

A frame of a subject is *unclear* if its labels are less certain than `SURE`, or if the mask shows somebody there whom
nobody accounts for. An event is left out if a third of what its window shows of the subject is unclear, or if its exit
or re-entry falls into unclear frames: its time would be a guess. A clip is not told apart at all if a subject is
unclear for half of the frames in which it is visible, or if a tenth of the frames with a mask are unaccounted for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.types import Event
from hmbench.video.events import visible_frames

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
SURE = 0.75
"""Certainty from which on a frame counts as clear."""
WINDOW = 45
"""Frames from the re-entry on that metrics look at (3 s at 15 fps)."""
EDGE = 3
"""Frames to either side of an exit or re-entry whose labels decide its time."""
EVENT_SHARE = 1 / 3
CLIP_SHARE = 1 / 2
UNEXPLAINED_SHARE = 0.1


class Quality(NamedTuple):
    """What the rules say of one clip."""

    certainty: tuple[float, ...]
    """Mean over visible frames, a subject."""
    unclear: Bools
    """``[K, T]``."""
    reason: str | None
    """Why the clip is not told apart; None if it is."""


def judge(areas: Floats, certainty: Floats, unexplained: Bools, pixels: int, names: tuple[str, ...]) -> Quality:
    """The quality of a division.

    Args:
        areas: Pixels of each subject, ``[K, T]``.
        certainty: ``[K, T]``, NaN where it shows nothing.
        unexplained: Frames in which the mask shows somebody who is nobody's, ``[T]``.
        pixels: Pixels of a frame.
        names: Of the subjects.
    """
    seen = np.stack([visible_frames(area, pixels) for area in areas])
    unclear = seen & ((np.nan_to_num(certainty) < SURE) | unexplained)
    means = tuple(
        float(np.nanmean(c[s])) if (s & np.isfinite(c)).any() else 1.0 for c, s in zip(certainty, seen, strict=True)
    )
    shares = unclear.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    shown = (areas.sum(axis=0) > 0) | unexplained
    lost = unexplained.sum() / max(int(shown.sum()), 1)
    reason = None
    if lost > UNEXPLAINED_SHARE:
        reason = f"in {int(unexplained.sum())} frames the mask shows somebody whom nothing accounts for"
    elif shares.max(initial=0) > CLIP_SHARE:
        worst = int(shares.argmax())
        reason = f"{names[worst]} cannot be told from the others in {shares[worst]:.0%} of its frames"
    return Quality(means, unclear, reason)


def clear_events(
    events: tuple[Event, ...], unclear: dict[int, Bools], seen: dict[int, Bools]
) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Events that are scored, and those that are left out.

    Args:
        events: All.
        unclear: Label to unclear frames ``[T]``.
        seen: Label to visible frames ``[T]``.
    """
    kept, left = list[Event](), list[Event]()
    for event in events:
        doubt, shown = unclear[event.label], seen[event.label]
        window = slice(event.reentry, event.reentry + WINDOW)
        share = doubt[window].sum() / max(int(shown[window].sum()), 1)
        edges = [doubt[max(0, t - EDGE) : t + EDGE].any() for t in (event.exit, event.reentry)]
        (left if share > EVENT_SHARE or any(edges) else kept).append(event)
    return tuple(kept), tuple(left)
