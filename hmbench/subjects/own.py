"""A tracker of somebody's own: it has a name, is known by its code, and its answers are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hmbench.errors import UserError
from hmbench.own_code import code_digest, settings_of
from hmbench.types import Track, Video

HOW = (
    "Give a tuple of Track(id=1, boxes=float32 [T, 4] xyxy in pixels with NaN rows where it is not seen, "
    "scores=float32 [T]), one a subject."
)


class OwnTracker:
    """Somebody's own tracker, as hmbench needs one.

    Args:
        tracker: An object with ``track(video)``.
        name: What records call it if it has no ``name``.
    """

    def __init__(self, tracker: Any, name: str) -> None:
        own = getattr(tracker, "name", None)
        self.name: str = own if isinstance(own, str) and own else name
        self._tracker = tracker
        self.kept = callable(getattr(tracker, "settings", None))
        """Whether its tracks of real clips are kept: only if it says itself what decides them."""

    def settings(self) -> Mapping[str, Any]:
        """What decides its tracks: what it says itself, else its code and plain arguments."""
        if self.kept:
            return dict(self._tracker.settings())
        return {**settings_of(self._tracker), "code": code_digest(type(self._tracker))}

    def track(self, video: Video) -> tuple[Track, ...]:
        """What it finds.

        Raises:
            UserError: If that is no sequence of tracks of this video.
        """
        found = self._tracker.track(video)
        if not isinstance(found, tuple | list):
            raise UserError(f"The tracker {self.name} gave {type(found).__name__}, no tuple of tracks.", HOW)
        for track in found:
            if not isinstance(track, Track):
                raise UserError(f"The tracker {self.name} gave {type(track).__name__} where a Track is due.", HOW)
            shapes = np.shape(track.boxes), np.shape(track.scores)
            if shapes != ((len(video), 4), (len(video),)):
                given = " and ".join(str(list(shape)) for shape in shapes)
                raise UserError(
                    f"The tracker {self.name} gave boxes and scores of {given} for {len(video)} frames.", HOW
                )
        return tuple(found)
