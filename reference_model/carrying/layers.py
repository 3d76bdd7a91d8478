"""Layers that are carried into new frames: what stands still, along rays; who moves, along the path that it takes.

Pictures are float, their values as they come. Cameras are camera-to-world ``[n, 3, 4]`` or ``[n, 4, 4]`` with OpenCV
axes, metres. Pixels are counted from the picture's corner.

Letters: S remembered frames, T new frames, H and W pixels, n views.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from reference_model.carrying.geometry import pixel_rays, sample

VIEWS = 7
"""Remembered frames that a new one is painted from."""
APART_DEGREES, APART_FRAMES = 1.5, 12
"""Between views: another direction, or another time, when who stood in the way has moved on."""
NEAREST, PLANES = 2.0, 12
"""Metres of the nearest plane that is tried, and how many, even in inverse distance."""
HALF_A_PIXEL = 0.5
"""Parallax at the nearest plane below which depth does not matter."""
FARTHER = 0.012
"""Difference by which a nearer plane must be better than the next farther one: where nothing tells, it is far."""
AGREE = 0.12
"""Difference from which on views do not agree at a plane that is not the farthest."""
MIDDLE_DISTANCE = 8.0
"""Metres at which a camera's way counts as a turn when views are chosen."""
WINDOW = 5


class Layer(NamedTuple):
    """A picture and how much of it is there."""

    picture: Tensor
    """``[T, 3, H, W]``."""
    cover: Tensor
    """In [0, 1], ``[T, H, W]``."""


class Remembered(NamedTuple):
    """Frames that may be carried."""

    frames: Tensor
    """``[S, 3, H, W]``."""
    clear: Tensor
    """1 where nobody stands in the way, ``[S, H, W]``."""
    cameras: Tensor
    """``[S, 3, 4]``."""
    focal: float
    """Pixels."""


def static_layer(past: Remembered, cameras: Tensor, seen: Tensor) -> Layer:
    """What stands still, painted for new cameras ``[T, 3, 4]`` from the frames that each may see, bool ``[T, S]``."""
    _, _, height, width = past.frames.shape
    picture = past.frames.new_zeros(len(cameras), 3, height, width)
    cover = past.frames.new_zeros(len(cameras), height, width)
    apart = _distances(cameras, past.cameras)
    between = _distances(past.cameras, past.cameras)
    for t, camera in enumerate(cameras):
        views = _spread(apart[t], between, seen[t])
        if len(views):
            near = torch.exp(-apart[t, views].float() / 6)
            picture[t], cover[t] = _painted(past, views, near, camera)
    return Layer(_filled(picture, cover), (cover > 0).float())


def subject_layer(past: Remembered, mask: Tensor, source: Tensor, there: Tensor, here: Tensor) -> Layer:
    """A subject as remembered frames show it, moved and scaled to where it is now; premultiplied.

    Args:
        past: Frames.
        mask: Its pixels, ``[S, H, W]``.
        source: Remembered frame that each new one takes it from, int64 ``[T]``.
        there: Column, row, height of the body in these frames, ``[T, 3]``.
        here: The same now; a height of 0 shows nothing, ``[T, 3]``.
    """
    height, width = mask.shape[1:]
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    ratio = (there[:, 2] / here[:, 2].clamp_min(1.0))[:, None, None, None]
    at = there[:, None, None, :2] + (pixels - here[:, None, None, :2]) * ratio
    inside = mask[source][:, None]
    found = sample(torch.cat((past.frames[source] * inside, inside), dim=1), at)
    shown = (here[:, 2] > 1.0)[:, None, None].float()
    return Layer(found[:, :3] * shown[:, None], found[:, 3] * shown)


def _distances(cameras: Tensor, views: Tensor) -> Tensor:
    """Degrees between directions, and what lies between places as an angle, ``[n, m]``."""
    turned = torch.rad2deg(torch.arccos((cameras[:, :, 2] @ views[:, :, 2].T).clamp(-1, 1)))
    moved = torch.cdist(cameras[:, :, 3].double(), views[:, :, 3].double()).to(turned)
    return turned + torch.rad2deg(torch.atan(moved / MIDDLE_DISTANCE))


def _spread(apart: Tensor, between: Tensor, seen: Tensor) -> list[int]:
    """The nearest views, the later of equals, each in another direction or at another time than those before."""
    number = torch.arange(len(apart))
    order = (apart - 1e-5 * number).where(seen, torch.inf).argsort().tolist()
    chosen: list[int] = []
    for view in order:
        if not seen[view] or len(chosen) == VIEWS:
            break
        if all(between[view, c] >= APART_DEGREES or abs(view - c) >= APART_FRAMES for c in chosen):
            chosen.append(view)
    return chosen


def _painted(past: Remembered, views: list[int], near: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
    """A frame from some views, and by how much it is known: 0 where no view shows it, small where it is in the way."""
    stack = torch.cat((past.frames, past.clear[:, None]), dim=1)[views]
    turn = past.cameras[views][:, :, :3].transpose(1, 2)
    way = torch.einsum(
        "nij,hwj->nhwi",
        (turn @ camera[:, :3]).float(),
        pixel_rays(int(stack.shape[2]), int(stack.shape[3]), past.focal),
    )
    shift = torch.einsum("nij,nj->ni", turn, camera[:, 3] - past.cameras[views][:, :, 3]).float()
    planes = PLANES if float(shift.norm(dim=-1).max()) * past.focal / NEAREST > HALF_A_PIXEL else 1
    best = torch.full(way.shape[1:3], torch.inf)
    picture, known = torch.zeros(3, *way.shape[1:3]), torch.zeros(way.shape[1:3])
    for number, inverse in enumerate(torch.linspace(0, 1 / NEAREST, planes).tolist()):
        colours, weight, cost = _at_plane(stack, way + shift[:, None, None] * inverse, near, past.focal)
        better = (cost < best - FARTHER) & (cost <= AGREE) if number else cost < best
        picture = torch.where(better, colours, picture)
        known, best = torch.where(better, weight, known), torch.where(better, cost, best)
    return picture, known


def _at_plane(stack: Tensor, way: Tensor, near: Tensor, focal: float) -> tuple[Tensor, Tensor, Tensor]:
    """Colours ``[3, H, W]``, weight and disagreement ``[H, W]`` of views ``[n, 4, H, W]`` along ``[n, H, W, 3]``."""
    height, width = stack.shape[2:]
    ahead = way[..., 2] > 1e-2
    pixels = way[..., :2] / way[..., 2:].clamp_min(1e-2) * focal + torch.tensor((width / 2, height / 2))
    inside = ahead & (pixels[..., 0] > 0) & (pixels[..., 0] < width)
    inside &= (pixels[..., 1] > -1) & (pixels[..., 1] < height + 1)
    found = sample(stack, pixels, "border")
    weight = inside * (found[:, 3] ** 3 + 1e-4) * near[:, None, None]
    total = weight.sum(0)
    mean = (found[:, :3] * weight[:, None]).sum(0) / total.clamp_min(1e-9)
    for _ in range(3):  # towards the median: a shadow that has moved on is outvoted
        firm = weight / ((found[:, :3] - mean).abs().mean(1) + 0.03)
        mean = (found[:, :3] * firm[:, None]).sum(0) / firm.sum(0).clamp_min(1e-9)
    off = ((found[:, :3] - mean).abs().mean(1) * weight).sum(0) / total.clamp_min(1e-9)
    box = functional.avg_pool2d(torch.stack((off * (total > 0), (total > 0).float()))[:, None], WINDOW, 1, WINDOW // 2)
    several = (inside * (found[:, 3] > 0.5)).sum(0) > 1
    cost = torch.where(several, (box[0, 0] / box[1, 0].clamp_min(1e-6)), 1.0)
    return mean, total, torch.where(total > 0, cost, torch.inf)


def _filled(picture: Tensor, known: Tensor) -> Tensor:
    """Pixels that nobody ever saw clear take their colours from around them, from coarse to fine."""
    weight = ((known - 1e-3) / 1e-2).clamp(0, 1)[:, None]
    levels = [(picture * weight, weight)]
    while min(levels[-1][0].shape[2:]) > 2:
        levels.append(tuple(functional.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1]))  # type: ignore[arg-type]
    colours, total = levels[-1]
    found = colours / total.clamp_min(1e-6)
    for colours, total in levels[-2::-1]:
        wide = functional.interpolate(found, size=colours.shape[2:], mode="bilinear", align_corners=False)
        # a level counts as far as it is known
        share = (total * 4).clamp(0, 1)
        found = torch.where(total > 1e-6, colours / total.clamp_min(1e-6), wide) * share + wide * (1 - share)
    return found
