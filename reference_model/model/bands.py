"""A picture as horizontal bands whose tokens attend among themselves, for models that must be cheap.

Square tokens all over a picture make attention expensive; tokens as high as the picture can only copy what it shows
from top to bottom at once, and scenes do not repeat in whole columns. Between them: the picture is cut into bands of
rows, and every band is a sequence of its own that remembers, retrieves and attends by itself, as if it were a lower
picture. After each block a `BandMixer` lets the bands of a place see each other. To a memory a band is one more clip of
the batch, so that it needs to know nothing of this.

Letters: B batch, b bands, C latent channels, F latent frames, N tokens, D channels of a token.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


def fold(latents: Tensor, bands: int) -> Tensor:
    """Bands as clips of the batch: ``[B, C, F, h, w] -> [B b, C, F, h / b, w]``."""
    return cast(Tensor, latents.unflatten(3, (bands, -1)).movedim(3, 1).flatten(0, 1))


def unfold(latents: Tensor, bands: int) -> Tensor:
    """Inverse of `fold`."""
    return cast(Tensor, latents.unflatten(0, (-1, bands)).movedim(1, 3).flatten(3, 4))


def repeat(value: Tensor, bands: int) -> Tensor:
    """What all bands of a clip share: ``[B, ...] -> [B b, ...]``."""
    return value.repeat_interleave(bands, dim=0)


class BandMixer(nn.Module):
    """Adds to each token a mixture of all bands' tokens at its place, channel by channel; nothing at the start."""

    def __init__(self, dim: int, bands: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(bands, bands, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """``[B b, N, D] -> [B b, N, D]``."""
        bands = len(self.weight)
        given = tokens.unflatten(0, (-1, bands))
        normed = functional.layer_norm(given.float(), given.shape[-1:]).type_as(given)
        # band by band: as one product over bands and channels it would hold every pair of bands at once
        mixed = given
        for k in range(bands):
            mixed = torch.addcmul(mixed, normed[:, k, None], self.weight[:, k, None].type_as(given))
        return cast(Tensor, mixed.flatten(0, 1))
