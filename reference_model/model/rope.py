"""Rotary position embedding at any position, whole or fractional.

Wan rotates the channels of each head in three groups, for time, row and column. Diffusers' `WanRotaryPosEmbed`
tabulates whole positions; compressed memory tokens stand between them (the centre of two frames is ``t = 0.5``), so the
same angles are computed here from the positions themselves.

Letters: B batch, N tokens, H heads, d channels a head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

THETA = 10000.0
"""Base of Wan's frequencies."""


class Rotation(NamedTuple):
    """Cosine and sine of all angles, float32 ``[N, 1, d / 2]``, ``[B, N, 1, d / 2]`` or ``[B, N, H, d / 2]``."""

    cos: Tensor
    sin: Tensor


def rotation(positions: Tensor, head_dim: int) -> Rotation:
    """Angles of tokens at the given positions, equal for all heads.

    Args:
        positions: Time, row, column of each token in units of full-resolution tokens, ``[..., N, 3]``.
        head_dim: Channels a head (d), even.
    """
    if head_dim % 2:
        raise ValueError(f"rotary embedding needs an even number of channels a head, got {head_dim=}")
    # float64: at t = 40 a float32 product already costs 4e-6 of an angle, as much as the whole parity budget
    # (Apple's mps has no float64)
    place = positions.unsqueeze(-2).to(torch.float32 if positions.device.type == "mps" else torch.float64)
    parts = zip(range(3), axis_dims(head_dim), strict=True)
    return angles_rotation(
        torch.cat([place[..., axis, None] * frequencies(dim, THETA, place) for axis, dim in parts], dim=-1)
    )


def angles_rotation(angles: Tensor) -> Rotation:
    """Cosine and sine of given angles, one a pair of channels, side by side in memory (see `rotate`)."""
    both = torch.stack((angles.cos(), angles.sin()), dim=-1).float()
    return Rotation(both[..., 0], both[..., 1])


def rotate(x: Tensor, by: Rotation) -> Tensor:
    """Turns each pair of channels (2i, 2i + 1) of ``x [B, N, H, d]`` by its token's angle, in float32.

    A complex product is the same arithmetic in one pass over memory instead of seven. Where torch compiles, plain real
    arithmetic is what it fuses.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling() or x.device.type == "mps":
        even, odd = pairs.unbind(-1)
        turned = torch.stack((even * by.cos - odd * by.sin, even * by.sin + odd * by.cos), dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * _as_complex(by))
    return turned.flatten(-2).type_as(x)


def _as_complex(by: Rotation) -> Tensor:
    """Cosine + i sine, without a copy where they lie side by side."""
    cos, sin = by
    beside = cos.stride() == sin.stride() and sin.data_ptr() == cos.data_ptr() + cos.element_size()
    if beside and cos.stride(-1) == 2 and cos.numel():
        return torch.view_as_complex(cos.as_strided((*cos.shape, 2), (*cos.stride(), 1)))
    return torch.complex(cos, sin)


def axis_dims(head_dim: int) -> tuple[int, int, int]:
    """Channels given to time, row and column, as Wan divides them."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


def grid_positions(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Positions of all tokens of a grid, time slowest: ``[Fhw, 3]``, or ``[B, Fhw, 3]`` if frames are ``[B, F]``."""
    if frames.ndim == 2:
        return torch.stack([grid_positions(times, rows, columns) for times in frames])
    return torch.stack(torch.meshgrid(frames, rows, columns, indexing="ij"), dim=-1).flatten(0, 2)


def frequencies(dim: int, theta: float, like: Tensor) -> Tensor:
    """Radians a unit of position of each pair of `dim` channels, ``[dim / 2]``, from 1 downwards."""
    steps = torch.arange(0, dim, 2, dtype=like.dtype, device=like.device)
    return 1.0 / theta ** (steps / dim) if dim else steps
