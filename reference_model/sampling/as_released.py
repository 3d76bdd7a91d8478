"""Sampling as the release does it, step by step, where that differs from what is exact.

The release computes everything in bfloat16, noise levels and latents included; encodes and decodes in nine tiles;
covers its size and crops the middle; starts every clip from seed 42; and truncates frames to whole numbers. The default
of this package does none of that. ``docs/paper-scale.md`` lists the differences with their sizes.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmbench.types import Video
from reference_model.sampling.pipeline import GenerationRequest, HydraPipeline, StepListener, guided, set_noise_levels

SEED = 42
"""Of every clip."""


@torch.no_grad()
def sample_as_released(pipeline: HydraPipeline, request: GenerationRequest, on_step: StepListener | None) -> Tensor:
    """The target frames, ``[B, 3, Tt, H, W]`` in [-1, 1], float32 on the CPU.

    Args:
        pipeline: In bfloat16, codec included, in tiles.
        request: What to continue.
        on_step: Told of each finished step.
    """
    device, rough = pipeline._execution_device, pipeline.transformer.dtype
    steps = request.steps or int(pipeline.config["steps"])
    guidance = float(pipeline.config["guidance"]) if request.guidance is None else request.guidance
    generator = torch.Generator().manual_seed(SEED)
    context = pipeline.encode_video(request.context).to(device, rough)
    cameras = (request.cameras[0].to(device, rough), request.cameras[1].to(device, rough))
    texts = [pipeline.encode_text(request.captions).to(device, rough)]
    if guidance != 1:
        negative = [str(pipeline.config["negative_prompt"])] * len(request.captions)
        texts.append(pipeline.encode_text(negative).to(device, rough))
    shape = (*context.shape[:2], cameras[1].shape[1] * pipeline.transformer.patch[0], *context.shape[3:])
    latents = torch.randn(shape, generator=generator).to(device, rough)
    set_noise_levels(pipeline.scheduler, steps, device)
    sigmas = pipeline.scheduler.sigmas.tolist()
    denoise = pipeline.denoiser(context, cameras, generator)
    for done, timestep in enumerate(pipeline.scheduler.timesteps, start=1):
        level = timestep.to(rough)  # above 512 a multiple of 4
        velocity = guided([denoise(latents, level, text).to(rough) for text in texts], guidance)
        latents = latents + velocity * (sigmas[done] - sigmas[done - 1])
        if on_step:
            on_step(done, steps)
    video = pipeline.codec.decode(latents.to(pipeline.vae.dtype)).float().cpu()
    pipeline.maybe_free_model_hooks()
    return video


def cover_and_crop(video: Video, height: int, width: int) -> Video:
    """Frames scaled until they cover a size, keeping their shape, and cropped about the middle.

    Args:
        video: uint8 ``[T, h, w, 3]``.
        height: Rows wanted.
        width: Columns wanted.
    """
    rows, columns = _covering(video.shape[1:3], height, width)
    top, left = _middle(rows, height), _middle(columns, width)
    frames = [np.asarray(Image.fromarray(frame).resize((columns, rows), Image.Resampling.BILINEAR)) for frame in video]
    return np.stack([frame[top : top + height, left : left + width] for frame in frames])


def uncrop(video: Video, size: tuple[int, int]) -> Video:
    """Frames back at the size that `cover_and_crop` was given; its edges, which nobody generated, are repeated.

    Args:
        video: uint8 ``[T, H, W, 3]``.
        size: Rows and columns of the clip.
    """
    height, width = video.shape[1:3]
    rows, columns = _covering(size, height, width)
    top, left = _middle(rows, height), _middle(columns, width)
    sides = ((0, 0), (top, rows - height - top), (left, columns - width - left), (0, 0))
    whole = np.pad(video, sides, mode="edge")
    return (
        np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in whole])
        if whole.shape[1:3] != size
        else whole
    )


def truncated(frames: Tensor) -> Video:
    """Float ``[1, 3, T, H, W]`` in [-1, 1] to uint8 ``[T, H, W, 3]``, cut off instead of rounded."""
    levels = ((frames[0] + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 3, 0).numpy())


def _covering(size: tuple[int, ...], height: int, width: int) -> tuple[int, int]:
    scale = max(width / size[1], height / size[0])
    return round(size[0] * scale), round(size[1] * scale)


def _middle(length: int, wanted: int) -> int:
    """Where torchvision's centre crop begins."""
    return round((length - wanted) / 2.0)
