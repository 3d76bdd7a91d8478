"""How large each difference between the release's sampling and the exact one is.

    python benchmarks/as_released.py            # about a minute on one core

Differences of arithmetic alone (noise levels, frames, the picture's shape) are what they are. Those that pass through a
network are measured in the real classes with narrow random weights, because the trained ones could not be fetched where
this was written: they show the kind of size, and trained weights will give others.
"""

from __future__ import annotations

import argparse
import copy
import math
import time

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from hmbench.video.files import resize_video
from reference_model.model.codec import WanCodec
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.as_released import cover_and_crop, truncated
from reference_model.sampling.pipeline import build_scheduler, set_noise_levels


def off(found: Tensor, wanted: Tensor) -> float:
    """Root of the mean squared difference over that of the wanted numbers."""
    return float((found.float() - wanted.float()).norm() / wanted.float().norm())


def decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    """PSNR of 8-bit frames."""
    error = np.mean((found.astype(np.float64) - wanted.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def picture(height: int, width: int, frames: int, seed: int = 0) -> np.ndarray:
    """A smooth moving pattern with edges, uint8 ``[T, H, W, 3]``."""
    y, x = np.mgrid[0:height, 0:width] / height
    shades = []
    for t in range(frames):
        waves = [
            np.sin(9 * (x + 0.02 * t) + k) + np.cos(7 * y - k) + ((x * 6 + k + 0.05 * t) % 1 > 0.5) for k in range(3)
        ]
        shades.append(np.stack(waves, axis=-1))
    video = np.stack(shades)
    return (255 * (video - video.min()) / (video.max() - video.min())).astype(np.uint8)


def noise_levels() -> str:
    scheduler = build_scheduler(5.0)
    set_noise_levels(scheduler, 50)
    exact = scheduler.timesteps
    apart = (exact.bfloat16().float() - exact).abs()
    return f"{apart.max():.2f} of 1000 at most, {apart.mean():.2f} in the mean"


def truncation() -> str:
    values = torch.rand(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rounded = ((values[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    cut = truncated(values)
    return f"{np.mean(rounded.astype(int) - cut.astype(int)):.2f} levels darker, {decibels(cut, rounded):.1f} dB apart"


def shape() -> str:
    video = picture(720, 1280, 1)
    exact, cropped = resize_video(video, 480, 832), cover_and_crop(video, 480, 832)
    return f"inputs {decibels(cropped, exact):.1f} dB apart for a pattern at 1280x720; none at 832x480"


def codec() -> dict[str, str]:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=8, z_dim=16).eval()
    video = torch.from_numpy(picture(480, 832, 1)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    whole, tiled = WanCodec(vae), WanCodec(vae, tiled=True)
    with torch.no_grad():
        began = time.process_time()
        latents = whole.encode(video)
        middle = time.process_time()
        in_tiles = tiled.encode(video)
        ended = time.process_time()
        back, back_tiled = whole.decode(latents), tiled.decode(latents)
        vae.enable_tiling(240, 416, 120, 208)
        blended = whole.encode(video)
        vae.disable_tiling()
        rough = WanCodec(copy.deepcopy(vae).bfloat16())
        rough_latents = rough.encode(video)
    return {
        "codec in nine tiles, encoding": f"{off(in_tiles, latents):.1e} (diffusers' {off(blended, latents):.1e}), "
        f"{(ended - middle) / (middle - began):.2f}x the time",
        "codec in nine tiles, decoding": f"{off(back_tiled, back):.1e}",
        "codec in bfloat16, encoding": f"{off(rough_latents, latents):.1e}",
    }


def transformer() -> dict[str, str]:
    torch.manual_seed(0)
    model = HydraTransformer3DModel(
        memory_settings={"kind": "hydra"}, num_attention_heads=4, attention_head_dim=32, text_dim=32, ffn_dim=512,
        num_layers=4,
    ).eval()  # fmt: skip
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 16, 40, 8, 12, generator=g)
    text = torch.randn(1, 64, 32, generator=g)
    cameras = tuple(torch.eye(4)[:3].reshape(12) + torch.randn(1, 20, 12, generator=g) / 20 for _ in range(2))

    def evaluate(network: HydraTransformer3DModel, level: float, dtype: torch.dtype = torch.float32) -> Tensor:
        given = (latents[:, :, :20].to(dtype), latents[:, :, 20:].to(dtype), torch.tensor([level]), text.to(dtype))
        with torch.no_grad():
            return network(*given, (cameras[0].to(dtype), cameras[1].to(dtype))).target

    exact = evaluate(model, 701.0)
    rounded = evaluate(model, float(torch.tensor(701.0).bfloat16()))
    mixed = evaluate(copy.deepcopy(model).to(torch.bfloat16), 701.0, torch.bfloat16)
    rough = copy.deepcopy(model)
    torch.nn.Module.to(rough, torch.bfloat16)
    return {
        "noise level rounded, one evaluation": f"{off(rounded, exact):.1e}",
        "transformer in bfloat16, norms and levels in float32": f"{off(mixed, exact):.1e}",
        "transformer in bfloat16, all of it": f"{off(evaluate(rough, 701.0, torch.bfloat16), exact):.1e}",
    }


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    plain = {
        "noise level in bfloat16": noise_levels(),
        "frames truncated": truncation(),
        "scaled to cover, middle cropped": shape(),
    }
    for rows in (plain, transformer(), codec()):
        for name, size in rows.items():
            print(f"| {name} | {size} |", flush=True)


if __name__ == "__main__":
    main()
