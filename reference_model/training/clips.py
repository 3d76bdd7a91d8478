"""What training needs of data: clips by id. Where they come from is the command line's business (`cli.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d

from reference_model.model.camera import camera_condition

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingClip:
    """A clip with its future."""

    context: Frames
    """``[Tc, H, W, 3]`` at the model's size."""
    target: Frames
    """``[Tt, H, W, 3]``."""
    context_poses: NDArray[np.float64]
    """Camera-to-world, OpenCV axes, metres, ``[Tc, 4, 4]``."""
    target_poses: NDArray[np.float64]
    """The same world, ``[Tt, 4, 4]``."""
    caption: str
    """May be empty."""
    subjects: NDArray[np.bool_] | None = None
    """Where a subject is seen in the target, ``[Tt, h, w]`` at any size; None where the data do not tell."""

    def halves(self) -> tuple[Tensor, Tensor]:
        """Context and target, float32 ``[1, 3, T, H, W]`` in [-1, 1]."""
        return as_tensor(self.context), as_tensor(self.target)

    def cameras(self, stride: int) -> tuple[Tensor, Tensor]:
        """Camera rows of context and target latents, ``[F, 12]`` each."""
        past, future = camera_condition(self.context_poses, self.target_poses, stride)
        return past[0], future[0]

    def subject_share(self, shape: tuple[int, int, int]) -> Tensor:
        """Share of each target latent's pixels that show a subject, ``[F, h, w]``; zeros where nothing is known."""
        if self.subjects is None:
            return torch.zeros(shape)
        seen = torch.from_numpy(self.subjects).float()
        # the first latent frame is one frame, as codecs have it, the others equal groups
        parts = ((seen[:1], 1), (seen[1:], shape[0] - 1))
        return torch.cat([adaptive_avg_pool3d(part[None], (n, *shape[1:]))[0] for part, n in parts if n])


class ClipSource(Protocol):
    """Clips by id."""

    @property
    def name(self) -> str:
        """What cards call the data."""
        ...

    def ids(self) -> tuple[str, ...]:
        """All ids, in a fixed order."""
        ...

    def load(self, clip_id: str) -> TrainingClip:
        """One clip at the model's size."""
        ...

    def revision(self) -> str:
        """Digest of the data behind `ids`."""
        ...


def as_tensor(frames: Frames) -> Tensor:
    """uint8 ``[T, H, W, 3]`` to float32 ``[1, 3, T, H, W]`` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).unsqueeze(0).float() / 127.5 - 1


def as_frames(video: Tensor) -> Frames:
    """Float ``[3, T, H, W]`` in [-1, 1] to uint8 ``[T, H, W, 3]``, rounded."""
    levels = ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 3, 0).cpu().numpy())


def hold_out(ids: Sequence[str], count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids to train on and ids to validate on: the last `count` in the order of their digests, whatever the seed.

    Raises:
        ValueError: If nothing would be left to train on.
    """
    from hashlib import sha256

    if len(ids) <= count:
        raise ValueError(f"{len(ids)} clips cannot spare {count} for validation: give more clips, or validate on fewer")
    shuffled = sorted(ids, key=lambda clip_id: sha256(clip_id.encode()).hexdigest())
    held = set(shuffled[len(shuffled) - count :])
    return tuple(i for i in ids if i not in held), tuple(i for i in ids if i in held)
