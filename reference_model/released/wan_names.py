"""Names of Wan 2.1's original codec and text encoder, as data, to those of diffusers and transformers.

The transformer's table is in `reference_model.released.checkpoint`. Original names: github.com/Wan-Video/Wan2.1,
``wan/modules/vae.py`` and ``wan/modules/t5.py``; a feed-forward's ``gate`` is the branch with the activation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

Value = TypeVar("Value")

VAE_NAMES: tuple[tuple[str, str], ...] = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(encoder|decoder)\.conv1\.", r"\1.conv_in."),
    (r"^(encoder|decoder)\.head\.0\.", r"\1.norm_out."),
    (r"^(encoder|decoder)\.head\.2\.", r"\1.conv_out."),
    (r"^(encoder|decoder)\.middle\.0\.", r"\1.mid_block.resnets.0."),
    (r"^(encoder|decoder)\.middle\.1\.", r"\1.mid_block.attentions.0."),
    (r"^(encoder|decoder)\.middle\.2\.", r"\1.mid_block.resnets.1."),
    (r"^encoder\.downsamples\.", "encoder.down_blocks."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)
"""All that fit apply, in order; the decoder's numbering is `_decoder_block`."""

UMT5_NAMES: tuple[tuple[str, str], ...] = (
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (r"^blocks\.(\d+)\.pos_embedding\.embedding\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)
"""The first that fits applies."""

_UPSAMPLE = re.compile(r"^decoder\.upsamples\.(\d+)\.")
_RESNETS = 3
"""Residual blocks of each of the decoder's stages; an upsampler follows all stages but the last."""


def vae_from_original(weights: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of the codec in diffusers' names, from one in original (or diffusers') names."""
    return _renamed(weights, _vae_name)


def umt5_from_original(weights: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of the text encoder in transformers' names, from one in original (or transformers') names."""
    renamed = _renamed(weights, _umt5_name)
    tied = "encoder.embed_tokens.weight"
    if "shared.weight" in renamed:
        renamed.pop(tied, None)  # the same tensor under a second name
    return renamed


def _vae_name(name: str) -> str:
    name = _UPSAMPLE.sub(_decoder_block, name)
    for pattern, replacement in VAE_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _decoder_block(match: re.Match[str]) -> str:
    stage, place = divmod(int(match[1]), _RESNETS + 1)
    inner = f"resnets.{place}" if place < _RESNETS else "upsamplers.0"
    return f"decoder.up_blocks.{stage}.{inner}."


def _umt5_name(name: str) -> str:
    for pattern, replacement in UMT5_NAMES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _renamed(weights: Mapping[str, Value], rule: Callable[[str], str]) -> dict[str, Value]:
    found = {rule(name): value for name, value in weights.items()}
    if len(found) != len(weights):
        raise ValueError(f"{len(weights)} keys become {len(found)} names: two keys name the same parameter")
    return found
