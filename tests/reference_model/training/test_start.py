"""Starting weights: the untrained model subtracts what it attends to, and only from there learns more."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from training_toys import MEMORY, pico

from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import build_pipeline
from reference_model.training import start
from reference_model.training.start import start_with_a_copy


def model(memory=None, **changes):
    settings = pico(memory=memory or {"kind": "full"}).model
    settings = replace(settings, transformer=replace(settings.transformer, **changes))
    transformer = build_pipeline(settings, 0).transformer
    start_with_a_copy(transformer, 3)
    return transformer


def turned(columns, frames=6):
    """Cameras that look this many tokens of 2 x 2 latents to the right, of which 36.6 degrees hold two."""
    angle = torch.tensor(columns * math.radians(36.6) / 2)
    c, s = angle.cos(), angle.sin()
    zero, one = torch.zeros(()), torch.ones(())
    row = torch.stack((c, zero, s, zero, zero, one, zero, zero, -s, zero, c, zero))
    return row.expand(1, frames, 12)


def inputs(level=1.0, context=None):
    g = torch.Generator().manual_seed(0)
    past, future = (torch.randn(1, 4, 6, 2, 4, generator=g) for _ in range(2))
    cameras = tuple(torch.randn(1, 6, 12, generator=g) for _ in range(2))
    text = torch.randn(1, 4, 8, generator=g)
    return past if context is None else context, future, torch.tensor([1000 * level]), text, cameras


def correlation(a, b):
    return float(torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1])


@torch.no_grad()
def test_untrained_it_passes_the_noise_through():
    given = inputs(context=torch.zeros(1, 4, 6, 2, 4))
    assert correlation(model()(*given).target, given[1]) > 0.9


@torch.no_grad()
def test_untrained_it_subtracts_what_the_context_shows():
    """A context of one colour pulls every predicted latent to its opposite."""
    colour = torch.tensor([2.0, -1.0, 0.5, -2.0]).view(1, 4, 1, 1, 1).expand(1, 4, 6, 2, 4)
    bright = model()(*inputs(context=colour)).target
    dark = model()(*inputs(context=-colour)).target
    change = (bright - dark).mean((0, 2, 3, 4))
    assert correlation(change, -colour[0, :, 0, 0, 0]) > 0.97 and change.abs().max() > 0.5


@torch.no_grad()
def test_cameras_and_text_change_nothing_yet():
    given = inputs()
    first = model()(*given).target
    other = (*given[:3], torch.zeros_like(given[3]), tuple(c * 2 for c in given[4]))
    torch.testing.assert_close(model()(*other).target, first)


@pytest.mark.parametrize("memory", [{"kind": "full"}, MEMORY], ids=["full", "hydra"])
@torch.no_grad()
def test_in_the_world_it_copies_what_was_seen_in_that_direction(memory):
    """Context frames look straight ahead and one picture to the right, in two colours; the target looks at either."""
    red, blue = torch.tensor([2.0, -1.0, 0.5, -2.0]), torch.tensor([-1.0, 2.0, -2.0, 1.0])
    context = torch.stack((red, red, red, blue, blue, blue), dim=1).view(1, 4, 6, 1, 1).expand(1, 4, 6, 2, 4)
    past = torch.cat((turned(0.0, 3), turned(4.0, 3)), dim=1)
    transformer = model(memory, positions="world", prediction="clean", dim=48)
    noise, text = torch.randn(1, 4, 6, 2, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 4, 8)
    ahead, beside = (
        -transformer(context, noise, torch.tensor([1000.0]), text, (past, turned(columns))).target.mean((0, 2, 3, 4))
        for columns in (0.0, 4.0)
    )
    assert correlation(ahead - beside, red - blue) > 0.9 and (ahead - beside).abs().max() > 0.1


@torch.no_grad()
def test_in_the_world_it_copies_what_looks_alike():
    """Two colours were seen in one direction; half-cleaned tokens settle for the one that they resemble."""
    red, blue = torch.tensor([2.0, -1.0, 0.5, -2.0]), torch.tensor([-1.0, 2.0, -2.0, 1.0])
    context = torch.stack((red, blue, red, blue, red, blue), dim=1).view(1, 4, 6, 1, 1).expand(1, 4, 6, 2, 4)
    text, ahead = torch.zeros(1, 4, 8), turned(0.0)

    def copied(colour, content):
        """How much more of red than of blue there is in what a model makes of that colour at s = 0.5, less its own."""
        seen = 0.5 * colour.view(1, 4, 1, 1, 1).expand(1, 4, 6, 2, 4)
        with_memory, without = (
            model({"kind": "full"}, positions="world", prediction="clean", dim=48, content=content)(
                past, seen, torch.tensor([500.0]), text, (ahead, ahead)
            ).target.mean((0, 2, 3, 4))
            for past in (context, torch.zeros_like(context))
        )
        return float((without - with_memory) @ (red - blue))

    chosen = copied(red, 8) - copied(blue, 8)
    assert chosen > 0.5 and chosen > 2 * abs(copied(red, 0) - copied(blue, 0))


@torch.no_grad()
def test_weak_noise_is_not_blown_up_to_a_picture(monkeypatch):
    """Just below pure noise, tokens of clean guesses are nearly nothing, and the norm must leave them so."""
    empty = torch.zeros(1, 4, 6, 2, 4)
    _, noise, _, text, cameras = inputs()

    def predicted():
        made = model(prediction="clean")(empty, noise, torch.tensor([980.0]), text, cameras).target
        return float((noise - 0.98 * made).std())

    steady = predicted()
    monkeypatch.setattr(start, "STEADY", 0.0)
    assert steady < 0.4 and predicted() > 2 * steady


WORLD = {"positions": "world", "prediction": "clean", "dim": 48, "content": 4}


@pytest.mark.parametrize("changes", [{}, WORLD], ids=["grid", "world"])
def test_every_parameter_still_gets_a_gradient_after_one_step(changes):
    """Zeros at the end of a branch wake up with the first step; none may stay dead."""
    transformer = model(**changes).train()
    optimizer = torch.optim.SGD(transformer.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        transformer(*inputs(0.7)).target.square().mean().backward()
        optimizer.step()
    dead = [name for name, p in transformer.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert dead == []


def test_more_content_than_a_token_holds_is_refused():
    with pytest.raises(ValueError, match="content=20 channels of a head are more than the numbers"):
        model(positions="world", prediction="clean", dim=64, content=20)
    with pytest.raises(ValueError, match="must be even, need positions='world' and leave at least 8"):
        model(positions="world", prediction="clean", dim=48, content=18)
    with pytest.raises(ValueError, match="need positions='world'"):
        model(dim=48, content=4)


def test_tokens_too_narrow_are_refused():
    arguments = pico().model.transformer_arguments() | {"attention_head_dim": 6}
    with pytest.raises(ValueError, match="tokens of 12 channels cannot hold the 16 numbers"):
        start_with_a_copy(HydraTransformer3DModel(**arguments), 0)
