"""Clean latents behind velocities."""

from __future__ import annotations

import pytest
import torch

from reference_model.model.clean_prediction import SMALLEST, level_of, linear_guess, velocity


@pytest.mark.parametrize("level", [0.2, 0.5, 0.9])
def test_the_guess_is_the_least_squares_one(level):
    g = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(200_000, 1, 1, 1, 1, generator=g) for _ in range(2))
    noisy = (1 - level) * clean + level * noise
    slope = float((noisy * clean).mean() / noisy.square().mean())
    guess = linear_guess(noisy, torch.tensor(level).view(1, 1, 1, 1, 1))
    assert float((guess / noisy).mean()) == pytest.approx(slope, abs=0.02)


def test_pure_noise_is_no_guess_and_clean_latents_are_their_own():
    noisy = torch.randn(1, 3, 2, 2, 2)
    at = lambda s: torch.tensor(s).view(1, 1, 1, 1, 1)  # noqa: E731
    assert not linear_guess(noisy, at(1.0)).any()
    torch.testing.assert_close(linear_guess(noisy, at(0.0)), noisy)


@pytest.mark.parametrize("level", [SMALLEST, 0.6, 1.0])
def test_a_perfect_prediction_gives_the_true_velocity(level):
    clean, noise = torch.randn(2, 1, 3, 2, 2, 2)
    at = torch.tensor(level).view(1, 1, 1, 1, 1)
    noisy = (1 - level) * clean + level * noise
    torch.testing.assert_close(velocity(noisy, clean, at), noise - clean, rtol=1e-4, atol=1e-4)
    # a step to level 0 lands on the prediction
    torch.testing.assert_close(noisy - level * velocity(noisy, clean, at), clean, rtol=1e-4, atol=1e-4)


def test_levels_of_token_frames_are_spread_over_their_latents():
    assert level_of(torch.tensor([250.0, 1000.0]), slice(3, None), 2).flatten().tolist() == [0.25, 1.0]
    each = torch.tensor([[0.0, 100.0, 200.0, 300.0]])
    found = level_of(each, slice(2, None), 2)
    assert found.shape == (1, 1, 4, 1, 1)
    torch.testing.assert_close(found.flatten(), torch.tensor([0.2, 0.2, 0.3, 0.3]))
