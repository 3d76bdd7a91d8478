"""Shading of a visibility buffer: textures, one sun with shadow maps, sky and fog (numba, one thread).

Each output pixel holds supersample^2 samples; a distinct primitive among them is shaded once and weighted by its samples, so
2 x 2 supersampling costs half more than none. See `kernels` for the rules that keep the bits stable.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import BOX, CAPSULE, ELLIPSOID, FRUSTUM, View, jit, ray

TEXELS = 256
GROUND_LEVELS = 7


class Surroundings(NamedTuple):
    """What shading needs of a scene besides its primitives."""

    textures: NDArray[np.float32]
    """Layers, [n, texels, 3]."""
    solid: NDArray[np.float32]
    """Volume of noise, [32, 32, 32]."""
    ground: NDArray[np.float32]
    """Pyramid of the ground map, [texels, 4]: colour and wetness."""
    ground_size: tuple[int, int]
    """Texels (x, y) of its first level."""
    ground_half: tuple[float, float]
    """Half extent in metres (x, y)."""
    ground_layer: int
    """Detail texture of the ground."""
    sky: NDArray[np.float32]
    """Panorama of four sides, [h, 4 s, 3]."""
    light: NDArray[np.float64]
    """Rows: direction to the sun, sun colour, ambient from above, ambient from below, fog colour, (fog per metre, -, -)."""


class Shadows(NamedTuple):
    """Depth maps seen from the sun: one of the scene, a small one a subject."""

    sun: View
    """The static map's view."""
    static: NDArray[np.float32]
    """Depth, [n, n]."""
    subjects: NDArray[np.float32]
    """Depth, [k, m, m]."""
    origins: NDArray[np.float64]
    """Corner of each small map in the sun's image plane, metres, [k, 2]."""
    scale: float
    """Texels a metre of the small maps."""
    feet: NDArray[np.float64]
    """(x, y, radius) of the contact shade below each subject, [k, 3]."""


@jit
def _tap(texels, base, sx, sy, u, v, weight, out):  # type: ignore[no-untyped-def]
    x = u * sx - 0.5
    y = v * sy - 0.5
    xf, yf = np.floor(x), np.floor(y)
    fx, fy = x - xf, y - yf
    x0, y0 = int(xf) % sx, int(yf) % sy
    x1, y1 = (x0 + 1) % sx, (y0 + 1) % sy
    a, b = base + y0 * sx, base + y1 * sx
    for c in range(texels.shape[1]):
        top = texels[a + x0, c] * (1.0 - fx) + texels[a + x1, c] * fx
        bottom = texels[b + x0, c] * (1.0 - fx) + texels[b + x1, c] * fx
        out[c] += weight * (top * (1.0 - fy) + bottom * fy)


@jit
def _fetch(texels, sx, sy, levels, u, v, footprint, out):  # type: ignore[no-untyped-def]
    """Trilinear fetch; footprint in texels of the first level."""
    level = 0
    base = 0
    while footprint >= 2.0 and level < levels - 1:
        footprint *= 0.5
        base += sx * sy
        sx //= 2
        sy //= 2
        level += 1
    blend = min(max(footprint - 1.0, 0.0), 1.0) if level < levels - 1 else 0.0
    out[:] = 0.0
    _tap(texels, base, sx, sy, u, v, 1.0 - blend, out)
    if blend > 0.0:
        _tap(texels, base + sx * sy, sx // 2, sy // 2, u, v, blend, out)


@jit
def _fold(x):  # type: ignore[no-untyped-def]
    """Mirror x into [0, 1]: the ground goes on beyond its map without a streak."""
    x = x - 2.0 * np.floor(x * 0.5)
    return min(x if x <= 1.0 else 2.0 - x, 0.99999)


@jit
def _noise3(volume, x, y, z):  # type: ignore[no-untyped-def]
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
def _around(x, y):  # type: ignore[no-untyped-def]
    """Angle of (x, y) in turns, [0, 1), by the diamond instead of atan2: exact arithmetic, nearly even."""
    s = abs(x) + abs(y) + 1e-30
    if y >= 0.0:
        return 0.25 * (y / s) if x >= 0.0 else 0.25 * (1.0 - x / s)
    return 0.25 * (2.0 - y / s) if x < 0.0 else 0.25 * (3.0 + x / s)


@jit
def _local_normal(p, a):  # type: ignore[no-untyped-def]
    kind = p[0]
    if kind == BOX:
        lx, ly, lz = a[0] / p[13], a[1] / p[14], a[2] / p[15]
        if abs(lx) >= abs(ly) and abs(lx) >= abs(lz):
            return (1.0 if lx > 0 else -1.0), 0.0, 0.0
        if abs(ly) >= abs(lz):
            return 0.0, (1.0 if ly > 0 else -1.0), 0.0
        return 0.0, 0.0, (1.0 if lz > 0 else -1.0)
    if kind == ELLIPSOID:
        n = (a[0] / (p[13] * p[13]), a[1] / (p[14] * p[14]), a[2] / (p[15] * p[15]))
    elif kind == CAPSULE:
        n = (a[0], a[1], a[2] - min(max(a[2], -p[15]), p[15]))
    elif kind == FRUSTUM:
        if abs(a[2]) > p[15] - 1e-6:
            return 0.0, 0.0, (1.0 if a[2] > 0 else -1.0)
        radius = np.sqrt(a[0] * a[0] + a[1] * a[1])
        n = (a[0], a[1], radius * (p[13] - p[14]) / (2.0 * p[15]))
    else:
        w, h = p[14], p[15]
        if abs(a[0]) > p[13] - 1e-6:
            return (1.0 if a[0] > 0 else -1.0), 0.0, 0.0
        if a[2] < -h + 1e-6:
            return 0.0, 0.0, -1.0
        n = (0.0, (2.0 * h if a[1] > 0 else -2.0 * h), w)
    inverse = 1.0 / np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-30)
    return n[0] * inverse, n[1] * inverse, n[2] * inverse


@jit
def _surface(p, a, n, d, spread, world, out):  # type: ignore[no-untyped-def]
    """Write the colour of primitive p at local point a; return a factor that roughens the light of foliage."""
    rough = 1.0
    if p[24] == 2.0:
        scale = p[17]
        near = min(1.0, 0.35 / max(spread * scale, 1e-9))
        coarse = _noise3(world.solid, a[0] * scale + p[23] * 31, a[1] * scale, a[2] * scale) - 0.5
        fine = (
            _noise3(world.solid, a[0] * scale * 3.7, a[1] * scale * 3.7 + p[23] * 17, a[2] * scale * 3.7)
            - 0.5
        )
        rough = 1.0 + 0.9 * min(1.0, near * 3.0) * coarse + 0.9 * near * fine
        out[:] = 128.0
    else:
        grazing = max(0.15, -(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]))
        foot = spread / np.sqrt(grazing) * TEXELS * p[17]
        if p[24] == 1.0:
            u, v = _around(a[0], a[1]) * p[25], a[2] * p[17]
        elif abs(n[0]) >= abs(n[1]) and abs(n[0]) >= abs(n[2]):
            u, v = a[1] * p[17], a[2] * p[17]
        elif abs(n[1]) >= abs(n[2]):
            u, v = a[0] * p[17], a[2] * p[17]
        else:
            u, v = a[0] * p[17], a[1] * p[17]
        _fetch(world.textures[int(p[16])], TEXELS, TEXELS, 8, u + p[23], -v + p[23], foot, out)
    for c in range(3):
        out[c] *= p[18 + c]
    return rough


@jit
def _sky(sky, d, out):  # type: ignore[no-untyped-def]
    h, w = sky.shape[0], sky.shape[1]
    x, y = d[0], d[1]
    m = max(abs(x), abs(y)) + 1e-30
    if abs(x) >= abs(y):
        side = (y / m + 1) / 2 if x > 0 else 2 + (-y / m + 1) / 2
    else:
        side = 1 + (-x / m + 1) / 2 if y > 0 else 3 + (x / m + 1) / 2
    elevation = 1 - max(0.0, d[2])
    u = side / 4 * w
    i = int(u) % w
    k = (i + 1) % w
    f = u - np.floor(u)
    v = min(elevation * (h - 1), h - 1.001)
    j = int(v)
    g = v - j
    for c in range(3):
        top = sky[j, i, c] * (1 - f) + sky[j, k, c] * f
        out[c] = top * (1 - g) + (sky[j + 1, i, c] * (1 - f) + sky[j + 1, k, c] * f) * g


@jit
def _compare(depth, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the four texels around (x, y) that the sun reaches at depth z."""
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    left = (1 - fy) * (z < depth[j, i]) + fy * (z < depth[j + 1, i])
    right = (1 - fy) * (z < depth[j, i + 1]) + fy * (z < depth[j + 1, i + 1])
    return (1 - fx) * left + fx * right


@jit
def _sunlight(point, n, shadows):  # type: ignore[no-untyped-def]
    v, r = shadows.sun, shadows.sun.rotation
    wx = point[0] + n[0] * 0.06 - v.eye[0]
    wy = point[1] + n[1] * 0.06 - v.eye[1]
    wz = point[2] + n[2] * 0.06 - v.eye[2]
    x = r[0, 0] * wx + r[1, 0] * wy + r[2, 0] * wz
    y = r[0, 1] * wx + r[1, 1] * wy + r[2, 1] * wz
    z = r[0, 2] * wx + r[1, 2] * wy + r[2, 2] * wz - 0.05
    light = 1.0
    size = shadows.static.shape[0]
    tx, ty = x * v.focal + v.cx - 0.5, y * v.focal + v.cy - 0.5
    if 0 <= tx < size - 1 and 0 <= ty < size - 1:
        light = _compare(shadows.static, tx, ty, z)
    small = shadows.subjects.shape[1]
    for k in range(shadows.subjects.shape[0]):
        tx = (x - shadows.origins[k, 0]) * shadows.scale - 0.5
        ty = (y - shadows.origins[k, 1]) * shadows.scale - 0.5
        if light > 0.0 and 0 <= tx < small - 1 and 0 <= ty < small - 1:
            light = min(light, _compare(shadows.subjects[k], tx, ty, z))
    return light


@jit
def _ground(point, d, spread, world, shadows, scratch, out):  # type: ignore[no-untyped-def]
    """Write the ground's colour; return (wetness, contact shade)."""
    sx, sy = world.ground_size
    hx, hy = world.ground_half
    foot = spread / np.sqrt(max(0.04, -d[2]))
    u, v = _fold((point[0] / hx + 1) / 2), _fold((point[1] / hy + 1) / 2)
    _fetch(world.ground, sx, sy, GROUND_LEVELS, u, v, foot * sx / (2 * hx), out)
    detail = scratch[:3]
    _fetch(
        world.textures[world.ground_layer],
        TEXELS,
        TEXELS,
        8,
        point[0] * 0.5,
        point[1] * 0.5,
        foot * 128,
        detail,
    )
    for c in range(3):
        out[c] *= detail[c] / 128.0
    shade = 1.0
    for k in range(shadows.feet.shape[0]):
        dx, dy, radius = point[0] - shadows.feet[k, 0], point[1] - shadows.feet[k, 1], shadows.feet[k, 2]
        q = 1 - (dx * dx + dy * dy) / (radius * radius)
        if q > 0.0:
            shade *= 1 - 0.5 * q * q
    return out[3] / 255.0, shade


@jit
def _lit(color, k_point, n, d, terms, world, shadows, out):  # type: ignore[no-untyped-def]
    """Light a surface: terms = (emission, gloss, roughness, occlusion, distance)."""
    emission, gloss, rough, occlusion, distance = terms
    sun, light = world.light[0], world.light
    facing = n[0] * sun[0] + n[1] * sun[1] + n[2] * sun[2]
    direct = 0.0
    if facing > 0.0:
        direct = _sunlight(k_point, n, shadows)
    highlight = 0.0
    if gloss > 0.0 and direct > 0.0:
        hx, hy, hz = sun[0] - d[0], sun[1] - d[1], sun[2] - d[2]
        q = (hx * n[0] + hy * n[1] + hz * n[2]) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
        if q > 0.0:
            for _ in range(5):
                q *= q
            highlight = 200.0 * gloss * q * direct
    fog = distance * light[5, 0]
    fog = 1.0 / (1.0 + fog * fog)
    up = 0.5 + 0.5 * n[2]
    for c in range(3):
        ambient = (light[2, c] * up + light[3, c] * (1 - up)) * occlusion
        shine = (light[1, c] * direct * facing + ambient) * rough
        value = color[c] * (shine * (1 - emission) + emission * 1.25) + highlight * light[1, c]
        out[c] = min(255.0, max(0.0, value)) * fog + light[4, c] * (1 - fog)


@jit
def _sample(prims, k, depth, o, d, pixel, world, shadows, scratch, out):  # type: ignore[no-untyped-def]
    """Write the colour seen along o + t d: primitive k, or for k = -1 the ground or the sky."""
    length = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    unit = (d[0] / length, d[1] / length, d[2] / length)
    color = scratch[3:7]
    if k < 0:
        if not (d[2] < -1e-9 and -o[2] / d[2] < 400.0):
            _sky(world.sky, unit, out)
            return
        t = -o[2] / d[2]
        point = (o[0] + t * d[0], o[1] + t * d[1], 0.0)
        wet, shade = _ground(point, unit, t * pixel, world, shadows, scratch, color)
        _lit(
            color, point, (0.0, 0.0, 1.0), unit, (0.0, 0.6 * wet, 1.0, shade, t * length), world, shadows, out
        )
        if wet > 0.02:
            mirror = scratch[7:10]
            _sky(world.sky, (unit[0], unit[1], -unit[2]), mirror)
            fresnel = wet * (0.25 + 0.6 * (1 + unit[2]) * (1 + unit[2]))
            for c in range(3):
                out[c] = out[c] * (1 - fresnel) + mirror[c] * fresnel
        return
    p = prims[k]
    point = (o[0] + depth * d[0], o[1] + depth * d[1], o[2] + depth * d[2])
    qx, qy, qz = point[0] - p[1], point[1] - p[2], point[2] - p[3]
    a = (
        p[4] * qx + p[5] * qy + p[6] * qz,
        p[7] * qx + p[8] * qy + p[9] * qz,
        p[10] * qx + p[11] * qy + p[12] * qz,
    )
    ln = _local_normal(p, a)
    n = (
        p[4] * ln[0] + p[7] * ln[1] + p[10] * ln[2],
        p[5] * ln[0] + p[8] * ln[1] + p[11] * ln[2],
        p[6] * ln[0] + p[9] * ln[1] + p[12] * ln[2],
    )
    facing = min(1.0, max(0.0, -(n[0] * unit[0] + n[1] * unit[1] + n[2] * unit[2])))
    local_d = (-ln[0] * facing, -ln[1] * facing, -ln[2] * facing)
    rough = _surface(p, a, ln, local_d, depth * pixel, world, color)
    occlusion = 0.72 + 0.28 * min(1.0, point[2] * 0.8)
    _lit(color, point, n, unit, (p[22], p[26], rough, occlusion, depth * length), world, shadows, out)


@jit
def shade(prims, view, supersample, depth, index, world, shadows, image, cover):  # type: ignore[no-untyped-def]
    """Write image [h, w, 3] and cover [objects, h, w] (samples an object holds in each pixel)."""
    samples = supersample * supersample
    done = np.empty(samples, np.int64)
    total, one, scratch = np.empty(3), np.empty(3), np.empty(10)
    pixel = supersample / view.focal
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            total[:] = 0.0
            distinct = 0
            for q in range(samples):
                ys, xs = y * supersample + q // supersample, x * supersample + q % supersample
                k = index[ys, xs]
                if k >= 0:
                    cover[int(prims[k, 21]), y, x] += 1
                seen = False
                for i in range(distinct):
                    if done[i] == k:
                        seen = True
                if seen:
                    continue
                done[distinct] = k
                distinct += 1
                count = 0
                for r in range(q, samples):
                    if index[y * supersample + r // supersample, x * supersample + r % supersample] == k:
                        count += 1
                o, d = ray(view, xs, ys)
                _sample(prims, k, depth[ys, xs], o, d, pixel, world, shadows, scratch, one)
                for c in range(3):
                    total[c] += count * one[c]
            for c in range(3):
                image[y, x, c] = np.uint8(min(255.0, total[c] / samples + 0.5))
