"""Captions to text tokens: UMT5 at the paper's scale, hashed words (nothing learned, nothing to download) below it.

Letters: B batch, L tokens, D channels.
"""

from __future__ import annotations

import hashlib
import html
import re
from typing import Any, cast

import ftfy
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

UMT5_LENGTH = 512
"""Tokens that Wan's text encoder pads or cuts a caption to."""

_WORD = re.compile(r"\w+")
_BITS_A_DIGEST = 512


class HashedTextEncoder(ModelMixin, ConfigMixin):
    """Every word becomes a fixed pattern of +1 and -1, the bits of its BLAKE2 digest; word order is not kept.

    Equal on every machine and for every version of every library. Different words are nearly orthogonal, which is all
    that a small model trained from nothing needs of its text encoder.

    Args:
        dim: Channels of a token (D).
        max_words: Tokens of every caption (L); shorter ones are filled with zeros, longer ones cut.
    """

    @register_to_config
    def __init__(self, *, dim: int = 128, max_words: int = 32) -> None:
        super().__init__()
        if dim < 1 or max_words < 1:
            raise ValueError(f"{dim=} and {max_words=} must be at least 1")
        # not learned: what fills short captions; it also gives the module a device and a type
        self.register_buffer("filler", torch.zeros(dim))
        self.filler: Tensor
        self.max_words = max_words

    def forward(self, captions: list[str]) -> Tensor:
        """Text tokens, ``[B, max_words, dim]``; zeros for an empty caption."""
        return torch.stack([self._encode(caption) for caption in captions])

    def _encode(self, caption: str) -> Tensor:
        words = _WORD.findall(caption.lower())[: self.max_words]
        rows = self.filler.repeat(self.max_words, 1)
        for row, word in enumerate(words):
            rows[row] = word_signs(word, len(self.filler)).to(rows)
        return rows


def word_signs(word: str, dim: int) -> Tensor:
    """The pattern of a word: float32 ``[dim]`` of +1 and -1."""
    blocks = range(-(-dim // _BITS_A_DIGEST))
    data = b"".join(hashlib.blake2b(word.encode(), salt=n.to_bytes(8, "big")).digest() for n in blocks)
    bits = torch.tensor([byte >> shift & 1 for byte in data for shift in range(8)][:dim])
    return bits.float() * 2 - 1


CLEANING = 2
"""Raised whenever a caption may reach UMT5 as another text: cached tokens of another one are not used."""


def wan_cleaned(caption: str) -> str:
    r"""A caption as Wan 2.1 was trained with it: text mended by ftfy, HTML unescaped twice, white space folded.

    Wan's own negative prompt changes by it in each of its full-width commas, and typographic quotes become plain ones.

    >>> wan_cleaned("It&amp;#39;s  a \u201cdog\u201d")
    'It\'s a "dog"'
    """
    mended = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return re.sub(r"\s+", " ", mended.strip()).strip()


def share_embeddings(encoder: UMT5EncoderModel) -> None:
    """Makes UMT5 look words up in the one table that its files hold.

    Wan's configuration says that embeddings are not tied, and its files hold ``shared.weight`` alone. Versions of
    transformers that take the configuration at its word leave the encoder's own table at random values, without an
    error: every caption would be garbage.
    """
    table = encoder.shared
    if encoder.encoder.embed_tokens.weight is not table.weight:
        encoder.encoder.embed_tokens = table


@torch.no_grad()
def encode_umt5(encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerBase, captions: list[str]) -> Tensor:
    """Text tokens of UMT5, ``[B, 512, D]``, zero after each caption's end, as Wan was trained with."""
    share_embeddings(encoder)
    batch: Any = tokenizer(
        [wan_cleaned(caption) for caption in captions],
        padding="max_length",
        max_length=UMT5_LENGTH,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    mask = batch.attention_mask.to(encoder.device)
    hidden = encoder(batch.input_ids.to(encoder.device), mask).last_hidden_state
    return cast(Tensor, hidden * mask.unsqueeze(-1).to(hidden))


def encode_captions(
    encoder: HashedTextEncoder | UMT5EncoderModel, tokenizer: PreTrainedTokenizerBase | None, captions: list[str]
) -> Tensor:
    """Text tokens ``[B, L, D]`` by whichever encoder a pipeline holds."""
    if isinstance(encoder, HashedTextEncoder):
        return cast(Tensor, encoder(captions))
    if tokenizer is None:
        raise ValueError("UMT5 needs its tokenizer: give the pipeline one")
    return encode_umt5(encoder, tokenizer, captions)
