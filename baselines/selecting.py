"""Methods that remember some context frames in full and forget the others: the base of half of the rivals.

Which frames is a question of geometry and time alone, so it is answered once a forward pass, for the whole target (as
Context-as-Memory and WorldMem do it), and full attention sees what is left. Frames keep their own time positions.

Letters: B batch, M context frames, n chosen ones.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from reference_model.model.memory import FullMemory, FullSettings, MemoryFacts
from reference_model.model.sequence import Grid


@dataclass(frozen=True, kw_only=True)
class SelectingSettings(FullSettings):
    """Settings of every method that selects frames."""

    frames: int = 10
    """Latent frames that are remembered; all of a shorter context."""

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"at least one frame must be remembered, got {self.frames=}")


class SelectingMemory(FullMemory):
    """Full attention over the target and the chosen context frames."""

    Settings = SelectingSettings
    settings: SelectingSettings

    def select(self, context: Tensor, target: Tensor) -> Tensor | None:
        """The method's choice, in order of time."""
        if self.settings.frames >= context.shape[1]:
            return None
        return self.choose(context, target, self.settings.frames).sort(dim=1).values

    @abstractmethod
    def choose(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """The selector.

        Args:
            context: Cameras to choose from, ``[B, M, 12]`` with M >= count.
            target: Cameras of the target, ``[B, Ft, 12]``.
            count: How many to choose.

        Returns:
            Different frame numbers in any order, int64 ``[B, count]``.
        """

    def facts(self, context: Grid, target: Grid) -> MemoryFacts:
        """Chosen frames and the target are seen."""
        kept = min(context.frames, self.settings.frames)
        return MemoryFacts(kept * context.tokens_per_frame + target.tokens, True, self.num_parameters())
