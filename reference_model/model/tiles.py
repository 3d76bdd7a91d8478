"""The codec in tiles, as the released inference has it: overlapping tiles, joined under linear ramps.

Tiles are 30x52 latents (240x416 pixels) every 15x26, nine at 832x480. Each tile counts by how far a place is from the
tile's inner edges, rising from 1 / n to 1 over the n places that it shares with a neighbour; what all tiles say of a
place is divided by the sum of their weights. A tile's corner has the smaller of its two ramps.

Letters: as in `reference_model.model.codec`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SIZE = (30, 52)
"""Rows and columns of a tile, in latents."""
STEP = (15, 26)
"""Rows and columns from one tile to the next, in latents."""

Span = tuple[int, int]


def spans(length: int, size: int, step: int) -> list[Span]:
    """Where tiles lie along one side; one that the tile before it makes needless is left out."""
    starts = [start for start in range(0, length, step) if start == 0 or start - step + size < length]
    return [(start, min(start + size, length)) for start in starts]


def ramp(span: Span, length: int, border: int) -> Tensor:
    """How much a tile counts along one side, ``[stop - start]`` in (0, 1]; the picture's own edges have no ramp."""
    start, stop = span
    weight = torch.ones(stop - start)
    rising = ((torch.arange(border) + 1) / border)[: stop - start]
    if start > 0:
        weight[: len(rising)] = rising
    if stop < length:
        weight[-len(rising) :] = rising.flip(0)
    return weight


def in_tiles(run: Callable[[Tensor], Tensor], given: Tensor, scale: tuple[int, int]) -> Tensor:
    """`run` on tiles of the picture, joined.

    Args:
        run: Encoder or decoder, ``[B, c, t, H, W] -> [B, C, T, H', W']``.
        given: All of its input.
        scale: Pixels or latents a latent of input and output: (8, 1) for an encoder, (1, 8) for a decoder.
    """
    rows, columns = (
        spans(side, size * scale[0], step * scale[0])
        for side, size, step in zip(given.shape[3:], SIZE, STEP, strict=True)
    )
    height, width = (side * scale[1] // scale[0] for side in given.shape[3:])
    border = [(size - step) * scale[1] for size, step in zip(SIZE, STEP, strict=True)]
    total, weights = None, torch.zeros(height, width, device=given.device)
    for top, bottom in rows:
        for left, right in columns:
            tile = run(given[..., top:bottom, left:right])
            place = [(a * scale[1] // scale[0], b * scale[1] // scale[0]) for a, b in ((top, bottom), (left, right))]
            inside = tuple(slice(*span) for span in place)
            down, across = ramp(place[0], height, border[0]), ramp(place[1], width, border[1])
            weight = torch.minimum(down[:, None], across[None]).to(given.device)
            if total is None:
                total = tile.new_zeros(*tile.shape[:3], height, width)
            total[..., inside[0], inside[1]] += tile * weight.to(tile)
            weights[inside] += weight
    assert total is not None, "a picture has at least one tile"
    return total / weights.to(total)
