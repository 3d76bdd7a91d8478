"""Subjects found in video and followed across the time they are out of sight.

tracker = create_tracker(profile="mini", weights=None, device="cpu")
tracks = tracker.track(video)
"""

from __future__ import annotations

from hmbench.subjects.create import create_tracker, tracker_missing
from hmbench.subjects.files import rounded, tracks_from_json, tracks_to_json

__all__ = ["create_tracker", "rounded", "tracker_missing", "tracks_from_json", "tracks_to_json"]
