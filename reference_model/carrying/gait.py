"""Which remembered frame shows a subject in the step that it takes now.

Who walks looks alike after each stride, and strides go with height: people, robots and most animals of the mini world
make one of about 0.8 body heights, as people do elsewhere. How long it is in a clip is where pictures of the subject,
cut out at one size, are most alike a whole number of strides apart (Cutler and Davis 2000), near that usual length. A
new frame takes a picture that is a whole number of strides away, of about its size, from the same side.

Letters: T new frames, n usable remembered frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.carrying.geometry import sample

SIDE = 24
"""Pixels of a cut-out's side."""
USUAL = 0.82
"""Body heights of a stride where nothing tells."""
LENGTHS = torch.linspace(0.56, 1.28, 49)
"""Lengths that are tried, in body heights."""
SPREAD = 0.2
"""By how much a length usually differs, as a logarithm."""
ALIKE, UNLIKE = 0.05, 0.2
"""Strides up to which two pictures are taken to show the same step, and from which on another."""
DOUBT = 0.04
"""What a length must gain for being `SPREAD` off the usual one. With these numbers the step at the return is 0.12
strides off in the mean over 64 walks of held-out training clips; with 30 pairs and a doubt of 0.3 it was 0.16."""
LEAST_PAIRS = 16
"""Pairs of pictures that must tell of a length."""


def cut_outs(frames: Tensor, mask: Tensor, stand: Tensor) -> Tensor:
    """A subject at one size, ``[n, 4 SIDE SIDE]``: frames ``[n, 3, H, W]``, mask ``[n, H, W]``, stand ``[n, 3]``."""
    line = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * 0.65
    square = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    at = stand[:, None, None, :2] + square * stand[:, 2, None, None, None]
    inside = mask[:, None]
    return sample(torch.cat((frames * inside, inside), dim=1), at).flatten(1)


def stride(pictures: Tensor, walked: Tensor) -> float:
    """Body heights of a stride.

    Args:
        pictures: Cut-outs, ``[n, c]``.
        walked: How far it had come, body heights, ``[n]``.
    """
    differ = torch.cdist(pictures, pictures, p=1) / pictures.shape[1]
    apart = (walked[:, None] - walked[None]).abs()
    best, least = USUAL, 0.0
    for length in LENGTHS.tolist():
        strides = apart / length
        same = ((strides - strides.round()).abs() < ALIKE) & (strides > 0.5)
        other = ((strides - strides.round()).abs() > UNLIKE) & (strides > 0.3)
        if min(int(same.sum()), int(other.sum())) < 2 * LEAST_PAIRS:
            continue
        unusual = torch.tensor(length / USUAL).log().div(SPREAD).square()
        worth = float(differ[same].mean() / differ[other].mean() - 1 + DOUBT * unusual)
        if worth < least:
            best, least = length, worth
    return best


def choose(
    walked: tuple[Tensor, Tensor],
    length: float,
    sizes: tuple[Tensor, Tensor],
    sides: tuple[Tensor, Tensor],
    allowed: Tensor,
) -> Tensor:
    """Which usable frame each new one takes, int64 ``[T]`` into the n.

    Args:
        walked: How far it had come in usable frames ``[n]``, and in new ones ``[T]``, body heights.
        length: Of a stride, body heights.
        sizes: Heights of the body, pixels, ``[n]`` and ``[T]``.
        sides: Angle between the way it goes and the camera's ray, radians, ``[n]`` and ``[T]``.
        allowed: Frames that memory shows to each new one, bool ``[T, n]``.
    """
    strides = (walked[1][:, None] - walked[0][None]) / length
    phase = (strides - strides.round()).abs()
    larger = (sizes[0][None] / sizes[1].clamp_min(1.0)[:, None]).log().abs()
    turned = (sides[0][None] - sides[1][:, None]).cos()
    return (4 * phase + 0.4 * larger + 0.8 * (1 - turned)).where(allowed, torch.inf).argmin(1)
