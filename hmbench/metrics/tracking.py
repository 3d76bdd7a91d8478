"""Whole-clip tracking quality: the prediction's tracks against the target's subjects (HOTA, DetA, AssA, IDF1).

Frames in which only a sliver of a subject shows ask for nothing, and tracks that lie there are not strays. Where the
data have one mask for all subjects (`Truth.separate_subjects` is False), nothing is scored: tracks follow subjects.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hmbench.case import Case
from hmbench.metrics.hota import Hota, Overlaps, hota, idf1, overlaps
from hmbench.metrics.needs import LABELS, SEPARATE, TRACKS, TRUTH
from hmbench.protocols import MetricInfo
from hmbench.subjects.boxes import pairwise_iou, present
from hmbench.types import Boxes, Score
from hmbench.video.events import VISIBLE_SHARE

Name = Literal["hota", "deta", "assa", "idf1"]
IGNORED_IOU = 0.3
"""Overlap with a sliver's box from which on a predicted box is left out of account."""


class TrackingMetric:
    """One of HOTA, DetA, AssA, IDF1 of a clip; 0 where no track was found.

    Args:
        name: Which.
    """

    def __init__(self, name: Name) -> None:
        self.name: Name = name
        self.info = MetricInfo(
            name=name,
            version=2,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS, SEPARATE, TRACKS}),
            source="Ristani et al. 2016" if name == "idf1" else "Luiten et al. 2021, alpha 0.05 .. 0.95",
            headline=name == "hota",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where the target shows no subject."""
        found = case.memo("overlaps", lambda: target_overlaps(case))
        if not any(len(r) for r in found.references):
            return Score.skipped("the target shows no subject")
        details = {"tracks": found.num_predictions, "subjects": found.num_references}
        if self.name == "idf1":
            return Score(idf1(found), details=details)
        result: Hota = case.memo("hota", lambda: hota(found))
        return Score(getattr(result, self.name), details=details)


def target_overlaps(case: Case) -> Overlaps:
    """Overlaps of the target's subjects with the prediction's tracks, slivers left out on both sides."""
    num_context = case.sample.num_context_frames
    least = VISIBLE_SHARE * case.prediction[0, :, :, 0].size
    references: list[Boxes] = []
    slivers: list[Boxes] = []
    for subject in case.truth.subjects:
        enough = (subject.visible_area[num_context:] >= least)[:, None]
        boxes = subject.boxes[num_context:]
        references.append(np.where(enough, boxes, np.float32(np.nan)))
        slivers.append(np.where(enough, np.float32(np.nan), boxes))
    predictions = [without(track.boxes, slivers, references) for track in case.tracks or ()]
    return overlaps(references, [p for p in predictions if present(p).any()], len(case.prediction))


def without(boxes: Boxes, slivers: list[Boxes], references: list[Boxes]) -> Boxes:
    """A track without the frames in which it lies on a sliver rather than on a subject that counts."""
    out = boxes.copy()
    for t in np.flatnonzero(present(boxes)).tolist():
        on_sliver = _best(out[t], slivers, t)
        if on_sliver >= IGNORED_IOU and on_sliver > _best(out[t], references, t):
            out[t] = np.nan
    return out


def _best(box: Boxes, others: list[Boxes], t: int) -> float:
    there = [other[t] for other in others if not np.isnan(other[t, 0])]
    return float(pairwise_iou(box[None], np.stack(there)).max()) if there else 0.0
