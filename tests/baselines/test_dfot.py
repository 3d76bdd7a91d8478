"""Diffusion forcing: levels of its own for each frame, equal levels equal the plain sampler, guidance as written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from camera_rows import random_cameras
from tiny_backbone import CHANNELS, METHODS, inputs, kind, tiny, tiny_config

from baselines.dfot import DfotPipeline, DfotSettings
from reference_model.model.config import HydraConfig, nano
from reference_model.sampling.pipeline import GenerationRequest, HydraPipeline, build_pipeline
from reference_model.training.flow import FlowConfig, LatentBatch, add_noise

DFOT = "baselines.dfot:Dfot"


def test_equal_levels_equal_one_level() -> None:
    """A level for each frame, all the same, is the plain forward pass."""
    for memory in (kind(DFOT, frames=3), {"kind": "full"}):
        model = tiny(memory)
        context, target, text = inputs(6, 4, batch=2)
        rows = (random_cameras(2, 6), random_cameras(2, 4))
        with torch.no_grad():
            one = model(context, target, torch.tensor([700.0, 120.0]), text, rows).target
            each = torch.tensor([700.0, 120.0])[:, None].expand(-1, 10)
            torch.testing.assert_close(model(context, target, each, text, rows).target, one, rtol=1e-5, atol=1e-6)


def keeping_noise(config: HydraConfig) -> HydraConfig:
    """No noise anew at every step: the history's comes from the same generator, and later numbers would be others."""
    return replace(config, sampler=replace(config.sampler, stochastic=False))


def pipelines(prediction="clean", **settings) -> tuple[DfotPipeline, HydraPipeline]:
    """The same weights under diffusion forcing's sampler and under the plain one."""
    memory = kind(DFOT, frames=2, **settings)
    forced = tiny_config(memory=memory, conditioning="clean_context", prediction=prediction)
    plain = tiny_config(memory=kind("baselines.recent_window:RecentWindow", frames=2), prediction=prediction)
    found = build_pipeline(keeping_noise(forced), 0, DfotPipeline), build_pipeline(keeping_noise(plain), 0)
    assert isinstance(found[0], DfotPipeline)
    return found


def request(frames: int = 9) -> GenerationRequest:
    generator = torch.Generator().manual_seed(5)
    video = torch.rand(1, 3, frames, 64, 112, generator=generator) * 2 - 1
    past = (frames - 1) // 4 + 1
    return GenerationRequest(
        context=video, cameras=(random_cameras(1, past), random_cameras(1, 2, seed=3)), captions=["a dog"], steps=3
    )


def test_equal_levels_for_all_frames_equal_the_plain_sampler() -> None:
    forced, plain = pipelines("velocity", history_level="target", history_guidance=1.0)
    ours = forced(request(), torch.Generator().manual_seed(1))
    theirs = plain(request(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_clean_history_equals_clean_context_conditioning() -> None:
    forced, plain = pipelines(history_guidance=1.0)
    same = tiny_config(memory=dict(plain.transformer.config["memory_settings"]), conditioning="clean_context")
    clean = build_pipeline(keeping_noise(same), 0)
    ours = forced(request(), torch.Generator().manual_seed(1))
    theirs = clean(request(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    shared = plain(request(), torch.Generator().manual_seed(1))
    assert not torch.allclose(ours, shared, atol=1e-4)


@pytest.mark.parametrize(("weight", "level"), [(1.5, 0.0), (4.0, 0.0), (2.0, 0.4)])
def test_guidance_equals_its_formula(weight, level) -> None:
    forced, _ = pipelines(history_guidance=weight, guided_level=level)
    context, target, _ = inputs(3, 2, height=8, width=14)
    copies = nano().codec.latent_channels // CHANNELS
    context, target = context.repeat(1, copies, 1, 1, 1), target.repeat(1, copies, 1, 1, 1)
    rows = (random_cameras(1, 3), random_cameras(1, 2, seed=3))
    text = forced.encode_text(["a dog"])
    t = torch.tensor(600.0)
    noise = torch.randn(context.shape, generator=torch.Generator().manual_seed(9))

    def at(s: float) -> torch.Tensor:
        steps = torch.tensor([[1000 * s] * 3 + [600.0] * 2])
        history = (1 - s) * context + s * noise
        return forced.transformer(history, target, steps, text, rows).target

    with torch.no_grad():
        found = forced.denoiser(context, rows, torch.Generator().manual_seed(9))(target, t, text)
        expected = at(0.0) + (weight - 1) * (at(level) - at(1.0))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_terms_merge_and_vanish() -> None:
    assert DfotSettings(history_guidance=1.0).terms() == {0.0: 1.0}
    assert DfotSettings(history_guidance=3.0).terms() == {0.0: 3.0, 1.0: -2.0}
    assert DfotSettings(history_guidance=3.0, guided_level=0.4).terms() == {0.0: 1.0, 0.4: 2.0, 1.0: -2.0}
    assert sum(DfotSettings(history_guidance=2.5, guided_level=0.3, history_level=0.02).terms().values()) == 1.0


def test_the_targets_noise_does_not_depend_on_the_historys() -> None:
    """Rivals are compared with the same noise for the same seed."""
    forced, plain = pipelines(history_guidance=1.0)
    caught: list[torch.Tensor] = []
    for pipeline in (forced, plain):
        original = pipeline.denoiser

        def spy(context, cameras, generator, original=original):
            inner = original(context, cameras, generator)
            return lambda latents, timestep, text: caught.append(latents.clone()) or inner(latents, timestep, text)

        pipeline.denoiser = spy
        pipeline(replace(request(), steps=1), torch.Generator().manual_seed(1))
    assert torch.equal(caught[0], caught[1])


def test_training_draws_a_level_for_every_frame() -> None:
    assert METHODS.DFOT.per_frame_noise
    assert not METHODS.FULL_CONTEXT.per_frame_noise
    context, target, text = inputs(6, 4, batch=2)
    clips = LatentBatch(
        context=context,
        target=target,
        cameras=(torch.zeros(2, 6, 12), torch.zeros(2, 4, 12)),
        text=text,
        subjects=torch.zeros_like(target[:, 0]),
    )
    batch = add_noise(clips, FlowConfig(shift=3.0, levels="per_frame"), 0, 0, [0, 1])
    assert batch.timestep.shape == (2, 10)
    assert len(batch.timestep.unique()) > 10
    model = tiny(kind(DFOT, frames=3))
    found = model(batch.clips.context, batch.noisy, batch.timestep, text, clips.cameras).target
    assert found.shape == target.shape


def test_impossible_levels_say_why() -> None:
    with pytest.raises(ValueError, match=r"levels must lie in \[0, 1\)"):
        DfotSettings(guided_level=1.0)
