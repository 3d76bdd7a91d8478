"""Textures: no seam, exact mean levels."""

from __future__ import annotations

import numpy as np

from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.scenes.layout import box_sum
from hmbench.data.mini_world.shading import LAYER_ROWS
from hmbench.data.mini_world.textures import LAYERS, lattice_noise, mip_pyramid, texture_stack


def test_noise_wraps_without_a_seam() -> None:
    noise = lattice_noise(Stream("seam"), (64, 128), ((4, 30.0), (16, 10.0)))
    for axis in (0, 1):
        inner = np.abs(np.diff(noise, axis=axis)).mean()
        seam = np.abs(np.take(noise, 0, axis) - np.take(noise, -1, axis)).mean()
        assert seam < 1.5 * inner


def test_sky_wraps_without_a_seam() -> None:
    sky = build_scene(13).surroundings.sky[:96]  # above the skyline, whose houses may end anywhere
    inner = np.abs(np.diff(sky, axis=1)).mean()
    assert np.abs(sky[:, 0] - sky[:, -1]).mean() < 2.0 * inner + 0.2


def test_mip_levels_are_means() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 32, 4))
    flat = mip_pyramid(image, 3)
    assert len(flat) == 16 * 32 + 8 * 16 + 4 * 8
    second = flat[16 * 32 : 16 * 32 + 8 * 16].reshape(8, 16, 4)
    assert np.abs(second - image.reshape(8, 2, 16, 2, 4).mean((1, 3))).max() <= 0.5


def test_layers_are_mid_grey_so_that_tints_hold() -> None:
    stack = texture_stack()
    assert stack.shape == (len(LAYERS) * LAYER_ROWS, 4) and stack.dtype == np.uint8
    means = stack.reshape(len(LAYERS), LAYER_ROWS, 4)[:, : 256 * 256, :3].mean((1, 2))
    assert means.min() > 90 and means.max() < 165


def test_box_sum_equals_a_slow_one() -> None:
    image = np.random.default_rng(1).integers(0, 50, (7, 9)).astype(np.int32)
    padded = np.pad(image, 2, mode="edge")
    slow = [[padded[y : y + 5, x : x + 5].sum() for x in range(9)] for y in range(7)]
    assert np.array_equal(box_sum(image, 2), slow)
