"""A block of `HydraTransformer3DModel`: Wan's, with cameras, a memory and a projector (arXiv 2603.25716, figure 3).

Letters: B batch, G frames of the token sequence, N tokens, D channels of a token, L text tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from reference_model.model.bands import BandMixer
from reference_model.model.camera import CAMERA_DIM
from reference_model.model.memory import AttentionCall, Memory, Recorder
from reference_model.model.sequence import TokenSequence


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

    def forward(
        self, tokens: Tensor, text: Tensor, modulation: Tensor, call: tuple[int, TokenSequence, Recorder | None],
        memory: Memory, plan: Any,
    ) -> Tensor:  # fmt: skip
        """One block.

        Args:
            tokens: ``[B, N, D]``.
            text: Text tokens, ``[B, L, D]``.
            modulation: Projected timestep, ``[B, G, 6, D]`` or ``[B, 1, 6, D]``.
            call: Number of the block, geometry of the tokens, listener.
            memory: The method.
            plan: What it prepared for this sequence.
        """
        number, sequence, record = call
        parts = (self.scale_shift_table[None] + modulation.float()).unbind(2)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = parts

        # 1. self-attention through the memory
        normed = self.norm1(tokens.float()) * (1 + sequence.spread(scale)) + sequence.spread(shift)
        normed = normed.type_as(tokens) + sequence.spread(self._cameras(sequence, tokens))
        attended = memory.attend(AttentionCall(number, self.attn1, normed, sequence, record), plan)
        attended = self.attn1.to_out[1](self.attn1.to_out[0](attended))
        if record:
            record(number, "self_attention", attended)
        tokens = (tokens.float() + self.projector(attended) * sequence.spread(gate)).type_as(tokens)

        # 2. cross-attention to the text
        tokens = tokens + self.attn2(self.norm2(tokens.float()).type_as(tokens), text, None, None)

        # 3. feed-forward
        normed = self.norm3(tokens.float()) * (1 + sequence.spread(ffn_scale)) + sequence.spread(ffn_shift)
        change = self.ffn(normed.type_as(tokens)).float() * sequence.spread(ffn_gate)
        tokens = (tokens.float() + change).type_as(tokens)
        if self.band_mixer is not None:
            tokens = self.band_mixer(tokens)
        if record:
            record(number, "block", tokens)
        return tokens

    def _cameras(self, sequence: TokenSequence, like: Tensor) -> Tensor:
        cameras, past = sequence.cameras.type_as(like), sequence.context_frames
        return torch.cat((self.camera_context(cameras[:, :past]), self.camera_target(cameras[:, past:])), dim=1)
