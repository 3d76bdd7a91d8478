"""``worldmem``: WorldMem's memory (arXiv 2504.12369), which covers the coming views greedily.

Points around the current camera that any target frame will see are to be covered; frame after frame is chosen that
sees most of what is still uncovered, less a small penalty for age. Only the selector is WorldMem's: state embeddings
and a separate memory attention belong to its own backbone, and rivals here share one. When nothing is left to cover,
WorldMem divides by zero; here age alone decides then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.by_view import ViewMemory, ViewSettings
from baselines.overlap import ball_points, seen, split_camera


@dataclass(frozen=True, kw_only=True)
class WorldMemSettings(ViewSettings):
    """Settings of the greedy choice; published values unless said otherwise."""

    frames: int = 9
    """Eight memory frames and the last one."""
    points: int = 10_000
    """Points in the ball around the first target camera."""
    age_penalty: float = 0.2
    """Taken from a frame's coverage, times its age as a share of the whole past."""


class WorldMem(ViewMemory):
    """Context frames that together see most of what the target will see."""

    Settings = WorldMemSettings
    settings: WorldMemSettings

    def retrieve(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """Greedy coverage."""
        lens = self.settings.lens
        ball = ball_points(lens.radius, self.settings.points).to(context.device)
        _, position = split_camera(target[:, :1])
        points = ball + position
        # the published test is purely angular: no frame's view ends at the radius
        wanted = seen(points[:, None], target, lens, limited=False).any(1)
        visible = seen(points[:, None], context, lens, limited=False)
        total = context.shape[1] + self.settings.recent
        age = (total - torch.arange(context.shape[1], device=context.device)) / total
        return greedy_cover(wanted, visible, self.settings.age_penalty * age, count)


def greedy_cover(wanted: Tensor, visible: Tensor, penalty: Tensor, count: int) -> Tensor:
    """Frames chosen one by one: most of what is still wanted, less the penalty.

    Args:
        wanted: Points to be covered, bool ``[B, P]``.
        visible: Points that each frame sees, bool ``[B, M, P]``.
        penalty: ``[M]``.
        count: How many frames.

    Returns:
        Frame numbers in the order of choice, int64 ``[B, count]``.
    """
    left, chosen = wanted, []
    taken = torch.zeros(visible.shape[:2], dtype=torch.bool, device=visible.device)
    for _ in range(count):
        covered = (visible & left[:, None]).sum(2) / left.sum(1, keepdim=True).clamp_min(1)
        pick = (covered - penalty).masked_fill(taken, -torch.inf).argmax(1, keepdim=True)
        taken = taken.scatter(1, pick, True)
        left = left & ~visible.gather(1, pick[..., None].expand(-1, -1, visible.shape[2]))[:, 0]
        chosen.append(pick)
    return torch.cat(chosen, dim=1) if chosen else torch.zeros(len(wanted), 0, dtype=torch.int64, device=wanted.device)
