"""Overlap of views against exact sectors, against counting point by point, and in cases that anybody can check."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from camera_rows import camera, path, random_cameras

from baselines.overlap import (
    PUBLISHED,
    Lens,
    ball_points,
    frustum_points,
    mean_camera,
    overlap,
    rays_meet,
    seen,
)

WIDE = Lens(60.0, 40.0, 10.0)


def one(asking, asked, lens=WIDE, **options) -> float:
    return float(overlap(path(asking), path(asked), lens, **options)[0, 0, 0])


def sector(yaw: float, x: float, z: float, lens: Lens, steps: int = 400) -> list[tuple[float, float]]:
    """Corners of a sector seen from above, counter-clockwise in (z, x)."""
    half = math.radians(lens.horizontal / 2)
    angles = np.linspace(-half, half, steps) + math.radians(yaw)
    return [(z, x), *((z + lens.radius * math.cos(a), x + lens.radius * math.sin(a)) for a in angles)]


def area(corners: list[tuple[float, float]]) -> float:
    after = corners[1:] + corners[:1]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, after, strict=True))) / 2


def clip(corners: list[tuple[float, float]], by: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Sutherland and Hodgman: what of one polygon lies inside another convex one."""
    for a, b in zip(by, [*by[1:], by[0]], strict=True):
        side = [(b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) for p in corners]
        kept: list[tuple[float, float]] = []
        for i, (p, s) in enumerate(zip(corners, side, strict=True)):
            q, t = corners[i - 1], side[i - 1]
            if (s >= 0) != (t >= 0):
                w = t / (t - s)
                kept.append((q[0] + w * (p[0] - q[0]), q[1] + w * (p[1] - q[1])))
            if s >= 0:
                kept.append(p)
        corners = kept
        if not corners:
            break
    return corners


@pytest.mark.parametrize("seed", range(12))
def test_equals_exact_sectors(seed) -> None:
    rng = np.random.default_rng(seed)
    lens = Lens(float(rng.uniform(30, 110)), 0.0, float(rng.uniform(4, 15)))
    (yaw_q, yaw_m), (x_q, z_q, x_m, z_m) = rng.uniform(-60, 60, 2), rng.uniform(-3, 3, 4)
    asking, asked = sector(yaw_q, x_q, z_q, lens), sector(yaw_m, x_m, z_m, lens)
    expected = area(clip(asking, asked)) / area(asking)
    found = one(camera(yaw_q, x_q, z_q), camera(yaw_m, x_m, z_m), lens, points=4000)
    assert found == pytest.approx(expected, abs=0.01)


def test_the_sector_twin_itself() -> None:
    lens = Lens(90.0, 0.0, 2.0)
    assert area(sector(0, 0, 0, lens)) == pytest.approx(math.pi, rel=1e-4)
    assert area(clip(sector(0, 0, 0, lens), sector(30, 0, 0, lens))) == pytest.approx(math.pi * 2 / 3, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_equals_counting_random_points(seed) -> None:
    """Each point by itself: inside the ball, in front, and between the four planes of azimuth and elevation."""
    rng = np.random.default_rng(seed)
    settings = [{"yaw": rng.uniform(-40, 40), "x": rng.uniform(-2, 2), "z": rng.uniform(-2, 2)} for _ in range(2)]
    lens = Lens(70.0, 50.0, 6.0)

    def sees(point, yaw, x, z) -> bool:
        right, down, ahead = point[0] - x, point[1], point[2] - z
        turned = math.degrees(math.atan2(right, ahead)) - yaw
        turned = (turned + 180) % 360 - 180
        raised = math.degrees(math.asin(down / math.dist(point, (x, 0, z))))
        return abs(turned) <= 35 and abs(raised) <= 25 and math.dist(point, (x, 0, z)) <= 6.0

    first = second = 0
    for point in rng.uniform(-9, 9, (25_000, 3)):
        if sees(point, **settings[0]):
            first += 1
            second += sees(point, **settings[1])
    found = one(camera(**settings[0]), camera(**settings[1]), lens, points=4000)
    assert found == pytest.approx(second / first, abs=0.05)


@pytest.mark.parametrize("turn", [0, 10, 25, 45, 60, 80])
def test_a_turn_on_the_spot_loses_its_share_of_the_angle(turn) -> None:
    assert one(camera(), camera(yaw=turn)) == pytest.approx(max(0.0, 1 - turn / 60), abs=0.01)
    assert one(camera(yaw=170), camera(yaw=170 + turn)) == pytest.approx(max(0.0, 1 - turn / 60), abs=0.01)


def test_looking_up_loses_its_share_of_the_height() -> None:
    found = one(camera(), camera(pitch=20.0), Lens(10.0, 40.0, 5.0))
    assert found == pytest.approx(0.5, abs=0.02)


def test_back_to_back_and_far_away_see_nothing_in_common() -> None:
    assert one(camera(), camera(yaw=180)) == 0.0
    assert one(camera(), camera(x=25.0)) == 0.0


def test_batches_and_frames_stay_apart() -> None:
    asking = torch.stack([torch.stack([camera(), camera(yaw=30)]), torch.stack([camera(yaw=90), camera()])])
    asked = torch.stack([torch.stack([camera()]), torch.stack([camera(yaw=90)])])
    found = overlap(asking, asked, WIDE)[..., 0]
    assert found == pytest.approx(torch.tensor([[1.0, 0.5], [1.0, 0.0]]), abs=0.01)


def test_overlap_does_not_depend_on_the_world_frame() -> None:
    """The transformer's cameras are relative to the first target camera; the choice of origin must not matter."""
    pair = [camera(10, 1, 2), camera(35, 2, -1)]
    shift = np.eye(4)
    shift[:3] = camera(77, -5, 3).numpy().reshape(3, 4)
    moved = []
    for pose in pair:
        full = np.eye(4)
        full[:3] = pose.numpy().reshape(3, 4)
        moved.append(torch.tensor((shift @ full)[:3].ravel(), dtype=torch.float32))
    assert one(*moved) == pytest.approx(one(*pair), abs=0.004)


def test_mixed_precision_changes_nothing() -> None:
    """Training under autocast must retrieve the frames that sampling retrieves."""
    asking, asked = random_cameras(1, 5, seed=1), random_cameras(1, 6, seed=2)
    expected = overlap(asking, asked, WIDE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(overlap(asking, asked, WIDE), expected)


def test_points_are_even() -> None:
    points = frustum_points(WIDE, 4000)
    distance = points.norm(dim=1)
    assert distance.max() <= WIDE.radius
    assert (distance < WIDE.radius / 2).float().mean() == pytest.approx(1 / 8, abs=0.01)
    assert (points[:, 0] > 0).float().mean() == pytest.approx(0.5, abs=0.01)
    assert seen(points, camera(), WIDE).all()
    ball = ball_points(3.0, 4000)
    assert ball.mean(0) == pytest.approx(torch.zeros(3), abs=0.03)
    assert (ball.norm(dim=1) < 1.5).float().mean() == pytest.approx(1 / 8, abs=0.01)


def test_rays_meet_only_where_views_converge() -> None:
    target = path(camera())

    def rule(asked, near=0.2, radius=10.0) -> bool:
        return bool(rays_meet(target, path(asked), Lens(60.0, 0.0, radius), near=near)[0, 0, 0])

    assert rule(camera(yaw=-60, x=4, z=1))  # from the right, looking left across the view
    assert not rule(camera())
    assert not rule(camera(yaw=30))  # a turn on the spot
    assert not rule(camera(z=-2))  # the same heading, behind
    assert not rule(camera(yaw=-60, x=4, z=1), radius=2.0)
    assert not rule(camera(yaw=-60, x=4, z=1), near=8.0)


def test_mean_camera() -> None:
    middle = mean_camera(path(camera(yaw=10, x=1), camera(yaw=50, x=3)))[0]
    assert middle == pytest.approx(camera(yaw=30, x=2), abs=1e-5)
    rotation = mean_camera(torch.zeros(1, 2, 12)).unflatten(-1, (3, 4))[0, :, :3]  # cameras dropped in training
    assert torch.isfinite(rotation).all()
    some = random_cameras(3, 4)
    rotation = mean_camera(some).unflatten(-1, (3, 4))[..., :3]
    assert rotation @ rotation.mT == pytest.approx(torch.eye(3).expand(3, 3, 3), abs=1e-5)
    assert torch.linalg.det(rotation) == pytest.approx(torch.ones(3), abs=1e-5)


def test_the_mean_of_half_turns_is_a_rotation_and_no_mirror() -> None:
    """Half turns about the three axes have the mean -1/3 of the identity, whose nearest orthogonal matrix mirrors."""
    turns = torch.stack([torch.diag(torch.tensor(signs)) for signs in ((1.0, -1, -1), (-1, 1.0, -1), (-1, -1, 1.0))])
    cameras = torch.cat([turns, torch.zeros(3, 3, 1)], dim=-1).flatten(1)[None]
    rotation = mean_camera(cameras).unflatten(-1, (3, 4))[0, :, :3]
    assert float(torch.linalg.det(rotation)) == pytest.approx(1, abs=1e-5)


def test_published_values() -> None:
    assert PUBLISHED["worldmem"] == (105.0, 75.0, 30.0)
    assert PUBLISHED["worldplay"] == (60.0, 35.0, 8.0)
