"""Stories about a path, on paths drawn by hand: each story must win where it is true, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from hmbench.metrics.reentry.motion import across, compare_points, world_points
from hmbench.metrics.reentry.path_fit import bridged, fit_path
from hmbench.types import Intrinsics

HEIGHT = 1.7
TIMES = np.arange(154)
ARC = np.stack([3 * np.cos(TIMES / 40), 3 * np.sin(TIMES / 40), np.full(154, 0.9)], axis=1)
FRAMES = np.arange(90, 130)
EYES = np.tile([0.0, -12.0, 1.5], (len(FRAMES), 1))


def told(points):
    return fit_path(points, FRAMES, ARC, EYES, HEIGHT)


def best(fit):
    stories = ("on_time", "late", "beside", "still", "turned")
    return min(stories, key=lambda name: getattr(fit, name))


def test_on_its_path_in_time_there_is_no_shift():
    fit = told(ARC[FRAMES])
    assert (fit.on_time, fit.shift, fit.late) == (0, 0, 0)


@pytest.mark.parametrize("delay", [25, 8, -10])
def test_a_delay_is_read_off_in_frames(delay):
    fit = told(ARC[FRAMES - delay])
    assert fit.shift == delay
    assert fit.late == pytest.approx(0)
    assert best(fit) == "late"


@pytest.mark.parametrize(
    "points, story",
    [
        (ARC[FRAMES] + np.array([0.3, 1.6, 0.0]), "beside"),
        (np.repeat(ARC[90:91] + 0.2, len(FRAMES), axis=0), "still"),
        (2 * ARC[85] - ARC[FRAMES], "turned"),
    ],
)
def test_the_true_story_explains_most(points, story):
    fit = told(points)
    assert best(fit) == story
    assert getattr(fit, story) == pytest.approx(0, abs=1e-9)


def test_shifts_out_of_the_known_path_do_not_count():
    path = ARC.copy()
    path[:80] = np.nan
    fit = fit_path(ARC[FRAMES - 25], FRAMES, path, EYES, HEIGHT)
    assert fit.shift == 10
    assert fit.late > 0.1
    assert np.isnan(fit_path(ARC[FRAMES], FRAMES, np.full((154, 3), np.nan), EYES, HEIGHT).late)


def test_gaps_are_bridged_and_ends_are_not_made_up():
    path = np.full((6, 3), np.nan)
    path[1], path[4] = 0.0, 3.0
    got = bridged(path)
    np.testing.assert_allclose(got[1:5, 0], [0, 1, 2, 3])
    assert np.isnan(got[[0, 5]]).all()
    assert np.isnan(bridged(np.full((3, 3), np.nan))).all()


def test_depth_counts_less_than_what_is_across_the_view():
    rays = np.array([[0.0, 2.0, 0.0]])
    np.testing.assert_allclose(across(np.array([[1.0, 1.0, 0.0]]), rays), [[1.0, 0.35, 0.0]])


def test_jumping_boxes_of_a_standing_body_hardly_move_it():
    boxes = np.tile(np.array([40.0, 20.0, 50.0, 44.0], np.float32), (30, 1))
    lens, poses = Intrinsics(focal=100.0, width=90, height=60), np.tile(np.eye(4), (30, 1, 1))
    calm = world_points(boxes, poses, lens, HEIGHT)
    jumping = boxes.copy()
    jumping[::2, 1] -= 2
    points = world_points(jumping, poses, lens, HEIGHT)
    raw = 100.0 * HEIGHT / (jumping[:, 3] - jumping[:, 1])
    assert points[3:-3, 2].std() < 0.2 * raw[3:-3].std()
    motion = compare_points(points, calm, np.arange(30), np.zeros((30, 3)), HEIGHT)
    assert motion.speed_predicted < 0.01 * HEIGHT
