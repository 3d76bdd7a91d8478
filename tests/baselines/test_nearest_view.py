"""Geometry alone as memory: a camera that turns on the spot is followed exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from panorama import HEIGHT, WIDTH, painted, prompt, turned

from baselines.nearest_view import nearest_view, spread_views, view_distance
from hmbench.protocols import WorldModel


def test_far_scenery_is_repainted_from_any_direction_that_was_seen():
    past = [turned(yaw) for yaw in np.linspace(-0.4, 0.4, 9)]
    future = [turned(yaw) for yaw in (-0.33, 0.0, 0.07, 0.36)]
    made = nearest_view().generate(prompt(past, future), seed=0)
    truth = np.stack([painted(pose) for pose in future])
    inner = np.s_[:, 1:-1, 1:-1]
    assert np.abs(made[inner].astype(int) - truth[inner]).max() <= 4


def test_several_views_cover_what_one_does_not():
    past, future = [turned(-0.2), turned(0.2)], [turned(0.0)]
    made = nearest_view().generate(prompt(past, future), seed=0)[0].astype(int)
    assert np.abs(made - painted(future[0]))[1:-1, 1:-1].max() <= 4


def test_what_nobody_saw_repeats_the_nearest_edge():
    made = nearest_view().generate(prompt([turned(0.0), turned(-0.3)], [turned(0.3)]), seed=0)[0]
    right = made[:, -1].astype(int)
    assert np.abs(right - painted(turned(0.0))[:, -1]).mean() < 25
    assert made.std() > 0


def test_nearer_views_win_and_distance_counts_as_turn():
    poses = np.stack([turned(0.0), turned(math.radians(10)), turned(0.0, (5.0, 0, 0))])
    np.testing.assert_allclose(view_distance(poses[:1], poses), [[0.0, 10.0, 20.0]], atol=1e-5)


def test_views_are_spread_and_the_latest_of_equals_is_taken():
    distance = np.array([3.0, 1.0, 1.0, 8.0])
    place = np.array([3.0, 1.0, 1.0, -8.0])
    between = np.abs(place[:, None] - place)
    assert spread_views(distance, between, 3, 2.0) == [2, 0, 3]
    assert spread_views(distance, between, 1, 2.0) == [2]


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_a_world_model_and_the_seed_changes_nothing(seed):
    model, given = nearest_view(), prompt([turned(0.1), turned(0.0)], [turned(0.05)] * 3)
    assert isinstance(model, WorldModel) and model.info.trained is None
    frames = model.generate(given, seed=seed)
    assert frames.shape == (3, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, model.generate(given, seed=7))
