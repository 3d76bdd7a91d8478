"""Starting weights for models that are trained from nothing in minutes: begin with a copy of what is remembered.

Default weights leave a small model to discover, layer by layer, that what it attends to should appear in its output.
Here the way from a remembered latent to the prediction is open from the first step: tokens are an orthonormal image of
the latents and the output its inverse, values are passed on as they are and subtracted (the velocity is noise less
clean), and everything else adds nothing yet. The untrained model thus predicts noise less the mean of what it attends
to, and the gradient of attention points at whatever would be the better thing to copy.

Measured at nano size on held-out clips, at noise level 0.98: 2.37 with default weights, 1.0 (hydra) and 0.9
(full-context) with these, both untrained; 3,000 samples of training from default weights reach 0.80.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from reference_model.transformer import HydraTransformer3DModel

SHARE = 0.4
"""Of what a block attends to, how much it subtracts."""


@torch.no_grad()
def start_with_a_copy(model: HydraTransformer3DModel, seed: int) -> None:
    """Sets the backbone's starting weights, the same for every memory; what a memory adds keeps its own.

    Args:
        model: A fresh model whose tokens have at least as many channels as the latents in them have numbers.
        seed: Of the orthonormal image.

    Raises:
        ValueError: If tokens are too narrow.
    """
    # the parts are diffusers', which are not typed
    parts: Any = model
    embedding, out = parts.patch_embedding, parts.proj_out
    dim, numbers = embedding.out_channels, embedding.in_channels * math.prod(model.patch)
    if dim < numbers:
        raise ValueError(f"tokens of {dim} channels cannot hold the {numbers} numbers of a patch")
    noise = torch.randn(dim, numbers, generator=torch.Generator().manual_seed(seed))
    image = torch.linalg.qr(noise).Q.reshape(embedding.weight.shape)
    embedding.weight.copy_(image)
    # the last norm makes every token's channels vary by 1; a token of unit-variance numbers varies by numbers / dim
    out.weight.copy_(image.permute(2, 3, 4, 1, 0).reshape(numbers, dim) * math.sqrt(numbers / dim))
    parts.scale_shift_table.zero_()
    for layer in (embedding, out, parts.condition_embedder.time_proj):
        nn.init.zeros_(layer.bias)
    nn.init.zeros_(parts.condition_embedder.time_proj.weight)
    for block in parts.blocks:
        block.scale_shift_table.zero_()
        block.scale_shift_table[:, [2, 5]] = 1.0  # the gates of attention and feed-forward
        nn.init.eye_(block.attn1.to_v.weight)
        block.attn1.to_out[0].weight.copy_(-SHARE * torch.eye(dim))
        last = (block.attn2.to_out[0], block.ffn.net[2])
        for layer in (block.attn1.to_v, block.attn1.to_out[0], *last):
            nn.init.zeros_(layer.bias)
        for layer in last:
            nn.init.zeros_(layer.weight)
