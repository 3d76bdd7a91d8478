"""Analytic primitives: where a ray enters them, and the part of the screen that they can touch (numba, one thread).

No `fastmath`, no libm call in a pixel loop: the same bits come out with and without SIMD or FMA. Kernels do not count
references and so cannot allocate: counting, an atomic operation for every array in a named tuple, cost a third of the
time. Callers bring the buffers. A division by zero gives an infinity, as in numpy, which keeps loops free of branches.

A primitive is a row of `ROW` numbers (see `primitives.py`); its shapes live in local axes:

    BOX        half sizes s0, s1, s2
    ELLIPSOID  radii s0, s1, s2
    CAPSULE    radius s0, half length s2 between the two centres, along local z
    FRUSTUM    radius s0 at local z = -s2 and s1 at +s2, flat ends
    GABLE      a prism: half length s0 along x, half width s1 at the bottom, ridge at local z = +s2 above y = 0

Camera z is the ray parameter (a ray's direction has z = 1 in the camera), so the depth map is free and exact.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.jit import nb

BOX, ELLIPSOID, CAPSULE, FRUSTUM, GABLE = range(5)
FAR = 1e30

# `_nrt` is numba's own name for reference counts; it has no public one
_RULES: dict[str, Any] = {"fastmath": False, "boundscheck": False, "error_model": "numpy", "_nrt": False}
jit = nb.njit(**_RULES)
inlined = nb.njit(**_RULES, forceinline=True)
"""For functions that take named tuples: they are passed field by field through memory otherwise."""
entry = nb.njit(**_RULES, cache=True)
"""For what Python calls. Only this is cached: a function from the cache cannot be inlined into one that is compiled."""


class View(NamedTuple):
    """A pinhole or orthographic view of the world; `rotation` is camera-to-world with OpenCV axes."""

    eye: NDArray[np.float64]
    rotation: NDArray[np.float64]
    focal: float
    inverse: float
    """1 / focal: a product a sample instead of a division."""
    cx: float
    cy: float
    near: float
    ortho: bool


@jit
def _slab(a, b, h, t0, t1):  # type: ignore[no-untyped-def]
    if abs(b) < 1e-12:
        return (t0, t1) if abs(a) <= h else (1.0, 0.0)
    u = (-h - a) / b
    v = (h - a) / b
    if u > v:
        u, v = v, u
    return max(t0, u), min(t1, v)


@jit
def _half_space(distance, slope, t0, t1):  # type: ignore[no-untyped-def]
    """Clip the interval to distance + t * slope <= 0."""
    if abs(slope) < 1e-12:
        return (t0, t1) if distance <= 0.0 else (1.0, 0.0)
    t = -distance / slope
    return (t0, min(t1, t)) if slope > 0.0 else (max(t0, t), t1)


@jit
def _hit_convex(p, a, b, tmin):  # type: ignore[no-untyped-def]
    """Box or gable; a camera inside sees through it, because only entry points count."""
    t0, t1 = _slab(a[0], b[0], p[13], -FAR, FAR)
    if p[0] == BOX:
        t0, t1 = _slab(a[1], b[1], p[14], t0, t1)
        t0, t1 = _slab(a[2], b[2], p[15], t0, t1)
    else:
        w, h = p[14], p[15]
        t0, t1 = _half_space(-h - a[2], -b[2], t0, t1)
        t0, t1 = _half_space(2 * h * a[1] + w * a[2] - w * h, 2 * h * b[1] + w * b[2], t0, t1)
        t0, t1 = _half_space(-2 * h * a[1] + w * a[2] - w * h, -2 * h * b[1] + w * b[2], t0, t1)
    return t0 if tmin < t0 <= t1 else FAR


@jit
def _hit_ellipsoid(p, a, b, tmin):  # type: ignore[no-untyped-def]
    ax, ay, az = a[0] / p[13], a[1] / p[14], a[2] / p[15]
    bx, by, bz = b[0] / p[13], b[1] / p[14], b[2] / p[15]
    qa = bx * bx + by * by + bz * bz
    qb = ax * bx + ay * by + az * bz
    disc = qb * qb - qa * (ax * ax + ay * ay + az * az - 1.0)
    if disc < 0.0:
        return FAR
    t = (-qb - np.sqrt(disc)) / qa
    return t if t > tmin else FAR


@jit
def _hit_capsule(p, a, b, tmin):  # type: ignore[no-untyped-def]
    r, h = p[13], p[15]
    best = FAR
    qa = b[0] * b[0] + b[1] * b[1]
    qb = a[0] * b[0] + a[1] * b[1]
    qc = a[0] * a[0] + a[1] * a[1] - r * r
    disc = qb * qb - qa * qc
    if disc < 0.0:
        return FAR
    if qa > 1e-14:
        t = (-qb - np.sqrt(disc)) / qa
        z = a[2] + t * b[2]
        if t > tmin and -h <= z <= h:
            return t
    for end in range(2):
        z = a[2] + h if end == 0 else a[2] - h
        sa = qa + b[2] * b[2]
        sb = qb + b[2] * z
        disc = sb * sb - sa * (qc + z * z)
        if disc >= 0.0:
            t = (-sb - np.sqrt(disc)) / sa
            if tmin < t < best:
                best = t
    return best


@jit
def _hit_frustum(p, a, b, tmin):  # type: ignore[no-untyped-def]
    h = p[15]
    k = (p[14] - p[13]) / (2.0 * h)
    ra = p[13] + k * (a[2] + h)
    rb = k * b[2]
    best = FAR
    qa = b[0] * b[0] + b[1] * b[1] - rb * rb
    qb = a[0] * b[0] + a[1] * b[1] - ra * rb
    disc = qb * qb - qa * (a[0] * a[0] + a[1] * a[1] - ra * ra)
    if disc >= 0.0 and abs(qa) > 1e-14:
        root = np.sqrt(disc)
        for s in range(2):
            t = (-qb - root) / qa if s == 0 else (-qb + root) / qa
            # entering side only: the outward normal must face the ray
            facing = (a[0] + t * b[0]) * b[0] + (a[1] + t * b[1]) * b[1] - (ra + t * rb) * rb
            if tmin < t < best and abs(a[2] + t * b[2]) <= h and ra + t * rb >= 0.0 and facing < 0.0:
                best = t
    if abs(b[2]) > 1e-12:
        end = -h if b[2] > 0.0 else h
        r = p[13] if b[2] > 0.0 else p[14]
        t = (end - a[2]) / b[2]
        x, y = a[0] + t * b[0], a[1] + t * b[1]
        if tmin < t < best and x * x + y * y <= r * r:
            best = t
    return best


@inlined
def to_local(p, x, y, z):  # type: ignore[no-untyped-def]
    """Return a world vector in p's axes."""
    return (
        p[4] * x + p[5] * y + p[6] * z,
        p[7] * x + p[8] * y + p[9] * z,
        p[10] * x + p[11] * y + p[12] * z,
    )


@jit
def hit_local(p, a, b, tmin):  # type: ignore[no-untyped-def]
    """Return the ray parameter where a + t b, in p's axes, enters p, or FAR."""
    kind = p[0]
    if kind in (BOX, GABLE):
        return _hit_convex(p, a, b, tmin)
    if kind == ELLIPSOID:
        return _hit_ellipsoid(p, a, b, tmin)
    if kind == CAPSULE:
        return _hit_capsule(p, a, b, tmin)
    return _hit_frustum(p, a, b, tmin)


@jit
def hit(p, o, d, tmin):  # type: ignore[no-untyped-def]
    """Return the ray parameter where the world ray o + t d enters primitive p, or FAR."""
    a = to_local(p, o[0] - p[1], o[1] - p[2], o[2] - p[3])
    return hit_local(p, a, to_local(p, d[0], d[1], d[2]), tmin)


@inlined
def ray(view, x, y):  # type: ignore[no-untyped-def]
    """Return origin and direction of the ray through sample (x, y)."""
    e, r = view.eye, view.rotation
    u = (x + 0.5 - view.cx) * view.inverse
    v = (y + 0.5 - view.cy) * view.inverse
    side = (r[0, 0] * u + r[0, 1] * v, r[1, 0] * u + r[1, 1] * v, r[2, 0] * u + r[2, 1] * v)
    if view.ortho:
        return (e[0] + side[0], e[1] + side[1], e[2] + side[2]), (r[0, 2], r[1, 2], r[2, 2])
    return (e[0], e[1], e[2]), (side[0] + r[0, 2], side[1] + r[1, 2], side[2] + r[2, 2])


@inlined
def _corners(p, view, out):  # type: ignore[no-untyped-def]
    """Write the 8 corners of p's bounding box in camera axes."""
    hx, hy, hz = p[13], p[14], p[15]
    if p[0] == CAPSULE:
        hy, hz = hx, hz + hx
    elif p[0] == FRUSTUM:
        hx = max(hx, hy)
        hy = hx
    r = view.rotation
    for c in range(8):
        lx = hx if c & 1 else -hx
        ly = hy if c & 2 else -hy
        lz = hz if c & 4 else -hz
        wx = p[1] + p[4] * lx + p[7] * ly + p[10] * lz - view.eye[0]
        wy = p[2] + p[5] * lx + p[8] * ly + p[11] * lz - view.eye[1]
        wz = p[3] + p[6] * lx + p[9] * ly + p[12] * lz - view.eye[2]
        for j in range(3):
            out[c, j] = r[0, j] * wx + r[1, j] * wy + r[2, j] * wz


@inlined
def screen_box(p, view, corners):  # type: ignore[no-untyped-def]
    """Return (x0, x1, y0, y1, nearest depth) of p's screen box; x0 > x1 when all of it is behind the near plane.

    Edges are clipped at the near plane for the box alone; pixels are decided by rays.
    """
    _corners(p, view, corners)
    x0, x1, y0, y1, zmin = FAR, -FAR, FAR, -FAR, FAR
    f, near = view.focal, view.near
    for c in range(8):
        z = corners[c, 2]
        zmin = min(zmin, z)
        if view.ortho or z > near:
            w = 1.0 if view.ortho else z
            x, y = view.cx + f * corners[c, 0] / w, view.cy + f * corners[c, 1] / w
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        if view.ortho:
            continue
        for bit in (1, 2, 4):
            e = c ^ bit
            if e > c and (z > near) != (corners[e, 2] > near):
                s = (near - z) / (corners[e, 2] - z)
                x = view.cx + f * (corners[c, 0] + s * (corners[e, 0] - corners[c, 0])) / near
                y = view.cy + f * (corners[c, 1] + s * (corners[e, 1] - corners[c, 1])) / near
                x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return x0, x1, y0, y1, max(zmin, near)
