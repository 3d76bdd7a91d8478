"""VBench's subject and background consistency (Huang et al. 2024), as in its released code, and a masked variant.

The plain VBench dimensions, which VBench itself advises for clips under 5 s; HyDRA says only "VBench". Over clips the
mean is clip-weighted; VBench is frame-weighted on one process and clip-weighted on several, equal for equal lengths.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hmbench.case import Case
from hmbench.metrics.needs import LABELS, TRUTH
from hmbench.networks.backbones import Backbone, FrameEncoder
from hmbench.protocols import MetricInfo
from hmbench.types import Boxes, LabelMaps, Score, Video


class SubjectConsistency:
    """VBench's subject consistency of the prediction: DINO class tokens of whole frames (see `consistency`).

    It knows neither the truth nor subjects: a still picture scores 1.

    Args:
        encoder: DINO ViT-B/16 with VBench's transform; the mini profile puts its own embedder here.
    """

    def __init__(self, encoder: Backbone[FrameEncoder]) -> None:
        self.encoder = encoder
        self.info = MetricInfo(
            name="subject_consistency",
            version=1,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({encoder.name}),
            source="VBench (Huang et al. 2024), subject_consistency; not VBench-Long",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the encoder's weights."""
        return _score(self.encoder, case, case.prediction, "prediction")


class BackgroundConsistency:
    """VBench's background consistency of the prediction: CLIP image embeddings of whole frames.

    Args:
        encoder: CLIP ViT-B/32 with VBench's transform.
        masked: Paint the subjects grey first, so that it says what its name says. Subjects are where the prediction's
            tracks are and where the target has them: a subject that moved is removed at both places.
        again: The encoder is subject consistency's, too, and whole frames would give the same number under two names:
            it is skipped.
    """

    def __init__(self, encoder: Backbone[FrameEncoder], *, masked: bool = False, again: bool = False) -> None:
        self.encoder = encoder
        self.masked = masked
        self.again = again and not masked
        self.info = MetricInfo(
            name="background_consistency_masked" if masked else "background_consistency",
            version=1,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({encoder.name, *((TRUTH, LABELS) if masked else ())}),
            source="VBench (Huang et al. 2024), background_consistency; subjects removed"
            if masked
            else "VBench (Huang et al. 2024), background_consistency; whole frames",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the encoder's weights."""
        if self.again:
            return Score.skipped(
                f"this profile sees whole frames with one network ({self.encoder.name}): it would be "
                "subject_consistency again"
            )
        if not self.masked:
            return _score(self.encoder, case, case.prediction, "prediction")
        labels = case.truth.target_labels
        assert labels is not None, f"sample {case.sample.id!r} has no labels"
        boxes = [track.boxes for track in case.tracks or ()]
        return _score(self.encoder, case, without_subjects(case.prediction, labels, boxes), "prediction-masked")


def consistency(features: Tensor) -> float:
    """How alike frames stay: mean over i >= 1 of (max(0, f[i-1].f[i]) + max(0, f[0].f[i])) / 2.

    Args:
        features: L2-normalised, ``[T, D]``, at least two frames.
    """
    if len(features) < 2:
        raise ValueError(f"consistency needs two frames, got {len(features)}")
    before = (features[:-1] * features[1:]).sum(dim=1).clamp(min=0)
    first = (features[:1] * features[1:]).sum(dim=1).clamp(min=0)
    return float(((before + first) / 2).mean())


def without_subjects(video: Video, labels: LabelMaps, boxes: list[Boxes]) -> Video:
    """Frames with subjects painted in mid grey: labelled pixels and boxes."""
    out = video.copy()
    out[labels > 0] = 128
    for track in boxes:
        for frame, box in zip(out, track, strict=True):
            if not np.isnan(box).any():
                x0, y0, x1, y1 = (max(int(v), 0) for v in (*np.floor(box[:2]), *np.ceil(box[2:])))
                frame[y0:y1, x0:x1] = 128
    return out


def _score(encoder: Backbone[FrameEncoder], case: Case, video: Video, key: str) -> Score:
    if encoder.missing:
        return Score.skipped(encoder.missing)
    if len(video) < 2:
        return Score.skipped("the prediction has fewer than two frames")

    def features() -> Tensor:
        return encoder.get().frames(video)

    with torch.inference_mode():
        return Score(consistency(case.memo(("frames", encoder.name, key), features)), details={"encoder": encoder.name})
