"""Recipes and the sampler: levels against their formula, steps against exact flows, and a bit-exact round trip."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import UMT5Config, UMT5EncoderModel

from baselines.dfot import DfotPipeline
from reference_model.model.codec import MiniVideoCodec
from reference_model.model.config import (
    CodecConfig,
    HydraConfig,
    SamplerConfig,
    TextConfig,
    TransformerConfig,
    hydra_wan_1_3b,
    mini,
    nano,
)
from reference_model.model.text import encode_umt5
from reference_model.model.transformer import HydraTransformer3DModel, Velocity
from reference_model.sampling.pipeline import (
    GenerationRequest,
    HydraPipeline,
    build_pipeline,
    build_scheduler,
    guided,
    set_noise_levels,
)
from reference_model.sampling.saved import load_saved, stored_format
from reference_model.sampling.split_guidance import GuidanceTwin

SMALL_MEMORY = {"kind": "hydra", "window": 3, "top_k": 2, "kernel": (2, 1, 1), "stride": (2, 1, 1)}


def pico(**changes):
    """Far below nano: what matters here is who is called with what."""
    parts = {
        "name": "pico",
        "width": 32,
        "height": 16,
        "context_frames": 21,
        "target_frames": 21,
        "transformer": TransformerConfig(
            memory=SMALL_MEMORY, dim=24, heads=2, layers=2, ffn_dim=32, freq_dim=16
        ),
        "codec": CodecConfig(latent_channels=4, hidden_channels=8, encoder_depth=1, decoder_depth=1),
        "text": TextConfig(dim=8, max_words=4),
        "sampler": SamplerConfig(steps=3, shift=3.0),
    }  # fmt: skip
    return HydraConfig(**{**parts, **changes})


def pico_pipeline(seed=0, **changes):
    return build_pipeline(pico(**changes), seed)


def request(past=21, future=21, batch=1, **options):
    g = torch.Generator().manual_seed(5)
    cameras = tuple(torch.randn(batch, (n - 1) // 4 + 1, 12, generator=g) for n in (past, future))
    video = torch.rand(batch, 3, past, 16, 32, generator=g) * 2 - 1
    return GenerationRequest(context=video, cameras=cameras, captions=["a red ball"] * batch, **options)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("steps", "shift"), [(50, 5.0), (20, 3.0), (1, 5.0)])
def test_noise_levels_follow_the_formula(steps, shift):
    scheduler = build_scheduler(shift)
    set_noise_levels(scheduler, steps)
    even = [1 - i / steps for i in range(steps)]
    expected = [shift * s / (1 + (shift - 1) * s) for s in even]
    assert scheduler.sigmas.tolist() == pytest.approx([*expected, 0.0], rel=1e-6)
    assert scheduler.timesteps.tolist() == pytest.approx([1000 * s for s in expected], rel=1e-6)


class Exact:
    """A transformer that knows the clean latents: straight paths must end on them after any number of steps."""

    def __init__(self, clean):
        self.clean, self.dtype, self.patch, self.calls = clean, torch.float32, (1, 2, 2), []
        self.given = []

    def __call__(self, context, target, level, text, cameras, *, state, context_too):
        self.calls.append((level.tolist(), bool(text.any())))
        self.given.append(target)
        return Velocity((target - self.clean) / (level / 1000).view(-1, 1, 1, 1, 1), None)


def with_exact(pipeline, clean, monkeypatch):
    exact = Exact(clean)
    monkeypatch.setattr(pipeline, "transformer", exact)
    monkeypatch.setattr(type(pipeline), "_execution_device", torch.device("cpu"))
    return exact


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_euler_steps_follow_straight_paths_to_the_clean_latents(steps, monkeypatch):
    pipeline = pico_pipeline()
    clean = torch.randn(2, 4, 6, 2, 4, generator=seeded(3))
    exact = with_exact(pipeline, clean, monkeypatch)
    video = pipeline(request(batch=2, steps=steps), seeded())
    torch.testing.assert_close(video, pipeline.codec.decode(clean), rtol=0, atol=1e-4)
    assert len(exact.calls) == steps and all(had_text for _, had_text in exact.calls)


@pytest.mark.parametrize("stochastic", [False, True])
def test_noise_is_kept_or_drawn_anew_at_every_step(stochastic, monkeypatch):
    sampler = SamplerConfig(steps=4, shift=2.0, stochastic=stochastic)
    pipeline = pico_pipeline(sampler=sampler)
    clean = torch.randn(2, 4, 6, 2, 4, generator=seeded(3))
    exact = with_exact(pipeline, clean, monkeypatch)
    video = pipeline(request(batch=2), seeded())
    torch.testing.assert_close(video, pipeline.codec.decode(clean), rtol=0, atol=1e-4)
    levels = [level[0] / 1000 for level, _ in exact.calls]
    noises = [(x - (1 - s) * clean) / s for x, s in zip(exact.given, levels, strict=True)]
    for before, after in itertools.pairwise(noises):
        assert after.std().item() == pytest.approx(1, abs=0.1)
        alike = torch.corrcoef(torch.stack((before.flatten(), after.flatten())))[0, 1].item()
        assert abs(alike) < 0.2 if stochastic else alike == pytest.approx(1, abs=1e-4)


def test_guidance_needs_a_second_evaluation_without_text_and_one_needs_none(monkeypatch):
    pipeline = pico_pipeline()
    exact = with_exact(pipeline, torch.zeros(1, 4, 6, 2, 4), monkeypatch)
    pipeline(request(guidance=5.0, steps=2), seeded())
    assert [had_text for _, had_text in exact.calls] == [True, False] * 2
    one, other = torch.full((1,), 3.0), torch.full((1,), 1.0)
    assert guided([one, other], 5.0).item() == 1 + 5 * 2
    assert guided([one], 1.0) is one


def test_the_context_is_never_decoded_and_encoded_once(monkeypatch):
    pipeline, seen = pico_pipeline(), []
    encode, decode = MiniVideoCodec.encode, MiniVideoCodec.decode
    monkeypatch.setattr(MiniVideoCodec, "encode", lambda s, v: (seen.append(("in", v.shape[2])), encode(s, v))[1])
    monkeypatch.setattr(MiniVideoCodec, "decode", lambda s, z: (seen.append(("out", z.shape[2])), decode(s, z))[1])
    pipeline(request(past=21, future=13), seeded())
    assert seen == [("in", 21), ("out", 4)]


@pytest.mark.parametrize(("past", "future"), [(21, 21), (13, 29), (37, 13)])
def test_any_lengths_work_and_progress_is_told(past, future):
    pipeline, told = pico_pipeline(), []
    video = pipeline(request(past, future), seeded(), lambda done, total: told.append((done, total)))
    assert video.shape == (1, 3, future, 16, 32) and video.isfinite().all() and video.abs().max() <= 1
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("stochastic", [False, True])
def test_seeds_decide_and_nothing_else_does(stochastic):
    pipeline = pico_pipeline(sampler=SamplerConfig(steps=3, shift=3.0, stochastic=stochastic))
    torch.manual_seed(98)
    first = pipeline(request(), seeded(1))
    torch.manual_seed(99)
    assert torch.equal(pipeline(request(), seeded(1)), first)
    assert not torch.equal(pipeline(request(), seeded(2)), first)
    state = torch.random.get_rng_state()
    build_pipeline(nano(), 3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_saved_and_loaded_it_gives_the_same_bits(tmp_path):
    pipeline = pico_pipeline(sampler=SamplerConfig(steps=2, shift=4.0, guidance=2.0, negative_prompt="blurred"))
    pipeline.save_pretrained(tmp_path)
    loaded = HydraPipeline.from_pretrained(tmp_path)
    assert torch.equal(loaded(request(), seeded()), pipeline(request(), seeded()))
    kept = {"width": 32, "height": 16, "steps": 2, "guidance": 2.0, "negative_prompt": "blurred"}
    assert kept.items() <= dict(loaded.config).items()
    assert loaded.scheduler.config["shift"] == 4.0


def test_each_component_comes_back_in_the_format_of_its_files(tmp_path):
    pipeline = pico_pipeline()
    pipeline.transformer.to(torch.bfloat16)
    pipeline.save_pretrained(tmp_path)
    assert stored_format(tmp_path / "transformer") == torch.bfloat16
    assert stored_format(tmp_path / "scheduler") is None
    loaded = load_saved(tmp_path)
    assert loaded.transformer.dtype == torch.bfloat16
    assert loaded.transformer.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert loaded.transformer.scale_shift_table.dtype == torch.float32
    assert {p.dtype for p in loaded.vae.parameters()} == {torch.float32}
    found, wanted = loaded(request(), seeded()), pipeline(request(), seeded())
    assert (found - wanted).norm() / wanted.norm() < 0.05


class Spelling:
    """A stand-in for UMT5's tokenizer: letters as numbers."""

    def __call__(self, captions, *, max_length, **_):
        ids = torch.zeros(len(captions), max_length, dtype=torch.long)
        for row, caption in zip(ids, captions, strict=True):
            row[: len(caption)] = torch.tensor([ord(c) % 60 + 1 for c in caption])
        return type("Batch", (), {"input_ids": ids, "attention_mask": (ids > 0).long()})


def test_the_papers_parts_work_together():
    torch.manual_seed(0)
    sizes = UMT5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    config = pico(codec=CodecConfig(latent_channels=4))
    pipeline = HydraPipeline(
        HydraTransformer3DModel(**config.transformer_arguments()).eval(),
        AutoencoderKLWan(
            base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
        ).eval(),
        UMT5EncoderModel(sizes).eval(),
        build_scheduler(5.0),
        guidance=5.0,
        steps=2,
    )
    # diffusers checks a component's type when it is registered; the stand-in is put in afterwards
    pipeline.tokenizer = Spelling()
    video = pipeline(request(past=13, future=13), seeded())
    assert video.shape == (1, 3, 13, 16, 32) and video.isfinite().all()


def test_umt5_tokens_end_with_the_caption():
    torch.manual_seed(0)
    encoder = UMT5EncoderModel(UMT5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)).eval()
    text = encode_umt5(encoder, Spelling(), ["a  dog\n", ""])
    assert text.shape == (2, 512, 8)
    assert text[0, :5].any(1).all() and not text[0, 5:].any() and not text[1].any()


@pytest.mark.parametrize(("recipe", "tokens"), [(mini, 4480), (nano, 560), (hydra_wan_1_3b, 62_400)])
def test_recipes_have_the_sizes_they_promise(recipe, tokens):
    config = recipe()
    context, target = config.grids(config.context_frames, config.target_frames)
    assert context.tokens + target.tokens == tokens
    assert (context.frames, target.frames) == (20, 20)
    with torch.device("meta"):
        model = HydraTransformer3DModel(**config.transformer_arguments())
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert {"hydra-mini": 5 < count < 10, "hydra-nano": count < 4, "hydra-wan-1.3b": 1900 < count < 2200}[config.name]


def test_the_paper_recipe_builds_wans_backbone():
    t = hydra_wan_1_3b().transformer_arguments()
    assert (t["num_attention_heads"], t["attention_head_dim"], t["num_layers"], t["ffn_dim"]) == (12, 128, 30, 8960)
    with pytest.raises(ValueError, match="exist only as trained weights"):
        build_pipeline(hydra_wan_1_3b(), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 120}, r"self.width=120 must be a multiple of 16 and self.height=16 of 16"),
        ({"target_frames": 20}, r"20 frames do not make whole latent frames"),
        (
            {"context_frames": 5, "target_frames": 5},
            "top_k=2 memory slices are wanted, but some frame has only 1",
        ),
    ],
)
def test_recipes_refuse_what_cannot_work(change, message):
    with pytest.raises(ValueError, match=message):
        pico(**change)


def test_parts_refuse_what_cannot_work():
    with pytest.raises(ValueError, match=r"self\.dim=50 must give each of self.heads=4"):
        TransformerConfig(dim=50, heads=4, layers=1, ffn_dim=8)
    with pytest.raises(ValueError, match=r"codec kind must be 'mini' or 'wan', got 'big'"):
        CodecConfig(kind="big")
    with pytest.raises(ValueError, match="text kind must be 'hashed' or 'umt5', got 't5'"):
        TextConfig(kind="t5")
    with pytest.raises(ValueError, match=r"self\.steps=0 must be at least 1"):
        SamplerConfig(steps=0, shift=1.0)
    with pytest.raises(ValueError, match="unknown memory 'None'"):
        TransformerConfig(dim=8, heads=2, layers=1, ffn_dim=8, memory={})


@pytest.mark.parametrize(("asked", "used"), [(None, 2.5), (0.0, 0.0), (1.5, 1.5)])
def test_a_request_may_ask_for_any_guidance_zero_included(asked, used, monkeypatch):
    pipeline, heard = pico_pipeline(sampler=SamplerConfig(steps=1, shift=3.0, guidance=2.5)), []

    def listen(velocity, guidance):
        heard.append(guidance)
        return guided(velocity, guidance)

    monkeypatch.setattr("reference_model.sampling.pipeline.guided", listen)
    pipeline(request(guidance=asked), seeded())
    assert heard == [used]


@pytest.mark.parametrize("kind", [HydraPipeline, DfotPipeline])
def test_guidance_on_two_devices_gives_the_numbers_of_one(kind):
    dfot = {"kind": "baselines.dfot:Dfot", "frames": 2, "history_level": 0.02}  # it draws noise of its own
    changes = {} if kind is HydraPipeline else {"transformer": replace(pico().transformer, memory=dfot)}
    pipeline = build_pipeline(pico(**changes), 0, kind)
    with torch.no_grad():  # random cameras and text change something
        for parameter in pipeline.transformer.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=seeded(1)))
    wanted = request(guidance=3.0)
    alone, after = seeded(), seeded()
    expected = pipeline(wanted, alone)
    pipeline.twin = GuidanceTwin(pipeline, torch.device("cpu"))
    asked = []
    pipeline.twin.pipeline.transformer.register_forward_hook(lambda *_: asked.append(threading.current_thread().name))
    assert torch.equal(pipeline(wanted, after), expected)
    assert torch.equal(alone.get_state(), after.get_state())  # as much noise was drawn
    assert asked and all(name.startswith("guidance") for name in asked)
    assert pipeline.twin.pipeline.transformer is not pipeline.transformer
    asked.clear()
    assert not torch.equal(pipeline(request(guidance=1.0), seeded()), expected) and not asked  # nothing to share
    assert not any(thread.name.startswith("guidance") for thread in threading.enumerate())


def test_what_fails_on_the_second_device_is_told():
    pipeline = pico_pipeline()
    pipeline.twin = GuidanceTwin(pipeline, torch.device("cpu"))

    def fail(*_):
        raise RuntimeError("out of memory on the second device")

    pipeline.twin.pipeline.transformer.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory on the second device"):
        pipeline(request(guidance=3.0), seeded())
    assert not any(thread.name.startswith("guidance") for thread in threading.enumerate())
