"""Cached text and tiles: the same video as the plain pipeline makes, without the text encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from reference_model.paper_pipeline import TextCache, load_paper_pipeline
from reference_model.paper_weights import convert
from reference_model.pipeline import GenerationRequest, HydraPipeline
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
