"""Cost cards of every memory method: counts from its own facts at any size, time and memory measured where they fit.

Transformers of paper size are built on the meta device, where weights have shapes and no bytes. A measurement runs in a
process of its own, ``python -m baselines.cost METHOD PRESET DEVICE``, because a process's peak memory never falls.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from baselines.dfot import DfotSettings
from hmbench.insight.cost import CostCard
from hmbench.registry import MEMORIES
from reference_model.model.config import HydraConfig
from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.memory import Memory
from reference_model.model.methods import Method
from reference_model.model.sequence import Grid
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.method_factory import memory_method
from reference_model.sampling.pipeline import HydraPipeline, build_pipeline

REPEATS = 3
"""Timed steps after one to warm up; the median counts."""


def cost_cards(*, preset: str, device: str, measure: bool) -> list[CostCard]:
    """A card for every installed method (see `hmbench.insight.cost.CardSource`)."""
    return [cost_card(memory_method(name), preset, device=device, measure=measure) for name in MEMORIES.points()]


def cost_card(method: Method, preset: str, *, device: str = "cpu", measure: bool = False) -> CostCard:
    """The card of one method.

    Args:
        method: The method.
        preset: ``mini``, ``nano`` or ``paper``.
        device: Where to measure.
        measure: Whether to measure time and memory.
    """
    config = method.apply(preset)
    with torch.device("meta"):
        model = HydraTransformer3DModel(**config.transformer_arguments())
    context, target = config.grids(config.context_frames, config.target_frames)
    facts = model.memory.facts(context, target)
    evaluations = _evaluations(model.memory, config)
    found: dict[str, Any] = measure_step(method, preset, device) if measure else {"why": "not measured"}
    return CostCard(
        method=method.name,
        preset=preset,
        clip=f"{config.width}x{config.height}, {config.context_frames} + {config.target_frames} frames",
        memory_tokens=memory_tokens(model.memory, context, target) * model.bands,
        tokens_seen=facts.tokens_seen,
        noise_reaches_context=facts.noise_reaches_context,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        parameters_added=facts.parameters,
        attention_flops=4.0
        * config.transformer.dim
        * config.transformer.layers
        * config.transformer.bands
        * pairs(model.memory, context, target),
        evaluations=evaluations,
        seconds=found.get("seconds"),
        peak_bytes=found.get("peak_bytes"),
        measured_on=found["why"],
    )


def memory_tokens(memory: Memory, context: Grid, target: Grid) -> int:
    """Key/value tokens of the past that a target frame sees: for HyDRA its retrieved slices, for others the context."""
    seen = memory.facts(context, target).tokens_seen
    if isinstance(memory, HydraMemory):
        return seen - memory.settings.window * target.tokens_per_frame
    return seen - target.tokens


def pairs(memory: Memory, context: Grid, target: Grid) -> int:
    """Query-key pairs of one block's self-attention."""
    seen = memory.facts(context, target).tokens_seen
    if isinstance(memory, HydraMemory):  # every frame is a query, and each sees as much
        return (context.tokens + target.tokens) * seen
    return seen * seen  # full attention over what is left


def measure_step(method: Method, preset: str, device: str) -> dict[str, Any]:
    """Seconds and peak bytes of one denoising step, from a process of its own, and how they were measured."""
    if preset == "paper" and device == "cpu":
        return {"why": "not measured: paper size needs a GPU (one evaluation is over 10^15 operations)"}
    command = [sys.executable, "-m", "baselines.cost", method.name, preset, device]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path.cwd())
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return {"why": f"not measured: {last[0]}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_step(method: Method, preset: str, device: str) -> dict[str, Any]:
    """Measures in this process."""
    on_gpu = device.startswith("cuda")
    denoise = _prepare(method, method.apply(preset), device)
    resting = _reset_peak(on_gpu)
    denoise()
    peak = _peak(on_gpu)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        denoise()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    where = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} thread(s)"
    return {
        "seconds": statistics.median(times),
        "peak_bytes": None if resting is None or peak is None else peak - resting,
        "why": f"{where}, {'bfloat16' if on_gpu else 'float32'}, untrained weights, median of {REPEATS} steps",
    }


def _prepare(method: Method, config: HydraConfig, device: str) -> Callable[[], None]:
    """A function that does one denoising step."""
    pipeline = _pipeline(method, config, device)
    dtype, (frames, rows, columns) = pipeline.transformer.dtype, config.transformer.patch
    cell = (frames, rows * config.transformer.bands, columns)
    grids = config.grids(config.context_frames, config.target_frames)
    generator = torch.Generator().manual_seed(0)
    context, latents = (
        torch.randn(1, config.codec.latent_channels, *(n * p for n, p in zip(grid, cell, strict=True)))
        for grid in grids
    )
    still = torch.eye(4)[:3].flatten()
    cameras = [still.repeat(1, grid.frames, 1).to(device, dtype) for grid in grids]
    text = torch.randn(1, config.text.max_words, config.text.dim).to(device, dtype)
    denoiser = pipeline.denoiser(context.to(device), (cameras[0], cameras[1]), generator)
    latents, level = latents.to(device), torch.tensor(500.0, device=device)

    @torch.no_grad()
    def denoise() -> None:
        for _ in range(2 if config.sampler.guidance != 1 else 1):
            denoiser(latents, level, text)

    return denoise


def _pipeline(method: Method, config: HydraConfig, device: str) -> HydraPipeline:
    if config.codec.kind == "mini":
        return cast(HydraPipeline, build_pipeline(config, 0, method.pipeline).to(device))
    with torch.device(device):
        transformer = HydraTransformer3DModel(**config.transformer_arguments())
    # codec and text encoder of paper size exist only as weights, and a denoising step needs neither
    pipeline = method.pipeline.__new__(method.pipeline)
    pipeline.__dict__["transformer"] = transformer.to(torch.bfloat16).eval()
    return pipeline


def _reset_peak(on_gpu: bool) -> int | None:
    """Bytes in use now, from where on a peak is counted; None where the system does not tell."""
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of building the model
    except OSError:
        return None
    return _status("VmRSS")


def _peak(on_gpu: bool) -> int | None:
    if on_gpu:
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    return _status("VmHWM")


def _status(name: str) -> int | None:
    """A size in bytes from Linux's account of this process."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]
    return found[0] if found else None


def _evaluations(memory: Memory, config: HydraConfig) -> int:
    histories = len(memory.settings.terms()) if isinstance(memory.settings, DfotSettings) else 1
    return histories * (2 if config.sampler.guidance != 1 else 1)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_step(memory_method(sys.argv[1]), sys.argv[2], sys.argv[3])) + "\n")
