"""What a transformer block knows of its tokens besides their values: where and when they are, seen by which camera.

A sequence is one or more grids of tokens: the context (one grid, or several of different resolution if a memory method
packs it) and, last, the target. A *frame* of a sequence is one time slice of one grid; timestep and camera are given
per frame and spread over its tokens here.

Letters: B batch, G frames of all grids, N tokens of all grids, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reference_model.model.placing import Placing
from reference_model.model.rope import Rotation


class Grid(NamedTuple):
    """A block of tokens, ``frames x height x width``, time slowest."""

    frames: int
    height: int
    width: int

    @property
    def tokens_per_frame(self) -> int:
        """Tokens of one time slice."""
        return self.height * self.width

    @property
    def tokens(self) -> int:
        """Tokens of the whole grid."""
        return self.frames * self.tokens_per_frame


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenSequence:
    """Geometry of the tokens that one forward pass works on; equal for all blocks."""

    context: tuple[Grid, ...]
    """Grids of the context, oldest first; empty for a model without memory."""
    target: Grid
    """Grid of the frames to generate; its tokens come last."""
    positions: Tensor
    """Time, row, column of each token, ``[N, 3]`` or ``[B, N, 3]``, in units of full-resolution tokens."""
    cameras: Tensor
    """Camera of each frame relative to the first target camera, ``[B, G, 12]`` (`reference_model.model.camera`)."""
    rotation: Rotation
    """Rotary angles at `positions`."""
    placing: Placing
    """What gave them, for a memory that adds tokens of its own."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """All grids in token order."""
        return (*self.context, self.target)

    @property
    def context_frames(self) -> int:
        """Frames of all context grids."""
        return sum(grid.frames for grid in self.context)

    @property
    def context_tokens(self) -> int:
        """Tokens of all context grids."""
        return sum(grid.tokens for grid in self.context)

    @property
    def frames(self) -> int:
        """G."""
        return self.context_frames + self.target.frames

    @property
    def is_uniform(self) -> bool:
        """True if every frame has the target's resolution, so that tokens are ``[B, G, height, width]``."""
        return all(grid[1:] == self.target[1:] for grid in self.context)

    def spread(self, signal: Tensor) -> Tensor:
        """A value per frame as a value per token: ``[B, G, D] -> [B, N, D]``; ``[B, 1, D]`` is left to broadcast."""
        if signal.shape[1] == 1:
            return signal
        if signal.shape[1] != self.frames:
            raise ValueError(f"expected a value for each of {self.frames} frames, got {signal.shape[1]}")
        return spread_frames(self.grids, signal)

    def add(self, tokens: Tensor, signal: Tensor) -> Tensor:
        """Adds a value per frame, ``[B, G, D]``, to each of its tokens, ``[B, N, D]``."""
        if not self.is_uniform or signal.shape[1] != self.frames:
            return tokens + self.spread(signal)
        # without a copy for each token
        framed: Tensor = tokens.unflatten(1, (self.frames, -1))
        return (framed + signal[:, :, None]).flatten(1, 2)


def spread_frames(grids: tuple[Grid, ...], signal: Tensor) -> Tensor:
    """A value per frame of all grids as a value per token: ``[B, G, D] -> [B, N, D]``."""
    sizes = {grid[1:] for grid in grids}
    if len(sizes) == 1:
        return signal.repeat_interleave(grids[0].tokens_per_frame, dim=1)
    counts = [grid.tokens_per_frame for grid in grids for _ in range(grid.frames)]
    repeats = torch.tensor(counts, device=signal.device)
    return signal.repeat_interleave(repeats, dim=1, output_size=sum(counts))
