"""Where tokens stand for their rotary angles: on the picture's grid, as Wan has it, or in the world.

On the grid a token has time, row and column, and a model must discover from 12 numbers a frame how a turning camera
moves columns. In the world it has time, pitch and yaw of what it may show: the point on its ray at an assumed depth,
seen from the first target camera. Two tokens that show one place then have equal angles, so attention by position
alone finds what was seen before, whatever the memory. Depths differ from head to head, which leaves the model to choose
(for far scenery all agree; near things move between them as the camera travels). The idea of attention relative to
cameras is that of GTA (arXiv 2310.10375) and PRoPE (arXiv 2507.10496); the assumed depths are ours. A depth of 0 stands
for what the camera takes along: those heads see the picture's own grid, where somebody whom the camera follows stays.

Attention copies whole tokens, but a camera turns by fractions of one. So values can be *carried*, as in GTA: each pair
of channels is turned to the world's directions before attention and back to the query's after it. Channels that hold
waves across a token (which projections learn) thereby arrive moved by the exact fraction.

The paper's model uses the grid. ``nano`` and ``mini`` use the world: they are trained from nothing in minutes to hours.

Letters: B batch, N tokens, H heads, d channels a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from reference_model.rope import THETA, Rotation, angles_rotation, head_rotation, rotation

Positions = Literal["grid", "world"]

CARRIED = 2
"""Of four channels of a value, how many are turned with yaw; one more is turned with pitch, the last is kept."""

FINENESS = 2.5
"""Radians a token of the sharpest frequency of yaw and pitch. With 1, attention that looks by direction alone gives a
token beside the right one half of its weight, and pictures are blurred over three tokens; with this it gives 4 %."""
WORLD_THETA = 20.0
"""Base of these frequencies: the widest turns by about `FINENESS` / 20 a token."""


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
    carries: bool = False
    """Turn values as well."""

    def turn(self, positions: Tensor, cameras: Tensor) -> Rotation:
        """Angles of tokens.

        Args:
            positions: Time, row, column in full-resolution tokens, ``[N, 3]`` or ``[B, N, 3]``.
            cameras: Of each token, relative to the first target camera, ``[B, N, 12]``.

        Returns:
            ``[N, 1, d / 2]`` or ``[B, N, 1, d / 2]`` on the grid, ``[B, N, H, d / 2]`` in the world.
        """
        if self.kind == "grid":
            return rotation(positions, self.head_dim)
        place = self.in_world(positions, cameras)
        finer = place * torch.tensor((1.0, FINENESS, FINENESS)).to(place)
        return head_rotation(finer, self.head_dim, (THETA, WORLD_THETA))

    def carry(self, positions: Tensor, cameras: Tensor) -> Rotation | None:
        """Angles of values ``[B, N, H, d / 2]``, arguments as for `turn`; None where values stay as they are.

        Waves of 1 / n of half a turn a token, up to half a turn: a token, and one beside it, hold at most one period.
        """
        if not self.carries:
            return None
        place = self.in_world(positions, cameras)
        pairs = self.head_dim // 2
        yaw, pitch = pairs * CARRIED // 4, pairs // 4
        waves = [torch.arange(1, count + 1, device=place.device) * (math.pi / count) for count in (pitch, yaw)]
        turned = [place[..., axis, None] * wave.to(place) for axis, wave in zip((1, 2), waves, strict=True)]
        kept = torch.zeros_like(place[..., :1]).expand(*place.shape[:-1], pairs - yaw - pitch)
        return angles_rotation(torch.cat((kept, *turned), dim=-1))

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
