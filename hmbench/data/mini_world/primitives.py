"""Rows that describe primitives: how scenes and bodies are put together.

Columns of a row: 0 kind, 1:4 centre, 4:13 rotation (world to local, rows), 13:16 sizes (see `kernels`),
16 texture layer, 17 texture repeats a metre, 18:21 tint, 21 object id (0 background), 22 emission 0..1,
23 texture offset, 24 mapping (0 by face, 1 around local z, 2 solid noise), 25 wraps around, 26 gloss 0..1.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import BOX, CAPSULE, ELLIPSOID, FRUSTUM, GABLE

ROW = 27
Vec = Sequence[float] | NDArray[np.float64]
Rows = NDArray[np.float64]
BY_FACE, AROUND, SOLID = range(3)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
X_AXIS = (0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
"""A rotation whose local z is the world's x: for bodies that lie along their heading."""


class Paint(NamedTuple):
    """The look of a surface."""

    color: Vec
    """Mean colour, RGB in 0..1."""
    layer: int = 0
    """Texture layer."""
    repeats: float = 1.0
    """Texture tiles a metre."""
    mapping: int = BY_FACE
    """How the texture wraps the shape."""
    emission: float = 0.0
    """Share of light that the surface gives by itself."""
    gloss: float = 0.0
    """Strength of the highlight."""
    offset: float = 0.0
    """Texture offset in tiles: stored here, because one taken from the row's number would swim when rows are sorted."""


def primitive(kind: int, center: Vec, rotation: Sequence[float], sizes: Vec, paint: Paint) -> list[float]:
    """Return one row of object 0."""
    c = paint.color
    wraps = 0.0
    if paint.mapping == AROUND:
        radius = max(sizes[0], sizes[1]) if kind != CAPSULE else sizes[0]
        wraps = float(max(1, round(2 * math.pi * radius * paint.repeats)))
    return [
        float(kind), *center, *rotation, *sizes, float(paint.layer), paint.repeats,
        2.0 * c[0], 2.0 * c[1], 2.0 * c[2], 0.0, paint.emission, paint.offset, float(paint.mapping), wraps, paint.gloss,
    ]  # fmt: skip


def turn(yaw: float) -> tuple[float, ...]:
    """Return the world-to-local rotation of an object turned by `yaw` about the vertical."""
    c, s = math.cos(yaw), math.sin(yaw)
    return (c, s, 0.0, -s, c, 0.0, 0.0, 0.0, 1.0)


def box(center: Vec, half: Vec, paint: Paint, yaw: float = 0.0) -> list[float]:
    """Return a box by its centre and half sizes."""
    return primitive(BOX, center, turn(yaw), half, paint)


def standing(x: float, y: float, size: Vec, paint: Paint, *, base: float = 0.0, yaw: float = 0.0) -> list[float]:
    """Return a box of full `size` whose bottom is at height `base`."""
    return box((x, y, base + size[2] / 2), (size[0] / 2, size[1] / 2, size[2] / 2), paint, yaw)


def ellipsoid(center: Vec, radii: Vec, paint: Paint, rotation: Sequence[float] = IDENTITY) -> list[float]:
    """Return an ellipsoid."""
    return primitive(ELLIPSOID, center, rotation, radii, paint)


def gable(center: Vec, half: Vec, paint: Paint, yaw: float = 0.0) -> list[float]:
    """Return a gable roof whose ridge runs along its x axis."""
    return primitive(GABLE, center, turn(yaw), half, paint)


def along(a: Vec, b: Vec) -> tuple[tuple[float, float, float], tuple[float, ...], float]:
    """Return centre, rotation and half length of a thing whose local z runs from a to b."""
    zx, zy, zz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    n = math.sqrt(zx * zx + zy * zy + zz * zz) + 1e-9
    zx, zy, zz = zx / n, zy / n, zz / n
    if abs(zy) < 0.95:  # x = (0, 1, 0) x z
        xx, xy, xz = zz, 0.0, -zx
    else:  # x = (1, 0, 0) x z
        xx, xy, xz = 0.0, -zz, zy
    m = math.sqrt(xx * xx + xy * xy + xz * xz)
    xx, xy, xz = xx / m, xy / m, xz / m
    yx, yy, yz = zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx
    center = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)
    return center, (xx, xy, xz, yx, yy, yz, zx, zy, zz), n / 2


def capsule(a: Vec, b: Vec, radius: float, paint: Paint) -> list[float]:
    """Return a capsule between two centres."""
    center, rotation, half = along(a, b)
    return primitive(CAPSULE, center, rotation, (radius, radius, half), paint)


def frustum(a: Vec, b: Vec, radii: tuple[float, float], paint: Paint) -> list[float]:
    """Return a cylinder or cone from a (first radius) to b (second radius)."""
    center, rotation, half = along(a, b)
    return primitive(FRUSTUM, center, rotation, (radii[0], radii[1], half), paint)


def rows(parts: Sequence[Sequence[float]]) -> Rows:
    """Stack rows on a 2^-32 grid, which absorbs a libm's last bit."""
    if not parts:
        return np.zeros((0, ROW))
    return np.rint(np.array(parts, np.float64) * 2.0**32) * 2.0**-32


def place(body: Rows, x: float, y: float, yaw: float, object_id: int) -> Rows:
    """Return a body moved from its own axes (x ahead, z up) to the world; no BLAS, whose bits vary by CPU."""
    c, s = math.cos(yaw), math.sin(yaw)
    out = body.copy()
    out[:, 1] = body[:, 1] * c - body[:, 2] * s + x
    out[:, 2] = body[:, 1] * s + body[:, 2] * c + y
    for k in (4, 7, 10):
        out[:, k] = body[:, k] * c - body[:, k + 1] * s
        out[:, k + 1] = body[:, k] * s + body[:, k + 1] * c
    out[:, 21] = object_id
    return np.rint(out * 2.0**32) * 2.0**-32


def corners(body: Rows) -> NDArray[np.float64]:
    """Return the 8 bounding corners of every primitive, [n, 8, 3]."""
    half = body[:, 13:16].copy()
    capsules, cones = body[:, 0] == CAPSULE, body[:, 0] == FRUSTUM
    half[capsules, 1] = half[capsules, 0]
    half[capsules, 2] += half[capsules, 0]
    half[cones, :2] = half[cones, :2].max(1, keepdims=True)
    signs = np.array([[sx, sy, sz] for sz in (-1, 1) for sy in (-1, 1) for sx in (-1, 1)], float)
    local = half[:, None, :] * signs[None]
    rotation = body[:, 4:13].reshape(-1, 3, 3)
    out = body[:, None, 1:4] + sum(local[:, :, i : i + 1] * rotation[:, None, i, :] for i in range(3))
    return np.asarray(out)
