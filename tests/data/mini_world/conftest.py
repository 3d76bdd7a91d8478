"""Clips that several tests look at, drawn once: 112 x 64 and 42 frames are big enough for every rule."""

from __future__ import annotations

import pytest

from hmbench.data.mini_world import ClipSpec, RenderedClip, render_clip

SIZE = (112, 64)
HALF = 21
PAIR = ClipSpec(scene=5, subjects=(9, 34), subject_path=3, camera_path=2, seed=489397)
"""A man and a cat on the market square, weaving; the camera stands still."""
ALONE = ClipSpec(scene=9, subjects=(26,), subject_path=0, camera_path=1, seed=11)
"""A robot in the museum, straight ahead; the camera follows."""
FOREST = ClipSpec(scene=15, subjects=(45, 0, 38), subject_path=1, camera_path=9, seed=4)
"""A cart, a woman and a deer between pines; the camera stands still."""


@pytest.fixture(scope="package")
def pair() -> RenderedClip:
    return render_clip(PAIR, SIZE, half=HALF)


@pytest.fixture(scope="package")
def alone() -> RenderedClip:
    return render_clip(ALONE, SIZE, half=HALF)


@pytest.fixture(scope="package")
def forest() -> RenderedClip:
    return render_clip(FOREST, SIZE, half=HALF)
