"""HOTA, AssA, DetA and IDF1 after TrackEval's definitions, from boxes.

Luiten et al. 2021 (HOTA) and Ristani et al. 2016 (IDF1), as in TrackEval's hota.py and identity.py; that package does
not run on numpy 1.24 or later. Counts first, ratios derived in one place.

Letters: T frames, G reference tracks, P predicted tracks, A thresholds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hmbench.subjects.boxes import pairwise_iou, present
from hmbench.types import Boxes

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""IoU thresholds that HOTA is averaged over."""
ID_THRESHOLD = 0.5
"""IoU of a match for IDF1."""
_EPS = float(np.finfo(float).eps)


class Hota(NamedTuple):
    """Means over `ALPHAS`, each in [0, 1]."""

    hota: float
    """Geometric mean of detection and association, per threshold, then averaged."""
    deta: float
    """Detection accuracy."""
    assa: float
    """Association accuracy."""


class Overlaps(NamedTuple):
    """What overlaps what, frame by frame."""

    references: list[NDArray[np.int64]]
    """Reference tracks present in each frame."""
    predictions: list[NDArray[np.int64]]
    """Predicted tracks present in each frame."""
    ious: list[NDArray[np.float64]]
    """Their overlaps."""
    num_references: int
    """G."""
    num_predictions: int
    """P."""


def overlaps(references: list[Boxes], predictions: list[Boxes], num_frames: int) -> Overlaps:
    """Overlaps of two sets of tracks ``[T, 4]`` over the same frames."""
    r = np.stack(references) if references else np.zeros((0, num_frames, 4), np.float32)
    p = np.stack(predictions) if predictions else np.zeros((0, num_frames, 4), np.float32)
    if r.shape[1] != num_frames or p.shape[1] != num_frames:
        raise ValueError(f"tracks must have {num_frames} frames, got {r.shape[1]} and {p.shape[1]}")
    in_r = [np.flatnonzero(present(r[:, t])) for t in range(num_frames)]
    in_p = [np.flatnonzero(present(p[:, t])) for t in range(num_frames)]
    ious = [pairwise_iou(r[a, t], p[b, t]) for t, (a, b) in enumerate(zip(in_r, in_p, strict=True))]
    return Overlaps(in_r, in_p, ious, len(r), len(p))


def hota(found: Overlaps) -> Hota:
    """HOTA of one clip; all 0 if nothing was predicted or nothing was there."""
    potential, r_count, p_count = np.zeros((found.num_references, found.num_predictions)), *_counts(found)
    for r, p, iou in zip(found.references, found.predictions, found.ious, strict=True):
        total = iou.sum(axis=0)[None] + iou.sum(axis=1)[:, None] - iou
        potential[r[:, None], p[None]] += np.divide(iou, total, out=np.zeros_like(iou), where=total > _EPS)
    alignment = potential / np.maximum(r_count[:, None] + p_count[None] - potential, _EPS)
    true = np.zeros(len(ALPHAS))
    matches = np.zeros((len(ALPHAS), found.num_references, found.num_predictions))
    for r, p, iou in zip(found.references, found.predictions, found.ious, strict=True):
        rows, columns = linear_sum_assignment(-alignment[r[:, None], p[None]] * iou)
        for a, alpha in enumerate(ALPHAS):
            good = iou[rows, columns] >= alpha - _EPS
            true[a] += good.sum()
            matches[a, r[rows[good]], p[columns[good]]] += 1
    return _hota_from_counts(true, matches, r_count, p_count)


def idf1(found: Overlaps) -> float:
    """IDF1 of one clip: frames of the best one-to-one pairing of whole tracks; 0 if there is nothing to pair."""
    r_count, p_count = _counts(found)
    matches = np.zeros((found.num_references, found.num_predictions))
    for r, p, iou in zip(found.references, found.predictions, found.ious, strict=True):
        matches[r[:, None], p[None]] += iou >= ID_THRESHOLD
    rows, columns = linear_sum_assignment(-matches)
    both = float(r_count.sum() + p_count.sum())
    return 2 * float(matches[rows, columns].sum()) / both if both else 0.0


def _counts(found: Overlaps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r_count, p_count = np.zeros(found.num_references), np.zeros(found.num_predictions)
    for r, p in zip(found.references, found.predictions, strict=True):
        r_count[r] += 1
        p_count[p] += 1
    return r_count, p_count


def _hota_from_counts(
    true: NDArray[np.float64],
    matches: NDArray[np.float64],
    r_count: NDArray[np.float64],
    p_count: NDArray[np.float64],
) -> Hota:
    """Ratios: DetA = TP / (TP + FN + FP); AssA = mean over TPs of TPA / (TPA + FNA + FPA); HOTA = sqrt(DetA AssA)."""
    detection = true / np.maximum(r_count.sum() + p_count.sum() - true, 1)
    per_pair = matches / np.maximum(r_count[:, None] + p_count[None] - matches, 1)
    association = (matches * per_pair).sum(axis=(1, 2)) / np.maximum(true, 1)
    combined = np.sqrt(detection * association)
    return Hota(float(combined.mean()), float(detection.mean()), float(association.mean()))
