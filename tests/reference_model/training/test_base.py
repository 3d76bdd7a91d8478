"""A run may begin from a finished one: same backbone, any memory, the same codec."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from training_toys import MEMORY, Waves, pico

from reference_model.model.codec import MiniVideoCodec
from reference_model.sampling.pipeline import HydraPipeline, build_pipeline
from reference_model.training.base import continue_from
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.stop import TrainingStoppedError


def asked(folder, name, memory, **changes):
    options = {"config": pico(2, memory), "source": Waves(), "prepared": folder / "prepared"}
    return TrainingRequest(**{**options, "out": folder / name, **changes})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a finished run of full attention."""
    folder = tmp_path_factory.mktemp("runs")
    run_training(asked(folder, "base", {"kind": "full"}))
    return folder


def fresh(runs, memory=MEMORY, **changes):
    model = pico(memory=memory).model
    model = replace(model, transformer=replace(model.transformer, **changes))
    pipeline = build_pipeline(model, 5)
    pipeline.register_modules(vae=MiniVideoCodec.from_pretrained(runs / "prepared" / "codec"))
    return pipeline


def test_the_backbone_is_the_bases_and_the_memory_its_own(runs):
    pipeline, base = fresh(runs), HydraPipeline.from_pretrained(runs / "base").transformer.state_dict()
    before = {k: v.clone() for k, v in pipeline.transformer.state_dict().items()}
    continue_from(pipeline, runs / "base")
    for name, value in pipeline.transformer.state_dict().items():
        expected = before[name] if name.startswith("memory.") else base[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
    assert any(name.startswith("memory.") for name in before)


def test_a_run_says_what_it_began_from_and_refuses_another(runs, tmp_path):
    request = asked(runs, "hydra", MEMORY, base=runs / "base")
    run_training(request)
    record = json.loads((runs / "hydra" / "train.json").read_text(encoding="utf-8"))["base"]
    assert record.startswith("base, transformer ")
    assert f"| begins from | {record} |" in (runs / "hydra" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(TrainingStoppedError, match=r"asked for differently \(base base, transformer \w+, now none\)"):
        run_training(replace(request, base=None))


def test_a_base_that_does_not_fit_is_refused_with_the_reason(runs, tmp_path):
    with pytest.raises(TrainingStoppedError, match="holds no finished run"):
        continue_from(fresh(runs), tmp_path)
    with pytest.raises(TrainingStoppedError, match=r"other sizes \(first difference: blocks\.2\."):
        continue_from(fresh(runs, layers=3), runs / "base")
    with pytest.raises(
        TrainingStoppedError, match="has a transformer with positions grid, and this run asks for world"
    ):
        continue_from(fresh(runs, positions="world"), runs / "base")
    with pytest.raises(TrainingStoppedError, match="latents of another codec"):
        continue_from(build_pipeline(pico().model, 5), runs / "base")


def test_a_base_brings_its_codec_to_other_clips(runs, tmp_path):
    """And the card says whose it is, and what it is worth on these clips; another base is refused there."""
    source = Waves(12)
    request = asked(tmp_path, "other", MEMORY, base=runs / "base", source=source)
    run_training(request)
    own, other = (
        load_file(f / "diffusion_pytorch_model.safetensors") for f in (runs / "base/vae", tmp_path / "other/vae")
    )
    assert own.keys() == other.keys() and all(torch.equal(own[name], other[name]) for name in own)
    report = json.loads((tmp_path / "prepared" / "codec" / "report.json").read_text())
    codec = MiniVideoCodec.from_pretrained(runs / "base", subfolder="vae").eval()
    held = [half for clip in map(source.load, request.split()[1]) for half in clip.halves()]
    with torch.no_grad():
        through = [codec.decode_raw(codec.encode_raw(half)).clamp(-1, 1) for half in held]
    errors = [float(((a - b) / 2).square().mean()) for a, b in zip(through, held, strict=True)]
    values = [-10 * math.log10(error) for error in errors]
    assert report["psnr"] == pytest.approx(sum(values) / len(values), abs=1e-3)
    assert report["worst"] == pytest.approx(min(values), abs=1e-3) and report["worst"] < report["psnr"]
    record = json.loads((tmp_path / "other" / "train.json").read_text())["base"]
    line = f"| codec | {report['psnr']:.2f} dB on held-out clips (worst {report['worst']:.2f}), that of {record} |"
    assert line in (tmp_path / "other" / "README.md").read_text()
    run_training(replace(request, base=None, out=tmp_path / "third"))  # a rival that begins from nothing shares it
    assert line in (tmp_path / "third" / "README.md").read_text()
