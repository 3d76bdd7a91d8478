"""HydraTransformer3DModel: Wan's video transformer with cameras and a memory (arXiv 2603.25716, figure 3).

The parts are diffusers' own (`WanTransformer3DModel`'s embedders, attention, norms, feed-forward, under the same
names, so a Wan checkpoint in diffusers' format fits the backbone as it is). New in each block: a linear camera encoder
for context and one for target (zero at the start, added to the attention input), a `Memory` in place of
self-attention, and a projector (identity at the start) between attention and gate. With memory ``full`` and the
starting weights it computes exactly what `WanTransformer3DModel` computes.

Letters: B batch, C latent channels, F latent frames, G frames of the token sequence, N tokens, D channels of a token.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders.peft import PeftAdapterMixin
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanTimeTextImageEmbedding
from torch import Tensor, nn

from reference_model.model import bands as picture_bands
from reference_model.model import clean_prediction
from reference_model.model.block import BlockCall, HydraBlock, TextTokens
from reference_model.model.camera import CAMERA_DIM
from reference_model.model.clip_state import ClipState
from reference_model.model.memory import Backbone, ContextFrames, PackedContext, Recorder
from reference_model.model.memory_kinds import build_memory
from reference_model.model.patch_embedding import PatchEmbedding
from reference_model.model.placing import Placing, Positions
from reference_model.model.rope import grid_positions
from reference_model.model.sequence import Grid, TokenSequence, spread_frames

Conditioning = Literal["shared", "clean_context"]
Prediction = Literal["velocity", "clean"]


class Velocity(NamedTuple):
    """What the transformer predicts: noise minus clean latents."""

    target: Tensor
    """``[B, C, Ft, h, w]``."""
    context: Tensor | None
    """``[B, C, Fc, h, w]``, which no loss uses; None where the memory drops or compresses context tokens."""


class HydraTransformer3DModel(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """Predicts the velocity of noisy target latents from clean context latents, cameras and text.

    Args:
        memory_settings: The method, ``{"kind": "hydra" | "full" | "package.module:Class", **settings}``.
        patch_size: Latents that make one token: frames, rows, columns.
        num_attention_heads: Heads.
        attention_head_dim: Channels a head, even.
        in_channels: Channels of a latent (C).
        text_dim: Channels of the text encoder's output.
        freq_dim: Channels of the sinusoidal timestep embedding, even.
        ffn_dim: Hidden channels of the feed-forward.
        num_layers: Blocks.
        cross_attn_norm: Normalise before cross-attention.
        eps: Of all norms.
        bands: Horizontal bands of the picture that attend each by itself (`reference_model.model.bands`).
        conditioning: ``shared``: context tokens carry the target's noise level, as released. ``clean_context``: they
            carry level 0 (diffusion forcing).
        positions: Of rotary angles: ``grid``, as Wan's, or ``world`` (`reference_model.model.placing`).
        field_of_view: Of the picture's width in degrees, for ``world``.
        depths: Assumed by the heads in turn, metres, for ``world``; 0 for what moves with the camera.
        content: Channels of each head, even, that no position turns, for ``world``.
        prediction: What the last layer gives. ``velocity``: as Wan's. ``clean``: clean latents, of which the velocity
            is computed, so that tokens may have fewer channels than a patch has numbers (arXiv 2511.13720); latents
            enter as the best linear guess of clean ones at their level, which is nothing at pure noise.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["HydraBlock"]
    _repeated_blocks: ClassVar[list[str]] = ["HydraBlock"]
    _keep_in_fp32_modules: ClassVar[list[str]] = ["time_embedder", "scale_shift_table", "norm1", "norm2", "norm3"]

    @register_to_config
    def __init__(
        self,
        *,
        memory_settings: dict[str, Any],
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
        bands: int = 1,
        conditioning: Conditioning = "shared",
        positions: Positions = "grid",
        field_of_view: float = 36.6,
        depths: tuple[float, ...] = (1000.0,),
        content: int = 0,
        prediction: Prediction = "velocity",
    ) -> None:
        super().__init__()
        if conditioning not in ("shared", "clean_context"):
            raise ValueError(f"conditioning must be 'shared' or 'clean_context', got {conditioning!r}")
        if positions not in ("grid", "world") or prediction not in ("velocity", "clean"):
            raise ValueError(
                "positions must be 'grid' or 'world' and prediction 'velocity' or 'clean', got "
                f"{positions!r} and {prediction!r}"
            )
        if content and (positions != "world" or content % 2 or not 0 < content <= attention_head_dim - 8):
            raise ValueError(
                f"channels of content must be even, need positions='world' and leave at least 8 of "
                f"{attention_head_dim=} to time and direction, got {content=} and {positions=}"
            )
        if attention_head_dim % 2 or freq_dim % 2:
            raise ValueError(f"{attention_head_dim=} and {freq_dim=} must be even")
        if not depths or not all(0 <= depth < 1e6 for depth in depths):
            raise ValueError(f"depths must be some numbers of metres from 0 up, got {depths!r}")
        if not (0 < field_of_view < 180 and 0 < eps < 1 and bands >= 1):
            raise ValueError(
                "field_of_view must lie between 0 and 180 degrees, eps between 0 and 1, bands be 1 or more, got "
                f"{field_of_view=}, {eps=} and {bands=}"
            )
        dim = num_attention_heads * attention_head_dim
        self.patch = cast(tuple[int, int, int], tuple(patch_size))
        self.patch_embedding = PatchEmbedding(in_channels, dim, kernel_size=self.patch, stride=self.patch)
        self.condition_embedder = WanTimeTextImageEmbedding(
            dim=dim, time_freq_dim=freq_dim, time_proj_dim=dim * 6, text_embed_dim=text_dim
        )
        self.blocks = nn.ModuleList(
            HydraBlock(dim, ffn_dim, num_attention_heads, cross_attn_norm, eps, bands) for _ in range(num_layers)
        )
        self.norm_out = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.proj_out = nn.Linear(dim, in_channels * math.prod(self.patch))
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        # after the backbone, whose random weights are thus the same under every memory
        self.memory = build_memory(
            memory_settings, Backbone(dim, num_attention_heads, num_layers, in_channels, self.patch)
        )
        self.bands = bands
        self.band_embedding = nn.Parameter(torch.zeros(bands, 1, dim)) if bands > 1 else None
        self.heads, self.head_dim = num_attention_heads, attention_head_dim
        self.predicts_clean = prediction == "clean"
        self.gradient_checkpointing = False

    def forward(
        self,
        context: Tensor,
        target: Tensor,
        timestep: Tensor,
        text: Tensor,
        cameras: tuple[Tensor, Tensor],
        record: Recorder | None = None,
        *,
        state: ClipState | None = None,
        context_too: bool = True,
    ) -> Velocity:
        """One evaluation.

        Args:
            context: Clean latents of the past, ``[B, C, Fc, h, w]``.
            target: Noisy latents of the future, ``[B, C, Ft, h, w]``.
            timestep: Noise level on the 0..1000 scale: ``[B]``, ``[1]`` for all clips, or one for each context and
                target latent frame ``[B, (Fc + Ft) / patch]``, which `conditioning` then leaves alone.
            text: Text encoder's output, ``[B, L, text_dim]``.
            cameras: Of context and target, ``[B, F / patch, 12]`` each (`reference_model.model.camera`).
            record: Listener to what happens inside (see `reference_model.model.memory.Recorder`).
            state: What earlier evaluations of this clip found out (`clip_state`), which this one adds to.
            context_too: Whether the context's velocity is wanted, which no sampler and no loss uses: without it the
                last block answers the target's tokens alone.
        """
        self._check(context, target, cameras)
        if self.bands > 1:
            if len(timestep) > 1:
                timestep = picture_bands.repeat(timestep, self.bands)
            context, target = (picture_bands.fold(latents, self.bands) for latents in (context, target))
            cameras = (picture_bands.repeat(cameras[0], self.bands), picture_bands.repeat(cameras[1], self.bands))
        whole = context_too and not self.predicts_clean
        found = self._evaluate((context, target, timestep), text, cameras, record, state or ClipState(), whole)
        if self.bands == 1:
            return found
        past = None if found.context is None else picture_bands.unfold(found.context, self.bands)
        return Velocity(picture_bands.unfold(found.target, self.bands), past)

    def _evaluate(
        self,
        latents: tuple[Tensor, Tensor, Tensor],
        text: Tensor,
        cameras: tuple[Tensor, Tensor],
        record: Recorder | None,
        state: ClipState,
        whole: bool,
    ) -> Velocity:
        """One evaluation of a picture, or of all bands of pictures as a batch."""
        context, target, timestep = latents
        given = self._guesses(*latents) if self.predicts_clean else (context, target)
        if state.packed is None or given[0] is not context:
            state.packed = self.memory.pack(self._remembered(given[0], cameras), self._embed)
        packed, image = state.packed, self._embed(given[1])
        if state.sequence is None:
            state.sequence = self._sequence(packed, Grid(*image.shape[2:]), cameras[1])
            state.plan = self.memory.plan(state.sequence)
        sequence, tokens = state.sequence, self._tokens(packed, image)
        levels = self._levels(timestep, packed, context.shape[2] // self.patch[0], sequence)
        embedded, modulation = self._level_tokens(levels, tokens.dtype)
        texts = self._read(text, state)
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            asks = sequence.context_tokens if number == last and not whole and record is None else 0
            compiled = record is None and block._compiled_call_impl is not None
            call = BlockCall(None if compiled else number, sequence, self.memory.part(number), record, asks)
            run = block if record is None else block.forward  # a listener is no part of a compiled graph
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                run = partial(self._gradient_checkpointing_func, run)
            tokens = run(tokens, texts[number], modulation, call, self.memory, state.plan)
        found = self._unembed(tokens, embedded, sequence, context.shape)
        if not self.predicts_clean:
            return found
        level = clean_prediction.level_of(timestep, slice(cameras[0].shape[1], None), self.patch[0])
        return Velocity(clean_prediction.velocity(target.float(), found.target.float(), level), None)

    def _level_tokens(self, levels: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Embedded levels ``[B, G or 1, D]`` and each block's part of them ``[B, G or 1, 6, D]``.

        The same layers as `WanTimeTextImageEmbedding.forward`, which would embed the text anew with each.
        """
        embedder: Any = self.condition_embedder
        waves = embedder.timesteps_proj(levels.flatten()).unflatten(0, levels.shape)
        exact = next(embedder.time_embedder.parameters()).dtype
        embedded = embedder.time_embedder(waves.to(exact)).to(dtype)
        return embedded, embedder.time_proj(embedder.act_fn(embedded)).unflatten(2, (6, -1))

    def _read(self, text: Tensor, state: ClipState) -> list[TextTokens]:
        """What each block reads of the text."""
        known = state.read(text)
        if known is None:
            tokens = cast(nn.Module, self.condition_embedder.text_embedder)(text)
            known = [cast(HydraBlock, block).read(tokens) for block in self.blocks]
            state.texts.append((text, known))
        return known

    def grids(self, context_frames: int, target_frames: int, height: int, width: int) -> tuple[Grid, Grid]:
        """Token grids, of a band, of context and target of these many latent frames, rows and columns."""
        t, h, w = self.patch
        size = (height // (h * self.bands), width // w)
        return Grid(context_frames // t, *size), Grid(target_frames // t, *size)

    def _check(self, context: Tensor, target: Tensor, cameras: tuple[Tensor, Tensor]) -> None:
        for name, latents, camera in (("context", context, cameras[0]), ("target", target, cameras[1])):
            size = tuple(latents.shape[2:])
            cell = (self.patch[0], self.patch[1] * self.bands, self.patch[2])
            if latents.ndim != 5 or any(s % p for s, p in zip(size, cell, strict=True)):
                raise ValueError(
                    f"{name} latents {list(latents.shape)} must be [B, C, F, h, w] with F, h, w divisible by "
                    f"patch_size={self.patch}" + (f" and h by {self.bands} bands of it" if self.bands > 1 else "")
                )
            expected = (len(latents), size[0] // self.patch[0], CAMERA_DIM)
            if tuple(camera.shape) != expected:
                raise ValueError(f"{name} cameras must be {list(expected)}, got {list(camera.shape)}")
        if context.shape[3:] != target.shape[3:]:
            raise ValueError(f"context and target differ in size: {list(context.shape)}, {list(target.shape)}")

    def _embed(self, latents: Tensor) -> Tensor:
        """``[B, C, F, h, w] -> [B, D, F', h', w']``; a method may remember no frame at all."""
        if latents.shape[2]:
            return cast(Tensor, self.patch_embedding(latents))
        size = (side // p for side, p in zip(latents.shape[3:], self.patch[1:], strict=True))
        return latents.new_zeros(len(latents), self.patch_embedding.out_channels, 0, *size)

    def _remembered(self, context: Tensor, cameras: tuple[Tensor, Tensor]) -> ContextFrames:
        total = cameras[0].shape[1]
        chosen = self.memory.select(*cameras)
        if chosen is None:
            return ContextFrames(context, cameras[0], torch.arange(total, device=context.device), total)
        batch = torch.arange(len(context), device=chosen.device)[:, None]
        groups = context.unflatten(2, (total, self.patch[0])).movedim(2, 1)[batch, chosen].movedim(1, 2)
        return ContextFrames(groups.flatten(2, 3), cameras[0][batch, chosen], chosen, total)

    def _tokens(self, packed: PackedContext, target: Tensor) -> Tensor:
        """Tokens of context and target, whose embedding is ``[B, D, F', h', w']``: ``[B, N, D]``."""
        tokens = torch.cat((packed.tokens, target.flatten(2).transpose(1, 2)), dim=1)
        if self.band_embedding is None:
            return tokens
        banded: Tensor = tokens.unflatten(0, (-1, self.bands))
        return (banded + self.band_embedding.type_as(tokens)).flatten(0, 1)

    def _sequence(self, packed: PackedContext, grid: Grid, cameras: Tensor) -> TokenSequence:
        rows = [torch.arange(n, device=cameras.device, dtype=torch.float64) for n in grid]
        future = grid_positions(rows[0] + packed.target_start, rows[1], rows[2])
        future = future.expand(*packed.positions.shape[:-2], -1, -1)
        positions = torch.cat((packed.positions.to(future), future), dim=-2)
        placing, seen = self._placing(grid), torch.cat((packed.cameras, cameras), dim=1)
        stand = (positions, spread_frames((*packed.grids, grid), seen))
        return TokenSequence(
            context=packed.grids,
            target=grid,
            positions=positions,
            cameras=seen,
            rotation=placing.turn(*stand),
            placing=placing,
        )

    def _levels(self, timestep: Tensor, packed: PackedContext, past: int, sequence: TokenSequence) -> Tensor:
        """Noise level of each frame of the sequence ``[B, G]``, or ``[B, 1]`` if all share one."""
        if timestep.ndim == 1:
            timestep = timestep[:, None]
            if self.config["conditioning"] == "shared":
                return timestep
            clean = torch.zeros_like(timestep).expand(-1, sequence.context_frames)
            return torch.cat((clean, timestep.expand(-1, sequence.target.frames)), dim=1)
        if timestep.ndim != 2 or timestep.shape[1] != past + sequence.target.frames:
            raise ValueError(
                f"timestep must be [B] or [B, {past + sequence.target.frames}] (a level for each context and "
                f"target frame), got {list(timestep.shape)}"
            )
        sources = packed.source_frames.expand(max(len(timestep), len(packed.cameras)), -1)
        timestep = timestep.expand(len(sources), -1)
        return torch.cat((timestep.gather(1, sources), timestep[:, past:]), dim=1)

    def _guesses(self, context: Tensor, target: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """What tokens are made of where clean latents are predicted; a context without levels of its own is clean."""
        frames, patch = context.shape[2] // self.patch[0], self.patch[0]
        guess = clean_prediction.linear_guess
        if timestep.ndim == 2:
            context = guess(context, clean_prediction.level_of(timestep, slice(frames), patch)).type_as(context)
        level = clean_prediction.level_of(timestep, slice(frames, None), patch)
        return context, guess(target, level).type_as(target)

    def _placing(self, target: Grid) -> Placing:
        config: Any = self.config
        _, h, w = self.patch
        return Placing(
            kind=config["positions"],
            head_dim=self.head_dim,
            heads=self.heads,
            picture=(target.height, target.width),
            aspect=(target.height * h) / (target.width * w),
            field_of_view=config["field_of_view"],
            depths=tuple(config["depths"]),
            content=config["content"],
        )

    def _unembed(
        self, tokens: Tensor, embedded: Tensor, sequence: TokenSequence, context_shape: torch.Size
    ) -> Velocity:
        table = self.scale_shift_table[None].to(embedded.device) + embedded[:, :, None]
        past = sequence.context_tokens
        if tokens.shape[1] == past + sequence.target.tokens:
            shift, scale = (sequence.spread(part) for part in table.unbind(2))
        else:  # the target alone
            frames = slice(sequence.context_frames, None) if table.shape[1] > 1 else slice(None)
            size = sequence.target.tokens_per_frame if table.shape[1] > 1 else 1
            shift, scale = (part[:, frames].repeat_interleave(size, dim=1) for part in table.unbind(2))
        normed = self.norm_out(tokens.float()) * (1 + scale) + shift
        out = self.proj_out(normed.type_as(tokens))
        target = self._unpatch(out[:, -sequence.target.tokens :], sequence.target)
        whole = Grid(*(size // p for size, p in zip(context_shape[2:], self.patch, strict=True)))
        if sequence.context != (whole,) or out.shape[1] == sequence.target.tokens:
            return Velocity(target, None)
        return Velocity(target, self._unpatch(out[:, :past], whole))

    def _unpatch(self, values: Tensor, grid: Grid) -> Tensor:
        """``[B, N, patch * C] -> [B, C, F, h, w]``."""
        cells = values.unflatten(2, (*self.patch, -1)).unflatten(1, tuple(grid))
        merged = cells.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return cast(Tensor, merged)


def with_memory(model: HydraTransformer3DModel, settings: dict[str, Any]) -> HydraTransformer3DModel:
    """The same backbone weights under another memory, whose own weights are taken over as far as they fit.

    Args:
        model: A transformer.
        settings: Description of the other memory, ``{"kind": ..., **settings}``.
    """
    other = cast(
        HydraTransformer3DModel, HydraTransformer3DModel.from_config({**model.config, "memory_settings": settings})
    )
    own, shapes = model.state_dict(), {name: value.shape for name, value in other.state_dict().items()}
    kept = {name: value for name, value in own.items() if shapes.get(name) == value.shape}
    left = other.load_state_dict(kept, strict=False).missing_keys
    assert all(name.startswith("memory.") for name in left), f"backbone weights were lost: {left[:5]}"
    if model.dtype != other.dtype:
        other = other.to(model.dtype)
    return cast(HydraTransformer3DModel, other.to(model.device).train(model.training))
