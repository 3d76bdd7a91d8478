"""Label maps from a tracker, for clips that nobody has masks of: every track is a subject, and its boxes are filled.

Boxes are not outlines: regions are coarse, and a tracker's mistakes become truth. It is said in each sample's notes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmbench.protocols import SubjectTracker
from hmbench.types import LabelMaps, Track, Video
from hmbench.video.files import MAX_LABELS

MIN_FRAMES = 5
"""Shorter tracks are left out."""


class Tracked(NamedTuple):
    """What a tracker made of a clip."""

    labels: LabelMaps
    """``[T, H, W]``: k is the k-th track, the longest first."""
    names: dict[int, str]
    """Label to a name made of its category."""
    left_out: int
    """Tracks that were too short, or too many."""


def masks_from_tracker(video: Video, tracker: SubjectTracker) -> Tracked:
    """Label maps of a whole clip, ``[Tc + Tt]`` frames; where boxes overlap, the one that ends lower is in front."""
    tracks = sorted(tracker.track(video), key=lambda track: -int(track.present().sum()))
    kept = [track for track in tracks if track.present().sum() >= MIN_FRAMES][:MAX_LABELS]
    labels = np.zeros(video.shape[:3], np.uint8)
    for t in range(len(video)):
        shown = [(k, track.boxes[t]) for k, track in enumerate(kept, 1) if track.present()[t]]
        for k, box in sorted(shown, key=lambda one: float(one[1][3])):
            left, top, right, bottom = np.round(box).astype(int).clip(min=0)
            labels[t, top:bottom, left:right] = k
    return Tracked(labels, _names(kept), len(tracks) - len(kept))


def _names(tracks: list[Track]) -> dict[int, str]:
    counts: dict[str, int] = {}
    names = {}
    for k, track in enumerate(tracks, 1):
        kind = "subject" if track.category == "unknown" else track.category
        counts[kind] = counts.get(kind, 0) + 1
        names[k] = f"{kind}-{counts[kind]}"
    return names
