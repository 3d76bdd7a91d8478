"""HOTA and IDF1 against hand-made cases and a slow twin written from the papers' sentences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hmbench.metrics.hota import ALPHAS, hota, idf1, overlaps
from hmbench.subjects.boxes import pairwise_iou

T = 10
NAN = np.float32(np.nan)


def still(x: float, frames=range(T), size: float = 10.0):
    boxes = np.full((T, 4), NAN, np.float32)
    boxes[list(frames)] = [x, 0, x + size, 20]
    return boxes


def test_a_perfect_tracker_scores_one():
    found = overlaps([still(0), still(50)], [still(50), still(0)], T)
    assert hota(found) == pytest.approx((1, 1, 1))
    assert idf1(found) == pytest.approx(1)


def test_nothing_predicted_is_the_worst_score_not_an_error():
    found = overlaps([still(0)], [], T)
    assert hota(found) == (0, 0, 0)
    assert idf1(found) == 0


def test_nothing_there_and_something_predicted_is_zero():
    assert hota(overlaps([], [still(0)], T)) == (0, 0, 0)


def test_a_broken_identity_costs_association_only():
    halves = [still(0, range(5)), still(0, range(5, T))]
    got = hota(overlaps([still(0)], halves, T))
    assert got.deta == pytest.approx(1)
    assert got.assa == pytest.approx(0.5)  # every match: TPA 5, FNA 5, FPA 0
    assert got.hota == pytest.approx(np.sqrt(0.5))
    assert idf1(overlaps([still(0)], halves, T)) == pytest.approx(0.5)


def test_a_stray_track_costs_detection_only():
    got = hota(overlaps([still(0)], [still(0), still(80)], T))
    assert (got.deta, got.assa) == pytest.approx((0.5, 1))
    assert idf1(overlaps([still(0)], [still(0), still(80)], T)) == pytest.approx(2 / 3)


def test_an_overlap_that_just_reaches_a_threshold_matches():
    """IoU 10 / 20 is 0.5, the tenth of nineteen thresholds, as TrackEval counts it; IDF1's own threshold too."""
    found = overlaps([still(0, size=20.0)], [still(0, size=10.0)], T)
    assert hota(found).deta == pytest.approx(10 / 19)
    assert idf1(found) == pytest.approx(1)


def test_loose_boxes_match_at_low_thresholds_only():
    shifted = still(5)  # IoU 5 / 15
    got = hota(overlaps([still(0)], [shifted], T))
    share = np.mean(ALPHAS <= 1 / 3)
    assert got.hota == pytest.approx(share)
    assert idf1(overlaps([still(0)], [shifted], T)) == 0


def slow_hota(references, predictions):
    """Per threshold: the matching that TrackEval's score asks for, by trying all; then HOTA's two sums, written out."""
    frames = []
    for t in range(T):
        a = [i for i, b in enumerate(references) if not np.isnan(b[t, 0])]
        b = [j for j, p in enumerate(predictions) if not np.isnan(p[t, 0])]
        iou = {(i, j): pairwise_iou(references[i][t : t + 1], predictions[j][t : t + 1])[0, 0] for i in a for j in b}
        frames.append((a, b, iou))
    count_r = [sum(i in a for a, _, _ in frames) for i in range(len(references))]
    count_p = [sum(j in b for _, b, _ in frames) for j in range(len(predictions))]
    alignment = {}
    for i, j in itertools.product(range(len(references)), range(len(predictions))):
        potential = 0.0
        for a, b, iou in frames:
            if i in a and j in b:
                total = sum(iou[i, k] for k in b) + sum(iou[k, j] for k in a) - iou[i, j]
                potential += iou[i, j] / total if total > 0 else 0.0
        alignment[i, j] = potential / (count_r[i] + count_p[j] - potential)
    values = []
    for alpha in ALPHAS:
        pairs = []
        for a, b, iou in frames:
            few, many, flip = (a, b, False) if len(a) <= len(b) else (b, a, True)
            best, chosen = -1.0, []
            for order in itertools.permutations(many, len(few)):
                match = [(y, x) if flip else (x, y) for x, y in zip(few, order, strict=True)]
                score = sum(alignment[m] * iou[m] for m in match)
                if score > best:
                    best, chosen = score, match
            pairs += [m for m in chosen if iou[m] >= alpha - 1e-12]
        misses = sum(count_r) - len(pairs)
        strays = sum(count_p) - len(pairs)
        total = 0.0
        for i, j in pairs:
            both = sum(m == (i, j) for m in pairs)
            total += both / (count_r[i] + count_p[j] - both)
        values.append(np.sqrt(total / max(len(pairs) + misses + strays, 1)))
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(4))
def test_hota_agrees_with_its_slow_twin(seed):
    rng = np.random.default_rng(seed)

    def walk():
        boxes = np.cumsum(rng.normal(0, 2, (T, 2)), axis=0) + rng.uniform(0, 20, 2)
        full = np.concatenate([boxes, boxes + rng.uniform(8, 14, 2)], axis=1).astype(np.float32)
        full[rng.random(T) < 0.3] = np.nan
        return full

    references = [walk() for _ in range(3)]
    predictions = [r + rng.normal(0, 1.5, 4).astype(np.float32) for r in references[:2]] + [walk(), walk()]
    predictions[0][T // 2 :], predictions[1][T // 2 :] = (
        predictions[1][T // 2 :].copy(),
        predictions[0][T // 2 :].copy(),
    )
    assert hota(overlaps(references, predictions, T)).hota == pytest.approx(
        slow_hota(references, predictions), abs=1e-9
    )


def test_idf1_agrees_with_trying_every_pairing():
    rng = np.random.default_rng(9)
    references = [still(x, sorted(rng.choice(T, 7, replace=False))) for x in (0, 3, 40)]
    predictions = [still(x, sorted(rng.choice(T, 7, replace=False))) for x in (1, 39, 2)]
    found = overlaps(references, predictions, T)
    best = 0
    for order in itertools.permutations(range(3)):
        both = 0
        for i, j in enumerate(order):
            for t in range(T):
                if not (np.isnan(references[i][t, 0]) or np.isnan(predictions[j][t, 0])):
                    both += pairwise_iou(references[i][t : t + 1], predictions[j][t : t + 1])[0, 0] >= 0.5
        best = max(best, both)
    assert idf1(found) == pytest.approx(2 * best / 42)


def test_tracks_of_another_length_are_refused():
    with pytest.raises(ValueError, match="10 frames"):
        overlaps([still(0)[:5]], [still(0)], T)
