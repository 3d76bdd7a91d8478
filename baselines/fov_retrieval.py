"""``fov-retrieval``: Context-as-Memory (arXiv 2506.03141), which remembers the frames whose view overlaps the target's.

Described there: overlap of fields of view, one frame of each run of neighbours, filled up to a limit, and the most
recent frame. Chosen here, because the paper leaves it open or random: frames are scored by mean overlap with the target
frames; of each run the best one stays instead of a random one; what remains is filled by score, then by recency; the
context's cached latents (four pixel frames each) are ranked instead of single frames encoded anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from baselines.by_view import ViewMemory, ViewSettings
from baselines.overlap import overlap, rays_meet


@dataclass(frozen=True, kw_only=True)
class FovSettings(ViewSettings):
    """Settings of Context-as-Memory."""

    rule: Literal["overlap", "rays"] = "overlap"
    """``overlap`` of frusta; ``rays``: the paper's literal rule, which holds for converging views only."""
    threshold: float = 0.1
    """Overlap from which on a frame counts as retrieved when runs of neighbours are thinned."""
    thin_runs: bool = True
    """Keep one frame of each run of retrieved neighbours before others are filled in."""
    near: float = 0.2
    """Rays that meet nearer than this do not count, metres."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule not in ("overlap", "rays"):
            raise ValueError(f"rule must be 'overlap' or 'rays', got {self.rule!r}")


class FovRetrieval(ViewMemory):
    """Context frames that see what the target will see."""

    Settings = FovSettings
    settings: FovSettings

    def retrieve(self, context: Tensor, target: Tensor, count: int) -> Tensor:
        """The best frame of each run, then the best of the rest."""
        scores = self.scores(context, target)
        if self.settings.thin_runs:
            scores = scores + 2.0 * best_of_runs(scores, self.settings.threshold)
        return most(scores, count)

    def scores(self, context: Tensor, target: Tensor) -> Tensor:
        """Mean over target frames of their overlap with each context frame, in [0, 1], ``[B, M]``."""
        if self.settings.rule == "rays":
            return rays_meet(target, context, self.settings.lens, near=self.settings.near).float().mean(1)
        return overlap(target, context, self.settings.lens).mean(1)


def best_of_runs(scores: Tensor, threshold: float) -> Tensor:
    """1 for the best frame of each run of neighbours that reach the threshold (the last one of equals), else 0.

    Args:
        scores: ``[B, M]``.
        threshold: Smallest score of a member.
    """
    marks = torch.zeros_like(scores)
    for mark, row in zip(marks, scores.tolist(), strict=True):
        best: int | None = None
        for frame, score in enumerate([*row, -1.0]):  # a last frame below any threshold ends the last run
            if score >= threshold and (best is None or score >= row[best]):
                best = frame
            elif score < threshold and best is not None:
                mark[best] = 1.0
                best = None
    return marks


def most(scores: Tensor, count: int) -> Tensor:
    """The frames with the highest scores, later ones first among equals: ``[B, M] -> [B, count]``."""
    newest_first = scores.flip(1)
    order = newest_first.argsort(dim=1, descending=True, stable=True)[:, :count]
    return scores.shape[1] - 1 - order
