"""The saved model: what `hmbench eval --model OUT` loads, with a card and digests."""

from __future__ import annotations

import json
import math
import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from reference_model.released.checkpoint import file_digest
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.training.config import TrainingConfig
from reference_model.training.disk import flush_folder, flush_tree, write_atomically
from reference_model.training.monitor import read_metrics

MODEL_FILE = "hmbench_model.json"
DIGESTS = "digests.json"


def save_model(out: Path, pipeline: HydraPipeline, config: TrainingConfig, facts: dict[str, Any]) -> None:
    """Writes pipeline, model record, card and, last, digests.

    Args:
        out: The run's folder.
        pipeline: With its trained weights, on the CPU.
        config: Settings.
        facts: What `run_training` knows of the run.
    """
    pipeline.to("cpu")
    part = out / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        pipeline.save_pretrained(part)
        name = config.memory if ":" not in config.memory else "hydra"
        write_atomically(part / MODEL_FILE, {"model": name})
        (part / "README.md").write_text(model_card(out, pipeline, config, facts), encoding="utf-8")
        files = sorted(part.rglob("*.safetensors"))
        write_atomically(part / DIGESTS, {str(f.relative_to(part)): file_digest(f) for f in files})
        flush_tree(part)
        _move_in(part, out)
        flush_folder(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move_in(part: Path, out: Path) -> None:
    """Replaces an older model by a whole new one; the digests, by which a finished run is known, come last."""
    (out / DIGESTS).unlink(missing_ok=True)
    for new in sorted(part.iterdir(), key=lambda path: path.name == DIGESTS):
        old = out / new.name
        if old.is_dir():
            shutil.rmtree(old)
        new.replace(old)


def model_card(out: Path, pipeline: HydraPipeline, config: TrainingConfig, facts: dict[str, Any]) -> str:
    """The card as Markdown."""
    rows = read_metrics(out)
    validation = [row for row in rows if "validation" in row]
    sampled = [row for row in rows if "sample_psnr" in row]
    rates = [row["samples_per_second"] for row in rows if "samples_per_second" in row]
    samples = config.steps * config.run.batch
    wall = sum(config.run.log_every * config.run.batch / rate for rate in rates if rate)
    codec = facts.get("codec") or {}
    lines = [
        f"# {config.model.name}",
        "",
        f"Memory `{config.memory}` on the backbone of hmbench's reference model: {config.model.width}x"
        f"{config.model.height} pixels, {_parameters(pipeline) / 1e6:.2f} M parameters (transformer).",
        "",
        "| | |",
        "|---|---|",
        f"| data | {facts['data']}, revision `{facts['revision']}`, {facts['clips']} clips |",
        f"| command | `{facts['command']}` |",
        f"| begins from | {facts.get('base') or 'nothing'} |",
        f"| seed | {facts['seed']} |",
        f"| steps | {config.steps} of {config.run.batch} clips ({samples} samples){_turns(config)} |",
        f"| device | {_device(str(facts['device']))}{_together(int(facts.get('processes', 1)))} |",
        f"| time in the loop | {wall / 60:.0f} minutes |",
        f"| torch | {facts.get('torch', torch.__version__)} |",
        f"| codec | {facts.get('codec_line') or _codec_line(codec)} |",
        f"| validation loss | {_course(validation, 'validation')} |",
        f"| PSNR of sampled held-out clips against the codec's output | {_course(sampled, 'sample_psnr')} |",
        "",
        "Settings of the memory:",
        "",
        "```json",
        json.dumps(dict(config.model.transformer.memory), indent=1),
        "```",
        "",
        "![loss](loss.png)",
        "",
        "Digests of the weights stand in `digests.json`, all settings in `train.json`.",
        "",
    ]
    return "\n".join(lines)


def _turns(config: TrainingConfig) -> str:
    others = ", ".join(f"`{described['kind']}`" for described in config.also)
    return f", in turn under this memory and {others}" if others else ""


def _parameters(pipeline: HydraPipeline) -> int:
    return sum(parameter.numel() for parameter in pipeline.transformer.parameters())


def _device(device: str) -> str:
    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if not device.startswith(("cuda", "cpu")):  # the name of a device elsewhere
        return device
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"


def _together(processes: int) -> str:
    return f", {processes} processes" if processes > 1 else ", 1 process"


def _codec_line(codec: dict[str, Any]) -> str:
    if not codec:
        return "Wan 2.1's, frozen"
    taken = codec.get("taken_from")
    trained = f"that of {taken}" if taken else f"{codec['steps']} steps on {codec['clips']} clips"
    # nothing held out, nothing measured: None, in older reports NaN
    if codec["psnr"] is None or math.isnan(codec["psnr"]):
        return f"not measured, no clips were held out; {trained}"
    linear = "" if codec["linear_psnr"] is None else f"; principal components alone {codec['linear_psnr']:.2f}"
    return f"{codec['psnr']:.2f} dB on held-out clips (worst {codec['worst']:.2f}{linear}), {trained}"


def _course(rows: list[dict[str, Any]], name: str) -> str:
    if not rows:
        return "not measured"
    return f"{rows[0][name]:.4g} (step {rows[0]['step']}) to {rows[-1][name]:.4g} (step {rows[-1]['step']})"
