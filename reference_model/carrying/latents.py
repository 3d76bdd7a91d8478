"""Carried pictures as latents, and how a sampler keeps to them.

Letters: B batch, C latent channels, F latent frames, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.carrying.carrier import Cameras, Carrier
from reference_model.model.codec import VideoCodec

PARTLY = (0.25, 0.75)
"""Share of a latent's pixels that are carried from which on it is taken in part, and whole."""


@dataclass(frozen=True, eq=False)
class CarriedLatents:
    """What is carried into a batch of clips."""

    clean: Tensor
    """``[B, C, F, h, w]``."""
    share: Tensor
    """How much of each latent is carried, in [0, 1], ``[B, 1, F, h, w]``."""

    def velocity(self, noisy: Tensor, velocity: Tensor, level: float) -> Tensor:
        """The velocity towards carried latents where there are some, and the transformer's own elsewhere."""
        own = noisy - level * velocity
        return (noisy - torch.lerp(own, self.clean, self.share)) / level


def carried_latents(
    carrier: Carrier, codec: VideoCodec, clips: list[tuple[Tensor, Cameras, Tensor]], like: Tensor
) -> CarriedLatents:
    """Carries what each clip's memory shows.

    Args:
        carrier: On the CPU.
        codec: Makes latents of what it carries.
        clips: Context ``[3, Tc, H, W]`` in [-1, 1], cameras, and what is shown to which latent frame, ``[Gt, Gc]``.
        like: Whose device latents are wanted on.
    """
    layers = [carrier(context.transpose(0, 1), lens, shown, codec.time_stride) for context, lens, shown in clips]
    picture = torch.stack([layer.picture for layer in layers]).transpose(1, 2)
    clean = codec.encode(picture.to(like.device)).float().to(like)
    cover, sure = (
        _of_latents(torch.stack(maps), codec)
        for maps in ([layer.cover for layer in layers], [layer.sure for layer in layers])
    )
    low, high = PARTLY
    share = ((cover - low) / (high - low)).clamp(0, 1) * sure
    return CarriedLatents(clean, share[:, None].to(like))


def _of_latents(maps: Tensor, codec: VideoCodec) -> Tensor:
    """Means over each latent's pixels, ``[B, T, H, W]`` to ``[B, F, h, w]``."""
    first, rest = maps[:, :1], maps[:, 1:].unflatten(1, (-1, codec.time_stride)).mean(2)
    return functional.avg_pool2d(torch.cat((first, rest), 1), codec.space_stride)
