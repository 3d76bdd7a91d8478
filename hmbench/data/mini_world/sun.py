"""What the sun sees of a static scene: the depths behind its shadows."""

import math

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import FAR, View
from hmbench.data.mini_world.primitives import Rows
from hmbench.data.mini_world.raster import visibility

STATIC_MAP, STATIC_SCALE = 2048, 15.0
"""The scene's shadow map: 136 m wide, 6.7 cm a texel."""


def sun_view(direction: NDArray[np.float64]) -> View:
    """Return the orthographic view from the sun (unit vector towards it) over the scene's middle."""
    x, y, z = (float(v) for v in direction)
    n = math.sqrt(x * x + y * y)
    right = (y / n, -x / n, 0.0)
    ahead = (-x, -y, -z)
    down = (
        ahead[1] * right[2] - ahead[2] * right[1],
        ahead[2] * right[0] - ahead[0] * right[2],
        ahead[0] * right[1] - ahead[1] * right[0],
    )
    rotation = np.array([right, down, ahead]).T.copy()
    half = STATIC_MAP / 2
    return View(direction * 150.0, rotation, STATIC_SCALE, 1 / STATIC_SCALE, half, half, 0.01, True)


def sun_map(prims: Rows, view: View) -> NDArray[np.float32]:
    """Return depths seen from the sun, [STATIC_MAP, STATIC_MAP]."""
    depth = np.full((STATIC_MAP, STATIC_MAP), FAR)
    index = np.empty((STATIC_MAP, STATIC_MAP), np.int32)
    visibility(prims, np.arange(len(prims)), view, depth, index)
    return depth.astype(np.float32)
