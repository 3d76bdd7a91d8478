"""Latents to tokens: a convolution whose kernel is its stride, computed as the matrix product that it is."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PatchEmbedding(nn.Conv3d):
    """`nn.Conv3d` with kernel = stride, the same weights and the same numbers, several times faster.

    A processor has no good convolution for so few channels, and none of the kernels shares anything between patches.
    """

    def forward(self, latents: Tensor) -> Tensor:
        """``[B, C, F, h, w] -> [B, D, F', h', w']``, in memory token by token; what fills no patch is left out."""
        cells = latents
        for axis, side in enumerate(self.kernel_size, start=2):
            cells = cells.unfold(axis, side, side)  # [B, C, F', h', w', f, r, c]
        rows = cells.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4)
        return functional.linear(rows, self.weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)
