"""Starting weights for models that are trained from nothing in minutes: begin with a copy of what is remembered.

Default weights leave a small model to discover, layer by layer, that what it attends to should appear in its output.
Here the way from a remembered latent to the prediction is open from the first step: tokens are an orthonormal image of
the latents and the output its inverse, values are passed on as they are and added (or subtracted, where velocities are
predicted), and everything else adds nothing yet. The untrained model thus predicts the mean of what it attends to, and
the gradient of attention points at whatever would be the better thing to copy.

Where tokens stand in the world (`model.placing`), queries and keys start nearly constant in the channels of
pitch and yaw, so that rotated they resemble each other by direction, and hold the strongest latents in the channels of
content: the model begins by attending to what shows the same place and looks alike. The more of the noise is gone, the
more likeness counts, so that noisy tokens settle for one of the things that may stand there instead of their mean.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from reference_model.model.placing import world_dims
from reference_model.model.transformer import HydraTransformer3DModel

SHARE = 0.4
"""Of what a block attends to, how much it adds."""
STEADY = 2.0
"""A constant in an eighth of the channels of tokens that hold clean latents: at strong noise these are nearly nothing,
and a norm would blow that up to a picture."""
DIRECTION = 1.9
"""A constant in each channel of direction, beside content of variance 1: what a place counts against a likeness."""
SHARPNESS = 1.7
"""Gain of queries and keys, which decides how wide the first attention looks."""


@torch.no_grad()
def start_with_a_copy(model: HydraTransformer3DModel, seed: int) -> None:
    """Sets the backbone's starting weights, the same for every memory; what a memory adds keeps its own.

    Args:
        model: A fresh model. If it predicts velocities, tokens have at least as many channels as the latents in them
            have numbers; if clean latents, tokens hold the first channels of each latent, the strongest, as far as
            seven eighths of them go.
        seed: Of the orthonormal image.

    Raises:
        ValueError: If tokens are too narrow.
    """
    # the parts are diffusers', which are not typed
    parts: Any = model
    _start_ends(parts, seed)
    parts.scale_shift_table.zero_()
    nn.init.zeros_(parts.condition_embedder.time_proj.bias)
    nn.init.zeros_(parts.condition_embedder.time_proj.weight)
    for block in parts.blocks:
        _start_block(block, SHARE if model.predicts_clean else -SHARE)
        if model.config["positions"] == "world":
            _look_around(parts, block.attn1)


def _start_ends(parts: Any, seed: int) -> None:
    """Embedding and output: an orthonormal image of the kept numbers, and back."""
    embedding, out, area = parts.patch_embedding, parts.proj_out, math.prod(parts.patch)
    dim, channels = embedding.out_channels, embedding.in_channels
    kept, room = channels, dim
    if parts.predicts_clean:
        room = dim * 7 // 8
        kept = min(channels, room // area)
    if kept * area > room or not kept:
        raise ValueError(f"tokens of {dim} channels cannot hold the {channels * area} numbers of a patch")
    noise = torch.randn(room, kept * area, generator=torch.Generator().manual_seed(seed))
    image = torch.linalg.qr(noise).Q.reshape(room, kept, *parts.patch)
    for layer in (embedding, out):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    embedding.weight[:room, :kept].copy_(image)
    embedding.bias[room:] = STEADY if parts.predicts_clean else 0.0
    # the last norm makes every token's channels vary by 1; a token of unit-variance numbers varies by numbers / dim
    back = out.weight.view(*parts.patch, channels, dim)
    back[..., :kept, :room].copy_(image.permute(2, 3, 4, 1, 0) * math.sqrt(kept * area / dim))


def _start_block(block: Any, share: float) -> None:
    """Attention adds a share of the values it attends to; text and feed-forward add nothing."""
    block.scale_shift_table.zero_()
    block.scale_shift_table[:, [2, 5]] = 1.0  # the gates of attention and feed-forward
    nn.init.eye_(block.attn1.to_v.weight)
    nn.init.eye_(block.attn1.to_out[0].weight).mul_(share)
    last = (block.attn2.to_out[0], block.ffn.net[2])
    for layer in (block.attn1.to_v, block.attn1.to_out[0], *last):
        nn.init.zeros_(layer.bias)
    for layer in last:
        nn.init.zeros_(layer.weight)


def _look_around(parts: Any, attention: Any) -> None:
    """Queries and keys hold a constant in the channels of pitch and yaw, the strongest latents in those of content."""
    head_dim, content = parts.head_dim, int(parts.config["content"])
    turned = head_dim - content
    time = world_dims(turned)[0]
    # the way from a token back to the strongest numbers that it holds, [content, token channels]
    likeness = parts.patch_embedding.weight.flatten(2).flatten(1).T[:content]
    if len(likeness) < content or not likeness.any(1).all():
        raise ValueError(f"{content=} channels of a head are more than the numbers that a token holds")
    for layer, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k)):
        weight, bias = layer.weight.view(-1, head_dim, layer.in_features), layer.bias.view(-1, head_dim)
        weight.mul_(0.3)
        weight[:, turned:] = likeness
        bias.zero_()
        # pairs of channels are turned together: a constant in the first of each, nothing in the second
        bias[:, time:turned] = torch.tensor([DIRECTION, 0.0]).repeat((turned - time) // 2)
        norm.weight.fill_(SHARPNESS)
