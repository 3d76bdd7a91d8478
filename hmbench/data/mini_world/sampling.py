"""Lookups of shading: texture pyramids, the sky, noise, shadow maps (numba).

Texels are packed, four bytes to a number (`pack`): one load instead of four. Unsigned indices spare numba's check for
negative ones. See `kernels` for the rules that keep the bits stable.
"""

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import jit


def pack(texels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return texels [n, 4] as [n], the first channel in the lowest byte, without a copy where bytes lie that way."""
    return np.asarray(np.ascontiguousarray(texels).view("<u4")[:, 0], np.uint32)


@jit
def fetch(texels, base, sx, sy, levels, u, v, footprint):  # type: ignore[no-untyped-def]
    """Trilinear fetch from the pyramid that begins at row `base`; footprint in texels of the first level."""
    level = 0
    while footprint >= 2.0 and level < levels - 1:
        footprint *= 0.5
        base += sx * sy
        sx >>= 1
        sy >>= 1
        level += 1
    near = _tap(texels, base, sx, sy, u, v)
    if footprint <= 1.0 or level == levels - 1:
        return near
    far = _tap(texels, base + sx * sy, sx >> 1, sy >> 1, u, v)
    f = min(footprint - 1.0, 1.0)
    g = 1.0 - f
    return near[0] * g + far[0] * f, near[1] * g + far[1] * f, near[2] * g + far[2] * f, near[3] * g + far[3] * f


@jit
def panorama(sky, d):  # type: ignore[no-untyped-def]
    """Return the panorama's colour in direction d (unit length)."""
    h, w = sky.shape[0], sky.shape[1]
    x, y = d[0], d[1]
    m = max(abs(x), abs(y)) + 1e-30
    if abs(x) >= abs(y):
        side = (y / m + 1) / 2 if x > 0 else 2 + (-y / m + 1) / 2
    else:
        side = 1 + (-x / m + 1) / 2 if y > 0 else 3 + (x / m + 1) / 2
    u = side / 4 * w
    i = int(u)
    if i >= w:
        i -= w
    k = i + 1 if i + 1 < w else 0
    f = u - np.floor(u)
    v = min((1 - max(0.0, d[2])) * (h - 1), h - 1.001)
    j = int(v)
    g = v - j
    wa, wb, wc, wd = (1 - f) * (1 - g), f * (1 - g), (1 - f) * g, f * g
    return (
        sky[j, i, 0] * wa + sky[j, k, 0] * wb + sky[j + 1, i, 0] * wc + sky[j + 1, k, 0] * wd,
        sky[j, i, 1] * wa + sky[j, k, 1] * wb + sky[j + 1, i, 1] * wc + sky[j + 1, k, 1] * wd,
        sky[j, i, 2] * wa + sky[j, k, 2] * wb + sky[j + 1, i, 2] * wc + sky[j + 1, k, 2] * wd,
    )


@jit
def noise3(volume, x, y, z):  # type: ignore[no-untyped-def]
    """Return trilinear noise from a periodic volume with sides of 32."""
    xf, yf, zf = np.floor(x), np.floor(y), np.floor(z)
    fx, fy, fz = x - xf, y - yf, z - zf
    i0, j0, k0 = int(xf) & 31, int(yf) & 31, int(zf) & 31
    i1, j1, k1 = (i0 + 1) & 31, (j0 + 1) & 31, (k0 + 1) & 31
    a = (volume[i0, j0, k0] * (1 - fz) + volume[i0, j0, k1] * fz) * (1 - fy)
    a += (volume[i0, j1, k0] * (1 - fz) + volume[i0, j1, k1] * fz) * fy
    b = (volume[i1, j0, k0] * (1 - fz) + volume[i1, j0, k1] * fz) * (1 - fy)
    b += (volume[i1, j1, k0] * (1 - fz) + volume[i1, j1, k1] * fz) * fy
    return a * (1 - fx) + b * fx


@jit
def compare(depth, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the four texels around (x, y) that the sun reaches at depth z."""
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    left = (1 - fy) * (z < depth[j, i]) + fy * (z < depth[j + 1, i])
    right = (1 - fy) * (z < depth[j, i + 1]) + fy * (z < depth[j + 1, i + 1])
    return (1 - fx) * left + fx * right


@jit
def fold(x):  # type: ignore[no-untyped-def]
    """Mirror x into [0, 1]: the ground goes on beyond its map without a streak."""
    x = x - 2.0 * np.floor(x * 0.5)
    return min(x if x <= 1.0 else 2.0 - x, 0.99999)


@jit
def around(x, y):  # type: ignore[no-untyped-def]
    """Angle of (x, y) in turns, [0, 1), by the diamond instead of atan2: exact arithmetic, nearly even."""
    s = abs(x) + abs(y) + 1e-30
    if y >= 0.0:
        return 0.25 * (y / s) if x >= 0.0 else 0.25 * (1.0 - x / s)
    return 0.25 * (2.0 - y / s) if x < 0.0 else 0.25 * (3.0 + x / s)


@jit
def _tap(texels, base, sx, sy, u, v):  # type: ignore[no-untyped-def]
    """Bilinear fetch of four channels from packed texels; sides are powers of two."""
    x = u * sx - 0.5
    y = v * sy - 0.5
    xf, yf = np.floor(x), np.floor(y)
    fx, fy = x - xf, y - yf
    x0, y0 = int(xf) & (sx - 1), int(yf) & (sy - 1)
    x1, y1 = (x0 + 1) & (sx - 1), (y0 + 1) & (sy - 1)
    top, bottom = base + y0 * sx, base + y1 * sx
    a, b = np.int64(texels[np.uint64(top + x0)]), np.int64(texels[np.uint64(top + x1)])
    c, d = np.int64(texels[np.uint64(bottom + x0)]), np.int64(texels[np.uint64(bottom + x1)])
    wa, wb, wc, wd = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    return (
        (a & 255) * wa + (b & 255) * wb + (c & 255) * wc + (d & 255) * wd,
        (a >> 8 & 255) * wa + (b >> 8 & 255) * wb + (c >> 8 & 255) * wc + (d >> 8 & 255) * wd,
        (a >> 16 & 255) * wa + (b >> 16 & 255) * wb + (c >> 16 & 255) * wc + (d >> 16 & 255) * wd,
        (a >> 24) * wa + (b >> 24) * wb + (c >> 24) * wc + (d >> 24) * wd,
    )
