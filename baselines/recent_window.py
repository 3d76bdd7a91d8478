"""``recent-window`` remembers the last few frames, ``no-memory`` the very last: what video continuation does anyway.

HyDRA's and Context-as-Memory's papers describe their DFoT rows as a neighbouring window, trained like the others; that
is ``recent-window`` here, and ``dfot`` adds diffusion forcing proper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.selecting import SelectingMemory, SelectingSettings


@dataclass(frozen=True, kw_only=True)
class RecentSettings(SelectingSettings):
    """How far back the window goes."""

    frames: int = 5
    """Latent frames that are remembered (five are HyDRA's local window)."""


class RecentWindow(SelectingMemory):
    """The last frames of the context."""

    Settings = RecentSettings
    settings: RecentSettings

    def choose(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """The last `count`."""
        total = context.shape[1]
        return torch.arange(total - count, total, device=context.device).expand(len(context), -1)
