"""A block of `HydraTransformer3DModel`: Wan's, with cameras, a memory and a projector (arXiv 2603.25716, figure 3).

Letters: B batch, G frames of the token sequence, N tokens, D channels of a token, L text tokens.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn
from torch.nn import functional

from reference_model.model.bands import BandMixer
from reference_model.model.camera import CAMERA_DIM
from reference_model.model.memory import AttentionCall, Memory, Recorder, project_memory, project_queries
from reference_model.model.sequence import TokenSequence


class TextTokens(NamedTuple):
    """What a block's cross-attention reads of a text, ``[B, H, L, d]`` each."""

    keys: Tensor
    values: Tensor


class BlockCall(NamedTuple):
    """What a block is told besides tokens.

    torch compiles one graph for all blocks because what differs from block to block is a layer (`part`) or a tensor,
    and never a number.
    """

    number: int | None
    """Of the block; None in a compiled block."""
    sequence: TokenSequence
    """Geometry of the tokens."""
    part: nn.Module | None = None
    """The memory's own layers for this block."""
    record: Recorder | None = None
    """Listener, if any; never while compiled."""
    asks: int = 0
    """First token whose result is used."""


class HydraBlock(WanTransformerBlock):
    """Wan's block with cameras, a memory and a projector."""

    def __init__(self, dim: int, ffn_dim: int, heads: int, cross_attn_norm: bool, eps: float, bands: int) -> None:
        super().__init__(dim, ffn_dim, heads, cross_attn_norm=cross_attn_norm, eps=eps)
        self.band_mixer = BandMixer(dim, bands) if bands > 1 else None
        self.camera_context = nn.Linear(CAMERA_DIM, dim)
        self.camera_target = nn.Linear(CAMERA_DIM, dim)
        self.projector = nn.Linear(dim, dim)
        self.reset_additions()

    @torch.no_grad()
    def reset_additions(self) -> None:
        """Sets cameras to zero and the projector to the identity, so that the block starts as Wan's."""
        for layer in (self.camera_context, self.camera_target):
            layer.weight.zero_()
            layer.bias.zero_()
        nn.init.eye_(self.projector.weight)
        self.projector.bias.zero_()

    def read(self, text: Tensor) -> TextTokens:
        """Keys and values of text tokens ``[B, L, D]`` for this block's cross-attention: equal in every step."""
        key, value = project_memory(self.attn2, text)
        return TextTokens(*(part.unflatten(2, (self.attn2.heads, -1)).transpose(1, 2) for part in (key, value)))

    def forward(
        self, tokens: Tensor, text: TextTokens, modulation: Tensor, call: BlockCall, memory: Memory, plan: Any
    ) -> Tensor:
        """One block.

        Args:
            tokens: ``[B, N, D]``.
            text: What `read` made of the text; of ``[B / bands]`` clips.
            modulation: Projected timestep, ``[B, G, 6, D]``, ``[B, 1, 6, D]`` or ``[1, 1, 6, D]``.
            call: Number of the block, geometry of the tokens, listener.
            memory: The method.
            plan: What it prepared for this sequence.

        Returns:
            ``[B, N, D]``, or the tokens from ``call.asks`` on alone.
        """
        sequence, record, asks = call.sequence, call.record, call.asks
        parts = (self.scale_shift_table[None] + modulation.float()).unbind(2)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (sequence.spread(part) for part in parts)

        # 1. self-attention through the memory
        normed = sequence.add(_modulated(self.norm1, tokens, scale, shift), self._cameras(sequence, tokens))
        attended = memory.attend(
            AttentionCall(call.number, self.attn1, normed, sequence, record, call.part, asks), plan
        )
        if asks:  # what is left answers no later block; a method may have answered all tokens
            tokens = tokens[:, asks:]
            attended = attended[:, -tokens.shape[1] :]
            gate, ffn_shift, ffn_scale, ffn_gate = (
                part[:, asks:] if part.shape[1] > 1 else part for part in (gate, ffn_shift, ffn_scale, ffn_gate)
            )
        attended = self.attn1.to_out[1](self.attn1.to_out[0](attended))
        if record and call.number is not None:
            record(call.number, "self_attention", attended)
        tokens = _gated(tokens, self.projector(attended), gate)

        # 2. cross-attention to the text
        tokens = tokens + self._cross(self.norm2(tokens.float()).type_as(tokens), text)

        # 3. feed-forward
        change = self.ffn(_modulated(self.norm3, tokens, ffn_scale, ffn_shift))
        tokens = _gated(tokens, change, ffn_gate)
        if self.band_mixer is not None:
            tokens = self.band_mixer(tokens)
        if record and call.number is not None:
            record(call.number, "block", tokens)
        return tokens

    def _cross(self, tokens: Tensor, text: TextTokens) -> Tensor:
        """Attention to the text, which bands of a clip share: they are more queries of one clip."""
        attention, clips = self.attn2, len(text.keys)
        query = project_queries(attention, tokens).reshape(clips, -1, tokens.shape[2])
        heads = query.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        found = functional.scaled_dot_product_attention(heads, text.keys, text.values)
        return cast(Tensor, attention.to_out[1](attention.to_out[0](found.transpose(1, 2).reshape(tokens.shape))))

    def _cameras(self, sequence: TokenSequence, like: Tensor) -> Tensor:
        cameras, past = sequence.cameras.type_as(like), sequence.context_frames
        return torch.cat((self.camera_context(cameras[:, :past]), self.camera_target(cameras[:, past:])), dim=1)


def _modulated(norm: nn.LayerNorm, tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``norm(tokens) (1 + scale) + shift`` in float32, given in the tokens' own format.

    Where all tokens share a noise level, scale and shift are the norm's own weights: one pass over memory.
    """
    exact = tokens.float()
    if scale.shape[:2] == (1, 1):
        found = functional.layer_norm(exact, norm.normalized_shape, 1 + scale[0, 0], shift[0, 0], norm.eps)
    else:
        found = torch.addcmul(shift, norm(exact), 1 + scale)
    return found.type_as(tokens)


def _gated(tokens: Tensor, change: Tensor, gate: Tensor) -> Tensor:
    """``tokens + change gate`` in float32, given in the tokens' own format."""
    return torch.addcmul(tokens.float(), change.float(), gate).type_as(tokens)
