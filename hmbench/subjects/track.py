"""Subjects followed through a video: detections, ByteTrack or BoT-SORT, and linking across gaps by appearance.

The tracker sees the frames and nothing else. ByteTrack drops a lost track after 30 frames, two seconds, which is how
long subjects are out of sight here; so its tracklets are linked afterwards, across gaps of any length, by what the
subject looks like.

Letters: T frames, n tracklets.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hmbench.networks.backbones import CropEncoder
from hmbench.subjects.detect import Detections, Detector
from hmbench.subjects.files import rounded
from hmbench.subjects.link import LinkConfig, Tracklet, link
from hmbench.subjects.quiet_ultralytics import ultralytics_modules
from hmbench.types import Category, Track, Video


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """How detections become tracks."""

    method: Literal["bytetrack", "botsort"] = "botsort"
    """BoT-SORT also estimates the camera's motion: a subject that comes into view while the camera swings moves by half
    its width a frame, and ByteTrack loses it."""
    high: float = 0.15
    """Confidence from which on a detection matches first."""
    low: float = 0.05
    """Confidence down to which a detection may carry a track on."""
    start: float = 0.2
    """Confidence that starts a track."""
    buffer: int = 8
    """Frames that a lost track waits by motion alone; appearance links the longer gaps."""
    match: float = 0.85
    """Largest matching cost, 1 - IoU."""
    fused: bool = False
    """Whether IoU is weighed by confidence when matching: that drops faint subjects that move fast."""
    min_length: int = 4
    """Frames: shorter tracklets are flicker and are dropped."""
    link: LinkConfig = field(default_factory=LinkConfig)
    """How tracklets are linked."""


class YoloTracker:
    """Detects, follows, links.

    Args:
        detector: Finds subjects in frames.
        encoder: What subjects are recognised by; None leaves gaps open.
        config: Settings.
    """

    def __init__(self, detector: Detector, encoder: CropEncoder | None, config: TrackerConfig | None = None) -> None:
        self.detector = detector
        self.encoder = encoder
        self.config = config or TrackerConfig()
        parts = [detector.name, self.config.method, encoder.name if encoder else "unlinked"]
        self.name = "+".join(parts)

    def settings(self) -> dict[str, Any]:
        """What decides the tracks besides frames and weights, as JSON types."""
        level = None if self.encoder is None else self.encoder.different
        return {"name": self.name, "detector": self.detector.settings(), "tracker": asdict(self.config), "level": level}

    def track(self, video: Video) -> tuple[Track, ...]:
        """See `SubjectTracker.track`."""
        tracklets = self.tracklets(video, self.detector.detect(video))
        if self.encoder is None:
            return numbered([t.track() for t in tracklets])
        for tracklet in tracklets:
            features = self.encoder.crops(video, tracklet.boxes).numpy()
            tracklet.embedding = _mean_embedding(features, tracklet.trust(video.shape[1:3]))
        linked = link(tracklets, video.shape[1:3], self.encoder.different, self.config.link)
        return numbered([t.track() for t in linked])

    def tracklets(self, video: Video, detections: list[Detections]) -> list[Tracklet]:
        """Tracklets as ByteTrack or BoT-SORT gives them, with the detector's own boxes."""
        modules = ultralytics_modules()
        kind = modules.byte_tracker if self.config.method == "bytetrack" else modules.bot_sort
        tracker = kind(_arguments(self.config))
        rows: dict[int, list[tuple[int, int]]] = {}
        for t, (frame, found) in enumerate(zip(video, detections, strict=True)):
            data = np.concatenate([found.boxes, found.scores[:, None], found.classes[:, None]], axis=1)
            boxes = modules.boxes(data.astype(np.float32).reshape(-1, 6), frame.shape[:2])
            for out in tracker.update(boxes, np.ascontiguousarray(frame[..., ::-1])):
                rows.setdefault(int(out[4]), []).append((t, int(out[7])))
        made = [self._tracklet(seen, detections) for seen in rows.values()]
        return [t for t in made if t.present.sum() >= self.config.min_length]

    def _tracklet(self, seen: list[tuple[int, int]], detections: list[Detections]) -> Tracklet:
        boxes = np.full((len(detections), 4), np.nan, np.float32)
        scores = np.full(len(detections), np.nan, np.float32)
        votes: dict[Category, float] = {}
        for t, index in seen:
            boxes[t], scores[t] = detections[t].boxes[index], detections[t].scores[index]
            category = self.detector.categories.get(int(detections[t].classes[index]), "unknown")
            votes[category] = votes.get(category, 0.0) + float(scores[t])
        return Tracklet(boxes=boxes, scores=scores, votes=votes)


def numbered(tracks: list[Track]) -> tuple[Track, ...]:
    """Longest first, numbered from 1; equal lengths by first frame, then by position.

    Values are rounded as files of tracks round them, so that a resumed run scores the same numbers.
    """

    def rank(track: Track) -> tuple[int, int, float]:
        shown = track.present()
        return -int(shown.sum()), int(np.argmax(shown)), float(np.nanmin(track.boxes))

    return tuple(rounded(replace(track, id=i)) for i, track in enumerate(sorted(tracks, key=rank), 1))


def _mean_embedding(features: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    mean = (features * weights[:, None]).sum(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _arguments(config: TrackerConfig) -> Any:
    return SimpleNamespace(
        tracker_type=config.method,
        track_high_thresh=config.high,
        track_low_thresh=config.low,
        new_track_thresh=config.start,
        track_buffer=config.buffer,
        match_thresh=config.match,
        fuse_score=config.fused,
        gmc_method="sparseOptFlow",
        proximity_thresh=0.5,
        appearance_thresh=0.8,
        with_reid=False,
        model="auto",
    )
