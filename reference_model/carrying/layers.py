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
NEAREST, PLANES = 4.0, 8
"""Metres of the nearest plane that is tried, and how many, even in inverse distance."""
HALF_A_PIXEL = 0.5
"""Parallax at the nearest plane below which depth does not matter."""
FARTHER = 0.03
"""Difference by which a nearer plane must be better than the next farther one: where nothing tells, it is far."""
AGREE = 0.12
"""Difference from which on views do not agree at a plane that is not the farthest."""
TRAVELLED = 0.4
"""What a carried place counts once the camera has travelled, where its depth is a guess. On nine training clips 0.5 and
0.35 were 0.3 and 0.4 dB nearer the truth than 1; this lies between them."""
MIDDLE_DISTANCE = 8.0
"""Metres at which a camera's way counts as a turn when views are chosen."""
FAINT = 1e-3
"""Weight up to which a pixel is only known from views in which somebody is in the way."""
WINDOW = 3
"""Pixels of the square over which views are compared, at half the size."""


class Layer(NamedTuple):
    """A picture and how much of it is there."""

    picture: Tensor
    """``[T, 3, H, W]``."""
    cover: Tensor
    """In [0, 1], ``[T, H, W]``."""


class StaticLayer(NamedTuple):
    """What stands still."""

    picture: Tensor
    """``[T, 3, H, W]``."""
    cover: Tensor
    """1 where a remembered frame shows it, ``[T, H, W]``."""
    sure: Tensor
    """1 where no camera has travelled, else `TRAVELLED`, ``[T, H, W]``."""


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


def static_layer(past: Remembered, cameras: Tensor, seen: Tensor) -> StaticLayer:
    """What stands still, painted for new cameras ``[T, 3, 4]`` from the frames that each may see, bool ``[T, S]``."""
    _, _, height, width = past.frames.shape
    picture = past.frames.new_zeros(len(cameras), 3, height, width)
    cover = past.frames.new_zeros(len(cameras), height, width)
    sure = torch.ones_like(cover)
    apart = _distances(cameras, past.cameras)
    between = _distances(past.cameras, past.cameras)
    for t, camera in enumerate(cameras):
        views = _spread(apart[t], between, seen[t])
        if len(views):
            near = torch.exp((apart[t, views].min() - apart[t, views]).float() / 6)
            picture[t], cover[t], sure[t] = _painted(past, views, near, camera)
    # where somebody is in the way of everything, there is nothing to fill from
    shown = (cover > 0) & (cover > FAINT).flatten(1).any(1)[:, None, None]
    return StaticLayer(_filled(picture, cover), shown.float(), sure)


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


def _painted(past: Remembered, views: list[int], near: Tensor, camera: Tensor) -> tuple[Tensor, Tensor, float]:
    """A frame from some views, by how much it is known, and how sure that is.

    It is known by 0 where no view shows it, and by little where somebody is in the way in all of them.
    """
    stack = torch.cat((past.frames, past.clear[:, None]), dim=1)[views]
    turn = past.cameras[views][:, :, :3].transpose(1, 2)
    turned = (turn @ camera[:, :3]).float()
    shift = torch.einsum("nij,nj->ni", turn, camera[:, 3] - past.cameras[views][:, :, 3]).float()
    height, width = int(stack.shape[2]), int(stack.shape[3])
    rays = pixel_rays(height, width, past.focal)
    inverse = rays.new_zeros(height, width)
    travelled = float(shift.norm(dim=-1).max()) * past.focal / NEAREST > HALF_A_PIXEL
    if travelled:
        inverse = _depths(functional.avg_pool2d(stack, 2), (turned, shift), near, past.focal / 2)
        inverse = functional.interpolate(inverse[None, None], scale_factor=2)[0, 0]
    way = torch.einsum("nij,hwj->nhwi", turned, rays) + shift[:, None, None] * inverse[..., None]
    found, weight = _seen(stack, way, near, past.focal)
    total = weight.sum(0)
    mean = (found * weight[:, None]).sum(0) / total.clamp_min(1e-9)
    for _ in range(3):  # towards the median: a shadow that has moved on is outvoted
        firm = weight / ((found - mean).abs().mean(1) + 0.03)
        mean = (found * firm[:, None]).sum(0) / firm.sum(0).clamp_min(1e-9)
    return mean, total, TRAVELLED if travelled else 1.0


def _depths(stack: Tensor, motion: tuple[Tensor, Tensor], near: Tensor, focal: float) -> Tensor:
    """Inverse depth of each pixel, ``[h, w]``: a plane sweep over views ``[n, 4, h, w]``, which may be a smaller copy.

    The first plane is the one at infinity. A nearer one must be better, and its views must agree.
    """
    height, width = int(stack.shape[2]), int(stack.shape[3])
    way = torch.einsum("nij,hwj->nhwi", motion[0], pixel_rays(height, width, focal))
    best, inverse = torch.full((height, width), torch.inf), torch.zeros(height, width)
    for number, plane in enumerate(torch.linspace(0, 1 / NEAREST, PLANES).tolist()):
        found, weight = _seen(stack, way + motion[1][:, None, None] * plane, near, focal)
        total = weight.sum(0)
        mean = (found * weight[:, None]).sum(0) / total.clamp_min(1e-9)
        off = ((found - mean).abs().mean(1) * weight).sum(0) / total.clamp_min(1e-9)
        counted = torch.stack((off * (total > 0), (total > 0).float()))[:, None]
        box = functional.avg_pool2d(counted, WINDOW, 1, WINDOW // 2)[:, 0]
        several = (weight > 1e-3).sum(0) > 1
        cost = torch.where(several, box[0] / box[1].clamp_min(1e-6), 1.0).where(total > 0, torch.inf)
        better = (cost < best - FARTHER) & (cost <= AGREE) if number else cost < best
        inverse, best = torch.where(better, plane, inverse), torch.where(better, cost, best)
    return inverse


def _seen(stack: Tensor, way: Tensor, near: Tensor, focal: float) -> tuple[Tensor, Tensor]:
    """Colours ``[n, 3, h, w]`` and weights ``[n, h, w]`` of views ``[n, 4, h, w]`` along ``[n, h, w, 3]``."""
    height, width = stack.shape[2:]
    ahead = way[..., 2] > 1e-2
    pixels = way[..., :2] / way[..., 2:].clamp_min(1e-2) * focal + torch.tensor((width / 2, height / 2))
    inside = ahead & (pixels[..., 0] > 0) & (pixels[..., 0] < width)
    inside &= (pixels[..., 1] > -1) & (pixels[..., 1] < height + 1)
    found = sample(stack, pixels, "border")
    return found[:, :3], inside * (found[:, 3] ** 3 + 1e-4) * near[:, None, None]


def _filled(picture: Tensor, known: Tensor) -> Tensor:
    """Pixels that nobody ever saw clear take their colours from around them, from coarse to fine."""
    weight = ((known - FAINT) / 1e-2).clamp(0, 1)[:, None]
    levels = [(picture * weight, weight)]
    while min(levels[-1][0].shape[2:]) > 2:
        colours, total = (functional.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1])
        levels.append((colours, total))
    colours, total = levels[-1]
    found = colours / total.clamp_min(1e-6)
    for colours, total in levels[-2::-1]:
        wide = functional.interpolate(found, size=colours.shape[2:], mode="bilinear", align_corners=False)
        # a level counts as far as it is known
        share = (total * 4).clamp(0, 1)
        found = torch.where(total > 1e-6, colours / total.clamp_min(1e-6), wide) * share + wide * (1 - share)
    return found
