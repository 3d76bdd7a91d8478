"""Methods that remember the frames whose view is wanted again, and the last frame: the base of retrieval by overlap."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.overlap import PUBLISHED, Lens
from baselines.selecting import SelectingMemory, SelectingSettings


@dataclass(frozen=True, kw_only=True)
class ViewSettings(SelectingSettings):
    """What cameras see, and how many frames are kept without asking."""

    recent: int = 1
    """Of the remembered frames, how many are simply the last ones, so that the target starts where the context ends."""
    fov: tuple[float, float] = PUBLISHED["hm-world"][:2]
    """Horizontal and vertical field of view in degrees (`baselines.overlap.PUBLISHED` lists others' values); vertical 0
    compares sectors seen from above."""
    radius: float = PUBLISHED["hm-world"].radius
    """How far a camera sees, metres. The best frames change strongly with it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.recent <= self.frames:
            raise ValueError(f"recent must lie between 0 and frames, got {self.recent=} {self.frames=}")
        check_lens(self.fov, self.radius)

    @property
    def lens(self) -> Lens:
        """Field of view and radius as one."""
        return Lens(self.fov[0], self.fov[1], self.radius)


class ViewMemory(SelectingMemory):
    """Remembers the last frames, and retrieves the others."""

    Settings = ViewSettings
    settings: ViewSettings

    def choose(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """Retrieved frames and the last ones."""
        total = context.shape[1]
        older = total - self.settings.recent
        retrieved = self.retrieve(context[:, :older], target, count - self.settings.recent)
        last = torch.arange(older, total, device=context.device).expand(len(context), -1)
        return torch.cat((retrieved, last), dim=1)

    @abstractmethod
    def retrieve(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """The selector proper; see `SelectingMemory.choose`."""


def check_lens(fov: tuple[float, float], radius: float) -> None:
    """Raises ValueError if this cannot be what a camera sees."""
    if len(fov) != 2 or not (0 < fov[0] < 180 and 0 <= fov[1] < 180 and radius > 0):
        raise ValueError(f"need two angles between 0 and 180 degrees and a positive radius, got {fov=} {radius=}")
