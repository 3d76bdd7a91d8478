"""The transformer on toys of a few thousand parameters: structure, not training, is what these tests are about."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from diffusers import WanTransformer3DModel

from reference_model.model import retrieval_attention as retrieval
from reference_model.model.memory import FullMemory, FullSettings, MemorySettings
from reference_model.model.trainable import freeze, trainable_parameters
from reference_model.model.transformer import HydraTransformer3DModel, with_memory

SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "text_dim": 10,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
}
HYDRA = {"kind": "hydra", "window": 3, "top_k": 2, "kernel": (2, 2, 2), "stride": (2, 2, 2)}


def make(memory=HYDRA, seed=0, *, random_additions=True, **changes):
    torch.manual_seed(seed)
    model = HydraTransformer3DModel(memory_settings=dict(memory), **{**SIZES, **changes}).eval()
    if random_additions:  # cameras, projectors and tokenizers start neutral: make them count
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "camera" in name or "projector" in name or name.startswith("memory."):
                    parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def inputs(batch=1, past=6, future=6, size=(8, 12), seed=1, channels=4):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    return {
        "context": draw(batch, channels, past, *size),
        "target": draw(batch, channels, future, *size),
        "timestep": torch.rand(batch, generator=g) * 1000,
        "text": draw(batch, 5, 10),
        "cameras": (draw(batch, past, 12), draw(batch, future, 12)),
    }


def test_full_memory_with_starting_weights_is_wan():
    model = make({"kind": "full"}, random_additions=False)
    wan = WanTransformer3DModel(**SIZES, out_channels=4, added_kv_proj_dim=None).eval()
    own = {k: v for k, v in model.state_dict().items() if k in wan.state_dict()}
    wan.load_state_dict(own, strict=True)
    given = inputs(batch=2)
    together = torch.cat((given["context"], given["target"]), 2)
    with torch.no_grad():
        expected = wan(together, given["timestep"], given["text"], return_dict=False)[0]
        found = model(**given)
    torch.testing.assert_close(torch.cat((found.context, found.target), 2), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["released", "paper"])
@pytest.mark.parametrize(
    ("kernel", "stride", "tokenizer", "shared"),
    [
        ((2, 2, 2), (2, 2, 2), "dense", False),
        ((2, 4, 3), (1, 2, 3), "depthwise", True),
        ((3, 1, 5), (2, 1, 1), "dense", True),
    ],
)
def test_gathered_and_dense_attention_agree_in_the_whole_model(variant, kernel, stride, tokenizer, shared):
    settings = {
        "kind": "hydra", "window": 3, "top_k": 2, "kernel": kernel, "stride": stride,
        "tokenizer": tokenizer, "shared_tokenizer": shared, "variant": variant,
    }  # fmt: skip
    model, given = make(settings), inputs(batch=2, past=7, future=5, size=(10, 14))
    with torch.no_grad():
        fast = model(**given).target
        model.memory.attention = retrieval.dense_attention
        torch.testing.assert_close(fast, model(**given).target, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [HYDRA, {**HYDRA, "variant": "paper"}, {"kind": "full"}], ids=str)
def test_a_batch_is_its_clips_one_by_one(memory):
    model, given = make(memory), inputs(batch=3, past=5, future=7)
    with torch.no_grad():
        whole = model(**given).target
        for i in range(3):
            cameras = tuple(c[i : i + 1] for c in given["cameras"])
            alone = {k: v[i : i + 1] for k, v in given.items() if k != "cameras"}
            torch.testing.assert_close(model(**alone, cameras=cameras).target[0], whole[i], rtol=1e-4, atol=1e-5)


def noise_changes_context(model):
    first, second = inputs(seed=1), inputs(seed=1)
    second["target"] = second["target"] + 1
    with torch.no_grad():
        return not torch.equal(model(**first).context, model(**second).context)


def test_noise_reaches_the_context_in_the_released_variant_only():
    assert noise_changes_context(make(HYDRA))
    assert noise_changes_context(make({"kind": "full"}))
    assert not noise_changes_context(make({**HYDRA, "variant": "paper"}))
    grids = make(HYDRA).grids(6, 6, 8, 12)
    assert make(HYDRA).memory.facts(*grids).noise_reaches_context
    assert not make({**HYDRA, "variant": "paper"}).memory.facts(*grids).noise_reaches_context


@pytest.mark.parametrize("memory", [HYDRA, {**HYDRA, "variant": "paper"}, {"kind": "full"}], ids=str)
def test_the_target_depends_on_context_cameras_text_and_level(memory):
    model, given = make(memory), inputs()
    with torch.no_grad():
        before = model(**given).target
        changes = {
            "context": given["context"] + 0.5,
            "cameras": (given["cameras"][0] + 0.5, given["cameras"][1]),
            "text": given["text"] + 0.5,
            "timestep": given["timestep"] / 2,
        }
        for name, value in changes.items():
            assert not torch.allclose(before, model(**{**given, name: value}).target), name


@pytest.mark.parametrize("half", [0, 1])
def test_each_half_has_its_own_camera_encoder(half):
    model, given = make(), inputs()
    silent = [block.camera_target if half == 0 else block.camera_context for block in model.blocks]
    with torch.no_grad():
        for layer in silent:
            layer.weight.zero_()
        before = model(**given).target
        for side in (0, 1):
            moved = tuple(c + 0.5 if side == n else c for n, c in enumerate(given["cameras"]))
            changed = not torch.equal(model(**{**given, "cameras": moved}).target, before)
            assert changed == (side == half)


@pytest.mark.parametrize("memory", [HYDRA, {"kind": "full"}], ids=["hydra", "full"])
def test_positions_in_the_world_batch_and_heed_cameras(memory):
    """Angles differ from clip to clip then; and cameras matter even where their encoders say nothing."""
    model = make(memory, positions="world", depths=(3.0, 1000.0), prediction="clean", random_additions=False)
    given = inputs(batch=2)
    with torch.no_grad():
        whole = model(**given).target
        alone = model(**{k: tuple(c[1:] for c in v) if k == "cameras" else v[1:] for k, v in given.items()}).target
        moved = model(**{**given, "cameras": (given["cameras"][0] + 0.5, given["cameras"][1])}).target
    torch.testing.assert_close(whole[1:], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole, moved)


def test_predicting_clean_latents_a_step_to_zero_lands_on_what_the_last_layer_says():
    model, given = make(prediction="clean"), inputs()
    given["timestep"] = torch.tensor([800.0])
    with torch.no_grad():
        first = given["target"] - 0.8 * model(**given).target
        model.proj_out.weight.zero_()
        model.proj_out.bias.fill_(0.3)
        second = given["target"] - 0.8 * model(**given).target
    assert (first - 0.3).abs().max() > 0.1
    torch.testing.assert_close(second, torch.full_like(second, 0.3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [{"positions": "sky"}, {"prediction": "noise"}])
def test_unknown_positions_and_predictions_are_refused(change):
    with pytest.raises(ValueError, match=r"positions must be 'grid' or 'world' and prediction"):
        make(**change)


@pytest.mark.parametrize("prediction", ["velocity", "clean"])
def test_a_level_for_each_frame_equals_one_level_when_all_are_equal(prediction):
    model, given = make(prediction=prediction), inputs(batch=2)
    if prediction == "clean":  # one level leaves the context clean, a level each makes it a guess like the target
        given["context"] = torch.zeros_like(given["context"])
    with torch.no_grad():
        shared = model(**given).target
        each = model(**{**given, "timestep": given["timestep"][:, None].expand(-1, 12)}).target
    torch.testing.assert_close(each, shared, rtol=1e-4, atol=1e-5)


def test_clean_context_is_level_zero_on_context_frames():
    given = inputs(batch=2)
    levels = torch.cat((torch.zeros(2, 6), given["timestep"][:, None].expand(-1, 6)), 1)
    with torch.no_grad():
        clean = make(conditioning="clean_context")(**given).target
        explicit = make()(**{**given, "timestep": levels}).target
        torch.testing.assert_close(clean, explicit)
        assert not torch.allclose(clean, make()(**given).target)


def test_recorder_hears_every_block():
    model, seen = make(), {}
    with torch.no_grad():
        model(**inputs(), record=lambda block, name, value: seen.setdefault((block, name), value.shape))
    assert {block for block, _ in seen} == {0, 1}
    assert {name for _, name in seen} == {"affinity", "selected", "self_attention", "block"}
    assert seen[0, "affinity"] == (1, 12, 6) and seen[0, "selected"] == (1, 12, 2)


def test_paper_rule_trains_attention_cameras_projector_and_memory():
    model = make()
    chosen = freeze(model, "paper")
    kinds = {name.split(".")[2] if name.startswith("blocks") else name.split(".")[0] for name in chosen}
    assert kinds == {"attn1", "camera_context", "camera_target", "projector", "memory"}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(chosen)
    assert set(trainable_parameters(model, "all")) == {name for name, _ in model.named_parameters()}
    model(**inputs())[0].square().mean().backward()
    silent = [name for name, p in chosen.items() if p.grad is None or not p.grad.any()]
    assert not silent
    assert all(p.grad is None for name, p in model.named_parameters() if name not in chosen)


@pytest.mark.parametrize("memory", [HYDRA, {"kind": "full"}], ids=str)
def test_checkpointing_changes_no_gradient(memory):
    gradients = []
    for checkpointing in (False, True):
        model = make(memory).train()
        if checkpointing:
            model.enable_gradient_checkpointing()
        model(**inputs()).target.square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, msg=name)


def test_bfloat16_stays_near_float32():
    model, given = make(random_additions=False), inputs()
    with torch.no_grad():
        exact = model(**given).target
        half = {k: v.bfloat16() if torch.is_tensor(v) and k != "timestep" else v for k, v in given.items()}
        half["cameras"] = tuple(c.bfloat16() for c in given["cameras"])
        rough = model.bfloat16()(**half).target
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() / exact.norm() < 0.05


def test_saved_and_loaded_it_gives_the_same(tmp_path):
    model, given = make(), inputs()
    model.save_pretrained(tmp_path)
    loaded = HydraTransformer3DModel.from_pretrained(tmp_path)
    assert loaded.memory.settings == model.memory.settings
    with torch.no_grad():
        torch.testing.assert_close(loaded(**given).target, model(**given).target, rtol=1e-5, atol=1e-6)


def test_with_memory_keeps_the_backbone_and_the_model():
    model = make()
    other = with_memory(model, {**HYDRA, "variant": "paper"})
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    back = with_memory(with_memory(model, {"kind": "full"}), HYDRA)
    assert torch.equal(back.blocks[1].attn1.to_q.weight, model.blocks[1].attn1.to_q.weight)


class LastFrame(FullMemory):
    """A rival in a few lines: the context's last frame only, moved next to the target."""

    class Settings(FullSettings):
        pass

    def select(self, context, target):
        return torch.full((len(context), 1), context.shape[1] - 1)


def test_a_rival_from_another_module_packs_its_own_context(monkeypatch):
    monkeypatch.setitem(sys.modules, "rivals", SimpleNamespace(LastFrame=LastFrame))
    model = make({"kind": "rivals:LastFrame"})
    given, other = inputs(), inputs()
    other["context"] = other["context"].clone()
    other["context"][:, :, :-1] += 1
    levels = torch.rand(1, 12) * 1000
    with torch.no_grad():
        found = model(**given)
        assert found.context is None
        assert torch.equal(found.target, model(**other).target)
        noisier = levels.clone()
        noisier[:, :5] = 0
        each = model(**{**given, "timestep": levels}).target
        assert torch.equal(each, model(**{**given, "timestep": noisier}).target)


def test_unknown_memories_and_settings_are_named():
    with pytest.raises(ValueError, match="unknown memory 'hidra': use hydra, full, or module:Class"):
        make({"kind": "hidra"})
    with pytest.raises(ValueError, match=r"memory 'hydra' has no setting \['topk'\]; it has .*'top_k'"):
        make({"kind": "hydra", "topk": 3})
    with pytest.raises(ValueError, match="is not a Memory"):
        make({"kind": "torch:Tensor"})
    assert issubclass(FullSettings, MemorySettings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": torch.zeros(1, 4, 6, 9, 12)}, r"divisible by patch_size=\(1, 2, 2\)"),
        ({"context": torch.zeros(1, 4, 6, 10, 12)}, "context and target differ in size"),
        ({"cameras": (torch.zeros(1, 5, 12), torch.zeros(1, 6, 12))}, r"context cameras must be \[1, 6, 12\]"),
        ({"timestep": torch.zeros(1, 7)}, r"timestep must be \[B\] or \[B, 12\]"),
    ],
)
def test_wrong_shapes_are_refused_with_their_values(change, message):
    with pytest.raises(ValueError, match=message):
        make()(**{**inputs(), **change})


def test_a_clip_without_context_works_with_full_memory_and_is_refused_by_retrieval():
    given = inputs(past=0)
    assert make({"kind": "full"})(**given).target.shape == given["target"].shape
    with pytest.raises(ValueError, match="context of at least one frame"):
        make()(**given)
