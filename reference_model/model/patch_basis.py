"""Orthonormal bases of video patches: cosines, which need no data, and principal components."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor


class PatchBasis(NamedTuple):
    """A mean patch and orthonormal rows, the most important first."""

    mean: Tensor
    """``[P]``."""
    rows: Tensor
    """``[P, P]`` or fewer rows."""


class Moments:
    """Count, sum and sum of products of vectors, gathered in float64 over batches."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.total = torch.zeros(dim, dtype=torch.float64)
        self.products = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """Adds ``[n, dim]``."""
        x = vectors.detach().to("cpu", torch.float64)
        self.count += len(x)
        self.total += x.sum(0)
        self.products += x.T @ x

    def mean(self) -> Tensor:
        """Mean vector."""
        if not self.count:
            raise ValueError("no vectors were added: give at least one clip of more than one frame")
        return self.total / self.count

    def covariance(self) -> Tensor:
        """Covariance matrix (divided by the count)."""
        mean = self.mean()
        return self.products / self.count - torch.outer(mean, mean)

    def basis(self) -> PatchBasis:
        """Principal components, largest variance first."""
        _, vectors = torch.linalg.eigh(self.covariance())
        return PatchBasis(self.mean(), vectors.flip(1).T.contiguous())


def cosine_basis(frames: int, side: int) -> PatchBasis:
    """Orthonormal cosines of a patch ``[frames, 3, side, side]``, low frequencies and brightness first."""
    time, space = _cosines(frames), _cosines(side)
    # brightness, then the two opponent colours (red - blue, green against both): orthonormal rows
    colours = torch.tensor(
        [[1 / math.sqrt(3)] * 3, [1 / math.sqrt(2), 0.0, -1 / math.sqrt(2)], [-1.0, 2.0, -1.0]], dtype=torch.float64
    )
    colours[2] /= math.sqrt(6)
    places = list(itertools.product(range(frames), range(3), range(side), range(side)))
    # colour varies less than brightness: each opponent colour counts like three octave-less steps of frequency
    order = sorted(places, key=lambda p: ((2 * p[0]) ** 2 + p[2] ** 2 + p[3] ** 2 + (2.5 if p[1] else 0) ** 2, p))
    rows = [torch.einsum("a,b,c,d->abcd", time[t], colours[c], space[y], space[x]).flatten() for t, c, y, x in order]
    return PatchBasis(torch.zeros(len(rows), dtype=torch.float64), torch.stack(rows))


def align_signs(basis: PatchBasis, still: PatchBasis, frames: int) -> PatchBasis:
    """Flips rows of a group's basis so that each agrees in sign with the single-frame row of the same rank.

    Components have no sign of their own; without this the first latent frame would be flipped against the others.
    """
    count = min(len(basis.rows), len(still.rows))
    shown = still.rows[:count].repeat(1, frames)
    signs = torch.ones(len(basis.rows), dtype=basis.rows.dtype)
    signs[:count] = torch.where((basis.rows[:count] * shown).sum(1) < 0, -1.0, 1.0).to(signs)
    return PatchBasis(basis.mean, basis.rows * signs[:, None])


def _cosines(size: int) -> Tensor:
    """Orthonormal DCT-II, ``[size, size]``, lowest frequency first."""
    n = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi * (n[None] + 0.5) * n[:, None] / size) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows
