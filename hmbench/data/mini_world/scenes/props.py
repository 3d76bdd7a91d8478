"""Things that stand in scenes: trees, lamps, benches, cars, houses. Each adds primitives and blocks its own floor."""

import math

from hmbench.data.mini_world.primitives import (
    AROUND,
    IDENTITY,
    Paint,
    Vec,
    box,
    capsule,
    ellipsoid,
    frustum,
    gable,
    standing,
    turn,
)
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes.layout import SceneBuilder, foliage, rgb
from hmbench.data.mini_world.textures import LAYER

DARK = (0.1, 0.1, 0.11)
WOOD = (0.42, 0.28, 0.16)
STEEL = (0.45, 0.47, 0.5)
GREEN = (0.24, 0.42, 0.14)


def muted(stream: Stream, low: float = 0.3, high: float = 0.7) -> Vec:
    """Return a wall colour: a grey with a little hue."""
    grey = stream.uniform(low, high)
    return rgb(*(min(0.95, max(0.05, grey + stream.uniform(-0.1, 0.1))) for _ in range(3)))


def vivid(stream: Stream) -> Vec:
    """Return a saturated colour."""
    high, low, middle = stream.uniform(0.6, 0.9), stream.uniform(0.08, 0.2), stream.uniform(0.1, 0.75)
    return rgb(*stream.sample((high, low, middle), 3))


def tree(b: SceneBuilder, x: float, y: float, *, height: float, leaf: Vec = GREEN, crown: float = 1.5) -> None:
    """A broad-leaved tree of several leaf clumps; its crown stays above head height."""
    s = b.stream
    height = max(height, 2.1 + 0.75 * crown)
    b.add(frustum((x, y, -0.05), (x, y, height), (0.22, 0.12), Paint((0.34, 0.26, 0.19), LAYER["bark"], 1.0, AROUND)))
    for k in range(7):
        angle = 2.4 * k + s.uniform(-0.4, 0.4)
        reach = crown * (0.62 if k else 0.0)
        z = height + crown * (0.75 if k == 0 else s.uniform(-0.1, 0.65))
        radius = crown * s.uniform(0.52, 0.75)
        tint = [c * s.uniform(0.8, 1.2) for c in leaf]
        center = (x + reach * math.cos(angle), y + reach * math.sin(angle), z)
        b.add(ellipsoid(center, (radius, radius, radius * 0.85), foliage(tint, s.uniform())))
    b.disc(x, y, 0.3)


def conifer(b: SceneBuilder, x: float, y: float, *, height: float, leaf: Vec = (0.12, 0.28, 0.16)) -> None:
    """A fir: a trunk with stacked cones."""
    s = b.stream
    b.add(
        frustum(
            (x, y, -0.05),
            (x, y, height * 0.4),
            (0.2, 0.13),
            Paint((0.3, 0.22, 0.16), LAYER["bark"], 1.0, AROUND),
        )
    )
    for k in range(4):
        z = height * (0.18 + 0.2 * k)
        wide = height * 0.21 * (1 - 0.2 * k)
        tint = [c * s.uniform(0.85, 1.15) for c in leaf]
        b.add(frustum((x, y, z), (x, y, z + height * 0.3), (wide, 0.03), foliage(tint, s.uniform(), 3.0)))
    b.disc(x, y, 0.35)


def palm(b: SceneBuilder, x: float, y: float, *, height: float) -> None:
    """A palm with drooping leaves."""
    s = b.stream
    lean = s.uniform(-0.5, 0.5)
    top = (x + lean, y, height)
    b.add(frustum((x, y, -0.05), top, (0.2, 0.13), Paint((0.5, 0.4, 0.28), LAYER["bark"], 1.5, AROUND)))
    for k in range(8):
        a = k * math.pi / 4 + s.uniform(-0.2, 0.2)
        mid = (top[0] + 0.9 * math.cos(a), y + 0.9 * math.sin(a), height + 0.25)
        end = (top[0] + 1.9 * math.cos(a), y + 1.9 * math.sin(a), height - 0.5)
        b.add(capsule(top, mid, 0.09, foliage((0.25, 0.45, 0.15), s.uniform())))
        b.add(capsule(mid, end, 0.07, foliage((0.22, 0.42, 0.14), s.uniform())))
    b.disc(x, y, 0.3)


def bush(b: SceneBuilder, x: float, y: float, *, size: float, leaf: Vec = GREEN) -> None:
    """A low clump of leaves."""
    s = b.stream
    for _ in range(3):
        dx, dy, r = s.uniform(-0.5, 0.5) * size, s.uniform(-0.5, 0.5) * size, size * s.uniform(0.5, 0.7)
        tint = [c * s.uniform(0.8, 1.2) for c in leaf]
        b.add(ellipsoid((x + dx, y + dy, r * 0.6), (r, r, r * 0.8), foliage(tint, s.uniform(), 4.0)))
    b.disc(x, y, size)


def lamp(b: SceneBuilder, x: float, y: float, *, height: float = 3.8, glow: Vec = (1.0, 0.95, 0.78)) -> None:
    """A street lamp with a globe."""
    b.add(frustum((x, y, -0.02), (x, y, 0.5), (0.13, 0.09), Paint(DARK)))
    b.add(capsule((x, y, 0.4), (x, y, height), 0.055, Paint(DARK)))
    b.add(ellipsoid((x, y, height + 0.22), (0.22, 0.22, 0.26), Paint(glow, LAYER["plain"], emission=0.85)))
    b.disc(x, y, 0.15)


def bench(b: SceneBuilder, x: float, y: float, *, yaw: float, paint: Vec = WOOD) -> None:
    """A wooden bench; its back is at local y = +0.22."""
    c, s = math.cos(yaw), math.sin(yaw)
    slats = Paint(paint, LAYER["planks"], 1.0)
    b.add(standing(x, y, (1.8, 0.5, 0.07), slats, base=0.43, yaw=yaw))
    b.add(standing(x - 0.24 * s, y + 0.24 * c, (1.8, 0.06, 0.42), slats, base=0.55, yaw=yaw))
    for k in (-0.75, 0.75):
        b.add(standing(x + k * c, y + k * s, (0.08, 0.44, 0.43), Paint(DARK), yaw=yaw))
    b.block(x, y, 1.9, 0.6, yaw)


def bin_(b: SceneBuilder, x: float, y: float, color: Vec) -> None:
    """A litter bin."""
    b.add(frustum((x, y, -0.01), (x, y, 0.85), (0.24, 0.28), Paint(color, LAYER["panels"], 1.2, AROUND)))
    b.add(frustum((x, y, 0.85), (x, y, 0.95), (0.3, 0.2), Paint(DARK)))
    b.disc(x, y, 0.3)


def planter(b: SceneBuilder, x: float, y: float, flower: Vec) -> None:
    """A stone box with flowers."""
    s = b.stream
    b.add(standing(x, y, (1.3, 1.0, 0.55), Paint((0.6, 0.57, 0.52), LAYER["stone_wall"], 1.0)))
    for k in range(4):
        at = (x - 0.4 + 0.27 * k, y + s.uniform(-0.2, 0.2), 0.65)
        b.add(ellipsoid(at, (0.32, 0.35, 0.28), foliage(flower if k % 2 else GREEN, s.uniform(), 6.0)))
    b.block(x, y, 1.3, 1.0)


def car(b: SceneBuilder, x: float, y: float, color: Vec, *, yaw: float = 0.0) -> bool:
    """A parked car, unless something stands there already; tells whether it was put."""
    if not b.is_free(x, y, 2.2):
        return False
    c, s = math.cos(yaw), math.sin(yaw)

    def at(u: float, v: float, z: float) -> tuple[float, float, float]:
        return (x + u * c - v * s, y + u * s + v * c, z)

    body, pane = (
        Paint(color, LAYER["plain"], 0.5, gloss=0.7),
        Paint((0.12, 0.15, 0.18), LAYER["plain"], gloss=1.0),
    )
    b.add(box(at(0, 0, 0.6), (2.05, 0.86, 0.26), body, yaw))
    b.add(ellipsoid(at(0, 0, 0.72), (2.12, 0.88, 0.32), body, turn(yaw)))
    b.add(ellipsoid(at(-0.2, 0, 0.98), (1.35, 0.76, 0.5), pane, turn(yaw)))
    b.add(box(at(-0.25, 0, 1.42), (0.75, 0.56, 0.05), body, yaw))
    for u in (-1.3, 1.3):
        for v in (-0.8, 0.8):
            b.add(frustum(at(u, v - 0.1, 0.33), at(u, v + 0.1, 0.33), (0.33, 0.33), Paint((0.05, 0.05, 0.05))))
    for v in (-0.6, 0.6):
        b.add(ellipsoid(at(2.03, v, 0.66), (0.08, 0.16, 0.1), Paint((1.0, 0.97, 0.85), emission=0.5)))
        b.add(ellipsoid(at(-2.05, v, 0.66), (0.06, 0.16, 0.09), Paint((0.8, 0.08, 0.05), emission=0.4)))
    b.block(x, y, 4.3, 1.8, yaw)
    return True


def crate(b: SceneBuilder, x: float, y: float, size: float, *, yaw: float = 0.0, base: float = 0.0) -> None:
    """A wooden crate."""
    b.add(standing(x, y, (size, size, size), Paint(WOOD, LAYER["planks"], 1.2 / size), base=base, yaw=yaw))
    if base == 0.0:
        b.block(x, y, size, size, yaw)


def barrel(b: SceneBuilder, x: float, y: float, color: Vec) -> None:
    """A barrel with two hoops."""
    b.add(frustum((x, y, 0), (x, y, 0.9), (0.32, 0.32), Paint(color, LAYER["corrugated"], 1.0, AROUND, gloss=0.2)))
    for z in (0.28, 0.6):
        b.add(frustum((x, y, z), (x, y, z + 0.05), (0.34, 0.34), Paint(STEEL)))
    b.disc(x, y, 0.36)


def house(
    b: SceneBuilder,
    x: float,
    y: float,
    size: tuple[float, float, float],
    wall: Paint,
    roof: Paint,
    facing: int,
) -> None:
    """A house with a gable roof, a door and windows towards `facing` (-1 or 1 along y)."""
    length, width, height = size
    b.add(standing(x, y, size, wall))
    rise = width * 0.42
    b.add(gable((x, y, height + rise / 2), (length / 2 + 0.35, width / 2 + 0.45, rise / 2), roof))
    front = y + facing * width / 2
    trim, glass = Paint((0.85, 0.82, 0.75)), Paint((0.2, 0.27, 0.33), LAYER["plain"], gloss=0.8)
    b.add(box((x, front, 1.05), (0.5, 0.06, 1.05), Paint((0.35, 0.2, 0.12), LAYER["planks"], 2.0)))
    for u in (-0.32, 0.32):
        b.add(box((x + u * length, front, 1.6), (0.62, 0.05, 0.62), trim))
        b.add(box((x + u * length, front + facing * 0.02, 1.6), (0.5, 0.06, 0.5), glass))
    b.add(
        standing(
            x + length * 0.25,
            y,
            (0.6, 0.6, 1.3),
            Paint((0.5, 0.3, 0.25), LAYER["brick"], 1.0),
            base=height + rise * 0.55,
        )
    )
    b.block(x, y, length, width)


def fence(b: SceneBuilder, x0: float, x1: float, y: float, color: Vec) -> None:
    """A low wooden fence along x."""
    rail = Paint(color, LAYER["planks"], 0.8)
    middle, length = (x0 + x1) / 2, x1 - x0
    for z in (0.35, 0.75):
        b.add(standing(middle, y, (length, 0.05, 0.1), rail, base=z))
    for k in range(int(length / 1.6) + 1):
        b.add(standing(x0 + 1.6 * k, y + 0.03, (0.1, 0.1, 1.0), rail))
    b.block(middle, y, length, 0.15)


def statue(b: SceneBuilder, x: float, y: float, stone: Vec) -> None:
    """A figure on a plinth."""
    paint = Paint(stone, LAYER["plaster"], 1.0)
    b.add(standing(x, y, (1.5, 1.5, 1.3), Paint(stone, LAYER["stone_wall"], 0.8)))
    b.add(
        frustum((x, y, 1.3), (x, y, 2.9), (0.45, 0.25), paint),
        ellipsoid((x, y, 3.0), (0.3, 0.42, 0.35), paint),
    )
    b.add(
        ellipsoid((x, y, 3.5), (0.2, 0.2, 0.26), paint),
        capsule((x, y + 0.4, 3.1), (x + 0.3, y + 0.7, 3.9), 0.1, paint),
    )
    b.block(x, y, 1.6, 1.6)


def fountain(b: SceneBuilder, x: float, y: float, stone: Vec) -> None:
    """A round basin with a column."""
    paint = Paint(stone, LAYER["stone_wall"], 0.8, AROUND)
    b.add(frustum((x, y, 0), (x, y, 0.6), (2.4, 2.5), paint))
    b.add(frustum((x, y, 0.6), (x, y, 0.62), (2.2, 2.2), Paint((0.3, 0.48, 0.58), LAYER["plain"], gloss=1.0)))
    b.add(
        frustum((x, y, 0.6), (x, y, 1.9), (0.4, 0.25), paint),
        frustum((x, y, 1.8), (x, y, 2.1), (0.3, 1.1), paint),
    )
    b.add(ellipsoid((x, y, 2.5), (0.35, 0.35, 0.5), Paint((0.75, 0.85, 0.9), LAYER["plain"], emission=0.3)))
    b.disc(x, y, 2.6)


def parasol(b: SceneBuilder, x: float, y: float, color: Vec) -> None:
    """A cafe table under a parasol, with two stools."""
    b.add(capsule((x, y, 0), (x, y, 2.3), 0.04, Paint((0.8, 0.8, 0.78))))
    b.add(frustum((x, y, 2.1), (x, y, 2.65), (1.4, 0.05), Paint(color, LAYER["stripes"], 0.7, AROUND)))
    b.add(frustum((x, y, 0.7), (x, y, 0.75), (0.5, 0.5), Paint((0.85, 0.83, 0.78))))
    for k in (-0.8, 0.8):
        b.add(frustum((x + k, y, 0), (x + k, y, 0.45), (0.18, 0.2), Paint(color, LAYER["plain"])))
    b.disc(x, y, 1.1)


def boat(b: SceneBuilder, x: float, y: float, color: Vec, *, mast: bool) -> None:
    """A boat on the water, lying along x."""
    hull = Paint(color, LAYER["planks"], 0.5)
    b.add(ellipsoid((x, y, 0.35), (3.4, 1.15, 0.75), hull))
    b.add(ellipsoid((x, y, 0.85), (2.9, 0.9, 0.3), Paint((0.75, 0.68, 0.55), LAYER["planks"], 1.0)))
    b.add(standing(x - 0.8, y, (1.7, 1.2, 1.0), Paint((0.9, 0.9, 0.87), LAYER["panels"], 0.7), base=0.95))
    b.add(standing(x - 0.8, y, (1.9, 1.4, 0.12), Paint(color), base=1.95))
    if mast:
        b.add(capsule((x + 0.8, y, 0.8), (x + 0.8, y, 6.5), 0.06, Paint((0.8, 0.75, 0.65))))
        b.add(gable((x + 0.75, y, 3.6), (0.03, 1.3, 2.4), Paint((0.92, 0.9, 0.84), LAYER["plain"])))


def container(b: SceneBuilder, x: float, y: float, color: Vec, *, base: float = 0.0) -> None:
    """A shipping container along x."""
    b.add(standing(x, y, (6.0, 2.4, 2.5), Paint(color, LAYER["corrugated"], 0.5), base=base))
    for u in (-2.97, 2.97):
        b.add(standing(x + u, y, (0.1, 2.46, 2.54), Paint([c * 0.8 for c in color]), base=base))
    if base == 0.0:
        b.block(x, y, 6.1, 2.5)


def column(b: SceneBuilder, x: float, y: float, height: float, paint: Paint, radius: float = 0.35) -> None:
    """A round column with base and capital."""
    b.add(frustum((x, y, 0), (x, y, height), (radius, radius * 0.88), paint))
    stone = Paint(paint.color, LAYER["plaster"])
    b.add(standing(x, y, (radius * 2.8, radius * 2.8, 0.3), stone))
    b.add(standing(x, y, (radius * 2.7, radius * 2.7, 0.3), stone, base=height - 0.3))
    b.block(x, y, radius * 2.8, radius * 2.8)


def sphere(b: SceneBuilder, x: float, y: float, radius: float, paint: Paint) -> None:
    """A ball on the ground."""
    b.add(ellipsoid((x, y, radius * 0.95), (radius, radius, radius), paint, IDENTITY))
    b.disc(x, y, radius)
