"""A plane sweep as memory: what stands still is in place at any distance, what moves comes back frozen."""

from __future__ import annotations

import numpy as np
from panorama import HEIGHT, LENS, WIDTH, prompt, rays, turned

from baselines.nearest_view import nearest_view
from baselines.static_cache import static_cache
from hmbench.protocols import WorldModel
from hmbench.types import Prompt

WALLS = ((np.inf, 0.0), (6.0, 0.7))
"""Distance of two textured walls, and from which height on (metres, down) the nearer one stands."""


def texture(x, y, seed):
    """Smooth colours of a point on a wall, metres to ``[..., 3]``."""
    chance = np.random.default_rng(seed)
    total = np.zeros((*x.shape, 3))
    for _ in range(24):
        way, phase = chance.normal(0, 3.2, 2), chance.uniform(0, 6.28, 3)
        total += np.sin((way[0] * x + way[1] * y)[..., None] + phase)
    return np.clip(127.5 + 12 * total, 20, 235)


def scene(pose):
    """A wall that is very far, and a nearer one in the lower part, seen by a camera that does not turn."""
    way = rays()
    far = texture(way[..., 0] * 20, way[..., 1] * 20, 1)
    point = pose[:3, 3] + way * (WALLS[1][0] - pose[2, 3])
    near = texture(point[..., 0] * 2, point[..., 1] * 2, 2)
    return np.where((point[..., 1] > WALLS[1][1])[..., None], near, far).round().astype(np.uint8)


def clip(past, future):
    return Prompt(
        context=np.stack([scene(pose) for pose in past]),
        context_poses=np.stack(past),
        target_poses=np.stack(future),
        caption="",
        fps=15.0,
        intrinsics=LENS,
    )


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_a_camera_that_travels_sees_near_things_where_they_are():
    past = [turned(0.0, (x, 0.0, 0.0)) for x in np.linspace(-1.0, 1.0, 6)]
    future = [turned(0.0, (0.0, 0.0, 0.0))]
    truth, given = scene(future[0]), clip(past, future)
    swept, plain = (model.generate(given, seed=0)[0] for model in (static_cache(), nearest_view()))
    lower = np.s_[HEIGHT // 2 + 20 : -2, 8:-8]
    assert psnr(swept[lower], truth[lower]) > 27 > 17 > psnr(plain[lower], truth[lower])
    upper = np.s_[2 : HEIGHT // 2, 8:-8]
    assert psnr(swept[upper], truth[upper]) > 35


def test_a_camera_that_only_turns_is_what_nearest_view_does():
    given = prompt([turned(-0.2), turned(0.2)], [turned(0.0), turned(0.1)])
    a, b = (model.generate(given, seed=0).astype(int) for model in (static_cache(), nearest_view()))
    assert np.abs(a - b)[:, 1:-1, 1:-1].max() <= 4


def test_what_moved_comes_back_where_it_was_last_seen():
    past = [turned(0.0, (x, 0.0, 0.0)) for x in np.linspace(-1.0, 1.0, 6)]
    given = clip(past, [turned(0.0)])
    places = (60, 20, 70, 40, 12, 52)
    for frame, column in zip(given.context, places, strict=True):
        frame[8:16, column : column + 8] = (255, 0, 255)
    made = static_cache().generate(given, seed=0)[0].astype(int)
    pink = np.flatnonzero((np.abs(made - (255, 0, 255)).sum(axis=2) < 30).any(axis=0))
    # the nearest view is painted, moved by what its surroundings were taken for: once, and nowhere else
    shown = [column for column in places if len(pink) and column - 4 <= pink.min() and pink.max() < column + 24]
    assert len(pink) >= 4 and shown


def test_where_views_never_agree_nothing_is_broken_into_pieces():
    """What flickers has no depth at which it fits: it stays as the nearest view shows it."""
    past = [turned(0.0, (x, 0.0, 0.0)) for x in (-0.9, -0.5, -0.1, 0.3, 0.7)]
    given, chance = clip(past, [turned(0.0)]), np.random.default_rng(0)
    for frame in given.context:
        frame[6:18] = chance.integers(0, 256, (12, WIDTH, 3))
    made = static_cache().generate(given, seed=0)[0]
    np.testing.assert_array_equal(made[9:15, 4:-4], given.context[2, 9:15, 4:-4])


def test_it_is_a_world_model_and_the_seed_changes_nothing():
    model, given = static_cache(), prompt([turned(0.1), turned(0.0)], [turned(0.05)] * 2)
    assert isinstance(model, WorldModel) and model.info.trained is None
    frames = model.generate(given, seed=0)
    assert frames.shape == (2, HEIGHT, WIDTH, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, model.generate(given, seed=7))


def test_what_nobody_saw_repeats_an_edge():
    made = static_cache().generate(prompt([turned(0.0)], [turned(0.3)]), seed=0)[0]
    assert made[:, -1].std(axis=1).max() > 0 and not (made == 0).all(axis=2).any()
