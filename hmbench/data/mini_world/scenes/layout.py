"""A scene as data, and the builder that families use to lay one out: ground paint, boxes, trees, sky, light."""

import itertools
import math
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.kernels import View
from hmbench.data.mini_world.primitives import Paint, Rows, Vec, rows
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.sampling import pack
from hmbench.data.mini_world.shading import GROUND_LEVELS, Surroundings
from hmbench.data.mini_world.sun import sun_map, sun_view
from hmbench.data.mini_world.textures import BAND, LAYER, lattice_noise, mip_pyramid, solid_noise, texture_stack

Color = tuple[float, float, float]
Integer = TypeVar("Integer", np.int16, np.int32)
GROUND_TEXELS = (2048, 1024)
GROUND_HALF = (64.0, 32.0)
"""The ground map: 128 m x 64 m, 6 cm a texel; mirrored beyond."""


class Location(NamedTuple):
    """A place where clips start, with the headings that have room ahead."""

    x: float
    y: float
    headings: tuple[float, ...]


class Scene(NamedTuple):
    """A static world, ready to draw."""

    name: str
    family: str
    prims: Rows
    surroundings: Surroundings
    sun_view: View
    sun_map: NDArray[np.float32]
    locations: tuple[Location, ...]
    footprints: NDArray[np.float64]
    """What subjects and cameras must not enter, [n, 6]: x, y, cos, sin, half length, half width (a disc has width
    0)."""


class Light(NamedTuple):
    """Sun, ambient light and fog."""

    azimuth: float
    elevation: float
    sun: Color
    above: Color
    below: Color
    fog: float


def rgb(r: float, g: float, b: float) -> NDArray[np.float64]:
    """Return a colour."""
    return np.array([r, g, b])


class SceneBuilder:
    """Collects a scene's parts; families call its methods and set `light`, `sky` and `locations`."""

    def __init__(self, name: str, family: str, seed: int) -> None:
        self.name, self.family = name, family
        self.stream = Stream("scene", family, seed)
        self.parts: list[list[float]] = []
        self.shadowless: list[list[float]] = []
        self.footprints: list[tuple[float, ...]] = []
        self.locations: list[Location] = []
        self.ground = np.zeros((GROUND_TEXELS[1], GROUND_TEXELS[0], 4))
        self.ground_layer = LAYER["asphalt"]
        self.shade = np.zeros((GROUND_TEXELS[1], GROUND_TEXELS[0]), np.int64)
        self.light = Light(0.9, 0.8, (0.95, 0.88, 0.78), (0.52, 0.56, 0.62), (0.34, 0.32, 0.29), 0.006)
        self.zenith, self.horizon = rgb(70, 115, 190), rgb(190, 205, 220)
        self.clouds, self.skyline = 0.5, 0.5

    # ------------------------------------------------------------------ things

    def add(self, *parts: list[float], shadow: bool = True) -> None:
        """Add primitives."""
        (self.parts if shadow else self.shadowless).extend(parts)

    def block(self, x: float, y: float, length: float, width: float, yaw: float = 0.0) -> None:
        """Forbid an oriented rectangle (full sizes) to subjects and cameras, and shade the ground around it."""
        self.footprints.append((x, y, math.cos(yaw), math.sin(yaw), length / 2, width / 2))
        reach = math.hypot(length, width) / 2
        if length * width > 0.05 and abs(math.sin(2 * yaw)) < 0.1:
            along_x = abs(math.cos(yaw)) > 0.7
            hx, hy = (length / 2, width / 2) if along_x else (width / 2, length / 2)
            self.shade[self.texels(x - hx, x + hx, y - hy, y + hy)] = 255
        else:
            self._disc(self.shade, x, y, min(reach, 0.5), 255)

    def disc(self, x: float, y: float, radius: float) -> None:
        """Forbid a disc."""
        self.footprints.append((x, y, 1.0, 0.0, radius, 0.0))
        self._disc(self.shade, x, y, radius, 255)

    def is_free(self, x: float, y: float, radius: float) -> bool:
        """Tell whether a disc touches nothing that was blocked so far."""
        if not self.footprints:
            return True
        return not hits(np.array(self.footprints), np.array([[x, y]]), radius).any()

    # ------------------------------------------------------------------ ground

    def texels(self, x0: float, x1: float, y0: float, y1: float) -> tuple[slice, slice]:
        """Return the ground map's slice of a rectangle in metres."""
        sx, sy = GROUND_TEXELS[0] / 2 / GROUND_HALF[0], GROUND_TEXELS[1] / 2 / GROUND_HALF[1]
        cx = [min(max(round((x + GROUND_HALF[0]) * sx), 0), GROUND_TEXELS[0]) for x in (x0, x1)]
        cy = [min(max(round((y + GROUND_HALF[1]) * sy), 0), GROUND_TEXELS[1]) for y in (y0, y1)]
        return slice(cy[0], cy[1]), slice(cx[0], cx[1])

    def paint(self, x0: float, x1: float, y0: float, y1: float, color: NDArray[np.float64], wet: float = 0.0) -> None:
        """Paint a rectangle of the ground; colour in 0..1."""
        self.ground[self.texels(x0, x1, y0, y1)] = (*(255 * color), 255 * wet)

    def fill(self, color: NDArray[np.float64]) -> None:
        """Paint all of the ground."""
        self.ground[:] = (*(255 * color), 0.0)

    def spot(self, x: float, y: float, radius: float, factor: float) -> None:
        """Lighten or darken a disc of the ground."""
        self._disc(self.ground, x, y, radius, factor, multiply=True)

    def spots(self, number: int, sizes: tuple[float, float], factors: tuple[float, float]) -> None:
        """Scatter stains."""
        s = self.stream
        for _ in range(number):
            self.spot(s.uniform(-60, 60), s.uniform(-30, 30), s.uniform(*sizes), s.uniform(*factors))

    def path(self, points: list[tuple[float, float]], width: float, color: NDArray[np.float64]) -> None:
        """Paint a path along a broken line."""
        covered = np.zeros(self.shade.shape, np.bool_)
        for a, b in itertools.pairwise(points):
            steps = int(math.hypot(b[0] - a[0], b[1] - a[1]) / 0.25) + 1
            for i in range(steps + 1):
                u = i / steps
                x, y = a[0] + u * (b[0] - a[0]), a[1] + u * (b[1] - a[1])
                window, inside = self._inside(x, y, width / 2)
                covered[window] |= inside
        self.ground[covered] = (*(255 * color), 0.0)

    def _inside(self, x: float, y: float, radius: float) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Return a disc's window in the ground map, and which of its texels the disc holds."""
        window = self.texels(x - radius, x + radius, y - radius, y + radius)
        sx = GROUND_TEXELS[0] / 2 / GROUND_HALF[0]
        ys = (np.arange(window[0].start, window[0].stop) + 0.5) / sx - GROUND_HALF[1] - y
        xs = (np.arange(window[1].start, window[1].stop) + 0.5) / sx - GROUND_HALF[0] - x
        return window, np.asarray(ys[:, None] * ys[:, None] + xs[None] * xs[None] <= radius * radius)

    def _disc(
        self,
        target: NDArray[np.generic],
        x: float,
        y: float,
        radius: float,
        value: Any,
        *,
        multiply: bool = False,
    ) -> None:
        window, inside = self._inside(x, y, radius)
        part = target[window]
        if multiply:
            part[inside, :3] = part[inside, :3] * value
        else:
            part[inside] = value

    # ------------------------------------------------------------------ result

    def build(self) -> Scene:
        """Bake the scene."""
        e, a = self.light.elevation, self.light.azimuth
        sun = (
            np.rint(np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)]) * 2.0**30) * 2.0**-30
        )
        light = np.array(
            [
                sun,
                self.light.sun,
                self.light.above,
                self.light.below,
                self.horizon,
                (self.light.fog, 0.0, 0.0),
            ]
        )
        surroundings = Surroundings(
            pack(texture_stack()), solid_noise(), pack(self._ground_map()), GROUND_TEXELS, GROUND_HALF,
            self.ground_layer, self._panorama(), light,
        )  # fmt: skip
        casting = rows(self.parts)
        view = sun_view(sun)
        view = view._replace(rotation=np.rint(view.rotation * 2.0**30) * 2.0**-30)
        prims = np.concatenate([casting, rows(self.shadowless)])
        prints = np.array(self.footprints) if self.footprints else np.zeros((0, 6))
        return Scene(
            self.name, self.family, prims, surroundings, view, sun_map(casting, view), tuple(self.locations), prints
        )  # fmt: skip

    def _ground_map(self) -> NDArray[np.uint8]:
        """Return the pyramid of the painted ground: grain, then shade around things, then one soft blur."""
        grain = lattice_noise(self.stream, (GROUND_TEXELS[1], GROUND_TEXELS[0]), ((6, 0.03), (24, 0.03), (128, 0.03)))
        coarse = box_sum(self.shade[::4, ::4].astype(np.int32), 3) / (49 * 255)
        contact = np.repeat(np.repeat(np.minimum(1.0, coarse * 1.6), 4, 0), 4, 1)
        grain += 1
        grain *= 1 - 0.45 * contact
        painted = np.empty(self.ground.shape, np.int16)
        for band in (slice(k, k + BAND) for k in range(0, len(painted), BAND)):
            part = self.ground[band]
            part[..., :3] *= grain[band, :, None]
            painted[band] = np.rint(part.clip(0, 255))
        return mip_pyramid((box_sum(painted, 1) + 4) // 9, GROUND_LEVELS)

    def _panorama(self) -> NDArray[np.float32]:
        h, w = 192, 1024
        s = self.stream
        height = 1 - np.arange(h)[:, None, None] / (h - 1)
        blend = np.sqrt(height)
        sky = self.horizon + (self.zenith - self.horizon) * blend * np.ones((1, w, 1))
        cloud = lattice_noise(s, (256, w), ((3, 34), (8, 26), (24, 14), (64, 8)))[:h]
        cover = np.clip((cloud + 60 * (self.clouds - 0.5)) / 40, 0, 1) * np.clip(height[..., 0] * 4, 0, 1) * 0.85
        white = np.minimum(255.0, self.horizon * 1.08 + 12)
        sky = sky * (1 - cover[..., None]) + white * cover[..., None]
        x = 0
        while x < w and self.skyline > 0:
            width, tall = 14 + s.integer(44), int(self.skyline * (8 + s.integer(34)))
            sky[h - tall :, x : x + width] = self.horizon * s.uniform(0.55, 0.82)
            x += width + (s.integer(20) if s.chance(0.4) else 0)
        return np.asarray(np.rint(sky.clip(0, 255)), np.float32)


def box_sum(image: NDArray[Integer], radius: int) -> NDArray[Integer]:
    """Return the sum over (2 radius + 1)^2 neighbours, edges repeated: integers, exact on every machine."""
    out = image
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (radius, radius)
        padded = np.pad(out, pad, mode="edge")
        length = image.shape[axis]
        windows = [slice(k, k + length) for k in range(2 * radius + 1)]
        out = np.zeros_like(image)
        for window in windows:
            out += padded[window] if axis == 0 else padded[:, window]
    return out


def hits(prints: NDArray[np.float64], points: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Tell for each point [m, 2] whether a disc of that radius around it touches a footprint."""
    dx = points[:, None, 0] - prints[None, :, 0]
    dy = points[:, None, 1] - prints[None, :, 1]
    c, s = prints[None, :, 2], prints[None, :, 3]
    along, across = np.abs(dx * c + dy * s), np.abs(dy * c - dx * s)
    half, wide = prints[None, :, 4], prints[None, :, 5]
    rectangle = (wide > 0) & (along < half + radius) & (across < wide + radius)
    disc = (wide == 0) & (dx * dx + dy * dy < (half + radius) ** 2)
    return np.asarray((rectangle | disc).any(1))


def foliage(color: Vec, offset: float, scale: float = 2.4) -> Paint:
    """Return the paint of leaves: solid noise, so that no seam shows."""
    return Paint(color, 0, scale, mapping=2, offset=offset)
