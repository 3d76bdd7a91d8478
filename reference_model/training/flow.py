"""Flow matching: noise levels, noisy latents, and the loss (arXiv 2603.25716 section 5.1 and its released code).

x_s = (1 - s) clean + s noise; the transformer predicts noise - clean; the loss is on the target half only. Levels lie
on the scheduler's grid of 1000, shifted, drawn uniformly over it; t = 1000 s.

Letters: B batch, C latent channels, F latent frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reference_model.training.config import FlowConfig
from reference_model.training.randomness import generator, normal, uniform

GRID = 1000
"""Noise levels of the training schedule."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LatentBatch:
    """Clips as the cache holds them."""

    context: Tensor
    """``[B, C, Fc, h, w]``."""
    target: Tensor
    """``[B, C, Ft, h, w]``."""
    cameras: tuple[Tensor, Tensor]
    """Of context and target, ``[B, F, 12]`` each."""
    text: Tensor
    """``[B, L, D]``."""
    subjects: Tensor
    """Share of each target latent that shows a subject, ``[B, Ft, h, w]``; zeros where the data do not tell."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NoisyBatch:
    """What one training step computes on."""

    clips: LatentBatch
    """Clean latents, with dropped captions and cameras zeroed; the context noisy where levels are per frame."""
    noisy: Tensor
    """Target at its noise level."""
    timestep: Tensor
    """1000 s: ``[B]``, or ``[B, Fc + Ft]`` where levels are per frame."""
    velocity: Tensor
    """What to predict: noise - clean target."""
    weight: Tensor
    """Of each squared error, ``[B, 1, Ft, h, w]``."""

    def to(self, device: torch.device) -> NoisyBatch:
        """The same on a device."""
        clips = self.clips
        moved = LatentBatch(
            context=clips.context.to(device),
            target=clips.target.to(device),
            cameras=(clips.cameras[0].to(device), clips.cameras[1].to(device)),
            text=clips.text.to(device),
            subjects=clips.subjects.to(device),
        )
        rest = (self.noisy, self.timestep, self.velocity, self.weight)
        noisy, timestep, velocity, weight = (part.to(device) for part in rest)
        return NoisyBatch(clips=moved, noisy=noisy, timestep=timestep, velocity=velocity, weight=weight)

    def parts(self, size: int) -> list[NoisyBatch]:
        """Consecutive parts of at most `size` clips."""
        c = self.clips
        return [
            NoisyBatch(
                clips=LatentBatch(
                    context=c.context[i : i + size],
                    target=c.target[i : i + size],
                    cameras=(c.cameras[0][i : i + size], c.cameras[1][i : i + size]),
                    text=c.text[i : i + size],
                    subjects=c.subjects[i : i + size],
                ),
                noisy=self.noisy[i : i + size],
                timestep=self.timestep[i : i + size],
                velocity=self.velocity[i : i + size],
                weight=self.weight[i : i + size],
            )
            for i in range(0, len(self.noisy), size)
        ]


def noise_levels(shift: float) -> Tensor:
    """The training schedule, float64 ``[1000]``, from 1 downwards: s = shift u / (1 + (shift - 1) u)."""
    even = torch.linspace(1, 0, GRID + 1, dtype=torch.float64)[:-1]
    return shift * even / (1 + (shift - 1) * even)


def level_weights(levels: Tensor) -> Tensor:
    """Weight of each level of the schedule, mean 1: a bell around t = 500, 0 at the ends, as released."""
    bell = torch.exp(-2 * (levels - 0.5) ** 2)
    bell = bell - bell.min()
    return bell / bell.mean()


@dataclass(frozen=True, eq=False, kw_only=True)
class Draws:
    """What chance decides in one training step."""

    levels: Tensor
    """Places on the schedule, int64 ``[B, 1]``, or ``[B, Fc + Ft]`` where levels are per frame."""
    noise: Tensor
    """Of the target's shape."""
    text: Tensor
    """1 for clips that keep their caption, else 0, ``[B, 1, 1]``."""
    cameras: Tensor
    """Likewise for cameras."""
    history: Tensor | None = None
    """Of the context's shape, where levels are per frame."""


def add_noise(clips: LatentBatch, config: FlowConfig, seed: int, step: int, places: list[int]) -> NoisyBatch:
    """Noise, levels and dropouts of a training step, a function of (seed, step, place in the whole batch).

    Args:
        clips: This process's share of the batch.
        config: Settings.
        seed: Of the run.
        step: Number of the step.
        places: Place of each clip in the batch of all processes.
    """
    columns, history = 1, None
    if config.levels == "per_frame":
        columns = clips.context.shape[2] + clips.target.shape[2]
        shape = tuple(clips.context.shape[1:])
        history = torch.stack([normal(shape, seed, "history", step, place) for place in places])
    chosen = [torch.randint(GRID, (columns,), generator=generator(seed, "level", step, place)) for place in places]
    noise = [normal(tuple(clips.target.shape[1:]), seed, "noise", step, place) for place in places]
    draws = Draws(
        levels=torch.stack(chosen),
        noise=torch.stack(noise),
        text=_kept(config.text_dropout, seed, "text", step, places),
        cameras=_kept(config.camera_dropout, seed, "camera", step, places),
        history=history,
    )
    return noisy_batch(clips, config, draws)


def noisy_batch(clips: LatentBatch, config: FlowConfig, draws: Draws) -> NoisyBatch:
    """What a step computes on, from clean clips and what chance decided; all on one device."""
    past, future = clips.context.shape[2], clips.target.shape[2]
    grid = noise_levels(config.shift).to(draws.levels.device)
    weights = level_weights(grid) if config.weighting == "released" else torch.ones_like(grid)
    columns = draws.levels.shape[1]
    context, level = clips.context, grid[draws.levels].float()
    if draws.history is not None:
        context = _mix(context, draws.history, level[:, :past])
    at = level[:, -future:] if columns > 1 else level
    weight = weights[draws.levels].float()[:, -future:] if columns > 1 else weights[draws.levels].float()
    return NoisyBatch(
        clips=LatentBatch(
            context=context,
            target=clips.target,
            cameras=(clips.cameras[0] * draws.cameras, clips.cameras[1] * draws.cameras),
            text=clips.text * draws.text,
            subjects=clips.subjects,
        ),
        noisy=_mix(clips.target, draws.noise, at),
        timestep=(level * GRID) if columns > 1 else (level * GRID).view(len(clips.target)),
        velocity=draws.noise - clips.target,
        weight=weight[:, None, :, None, None] * (1 + (config.subject_weight - 1) * clips.subjects[:, None]),
    )


def flow_loss(predicted: Tensor, batch: NoisyBatch, channels: Tensor) -> Tensor:
    """Mean of weighted squared errors, a scalar.

    Args:
        predicted: Velocity of the target, ``[B, C, Ft, h, w]``.
        batch: What was asked.
        channels: Weight of each latent channel, mean 1, ``[C]``.
    """
    error = (predicted.float() - batch.velocity.float()).square()
    return (error * batch.weight * channels.view(1, -1, 1, 1, 1)).mean()


def channel_weights(deviations: Tensor, power: float) -> Tensor:
    """Weight of each channel by its deviation before normalisation, mean 1, ``[C]``."""
    weights = deviations.float() ** power
    return weights / weights.mean()


def _mix(clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    s = level[:, None, :, None, None]
    return (1 - s) * clean + s * noise


def _kept(share: float, seed: int, purpose: str, step: int, places: list[int]) -> Tensor:
    """1 for clips that keep what a share of them loses, ``[B, 1, 1]``."""
    return torch.tensor([float(uniform(seed, purpose, step, place) >= share) for place in places])[:, None, None]
