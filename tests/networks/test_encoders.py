"""DINO against transformers' ViT, and the cutting out of subjects."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from hmbench.errors import UserError
from hmbench.networks.backbones import FILES, Backbone, find_backbones, from_folder
from hmbench.networks.dino import Dino, DinoConfig, load_dino
from hmbench.networks.embedder import Embedder, MiniEncoder
from hmbench.networks.encoders import ClipMaps, ClipSubjects, DinoSubjects, cut_out, shortest_side
from hmbench.networks.files import read_shipped, read_state, write_shipped


@pytest.fixture(scope="module")
def transformers_vit():
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
    config = ViTConfig(**sizes, image_size=224, patch_size=16, layer_norm_eps=DinoConfig.eps)
    return ViTModel(config, add_pooling_layer=False).eval()


OLDER_NAMES = {
    r"^layers\.(\d+)\.attention\.(q|k|v)_proj": r"encoder.layer.\1.attention.attention.\2",
    r"^layers\.(\d+)\.attention\.o_proj": r"encoder.layer.\1.attention.output.dense",
    r"^layers\.(\d+)\.mlp\.fc1": r"encoder.layer.\1.intermediate.dense",
    r"^layers\.(\d+)\.mlp\.fc2": r"encoder.layer.\1.output.dense",
    r"^layers\.(\d+)\.": r"encoder.layer.\1.",
}
"""transformers 5's names in memory to those of released files, which transformers 4 also had in memory."""


def released_vit_names(key: str) -> str:
    for pattern, name in OLDER_NAMES.items():
        key = re.sub(pattern, name, key)
    for short, long in (("q", "query"), ("k", "key"), ("v", "value")):
        key = key.replace(f"attention.attention.{short}.", f"attention.attention.{long}.")
    return key


def test_dino_reads_transformers_names_and_gives_its_numbers(transformers_vit, tmp_path):
    from safetensors.torch import save_file

    state = {released_vit_names(k): v.contiguous() for k, v in transformers_vit.state_dict().items()}
    assert "encoder.layer.1.attention.attention.query.weight" in state
    save_file(state, tmp_path / "model.safetensors")
    dino = load_dino(tmp_path, "cpu")
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        want = transformers_vit(images).last_hidden_state[:, 0]
        torch.testing.assert_close(dino(images), want, atol=3e-5, rtol=1e-4)


def test_dino_takes_any_size_and_refuses_missing_keys(tmp_path):
    model = Dino(DinoConfig(embed_dim=64, depth=1, num_heads=1)).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 224, 388)).shape == (1, 64)
        assert model.patches(torch.rand(1, 3, 224, 388)).shape == (1, 64, 14, 24)
    state = model.state_dict()
    del state["blocks.0.attn.qkv.bias"]
    torch.save(state, tmp_path / "dino.pth")
    with pytest.raises(UserError, match=r"do not fit the network: .*qkv\.bias") as error:
        load_dino(tmp_path / "dino.pth", "cpu")
    assert "hmbench weights pull" in error.value.hint


def test_the_paper_profiles_classes_run_on_small_random_weights():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=224, patch_size=16
    )
    clip = CLIPVisionModel(config).eval()
    video = np.random.default_rng(0).integers(0, 255, (3, 60, 104, 3), dtype=np.uint8)
    boxes = np.array([[3, 4, 20, 50], [np.nan] * 4, [50, 0, 104, 60]], np.float32)
    for encoder in (ClipSubjects(clip), DinoSubjects(Dino(DinoConfig(embed_dim=64, depth=1, num_heads=1)).eval())):
        features = encoder.crops(video, boxes)
        assert len(features) == 2
        torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
        assert encoder.crops(video, np.full((3, 4), np.nan, np.float32)).shape[0] == 0
    assert ClipMaps(clip, whole_frame=True).maps(video).shape == (3, 32, 14, 14)


def test_crops_hold_the_subject_and_little_else():
    video = np.zeros((1, 40, 60, 3), np.uint8)
    video[0, 10:30, 20:30] = 255
    tight = cut_out(video, np.array([[20, 10, 30, 30]], np.float32), 16, margin=0.0)
    assert tight.shape == (1, 16, 16, 3)
    assert tight.min() == 255
    assert 120 < cut_out(video, np.array([[20, 10, 30, 30]], np.float32), 16, margin=0.2).mean() < 250
    outside = cut_out(video, np.array([[55, 35, 80, 90]], np.float32), 16)
    assert outside.shape == (1, 16, 16, 3)


@pytest.mark.parametrize("size, want", [((480, 832), (224, 388)), ((832, 480), (388, 224)), ((100, 100), (224, 224))])
def test_shortest_side(size, want):
    assert shortest_side(*size, 224) == want


def test_the_mini_embedder_plays_all_three_parts():
    torch.manual_seed(0)
    encoder = MiniEncoder(Embedder())
    video = np.random.default_rng(0).integers(0, 255, (2, 48, 96, 3), dtype=np.uint8)
    boxes = np.array([[3, 4, 20, 40], [50, 0, 96, 48]], np.float32)
    assert encoder.crops(video, boxes).shape == (2, 64)
    assert encoder.frames(video).shape == (2, 128)
    assert encoder.maps(video).shape == (2, 128, 7, 7)


def test_missing_weights_are_a_reason_with_the_command(tmp_path):
    found = find_backbones(profile="paper", weights=None, device="cpu")
    assert "no weights folder was given" in (found.background_frames.missing or "")
    assert "run: hmbench weights pull DIR" in (found.background_frames.missing or "")
    empty = from_folder("dino", tmp_path, lambda path: path)
    assert str(tmp_path / FILES["dino"]) in (empty.missing or "")
    with pytest.raises(UserError, match="no profile 'papr'") as error:
        find_backbones(profile="papr", weights=None, device="cpu")
    assert "Did you mean 'paper'?" in error.value.hint
    with pytest.raises(UserError, match="does not exist"):
        find_backbones(profile="mini", weights=tmp_path / "nowhere", device="cpu")


def test_a_backbone_is_loaded_once():
    loads = []
    backbone = Backbone("x", lambda: loads.append(1) or "network")
    assert (backbone.get(), backbone.get(), len(loads)) == ("network", "network", 1)


def test_shipped_weights_are_what_their_cards_say(tmp_path, monkeypatch):
    state = read_shipped("reid")
    assert state["gallery"].shape[1] == 64
    write_shipped(tmp_path, "reid", {"a": torch.zeros(2)}, {"command": "make it"})
    monkeypatch.setattr("hmbench.networks.files.FOLDER", tmp_path)
    assert set(read_shipped("reid")) == {"a"}
    content = bytearray((tmp_path / "reid.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "reid.safetensors").write_bytes(bytes(content))
    with pytest.raises(UserError, match="is not the file that its card describes") as error:
        read_shipped("reid")
    assert "make it" in error.value.hint


def test_code_in_a_weight_file_is_refused(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ("owned",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="cannot be read"):
        read_state(tmp_path / "evil.pth")
