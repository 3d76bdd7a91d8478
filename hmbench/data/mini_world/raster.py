"""Visibility: primitives ray-tested inside their screen boxes into a z-buffer (numba, one thread).

Nearly all of it is done in pieces of rows, in loops without a branch, so that the compiler tests several samples at a
time. The arithmetic of a sample is that of `kernels.hit`, operation by operation: a vector unit rounds each lane as the
scalar unit does, so the bits are the same. What is rare (gables) or outside the frame's loop (orthographic views) takes
the scalar path.
"""

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import (
    BOX,
    CAPSULE,
    ELLIPSOID,
    FAR,
    GABLE,
    View,
    entry,
    hit_local,
    inlined,
    jit,
    screen_box,
    to_local,
)

PIECE = 32
"""Samples that are skipped together when something nearer covers all of them."""
Order = NDArray[np.int64]
Depth = NDArray[np.float64]
Index = NDArray[np.int32]


def visibility(prims: Depth, order: Order, view: View, depth: Depth, index: Index) -> None:
    """Draw prims[order] into depth (camera z) and index (row of prims); both [h, w], filled by the caller.

    Nothing shows below the ground plane z = 0, where feet and trunks may reach.
    """
    _draw_all(prims, order, view, False, (np.empty((8, 3)), np.empty(depth.shape[1])), depth, index)


def cover(prims: Depth, order: Order, view: View, depth: Depth) -> None:
    """Like `visibility`, but for samples whose depth is still FAR only: what is covered at all, not by what."""
    index = np.empty(depth.shape, np.int32)
    _draw_all(prims, order, view, True, (np.empty((8, 3)), np.empty(depth.shape[1])), depth, index)


def bounds(prims: Depth, order: Order, view: View, h: int, w: int) -> tuple[int, int, int, int]:
    """Return (x0, x1, y0, y1) of the samples that prims[order] can touch; empty when x0 >= x1."""
    out: tuple[int, int, int, int] = _bounds(prims, order, view, h, w, np.empty((8, 3)))
    return out


@entry
def _draw_all(prims, order, view, once, scratch, depth, index):  # type: ignore[no-untyped-def]
    h, w = depth.shape
    corners, us = scratch
    for x in range(w):
        us[x] = (x + 0.5 - view.cx) * view.inverse
    for n in range(len(order)):
        k = order[n]
        x0, x1, y0, y1, nearest = screen_box(prims[k], view, corners)
        if x0 > x1 or x1 < 0 or y1 < 0 or x0 > w or y0 > h:
            continue
        left, right = int(max(0, x0 - 1)), int(min(w - 1, x1 + 1)) + 1
        top, bottom = int(max(0, y0 - 1)), int(min(h - 1, y1 + 1)) + 1
        area = (left, right, top, bottom, 0.5 * FAR if once else nearest)
        if view.ortho or prims[k, 0] == GABLE:
            _draw(prims[k], k, view, area, us, depth, index)
        else:
            _draw_rows(prims[k], k, view, area, us, depth, index)


@entry
def _bounds(prims, order, view, h, w, corners):  # type: ignore[no-untyped-def]
    out = (w, 0, h, 0)
    for n in range(len(order)):
        x0, x1, y0, y1, _ = screen_box(prims[order[n]], view, corners)
        if x0 <= x1 and x1 >= 0 and y1 >= 0 and x0 <= w and y0 <= h:
            left, right = int(max(0, x0 - 1)), int(min(w - 1, x1 + 1)) + 1
            top, bottom = int(max(0, y0 - 1)), int(min(h - 1, y1 + 1)) + 1
            out = (min(out[0], left), max(out[1], right), min(out[2], top), max(out[3], bottom))
    return out


@inlined
def _axes(p, view):  # type: ignore[no-untyped-def]
    """Return in p's axes: the eye, and the view's right, down and ahead; rays are linear in them."""
    e, r = view.eye, view.rotation
    return (
        to_local(p, e[0] - p[1], e[1] - p[2], e[2] - p[3]),
        to_local(p, r[0, 0], r[1, 0], r[2, 0]),
        to_local(p, r[0, 1], r[1, 1], r[2, 1]),
        to_local(p, r[0, 2], r[1, 2], r[2, 2]),
    )


@inlined
def _draw(p, k, view, area, us, depth, index):  # type: ignore[no-untyped-def]
    """Test p sample by sample in area = (x0, x1, y0, y1, nearest depth of p); us are the columns' rays."""
    origin, across, down, ahead = _axes(p, view)
    r = view.rotation
    left, right, top, bottom, nearest = area
    for y in range(top, bottom):
        v = (y + 0.5 - view.cy) * view.inverse
        row = (down[0] * v, down[1] * v, down[2] * v)
        for x in range(left, right):
            if depth[y, x] <= nearest:
                continue
            u = us[x]
            shift = (row[0] + across[0] * u, row[1] + across[1] * u, row[2] + across[2] * u)
            if view.ortho:
                a = (origin[0] + shift[0], origin[1] + shift[1], origin[2] + shift[2])
                t = hit_local(p, a, ahead, view.near)
            else:
                b = (ahead[0] + shift[0], ahead[1] + shift[1], ahead[2] + shift[2])
                t = hit_local(p, origin, b, view.near)
            if t < depth[y, x] and (view.ortho or view.eye[2] + t * (r[2, 0] * u + r[2, 1] * v + r[2, 2]) >= 0.0):
                depth[y, x] = t
                index[y, x] = k


@inlined
def _draw_rows(p, k, view, area, us, depth, index):  # type: ignore[no-untyped-def]
    """Do what `_draw` does, in pieces of rows, for a perspective view and anything but a gable."""
    origin, across, down, ahead = _axes(p, view)
    r = view.rotation
    left, right, top, bottom, nearest = area
    for y in range(top, bottom):
        v = (y + 0.5 - view.cy) * view.inverse
        rays = (origin, ahead, (down[0] * v, down[1] * v, down[2] * v), across)
        limits = (nearest, view.near, (view.eye[2], r[2, 0], r[2, 1] * v, r[2, 2]))
        _draw_row(p, k, rays, limits, us[left:right], depth[y, left:right], index[y, left:right])


@jit
def _draw_row(p, k, rays, limits, us, depth, index):  # type: ignore[no-untyped-def]
    """Test p along a row.

    Args:
        p: The primitive, not a gable.
        k: Its number.
        rays: In p's axes: the eye, the ray's direction ahead and what the row adds to it, and how it grows with u.
        limits: Nearest depth of p, near plane, and the height of a ray's point: (eye, per u, of the row, ahead).
        us: Columns on the image plane.
        depth: Depths of the row.
        index: Numbers of the primitives of the row.
    """
    for start in range(0, len(us), PIECE):
        stop = min(start + PIECE, len(us))
        u, d, i = us[start:stop], depth[start:stop], index[start:stop]
        uncovered = 0
        for x in range(len(d)):
            uncovered += d[x] > limits[0]
        if uncovered == 0:
            continue
        if p[0] == BOX:
            _box(p, k, rays, limits, u, d, i)
        elif p[0] == ELLIPSOID:
            _ellipsoid(p, k, rays, limits, u, d, i)
        elif p[0] == CAPSULE:
            _capsule(p, k, rays, limits, u, d, i)
        else:
            _frustum(p, k, rays, limits, u, d, i)


@jit
def _slab(a, b, h):  # type: ignore[no-untyped-def]
    """Return (enters, leaves) of one pair of faces."""
    u, v = (-h - a) / b, (h - a) / b
    low, high = (v if u > v else u), (u if u > v else v)
    flat = abs(b) < 1e-12
    out = abs(a) > h
    return (1.0 if out else -FAR) if flat else low, (0.0 if out else FAR) if flat else high


@jit
def _box(p, k, rays, limits, us, depth, index):  # type: ignore[no-untyped-def]
    a, ahead, row, across = rays
    nearest, near, (eye, side, down, front) = limits
    h0, h1, h2 = p[13], p[14], p[15]
    for x in range(len(us)):
        u = us[x]
        u0, v0 = _slab(a[0], ahead[0] + (row[0] + across[0] * u), h0)
        u1, v1 = _slab(a[1], ahead[1] + (row[1] + across[1] * u), h1)
        u2, v2 = _slab(a[2], ahead[2] + (row[2] + across[2] * u), h2)
        t = u1 if u1 > u0 else u0
        t = u2 if u2 > t else t
        leave = v1 if v1 < v0 else v0
        leave = v2 if v2 < leave else leave
        d = depth[x]
        ok = (d > nearest) & (t > near) & (t <= leave) & (t < d) & (eye + t * (side * u + down + front) >= 0.0)
        depth[x] = t if ok else d
        index[x] = k if ok else index[x]


@jit
def _ellipsoid(p, k, rays, limits, us, depth, index):  # type: ignore[no-untyped-def]
    a, ahead, row, across = rays
    nearest, near, (eye, side, down, front) = limits
    r0, r1, r2 = p[13], p[14], p[15]
    ax, ay, az = a[0] / r0, a[1] / r1, a[2] / r2
    qc = ax * ax + ay * ay + az * az - 1.0
    for x in range(len(us)):
        u = us[x]
        bx = (ahead[0] + (row[0] + across[0] * u)) / r0
        by = (ahead[1] + (row[1] + across[1] * u)) / r1
        bz = (ahead[2] + (row[2] + across[2] * u)) / r2
        qa = bx * bx + by * by + bz * bz
        qb = ax * bx + ay * by + az * bz
        disc = qb * qb - qa * qc
        t = (-qb - np.sqrt(disc)) / qa
        d = depth[x]
        ok = (d > nearest) & (disc >= 0.0) & (t > near) & (t < d) & (eye + t * (side * u + down + front) >= 0.0)
        depth[x] = t if ok else d
        index[x] = k if ok else index[x]


@jit
def _capsule(p, k, rays, limits, us, depth, index):  # type: ignore[no-untyped-def]
    a, ahead, row, across = rays
    nearest, near, (eye, side, down, front) = limits
    r, h = p[13], p[15]
    qc = a[0] * a[0] + a[1] * a[1] - r * r
    z0, z1 = a[2] + h, a[2] - h
    for x in range(len(us)):
        u = us[x]
        b0 = ahead[0] + (row[0] + across[0] * u)
        b1 = ahead[1] + (row[1] + across[1] * u)
        b2 = ahead[2] + (row[2] + across[2] * u)
        qa = b0 * b0 + b1 * b1
        qb = a[0] * b0 + a[1] * b1
        disc = qb * qb - qa * qc
        wall = (-qb - np.sqrt(disc)) / qa
        z = a[2] + wall * b2
        on_wall = (qa > 1e-14) & (wall > near) & (-h <= z) & (z <= h)
        sa = qa + b2 * b2
        sb = qb + b2 * z0
        root = sb * sb - sa * (qc + z0 * z0)
        t = (-sb - np.sqrt(root)) / sa
        cap = t if (root >= 0.0) & (t > near) & (t < FAR) else FAR
        sb = qb + b2 * z1
        root = sb * sb - sa * (qc + z1 * z1)
        t = (-sb - np.sqrt(root)) / sa
        cap = t if (root >= 0.0) & (t > near) & (t < cap) else cap
        t = wall if on_wall else cap
        d = depth[x]
        ok = (d > nearest) & (disc >= 0.0) & (t < d) & (eye + t * (side * u + down + front) >= 0.0)
        depth[x] = t if ok else d
        index[x] = k if ok else index[x]


@jit
def _frustum(p, k, rays, limits, us, depth, index):  # type: ignore[no-untyped-def]
    a, ahead, row, across = rays
    nearest, near, (eye, side, down, front) = limits
    h = p[15]
    slope = (p[14] - p[13]) / (2.0 * h)
    ra = p[13] + slope * (a[2] + h)
    qc = a[0] * a[0] + a[1] * a[1] - ra * ra
    bottom, top = p[13], p[14]
    for x in range(len(us)):
        u = us[x]
        b0 = ahead[0] + (row[0] + across[0] * u)
        b1 = ahead[1] + (row[1] + across[1] * u)
        b2 = ahead[2] + (row[2] + across[2] * u)
        rb = slope * b2
        qa = b0 * b0 + b1 * b1 - rb * rb
        qb = a[0] * b0 + a[1] * b1 - ra * rb
        disc = qb * qb - qa * qc
        root = np.sqrt(disc)
        round_ = (disc >= 0.0) & (abs(qa) > 1e-14)
        t = (-qb - root) / qa
        r = ra + t * rb
        facing = (a[0] + t * b0) * b0 + (a[1] + t * b1) * b1 - r * rb
        best = t if round_ & (t > near) & (t < FAR) & (abs(a[2] + t * b2) <= h) & (r >= 0.0) & (facing < 0.0) else FAR
        t = (-qb + root) / qa
        r = ra + t * rb
        facing = (a[0] + t * b0) * b0 + (a[1] + t * b1) * b1 - r * rb
        best = t if round_ & (t > near) & (t < best) & (abs(a[2] + t * b2) <= h) & (r >= 0.0) & (facing < 0.0) else best
        end = -h if b2 > 0.0 else h
        r = bottom if b2 > 0.0 else top
        t = (end - a[2]) / b2
        px, py = a[0] + t * b0, a[1] + t * b1
        best = t if (abs(b2) > 1e-12) & (t > near) & (t < best) & (px * px + py * py <= r * r) else best
        d = depth[x]
        ok = (d > nearest) & (best < d) & (eye + best * (side * u + down + front) >= 0.0)
        depth[x] = best if ok else d
        index[x] = k if ok else index[x]
