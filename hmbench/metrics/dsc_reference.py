"""Dynamic Subject Consistency as HyDRA's released script computes it, faults and all, for comparison with its table.

The faults (design of this script, not of this file): CLIP's processor centre-crops, and the boxes, normalised by the
whole frame, know nothing of it: at 832x480 a subject near the frame's edge, where subjects exit and re-enter, is read
from the wrong place; one box covers all subjects; clips without any detected subject drop out of the mean, so that the
worst failures vanish; order does not matter, so that motion cannot be seen. `hmbench.metrics.dsc` repairs
them.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmbench.case import Case
from hmbench.metrics.needs import LABELS, TRACKS, TRUTH
from hmbench.networks.backbones import Backbone, MapEncoder
from hmbench.protocols import MetricInfo
from hmbench.subjects.boxes import label_boxes
from hmbench.types import Boxes, Score, Video

Against = Literal["context", "target"]
POOLED = 7
"""Cells a side that each box is pooled to."""


class DscReference:
    """The released script's score: mean cosine over all pairs of a prediction's and a reference's visible frames.

    CLIP ViT-B/16 patch tokens of the last hidden state as a map; one box a frame around all subjects (prediction:
    around all tracks); roi_align to 7x7, mean, L2. A clip without boxes on either side is skipped: the script raises.

    Args:
        encoder: The map's source.
        against: ``context`` (DSC_ctx) or ``target`` (DSC_GT).
    """

    def __init__(self, encoder: Backbone[MapEncoder], against: Against) -> None:
        self.encoder = encoder
        self.against: Against = against
        self.info = MetricInfo(
            name="dsc_ref_ctx" if against == "context" else "dsc_ref_gt",
            # 2: an odd column is cut off the far side, as by the script's processor; other encoders crop nothing
            version=2 if encoder.name == "clip_b16" else 1,
            higher_is_better=True,
            bounds=(-1.0, 1.0),
            needs=frozenset({TRUTH, LABELS, TRACKS, encoder.name}),
            source="HyDRA (2026), released Dynamic Subject Consistency script",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without weights, or where the script would raise."""
        if self.encoder.missing:
            return Score.skipped(self.encoder.missing)
        truth = case.truth
        video = case.sample.prompt.context if self.against == "context" else truth.target
        labels = truth.context_labels if self.against == "context" else truth.target_labels
        if labels is None:
            return Score.skipped(f"the sample has no masks of its {self.against}")
        boxes = union_of_tracks([t.boxes for t in case.tracks or ()], len(case.prediction))
        predicted = case.memo(("dsc_ref", "prediction"), lambda: self._features(case.prediction, boxes))
        reference = case.memo(("dsc_ref", self.against), lambda: self._features(video, label_boxes(labels)))
        if not len(predicted) or not len(reference):
            where = "prediction" if not len(predicted) else self.against
            return Score.skipped(f"no subject in the {where}: the released script drops such clips")
        return Score(pairwise(predicted, reference), details={"frames": [len(predicted), len(reference)]})

    def _features(self, video: Video, boxes: Boxes) -> Tensor:
        return region_features(self.encoder.get(), video, boxes)


def region_features(encoder: MapEncoder, video: Video, boxes: Boxes) -> Tensor:
    """L2-normalised features of one region a frame, ``[n, D]`` over the frames that have a box.

    Args:
        encoder: Gives maps whose whole extent is taken to be the whole frame (the released script's assumption).
        video: ``[T, H, W, 3]``.
        boxes: ``[T, 4]`` in pixels, NaN rows where there is none.
    """
    from torchvision.ops import roi_align  # three seconds to import: only where there is something to pool

    shown = ~np.isnan(boxes).any(axis=1)
    if not shown.any():
        return torch.zeros(0, 1)
    maps = encoder.maps(video[shown])
    height, width = video.shape[1:3]
    scale = [maps.shape[3] / width, maps.shape[2] / height] * 2
    regions = torch.from_numpy(boxes[shown].astype(np.float32)) * torch.tensor(scale, dtype=torch.float32)
    pooled = roi_align(maps, list(regions.split(1)), POOLED, aligned=True)
    return nn.functional.normalize(pooled.mean(dim=(2, 3)), dim=1)


def pairwise(a: Tensor, b: Tensor) -> float:
    """Mean over all pairs of cosines of unit vectors: the product of the two mean vectors, without the n x m matrix."""
    return float(a.double().mean(dim=0) @ b.double().mean(dim=0))


def red_mask_boxes(video: Video) -> Boxes:
    """Boxes that the script reads from a mask video: everything red (HSV, OpenCV's ranges) in one box, ``[T, 4]``."""
    return label_boxes(np.stack([_red(frame) for frame in video]))


def union_of_tracks(tracks: list[Boxes], num_frames: int) -> Boxes:
    """One box a frame around all tracks, ``[T, 4]``, NaN where there is none."""
    union = np.full((num_frames, 4), np.nan, np.float32)
    for boxes in tracks:
        union[:, :2] = np.fmin(union[:, :2], boxes[:, :2])
        union[:, 2:] = np.fmax(union[:, 2:], boxes[:, 2:])
    return union


def _red(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
    low = cv2.inRange(hsv, np.array([0, 100, 100]), np.array([10, 255, 255]))
    high = cv2.inRange(hsv, np.array([160, 100, 100]), np.array([180, 255, 255]))
    return np.asarray((low > 0) | (high > 0))
