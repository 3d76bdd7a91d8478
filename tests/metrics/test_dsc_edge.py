"""Where subjects exit and re-enter, the released DSC reads the wrong place: measured on one red body before a wall.

The toy is the released input, pixel for pixel, with mean colours of patches in place of CLIP's tokens: what is not in a
patch cannot be in a token that has seen that patch alone, and here it is known where red is.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hmbench.metrics.dsc_reference import region_features
from hmbench.networks.encoders import ClipMaps, ClipSubjects

H, W, WIDE = 480, 832, 60
WALL, RED = (110, 110, 150), (220, 40, 40)
CROP = (0.211, 0.789)
"""Share of the width that CLIP's centre crop leaves at 832x480."""


class ColourMaps(ClipMaps):
    """The released script's crop, and the mean colour of each of its 14 x 14 patches."""

    def __init__(self):
        super().__init__(SimpleNamespace(config=SimpleNamespace(image_size=224, patch_size=16), device="cpu"))

    def _map(self, images):
        return nn.functional.adaptive_avg_pool2d(images, 14) - 0.5


class ColourTokens:
    """In CLIP's place: the mean colour of each patch, and one token before them."""

    config = SimpleNamespace(image_size=224, hidden_size=3)
    device = "cpu"

    def __call__(self, pixel_values):
        patches = nn.functional.adaptive_avg_pool2d(pixel_values, 14).flatten(2).transpose(1, 2)
        return SimpleNamespace(last_hidden_state=torch.cat([patches[:, :1], patches], dim=1))


def scene(u: float):
    """A frame with the body centred at the share `u` of its width, the same without it, and its box."""
    empty = np.full((1, H, W, 3), WALL, np.uint8)
    x0, x1 = max(0, round(u * W - WIDE / 2)), min(W, round(u * W + WIDE / 2))
    full = empty.copy()
    full[:, 150:400, x0:x1] = RED
    return full, empty, np.array([[x0, 150, x1, 400]], np.float32)


def moved(encode, u: float) -> float:
    """How far the body's presence moves its own box's unit feature: 0 if the box does not read it."""
    full, empty, box = scene(u)
    return float((encode(full, box) - encode(empty, box)).norm())


def released(video, box):
    return region_features(ColourMaps(), video, box)


def repaired(video, box):
    return ClipSubjects(ColourTokens()).crops(video, box)


@pytest.mark.parametrize("u", [0.04, 0.1, 0.2, 0.25, 0.75, 0.8, 0.9, 0.96])
def test_the_released_dsc_does_not_read_a_subject_near_the_edge_and_the_repaired_one_does(u):
    assert moved(released, u) == pytest.approx(0, abs=1e-6)
    assert moved(repaired, u) > 0.5


def test_in_the_middle_both_read_it():
    assert moved(released, 0.5) > 0.5
    assert moved(repaired, 0.5) > 0.5


@pytest.mark.parametrize(
    "u, seen", [(CROP[0] - 0.04, False), (CROP[0] + 0.04, True), (CROP[1] - 0.04, True), (CROP[1] + 0.04, False)]
)
def test_outside_the_centre_crop_a_subject_is_not_even_in_the_picture(u, seen):
    full, empty, _ = scene(u)
    maps = ColourMaps()
    assert bool((maps.maps(full) != maps.maps(empty)).any()) == seen
