"""Camera, delay and zoom of a prediction, read off a wall that is seen from a known camera; who follows and who not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hmbench.metrics.background.camera import CameraError, CameraFollowing, Lag, Zoom
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.background.registration import registration_of
from hmbench.types import Track
from tests.metrics.background.panorama import HALF, HEIGHT, WIDTH, away_and_back, make_case, make_sample, views, wall

YAW = away_and_back()
TARGET = YAW[HALF:]


def test_the_truth_stands_where_it_was_asked_to():
    case = make_case()
    assert CameraError()(case).value == pytest.approx(0, abs=1e-6)
    assert CameraFollowing()(case).value == pytest.approx(1)
    assert Lag()(case).value == 0
    assert Zoom()(case).value == pytest.approx(1, abs=1e-3)
    assert follows_camera(case).in_view.all()


@pytest.mark.parametrize(("turned", "pitch"), [(2.0, 0.0), (-2.0, 0.0), (0.0, 1.5), (4.0, 0.0)])
def test_a_camera_that_stands_beside_the_asked_one_is_off_by_its_angle(turned, pitch):
    case = make_case(views(wall(), TARGET + turned, pitch=pitch))
    error = CameraError()(case)
    assert error.value == pytest.approx(np.hypot(turned, pitch), abs=0.35)  # a view's pixel is 0.67 degrees
    assert error.details["share_of_path"] == pytest.approx(error.value / error.details["path"])
    assert CameraError(share=True)(case).value == error.details["share_of_path"]


def test_the_path_is_what_the_best_standing_camera_is_off_by():
    by_hand = np.abs(TARGET[:, None] - TARGET[None]).mean(axis=0).min()
    assert CameraError()(make_case()).details["path"] == pytest.approx(by_hand)


@pytest.mark.parametrize("late", [-3, 1, 2, 5])
def test_a_delay_is_read_off_and_taken_out(late):
    whole = np.concatenate([YAW, np.full(5, YAW[-1])])
    case = make_case(views(wall(), whole[HALF - late : 2 * HALF - late]))
    assert Lag()(case).value == late
    # five frames late, the way back is cut off at the end: what is not shown cannot be found there
    assert CameraError()(case).value < (0.5 if late < 5 else 1.5)
    assert follows_camera(case).follows and follows_camera(case).in_view.mean() >= 0.9


@pytest.mark.parametrize("zoom", [0.97, 1.02, 1.06])
def test_zoom_is_read_off(zoom):
    assert Zoom()(make_case(views(wall(), TARGET, zoom=zoom))).value == pytest.approx(zoom, abs=0.004)


def blurred(video, sigma):
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in video])


def test_a_blurred_pale_or_grainy_view_follows():
    target = make_sample().truth.target
    grain = np.random.default_rng(0).normal(0, 12, target.shape)
    shown = {
        "blurred": blurred(target, 5),
        "pale": (target // 6 + 100).astype(np.uint8),
        "grainy": np.clip(target + grain, 0, 255).astype(np.uint8),
        "twice": target[np.arange(HALF) // 2 * 2],
    }
    for name, video in shown.items():
        found = follows_camera(make_case(video))
        assert found.follows and found.share > 0.6, (name, found.share)
        assert found.in_view.mean() > 0.9, name


def memoryless(context):
    """Pictures that know nothing of the camera, each one frame."""
    rows = np.broadcast_to(context.mean(axis=(0, 2)).round()[:, None], context.shape[1:]).astype(np.uint8)
    columns = np.broadcast_to(context.mean(axis=(0, 1)).round()[None], context.shape[1:]).astype(np.uint8)
    ramp = np.linspace(40, 200, WIDTH)[None, :, None] + np.zeros((HEIGHT, 1, 3))
    return {
        "first": context[0],
        "last": context[-1],
        "mirrored": context[0][:, ::-1],
        "blurred": cv2.GaussianBlur(context[0], (0, 0), 6),
        "mean": context.mean(axis=0).astype(np.uint8),
        "flat": np.full_like(context[0], 128),
        "rows": rows,
        "columns": columns,
        "ramp": ramp.astype(np.uint8),
    }


@pytest.mark.parametrize("name", list(memoryless(make_sample().prompt.context)))
def test_what_does_not_change_follows_by_nothing(name):
    picture = memoryless(make_sample().prompt.context)[name]
    case = make_case(np.repeat(picture[None], HALF, axis=0))
    found = follows_camera(case)
    assert found.follows is False
    assert found.share == pytest.approx(0, abs=0.02)  # delays leave a few frames out, else it is exact
    assert not found.in_view.any()
    for metric in (Lag(), Zoom()):
        assert metric(case).reason == "the background does not follow the asked camera"


def test_stickers_and_noise_do_not_follow():
    sample = make_sample()
    context = sample.prompt.context
    rows = np.repeat(memoryless(context)["rows"][None], HALF, axis=0)
    stuck = rows.copy()
    stuck[:, 20:50, 40:60] = context[0, 20:50, 40:60]
    gated = np.where((TARGET < 15)[:, None, None, None], stuck, rows)
    noise = np.random.default_rng(0).integers(0, 256, rows.shape, dtype=np.uint8)
    for video in (stuck, gated, noise):
        found = follows_camera(make_case(video, sample))
        assert found.follows is False and found.share < 0.03, found.share


def test_another_place_does_not_follow():
    found = follows_camera(make_case(views(wall(seed=1), TARGET)))
    assert found.follows is False and abs(found.share) < 0.3


def test_a_standing_camera_asks_nobody_to_follow():
    sample = make_sample(np.concatenate([YAW[:HALF], np.zeros(HALF)]))
    case = make_case(sample=sample)
    assert follows_camera(case).follows is None and follows_camera(case).in_view.all()
    for metric in (CameraFollowing(), CameraError(share=True), Lag()):
        assert "stands still" in (metric(case).reason or "")
    assert CameraError()(case).value == pytest.approx(0, abs=1e-6)


def test_flat_pictures_have_no_camera():
    case = make_case(np.full((HALF, HEIGHT, WIDTH, 3), 90, np.uint8))
    for metric in (CameraError(), CameraError(share=True)):
        assert "cannot be found again" in (metric(case).reason or "")


def test_subjects_do_not_count():
    """What keeps its place in the picture is no background if the target's mask has it; a track hides nothing."""
    target = make_sample().truth.target.copy()
    target[:, 8:56, 20:92] = np.random.default_rng(3).integers(0, 256, (48, 72, 3))
    alone = registration_of(make_case(target))
    boxes = np.tile(np.array([20, 8, 92, 56], np.float32), (HALF, 1))
    case = make_case(target)
    case.tracks = (Track(id=1, boxes=boxes, scores=np.ones(HALF, np.float32)),)
    assert np.array_equal(registration_of(case).found, alone.found)
    labels = np.zeros(target.shape[:3], np.uint8)
    labels[:, 8:56, 20:92] = 1
    sample = make_sample()
    masked = replace(sample, truth=replace(sample.truth, target_labels=labels))
    assert registration_of(make_case(target, masked)).found.mean() > 0.97  # there both sides know what to leave out
