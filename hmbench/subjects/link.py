"""Tracklets of one subject joined across the time it was out of sight, by appearance.

Greedy: the two most alike tracklets that may be one subject are joined, their embedding is the mean of both, and again,
until no pair is alike enough. Two tracklets may be one subject if they share no frame, and if getting from the end of
one to the start of the other in time does not need more than `LinkConfig.max_speed`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.types import Boxes, Category, Track


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """When two tracklets are one subject."""

    share: float = 0.55
    """Cosine needed, as a share of the way from the encoder's `different` level to 1."""
    fallback_different: float = 0.5
    """`different` level of an encoder for which nobody measured it."""
    max_speed: float = 0.12
    """Frame diagonals a frame: faster is another subject."""


@dataclass(kw_only=True)
class Tracklet:
    """A track in the making."""

    boxes: Boxes
    """``[T, 4]``, NaN rows where it is not seen."""
    scores: NDArray[np.float32]
    """``[T]``."""
    votes: dict[Category, float]
    """Category to summed confidence."""
    embedding: NDArray[np.float32] | None = None
    """Unit mean embedding."""

    @property
    def present(self) -> NDArray[np.bool_]:
        """Frames in which it is seen."""
        return ~np.isnan(self.boxes[:, 0])

    def trust(self, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Weight of each seen frame for the embedding: large, confident, not cut off by the frame's edge."""
        boxes = self.boxes[self.present]
        inside = (boxes[:, 0] > 1) & (boxes[:, 2] < size[1] - 1)
        area = np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1))
        weights = area * self.scores[self.present] * np.where(inside, 1.0, 0.3)
        return np.asarray(weights / weights.sum(), np.float64)

    def track(self) -> Track:
        """The finished track, not yet numbered."""
        category = max(self.votes, key=lambda c: self.votes[c]) if self.votes else "unknown"
        return Track(id=1, boxes=self.boxes, scores=self.scores, category=category, embedding=self.embedding)


def link(
    tracklets: list[Tracklet], size: tuple[int, ...], different: float | None, config: LinkConfig
) -> list[Tracklet]:
    """Joins tracklets of one subject.

    Args:
        tracklets: With embeddings.
        size: (height, width) of the frames.
        different: Typical cosine between different subjects; None if unknown.
        config: Settings.
    """
    level = config.fallback_different if different is None else different
    needed = level + config.share * (1 - level)
    pool = list(tracklets)
    while True:
        pairs = [
            (_likeness(pool[i], pool[j]), i, j)
            for i in range(len(pool))
            for j in range(i + 1, len(pool))
            if _compatible(pool[i], pool[j], size, config)
        ]
        if not pairs or max(pairs)[0] < needed:
            return pool
        _, i, j = max(pairs)
        joined = _joined(pool[i], pool[j])
        pool = [t for k, t in enumerate(pool) if k not in (i, j)] + [joined]


def _likeness(a: Tracklet, b: Tracklet) -> float:
    assert a.embedding is not None and b.embedding is not None, "tracklets are linked by embeddings"
    return float(a.embedding @ b.embedding)


def _compatible(a: Tracklet, b: Tracklet, size: tuple[int, ...], config: LinkConfig) -> bool:
    if (a.present & b.present).any():
        return False
    # every hand-over between the two, in time order, must be slow enough
    owner = np.where(a.present, 1, np.where(b.present, 2, 0))
    frames = np.flatnonzero(owner)
    boxes = np.where(a.present[:, None], a.boxes, b.boxes)[frames]
    change = np.flatnonzero(np.diff(owner[frames]))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = np.linalg.norm(centres[change + 1] - centres[change], axis=1) / float(np.hypot(size[0], size[1]))
    allowed = config.max_speed * (frames[change + 1] - frames[change])
    return bool((distance <= allowed).all())


def _joined(a: Tracklet, b: Tracklet) -> Tracklet:
    assert a.embedding is not None and b.embedding is not None, "tracklets are linked by embeddings"
    boxes = np.where(a.present[:, None], a.boxes, b.boxes)
    scores = np.where(a.present, a.scores, b.scores)
    mean = a.embedding * a.present.sum() + b.embedding * b.present.sum()
    votes = {c: a.votes.get(c, 0.0) + b.votes.get(c, 0.0) for c in (*a.votes, *b.votes)}
    embedding = np.asarray(mean / np.linalg.norm(mean), np.float32)
    return Tracklet(boxes=boxes, scores=scores, votes=votes, embedding=embedding)
