"""``hydra-fov``: HyDRA's compressed tokens, retrieved by overlapping view instead of resemblance (its paper's Table 6).

A memory slice has the mean camera of the frames that it was made of; each frame retrieves the slices whose view
overlaps its own most. Everything else is HyDRA's: tokenizer, window, attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.by_view import check_lens
from baselines.overlap import PUBLISHED, Lens, mean_camera, overlap
from reference_model.model.hydra_memory import HydraMemory, HydraPlan, HydraSettings
from reference_model.model.sequence import Grid, TokenSequence


@dataclass(frozen=True, kw_only=True)
class HydraFovSettings(HydraSettings):
    """HyDRA's settings and what cameras see."""

    fov: tuple[float, float] = PUBLISHED["hm-world"][:2]
    """Horizontal and vertical field of view in degrees."""
    radius: float = PUBLISHED["hm-world"].radius
    """How far a camera sees, metres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lens(self.fov, self.radius)


@dataclass(frozen=True, kw_only=True, eq=False)
class HydraFovPlan(HydraPlan):
    """HyDRA's plan and what geometry says."""

    overlap: Tensor
    """Share of each frame's view that each slice has seen, ``[B, F, M]``."""


class HydraFov(HydraMemory):
    """HyDRA with retrieval by geometry: the choice is the same in every block and step."""

    Settings = HydraFovSettings
    settings: HydraFovSettings

    def plan(self, sequence: TokenSequence) -> HydraFovPlan:
        """HyDRA's plan and, in place of affinity, the overlap of views."""
        plan = super().plan(sequence)
        first = torch.arange(plan.slices.frames, device=sequence.cameras.device) * self.settings.stride[0]
        sources = first[:, None] + torch.arange(self.settings.kernel[0], device=first.device)
        slices = mean_camera(sequence.cameras[:, sources])
        lens = Lens(*self.settings.fov, self.settings.radius)
        return HydraFovPlan(**vars(plan), overlap=overlap(sequence.cameras, slices, lens))

    def affinity(self, query: Tensor, key: Tensor, target: Grid, plan: HydraPlan) -> Tensor:
        """The overlap; query and key have no say."""
        assert isinstance(plan, HydraFovPlan)
        return plan.overlap
