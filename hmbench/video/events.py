"""Exits and re-entries, derived from how much of a subject is visible in each frame.

HM-World defines them by its engine's ``inFrame`` flags; masks are what every source of clips has, so hmbench derives
events from visible area and cross-checks the flags where they exist.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from hmbench.types import Event

VISIBLE_SHARE = 0.0012
"""Share of the frame from which a subject counts as visible (about 480 pixels at 832x480): smaller slivers at the
frame's edge flicker, and nobody could recognise anything in them."""
MIN_RUN = 3
"""Frames: shorter runs of either state are jitter at the threshold and are merged into their surroundings."""
MIN_HIDDEN = 5
"""Frames out of sight (a third of a second at 15 fps) that make an exit; less is an occlusion to look past."""


def visible_frames(
    area: NDArray[np.float64], frame_pixels: int, *, share: float = VISIBLE_SHARE, min_run: int = MIN_RUN
) -> NDArray[np.bool_]:
    """In which frames a subject is visible.

    Args:
        area: Visible pixels per frame, ``[T]``.
        frame_pixels: Pixels of a whole frame.
        share: Share of the frame from which on it counts.
        min_run: Inner runs shorter than this are merged into their surroundings, shortest first.

    Returns:
        ``[T]`` booleans.
    """
    seen = np.asarray(area) >= share * frame_pixels
    while True:
        runs = _runs(seen)
        inner = [(stop - start, start, stop) for start, stop in runs[1:-1] if stop - start < min_run]
        if not inner:
            return seen
        _, start, stop = min(inner)
        seen[start:stop] = ~seen[start]


def find_events(seen: NDArray[np.bool_], num_context: int, label: int, *, min_hidden: int = MIN_HIDDEN) -> list[Event]:
    """Gaps that end in the target, of a subject that the context has shown.

    Args:
        seen: Visibility per frame of the whole clip, ``[Tc + Tt]``.
        num_context: Tc.
        label: The subject's label.
        min_hidden: Shortest gap in frames.
    """
    runs = _runs(seen)
    events = []
    for (start, stop), (after, _) in itertools.pairwise(runs):
        hidden = not seen[start] and start > 0
        if hidden and after >= num_context and stop - start >= min_hidden and seen[:num_context].any():
            events.append(Event(label=label, exit=start, reentry=after))
    return events


def _runs(seen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of equal value."""
    edges = [0, *(np.flatnonzero(np.diff(seen.astype(np.int8))) + 1).tolist(), len(seen)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]
