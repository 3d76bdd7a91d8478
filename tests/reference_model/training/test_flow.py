"""Noise, levels and loss: against written-out formulas, and the same for any number of processes."""

from __future__ import annotations

import math

import pytest
import torch

from reference_model.training.config import FlowConfig, OptimizerConfig
from reference_model.training.flow import (
    GRID,
    LatentBatch,
    add_noise,
    channel_weights,
    flow_loss,
    level_weights,
    noise_levels,
)
from reference_model.training.randomness import clip_order, normal


def clips(batch=4):
    g = torch.Generator().manual_seed(1)
    return LatentBatch(
        context=torch.randn(batch, 3, 5, 2, 2, generator=g),
        target=torch.randn(batch, 3, 4, 2, 2, generator=g),
        cameras=(torch.randn(batch, 5, 12, generator=g), torch.randn(batch, 4, 12, generator=g)),
        text=torch.randn(batch, 6, 8, generator=g),
        subjects=torch.rand(batch, 4, 2, 2, generator=g),
    )


def part(batch, rows):
    c = batch
    return LatentBatch(
        context=c.context[rows], target=c.target[rows],
        cameras=(c.cameras[0][rows], c.cameras[1][rows]), text=c.text[rows], subjects=c.subjects[rows],
    )  # fmt: skip


PLAIN = FlowConfig(shift=3.0, text_dropout=0.0)


def test_levels_follow_the_shift_formula():
    levels = noise_levels(5.0)
    assert len(levels) == GRID and levels[0] == 1.0
    u = 1 - 250 / GRID
    assert float(levels[250]) == pytest.approx(5 * u / (1 + 4 * u))
    assert torch.equal(noise_levels(1.0), torch.linspace(1, 0, GRID + 1, dtype=torch.float64)[:-1])


def test_weights_are_the_released_bell():
    levels = noise_levels(5.0)
    bell = [math.exp(-2 * ((1000 * float(s) - 500) / 1000) ** 2) for s in levels]
    low = min(bell)
    total = sum(b - low for b in bell)
    expected = [(b - low) * GRID / total for b in bell]
    assert level_weights(levels).tolist() == pytest.approx(expected)
    assert expected[0] == 0 and max(expected) > 1.2


def test_noisy_latents_stand_on_the_line_between_clean_and_noise():
    batch = add_noise(clips(), PLAIN, seed=3, step=7, places=[0, 1, 2, 3])
    s = (batch.timestep / GRID).view(-1, 1, 1, 1, 1)
    noise = batch.velocity + batch.clips.target
    torch.testing.assert_close(batch.noisy, (1 - s) * batch.clips.target + s * noise)
    torch.testing.assert_close(noise[2], normal((3, 4, 2, 2), 3, "noise", 7, 2))
    assert torch.equal(batch.clips.context, clips().context), "the context is clean"


@pytest.mark.parametrize("levels", ["shared", "per_frame"])
def test_shares_of_the_batch_meet_the_noise_that_the_whole_batch_meets(levels):
    config = FlowConfig(shift=3.0, levels=levels, text_dropout=0.5, camera_dropout=0.5)
    whole = add_noise(clips(), config, seed=0, step=5, places=[0, 1, 2, 3])
    half = add_noise(part(clips(), slice(2, 4)), config, seed=0, step=5, places=[2, 3])
    for name in ("noisy", "timestep", "velocity", "weight"):
        assert torch.equal(getattr(whole, name)[2:], getattr(half, name)), name
    assert torch.equal(whole.clips.text[2:], half.clips.text)
    assert torch.equal(whole.clips.context[2:], half.clips.context)
    assert torch.equal(whole.clips.cameras[1][2:], half.clips.cameras[1])


def test_steps_and_seeds_differ():
    first = add_noise(clips(), PLAIN, seed=0, step=0, places=[0, 1, 2, 3])
    for seed, step in ((0, 1), (1, 0)):
        other = add_noise(clips(), PLAIN, seed=seed, step=step, places=[0, 1, 2, 3])
        assert not torch.equal(first.noisy, other.noisy)
    assert not torch.equal(first.velocity[0] + first.clips.target[0], first.velocity[1] + first.clips.target[1])


def test_per_frame_levels_give_each_frame_its_own_noise():
    batch = add_noise(clips(), FlowConfig(shift=3.0, levels="per_frame"), seed=0, step=0, places=[0, 1, 2, 3])
    assert batch.timestep.shape == (4, 9) and len(set(batch.timestep[0].tolist())) > 5
    s = batch.timestep[1, 5 + 2] / GRID
    noise = batch.velocity[1, :, 2] + batch.clips.target[1, :, 2]
    torch.testing.assert_close(batch.noisy[1, :, 2], (1 - s) * batch.clips.target[1, :, 2] + s * noise)
    assert not torch.equal(batch.clips.context, clips().context), "history is noisy too"
    assert batch.weight.shape == (4, 1, 4, 2, 2)


def test_dropouts_come_as_often_as_asked():
    config = FlowConfig(shift=3.0, text_dropout=0.3, camera_dropout=0.1)
    text = cameras = 0
    for step in range(300):
        batch = add_noise(clips(), config, seed=0, step=step, places=[0, 1, 2, 3])
        text += int((batch.clips.text.flatten(1) == 0).all(1).sum())
        cameras += int((batch.clips.cameras[0].flatten(1) == 0).all(1).sum())
    assert text / 1200 == pytest.approx(0.3, abs=0.05) and cameras / 1200 == pytest.approx(0.1, abs=0.04)


def test_loss_is_the_weighted_mean_written_out():
    batch = add_noise(clips(), PLAIN, seed=0, step=0, places=[0, 1, 2, 3])
    channels = torch.tensor([2.0, 0.5, 0.5])
    predicted = batch.velocity + 0.1
    total = 0.0
    for b in range(4):
        for c in range(3):
            total += float(batch.weight[b].mean()) * float(channels[c]) * 0.1**2 * 16
    assert float(flow_loss(predicted, batch, channels)) == pytest.approx(total / (4 * 3 * 16), rel=1e-4)
    assert float(flow_loss(batch.velocity, batch, channels)) == 0


def test_latents_of_subjects_count_more_by_the_share_that_shows_one():
    """Written out: weight 5 on a latent that is half a subject counts three times; nothing else changes."""
    config = FlowConfig(shift=3.0, text_dropout=0.0, subject_weight=5.0)
    given = clips()
    given.subjects.zero_()
    given.subjects[1, 2, 0, 1] = 0.5
    batch, plain = (add_noise(given, c, seed=0, step=0, places=[0, 1, 2, 3]) for c in (config, PLAIN))
    error = torch.zeros_like(batch.velocity)
    error[1, :, 2, 0, 1] = 1.0
    ones = torch.ones(3)
    there = [float(flow_loss(b.velocity + error, b, ones)) for b in (batch, plain)]
    assert there[0] == pytest.approx(3 * there[1]) and there[1] > 0
    elsewhere = [float(flow_loss(b.velocity + error.roll(1, 2), b, ones)) for b in (batch, plain)]
    assert elsewhere[0] == pytest.approx(elsewhere[1])
    assert torch.equal(batch.noisy, plain.noisy)


def test_parts_of_a_batch_sum_to_its_loss():
    batch = add_noise(
        clips(), FlowConfig(shift=3.0, text_dropout=0.0, subject_weight=4.0), seed=0, step=0, places=[0, 1, 2, 3]
    )
    ones = torch.ones(3)
    whole = flow_loss(torch.zeros_like(batch.velocity), batch, ones)
    parts = batch.parts(3)
    assert [len(p.noisy) for p in parts] == [3, 1]
    summed = sum(flow_loss(torch.zeros_like(p.velocity), p, ones) * len(p.noisy) / 4 for p in parts)
    torch.testing.assert_close(summed, whole)


def test_strong_channels_count_more_and_the_mean_stays_one():
    weights = channel_weights(torch.tensor([8.0, 2.0, 1.0, 1.0]), 1.0)
    assert weights.tolist() == pytest.approx([8 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert torch.equal(channel_weights(torch.tensor([8.0, 2.0]), 0.0), torch.ones(2))


def test_every_clip_comes_once_an_epoch():
    seen = [k for step in range(10) for k in clip_order(seed=4, step=step, batch=3, count=10)]
    epochs = [seen[i : i + 10] for i in range(0, 30, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs) and epochs[0] != epochs[1]
    assert seen[3:6] == clip_order(seed=4, step=1, batch=3, count=10), "a function of the step alone"


def test_learning_rate_warms_up_and_decays():
    config = OptimizerConfig(learning_rate=1.0, warmup=4, final=0.1)
    rates = [config.rate(step, 20) for step in range(20)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0]) and 0.1 < rates[-1] < 0.12
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert OptimizerConfig(learning_rate=2.0).rate(999, 1000) == 2.0
