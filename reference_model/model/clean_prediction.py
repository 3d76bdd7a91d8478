"""A transformer that predicts clean latents, behind the interface of one that predicts velocities.

x_s = (1 - s) clean + s noise, so the velocity noise - clean is (x_s - clean) / s. Noise has as many dimensions as a
patch has numbers and must pass through a network that predicts velocities; clean latents have far fewer, so small
tokens are enough (Li and He, "Back to basics: let denoising generative models denoise", arXiv 2511.13720).

Letters: B batch, C latent channels, F latent frames, p latent frames a token.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST = 0.35
"""Level below which the division by s is held (0.05 in that paper), so that errors count at most eightfold.

Below it the output passes over from clean latents to noisy ones corrected: x_s - (s / 0.35) (x_s - output)."""


def linear_guess(latents: Tensor, level: Tensor) -> Tensor:
    """The best guess of clean latents that is linear in noisy ones of unit variance.

    Pure noise becomes 0 instead of noise that the first norm would take for a picture.

    Args:
        latents: x_s, ``[B, C, F, h, w]``.
        level: s in [0, 1], ``[B, 1, 1, 1, 1]`` or ``[B, 1, F, 1, 1]``.
    """
    return latents * ((1 - level) / ((1 - level).square() + level.square()))


def velocity(latents: Tensor, clean: Tensor, level: Tensor) -> Tensor:
    """Noise - clean of noisy latents whose clean ones are predicted; shapes as in `linear_guess`."""
    return (latents - clean) / level.clamp_min(SMALLEST)


def level_of(timestep: Tensor, frames: slice, patch: int) -> Tensor:
    """Levels of latents: timesteps 0..1000 ``[B]`` or a frame of tokens ``[B, F / p]`` to ``[B, 1, 1 or F, 1, 1]``."""
    if timestep.ndim == 1:
        return timestep.float().view(-1, 1, 1, 1, 1) / 1000
    level = timestep[:, frames].float() / 1000
    return torch.repeat_interleave(level, patch, dim=1)[:, None, :, None, None]
