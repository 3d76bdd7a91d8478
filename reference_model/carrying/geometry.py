"""Rays of pixels, and frames moved to another camera as if everything were far away.

Cameras are camera-to-world with OpenCV axes (x right, y down, z forward). Pixels are counted from the picture's corner.

Letters: n frames, H and W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

APART = 8
"""Frames between a frame and the one that its change is taken from: half a second, in which a step is made."""


def pixel_rays(height: int, width: int, focal: float) -> Tensor:
    """Rays of depth 1 through the pixels' middles, ``[H, W, 3]``."""
    x = (torch.arange(width) + 0.5 - width / 2) / focal
    y = (torch.arange(height) + 0.5 - height / 2) / focal
    across, down = torch.meshgrid(x, y, indexing="xy")
    return torch.stack((across, down, torch.ones_like(across)), dim=-1)


def sample(pictures: Tensor, pixels: Tensor, padding: str = "zeros") -> Tensor:
    """Pictures ``[n, C, H, W]`` at pixels ``[n, h, w, 2]`` (x, y), bilinear: ``[n, C, h, w]``."""
    height, width = pictures.shape[2:]
    scale = torch.tensor((2 / width, 2 / height), device=pixels.device)
    return functional.grid_sample(pictures, pixels * scale - 1, padding_mode=padding, align_corners=False)


def seen_at(turns: Tensor, size: tuple[int, int], focal: float) -> tuple[Tensor, Tensor]:
    """Where a camera sees what another sees far away.

    Args:
        turns: Rotation from the asking camera's axes to the seen camera's, ``[n, 3, 3]``.
        size: Height and width.
        focal: In pixels.

    Returns:
        Pixels of the seen camera for each pixel of the asking one ``[n, H, W, 2]``, and True where it sees them
        ``[n, H, W]``.
    """
    height, width = size
    way = torch.einsum("nij,hwj->nhwi", turns.float(), pixel_rays(height, width, focal))
    ahead = way[..., 2:] > 1e-2
    middle = torch.tensor((width / 2, height / 2))
    pixels = way[..., :2] / way[..., 2:].clamp_min(1e-2) * focal + middle
    inside = (pixels >= 0.5).all(-1) & (pixels <= torch.tensor((width - 0.5, height - 0.5))).all(-1)
    return pixels, inside & ahead[..., 0]


def aligned_change(frames: Tensor, poses: Tensor, focal: float, wanted: Tensor, partner: Tensor) -> Tensor:
    """What changed against another frame, with the camera's turn taken out.

    Args:
        frames: ``[T, 3, H, W]``.
        poses: Of the frames, ``[T, 4, 4]``.
        focal: In pixels.
        wanted: Frames asked about, int64 ``[n]``.
        partner: The frame that each is compared with, int64 ``[n]``.

    Returns:
        Difference of colours, and 1 where there is one, ``[n, 4, H, W]``.
    """
    turns = poses[partner][:, :3, :3].transpose(1, 2) @ poses[wanted][:, :3, :3]
    pixels, inside = seen_at(turns, (int(frames.shape[2]), int(frames.shape[3])), focal)
    known = inside[:, None].float()
    return torch.cat(((frames[wanted] - sample(frames[partner], pixels, "border")) * known, known), dim=1)


def partners(count: int) -> Tensor:
    """The frame that each is compared with: `APART` later, or earlier at the end, int64 ``[count]``."""
    number = torch.arange(count)
    apart = min(APART, max(count - 1, 0))
    return torch.where(number + apart < count, number + apart, (number - apart).clamp_min(0))
