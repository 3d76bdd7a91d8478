"""Which remembered frame shows a subject in the step that it takes now.

Who walks looks alike after each stride. The stride's length in time is where remembered pictures of the subject, cut
out at one size, differ least from those so much later (Cutler and Davis 2000). A new frame takes the picture that is a
whole number of strides earlier, of about its size, from the same side.

Letters: S remembered frames, T new frames, n usable ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.carrying.geometry import sample

SIDE = 24
"""Pixels of a cut-out's side."""
LEAST, LEAST_PAIRS = 7, 6
"""Frames of the shortest stride, and pairs of frames that must show it."""
USUAL = 24
"""Frames of a stride where nothing tells."""
HALVES = 0.75
"""A stride whose half fits almost as well is told from it by this share of its depth."""


def cut_outs(frames: Tensor, mask: Tensor, stand: Tensor) -> Tensor:
    """A subject at one size, ``[n, 4 SIDE SIDE]``: frames ``[n, 3, H, W]``, mask ``[n, H, W]``, stand ``[n, 3]``."""
    line = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * 0.65
    square = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    at = stand[:, None, None, :2] + square * stand[:, 2, None, None, None]
    inside = mask[:, None]
    return sample(torch.cat((frames * inside, inside), dim=1), at).flatten(1)


def stride(pictures: Tensor, times: Tensor) -> float:
    """Frames of a stride of cut-outs ``[n, c]`` at these times, int64 ``[n]``; `USUAL` where nothing tells."""
    if len(times) < 2 * LEAST:
        return float(USUAL)
    differ = torch.cdist(pictures, pictures, p=1) / pictures.shape[1]
    lag = (times[:, None] - times[None]).abs()
    curve = torch.full((int(lag.max()) + 1,), torch.nan)
    for length in range(1, len(curve)):
        pairs = lag == length
        if int(pairs.sum()) >= 2 * LEAST_PAIRS:
            curve[length] = differ[pairs].mean()
    best, depth = float(USUAL), 0.0
    highest = 0.0
    for length in range(2, len(curve) - 1):
        here = float(curve[length])
        if here != here:
            continue
        highest = max(highest, here)
        lower = here <= float(curve[length - 1]) and (here <= float(curve[length + 1]) or curve[length + 1].isnan())
        if length >= LEAST and lower and not curve[length + 1].isnan() and (highest - here) * HALVES > depth:
            best, depth = _finely(curve, length), highest - here
    return best


def choose(
    times: Tensor, wanted: Tensor, length: float, sizes: tuple[Tensor, Tensor], sides: tuple[Tensor, Tensor]
) -> Tensor:
    """Which usable frame each new one takes, int64 ``[T]`` into the n.

    Args:
        times: Of usable frames, ``[n]``.
        wanted: Of new frames, ``[T]``.
        length: Frames of a stride.
        sizes: Heights of the body, pixels, ``[n]`` and ``[T]``.
        sides: Angle between the way it goes and the camera's ray, radians, ``[n]`` and ``[T]``.
    """
    apart = wanted[:, None] - times[None]
    phase = ((apart + length / 2) % length - length / 2).abs() / length
    larger = (sizes[0][None] / sizes[1].clamp_min(1.0)[:, None]).log().abs()
    turned = (sides[0][None] - sides[1][:, None]).cos()
    return (4 * phase + 0.4 * larger + 0.8 * (1 - turned)).argmin(1)


def _finely(curve: Tensor, at: int) -> float:
    """The lowest point of a parabola through three points."""
    before, here, after = (float(curve[at + d]) for d in (-1, 0, 1))
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend > 1e-9 else 0.0)
