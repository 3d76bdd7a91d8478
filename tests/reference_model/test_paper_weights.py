"""The released files, small: every format and layout converts to one pipeline; each wrong file has its sentence."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from safetensors.torch import load_file, save_file
from transformers import UMT5Config, UMT5EncoderModel

from hmbench.errors import UserError
from hmbench.files import read_json
from reference_model.model.config import hydra_wan_1_3b
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import from_released
from reference_model.released.paper_weights import UMT5_XXL, convert, pull
from reference_model.released.wan_names import umt5_from_original, vae_from_original
from reference_model.released.weight_files import open_weights
from reference_model.sampling.pipeline import HydraPipeline
from tests.hub_server import hub_server
from tests.reference_model.paper_files import (
    original_umt5_names,
    original_vae_names,
    small_sizes,
    small_umt5,
    small_vae,
    to_released,
    transformer_weights,
    write_checkpoint,
    write_diffusers_layout,
    write_original_layout,
)


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("wan")
    return {"diffusers": write_diffusers_layout(root / "d"), "original": write_original_layout(root / "o")}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("hydra") / "hydra.ckpt", to_released(transformer_weights()))


# Names, at full size on the meta device


def test_full_key_set_of_the_transformer() -> None:
    with init_empty_weights():
        model = HydraTransformer3DModel(**hydra_wan_1_3b().transformer_arguments())
    own = model.state_dict()
    names = to_released(own)
    assert len(names) == len(own) > 1000
    assert from_released(names).keys() == own.keys()
    base = {k: v for k, v in names.items() if not any(w in k for w in ("tokenizer", "cam_encoder", "projector"))}
    assert convert_wan_transformer_to_diffusers(dict(base)).keys() == from_released(base).keys()


def test_full_key_set_of_the_codec() -> None:
    with init_empty_weights():
        own = AutoencoderKLWan().state_dict()
    original = {name: torch.zeros(()) for name in original_vae_names()}
    assert vae_from_original(original).keys() == own.keys() == convert_wan_vae_to_diffusers(dict(original)).keys()
    for name in original:  # one by one, so that no two are swapped
        assert vae_from_original({name: 0}).keys() == convert_wan_vae_to_diffusers({name: 0}).keys()
    assert vae_from_original(dict.fromkeys(own, 0)).keys() == own.keys()


def test_full_key_set_of_the_text_encoder() -> None:
    with init_empty_weights():
        model = UMT5EncoderModel(UMT5Config(**UMT5_XXL))
    own = set(model.state_dict()) - {"encoder.embed_tokens.weight"}
    names = original_umt5_names(24)
    assert set(names) == own
    assert umt5_from_original({original: ours for ours, original in names.items()}) == {n: n for n in names}
    sizes = {name: tensor.numel() for name, tensor in model.state_dict().items() if name in own}
    assert sum(sizes.values()) == pytest.approx(5.68e9, rel=0.001)


# Conversion


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_both_layouts_make_the_same_pipeline(layout: str, wan: dict[str, Path], released: Path, tmp_path: Path) -> None:
    out = tmp_path / "hydra-paper"
    report = convert(released, wan[layout], out, sizes=small_sizes(), dtype=torch.float32)
    pipeline = HydraPipeline.from_pretrained(out, local_files_only=True)
    for module, expected in (
        (pipeline.transformer, transformer_weights()),
        (pipeline.vae, small_vae().state_dict()),
        (pipeline.text_encoder, small_umt5().state_dict()),
    ):
        found = module.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert pipeline.config["steps"] == 50 and pipeline.config["guidance"] == 5.0
    assert pipeline.scheduler.config["shift"] == 5.0
    assert len(pipeline.tokenizer("a dog walks").input_ids) == 3
    assert read_json(out / "conversion.json") == report and report["transformer"]["tensors"] == len(
        transformer_weights()
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hydra-paper"]


@pytest.mark.parametrize("name", ["hydra.ckpt", "hydra.pth", "hydra.safetensors"])
def test_every_format(name: str, wan: dict[str, Path], tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "in" / name, to_released(transformer_weights(3)))
    convert(path, wan["diffusers"], tmp_path / "out", sizes=small_sizes())
    stored = load_file(tmp_path / "out" / "transformer" / "diffusion_pytorch_model.safetensors")
    expected = transformer_weights(3)
    assert all(torch.equal(stored[key], expected[key].bfloat16()) for key in expected) and len(stored) == len(expected)


def test_wans_text_encoder_by_its_own_arithmetic() -> None:
    """Wan's T5 block written down from its code; a swap of gate and fc1, or of two norms, would change the output."""
    model = small_umt5()
    names = original_umt5_names(2)
    w = {original: model.state_dict()[ours] for ours, original in names.items()}
    ids = torch.tensor([[3, 4, 5, 6, 1]])

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight

    x = w["token_embedding.weight"][ids]
    distance = torch.arange(5)[None] - torch.arange(5)[:, None]
    exact, half = 2, 4
    far = exact + (
        torch.log(distance.abs().clamp_min(1) / exact) / torch.log(torch.tensor(128 / exact)) * (half - exact)
    )
    bucket = (distance > 0) * half + torch.where(distance.abs() < exact, distance.abs(), far.long().clamp_max(half - 1))
    for i in range(2):
        y = norm(x, w[f"blocks.{i}.norm1.weight"])
        q, k, v = ((y @ w[f"blocks.{i}.attn.{n}.weight"].T).view(1, 5, 4, 8) for n in "qkv")
        bias = w[f"blocks.{i}.pos_embedding.embedding.weight"][bucket].permute(2, 0, 1)
        attention = (torch.einsum("binc,bjnc->bnij", q, k) + bias).softmax(-1)
        mixed = torch.einsum("bnij,bjnc->binc", attention, v).reshape(1, 5, 32)
        x = x + mixed @ w[f"blocks.{i}.attn.o.weight"].T
        y = norm(x, w[f"blocks.{i}.norm2.weight"])
        gate = torch.nn.functional.gelu(y @ w[f"blocks.{i}.ffn.gate.0.weight"].T, approximate="tanh")
        x = x + (y @ w[f"blocks.{i}.ffn.fc1.weight"].T * gate) @ w[f"blocks.{i}.ffn.fc2.weight"].T
    with torch.no_grad():
        found = model(ids).last_hidden_state
    torch.testing.assert_close(norm(x, w["norm.weight"]), found, rtol=1e-4, atol=1e-5)


# What is wrong is said


def attempt(checkpoint: Path, wan: Path, tmp_path: Path) -> str:
    before = set(tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        convert(checkpoint, wan, tmp_path / "out", sizes=small_sizes())
    assert set(tmp_path.iterdir()) == before, "something was left behind"
    return str(caught.value)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hmbench-was-here",)


@pytest.mark.parametrize("name", ["hydra.ckpt", "hydra.pth", "hydra.safetensors"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_truncated_files(name: str, share: float, wan: dict[str, Path], tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / name, to_released(transformer_weights()))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "is truncated" in attempt(path, wan["diffusers"], tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>404", "is a text ('<!DOCTYPE html>"),
        (b'{"error": "Repository not found"}', "is a text ("),
        (b"\x80\x02garbage", "is damaged, or no weights at all"),
    ],
)
def test_files_that_are_no_weights(content: bytes, sentence: str, wan: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "hydra.ckpt").write_bytes(content)
    assert sentence in attempt(tmp_path / "hydra.ckpt", wan["diffusers"], tmp_path)


@pytest.mark.parametrize("protocol", ["zip", "pickle"])
def test_code_in_a_checkpoint_is_never_run(
    protocol: str, wan: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hydra.ckpt"
    if protocol == "zip":
        torch.save({"state_dict": transformer_weights(), "callback": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    text = attempt(path, wan["diffusers"], tmp_path)
    assert "could run code (it asks for posix.system)" in text and "was not read" in text
    assert not (tmp_path / "hmbench-was-here").exists()


def test_other_versions_are_named(wan: dict[str, Path], tmp_path: Path) -> None:
    def said(weights: dict[str, torch.Tensor]) -> str:
        return attempt(write_checkpoint(tmp_path / "x.pth", weights), wan["diffusers"], tmp_path)

    (tmp_path / "x.pth").touch()
    full = to_released(transformer_weights())
    plain = {k: v for k, v in full.items() if not any(w in k for w in ("tokenizer", "cam_encoder", "projector"))}
    assert "plain Wan 2.1 1.3B" in said(plain)
    old = {k: torch.zeros(24, 24, 2, 4, 4) if "tokenizer.conv.weight" in k else v for k, v in full.items()}
    assert "kernel is 2x4x4, as in another version of the released code" in said(old)
    assert "a shard is missing" in said({k: v for k, v in full.items() if "blocks.1." not in k})
    assert "look like Wan 14B" in said({**full, "patch_embedding.weight": torch.zeros(5120, 16, 1, 2, 2)})
    assert "image-to-video" in said({**full, "img_emb.proj.0.weight": torch.zeros(3)})
    assert "codec or text encoder" in said(dict(small_vae().state_dict()))
    assert "1 unexpected: epochs" in said({**full, "epochs": torch.zeros(1)})


def test_wan_folders_that_do_not_do(wan: dict[str, Path], released: Path, tmp_path: Path) -> None:
    def broken(layout: str, change: str) -> Path:
        import shutil

        folder = tmp_path / f"{layout}-{change.replace('/', '-')}"
        shutil.copytree(wan[layout], folder)
        target = folder / change
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        return folder

    (tmp_path / "empty").mkdir()
    assert "neither in diffusers' layout nor in Wan's original one" in attempt(released, tmp_path / "empty", tmp_path)
    assert "has no tokenizer" in attempt(released, broken("diffusers", "tokenizer"), tmp_path)
    assert "models_t5" in attempt(released, broken("original", "models_t5_umt5-xxl-enc-bf16.pth"), tmp_path)
    text = broken("diffusers", "text_encoder/model.safetensors")
    assert "has no .safetensors file" in attempt(released, text, tmp_path)
    few = {"encoder.final_layer_norm.weight": torch.ones(32)}
    save_file(few, text / "text_encoder" / "model.safetensors")
    assert "is whole, but not the text encoder UMT5-XXL" in attempt(released, text, tmp_path)
    (tmp_path / "out").mkdir()
    assert "exists already" in attempt(released, wan["original"], tmp_path)


def test_large_torch_files_are_mapped(tmp_path: Path) -> None:
    """Opening 64 MB takes hardly any memory of its own: the tensors are the file."""
    path = tmp_path / "large.pth"
    torch.save({"weight": torch.ones(16 << 20)}, path)
    before = own_memory()
    weights = open_weights(path)
    assert own_memory() - before < 8 << 20
    assert float(weights["weight"].sum()) == 16 << 20


def own_memory() -> int:
    """Bytes of memory that belong to this process alone, not to files it has mapped."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


# From the Hub


def test_pull_and_then_offline(
    wan: dict[str, Path], released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    files = {
        "models/Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {
            str(p.relative_to(wan["diffusers"])): p.read_bytes() for p in wan["diffusers"].rglob("*") if p.is_file()
        },
        "models/H-EmbodVis/HyDRA": {"hydra.ckpt": released.read_bytes(), "README.md": b"card"},
    }
    with hub_server(files) as hub:
        pull(tmp_path / "one", endpoint=hub.url, sizes=small_sizes())
        requests = len(hub.log)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        pull(tmp_path / "two", endpoint=hub.url, sizes=small_sizes())
        assert len(hub.log) == requests
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        hub.listed_digests["hydra.ckpt"] = "0" * 64
        with pytest.raises(UserError, match=r"hydra\.ckpt of H-EmbodVis/HyDRA is not what the Hub lists"):
            pull(tmp_path / "three", endpoint=hub.url, sizes=small_sizes())
        hub.listed_digests.clear()
        files["models/H-EmbodVis/HyDRA"]["other.ckpt"] = b"x" * 600
        hub.commits["main"] = "e" * 40
        with pytest.raises(UserError, match=r"2 files that may be the checkpoint: hydra\.ckpt, other\.ckpt"):
            pull(tmp_path / "four", endpoint=hub.url, sizes=small_sizes())
    first, second = (tmp_path / n / "transformer" / "diffusion_pytorch_model.safetensors" for n in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_training_begins_from_unrounded_weights(tmp_path) -> None:
    """Wan's float32 weights reach the trained transformer bit for bit: a step through bf16 would round most of them."""
    from diffusers import WanTransformer3DModel

    from reference_model.training.paper import paper_parts

    config = small_sizes().hydra
    names = set(WanTransformer3DModel.__init__.__wrapped__.__code__.co_varnames)  # type: ignore[attr-defined]
    arguments = {k: v for k, v in config.transformer_arguments().items() if k in names}
    torch.manual_seed(1)
    wan = WanTransformer3DModel(**arguments, out_channels=arguments["in_channels"])
    folder = write_diffusers_layout(tmp_path / "wan")
    wan.save_pretrained(folder / "transformer")
    found = paper_parts(config, folder).transformer.state_dict()
    shared = {name: value for name, value in wan.state_dict().items() if name in found}
    assert len(shared) > 50 and all(torch.equal(found[name], value) for name, value in shared.items())
    assert any(not torch.equal(value, value.bfloat16().float()) for value in shared.values())
