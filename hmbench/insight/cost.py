"""What a method costs: tokens, parameters, operations, time and memory of one denoising step.

Packages offer cards of their models by an entry point in the group ``hmbench.costs`` that names a function with the
signature of `CardSource`; `hmbench models --cost` prints them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hmbench.errors import UserError
from hmbench.registry import COSTS
from hmbench.report.text_table import TextTable


@dataclass(frozen=True, kw_only=True)
class CostCard:
    """One method at one size. Counts are exact; time and memory are measured, or there is a reason why not."""

    method: str
    """Model name."""
    preset: str
    """Size, for example ``mini`` or ``paper``."""
    clip: str
    """Pixels and frames, for example ``832x480, 77 + 77 frames``."""
    memory_tokens: int
    """Key/value tokens of the past (for HyDRA: retrieved memory) that a target frame sees."""
    tokens_seen: int
    """All key/value tokens that a target frame sees, the target's own included."""
    noise_reaches_context: bool
    """True if features of the context depend on the noisy target, so that they cannot be kept between steps."""
    parameters: int
    """Of the transformer."""
    parameters_added: int
    """Of these, what the method adds to the backbone."""
    attention_flops: float
    """Of self-attention in one evaluation: queries x keys x channels x 4 x layers (a multiply-add is 2)."""
    evaluations: int
    """Evaluations of the transformer in one denoising step (guidance needs more than one)."""
    seconds: float | None
    """Of one denoising step, measured; None if it was not."""
    peak_bytes: int | None
    """Memory that one denoising step adds to weights and inputs, measured; None if it was not."""
    measured_on: str
    """Device, threads and number format of the measurement, or why there is none."""


Column = tuple[str, Callable[[CostCard], str]]
COUNTED: tuple[Column, ...] = (
    ("method", lambda card: card.method),
    ("memory", lambda card: f"{card.memory_tokens:,}"),
    ("seen", lambda card: f"{card.tokens_seen:,}"),
    ("noise", lambda card: "yes" if card.noise_reaches_context else "no"),
    ("params", lambda card: f"{card.parameters / 1e6:,.2f} M"),
    ("added", lambda card: f"{card.parameters_added / 1e6:,.3f} M"),
    ("GFLOP", lambda card: f"{card.attention_flops / 1e9:,.1f}"),
    ("evals", lambda card: str(card.evaluations)),
)
"""Headings short enough for a screen of 80 columns; the notes say what they are."""
MEASURED: tuple[Column, ...] = (
    ("seconds", lambda card: "–" if card.seconds is None else f"{card.seconds:.2f}"),
    ("MiB", lambda card: "–" if card.peak_bytes is None else f"{card.peak_bytes / 2**20:,.0f}"),
)


class CardSource(Protocol):
    """What the entry point names."""

    def __call__(self, *, preset: str, device: str, measure: bool) -> Sequence[CostCard]:
        """Cards at this size; time and memory only if `measure`."""
        ...


def cost_cards(*, preset: str, device: str, measure: bool) -> list[CostCard]:
    """Cards of every installed package.

    Raises:
        UserError: If no package offers any.
    """
    sources = [COSTS.find(name) for name in COSTS.points()]
    if not sources:
        raise UserError("No installed package offers cost cards.", "Install hmbench again: `pip install -e .`")
    return [card for source in sources for card in source(preset=preset, device=device, measure=measure)]


def cost_table(cards: Sequence[CostCard]) -> TextTable:
    """Cards as a table, a row a method; columns that nothing was measured for are left out."""
    columns = [*COUNTED, *(MEASURED if any(card.seconds is not None for card in cards) else ())]
    return TextTable(
        title=f"Cost of one denoising step, {cards[0].preset}: {cards[0].clip}",
        header=[name for name, _ in columns],
        rows=[[cell(card) for _, cell in columns] for card in cards],
        notes=[
            "Memory, seen: keys and values that a target frame sees of the past, and in all. Noise: whether it reaches "
            "the context. GFLOP: self-attention of one evaluation, all layers. Evals: evaluations a step. MiB: what a "
            "step adds to weights and inputs.",
            *dict.fromkeys(f"Time and memory: {card.measured_on}." for card in cards),
        ],
    )
