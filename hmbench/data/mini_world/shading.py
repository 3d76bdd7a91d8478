"""Shading of a visibility buffer: textures, one sun with shadow maps, sky and fog (numba, one thread).

Each output pixel holds supersample^2 samples; a distinct primitive among them is shaded once and weighted by its
samples, so 2 x 2 supersampling costs half more than none. See `kernels` for the rules that keep the bits stable, and
`sampling` for the lookups.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import BOX, CAPSULE, ELLIPSOID, FRUSTUM, View, entry, inlined, jit, ray, to_local
from hmbench.data.mini_world.sampling import around, compare, fetch, fold, noise3, panorama

TEXELS = 256
LAYER_ROWS = sum((TEXELS >> level) ** 2 for level in range(8))
"""Rows of one layer's pyramid."""
GROUND_LEVELS = 7
GROUND_REACH = 400.0
"""Metres (along the axis) after which the ground gives way to the sky's horizon."""


class Surroundings(NamedTuple):
    """What shading needs of a scene besides its primitives."""

    textures: NDArray[np.uint32]
    """Pyramids of all layers one after another, packed, [layers * LAYER_ROWS]."""
    solid: NDArray[np.float32]
    """Volume of noise, [32, 32, 32]."""
    ground: NDArray[np.uint32]
    """Pyramid of the ground map, packed, [texels]: colour and wetness."""
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


def shade(
    prims: NDArray[np.float64], view: View, supersample: int, visible: tuple[NDArray[np.float64], NDArray[np.int32]],
    world: Surroundings, shadows: Shadows, image: NDArray[np.uint8], labels: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Write image [h, w, 3] and labels [h, w]: the object that holds at least half of the samples, else 0.

    Args:
        prims: Primitives.
        view: The camera's, over samples.
        supersample: Samples a pixel along each axis.
        visible: Depth and primitive (or -1) of every sample.
        world: The scene's surroundings.
        shadows: Shadow maps.
        image: Written.
        labels: Written.
    """
    parts = np.empty((supersample * supersample, 4), np.int64)
    _shade(prims, view, supersample, *visible, world, shadows, image, labels, parts)


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
        coarse = noise3(world.solid, a[0] * scale + p[23] * 31, a[1] * scale, a[2] * scale) - 0.5
        fine = noise3(world.solid, a[0] * scale * 3.7, a[1] * scale * 3.7 + p[23] * 17, a[2] * scale * 3.7) - 0.5
        rough = max(0.25, 1.0 + 1.6 * min(1.0, near * 3.0) * coarse + 1.8 * near * fine)
    else:
        foot = spread / np.sqrt(max(0.15, facing)) * TEXELS * p[17]
        if p[24] == 1.0:
            u, v = around(a[0], a[1]) * p[25], a[2] * p[17]
        elif abs(n[0]) >= abs(n[1]) and abs(n[0]) >= abs(n[2]):
            u, v = a[1] * p[17], a[2] * p[17]
        elif abs(n[1]) >= abs(n[2]):
            u, v = a[0] * p[17], a[2] * p[17]
        else:
            u, v = a[0] * p[17], a[1] * p[17]
        texel = fetch(world.textures, int(p[16]) * LAYER_ROWS, TEXELS, TEXELS, 8, u + p[23], -v + p[23], foot)
    return (texel[0] * p[18], texel[1] * p[19], texel[2] * p[20]), rough


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
        light = compare(shadows.static, tx, ty, z)
    small = shadows.subjects.shape[1]
    for k in range(shadows.subjects.shape[0]):
        tx = (x - shadows.origins[k, 0]) * shadows.scale - 0.5
        ty = (y - shadows.origins[k, 1]) * shadows.scale - 0.5
        if light > 0.0 and 0 <= tx < small - 1 and 0 <= ty < small - 1:
            light = min(light, compare(shadows.subjects[k], tx, ty, z))
    return light


@inlined
def _ground(point, d, spread, world, shadows):  # type: ignore[no-untyped-def]
    """Return the ground's colour, its wetness and the contact shade of subjects."""
    sx, sy = world.ground_size
    hx, hy = world.ground_half
    foot = spread / np.sqrt(max(0.04, -d[2]))
    u, v = fold((point[0] / hx + 1) / 2), fold((point[1] / hy + 1) / 2)
    base = fetch(world.ground, 0, sx, sy, GROUND_LEVELS, u, v, foot * sx / (2 * hx))
    detail = fetch(
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
    mirror = panorama(sky, (unit[0], unit[1], -unit[2]))
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


@entry
def _shade(prims, view, supersample, depth, index, world, shadows, image, labels, parts):  # type: ignore[no-untyped-def]
    samples, pixel = supersample * supersample, supersample / view.focal
    share = 1.0 / samples
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            corner = (y * supersample, x * supersample)
            distinct = _parts(index, corner, supersample, parts)
            labels[y, x] = _label(prims, parts, distinct, samples)
            red, green, blue = 0.0, 0.0, 0.0
            for i in range(distinct):
                k, count = parts[i, 0], parts[i, 1]
                ys, xs = corner[0] + parts[i, 2], corner[1] + parts[i, 3]
                color = _color(prims, k, ray(view, xs, ys), depth[ys, xs], pixel, world, shadows)
                red += count * color[0]
                green += count * color[1]
                blue += count * color[2]
            image[y, x, 0] = np.uint8(min(255.0, max(0.0, red * share + 0.5)))
            image[y, x, 1] = np.uint8(min(255.0, max(0.0, green * share + 0.5)))
            image[y, x, 2] = np.uint8(min(255.0, max(0.0, blue * share + 0.5)))


@inlined
def _color(prims, k, beam, t, pixel, world, shadows):  # type: ignore[no-untyped-def]
    """Return the colour of a sample that shows primitive k at depth t; k < 0 is the ground or the sky."""
    o, d = beam
    length = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    inverse = 1.0 / length
    unit = (d[0] * inverse, d[1] * inverse, d[2] * inverse)
    wet = 0.0
    if k < 0:
        t = -o[2] / d[2] if d[2] < -1e-9 else GROUND_REACH
    if t >= GROUND_REACH:
        return panorama(world.sky, unit)
    point = (o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2])
    if k >= 0:
        n, base, terms = _thing(prims[k], point, unit, t * pixel, t * length, world)
    else:
        base, wet, shaded = _ground(point, unit, t * pixel, world, shadows)
        n, terms = (0.0, 0.0, 1.0), (0.0, 0.6 * wet, 1.0, shaded, t * length)
    color = _lit(base, point, n, unit, terms, world, shadows)
    if wet > 0.02:
        color = _mirrored(color, world.sky, unit, wet)
    return color


@inlined
def _parts(index, corner, supersample, parts):  # type: ignore[no-untyped-def]
    """Write (primitive, samples, row and column of the first) of what a pixel holds; return how many there are."""
    first, same = index[corner[0], corner[1]], True
    for j in range(supersample):
        for i in range(supersample):
            same &= index[corner[0] + j, corner[1] + i] == first
    if same:
        parts[0, 0], parts[0, 1], parts[0, 2], parts[0, 3] = first, supersample * supersample, 0, 0
        return 1
    distinct = 0
    for j in range(supersample):
        for i in range(supersample):
            k, n = index[corner[0] + j, corner[1] + i], 0
            while n < distinct and parts[n, 0] != k:
                n += 1
            if n < distinct:
                parts[n, 1] += 1
            else:
                parts[n, 0], parts[n, 1], parts[n, 2], parts[n, 3] = k, 1, j, i
                distinct += 1
    return distinct


@inlined
def _label(prims, parts, distinct, samples):  # type: ignore[no-untyped-def]
    """Return the object that holds at least half of a pixel's samples, else 0; ties go to the lower."""
    if distinct == 1:
        return 0 if parts[0, 0] < 0 else int(prims[parts[0, 0], 21])
    best, most = 0, 0
    for i in range(distinct):
        if parts[i, 0] < 0 or prims[parts[i, 0], 21] == 0.0:
            continue
        label, own = int(prims[parts[i, 0], 21]), 0
        for j in range(distinct):
            if parts[j, 0] >= 0 and int(prims[parts[j, 0], 21]) == label:
                own += parts[j, 1]
        if own > most or (own == most and label < best):
            best, most = label, own
    return best if most * 2 >= samples else 0
