"""Textures with explicit mip pyramids, baked with plain arithmetic and rounded to integers.

Mean grey is about 128; a primitive's tint (twice its colour) multiplies it. Noise is built by sampling a periodic
lattice at cell corners, so it wraps without a seam. Rounding to integers leaves no bit that depends on SIMD.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.rng import Stream

SIZE = 256
LEVELS = 8
BAND = 32
"""Rows that are worked on together, so that they stay in the cache."""
Array = NDArray[np.float64]
LAYERS = [
    "plaster",
    "brick",
    "facade_narrow",
    "facade_wide",
    "panels",
    "planks",
    "bark",
    "stripes",
    "checks",
    "dots",
    "fur",
    "asphalt",
    "grass",
    "paving",
    "zigzag",
    "camouflage",
    "glass",
    "corrugated",
    "stone_wall",
    "shingles",
    "tiles",
    "soil",
    "scales",
    "hazard",
    "shopfront",
    "snow",
    "plain",
]
LAYER = {name: i for i, name in enumerate(LAYERS)}


def lattice_noise(stream: Stream, shape: tuple[int, int], octaves: Sequence[tuple[int, float]]) -> Array:
    """Return smooth periodic noise of the given shape: a sum of (cells along the shorter side, amplitude) octaves."""
    h, w = shape
    total = np.zeros(shape)
    for cells, amplitude in octaves:
        ch, cw = cells * h // min(h, w), cells * w // min(h, w)
        grid = (stream.array(ch, cw) + stream.array(ch, cw) + stream.array(ch, cw) - 1.5) * 2.0
        y, x = (np.arange(h) * ch) / h, (np.arange(w) * cw) / w
        y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
        fy, fx = y - y0, x - x0
        fy, fx = (fy * fy * (3 - 2 * fy))[:, None], (fx * fx * (3 - 2 * fx))[None]
        y1, x1 = (y0 + 1) % ch, (x0 + 1) % cw
        across = grid[:, x0] * (1 - fx) + grid[:, x1] * fx  # few rows, each used for many
        for band in (slice(k, k + BAND) for k in range(0, h, BAND)):
            part = across[y0[band]]
            part *= 1 - fy[band]
            part += across[y1[band]] * fy[band]
            part *= amplitude
            total[band] += part
    return total


def mip_pyramid(image: NDArray[Any], levels: int) -> NDArray[np.uint8]:
    """Return all levels of an integer image [h, w, 4] flattened one after another, [texels, 4]; levels are rounded."""
    level, out = image.astype(np.int16), []  # sums of four stay below 1024
    for _ in range(levels):
        out.append(level.reshape(-1, level.shape[2]).astype(np.uint8))
        rows = level[0::2] + level[1::2]
        level = (rows[:, 0::2] + rows[:, 1::2] + 2) >> 2
    return np.concatenate(out)


@cache
def texture_stack() -> NDArray[np.uint8]:
    """Return every layer's pyramid one after another, [texels, 4]; the fourth channel only keeps texels aligned."""
    layers = _Layers().build()
    stack = []
    for name in LAYERS:
        image = layers[name] if layers[name].ndim == 3 else np.repeat(layers[name][..., None], 3, 2)
        padded = np.concatenate([np.rint(image.clip(0, 255)), np.zeros((SIZE, SIZE, 1))], 2)
        stack.append(mip_pyramid(padded, LEVELS))
    return np.concatenate(stack)


@cache
def solid_noise() -> NDArray[np.float32]:
    """Return a periodic volume of noise in [0, 1], [32, 32, 32]: surfaces sampled in it have no seams."""
    volume = Stream("solid").array(32, 32, 32)
    for axis in range(3):
        volume = (volume + np.roll(volume, 1, axis)) / 2
    low, high = volume.min(), volume.max()
    return np.asarray(np.rint((volume - low) / (high - low) * 4096) / 4096, np.float32)


class _Layers:
    """Paints the layers; one method a group."""

    def __init__(self) -> None:
        self.stream = Stream("textures")
        self.y, self.x = np.mgrid[0:SIZE, 0:SIZE]

    def build(self) -> dict[str, Array]:
        return self._masonry() | self._windows() | self._grounds() | self._patterns() | self._covers()

    def noise(
        self,
        scale: float = 1.0,
        octaves: Sequence[tuple[int, float]] = ((4, 30), (16, 18), (64, 12), (128, 8)),
    ) -> Array:
        return scale * lattice_noise(self.stream, (SIZE, SIZE), octaves)

    def _masonry(self) -> dict[str, Array]:
        x, y = self.x, self.y
        brick = 138 + self.noise(0.5)
        row = y // 32
        shifted = x + (row % 2) * 32
        brick[(y % 32 < 4) | (shifted % 64 < 4)] *= 0.6
        brick *= 0.85 + 0.3 * self.stream.array(8, 4)[row % 8, (shifted // 64) % 4]
        stone = 130 + self.noise(0.8)
        row = y // 64
        shifted = x + (row % 2) * 32
        stone *= 0.75 + 0.5 * self.stream.array(4, 4)[row % 4, (shifted // 64) % 4]
        stone[(y % 64 < 5) | (shifted % 64 < 5)] *= 0.55
        panels = 132 + self.noise(0.2)
        panels[(y < 5) | (x < 5)] *= 0.6
        return {"plaster": 128 + self.noise(0.28), "brick": brick, "stone_wall": stone, "panels": panels,
                "plain": 128 + self.noise(0.12)}  # fmt: skip

    def _facade(self, window: tuple[int, int, int, int], glass: tuple[tuple[int, int, int], ...]) -> Array:
        x0, x1, y0, y1 = window
        wall = np.repeat((148 + self.noise(0.25))[..., None], 3, 2)
        for column in range(2):
            o = column * 128
            wall[y0 - 8 : y1 + 8, o + x0 - 8 : o + x1 + 8] *= 1.3
            fade = (1 + 0.25 * np.linspace(-1, 1, y1 - y0))[:, None, None]
            wall[y0:y1, o + x0 : o + x1] = np.array(glass[column]) * fade
            wall[y0:y1, o + (x0 + x1) // 2 - 3 : o + (x0 + x1) // 2 + 3] = 70
            wall[(y0 + y1) // 2 - 3 : (y0 + y1) // 2 + 3, o + x0 : o + x1] = 70
        wall[:10] *= 0.7
        return wall

    def _windows(self) -> dict[str, Array]:
        glass = np.empty((SIZE, SIZE, 3))
        panes = self.stream.array(4, 4)[self.y // 64, self.x // 64]
        glass[:] = np.array((110, 145, 172)) * (0.7 + 0.5 * panes[..., None])
        glass[(self.y % 64 < 4) | (self.x % 64 < 4)] = 60
        shop = np.repeat((138 + self.noise(0.25))[..., None], 3, 2)
        shop[60:236, 16:156] = np.array((120, 150, 158)) * (0.8 + 0.6 * (self.y[60:236, 16:156, None] / SIZE))
        shop[60:256, 180:240] = (95, 62, 40)
        shop[150:158, 226:232] = 220
        shop[16:48, 10:246] = np.array((90, 100, 120))
        return {
            "facade_narrow": self._facade((30, 98, 50, 190), ((70, 90, 115), (105, 120, 132))),
            "facade_wide": self._facade((14, 114, 30, 210), ((55, 80, 105), (165, 150, 100))),
            "glass": glass,
            "shopfront": shop,
        }

    def _grounds(self) -> dict[str, Array]:
        x, y = self.x, self.y
        paving = 132 + self.noise(0.4)
        paving *= 0.92 + 0.16 * self.stream.array(4, 4)[y // 64, x // 64]
        paving[(y % 64 < 3) | (x % 64 < 3)] *= 0.7
        tiles = 130 + self.noise(0.2)
        tiles *= np.where((x // 64 + y // 64) % 2 == 0, 1.12, 0.88)
        tiles[(y % 64 < 2) | (x % 64 < 2)] *= 0.8
        return {
            "asphalt": 128 + self.noise(1.0, ((4, 8), (64, 12), (128, 18))),
            "grass": 122 + self.noise(1.5, ((8, 10), (64, 20), (128, 22))),
            "paving": paving,
            "tiles": tiles,
            "soil": 126 + self.noise(1.2, ((8, 16), (32, 14), (128, 18))),
            "snow": 128 + self.noise(0.5, ((4, 12), (16, 10), (128, 6))),
        }

    def _patterns(self) -> dict[str, Array]:
        x, y, grain = self.x, self.y, self.noise(0.15)
        zig = x + np.abs(y % 64 - 32)
        blob = self.noise(1.0, ((4, 30), (8, 20)))
        stretched = np.repeat(self.noise(1.0, ((64, 40), (128, 40)))[::8], 8, 0)
        return {
            "stripes": np.where(y % 64 < 32, 190, 66) + grain,
            "checks": np.where((x // 32 + y // 32) % 2 == 0, 188, 68) + grain,
            "dots": np.where((x % 64 - 32) ** 2 + (y % 64 - 32) ** 2 < 330, 245, 96) + grain,
            "fur": 126 + 1.2 * stretched,
            "zigzag": np.where(zig % 64 < 32, 190, 66) + grain,
            "camouflage": np.where(blob > 0, 175, 80) + grain,
            "scales": 100 + 80 * ((x + (y // 32 % 2) * 16) % 32 + y % 32) / 64 + grain,
            "hazard": np.where((x + y) % 128 < 64, 205, 50) + grain,
        }

    def _covers(self) -> dict[str, Array]:
        x, y = self.x, self.y
        planks = 128 + self.noise(0.8, ((8, 10), (32, 18), (128, 10)))
        planks *= 0.85 + 0.3 * self.stream.array(4)[x // 64]
        planks[x % 64 < 3] *= 0.5
        bark = 120 + np.repeat(self.noise(1.5, ((32, 30), (64, 25)))[::16], 16, 0)
        corrugated = 96 + 64 * np.abs(x % 32 - 16) / 16 + self.noise(0.3)
        shingles = 130 + self.noise(0.4)
        shingles *= 0.8 + 0.35 * self.stream.array(8, 8)[y // 32, ((x + (y // 32 % 2) * 16) // 32) % 8]
        shingles[(y % 32) < 5] *= 0.6
        return {"planks": planks, "bark": bark, "corrugated": corrugated, "shingles": shingles}
