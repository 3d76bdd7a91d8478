"""Validation that means something from step to step: held-out clips, fixed noise, fixed levels.

The training loss is mostly the luck of its noise levels. Here every clip meets the same noise at the same levels each
time, so that two numbers of one run, or of two runs on the same data, may be compared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import TRAIN_TIMESTEPS, HydraPipeline, set_noise_levels
from reference_model.training.cache import LatentCache
from reference_model.training.clips import Frames, as_frames
from reference_model.training.flow import LatentBatch
from reference_model.training.randomness import generator, normal

LEVELS = (0.15, 0.35, 0.55, 0.75, 0.9, 0.98)
"""Noise levels s."""
_STRIP_FRAMES = 6


@torch.no_grad()
def validation_loss(
    model: HydraTransformer3DModel, cache: LatentCache, ids: tuple[str, ...], channels: Tensor, device: torch.device
) -> dict[str, float]:
    """Mean loss over held-out clips: of all levels as ``validation``, and of each."""
    if not ids:
        return {}
    model.eval()
    sums = dict.fromkeys(LEVELS, 0.0)
    for number, clip_id in enumerate(ids):
        clip = _on(cache.batch([clip_id]), device)
        noise = normal(tuple(clip.target.shape), 0, "validation", number).to(device)
        for level in LEVELS:
            noisy = (1 - level) * clip.target + level * noise
            timestep = torch.tensor([level * TRAIN_TIMESTEPS], device=device)
            predicted = model(clip.context, noisy, timestep, clip.text, clip.cameras).target
            error = (predicted.float() - (noise - clip.target)).square() * channels.view(1, -1, 1, 1, 1)
            sums[level] += float(error.mean()) / len(ids)
    model.train()
    return {"validation": sum(sums.values()) / len(sums)} | {f"validation/{s}": loss for s, loss in sums.items()}


@torch.no_grad()
def sample_clip(pipeline: HydraPipeline, clip: LatentBatch, seed: int, steps: int | None = None) -> Frames:
    """A held-out clip's future from its cached latents, uint8 ``[Tt, H, W, 3]``, by the pipeline's own steps."""
    device = next(pipeline.transformer.parameters()).device
    clip = _on(clip, device)
    latents = normal(tuple(clip.target.shape), seed, "sample").to(device)
    noise = generator(seed, "sampling steps")
    set_noise_levels(pipeline.scheduler, steps or int(pipeline.config["steps"]), device)
    for timestep in pipeline.scheduler.timesteps:
        velocity = pipeline.transformer(clip.context, latents, timestep.expand(1), clip.text, clip.cameras).target
        latents = pipeline.scheduler.step(velocity.float(), timestep, latents, generator=noise, return_dict=False)[0]
    return decode(pipeline, latents)


@torch.no_grad()
def decode(pipeline: HydraPipeline, latents: Tensor) -> Frames:
    """Frames of latents ``[1, C, F, h, w]``, uint8 ``[T, H, W, 3]``."""
    vae = pipeline.vae
    home = vae.device  # where training leaves it room: it is brought for this once
    vae.to(latents.device)
    try:
        return as_frames(pipeline.codec.decode(latents.to(vae.dtype))[0].float())
    finally:
        vae.to(home)


def psnr(a: Frames, b: Frames) -> float:
    """PSNR in dB over all frames."""
    error = float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())
    return float(10 * np.log10(255.0**2 / error)) if error else float("inf")


def film_strip(path: Path, rows: list[Frames]) -> None:
    """Evenly spaced frames of several clips, a clip a row, as one PNG."""
    from PIL import Image

    lines = []
    for frames in rows:
        chosen = np.linspace(0, len(frames) - 1, _STRIP_FRAMES).round().astype(int)
        lines.append(np.concatenate([frames[k] for k in chosen], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(lines, axis=0)).save(path)


def _on(clip: LatentBatch, device: torch.device) -> LatentBatch:
    return LatentBatch(
        context=clip.context.to(device),
        target=clip.target.to(device),
        cameras=(clip.cameras[0].to(device), clip.cameras[1].to(device)),
        text=clip.text.to(device),
        subjects=clip.subjects.to(device),
    )
