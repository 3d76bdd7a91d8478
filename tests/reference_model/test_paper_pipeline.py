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
from reference_model.model.memory_kinds import describe_memory, memory_class
from reference_model.model.methods import find_method
from reference_model.model.transformer import with_memory
from reference_model.released.paper_weights import convert
from reference_model.sampling.as_released import cover_and_crop, truncated, uncrop
from reference_model.sampling.paper_model import LargeWorldModel, choose_offload
from reference_model.sampling.paper_pipeline import TextCache, is_large, load_large
from reference_model.sampling.pipeline import GenerationRequest, HydraPipeline
from reference_model.sampling.ram_plan import GIB, Component, RamPlan
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
    paper = load_large(folder, dtype=torch.float32, cache=tmp_path / "cache")
    captions = ["a dog walks", "", "a dog walks", str(paper.config["negative_prompt"])]
    assert paper.text_cache.encode_missing(captions, CPU) == 3
    assert paper.text_cache.encode_missing(captions, CPU) == 0
    shutil.rmtree(folder / "text_encoder")  # from here on nothing may load it
    found = paper(wanted, torch.Generator().manual_seed(0))
    assert torch.equal(found, expected)
    again = load_large(folder, dtype=torch.float32, cache=tmp_path / "cache")
    assert torch.equal(again(wanted, torch.Generator().manual_seed(0)), expected)
    files = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(files) == 3 and max(f.stat().st_size for f in files) < 3000 + 4 * 32 * 60
    with pytest.raises(OSError, match="text_encoder"):
        again.encode_text(["a caption that nobody prepared"])


def test_unprepared_captions_load_the_encoder(folder: Path, tmp_path: Path) -> None:
    plain = HydraPipeline.from_pretrained(folder, local_files_only=True)
    paper = load_large(folder, dtype=torch.float32, cache=tmp_path / "cache")
    texts = ["the rain comes back", "a dog"]
    assert torch.equal(paper.encode_text(texts), plain.encode_text(texts))


def test_another_encoder_has_another_cache(folder: Path, tmp_path: Path) -> None:
    first = TextCache(folder, tmp_path / "cache")
    first.encode_missing(["a dog"], CPU)
    assert TextCache(folder, tmp_path / "cache", torch.float32).missing(["a dog"]) == ["a dog"]  # other numbers
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


def prompt_of(height: int = 40, width: int = 48, frames: int = 77) -> Prompt:
    poses = np.tile(np.eye(4), (frames, 1, 1))
    return Prompt(
        context=np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), dtype=np.uint8),
        context_poses=poses,
        target_poses=poses,
        caption="a dog walks",
        fps=15.0,
        intrinsics=Intrinsics(focal=50.0, width=width, height=height),
    )


def options(folder: Path, tmp_path: Path, **others: str) -> dict[str, str]:
    given = {"checkpoint": str(folder), "steps": "1", "text_cache": str(tmp_path / "cache"), "tiling": "false"}
    return {**given, "offload": "none", **others}


def as_rival(folder: Path, name: str) -> None:
    """Makes the folder what training would leave of a rival: its memory, float32, and a record of its name."""
    method = find_method(name)
    kind = str(method.memory["kind"])
    settings = {k: v for k, v in method.memory.items() if k != "kind"}
    described = describe_memory(kind, memory_class(kind).Settings(**settings))
    pipeline = HydraPipeline.from_pretrained(folder, local_files_only=True)
    with_memory(pipeline.transformer, described).float().save_pretrained(folder / "transformer")
    (folder / "hmbench_model.json").write_text(f'{{"model": "{name}"}}')


@pytest.mark.parametrize("name", ["full-context", "dfot", "frame-pack", "hydra"])
def test_every_memory_is_loaded_in_one_way(folder: Path, tmp_path: Path, name: str) -> None:
    """Number format, tiles, text cache and what is recorded are the same; the memory alone differs."""
    if name != "hydra":
        as_rival(folder, name)
    assert is_large(folder)
    kept = {k: v for k, v in options(folder, tmp_path).items() if k != "checkpoint" or name == "hydra"}
    model = create_model(name if name == "hydra" else str(folder), profile="paper", device="cpu", options=kept)
    assert isinstance(model, LargeWorldModel) and model.info.name == name and model.info.trained
    pipeline, said = model.pipeline, model.info.settings
    assert pipeline.transformer.dtype == torch.bfloat16 and pipeline.vae.dtype == torch.float32
    assert said["dtype"] == "bfloat16" and said["codec_tiles"] is False and said["as_released"] is False
    assert said["offload"] == "none" and said["text_cache"] == str(tmp_path / "cache") and said["compiled"] is False
    assert said["guidance"] == 5.0 and said["steps"] == 1
    assert model.prepare(["a dog walks"]) == 2 and model.prepare(["a dog walks"]) == 0  # the negative prompt, too
    assert pipeline.text_encoder.config.d_model == 2  # the encoder itself is not in memory


def test_settings_of_a_run_are_options_of_every_memory(folder: Path, tmp_path: Path) -> None:
    as_rival(folder, "full-context")
    given = options(folder, tmp_path, precision="float32", tiling="true", guidance="2")
    del given["checkpoint"]
    said = create_model(str(folder), profile="paper", device="cpu", options=given).info.settings
    assert (said["dtype"], said["codec_tiles"], said["guidance"]) == ("float32", True, 2.0)
    with pytest.raises(UserError, match=r"as_released=true samples with precision=bfloat16, and precision=float32"):
        create_model(str(folder), profile="paper", device="cpu", options={**given, "as_released": "true"})
    with pytest.raises(UserError, match="The option precision belongs to models at paper scale"):
        create_model("full-context", profile="nano", device="cpu", options={"precision": "float32"})
    with pytest.raises(UserError, match=r"holds the memory 'full', not 'hydra'"):
        create_model("hydra", profile="paper", device="cpu", options=options(folder, tmp_path))


def test_a_second_device_shares_guidance(folder: Path, tmp_path: Path) -> None:
    model = create_model(
        "hydra", profile="paper", device="cpu", options=options(folder, tmp_path, guidance_device="cpu")
    )
    assert model.pipeline.twin is not None and model.info.settings["guidance_device"] == "cpu"
    assert model.pipeline.twin.pipeline.transformer.dtype == torch.bfloat16
    for given, said in (
        ({"guidance": "1"}, "nothing to share"),
        ({"offload": "sequential"}, "keeps none whole"),
        ({"as_released": "true"}, "samples on one device"),
        ({"guidance_device": "tpu"}, "no torch device"),
    ):
        kept = {k: v for k, v in options(folder, tmp_path).items() if not (k in ("tiling",) and "as_released" in given)}
        with pytest.raises(UserError, match=said):
            create_model("hydra", profile="paper", device="cpu", options={**kept, "guidance_device": "cpu", **given})
    with pytest.raises(UserError, match=r"guidance_device belongs to models at paper scale|guidance_device does not"):
        create_model("hydra", profile="nano", device="cpu", options={"guidance_device": "cpu"})


@pytest.mark.slow  # encodes and decodes 77 frames
@pytest.mark.parametrize("released", ["false", "true"])
def test_a_clip_from_the_folder(folder: Path, tmp_path: Path, released: str) -> None:
    given = options(folder, tmp_path, as_released=released)
    if released == "true":
        del given["tiling"]
    model = create_model("hydra", profile="paper", device="cpu", options=given)
    assert model.prepare(["a dog walks"]) == 2
    shutil.rmtree(folder / "text_encoder")
    first, second = (model.generate(prompt_of(), seed=seed) for seed in (1, 2))
    assert first.shape == (77, 40, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second) == (released == "true")  # the release's seed is 42, whatever the run's
    if released == "true":
        parts = (model.pipeline.transformer, model.pipeline.vae)
        assert {p.dtype for part in parts for p in part.parameters()} == {torch.bfloat16}
        assert model.pipeline.tiled and model.info.settings["as_released"] is True


def test_covering_and_cropping() -> None:
    """A 16:9 frame at 832x480: scaled to 853x480, 10 columns cut on the left, 11 on the right."""
    columns = np.tile(np.arange(1280)[None, None, :, None] / 5, (1, 720, 1, 3)).astype(np.uint8)
    found = cover_and_crop(columns, 480, 832)
    assert found.shape == (1, 480, 832, 3)
    scale = 1280 / 853
    assert abs(int(found[0, 0, 0, 0]) - int((10.5 * scale - 0.5) / 5)) <= 1
    assert abs(int(found[0, 0, -1, 0]) - int((841.5 * scale - 0.5) / 5)) <= 1
    back = uncrop(found, (720, 1280))
    assert back.shape == columns.shape
    inside = np.abs(back[0, 100, 40:-40, 0].astype(int) - columns[0, 100, 40:-40, 0].astype(int))
    assert inside.max() <= 1
    assert (back[0, 100, :12, 0] == back[0, 100, 0, 0]).all()  # what nobody generated is repeated
    tall = np.zeros((1, 90, 60, 3), np.uint8)
    assert (
        cover_and_crop(tall, 20, 30).shape == (1, 20, 30, 3) and uncrop(tall[:, :20, :30], (90, 60)).shape == tall.shape
    )


def test_truncation_of_frames() -> None:
    frames = torch.tensor([-1.2, -1.0, 0.0, 0.999, 1.0, 1.3]).view(1, 1, 1, 1, 6).expand(1, 3, 1, 1, 6)
    assert truncated(frames)[0, 0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]  # rounding gives 128 and 255


def test_offload_follows_the_plan() -> None:
    def plan(free: float, device: str = "cuda:0") -> RamPlan:
        parts = tuple(
            Component(name=n, parameters=1, weights=int(w * GIB), active=int(a * GIB))
            for n, w, a in (("transformer", 3.8, 3.3), ("codec", 0.5, 2.7), ("text", 10.6, 0.1))
        )
        free_bytes = int(free * GIB)
        return RamPlan(
            device=device, available=free_bytes, total=free_bytes, host_available=free_bytes, components=parts
        )

    assert [choose_offload(plan(free)) for free in (24, 8.7, 6, 1)] == ["none", "model", "sequential", "sequential"]
    assert choose_offload(plan(1, "cpu")) == "none"


def test_missing_weights_have_their_sentence(tmp_path: Path) -> None:
    name = "hydra"
    with pytest.raises(UserError, match=r"exists only as trained weights.*reference_model.released.paper_weights pull"):
        create_model(name, profile="paper", device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no usable pipeline: it has no model_index\.json"):
        create_model(name, profile="paper", device="cpu", options={"checkpoint": str(tmp_path / "empty")})
    with pytest.raises(UserError, match=r"is not one of 'auto', 'none', 'model', 'sequential'"):
        create_model(name, profile="paper", device="cpu", options={"offload": "some"})
