"""Samples a second of training, the share of time that the model waits for data, and on a GPU its FLOPs utilisation.

    python benchmarks/training_throughput.py --preset nano --steps 10
    python benchmarks/training_throughput.py --preset mini --device cuda --steps 100 --peak-tflops 989

Clips are noise in a real cache on disk (read as in training), the loop's own functions do the rest. FLOPs are counted
by torch's counter over one forward and backward pass of the very model (attention only where the counter knows the
kernel: on a GPU, not on a CPU), and divided by time and peak.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from reference_model.model.methods import find_method
from reference_model.sampling.pipeline import build_pipeline
from reference_model.training.cache import CacheKey, Encoders, LatentCache, build_cache
from reference_model.training.clips import TrainingClip
from reference_model.training.config import TRAINING, TrainingConfig
from reference_model.training.flow import NoisyBatch, add_noise, flow_loss
from reference_model.training.processes import make_accelerator
from reference_model.training.randomness import clip_order
from reference_model.training.stop import TrainingStoppedError

CLIPS = 32


class NoiseClips:
    """Clips that cost nothing to load; training reads the cache alone."""

    name = "noise"

    def __init__(self, config: TrainingConfig) -> None:
        self.frames = config.model.context_frames

    def ids(self) -> tuple[str, ...]:
        """Ids."""
        return tuple(f"noise-{k:03d}" for k in range(CLIPS))

    def load(self, clip_id: str) -> TrainingClip:
        """Black frames: the encoders below make noise of them."""
        frames = np.zeros((self.frames, 16, 16, 3), np.uint8)
        poses = np.tile(np.eye(4), (self.frames, 1, 1))
        return TrainingClip(
            context=frames, target=frames, context_poses=poses, target_poses=poses, caption=f"clip {clip_id} of noise"
        )

    def revision(self) -> str:
        """Constant."""
        return "noise"


def noise_cache(folder: Path, config: TrainingConfig) -> LatentCache:
    model = config.model
    stride = model.codec.space_stride
    frames = (model.context_frames - 1) // model.codec.time_stride + 1
    shape = (1, model.codec.latent_channels, frames, model.height // stride, model.width // stride)
    g = torch.Generator().manual_seed(0)
    encoders = Encoders(
        video=lambda half: torch.randn(shape, generator=g),
        text=lambda captions: torch.randn(len(captions), model.text.max_words, model.text.dim, generator=g),
        time_stride=model.codec.time_stride,
    )
    size = (model.width, model.height)
    return build_cache(
        folder, NoiseClips(config), CacheKey(data="noise", revision="", codec="", text="", size=size), encoders
    )


def measure(config: TrainingConfig, device: str, steps: int, warmup: int, peak: float | None) -> dict[str, object]:
    accelerator = make_accelerator(config, device)
    pipeline = build_pipeline(config.model, 0)
    model = pipeline.transformer.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model, optimizer = accelerator.prepare(model, optimizer)
    channels = torch.ones(config.model.codec.latent_channels, device=accelerator.device)
    with tempfile.TemporaryDirectory() as folder:
        cache = noise_cache(Path(folder), config)

        def batch(step: int) -> NoisyBatch:
            order = clip_order(0, step, config.run.batch, len(cache))
            clips = cache.batch([cache.ids[k] for k in order])
            return add_noise(clips, config.flow, 0, step, list(range(config.run.batch))).to(accelerator.device)

        def train(noisy: NoisyBatch) -> None:
            optimizer.zero_grad(set_to_none=True)
            predicted = model(
                noisy.clips.context, noisy.noisy, noisy.timestep, noisy.clips.text, noisy.clips.cameras
            ).target
            accelerator.backward(flow_loss(predicted, noisy, channels))
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        def wait() -> None:
            if accelerator.device.type == "cuda":
                torch.cuda.synchronize()

        first = batch(0)
        with FlopCounterMode(display=False) as counter:
            train(first)
        for step in range(warmup):
            train(batch(step))
        wait()
        began, waited = time.perf_counter(), 0.0
        for step in range(steps):
            asked = time.perf_counter()
            noisy = batch(warmup + step)
            waited += time.perf_counter() - asked
            train(noisy)
            wait()
        seconds = time.perf_counter() - began
    flops = counter.get_total_flops()
    achieved = flops * steps / seconds
    name = torch.cuda.get_device_name() if accelerator.device.type == "cuda" else "CPU"
    return {
        "preset": config.model.name,
        "device": name,
        "threads": torch.get_num_threads(),
        "batch": config.run.batch,
        "samples_per_second": round(config.run.batch * steps / seconds, 3),
        "seconds_a_step": round(seconds / steps, 4),
        "data_wait_share": round(waited / seconds, 5),
        "gflop_a_sample": round(flops / config.run.batch / 1e9, 2),
        "tflop_a_second": round(achieved / 1e12, 4),
        "model_flops_utilisation": None if peak is None else round(achieved / (peak * 1e12), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano", choices=[name for name in TRAINING if name != "paper"])
    parser.add_argument("--memory", default="hydra")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--batch", type=int)
    parser.add_argument(
        "--peak-tflops", type=float, help="the device's peak in the precision used, for the utilisation"
    )
    asked = parser.parse_args()
    config = TRAINING[asked.preset]()
    config = replace(config, model=find_method(asked.memory).apply(asked.preset))
    if asked.batch:
        config = replace(config, run=replace(config.run, batch=asked.batch))
    try:
        measured = measure(config, asked.device, asked.steps, asked.warmup, asked.peak_tflops)
    except TrainingStoppedError as error:
        sys.exit(f"{error}")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
