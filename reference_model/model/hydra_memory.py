"""HyDRA's memory: compressed tokens, retrieved by resemblance, beside a local window (arXiv 2603.25716, section 4).

Two variants, because paper and released code differ:

============  ==========================================  =========================================================
              ``released`` (default)                      ``paper``
============  ==========================================  =========================================================
tokens of     all frames, the noisy target included       context frames only (Eq. 3)
affinity      mean query . mean key, no scale             spatially aligned, summed, 1 / sqrt(D) (Eq. 4)
window        around the frame, across the context's end  around the frame, within its own half
not chosen    slices wholly inside the window             nothing is excluded
============  ==========================================  =========================================================

The paper speaks of target queries only. Here context frames of ``paper`` follow the same rule within the context (their
window, and the best slices, a slice of their own window included), so no noise ever reaches them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from reference_model.model import retrieval_attention
from reference_model.model.memory import (
    AttentionCall,
    Backbone,
    Memory,
    MemoryFacts,
    MemorySettings,
    project_memory,
    project_queries,
    rotate_heads,
    turned_from,
)
from reference_model.model.rope import Rotation, grid_positions
from reference_model.model.sequence import Grid, TokenSequence
from reference_model.model.windowed_attention import Run, kernel_for, runs_from, window_runs, windowed_attention

Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class HydraSettings(MemorySettings):
    """Settings of retrieval attention; the defaults are those of the released code."""

    variant: Literal["released", "paper"] = "released"
    """Which reading of the method, see the module."""
    window: int = 5
    """Frames that a frame sees in full."""
    top_k: int = 10
    """Memory slices that a frame retrieves."""
    kernel: Triple = (2, 2, 2)
    """Tokenizer kernel in tokens: frames, rows, columns. What does not fill a kernel at the far end is left out."""
    stride: Triple = (2, 2, 2)
    """Tokenizer stride in tokens."""
    tokenizer: Literal["dense", "depthwise"] = "dense"
    """``dense`` mixes channels as the released code does (75 M parameters a block for 2x4x4 at 1536 channels);
    ``depthwise`` does not."""
    shared_tokenizer: bool = False
    """One tokenizer for all blocks instead of one each."""
    short_clips: Literal["refuse", "fewer"] = "refuse"
    """What happens to a clip that has fewer slices to retrieve than `top_k`: ``fewer`` retrieves all that there are."""

    def __post_init__(self) -> None:
        if self.variant not in ("released", "paper"):
            raise ValueError(f"variant must be 'released' or 'paper', got {self.variant!r}")
        if self.tokenizer not in ("dense", "depthwise"):
            raise ValueError(f"tokenizer must be 'dense' or 'depthwise', got {self.tokenizer!r}")
        if self.short_clips not in ("refuse", "fewer"):
            raise ValueError(f"short_clips must be 'refuse' or 'fewer', got {self.short_clips!r}")
        counts = (self.window, self.top_k, *self.kernel, *self.stride)
        if len(self.kernel) != 3 or len(self.stride) != 3 or min(counts) < 1:
            raise ValueError(
                "window, top_k and the three numbers of kernel and stride must be at least 1, got "
                f"{self.window=} {self.top_k=} {self.kernel=} {self.stride=}"
            )

    def slices(self, context: Grid, target: Grid) -> Grid:
        """Grid of memory tokens on a clip of this size.

        Raises:
            ValueError: If the kernel is larger than what it compresses.
        """
        frames = context.frames + (target.frames if self.variant == "released" else 0)
        source = Grid(frames, target.height, target.width)
        if any(k > size for k, size in zip(self.kernel, source, strict=True)):
            raise ValueError(
                f"the tokenizer's kernel {self.kernel} does not fit into {tuple(source)} tokens "
                "(frames, rows, columns): use a smaller kernel, a larger picture or a longer clip"
            )
        pairs = zip(source, self.kernel, self.stride, strict=True)
        return Grid(*((size - k) // s + 1 for size, k, s in pairs))

    def windows(self, context: Grid, target: Grid) -> Tensor:
        """Frames that each frame sees in full, int64 ``[F, window]``."""
        if self.variant == "released":
            return retrieval_attention.local_windows(context.frames + target.frames, self.window)
        halves = (context.frames, target.frames)
        past, future = (retrieval_attention.local_windows(n, self.window) for n in halves)
        return torch.cat((past, future + context.frames))

    def blocked(self, context: Grid, target: Grid) -> Tensor:
        """Slices that a frame must not retrieve, bool ``[F, M]``."""
        slices, windows = self.slices(context, target), self.windows(context, target)
        if self.variant == "paper":
            return torch.zeros(len(windows), slices.frames, dtype=torch.bool)
        return retrieval_attention.slices_inside(windows, slices.frames, self.kernel[0], self.stride[0])

    def retrieved(self, context: Grid, target: Grid) -> int:
        """Slices that each frame of a clip of this size retrieves.

        Raises:
            ValueError: If they are fewer than `short_clips` allows.
        """
        blocked = self.blocked(context, target)
        available = retrieval_attention.available_slices(blocked)
        wanted = self.top_k if self.short_clips == "refuse" else min(self.top_k, max(1, available))
        retrieval_attention.check_available(wanted, blocked)
        return wanted

    def check(self, context: Grid, target: Grid) -> None:
        """Raises ValueError if these settings cannot work on a clip of this size."""
        self.retrieved(context, target)


class MemoryTokenizer(nn.Module):
    """Tokens of a whole clip to fewer memory tokens, by one 3D convolution (Eq. 3).

    It starts as the mean over its kernel, so that memory tokens begin as tokens that the block's projections know.
    """

    def __init__(self, dim: int, settings: HydraSettings) -> None:
        super().__init__()
        groups = dim if settings.tokenizer == "depthwise" else 1
        self.conv = nn.Conv3d(dim, dim, settings.kernel, settings.stride, groups=groups)
        self.reset_to_mean()

    def reset_to_mean(self) -> None:
        """Sets the starting weights."""
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        share = 1.0 / math.prod(weight.shape[2:])
        with torch.no_grad():
            bias.zero_()
            mix = torch.ones_like(weight[:, :, 0, 0, 0])
            if self.conv.groups == 1:
                mix = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
            weight.copy_((mix * share)[:, :, None, None, None].expand_as(weight))

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """``[B, N, D] -> [B, M, s, D]``, where `grid` arranges the N tokens and s is a slice's height x width."""
        image = tokens.transpose(1, 2).unflatten(2, grid)
        return cast(Tensor, self.conv(image)).flatten(3).permute(0, 2, 3, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class HydraPlan:
    """What all blocks of a forward pass share."""

    source: Grid
    """Frames that the tokenizer compresses."""
    slices: Grid
    """Memory tokens."""
    rotation: Rotation
    """Rotary angles of the memory tokens."""
    local: Tensor
    """Tokens of each frame's window, int64 ``[1, F, window * S]``."""
    runs: tuple[Run, ...]
    """The same windows as slices of all tokens."""
    kernel: str | None
    """What attends without copying windows (`windowed_attention.kernel_for`); None gathers."""
    blocked: Tensor
    """Slices that a frame must not retrieve, bool ``[F, M]``."""
    top_k: int
    """Slices that each frame retrieves."""


class HydraMemory(Memory):
    """Retrieval attention in place of self-attention."""

    Settings = HydraSettings
    settings: HydraSettings

    def __init__(self, settings: HydraSettings, backbone: Backbone) -> None:
        super().__init__(settings, backbone)
        count = 1 if settings.shared_tokenizer else backbone.layers
        self.tokenizers = nn.ModuleList(MemoryTokenizer(backbone.dim, settings) for _ in range(count))
        self.attention: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None
        """A twin that is given all keys and their places; None: windows as slices where there is a kernel for it."""

    def plan(self, sequence: TokenSequence) -> HydraPlan:
        """Windows, exclusions and memory positions."""
        if len(sequence.context) != 1 or not sequence.is_uniform:
            raise ValueError(
                "retrieval attention needs a context of at least one frame at the target's resolution, got "
                f"{sequence.context=} {sequence.target=}"
            )
        context, target, settings = sequence.context[0], sequence.target, self.settings
        device = sequence.positions.device
        frames = sequence.frames if settings.variant == "released" else context.frames
        slices = settings.slices(context, target)
        windows = settings.windows(context, target)
        stand = self._stand(slices, sequence)
        return HydraPlan(
            source=Grid(frames, *target[1:]),
            slices=slices,
            rotation=sequence.placing.turn(*stand),
            local=retrieval_attention.frame_tokens(windows.to(device), target.tokens_per_frame)[None],
            runs=window_runs(windows),
            # the kernels give no gradient of what joins the two parts
            kernel=None if torch.is_grad_enabled() else kernel_for(device, sequence.cameras.dtype),
            blocked=settings.blocked(context, target).to(device),
            top_k=settings.retrieved(context, target),
        )

    def part(self, block: int) -> MemoryTokenizer:
        """The block's tokenizer."""
        return self.tokenizer(block)

    def attend(self, call: AttentionCall, plan: HydraPlan) -> Tensor:
        """Each frame attends to its window in full and to the slices that resemble it most."""
        by, first = call.sequence.rotation, call.asks // call.sequence.target.tokens_per_frame
        frames = call.sequence.frames - first
        key, value = project_memory(call.attention, call.tokens)
        query = project_queries(call.attention, call.tokens[:, call.asks :])
        tokenizer = call.part if call.part is not None else self.tokenizer(call.block)
        memory = tokenizer(call.tokens[:, : plan.source.tokens], plan.source)
        memory_key, memory_value = project_memory(call.attention, memory)
        with torch.no_grad():  # as released: top-k has no gradient
            affinity = self.affinity(query.unflatten(1, (frames, -1)), memory_key, call.sequence.target, plan)
            # a choice that knows no queries is made for all frames
            scores, selected = retrieval_attention.select(affinity[:, -frames:], plan.blocked[first:], plan.top_k)
        if call.record:
            call.record(call.block, "affinity", scores)
            call.record(call.block, "selected", selected)
        local = (rotate_heads(call, key, by), call.heads(value))
        slices = (rotate_heads(call, memory_key.flatten(1, 2), plan.rotation), call.heads(memory_value.flatten(1, 2)))
        queries = rotate_heads(call, query, turned_from(by, call.asks)).unflatten(1, (frames, -1))
        out = self._look(queries, local, slices, selected, plan)
        return out.flatten(1, 2).flatten(2)

    def _look(
        self, queries: Tensor, local: tuple[Tensor, Tensor], slices: tuple[Tensor, Tensor], selected: Tensor,
        plan: HydraPlan,
    ) -> Tensor:  # fmt: skip
        """Attention of frames ``[B, F, S, H, d]``, the last of all, to windows and chosen slices."""
        frames, size = queries.shape[1], plan.slices.tokens_per_frame
        if plan.kernel is not None and self.attention is None:
            keys, values = (
                retrieval_attention.chosen_slices(part.unflatten(1, (-1, size)), selected) for part in slices
            )
            windows = (runs_from(plan.runs, len(plan.blocked) - frames), self.settings.window)
            return windowed_attention(queries, local, (keys, values), windows, plan.kernel)
        far = retrieval_attention.frame_tokens(selected, size, first=local[0].shape[1])
        index = torch.cat((plan.local[:, -frames:].expand(len(far), -1, -1), far), dim=2)
        attention = self.attention or retrieval_attention.gathered_attention
        return attention(queries, torch.cat((local[0], slices[0]), 1), torch.cat((local[1], slices[1]), 1), index)

    def affinity(self, query: Tensor, key: Tensor, target: Grid, plan: HydraPlan) -> Tensor:
        """How much each frame wants each slice; a rival may score them by something else.

        Args:
            query: ``[B, F, S, D]``, normalised, not rotated.
            key: Of the slices, ``[B, M, s, D]``, likewise.
            target: Grid whose height and width give S.
            plan: What `plan` prepared.

        Returns:
            Scores, ``[B, F, M]``.
        """
        if self.settings.variant == "released":
            return retrieval_attention.pooled_affinity(query, key)
        kernel, stride = self.settings.kernel[1:], self.settings.stride[1:]
        return retrieval_attention.aligned_affinity(query, key, target.height, kernel, stride)

    def tokenizer(self, block: int) -> MemoryTokenizer:
        """The tokenizer of a block."""
        found = self.tokenizers[0 if self.settings.shared_tokenizer else block]
        assert isinstance(found, MemoryTokenizer)
        return found

    def shown(self, sequence: TokenSequence, chosen: Mapping[int, Tensor]) -> Tensor:
        """The window, and the frames of the slices that the last block retrieved."""
        context, target = sequence.context[0], sequence.target
        windows = self.settings.windows(context, target)[context.frames :]
        near = torch.zeros(target.frames, context.frames + target.frames, dtype=torch.bool)
        near.scatter_(1, windows, True)
        selected = chosen[max(chosen)][:, -target.frames :].cpu()
        first = selected * self.settings.stride[0]
        frames = (first[..., None] + torch.arange(self.settings.kernel[0])).flatten(2)
        far = torch.zeros(len(selected), *near.shape, dtype=torch.bool).scatter_(2, frames, True)
        return (far | near)[:, :, : context.frames]

    def facts(self, context: Grid, target: Grid) -> MemoryFacts:
        """Window and retrieved slices are seen."""
        slices, kept = self.settings.slices(context, target), self.settings.retrieved(context, target)
        seen = self.settings.window * target.tokens_per_frame + kept * slices.tokens_per_frame
        return MemoryFacts(seen, self.settings.variant == "released", self.num_parameters())

    def _stand(self, slices: Grid, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """Positions and cameras of memory tokens: middle of the kernel in time.

        In space, its corner on the grid, as released (t = 2j + 0.5, h = 2y, w = 2x), and its middle in the world, where
        a corner would be half a token beside what it shows. A slice's camera is the mean of its frames' cameras.
        """
        kernel, stride = self.settings.kernel, self.settings.stride
        in_world = sequence.placing.kind == "world"
        middle = [(size - 1) / 2 if axis == 0 or in_world else 0.0 for axis, size in enumerate(kernel)]
        places = [torch.arange(n) * float(s) + m for n, s, m in zip(slices, stride, middle, strict=True)]
        frames = sequence.cameras.unfold(1, kernel[0], stride[0]).mean(-1)[:, : slices.frames]
        cameras = frames.repeat_interleave(slices.tokens_per_frame, dim=1)
        return grid_positions(*places).to(sequence.positions.device), cameras
