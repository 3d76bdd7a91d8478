"""Predictions without memory: what they show, and that they see nothing but the prompt."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.tricks import best_stickers, flat, gated_stickers, row_means_model, stickers, still
from hmbench.protocols import WorldModel
from hmbench.types import Intrinsics, Prompt

H, W, T = 40, 60, 20


def turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    return pose


@pytest.fixture
def prompt() -> Prompt:
    """A red square walks over a grey ramp; the camera looks away for the first half of the target."""
    context = np.broadcast_to(np.arange(H, dtype=np.uint8)[:, None, None] * 3, (T, H, W, 3)).copy()
    for t in range(T):
        context[t, 10:22, 2 * t : 2 * t + 10] = (220, 20, 20)
    away = np.stack([turned(40) if t < T // 2 else turned(0) for t in range(T)])
    return Prompt(
        context=context,
        context_poses=np.tile(np.eye(4), (T, 1, 1)),
        target_poses=away,
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=float(W), width=W, height=H),
    )


def test_still_repeats_the_frame_that_was_asked_for(prompt):
    assert (still().generate(prompt, seed=0) == prompt.context[0]).all()
    assert (still(frame=-1).generate(prompt, seed=0) == prompt.context[-1]).all()
    assert (still(frame=7).generate(prompt, seed=1) == prompt.context[7]).all()


def test_flat_is_the_mean_colour(prompt):
    video = flat().generate(prompt, seed=0)
    assert (video == np.rint(prompt.context.mean(axis=(0, 1, 2))).astype(np.uint8)).all()


def test_row_means_keep_what_is_the_same_along_a_row(prompt):
    video = row_means_model().generate(prompt, seed=0)
    assert (video[:, 30] == 90).all()  # below the square's path every pixel of the row is 3 * 30
    assert video[0, 15, 0, 0] == round(float(prompt.context[:, 15, :, 0].mean()))


def test_stickers_find_what_moved_and_paste_it_where_it_was(prompt):
    source, found = best_stickers(prompt)
    video = stickers().generate(prompt, seed=0)
    assert len(found) == 1
    square = (slice(12, 20), slice(2 * source + 2, 2 * source + 8))
    assert (video[:, square[0], square[1]] == (220, 20, 20)).all()


def test_gated_stickers_hide_while_the_camera_looks_elsewhere(prompt):
    gated, always = gated_stickers().generate(prompt, seed=0), stickers().generate(prompt, seed=0)
    nothing = row_means_model().generate(prompt, seed=0)
    assert (gated[: T // 2] == nothing[: T // 2]).all()
    assert (gated[T // 2 :] == always[T // 2 :]).all()
    assert not (always[0] == nothing[0]).all()


@pytest.mark.parametrize("make", [still, flat, row_means_model, stickers, gated_stickers])
def test_tables_know_that_they_remember_nothing(make, prompt):
    model = make()
    assert isinstance(model, WorldModel)
    assert model.info.standing == "no memory"
    video = model.generate(prompt, seed=0)
    assert video.dtype == np.uint8 and video.shape == (T, H, W, 3)
