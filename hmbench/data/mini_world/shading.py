"""Shading of a visibility buffer: textures, one sun with shadow maps, sky and fog (numba, one thread).

Each output pixel holds supersample^2 samples; a distinct primitive among them is shaded once and weighted by its
samples, so 2 x 2 supersampling costs half more than none. See `kernels` for the rules that keep the bits stable.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import BOX, CAPSULE, ELLIPSOID, FRUSTUM, View, inlined, jit, ray, to_local

TEXELS = 256
LAYER_ROWS = sum((TEXELS >> level) ** 2 for level in range(8))
"""Rows of one layer's pyramid."""
GROUND_LEVELS = 7
GROUND_REACH = 400.0
"""Metres (along the axis) after which the ground gives way to the sky's horizon."""


class Surroundings(NamedTuple):
    """What shading needs of a scene besides its primitives."""

    textures: NDArray[np.uint8]
    """Pyramids of all layers one after another, [layers * LAYER_ROWS, 4]."""
    solid: NDArray[np.float32]
    """Volume of noise, [32, 32, 32]."""
    ground: NDArray[np.uint8]
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
    """Rows: direction to the sun, sun colour, ambient from above, ambient from below, fog colour, (fog per metre, -,
    -)."""


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
def _tap(texels, base, sx, sy, u, v):  # type: ignore[no-untyped-def]
    """Bilinear fetch of four channels; sides are powers of two."""
    x = u * sx - 0.5
    y = v * sy - 0.5
    xf, yf = np.floor(x), np.floor(y)
    fx, fy = x - xf, y - yf
    x0, y0 = int(xf) & (sx - 1), int(yf) & (sy - 1)
    x1, y1 = (x0 + 1) & (sx - 1), (y0 + 1) & (sy - 1)
    a, b = base + y0 * sx + x0, base + y0 * sx + x1
    c, d = base + y1 * sx + x0, base + y1 * sx + x1
    wa, wb, wc, wd = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    # no row views: each would count a reference
    return (
        texels[a, 0] * wa + texels[b, 0] * wb + texels[c, 0] * wc + texels[d, 0] * wd,
        texels[a, 1] * wa + texels[b, 1] * wb + texels[c, 1] * wc + texels[d, 1] * wd,
        texels[a, 2] * wa + texels[b, 2] * wb + texels[c, 2] * wc + texels[d, 2] * wd,
        texels[a, 3] * wa + texels[b, 3] * wb + texels[c, 3] * wc + texels[d, 3] * wd,
    )


@jit
def _fetch(texels, base, sx, sy, levels, u, v, footprint):  # type: ignore[no-untyped-def]
    """Trilinear fetch from the pyramid that begins at row `base`; footprint in texels of the first level."""
    level = 0
    while footprint >= 2.0 and level < levels - 1:
        footprint *= 0.5
        base += sx * sy
        sx //= 2
        sy //= 2
        level += 1
    near = _tap(texels, base, sx, sy, u, v)
    if footprint <= 1.0 or level == levels - 1:
        return near
    far = _tap(texels, base + sx * sy, sx // 2, sy // 2, u, v)
    f = min(footprint - 1.0, 1.0)
    g = 1.0 - f
    return near[0] * g + far[0] * f, near[1] * g + far[1] * f, near[2] * g + far[2] * f, near[3] * g + far[3] * f


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


@inlined
def _surface(p, a, n, facing, spread, world):  # type: ignore[no-untyped-def]
    """Return the colour of primitive p at local point a, and a factor that roughens the light of foliage."""
    rough = 1.0
    texel = (128.0, 128.0, 128.0, 128.0)
    if p[24] == 2.0:
        scale = p[17]
        near = min(1.0, 0.35 / max(spread * scale, 1e-9))
        coarse = _noise3(world.solid, a[0] * scale + p[23] * 31, a[1] * scale, a[2] * scale) - 0.5
        fine = _noise3(world.solid, a[0] * scale * 3.7, a[1] * scale * 3.7 + p[23] * 17, a[2] * scale * 3.7) - 0.5
        rough = max(0.25, 1.0 + 1.6 * min(1.0, near * 3.0) * coarse + 1.8 * near * fine)
    else:
        foot = spread / np.sqrt(max(0.15, facing)) * TEXELS * p[17]
        if p[24] == 1.0:
            u, v = _around(a[0], a[1]) * p[25], a[2] * p[17]
        elif abs(n[0]) >= abs(n[1]) and abs(n[0]) >= abs(n[2]):
            u, v = a[1] * p[17], a[2] * p[17]
        elif abs(n[1]) >= abs(n[2]):
            u, v = a[0] * p[17], a[2] * p[17]
        else:
            u, v = a[0] * p[17], a[1] * p[17]
        texel = _fetch(world.textures, int(p[16]) * LAYER_ROWS, TEXELS, TEXELS, 8, u + p[23], -v + p[23], foot)
    return (texel[0] * p[18], texel[1] * p[19], texel[2] * p[20]), rough


@jit
def _sky(sky, d):  # type: ignore[no-untyped-def]
    """Return the panorama's colour in direction d (unit length)."""
    h, w = sky.shape[0], sky.shape[1]
    x, y = d[0], d[1]
    m = max(abs(x), abs(y)) + 1e-30
    if abs(x) >= abs(y):
        side = (y / m + 1) / 2 if x > 0 else 2 + (-y / m + 1) / 2
    else:
        side = 1 + (-x / m + 1) / 2 if y > 0 else 3 + (x / m + 1) / 2
    u = side / 4 * w
    i = int(u) % w
    k = (i + 1) % w
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
def _compare(depth, x, y, z):  # type: ignore[no-untyped-def]
    """Share of the four texels around (x, y) that the sun reaches at depth z."""
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    left = (1 - fy) * (z < depth[j, i]) + fy * (z < depth[j + 1, i])
    right = (1 - fy) * (z < depth[j, i + 1]) + fy * (z < depth[j + 1, i + 1])
    return (1 - fx) * left + fx * right


@inlined
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


@inlined
def _ground(point, d, spread, world, shadows):  # type: ignore[no-untyped-def]
    """Return the ground's colour, its wetness and the contact shade of subjects."""
    sx, sy = world.ground_size
    hx, hy = world.ground_half
    foot = spread / np.sqrt(max(0.04, -d[2]))
    u, v = _fold((point[0] / hx + 1) / 2), _fold((point[1] / hy + 1) / 2)
    base = _fetch(world.ground, 0, sx, sy, GROUND_LEVELS, u, v, foot * sx / (2 * hx))
    detail = _fetch(
        world.textures, world.ground_layer * LAYER_ROWS, TEXELS, TEXELS, 8, point[0] * 0.5, point[1] * 0.5, foot * 128
    )
    shade = 1.0
    for k in range(shadows.feet.shape[0]):
        dx, dy, radius = point[0] - shadows.feet[k, 0], point[1] - shadows.feet[k, 1], shadows.feet[k, 2]
        q = 1 - (dx * dx + dy * dy) / (radius * radius)
        if q > 0.0:
            shade *= 1 - 0.5 * q * q
    scale = 1.0 / 128.0
    color = (base[0] * detail[0] * scale, base[1] * detail[1] * scale, base[2] * detail[2] * scale)
    return color, base[3] / 255.0, shade


@inlined
def _lit(color, point, n, d, terms, world, shadows):  # type: ignore[no-untyped-def]
    """Light a surface: terms = (emission, gloss, roughness, occlusion, distance)."""
    emission, gloss, rough, occlusion, distance = terms
    light = world.light
    facing = n[0] * light[0, 0] + n[1] * light[0, 1] + n[2] * light[0, 2]
    direct = 0.0
    if facing > 0.0:
        direct = _sunlight(point, n, shadows)
    highlight = 0.0
    if gloss > 0.0 and direct > 0.0:
        hx, hy, hz = light[0, 0] - d[0], light[0, 1] - d[1], light[0, 2] - d[2]
        q = (hx * n[0] + hy * n[1] + hz * n[2]) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
        if q > 0.0:
            for _ in range(5):
                q *= q
            highlight = 200.0 * gloss * q * direct
    fog = distance * light[5, 0]
    clear = 1.0 / (1.0 + fog * fog)
    up = (0.5 + 0.5 * n[2]) * occlusion
    down = (0.5 - 0.5 * n[2]) * occlusion
    sun = direct * facing
    red = (light[1, 0] * sun + light[2, 0] * up + light[3, 0] * down) * rough
    green = (light[1, 1] * sun + light[2, 1] * up + light[3, 1] * down) * rough
    blue = (light[1, 2] * sun + light[2, 2] * up + light[3, 2] * down) * rough
    dim, glow = 1 - emission, emission * 1.25
    return (
        min(255.0, color[0] * (red * dim + glow) + highlight * light[1, 0]) * clear + light[4, 0] * (1 - clear),
        min(255.0, color[1] * (green * dim + glow) + highlight * light[1, 1]) * clear + light[4, 1] * (1 - clear),
        min(255.0, color[2] * (blue * dim + glow) + highlight * light[1, 2]) * clear + light[4, 2] * (1 - clear),
    )


@jit
def _mirrored(color, sky, unit, wet):  # type: ignore[no-untyped-def]
    """Return the colour of wet ground, which mirrors the sky more the flatter it is seen."""
    mirror = _sky(sky, (unit[0], unit[1], -unit[2]))
    f = wet * (0.25 + 0.6 * (1 + unit[2]) * (1 + unit[2]))
    g = 1 - f
    return color[0] * g + mirror[0] * f, color[1] * g + mirror[1] * f, color[2] * g + mirror[2] * f


@inlined
def _thing(p, point, unit, spread, distance, world):  # type: ignore[no-untyped-def]
    """Return normal, colour and lighting terms of primitive p at a world point."""
    a = to_local(p, point[0] - p[1], point[1] - p[2], point[2] - p[3])
    ln = _local_normal(p, a)
    n = (
        p[4] * ln[0] + p[7] * ln[1] + p[10] * ln[2],
        p[5] * ln[0] + p[8] * ln[1] + p[11] * ln[2],
        p[6] * ln[0] + p[9] * ln[1] + p[12] * ln[2],
    )
    facing = -(n[0] * unit[0] + n[1] * unit[1] + n[2] * unit[2])
    color, rough = _surface(p, a, ln, facing, spread, world)
    occlusion = 0.72 + 0.28 * min(1.0, point[2] * 0.8)
    return n, color, (p[22], p[26], rough, occlusion, distance)


@jit
def shade(prims, view, supersample, depth, index, world, shadows, image, labels):  # type: ignore[no-untyped-def]
    """Write image [h, w, 3] and labels [h, w]: the object with most samples where objects hold half of them, else 0."""
    samples = supersample * supersample
    kinds, counts, firsts = np.empty(samples, np.int64), np.empty(samples, np.int64), np.empty(samples, np.int64)
    pixel = supersample / view.focal
    share = 1.0 / samples
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            red, green, blue = 0.0, 0.0, 0.0
            distinct = 0
            for q in range(samples):
                k = index[y * supersample + q // supersample, x * supersample + q % supersample]
                for i in range(distinct):
                    if kinds[i] == k:
                        counts[i] += 1
                        break
                else:
                    kinds[distinct], counts[distinct], firsts[distinct] = k, 1, q
                    distinct += 1
            labels[y, x] = _label(prims, kinds, counts, distinct, samples)
            for i in range(distinct):
                k, q = kinds[i], firsts[i]
                ys, xs = y * supersample + q // supersample, x * supersample + q % supersample
                o, d = ray(view, xs, ys)
                length = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
                inverse = 1.0 / length
                unit = (d[0] * inverse, d[1] * inverse, d[2] * inverse)
                t, wet = depth[ys, xs], 0.0
                if k < 0:
                    t = -o[2] / d[2] if d[2] < -1e-9 else GROUND_REACH
                if t >= GROUND_REACH:
                    color = _sky(world.sky, unit)
                else:
                    point = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
                    if k >= 0:
                        n, base, terms = _thing(prims[k], point, unit, t * pixel, t * length, world)
                    else:
                        base, wet, shaded = _ground(point, unit, t * pixel, world, shadows)
                        n, terms = (0.0, 0.0, 1.0), (0.0, 0.6 * wet, 1.0, shaded, t * length)
                    color = _lit(base, point, n, unit, terms, world, shadows)
                    if wet > 0.02:
                        color = _mirrored(color, world.sky, unit, wet)
                red += counts[i] * color[0]
                green += counts[i] * color[1]
                blue += counts[i] * color[2]
            image[y, x, 0] = np.uint8(min(255.0, max(0.0, red * share + 0.5)))
            image[y, x, 1] = np.uint8(min(255.0, max(0.0, green * share + 0.5)))
            image[y, x, 2] = np.uint8(min(255.0, max(0.0, blue * share + 0.5)))


@jit
def _label(prims, kinds, counts, distinct, samples):  # type: ignore[no-untyped-def]
    """Return the object that holds most of a pixel's samples, if objects hold at least half; ties go to the lower."""
    held, best, most = 0, 0, 0
    for i in range(distinct):
        if kinds[i] < 0 or prims[kinds[i], 21] == 0.0:
            continue
        label, own = int(prims[kinds[i], 21]), 0
        for j in range(distinct):
            if kinds[j] >= 0 and int(prims[kinds[j], 21]) == label:
                own += counts[j]
        held += counts[i]
        if own > most or (own == most and label < best):
            best, most = label, own
    return best if held * 2 >= samples else 0
