"""Bands of a picture: folding loses nothing, each attends by itself, only the mixer lets them see each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from camera_rows import random_cameras
from tiny_backbone import inputs, kind

from reference_model.model import bands
from reference_model.model.config import nano
from reference_model.model.hydra_memory import HydraSettings
from reference_model.model.memory_kinds import describe_memory
from reference_model.model.transformer import HydraTransformer3DModel

HYDRA = describe_memory(
    "hydra",
    HydraSettings(window=3, top_k=2, kernel=(2, 1, 2), stride=(2, 1, 2), tokenizer="depthwise", short_clips="fewer"),
)
MEMORIES = (
    {"kind": "full"},
    HYDRA,
    kind("baselines.recent_window:RecentWindow", frames=1),
)


def build(memory, count=4, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HydraTransformer3DModel(
            memory_settings=memory,
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            text_dim=8,
            freq_dim=8,
            ffn_dim=32,
            num_layers=2,
            patch_size=(1, 2, 1),
            bands=count,
        )
        for value in model.parameters():
            torch.nn.init.normal_(value, std=0.2)
    return model.eval()


def call(model, context, target, text, rows):
    with torch.no_grad():
        return model(context, target, torch.tensor([700.0]), text, rows).target


@pytest.fixture
def clip():
    context, target, text = inputs(6, 4)
    return context, target, text, (random_cameras(1, 6), random_cameras(1, 4))


def test_folding_is_undone_and_keeps_rows_together():
    latents = torch.arange(2 * 3 * 5 * 8 * 7.0).view(2, 3, 5, 8, 7)
    folded = bands.fold(latents, 4)
    assert folded.shape == (8, 3, 5, 2, 7)
    assert torch.equal(folded[5], latents[1, :, :, 2:4])
    assert torch.equal(bands.unfold(folded, 4), latents)
    assert bands.repeat(torch.tensor([1, 2]), 3).tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda m: m["kind"].split(":")[-1])
def test_without_mixing_a_band_is_a_lower_picture(memory, clip):
    """Each band comes out as the same model without bands makes it of that band alone."""
    context, target, text, rows = clip
    model = build(memory)
    for block in model.blocks:
        block.band_mixer.weight.data.zero_()
    whole = call(model, context, target, text, rows)
    alone = build(memory, count=1)
    names = alone.state_dict()
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if name in names})
    for number in range(4):
        lines = slice(2 * number, 2 * number + 2)
        # without bands there is no embedding of a band's own: it is part of the patch embedding's bias
        alone.patch_embedding.bias.data.copy_(model.patch_embedding.bias + model.band_embedding[number, 0])
        found = call(alone, context[..., lines, :], target[..., lines, :], text, rows)
        torch.testing.assert_close(whole[..., lines, :], found, rtol=1e-4, atol=1e-5)


def test_the_mixer_lets_bands_see_each_other_and_starts_as_nothing(clip):
    context, target, text, rows = clip
    model = build({"kind": "full"})
    changed = context.clone()
    changed[..., :2, :] += 1.0  # the first band
    apart = (call(model, changed, target, text, rows) - call(model, context, target, text, rows))[..., 2:, :]
    assert apart.abs().max() > 1e-3
    for block in model.blocks:
        block.band_mixer.weight.data.zero_()
    apart = (call(model, changed, target, text, rows) - call(model, context, target, text, rows))[..., 2:, :]
    assert apart.abs().max() == 0
    assert not bands.BandMixer(6, 3).weight.any()


def test_the_mixer_equals_its_sum():
    mixer = bands.BandMixer(5, 3)
    torch.nn.init.normal_(mixer.weight, generator=torch.Generator().manual_seed(0))
    tokens = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1))
    found = mixer(tokens)
    normed = torch.nn.functional.layer_norm(tokens, (5,))
    for clip in range(2):
        for band in range(3):
            expected = tokens[3 * clip + band].clone()
            for other in range(3):
                expected += mixer.weight[band, other] * normed[3 * clip + other]
            torch.testing.assert_close(found[3 * clip + band], expected)


def test_levels_of_frames_and_gradients_reach_every_band(clip):
    context, target, text, rows = clip
    model = build({"kind": "full"})
    levels = torch.tensor([[0.0] * 6 + [700.0, 600.0, 500.0, 400.0]])
    model(context, target, levels, text, rows).target.square().mean().backward()
    assert model.band_embedding.grad.abs().amin(-1).min() > 0
    assert all(block.band_mixer.weight.grad.abs().sum() > 0 for block in model.blocks)


def test_pictures_that_have_no_such_bands_are_refused(clip):
    context, target, text, rows = clip
    model = build({"kind": "full"})
    with pytest.raises(ValueError, match="h by 4 bands of it"):
        call(model, context[..., :6, :], target[..., :6, :], text, rows)
    recipe = nano()
    with pytest.raises(ValueError, match="3 bands"):
        replace(recipe, transformer=replace(recipe.transformer, bands=3))
