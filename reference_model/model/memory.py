"""How the past reaches the frames being generated: the one place where rival methods differ.

A `Memory` is a part of the transformer with four hooks, in order of use:

* `select` chooses the context frames that are remembered at all, once a forward pass (all of them by default);
* `pack` turns their latents into tokens, once a forward pass (in full by default; a method may compress);
* `plan` prepares what depends on geometry alone (windows, masks, retrieval by field of view), once a forward pass;
* `attend` is the self-attention of each block.

Backbone weights have the same names for every method; what a method adds stands under the prefix ``memory.``. Methods
elsewhere subclass `Memory` and are named ``package.module:Class`` in the transformer's configuration.

Letters: B batch, F frames, N tokens, D channels, H heads, d = D / H, M slices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import torch
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn
from torch.nn import functional

from reference_model.model.rope import Rotation, grid_positions, rotate
from reference_model.model.sequence import Grid, TokenSequence

Recorder = Callable[[int, str, Tensor], None]
"""Called with block number, name and value of what happens inside: ``affinity`` [B, F, M] (blocked slices at -1e9),
``selected`` [B, F, K], ``self_attention`` [B, N, D] after the output projection, ``block`` [B, N, D]."""


class Backbone(NamedTuple):
    """Sizes of the transformer that a memory is built into."""

    dim: int
    """Channels of a token."""
    heads: int
    """Attention heads."""
    layers: int
    """Blocks."""
    in_channels: int
    """Channels of a latent."""
    patch: tuple[int, int, int]
    """Latents that make one token: frames, rows, columns."""


class ContextFrames(NamedTuple):
    """The context frames that a method remembers, in order of time."""

    latents: Tensor
    """``[B, C, n * patch, height, width]``."""
    cameras: Tensor
    """``[B, n, 12]``."""
    numbers: Tensor
    """Place of each frame in the whole context, int64 ``[n]`` or ``[B, n]``."""
    total: int
    """Frames of the whole context."""


class PackedContext(NamedTuple):
    """The context as tokens."""

    tokens: Tensor
    """``[B, Nc, D]``."""
    grids: tuple[Grid, ...]
    """How the tokens are arranged; empty if there are none."""
    positions: Tensor
    """Time, row, column, ``[Nc, 3]`` or ``[B, Nc, 3]``."""
    cameras: Tensor
    """Camera of each frame of the grids, ``[B, Gc, 12]``."""
    source_frames: Tensor
    """Context frame whose noise level each frame of the grids takes, int64 ``[Gc]`` or ``[B, Gc]``."""
    target_start: float
    """Time position of the first target frame."""


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """What the self-attention of one block is given."""

    number: int | None
    """Number of the block; None where torch compiles one graph for all blocks."""
    attention: WanAttention
    """Its projections and norms."""
    tokens: Tensor
    """Attention input (normalised, modulated, with cameras), ``[B, N, D]``."""
    sequence: TokenSequence
    """Where the tokens stand."""
    record: Recorder | None = None
    """Listener, if any."""
    part: nn.Module | None = None
    """What `Memory.part` gave for this block."""
    asks: int = 0
    """First token whose answer is used: in the last block the context's are not. A method may answer all tokens."""

    @property
    def block(self) -> int:
        """Number of the block.

        Raises:
            ValueError: Where one compiled graph serves all blocks.
        """
        if self.number is None:
            raise ValueError(
                "a compiled block has no number: let the memory's `part` give the block's own layers, "
                "or run with compile=false"
            )
        return self.number

    def heads(self, x: Tensor) -> Tensor:
        """``[B, ..., D] -> [B, ..., H, d]``."""
        return cast(Tensor, x.unflatten(-1, (self.attention.heads, -1)))


class MemoryFacts(NamedTuple):
    """What every method reports of itself, for tables."""

    tokens_seen: int
    """Keys that a token of the target attends to."""
    noise_reaches_context: bool
    """True if features of the context depend on the noisy target."""
    parameters: int
    """Parameters that the method adds to the backbone."""


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """Base of all methods' settings: JSON types and tuples only, so that they can stand in a configuration file."""

    def check(self, context: Grid, target: Grid) -> None:
        """Raises ValueError, with the values, if a clip of this size cannot be worked on."""


class Memory(nn.Module, ABC):
    """Base of all methods.

    Args:
        settings: An instance of the class's `Settings`.
        backbone: Sizes of the transformer.
    """

    Settings: ClassVar[type[MemorySettings]]
    per_frame_noise: ClassVar[bool] = False
    """True: training gives every latent frame, context included, a noise level of its own (diffusion forcing)."""

    def __init__(self, settings: MemorySettings, backbone: Backbone) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = backbone

    def select(self, context: Tensor, target: Tensor) -> Tensor | None:
        """Which context frames are remembered at all.

        Args:
            context: Cameras of the context frames, ``[B, Fc, 12]``, relative to the first target camera.
            target: Cameras of the target frames, ``[B, Ft, 12]``.

        Returns:
            Frame numbers in ascending order, int64 ``[B, n]``; None for all of them.
        """
        return None

    def pack(self, frames: ContextFrames, embed: Callable[[Tensor], Tensor]) -> PackedContext:
        """Remembered frames as tokens; here: every frame in full, at its own time.

        Args:
            frames: What `select` chose.
            embed: The backbone's patch embedding, ``[B, C, F, h, w] -> [B, D, F', h', w']``.
        """
        image = embed(frames.latents)
        grid = Grid(*image.shape[2:])
        rows, columns = (torch.arange(size, device=image.device) for size in grid[1:])
        return PackedContext(
            tokens=image.flatten(2).transpose(1, 2),
            grids=(grid,) if grid.frames else (),
            positions=grid_positions(frames.numbers, rows, columns),
            cameras=frames.cameras,
            source_frames=frames.numbers,
            target_start=float(frames.total),
        )

    def plan(self, sequence: TokenSequence) -> Any:
        """What all blocks of one forward pass share; raises ValueError if the method cannot work on this sequence."""

    def part(self, block: int) -> nn.Module | None:
        """The method's own layers for one block, which `attend` finds in ``call.part``.

        A compiled block has no number (``call.block``), because one graph serves all blocks.
        """
        return None

    def shown(self, sequence: TokenSequence, chosen: Mapping[int, Tensor]) -> Tensor:
        """Which frames of the packed context each target frame is shown in full, bool ``[B or 1, Gt, Gc]``: here, all.

        What carries remembered pictures asks this (`reference_model.carrying`): a frame that no target frame is shown
        cannot be carried, nor can one of which only a summary is kept.

        Args:
            sequence: What the tokens were in one evaluation.
            chosen: By block, what a method that retrieves recorded as ``selected``.
        """
        return torch.ones(1, sequence.target.frames, sequence.context_frames, dtype=torch.bool)

    @abstractmethod
    def attend(self, call: AttentionCall, plan: Any) -> Tensor:
        """Attention before its output projection, ``[B, N, D]``, or of the tokens from ``call.asks`` on alone."""

    @abstractmethod
    def facts(self, context: Grid, target: Grid) -> MemoryFacts:
        """What the method costs on a clip of this size."""

    def num_parameters(self) -> int:
        """Parameters that the method adds."""
        return sum(parameter.numel() for parameter in self.parameters())


@dataclass(frozen=True, kw_only=True)
class FullSettings(MemorySettings):
    """Full attention has nothing to set."""


class FullMemory(Memory):
    """Every token sees every token: the paper's Baseline (context and noisy target concatenated)."""

    Settings = FullSettings

    def attend(self, call: AttentionCall, plan: None) -> Tensor:
        """Plain self-attention."""
        by = call.sequence.rotation
        key, value = project_memory(call.attention, call.tokens)
        query = project_queries(call.attention, call.tokens[:, call.asks :])
        queries, keys = rotate_heads(call, query, turned_from(by, call.asks)), rotate_heads(call, key, by)
        out = functional.scaled_dot_product_attention(
            queries.transpose(1, 2), keys.transpose(1, 2), call.heads(value).transpose(1, 2)
        )
        return out.transpose(1, 2).flatten(2)

    def facts(self, context: Grid, target: Grid) -> MemoryFacts:
        """All tokens are seen."""
        return MemoryFacts(context.tokens + target.tokens, True, self.num_parameters())


def project(attention: WanAttention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys (both normalised, not yet rotated) and values, each ``[B, N, D]``."""
    return project_queries(attention, tokens), *project_memory(attention, tokens)


def project_queries(attention: WanAttention, tokens: Tensor) -> Tensor:
    """Queries (normalised, not yet rotated)."""
    return rms_normed(attention.norm_q, attention.to_q(tokens))


def project_memory(attention: WanAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (normalised, not yet rotated) and values of any tokens, by the block's own projections."""
    return rms_normed(attention.norm_k, attention.to_k(tokens)), attention.to_v(tokens)


def rms_normed(norm: nn.Module, x: Tensor) -> Tensor:
    """`norm` of x; on a processor in three passes over memory where torch's own `RMSNorm` takes five."""
    if type(norm) is not nn.RMSNorm or torch.compiler.is_compiling():
        return cast(Tensor, norm(x))
    if x.device.type != "cpu" or x.dtype != torch.float32 or norm.eps is None or not norm.elementwise_affine:
        return cast(Tensor, norm(x))
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1]
    found = x * torch.rsqrt(mean_square + norm.eps)
    return found * norm.weight if torch.is_grad_enabled() else found.mul_(norm.weight)


def turned_from(by: Rotation, first: int) -> Rotation:
    """The angles of all tokens from this one on."""
    return Rotation(by.cos[..., first:, :, :], by.sin[..., first:, :, :]) if first else by


def rotate_heads(call: AttentionCall, x: Tensor, by: Rotation) -> Tensor:
    """``[B, N, D] -> [B, N, H, d]``, rotated."""
    return rotate(call.heads(x), by)
