"""A tracker that reads masks instead of frames: it separates the tracker's errors from the model's.

It exists where the truth of the *shown* clip is known: the real continuation, and rendered clips with a fault in them.
"""

from __future__ import annotations

import numpy as np

from hmbench.networks.backbones import CropEncoder
from hmbench.subjects.boxes import label_boxes, present
from hmbench.subjects.track import numbered
from hmbench.types import Boxes, Category, LabelMaps, Track, Video
from hmbench.video.events import VISIBLE_SHARE


class OracleTracker:
    """Tracks from label maps.

    Args:
        labels: Labels of the very clip that will be tracked, ``[T, H, W]``.
        categories: Label to category; ``unknown`` where it is not given.
        encoder: Gives tracks their embedding; None leaves it out.
        share: Share of the frame from which a subject counts as seen.
    """

    name = "oracle"

    def __init__(
        self,
        labels: LabelMaps,
        *,
        categories: dict[int, Category] | None = None,
        encoder: CropEncoder | None = None,
        share: float = VISIBLE_SHARE,
    ) -> None:
        self.labels = labels
        self.categories = categories or {}
        self.encoder = encoder
        self.share = share

    def track(self, video: Video) -> tuple[Track, ...]:
        """See `SubjectTracker.track`.

        Raises:
            ValueError: If the clip is not the one that the labels belong to.
        """
        if video.shape[:3] != self.labels.shape:
            raise ValueError(f"labels of {self.labels.shape} do not fit a clip of {video.shape[:3]}")
        least = int(np.ceil(self.share * self.labels[0].size))
        tracks = []
        for label in np.unique(self.labels[self.labels > 0]).tolist():
            boxes = label_boxes(self.labels == label, min_pixels=least)
            if present(boxes).any():
                tracks.append(self._track(video, label, boxes))
        return numbered(tracks)

    def _track(self, video: Video, label: int, boxes: Boxes) -> Track:
        embedding = None
        if self.encoder is not None:
            mean = self.encoder.crops(video, boxes).numpy().mean(axis=0)
            embedding = np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)
        scores = np.where(present(boxes), np.float32(1), np.float32(np.nan))
        category = self.categories.get(label, "unknown")
        return Track(id=1, boxes=boxes, scores=scores, category=category, embedding=embedding)
