"""Finds subjects in remembered frames: where they are, and which pixels belong to the same one.

A small U-Net looks at one frame, and at what changed since a frame half a second away, once the camera's turn is taken
out. It gives each pixel the chance that a subject is there, and a unit vector that is alike for pixels of one subject
of one clip, whatever the frame.

Letters: n frames, E channels of an embedding.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS_IN = 7
"""Colours, their change, and where the change is known."""


def _step(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(4, outside), nn.SiLU(),
        nn.Conv2d(outside, outside, 3, padding=1), nn.GroupNorm(4, outside), nn.SiLU(),
    )  # fmt: skip


class Seer(nn.Module):
    """Pixels to subjects.

    Args:
        widths: Channels at full, half, quarter ... resolution.
        embedding: Channels of an embedding (E).
    """

    def __init__(self, widths: tuple[int, ...] = (12, 24, 48, 64), embedding: int = 8) -> None:
        super().__init__()
        self.embedding = embedding
        before = (CHANNELS_IN, *widths[:-1])
        self.down = nn.ModuleList(_step(a, b) for a, b in zip(before, widths, strict=True))
        self.up = nn.ModuleList(
            _step(fine + coarse, fine) for fine, coarse in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.out = nn.Conv2d(widths[0], 1 + embedding, 1)

    def forward(self, frames: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of subjects and embeddings.

        Args:
            frames: In [-1, 1], ``[n, 3, H, W]``, H and W divisible by 8.
            change: `aligned_change` of each, ``[n, 4, H, W]``.

        Returns:
            ``[n, H, W]`` and unit vectors ``[n, E, H, W]``.
        """
        x = torch.cat((frames, change), dim=1)
        kept = []
        for number, layer in enumerate(self.down):
            x = layer(x if number == 0 else functional.avg_pool2d(x, 2))
            kept.append(x)
        for layer, fine in zip(self.up, kept[-2::-1], strict=True):
            wide = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = layer(torch.cat((fine, wide), dim=1))
        found = self.out(x)
        return found[:, 0], functional.normalize(cast(Tensor, found[:, 1:]), dim=1)
