"""Clips that several tests look at, drawn once: 112 x 64 and 42 frames are big enough for every rule."""

from __future__ import annotations

import pytest

from hmbench.data.mini_world import ClipSpec, RenderedClip, render_clip

SIZE = (112, 64)
HALF = 21
PAIR = ClipSpec(scene=5, subjects=(10, 34), subject_path=5, camera_path=5, seed=23)
"""A man and a cat on the market square, weaving; the camera backs away at an angle."""
ALONE = ClipSpec(scene=9, subjects=(25,), subject_path=8, camera_path=17, seed=97)
"""A robot in the museum that turns round; the camera glides sideways."""
FOREST = ClipSpec(scene=15, subjects=(46, 7, 36), subject_path=9, camera_path=26, seed=358)
"""A drone, a woman and a bear between pines; the camera backs away."""


@pytest.fixture(scope="package")
def pair() -> RenderedClip:
    return render_clip(PAIR, SIZE, half=HALF)


@pytest.fixture(scope="package")
def alone() -> RenderedClip:
    return render_clip(ALONE, SIZE, half=HALF)


@pytest.fixture(scope="package")
def forest() -> RenderedClip:
    return render_clip(FOREST, SIZE, half=HALF)
