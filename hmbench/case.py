"""A case: one sample, one prediction, and what was computed from them once and is shared by all metrics."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar, cast

from hmbench.types import Sample, Track, Truth, Video

T = TypeVar("T")


class Case:
    """What a metric is called with.

    Args:
        sample: The clip, with its truth where it is known.
        prediction: The model's frames, uint8 ``[Tt, H, W, 3]``, at the sample's size.
        tracks: Tracks found in the prediction; None if no tracker ran.
        reference_tracks: Tracks found by the same tracker in the whole real clip, ``Tc + Tt`` frames; None if not run.
        no_tracks: Why no tracker ran, with the remedy; None if one did, or nobody knows.
    """

    def __init__(
        self,
        sample: Sample,
        prediction: Video,
        tracks: tuple[Track, ...] | None = None,
        reference_tracks: tuple[Track, ...] | None = None,
        *,
        no_tracks: str | None = None,
    ) -> None:
        self.sample = sample
        self.prediction = prediction
        self.tracks = tracks
        self.reference_tracks = reference_tracks
        self.no_tracks = no_tracks
        self._memo: dict[Hashable, Any] = {}

    @property
    def truth(self) -> Truth:
        """The truth; the runner does not call a metric that needs it on a case without."""
        assert self.sample.truth is not None, f"sample {self.sample.id!r} has no truth"
        return self.sample.truth

    def memo(self, key: Hashable, compute: Callable[[], T]) -> T:
        """`compute()`, evaluated once for this case and shared under `key` (features, matched tracks)."""
        if key not in self._memo:
            self._memo[key] = compute()
        return cast(T, self._memo[key])

    def hand_on(self, other: Case, keys: Iterable[Hashable]) -> None:
        """Gives another case of the same sample what `memo` holds under some keys, where it has been computed."""
        for key in keys:
            if key in self._memo:
                other._memo.setdefault(key, self._memo[key])
