"""When tracklets are one subject, by hand: how alike, how fast, every hand-over, and what the joined one is."""

from __future__ import annotations

import numpy as np
import pytest

from hmbench.subjects.link import LinkConfig, Tracklet, link

SIZE = (60, 80)
"""A diagonal of 100 pixels, so that speeds are shares of it."""
CONFIG = LinkConfig(share=0.5, fallback_different=0.5, max_speed=0.1)


def tracklet(places: dict[int, float], cosine: float = 1.0, votes: dict[str, float] | None = None) -> Tracklet:
    """Boxes of 4 x 10 pixels at these frames' x, in a clip of 40; `cosine` to the looks of the first axis."""
    boxes = np.full((40, 4), np.nan, np.float32)
    for frame, x in places.items():
        boxes[frame] = x, 20, x + 4, 30
    scores = np.where(np.isnan(boxes[:, 0]), np.nan, 0.5).astype(np.float32)
    looks = np.array([cosine, np.sqrt(1 - cosine**2), 0], np.float32)
    return Tracklet(boxes=boxes, scores=scores, votes=votes or {"person": 1.0}, embedding=looks)


def at(frames: range, x: float) -> dict[int, float]:
    return dict.fromkeys(frames, x)


@pytest.mark.parametrize(
    ("different", "cosine", "joined"),
    [(0.2, 0.59, 2), (0.2, 0.61, 1), (0.0, 0.49, 2), (0.0, 0.51, 1), (None, 0.74, 2), (None, 0.76, 1)],
)
def test_alike_enough_is_a_share_of_the_way_from_strangers_to_one(
    different: float | None, cosine: float, joined: int
) -> None:
    """Half the way: 0.6 from 0.2, 0.5 from 0, and 0.75 where nobody measured how alike strangers are."""
    pair = [tracklet(at(range(5), 10)), tracklet(at(range(10, 15), 10), cosine)]
    assert len(link(pair, SIZE, different, CONFIG)) == joined


@pytest.mark.parametrize(("away", "joined"), [(59.0, 1), (61.0, 2)])
def test_a_hand_over_may_take_a_tenth_of_the_diagonal_a_frame(away: float, joined: int) -> None:
    """Six frames from the last sight of one to the first of the other: 60 pixels."""
    pair = [tracklet(at(range(5), 0)), tracklet(at(range(10, 15), away))]
    assert len(link(pair, SIZE, 0.2, CONFIG)) == joined
    assert len(link(pair[::-1], SIZE, 0.2, CONFIG)) == joined


def test_every_hand_over_must_be_slow_enough() -> None:
    """There in six frames and back in two: the way back would take 25 pixels a frame."""
    comes_back = tracklet(at(range(5), 0) | at(range(16, 20), 0))
    assert len(link([comes_back, tracklet(at(range(10, 15), 50))], SIZE, 0.2, CONFIG)) == 2
    later = tracklet(at(range(5), 0) | at(range(20, 24), 0))
    assert len(link([later, tracklet(at(range(10, 15), 50))], SIZE, 0.2, CONFIG)) == 1


def test_the_joined_one_has_the_looks_of_all_its_frames() -> None:
    first, second = tracklet(at(range(4), 10)), tracklet(at(range(10, 22), 12), 0.8, {"person": 0.5, "robot": 2.0})
    (whole,) = link([first, second], SIZE, 0.2, CONFIG)
    mean = 4 * np.array([1, 0, 0]) + 12 * np.array([0.8, 0.6, 0])
    np.testing.assert_allclose(whole.embedding, mean / np.linalg.norm(mean), rtol=1e-6)
    assert whole.votes == {"person": 1.5, "robot": 2.0} and whole.track().category == "robot"
    np.testing.assert_array_equal(np.flatnonzero(whole.present), [*range(4), *range(10, 22)])
    assert whole.boxes[3, 0] == 10 and whole.boxes[10, 0] == 12


def test_a_view_counts_by_its_size_its_confidence_and_whether_it_is_whole() -> None:
    """Roots of areas 40 and 160; the third is cut off at the right (80, not 60), and counts three tenths."""
    one = tracklet({0: 10.0, 1: 60.0, 2: 76.0})
    one.boxes[1] = 60, 20, 76, 30
    one.scores[:3] = 0.9, 0.5, 0.8
    weights = np.sqrt([40, 160, 40]) * [0.9, 0.5, 0.8 * 0.3]
    np.testing.assert_allclose(one.trust(SIZE), weights / weights.sum(), rtol=1e-6)
