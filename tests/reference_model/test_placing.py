"""Positions in the world: tokens that show one place have equal angles, wherever the camera stood."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference_model.model.placing import FINENESS, WORLD_THETA, Placing, world_dims
from reference_model.model.rope import grid_positions, rotation

VIEW, ROWS, COLUMNS = 40.0, 6, 10
ASPECT = 0.6


def placing(kind="world", depths=(4.0, 9.0), heads=2, content=0):
    return Placing(
        kind=kind,
        head_dim=12,
        heads=heads,
        picture=(ROWS, COLUMNS),
        aspect=ASPECT,
        field_of_view=VIEW,
        depths=depths,
        content=content,
    )


def pose(yaw=0.0, pitch=0.0, at=(0.0, 0.0, 0.0)):
    """Camera-to-world, OpenCV axes: yaw turns right, pitch turns up."""
    c, s, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.concatenate((turn, np.array(at, float)[:, None]), axis=1)


def seen_at(point, camera):
    """Row and column (of token centres) and depth at which a camera shows a point: an independent pinhole."""
    x, y, z = camera[:, :3].T @ (np.asarray(point) - camera[:, 3])
    half = math.tan(math.radians(VIEW) / 2)
    return (y / z / (half * ASPECT) + 1) / 2 * ROWS - 0.5, (x / z / half + 1) / 2 * COLUMNS - 0.5, z


def world(camera, row, column, **changes):
    rows = torch.tensor(camera.reshape(1, 1, 12))
    return placing(**changes).in_world(torch.tensor([[7.0, row, column]], dtype=torch.float64), rows)[0, 0]


def test_on_the_grid_cameras_do_not_matter():
    places = grid_positions(torch.arange(3), torch.arange(ROWS), torch.arange(COLUMNS))
    found = placing("grid").turn(places, torch.randn(2, len(places), 12))
    torch.testing.assert_close(found.cos, rotation(places, 12).cos)


def test_a_camera_that_turns_on_the_spot_moves_tokens_by_their_own_width():
    middle = (COLUMNS - 1) / 2
    straight = world(pose(), (ROWS - 1) / 2, middle)
    turned = world(pose(yaw=math.radians(VIEW) * 3 / COLUMNS), (ROWS - 1) / 2, middle)
    assert straight[:, 1:].abs().max() < 1e-9
    torch.testing.assert_close(turned[:, 2], torch.full((2,), 3.0, dtype=torch.float64))
    assert straight[:, 0].tolist() == [7.0, 7.0]


def test_two_cameras_agree_on_a_point_at_the_assumed_depth():
    """Where the depth is right the same place has the same angles; where it is wrong it has not."""
    first = pose(yaw=0.2, pitch=0.05, at=(1.0, -0.3, 0.5))
    ray = np.array([0.1, 0.05, 1.0])
    point = first[:, 3] + 4.0 * first[:, :3] @ ray
    # another camera, put so that the point is 4 m deep for it as well
    second = pose(yaw=-0.3, pitch=-0.1)
    second[:, 3] = point - 4.0 * second[:, :3] @ np.array([-0.15, 0.02, 1.0])
    a, b = (world(camera, *seen_at(point, camera)[:2]) for camera in (first, second))
    assert seen_at(point, second)[2] == pytest.approx(4.0)
    torch.testing.assert_close(a[0, 1:], b[0, 1:])
    assert (a[1, 2] - b[1, 2]).abs() > 0.3
    expected = math.atan2(point[0], point[2]) / math.radians(VIEW) * COLUMNS
    assert a[0, 2] == pytest.approx(expected)


def test_far_scenery_does_not_depend_on_where_the_camera_stands():
    a, b = (world(pose(yaw=0.3, at=at), 1, 2, depths=(1e6,)) for at in ((0, 0, 0), (3.0, 1.0, -2.0)))
    torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_heads_take_depths_in_turn_and_clips_their_own_cameras():
    cameras = torch.tensor(np.stack([pose(at=(1, 0, 0)), pose(at=(-1, 0, 0))]).reshape(2, 1, 12))
    found = placing(heads=4).in_world(torch.tensor([[0.0, 2.0, 4.0]]), cameras)
    assert found.shape == (2, 1, 4, 3)
    torch.testing.assert_close(found[:, :, :2], found[:, :, 2:])
    assert found[0, 0, 0, 2] > 0 > found[1, 0, 0, 2]
    assert placing(heads=4).turn(torch.zeros(1, 3), cameras).cos.shape == (2, 1, 4, 6)


def test_cameras_that_guidance_sets_to_zero_give_finite_angles():
    assert torch.isfinite(placing().turn(torch.zeros(1, 3), torch.zeros(1, 1, 12)).cos).all()


def test_heads_of_depth_nought_see_the_pictures_own_grid():
    """What the camera takes along stays where it is on the picture, however the camera turns or travels."""
    for camera in (pose(), pose(yaw=0.7, at=(3.0, 0.0, -2.0))):
        found = world(camera, 1, 8, depths=(0.0, 9.0))
        assert found[0].tolist() == [7.0, 1 - (ROWS - 1) / 2, 8 - (COLUMNS - 1) / 2]
    assert world(pose(yaw=0.7), 1, 8, depths=(0.0, 9.0))[1, 2] != found[0, 2]


def test_channels_of_content_are_not_turned_and_the_others_as_without_them():
    """The last channels of a head keep what they hold; of the others half follow yaw, ever more slowly."""
    camera = torch.tensor(pose(yaw=0.3, at=(1.0, 0.0, 2.0)).reshape(1, 1, 12))
    place = torch.tensor([[3.0, 1.0, 2.0]])
    angles = placing(content=4).turn(place, camera)
    assert angles.cos.shape == (1, 1, 2, 6)
    assert (angles.cos[..., 4:] == 1).all() and (angles.sin[..., 4:] == 0).all()
    assert (angles.sin[..., :4] != 0).all()
    without = replace(placing(), head_dim=8).turn(place, camera)
    assert torch.equal(angles.cos[..., :4], without.cos) and torch.equal(angles.sin[..., :4], without.sin)
    assert world_dims(8) == (2, 2, 4)
    time, pitch, yaw = placing(content=4).in_world(place, camera)[0, 0].unbind(-1)
    expected = torch.stack((time, FINENESS * pitch, FINENESS * yaw, FINENESS / math.sqrt(WORLD_THETA) * yaw), dim=-1)
    torch.testing.assert_close(angles.cos[0, 0, :, :4], expected.cos().float())
    torch.testing.assert_close(angles.sin[0, 0, :, :4], expected.sin().float())
