"""Where tokens stand for their rotary angles: on the picture's grid, as Wan has it, or in the world.

On the grid a token has time, row and column, and a model must discover from 12 numbers a frame how a turning camera
moves columns. In the world it has time, pitch and yaw of what it may show: the point on its ray at an assumed depth,
seen from the first target camera. Two tokens that show one place then have equal angles, so attention by position
alone finds what was seen before, whatever the memory. Depths differ from head to head, which leaves the model to choose
(for far scenery all agree; near things move between them as the camera travels). The idea of attention relative to
cameras is that of GTA (arXiv 2310.10375) and PRoPE (arXiv 2507.10496); the assumed depths are ours. A depth of 0 stands
for what the camera takes along: those heads see the picture's own grid, where somebody whom the camera follows stays.

Part of each head may be left unturned, for *content*: those channels tell what a token shows wherever it stands, so
that a noisy token finds the remembered one that it resembles, and HyDRA's affinity, which knows no positions, has
something to go by.

The paper's model uses the grid. ``nano`` and ``mini`` use the world: they are trained from nothing in minutes to hours.

Letters: B batch, N tokens, H heads, d channels a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.model.rope import THETA, Rotation, angles_rotation, frequencies, rotation

Positions = Literal["grid", "world"]

FINENESS = 2.5
"""Radians a token of the sharpest frequency of yaw and pitch: as the small recipes start, attention that looks by
direction alone gives a token beside the right one 1 % of its weight, and half a token beside it 20 %."""
WORLD_THETA = 20.0
"""Base of these frequencies, from `FINENESS` down towards a twentieth of it."""


@dataclass(frozen=True, kw_only=True)
class Placing:
    """How positions on the grid and cameras become angles."""

    kind: Positions = "grid"
    """``grid`` ignores cameras."""
    head_dim: int
    """Channels a head (d), even."""
    heads: int
    """Attention heads (H)."""
    picture: tuple[int, int]
    """Rows and columns of a frame in full-resolution tokens."""
    aspect: float
    """Height of the picture over its width, in pixels."""
    field_of_view: float
    """Of the picture's width, degrees."""
    depths: tuple[float, ...]
    """Assumed distance along the optical axis, metres, 0 for what moves with the camera; heads take them in turn."""
    content: int = 0
    """Channels of each head that are not turned, so that they tell what a token shows wherever it stands; even."""

    def turn(self, positions: Tensor, cameras: Tensor) -> Rotation:
        """Angles of tokens; in the world the last `content` channels of a head keep the angle 0.

        Args:
            positions: Time, row, column in full-resolution tokens, ``[N, 3]`` or ``[B, N, 3]``.
            cameras: Of each token, relative to the first target camera, ``[B, N, 12]``.

        Returns:
            ``[N, 1, d / 2]`` or ``[B, N, 1, d / 2]`` on the grid, ``[B, N, H, d / 2]`` in the world.
        """
        if self.kind == "grid":
            return rotation(positions, self.head_dim)
        place = self.in_world(positions, cameras).to(torch.float32 if cameras.device.type == "mps" else torch.float64)
        finer = place * torch.tensor((1.0, FINENESS, FINENESS)).to(place)
        parts = zip(range(3), world_dims(self.head_dim - self.content), (THETA, WORLD_THETA, WORLD_THETA), strict=True)
        turned = [finer[..., axis, None] * frequencies(dim, base, finer) for axis, dim, base in parts]
        return angles_rotation(functional.pad(torch.cat(turned, dim=-1), (0, self.content // 2)))

    def in_world(self, positions: Tensor, cameras: Tensor) -> Tensor:
        """Time, pitch and yaw, angles in units of a central token's height and width, ``[B, N, H, 3]``."""
        rows, columns = self.picture
        place = positions.expand(len(cameras), -1, -1).to(cameras.device)
        half = math.tan(math.radians(self.field_of_view) / 2)
        x = ((place[..., 2] + 0.5) * (2 / columns) - 1) * half
        y = ((place[..., 1] + 0.5) * (2 / rows) - 1) * half * self.aspect
        ray = torch.stack((x, y, torch.ones_like(x)), dim=-1)
        pose = cameras.to(ray).unflatten(-1, (3, 4))
        way = (pose[..., :3] @ ray[..., None]).squeeze(-1)
        repeats = -(-self.heads // len(self.depths))
        depth = torch.tensor((self.depths * repeats)[: self.heads]).to(way)
        point = pose[..., None, :, 3] + depth[:, None] * way[..., None, :]
        yaw = torch.atan2(point[..., 0], point[..., 2]) * (columns / math.radians(self.field_of_view))
        level = torch.hypot(point[..., 0], point[..., 2])
        pitch = torch.atan2(point[..., 1], level) * (rows / (2 * math.atan(half * self.aspect)))
        time = place[..., None, 0].expand_as(yaw)
        middle = torch.tensor(((rows - 1) / 2, (columns - 1) / 2)).to(place)
        along = (place[..., 1:] - middle)[..., None, :].expand(*yaw.shape, 2)
        there = torch.where((depth == 0)[:, None], along.to(yaw), torch.stack((pitch, yaw), dim=-1))
        return torch.cat((time[..., None], there), dim=-1)


def world_dims(channels: int) -> tuple[int, int, int]:
    """Channels of a head given to time, pitch and yaw: half of them to yaw, by which cameras turn most."""
    quarter = 2 * (channels // 8)
    return quarter, quarter, channels - 2 * quarter
