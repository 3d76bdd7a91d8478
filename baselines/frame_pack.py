"""``frame-pack``: FramePack's memory (arXiv 2504.12626), the whole past at a resolution that falls with its age.

Forward order (F1): the first frame in full, then 16 frames by a kernel of 4x8x8 latents, 2 by 2x4x4, the last one in
full by the backbone's 1x2x2, then the target; older ones are dropped. At the paper's size 20 latent frames become
1560 + 416 + 390 + 1560 = 3,926 tokens instead of 31,200.

Coarse kernels start as the patch embedding spread over the larger kernel, which is the mean of the fine tokens. They
are written here as that mean plus a convolution that starts at zero: the same function at the start, the same reach,
and no copy of the backbone's weights. Missing frames and edges repeat the nearest one. Rotary angles are those of the
fine tokens, averaged (cosines and sines, so that they shorten), as released.

Letters: B batch, F frames, D channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_model.model.memory import (
    AttentionCall,
    Backbone,
    ContextFrames,
    FullMemory,
    FullSettings,
    MemoryFacts,
    PackedContext,
)
from reference_model.model.rope import Rotation, grid_positions, rotation
from reference_model.model.sequence import Grid, TokenSequence


@dataclass(frozen=True, kw_only=True)
class FramePackSettings(FullSettings):
    """How the past is divided, in frames of tokens."""

    first: int = 1
    """First frames, kept in full however old they are."""
    quarter: int = 16
    """Frames packed 4x in time and space."""
    half: int = 2
    """Frames packed 2x in time and space."""
    full: int = 1
    """Last frames, in full."""
    projection: Literal["dense", "depthwise"] = "dense"
    """``dense`` reads the latents with a kernel of all channels, as released; ``depthwise`` weighs the fine tokens
    channel by channel, for small models: at nano's size dense kernels have three times the backbone's parameters."""

    def __post_init__(self) -> None:
        if self.projection not in ("dense", "depthwise"):
            raise ValueError(f"projection must be 'dense' or 'depthwise', got {self.projection!r}")
        if min(self.first, self.quarter, self.half) < 0 or self.full < 1:
            raise ValueError(
                "the last frame must be kept and no number may be negative, got "
                f"{self.first=} {self.quarter=} {self.half=} {self.full=}"
            )

    def parts(self, frames: int) -> tuple[PackedRange, ...]:
        """How a context of this many frames is divided, in order of time; what is not there is left out."""
        full = PackedRange(max(0, frames - self.full), frames, 1)
        half = PackedRange(max(0, full.start - self.half), full.start, 2)
        first = min(self.first, half.start)
        quarter = PackedRange(max(first, half.start - self.quarter), half.start, 4)
        return tuple(part for part in (PackedRange(0, first, 1), quarter, half, full) if part.stop > part.start)


class PackedRange(NamedTuple):
    """A stretch of context frames packed by one factor in time, rows and columns."""

    start: int
    stop: int
    factor: int

    def grid(self, height: int, width: int) -> Grid:
        """Tokens of this stretch, given the tokens of a frame in full."""
        sizes = (self.stop - self.start, height, width)
        return Grid(*(math.ceil(size / self.factor) for size in sizes))


class FramePack(FullMemory):
    """Full attention over the target and the packed past."""

    Settings = FramePackSettings
    settings: FramePackSettings

    def __init__(self, settings: FramePackSettings, backbone: Backbone) -> None:
        super().__init__(settings, backbone)
        self.half_kernel = _kernel(backbone, 2, settings.projection)
        self.quarter_kernel = _kernel(backbone, 4, settings.projection)

    def pack(self, frames: ContextFrames, embed: Callable[[Tensor], Tensor]) -> PackedContext:
        """Frames as tokens of three sizes."""
        parts = self.settings.parts(frames.total)
        if not parts:
            return super().pack(frames, embed)
        height, width = (s // p for s, p in zip(frames.latents.shape[3:], self.backbone.patch[1:], strict=True))
        groups = [_grouped(frames.numbers[part.start : part.stop], part.factor, front=True) for part in parts]
        return PackedContext(
            tokens=torch.cat([self._tokens(part, frames.latents, embed) for part in parts], dim=1),
            grids=tuple(part.grid(height, width) for part in parts),
            positions=torch.cat([_places(part, height, width).mean((1, 3, 5)).flatten(0, 2) for part in parts]),
            cameras=torch.cat([frames.cameras[:, group].mean(2) for group in groups], dim=1),
            source_frames=torch.cat([group[:, -1] for group in groups]),
            target_start=float(frames.total),
        )

    def plan(self, sequence: TokenSequence) -> Rotation:
        """Rotary angles, averaged over the fine tokens that each packed one covers.

        In the world, where angles depend on cameras, those of a packed token's middle and mean camera stand for them.
        """
        if sequence.placing.kind == "world":
            return sequence.rotation
        past, head_dim = sequence.context_tokens, self.backbone.dim // self.backbone.heads
        total = int(sequence.positions[..., past, 0].flatten()[0])  # the target's first frame follows the whole context
        turns = []
        for part in self.settings.parts(total):
            fine = rotation(_places(part, *sequence.target[1:]).to(sequence.positions.device), head_dim)
            turns.append(Rotation(*(turn.mean((1, 3, 5)).flatten(0, 2) for turn in fine)))
        turns.append(Rotation(*(turn[..., past:, :, :] for turn in sequence.rotation)))
        return Rotation(torch.cat([turn.cos for turn in turns]), torch.cat([turn.sin for turn in turns]))

    def shown(self, sequence: TokenSequence, chosen: Mapping[int, Tensor]) -> Tensor:
        """The frames that are kept in full; of the others there is a summary."""
        full = torch.cat([torch.full((grid.frames,), grid[1:] == sequence.target[1:]) for grid in sequence.context])
        return full.expand(1, sequence.target.frames, -1)

    def attend(self, call: AttentionCall, plan: Any) -> Tensor:
        """Plain self-attention at the averaged angles."""
        return super().attend(replace(call, sequence=replace(call.sequence, rotation=plan)), None)

    def facts(self, context: Grid, target: Grid) -> MemoryFacts:
        """The packed past and the target are seen."""
        packed = sum(part.grid(*context[1:]).tokens for part in self.settings.parts(context.frames))
        return MemoryFacts(packed + target.tokens, True, self.num_parameters())

    def _tokens(self, part: PackedRange, latents: Tensor, embed: Callable[[Tensor], Tensor]) -> Tensor:
        """Tokens of one stretch, ``[B, n, D]``."""
        step = self.backbone.patch[0]
        stretch = latents[:, :, part.start * step : part.stop * step]
        if part.factor == 1:
            return embed(stretch).flatten(2).transpose(1, 2)
        cell = [size * part.factor for size in self.backbone.patch]
        missing = [-size % side for size, side in zip(stretch.shape[2:], cell, strict=True)]
        padded = functional.pad(stretch, (0, missing[2], 0, missing[1], missing[0], 0), mode="replicate")
        kernel = self.half_kernel if part.factor == 2 else self.quarter_kernel
        fine = embed(padded)
        change = kernel(padded if self.settings.projection == "dense" else fine)
        coarse = functional.avg_pool3d(fine, part.factor) + change
        return cast(Tensor, coarse.flatten(2).transpose(1, 2))


def _kernel(backbone: Backbone, factor: int, kind: str) -> nn.Conv3d:
    """What a coarse kernel adds to the mean of fine tokens: nothing at the start."""
    if kind == "depthwise":
        conv = nn.Conv3d(backbone.dim, backbone.dim, factor, stride=factor, groups=backbone.dim, bias=False)
    else:
        frames, rows, columns = (side * factor for side in backbone.patch)
        size = (frames, rows, columns)
        conv = nn.Conv3d(backbone.in_channels, backbone.dim, size, stride=size, bias=False)
    nn.init.zeros_(conv.weight)
    return conv


def _grouped(numbers: Tensor, factor: int, *, front: bool) -> Tensor:
    """Numbers in groups, the first (or last) one repeated to fill them: ``[n] -> [ceil(n / factor), factor]``."""
    missing = -len(numbers) % factor
    filling = numbers[:1].expand(missing) if front else numbers[-1:].expand(missing)
    whole = torch.cat((filling, numbers) if front else (numbers, filling))
    return whole.view(-1, factor)


def _places(part: PackedRange, height: int, width: int) -> Tensor:
    """Time, row and column of the fine tokens behind each packed one, ``[F, f, h, f, w, f, 3]`` with factor f."""
    times = _grouped(torch.arange(part.start, part.stop), part.factor, front=True)
    rows, columns = (_grouped(torch.arange(size), part.factor, front=False) for size in (height, width))
    fine = grid_positions(times.flatten(), rows.flatten(), columns.flatten()).double()
    return fine.view(*times.shape, *rows.shape, *columns.shape, 3)
