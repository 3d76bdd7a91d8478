"""What is left of the background once camera and timing are taken out: on a wall seen from a known camera."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hmbench.metrics.background.fidelity import KNOWN_OF_A_CLIP, BackgroundFidelity, BackgroundShare, structure_of
from hmbench.metrics.background.floor import orders, turned_last_frame
from hmbench.metrics.background.structure import Partner, structure
from hmbench.metrics.background.views import Views
from hmbench.types import Track
from tests.metrics.background.panorama import HALF, HEIGHT, WIDTH, away_and_back, make_case, make_sample, views, wall

YAW = away_and_back()
TARGET = YAW[HALF:]
SAMPLE = make_sample()
_TRUTH = make_case(sample=SAMPLE)
BackgroundFidelity()(_TRUTH)
KNOWN = {key: _TRUTH.memo(key, lambda: None) for key in KNOWN_OF_A_CLIP}


def case_of(video):
    case = make_case(np.ascontiguousarray(video), SAMPLE)
    for key, value in KNOWN.items():
        case.memo(key, lambda value=value: value)
    return case


def fidelity(video):
    return BackgroundFidelity()(case_of(video)).value


def share(kind, video):
    return BackgroundShare(kind)(case_of(video)).value


def shifted(video, by):
    matrices = [np.array([[1, 0, x], [0, 1, y]], np.float32) for x, y in by]
    size = (WIDTH, HEIGHT)
    return np.stack(
        [cv2.warpAffine(f, m, size, borderMode=cv2.BORDER_REPLICATE) for f, m in zip(video, matrices, strict=True)]
    )


def still(frame):
    return np.repeat(np.asarray(frame, np.uint8)[None], HALF, axis=0)


@pytest.mark.parametrize("bare", [{0}, {0, 8}, {0, 2, 6, 8}, {2, 4, 6}, {0, 2, 4, 6, 8}])
def test_frames_without_structure_leave_the_others_to_be_searched(bare):
    """Of frames 0, 2, 4, 6, 8 every fourth is searched widely: 0 and 8. Where both are bare, the first other one is."""
    texture = np.random.default_rng(0).uniform(-40, 40, (10, 36, 64, 3)).astype(np.float32)
    seen = np.ones(texture.shape[:3], np.float32)
    for t in bare:
        texture[t] = 0
    views, chosen = Views(texture, seen), [Partner(t, np.zeros(2, np.int64)) for t in range(10)]
    found, blank = structure(views, views, chosen), structure(Views(0 * texture, seen), views, chosen)
    if len(bare) == 5:
        assert found is blank is None
    else:
        assert found == pytest.approx((1, 0, 0, 0), abs=0.01)
        assert blank == pytest.approx((0, 0, 1, 0), abs=0.01)


def test_the_truth_is_one():
    score = BackgroundFidelity()(_TRUTH)
    assert score.value == 1
    assert score.details["floor"] <= 0.85 < score.details["bound_following"] <= 1.01
    kept = structure_of(_TRUTH)
    assert (kept.displaced, kept.forgotten, kept.invented) == pytest.approx((0, 0, 0), abs=0.01)


def nuisances():
    target = SAMPLE.truth.target
    rng = np.random.default_rng(0)
    whole = np.concatenate([SAMPLE.prompt.context, target])
    half = (WIDTH // 2, HEIGHT // 2)
    return {
        "a pixel aside": (0.93, shifted(target, [(1, 0)] * HALF)),  # of 112: two of the mini world's 224
        "jitter": (0.93, shifted(target, rng.uniform(-1, 1, (HALF, 2)))),
        "zoom": (0.93, views(wall(), TARGET, zoom=1.02)),
        "half resolution": (0.93, np.stack([cv2.resize(cv2.resize(f, half), (WIDTH, HEIGHT)) for f in target])),
        "gamma": (0.93, (255 * (target / 255.0) ** 0.85).round().astype(np.uint8)),
        "grain": (0.93, np.clip(target + rng.normal(0, 8, target.shape), 0, 255).astype(np.uint8)),
        "a frame late": (0.95, whole[HALF - 1 : 2 * HALF - 1]),
        "five frames late": (0.7, whole[HALF - 5 : 2 * HALF - 5]),
        # the wall's camera turns by up to ten pixels a frame
        "half the rate": (0.8, target[np.arange(HALF) // 2 * 2]),
    }


@pytest.mark.parametrize("name", list(nuisances()))
def test_what_nobody_sees_costs_little(name):
    least, video = nuisances()[name]
    assert fidelity(video) >= least


def tricks():
    context = SAMPLE.prompt.context
    rows = np.broadcast_to(context.mean(axis=(0, 2)).round()[:, None], context.shape[1:])
    columns = np.broadcast_to(context.mean(axis=(0, 1)).round()[None], context.shape[1:])
    stuck = still(rows)
    stuck[:, 20:50, 40:60] = context[0, 20:50, 40:60]
    share_ = np.linspace(0, 1, HALF)[:, None, None, None]
    return {
        "first": still(context[0]),
        "last": still(context[-1]),
        "another": still(context[HALF // 2]),
        "mirrored": still(context[0][:, ::-1]),
        "blurred": still(cv2.GaussianBlur(context[-1], (0, 0), 5)),
        "flat": still(np.broadcast_to(context.mean(axis=(0, 1, 2)), context.shape[1:])),
        "rows": still(rows),
        "columns": still(columns),
        "mean": still(context.mean(axis=0)),
        "median": still(np.median(context, axis=0)),
        "ramp": still(np.linspace(40, 200, WIDTH)[None, :, None] + np.zeros((HEIGHT, 1, 3))),
        "noise": np.random.default_rng(0).integers(0, 256, context.shape, dtype=np.uint8),
        "stickers": stuck,
        "stickers that come and go": np.where((TARGET < 15)[:, None, None, None], stuck, still(rows)),
        "backwards": context[::-1],
        "again": context,
        "backwards, slowly": context[::-1][np.arange(HALF) // 2],
        "fade": (context[-1] * (1 - share_) + context[0] * share_).astype(np.uint8),
    }


@pytest.mark.parametrize("name", list(tricks()))
def test_knowing_nothing_of_the_camera_is_worth_nothing(name):
    assert fidelity(tricks()[name]) == 0


def test_blur_costs_what_it_takes_away():
    target = SAMPLE.truth.target
    values = [fidelity(np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in target])) for s in (1, 3, 6)]
    assert values[0] > 0.9 > values[1] > values[2] > 0.2


def test_another_place_is_forgotten_and_invented():
    other = views(wall(seed=1), TARGET)
    assert fidelity(other) == 0
    flat = still(np.full((HEIGHT, WIDTH, 3), 120))
    assert share("forgotten", flat) == 1
    assert (share("invented", flat), share("displaced", flat)) == pytest.approx((0, 0), abs=1e-6)
    assert share("forgotten", other) > 0.3
    assert share("invented", other) > 0.3


def test_what_was_added_is_invented_and_what_was_there_is_not_forgotten():
    picture = wall()
    calm = picture.copy()
    calm[30:74, 280:400] = 120
    sample = make_sample(picture=calm)
    shown = make_case(views(picture, TARGET), sample)
    invented, forgotten = BackgroundShare("invented")(shown).value, BackgroundShare("forgotten")(shown).value
    assert invented > 0.05 and invented > 1.5 * forgotten
    blank = make_case(views(calm, TARGET), make_sample(picture=picture))
    forgotten, invented = BackgroundShare("forgotten")(blank).value, BackgroundShare("invented")(blank).value
    assert forgotten > 0.05 and forgotten > 1.5 * invented


def test_what_was_moved_is_displaced():
    picture = wall()
    moved = picture.copy()
    moved[52:] = np.roll(picture[52:], 5, axis=1)  # the lower half by five columns: two more than a shift can mend
    case = case_of(views(moved, TARGET))
    kept = structure_of(case)
    assert kept.displaced > 0.1
    assert kept.displaced > 2 * kept.forgotten


def test_where_the_camera_stands_a_still_is_the_truth_and_nothing_is_said():
    score = BackgroundFidelity()(make_case(sample=make_sample(np.concatenate([YAW[:HALF], np.zeros(HALF)]))))
    assert "the asked camera stands still" in score.reason


def test_where_the_context_backwards_is_the_truth_nothing_is_said():
    there = np.linspace(0, 40, HALF)
    sample = make_sample(np.concatenate([there, there[::-1]]))
    backwards = make_case(np.ascontiguousarray(sample.prompt.context[::-1]), sample)
    for case in (backwards, make_case(sample=sample)):
        assert "needs no memory (backwards at 1)" in BackgroundFidelity()(case).reason


def test_a_background_without_structure_asks_for_nothing():
    sample = make_sample(picture=np.full((HEIGHT + 40, 600, 3), 120, np.uint8))
    for metric in (BackgroundFidelity(), BackgroundShare("forgotten")):
        assert "no target frame shows the background" in (metric(make_case(sample=sample)).reason or "")


def test_the_family_stays_within_the_context():
    for name, rows in orders(77, 60).items():
        assert len(rows) == 60 and rows.min() >= 0, name
        assert rows.max() <= 76 + 60 * ("fade" in name), name
    assert orders(5, 5)["again at 2"].tolist() == [0, 2, 4, 2, 0]


def test_nothing_can_be_hidden_behind_what_looks_like_a_subject():
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in SAMPLE.truth.target])
    wrong = blurred.copy()
    wrong[:, :, WIDTH // 3 :] = still(SAMPLE.prompt.context[-1])[:, :, WIDTH // 3 :]
    where = np.tile(np.float32([WIDTH // 3, 0, WIDTH, HEIGHT]), (HALF, 1))
    everywhere = np.tile(np.float32([0, 0, WIDTH, HEIGHT]), (HALF, 1))
    found = []
    for boxes in (None, where, everywhere):
        case = case_of(wrong)
        case.tracks = () if boxes is None else (Track(id=1, boxes=boxes, scores=np.ones(HALF, np.float32)),)
        found.append(BackgroundFidelity()(case))
    assert found[0].reason is None and 0 < found[0].value < fidelity(blurred) - 0.2
    assert [score.value for score in found] == [found[0].value] * 3
    noise = case_of(np.random.default_rng(0).integers(0, 256, wrong.shape, np.uint8))
    noise.tracks = (Track(id=1, boxes=everywhere, scores=np.ones(HALF, np.float32)),)
    assert BackgroundFidelity()(noise).value == 0


def test_the_turned_frame_is_the_last_of_the_context_and_follows_the_asked_camera() -> None:
    """A camera that stands shows it as it is; one that turns by a quarter of the picture's width, moved by as much."""
    prompt = make_sample().prompt
    still = replace(prompt, target_poses=np.repeat(prompt.context_poses[-1:], 3, axis=0))
    family = turned_last_frame(still)
    assert len(family) == 4 and (prompt.context[-1] != prompt.context[0]).any()
    for name, video in family.items():
        np.testing.assert_array_equal(video, np.repeat(prompt.context[-1:], 3, axis=0), err_msg=name)
    angle = (WIDTH // 4) / prompt.intrinsics.focal
    right = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = still.target_poses.copy()
    turned[1, :3, :3] = turned[1, :3, :3] @ right
    moved = turned_last_frame(replace(still, target_poses=turned))["last frame moved round"]
    np.testing.assert_array_equal(moved[0], prompt.context[-1])
    np.testing.assert_array_equal(moved[1], np.roll(prompt.context[-1], -(WIDTH // 4), axis=1))
