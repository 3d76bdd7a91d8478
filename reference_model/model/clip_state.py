"""What does not change from one evaluation of the transformer to the next while a clip is sampled.

Of a clip the noise level and the target's latents change with each step, and nothing else: the context's tokens, where
all tokens stand, what the memory plans from geometry, and what each block reads of the text stay. A sampler makes one
`ClipState` a clip and gives it to every evaluation; the transformer fills it at the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from reference_model.model.block import TextTokens
from reference_model.model.memory import PackedContext
from reference_model.model.sequence import TokenSequence


@dataclass(eq=False, kw_only=True)
class ClipState:
    """Filled by the transformer; good for one context, one pair of cameras, one target size and unchanged weights."""

    packed: PackedContext | None = None
    """The context as tokens."""
    sequence: TokenSequence | None = None
    """Where all tokens stand."""
    plan: Any = None
    """What the memory prepared for `sequence`."""
    texts: list[tuple[Tensor, list[TextTokens]]] = field(default_factory=list)
    """Text encoder's outputs, told apart by identity, and what each block reads of them."""

    def read(self, text: Tensor) -> list[TextTokens] | None:
        """What the blocks read of this very tensor, if it is known."""
        return next((tokens for known, tokens in self.texts if known is text), None)
