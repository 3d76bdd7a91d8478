"""Every random number of a run is a function of (seed, what for, step, place in the batch).

No generator is carried from step to step, so a resumed run draws what an uninterrupted one would have drawn, and any
number of processes draws what one process draws.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch
from torch import Tensor


def generator(seed: int, purpose: str, *place: int) -> torch.Generator:
    """A CPU generator of its own for each purpose and place."""
    digest = hashlib.blake2b(f"{seed} {purpose} {place}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def uniform(seed: int, purpose: str, *place: int) -> float:
    """A number in [0, 1)."""
    return float(torch.rand((), generator=generator(seed, purpose, *place), dtype=torch.float64))


def normal(shape: tuple[int, ...], seed: int, purpose: str, *place: int) -> Tensor:
    """Standard normal numbers, float32."""
    return torch.randn(shape, generator=generator(seed, purpose, *place))


def clip_order(seed: int, step: int, batch: int, count: int) -> list[int]:
    """Which of `count` clips stand in the batch of a step: every clip once an epoch, epochs shuffled one by one."""
    places = range(step * batch, (step + 1) * batch)
    return [int(_shuffle(seed, place // count, count)[place % count]) for place in places]


@lru_cache(maxsize=4)
def _shuffle(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "order", epoch))
