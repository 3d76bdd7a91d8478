"""How much of what one camera sees another one sees: frustum overlap without randomness, and a ray rule.

Overlap of q with m is |V_q and V_m| / |V_q|, where V is what a camera sees up to `radius`. It is measured by points
spread evenly through V_q (a low-discrepancy sequence: the same every time, no seed) and counted in V_m, as
Context-as-Memory, WorldMem, MemCam and WorldPlay do with random points. Lens and radius decide what counts as the same
place (10 m and 50 m agree on the best frame in as few as 5 % of cases), so they are settings and are reported.

Cameras are the transformer's: 12 numbers a frame, camera-to-world, OpenCV axes, metres (`model.camera`).
Letters: Q and M cameras that ask and that are asked about, P points, B batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

POINTS = 1024
"""Points in a frustum: overlap is then exact to about 0.01."""


class Lens(NamedTuple):
    """What a camera sees."""

    horizontal: float
    """Full field of view in degrees."""
    vertical: float
    """Full field of view in degrees; 0 looks from above and compares sectors instead of frusta."""
    radius: float
    """How far, in metres."""


PUBLISHED: dict[str, Lens] = {
    "hm-world": Lens(36.6, 21.6, 30.0),
    "context-as-memory": Lens(52.67, 30.45, 30.0),
    "worldmem": Lens(105.0, 75.0, 30.0),
    "worldplay": Lens(60.0, 35.0, 8.0),
    "memcam": Lens(90.0, 60.0, 50.0),
}
"""Published lenses and radii. HM-World's lens is recovered from its clips; Context-as-Memory (2506.03141) states its
horizontal field only, and its vertical one follows from 640x352. Neither has a published radius: 30 m, WorldMem's, is
about as far as the houses that fill HM-World's pictures. At 10 m a camera that moves backwards finds nothing but the
last frames (example clip 1)."""


def split_camera(cameras: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation ``[..., 3, 3]`` and position ``[..., 3]``, float32, of camera rows ``[..., 12]``."""
    rows = cameras.float().unflatten(-1, (3, 4))
    return rows[..., :3], rows[..., 3]


def frustum_points(lens: Lens, count: int = POINTS) -> Tensor:
    """Points spread evenly (by volume) through what a camera at the origin sees, float32 ``[count, 3]``.

    The frustum is a box in azimuth, elevation and distance, as in the methods named above.
    """
    along, across, up = _even_numbers(count).unbind(1)
    azimuth = torch.deg2rad((2 * across - 1) * lens.horizontal / 2)
    sine = (2 * up - 1) * math.sin(math.radians(lens.vertical / 2))
    distance = lens.radius * along ** (1 / 3 if lens.vertical else 1 / 2)  # even by volume, or by area
    level = (1 - sine**2).sqrt()
    return torch.stack((level * azimuth.sin(), sine, level * azimuth.cos()), dim=1) * distance[:, None]


def ball_points(radius: float, count: int) -> Tensor:
    """Points spread evenly through a ball around the origin, float32 ``[count, 3]``."""
    return frustum_points(Lens(360.0, 180.0, radius), count)


def seen(points: Tensor, cameras: Tensor, lens: Lens, *, limited: bool = True) -> Tensor:
    """Which points each camera sees.

    Args:
        points: World points, ``[..., P, 3]``.
        cameras: ``[..., 12]``, broadcast against the points' leading axes.
        lens: Angles are measured as azimuth and elevation, as in WorldMem.
        limited: Whether points beyond the radius are unseen.

    Returns:
        bool ``[..., P]``.
    """
    rotation, position = split_camera(cameras)
    with _full_precision(points):
        local = (points - position[..., None, :]) @ rotation  # R^T (x - t), row by row
    right, down, ahead = local.unbind(-1)
    azimuth = torch.atan2(right, ahead).abs()
    elevation = torch.atan2(down, torch.hypot(right, ahead)).abs()
    inside = azimuth <= math.radians(lens.horizontal / 2)
    if lens.vertical:
        inside = inside & (elevation <= math.radians(lens.vertical / 2))
    return inside & (local.norm(dim=-1) <= lens.radius * (1 + 1e-5)) if limited else inside


def overlap(asking: Tensor, asked: Tensor, lens: Lens, *, points: int = POINTS) -> Tensor:
    """Share of what each asking camera sees that each asked one sees too.

    Args:
        asking: ``[B, Q, 12]``.
        asked: ``[B, M, 12]``.
        lens: Of all cameras.
        points: Points a frustum.

    Returns:
        In [0, 1], float32 ``[B, Q, M]``.
    """
    rotation, position = split_camera(asking)
    local = frustum_points(lens, points).to(asking.device)
    with _full_precision(local):
        world = local @ rotation.transpose(-1, -2) + position[..., None, :]
    found = seen(world[:, :, None], asked[:, None], lens)
    return found.float().mean(-1)


def rays_meet(asking: Tensor, asked: Tensor, lens: Lens, *, near: float) -> Tensor:
    """Context-as-Memory's literal rule, seen from above: left rays meet, right rays meet, neither too near nor too far.

    It is true only of views that converge: never for equal headings, nor after a turn on the spot. On the four example
    clips of HyDRA it holds for no pair of frames, so it is an option and not the default.

    Args:
        asking: ``[B, Q, 12]``.
        asked: ``[B, M, 12]``.
        lens: Its horizontal angle gives the rays, its radius the far limit.
        near: Smallest distance of the meeting points from the asking camera, metres.

    Returns:
        bool ``[B, Q, M]``.
    """
    met = torch.ones(1, dtype=torch.bool, device=asking.device)
    for side in (-1.0, 1.0):
        start_q, way_q = _ray(asking, side * lens.horizontal / 2)
        start_m, way_m = _ray(asked, side * lens.horizontal / 2)
        gap = start_m[:, None] - start_q[:, :, None]
        along_q, along_m = way_q[:, :, None], way_m[:, None]
        turn = _cross(along_q, along_m)
        safe = torch.where(turn.abs() < 1e-6, torch.nan, turn)
        distance, other = _cross(gap, along_m) / safe, _cross(gap, along_q) / safe
        met = met & (distance >= near) & (distance <= lens.radius) & (other >= 0)  # false for NaN
    return met


def mean_camera(cameras: Tensor) -> Tensor:
    """The middle of several cameras, ``[..., n, 12] -> [..., 12]``: mean position, nearest rotation to the mean one."""
    rotation, position = split_camera(cameras)
    left, _, right = torch.linalg.svd(rotation.mean(-3))
    with _full_precision(cameras):
        sign = torch.linalg.det(left @ right)
        left = torch.cat((left[..., :2], left[..., 2:] * sign[..., None, None]), dim=-1)
        middle = torch.cat((left @ right, position.mean(-2)[..., None]), dim=-1)
    return middle.flatten(-2).type_as(cameras)


def _full_precision(like: Tensor) -> torch.autocast:
    """No autocast: in bfloat16 a point 30 m away moves by 0.1 m, and training would retrieve other frames than use."""
    return torch.autocast(like.device.type, enabled=False)


def _even_numbers(count: int) -> Tensor:
    """Numbers spread evenly through the unit cube, ``[count, 3]``: the R3 sequence (Roberts 2018)."""
    base = 1.2207440846057596  # the root of x^4 = x + 1
    steps = torch.tensor([base**-1, base**-2, base**-3], dtype=torch.float64)
    return ((0.5 + torch.arange(1, count + 1, dtype=torch.float64)[:, None] * steps) % 1.0).float()


def _ray(cameras: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    """Start and unit direction from above (x, z), ``[..., 2]`` each, of a ray this far to the right of the view."""
    rotation, position = split_camera(cameras)
    angle = math.radians(degrees)
    local = torch.tensor([math.sin(angle), 0.0, math.cos(angle)], device=cameras.device)
    way = (rotation @ local)[..., [0, 2]]
    return position[..., [0, 2]], way / way.norm(dim=-1, keepdim=True).clamp_min(1e-9)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
