"""Released key names, strict loading, digests."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import save_file

from reference_model.model.config import hydra_wan_1_3b
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import (
    CheckpointError,
    align_memory,
    file_digest,
    from_released,
    load_released,
    load_wan_base,
    read_weights,
    state_digest,
)

LINEAR = ("weight", "bias")


def released_names(layers):
    """Key set of the released checkpoint, written down independently of the mapping under test."""
    names = {
        f"{m}.{p}" for m in ("patch_embedding", "text_embedding.0", "text_embedding.2", "head.head") for p in LINEAR
    }
    names |= {f"{m}.{p}" for m in ("time_embedding.0", "time_embedding.2", "time_projection.1") for p in LINEAR}
    names.add("head.modulation")
    for n in range(layers):
        for attention in ("self_attn", "cross_attn"):
            names |= {f"blocks.{n}.{attention}.{m}.{p}" for m in "qkvo" for p in LINEAR}
            names |= {f"blocks.{n}.{attention}.norm_{m}.weight" for m in "qk"}
        rest = (
            "self_attn.tokenizer.conv",
            "cam_encoder_con",
            "cam_encoder_tgt",
            "projector",
            "norm3",
            "ffn.0",
            "ffn.2",
        )
        names |= {f"blocks.{n}.{m}.{p}" for m in rest for p in LINEAR}
        names.add(f"blocks.{n}.modulation")
    return names


def tiny(seed=0):
    torch.manual_seed(seed)
    return HydraTransformer3DModel(
        memory_settings={"kind": "hydra"}, num_attention_heads=2, attention_head_dim=12, in_channels=4,
        text_dim=10, freq_dim=16, ffn_dim=32, num_layers=2,
    )  # fmt: skip


def in_released_names(model):
    """The model's state dict under released names, found by trying every released name."""
    back = {new: old for old in released_names(2) for new in from_released({old: torch.zeros(1)})}
    return {back[name]: value.clone() for name, value in model.state_dict().items()}


def test_every_key_of_the_1_3b_model_has_its_place():
    config = hydra_wan_1_3b()
    with torch.device("meta"):
        model = HydraTransformer3DModel(**config.transformer_arguments())
    names = released_names(config.transformer.layers)
    renamed = from_released({name: torch.empty(0) for name in names})
    assert renamed.keys() == model.state_dict().keys()
    assert len(names) == 1065
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["memory.tokenizers.29.conv.weight"] == (1536, 1536, 2, 2, 2)
    assert shapes["blocks.0.ffn.net.0.proj.weight"] == (8960, 1536)
    assert shapes["condition_embedder.text_embedder.linear_1.weight"] == (1536, 4096)


@pytest.mark.parametrize("prefix", ["", "pipe.dit.", "model."])
def test_released_weights_load(prefix):
    source, model = tiny(1), tiny(2)
    load_released(model, {prefix + name: value for name, value in in_released_names(source).items()})
    assert state_digest(model) == state_digest(source)


def test_what_does_not_fit_is_reported_and_nothing_is_loaded():
    model, weights = tiny(), in_released_names(tiny(1))
    before = state_digest(model)
    del weights["blocks.1.projector.bias"]
    weights["blocks.7.projector.bias"] = torch.zeros(24)
    weights["head.head.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as caught:
        load_released(model, weights, "hydra.ckpt")
    text = str(caught.value)
    assert text.startswith("weights of hydra.ckpt do not fit the model: 1 missing: blocks.1.projector.bias; ")
    assert "1 unexpected: blocks.7.projector.bias" in text
    assert "1 of another shape: proj_out.bias: [3] in the file, [16] in the model" in text
    assert state_digest(model) == before


def test_two_keys_for_one_parameter_are_refused():
    with pytest.raises(ValueError, match="2 keys become 1 names"):
        from_released({"blocks.0.self_attn.q.bias": torch.zeros(1), "blocks.0.attn1.to_q.bias": torch.zeros(1)})


def test_a_plain_wan_checkpoint_fills_the_backbone_only():
    source, model = tiny(1), tiny(2)
    added = re.compile("tokenizer|cam_encoder|projector")
    weights = {name: value for name, value in in_released_names(source).items() if not added.search(name)}
    left = load_wan_base(model, weights)
    assert len(left) == 2 * 8 and all(re.search(r"memory|camera|projector", name) for name in left)
    assert torch.equal(model.blocks[1].ffn.net[2].weight, source.blocks[1].ffn.net[2].weight)
    assert not model.blocks[0].camera_target.weight.any()
    del weights["patch_embedding.bias"]
    with pytest.raises(CheckpointError, match=r"1 missing: patch_embedding\.bias"):
        load_wan_base(model, weights)


def test_files_of_both_kinds_are_read(tmp_path):
    weights = {"a": torch.arange(3.0)}
    save_file(weights, tmp_path / "w.safetensors")
    torch.save({"epoch": 3, "state_dict": weights}, tmp_path / "w.ckpt")
    for name in ("w.safetensors", "w.ckpt"):
        assert torch.equal(read_weights(tmp_path / name)["a"], weights["a"])
    assert len(file_digest(tmp_path / "w.ckpt")) == 64


def test_pickled_code_is_not_run(tmp_path):
    torch.save({"a": torch.zeros(1), "evil": re.compile("x")}, tmp_path / "w.ckpt")
    with pytest.raises(ValueError, match=r"w\.ckpt holds no weights that can be read safely: Weights only load failed"):
        read_weights(tmp_path / "w.ckpt")
    (tmp_path / "t.safetensors").write_text("no tensors")
    with pytest.raises(ValueError, match="holds no weights that can be read safely"):
        read_weights(tmp_path / "t.safetensors")
    torch.save({"epoch": 3}, tmp_path / "n.ckpt")
    with pytest.raises(ValueError, match="holds no state dict of tensors"):
        read_weights(tmp_path / "n.ckpt")


def test_digests_see_every_bit_and_alignment_changes_none():
    model = tiny()
    before = state_digest(model)
    assert before == state_digest(tiny())
    raw = torch.empty(24 * 24 + 1)
    raw[1:] = model.blocks[0].projector.weight.data.flatten()
    model.blocks[0].projector.weight.data = raw[1:].view(24, 24)
    align_memory(model)
    assert model.blocks[0].projector.weight.data_ptr() % 64 == 0
    assert state_digest(model) == before
    with torch.no_grad():
        model.blocks[0].projector.bias[3] += 1e-7
    assert state_digest(model) != before
