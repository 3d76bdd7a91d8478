"""Rows against single rays: the branchless loops give the bits of the plain tests, whatever the primitive."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import BOX, CAPSULE, ELLIPSOID, FAR, FRUSTUM, GABLE, View, hit_local, to_local
from hmbench.data.mini_world.primitives import ROW
from hmbench.data.mini_world.raster import bounds, cover, visibility

H, W = 40, 70


@nb.njit
def _plain(prims, eye, r, inverse, depth, index):
    for k in range(len(prims)):
        p = prims[k]
        a = to_local(p, eye[0] - p[1], eye[1] - p[2], eye[2] - p[3])
        across, down = to_local(p, r[0, 0], r[1, 0], r[2, 0]), to_local(p, r[0, 1], r[1, 1], r[2, 1])
        ahead = to_local(p, r[0, 2], r[1, 2], r[2, 2])
        for y in range(H):
            v = (y + 0.5 - H / 2) * inverse
            for x in range(W):
                u = (x + 0.5 - W / 2) * inverse
                b = (
                    ahead[0] + (down[0] * v + across[0] * u),
                    ahead[1] + (down[1] * v + across[1] * u),
                    ahead[2] + (down[2] * v + across[2] * u),
                )
                t = hit_local(p, a, b, 0.1)
                if t < depth[y, x] and eye[2] + t * (r[2, 0] * u + r[2, 1] * v + r[2, 2]) >= 0.0:
                    depth[y, x], index[y, x] = t, k


def _things(kind: int, generator: np.random.Generator, *, upright: bool) -> NDArray[np.float64]:
    out = np.zeros((60, ROW))
    out[:, 0] = kind
    out[:, 1:4] = generator.uniform((2, -3, -0.5), (12, 3, 2.5), (60, 3))
    out[0, 1:4] = (0, 0, 1)  # around the camera
    for row in out:
        turned, _ = np.linalg.qr(generator.normal(size=(3, 3)))
        row[4:13] = (np.eye(3) if upright else turned).ravel()
    out[:, 13:16] = generator.uniform(0.05, 0.9, (60, 3))
    return out


def _view(*, yaw: float) -> View:
    c, s = np.cos(yaw), np.sin(yaw)
    rotation = np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, -1.0, 0.0]])
    return View(np.array([0.0, 0.0, 1.0]), rotation, 60.0, 1 / 60.0, W / 2, H / 2, 0.1, False)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("kind", [BOX, ELLIPSOID, CAPSULE, FRUSTUM, GABLE])
def test_rows_have_the_bits_of_single_rays(kind: int, upright: bool) -> None:
    prims = _things(kind, np.random.default_rng(kind), upright=upright)
    view = _view(yaw=0.0 if upright else 0.3)
    depth, index = np.full((H, W), FAR), np.full((H, W), -1, np.int32)
    expected_depth, expected = depth.copy(), index.copy()
    visibility(prims, np.arange(len(prims)), view, depth, index)
    _plain(prims, view.eye, view.rotation, view.inverse, expected_depth, expected)
    assert (index >= 0).sum() > 300 and len(np.unique(index)) > 8
    assert np.array_equal(index, expected)
    assert np.array_equal(depth, expected_depth)


@pytest.mark.parametrize("kind", [BOX, ELLIPSOID, CAPSULE, FRUSTUM, GABLE])
def test_cover_is_where_anything_shows(kind: int) -> None:
    prims, view = _things(kind, np.random.default_rng(9 + kind), upright=False), _view(yaw=0.1)
    order = np.arange(len(prims))
    depth, index = np.full((H, W), FAR), np.full((H, W), -1, np.int32)
    visibility(prims, order, view, depth, index)
    known = np.random.default_rng(kind).random((H, W)) < 0.5
    covered = np.where(known & (index >= 0), 0.0, FAR)
    cover(prims, order, view, covered)
    assert np.array_equal(covered < FAR, index >= 0)
    x0, x1, y0, y1 = bounds(prims, order, view, H, W)
    rows, columns = np.nonzero(index >= 0)
    assert x0 <= columns.min() and columns.max() < x1 and y0 <= rows.min() and rows.max() < y1
