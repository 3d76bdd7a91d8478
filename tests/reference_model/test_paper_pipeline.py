"""Cached text and tiles: the same video as the plain pipeline makes, without the text encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hmbench.errors import UserError
from hmbench.registry import create_model
from hmbench.types import Intrinsics, Prompt
from reference_model.released.paper_weights import convert
from reference_model.sampling.paper_model import choose_offload, from_folder
from reference_model.sampling.paper_pipeline import TextCache, load_paper_pipeline
from reference_model.sampling.pipeline import GenerationRequest, HydraPipeline
from reference_model.sampling.ram_plan import GIB, Component, MemoryPlan
from tests.reference_model.paper_files import (
    small_sizes,
    to_released,
    transformer_weights,
    write_checkpoint,
    write_diffusers_layout,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint = write_checkpoint(tmp_path / "hydra.safetensors", to_released(transformer_weights()))
    convert(
        checkpoint,
        write_diffusers_layout(tmp_path / "wan"),
        tmp_path / "paper",
        sizes=small_sizes(),
        dtype=torch.float32,
    )
    return tmp_path / "paper"


def request(*captions: str) -> GenerationRequest:
    draw = torch.Generator().manual_seed(5)
    count = len(captions)
    cameras = tuple(torch.randn(count, 20, 12, generator=draw) for _ in range(2))
    context = torch.rand(count, 3, 77, 32, 32, generator=draw) * 2 - 1
    return GenerationRequest(context=context, cameras=(cameras[0], cameras[1]), captions=list(captions), steps=2)


CPU = torch.device("cpu")


@pytest.mark.slow  # encodes and decodes 77 frames
def test_same_video_without_the_encoder(folder: Path, tmp_path: Path) -> None:
    plain = HydraPipeline.from_pretrained(folder, local_files_only=True)
    wanted = request("a dog walks", "")
    expected = plain(wanted, torch.Generator().manual_seed(0))
    paper = load_paper_pipeline(folder, CPU, tiling=False, dtype=torch.float32, cache=tmp_path / "cache")
    assert paper.prepare(["a dog walks", "", "a dog walks"]) == 3  # two captions and the negative prompt
    assert paper.prepare(["a dog walks", ""]) == 0
    shutil.rmtree(folder / "text_encoder")  # from here on nothing may load it
    found = paper(wanted, torch.Generator().manual_seed(0))
    assert torch.equal(found, expected)
    again = load_paper_pipeline(folder, CPU, tiling=False, dtype=torch.float32, cache=tmp_path / "cache")
    assert torch.equal(again(wanted, torch.Generator().manual_seed(0)), expected)
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 3 and max(f.stat().st_size for f in files) < 3000 + 4 * 32 * 60
    with pytest.raises(OSError, match="text_encoder"):
        again.encode_text(["a caption that nobody prepared"])


def test_unprepared_captions_load_the_encoder(folder: Path, tmp_path: Path) -> None:
    plain = HydraPipeline.from_pretrained(folder, local_files_only=True)
    paper = load_paper_pipeline(folder, CPU, dtype=torch.float32, cache=tmp_path / "cache")
    texts = ["the rain comes back", "a dog"]
    assert torch.equal(paper.encode_text(texts), plain.encode_text(texts))


def test_another_encoder_has_another_cache(folder: Path, tmp_path: Path) -> None:
    first = TextCache(folder, tmp_path / "cache")
    first.encode_missing(["a dog"], CPU, torch.float32)
    assert first.missing(["a dog", "rain", "rain"]) == ["rain"]
    record = folder / "conversion.json"
    record.write_text(record.read_text().replace('"text_encoder": {', '"text_encoder": {"x": 1,', 1))
    assert TextCache(folder, tmp_path / "cache").missing(["a dog"]) == []  # other facts of the record do not matter
    record.unlink()
    assert TextCache(folder, tmp_path / "cache").missing(["a dog"]) == ["a dog"]
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    second = TextCache(folder, tmp_path / "cache")
    with pytest.raises(KeyError, match="a dog"):
        second.read(["a dog"])


@pytest.mark.slow  # encodes and decodes 77 frames
def test_types_and_tiles(folder: Path, tmp_path: Path) -> None:
    paper = load_paper_pipeline(folder, CPU, cache=tmp_path / "cache")
    assert paper.transformer.dtype == torch.bfloat16 and paper.vae.dtype == torch.float32
    assert paper.vae.use_tiling and paper.vae.tile_sample_min_width == 416
    video = paper(request("a dog"), torch.Generator().manual_seed(0))
    assert video.shape == (1, 3, 77, 32, 32) and video.isfinite().all()


@pytest.mark.slow
def test_world_model_from_the_folder(folder: Path, tmp_path: Path) -> None:
    config = small_sizes().hydra
    model = from_folder(folder, CPU, config, "none", tiling=False, overrides=(2, 1.0), cache=tmp_path / "cache")
    assert model.info.settings["steps"] == 2 and model.info.settings["codec_tiles"] is False
    assert model.info.trained and set(model.info.weights) >= {"transformer/diffusion_pytorch_model.safetensors"}
    assert model.prepare(["a dog walks"]) == 2 and model.prepare(["a dog walks"]) == 0
    shutil.rmtree(folder / "text_encoder")
    poses = np.tile(np.eye(4), (77, 1, 1))
    prompt = Prompt(
        context=np.random.default_rng(0).integers(0, 255, (77, 40, 48, 3), dtype=np.uint8),
        context_poses=poses,
        target_poses=poses,
        caption="a dog walks",
        fps=15.0,
        intrinsics=Intrinsics(focal=50.0, width=48, height=40),
    )
    video = model.generate(prompt, seed=1)
    assert video.shape == (77, 40, 48, 3) and video.dtype == np.uint8


def test_offload_follows_the_plan() -> None:
    def plan(free: float, device: str = "cuda:0") -> MemoryPlan:
        parts = tuple(
            Component(name=n, parameters=1, weights=int(w * GIB), active=int(a * GIB))
            for n, w, a in (("transformer", 3.8, 3.3), ("codec", 0.5, 2.7), ("text", 10.6, 0.1))
        )
        free_bytes = int(free * GIB)
        return MemoryPlan(
            device=device, available=free_bytes, total=free_bytes, host_available=free_bytes, components=parts
        )

    assert [choose_offload(plan(free)) for free in (24, 8.7, 6, 1)] == ["none", "model", "sequential", "sequential"]
    assert choose_offload(plan(1, "cpu")) == "none"


def test_missing_weights_have_their_sentence(tmp_path: Path) -> None:
    name = "reference_model.sampling.paper_model:hydra_paper"
    with pytest.raises(UserError, match=r"exists only as trained weights.*reference_model.released.paper_weights pull"):
        create_model(name, profile="paper", device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no usable pipeline: it has no model_index\.json"):
        create_model(name, profile="paper", device="cpu", options={"checkpoint": str(tmp_path / "empty")})
    with pytest.raises(UserError, match=r"is not one of 'auto', 'none', 'model', 'sequential'"):
        create_model(name, profile="paper", device="cpu", options={"offload": "some"})
