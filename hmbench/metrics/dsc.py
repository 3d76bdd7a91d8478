"""Dynamic Subject Consistency, repaired: each subject by itself, seen where it is, and counted where it is not.

The paper's idea is kept: mean cosine over all pairs of a prediction's and a reference's views of a subject. What
changed against the released script (`hmbench.metrics.dsc_reference`): boxes are cut from the frame that they belong to;
subjects are matched by tracks and scored one by one; the frames after a re-entry have a score of their own; a subject
that is nowhere counts, with the floor; and a calibrated scale: 0 = a stranger, 1 = the subject's own real crops, by the
cosine of the *directions* of mean views (views of one subject differ, so that their mean is shorter than one, on both
sides), times the share of its frames in which it was found. What did not change: order does not matter, so that motion
cannot be seen; that is the re-entry family's business.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.needs import EVENTS, LABELS, SEPARATE, TRACKS, TRUTH
from hmbench.metrics.reentry.matching import Part, cast, parts_of, track_features
from hmbench.networks.backbones import Backbone, CropEncoder
from hmbench.protocols import MetricInfo
from hmbench.subjects.boxes import present
from hmbench.types import Score

Kind = Literal["gt", "ctx", "reentry", "calibrated", "coverage"]
_WHAT: dict[Kind, str] = {
    "gt": "cosine to the target's views, over subjects that were found",
    "ctx": "cosine to the context's views, over subjects that were found",
    "reentry": "cosine to the context's views, frames after a re-entry only, over subjects that were found",
    "calibrated": "cosine to the context's views, 0 = a stranger, 1 = its own real views, x coverage; missing: 0",
    "coverage": "share of the frames that show a real subject in which it was found",
}


class Views(NamedTuple):
    """One subject of one clip."""

    part: Part
    """The subject as it should be."""
    mean: torch.Tensor
    """Mean of its predicted views' unit features ``[D]``; zeros if there is none."""
    reentry_mean: torch.Tensor
    """The same over the frames after its re-entries."""
    found: int
    """Frames that show the real subject in which it was found."""
    asked: int
    """Frames that show the real subject."""
    returned: bool | None
    """It has frames after a re-entry; None if it has no event."""


class DynamicSubjectConsistency:
    """One of the repaired scores, mean over the clip's subjects.

    Args:
        encoder: What sees the crops.
        kind: ``gt``, ``ctx``, ``reentry``, ``calibrated`` or ``coverage``.
        suffix: Added to the name for a second encoder.
    """

    def __init__(self, encoder: Backbone[CropEncoder], kind: Kind, suffix: str = "") -> None:
        self.encoder = encoder
        self.kind: Kind = kind
        needs = {TRUTH, LABELS, SEPARATE, TRACKS, encoder.name} | ({EVENTS} if kind == "reentry" else set())
        self.info = MetricInfo(
            name=f"dsc_{kind}{'_' + suffix if suffix else ''}",
            version=2,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset(needs),
            source=f"hmbench, after HyDRA's DSC: {_WHAT[kind]}",
            headline=kind == "calibrated" and not suffix,
        )

    def __call__(self, case: Case) -> Score:
        """The score; 0 with a coverage of 0 where nothing was found; skipped without weights or subjects in view."""
        if self.encoder.missing:
            return Score.skipped(self.encoder.missing)
        encoder = self.encoder.get()
        views = [v for v in case.memo(("dsc", encoder.name), lambda: views_of(case, encoder)) if v.asked]
        if self.kind == "reentry":
            views = [v for v in views if v.returned is not None]
        if not views:
            return Score.skipped("the target shows no subject long enough to look for it")
        if self.kind in ("ctx", "reentry"):
            views = [v for v in views if v.part.context_mean.any()]
        if not views:
            return Score.skipped("the context shows no subject of the target")
        found, asked = sum(v.found for v in views), sum(v.asked for v in views)
        values = [value for value in (_value(self.kind, v) for v in views) if not math.isnan(value)]
        details: dict[str, Any] = {"coverage": found / asked, "subjects": len(views), "found": len(values)}
        return Score(math.fsum(values) / len(values) if values else 0.0, details=details)


def views_of(case: Case, encoder: CropEncoder) -> list[Views]:
    """Every subject of the clip with the features of the tracks that play it, window by window between its events."""
    out = []
    num_context = case.sample.num_context_frames
    for part in parts_of(case, encoder):
        starts = [e.reentry - num_context for e in case.truth.events if e.label == part.truth.label]
        cuts = sorted({0, *(s for s in starts if s > 0), len(case.prediction)})
        sums, after = torch.zeros_like(part.context), torch.zeros_like(part.context)
        count = after_count = 0
        shown = np.zeros(len(case.prediction), bool)
        for start, stop in itertools.pairwise(cuts):
            features, there = _window(case, encoder, part, start, stop)
            sums, count, shown = sums + features.sum(dim=0), count + len(features), shown | there
            if start in starts:
                after, after_count = after + features.sum(dim=0), after_count + len(features)
        asked = present(part.boxes)
        out.append(
            Views(
                part=part,
                mean=sums / max(count, 1),
                reentry_mean=after / max(after_count, 1),
                found=int((shown & asked).sum()),
                asked=int(asked.sum()),
                returned=after_count > 0 if starts else None,
            )
        )
    return out


def _window(
    case: Case, encoder: CropEncoder, part: Part, start: int, stop: int
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """Features of the subject's tracks in a window ``[n, D]``, and the frames that have one ``[Tt]``."""
    casting = cast(case, encoder, start, stop)
    shown = np.zeros(len(case.prediction), bool)
    pieces = [torch.zeros(0, len(part.context))]
    for index in casting.played[part.truth.label]:
        assert case.tracks is not None, "only tracks play subjects"
        frames = np.flatnonzero(case.tracks[index].present())
        inside = (frames >= start) & (frames < stop)
        pieces.append(track_features(case, encoder)[index][torch.from_numpy(inside)])
        shown[frames[inside]] = True
    return torch.cat(pieces), shown


def _value(kind: Kind, views: Views) -> float:
    """One subject's score; NaN where it is averaged over found subjects only and was not found."""
    if kind == "coverage":
        return views.found / views.asked
    there = bool(views.reentry_mean.any() if kind == "reentry" else views.mean.any())
    if not there:
        return 0.0 if kind == "calibrated" else math.nan
    if kind == "calibrated":
        looks = views.part.calibrated(_cosine(torch.nn.functional.normalize(views.mean, dim=0), views.part.context))
        return views.found / views.asked * min(max(looks, 0.0), 1.0)
    reference = views.part.real.mean(dim=0) if kind == "gt" else views.part.context_mean
    return min(max(_cosine(views.reentry_mean if kind == "reentry" else views.mean, reference), 0.0), 1.0)


def _cosine(mean: torch.Tensor, reference: torch.Tensor) -> float:
    """Of means of unit vectors: the mean cosine over all pairs. Of unit vectors: their cosine."""
    return float(mean.double() @ reference.double())
