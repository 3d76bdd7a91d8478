"""Families of halls and harbours."""

import math

from hmbench.data.mini_world.primitives import AROUND, Paint, box, capsule, frustum, standing
from hmbench.data.mini_world.scenes import props
from hmbench.data.mini_world.scenes.layout import Light, Location, SceneBuilder, rgb
from hmbench.data.mini_world.textures import LAYER

PI = math.pi


def hall(b: SceneBuilder, variant: int) -> None:
    """A long room: station, museum, warehouse. Its ceiling casts no shadow, or nothing would be lit."""
    half, length, height = (12.0, 11.0, 14.0)[variant], 46.0, (7.5, 6.0, 8.5)[variant]
    floor = (rgb(0.62, 0.57, 0.5), rgb(0.5, 0.36, 0.24), rgb(0.5, 0.51, 0.52))[variant]
    wall = ((0.72, 0.66, 0.55), (0.86, 0.85, 0.82), (0.5, 0.56, 0.6))[variant]
    layer = ("stone_wall", "plaster", "corrugated")[variant]
    b.ground_layer = LAYER[("tiles", "planks", "plain")[variant]]
    b.fill(floor)
    b.ground[..., 3] = (26.0, 16.0, 10.0)[variant]
    for side in (-1, 1):
        b.add(
            standing(0, side * (half + 0.5), (2 * length, 1.0, height), Paint(wall, LAYER[layer], 0.4)),
            shadow=False,
        )
        b.block(0, side * (half + 0.5), 2 * length, 1.0)
        b.add(
            standing(side * (length + 0.5), 0, (1.0, 2 * half + 2, height), Paint(wall, LAYER[layer], 0.4)),
            shadow=False,
        )
        b.block(side * (length + 0.5), 0, 1.0, 2 * half)
    ceiling = [c * 0.75 for c in wall]
    b.add(
        standing(0, 0, (2 * length, 2 * half + 2, 0.3), Paint(ceiling, LAYER["panels"], 0.3), base=height),
        shadow=False,
    )
    for k in range(-7, 8):
        glow = Paint((1.0, 0.97, 0.88), LAYER["plain"], emission=0.95)
        for y in (-half * 0.45, half * 0.45):
            b.add(box((6.0 * k, y, height - 0.05), (1.6, 0.5, 0.04), glow), shadow=False)
    (_station, _museum, _warehouse)[variant](b, half, height)
    b.light = (
        Light(0.5, 1.15, (0.62, 0.57, 0.48), (0.52, 0.48, 0.42), (0.4, 0.36, 0.3), 0.004),
        Light(-0.8, 1.2, (0.55, 0.55, 0.55), (0.56, 0.56, 0.57), (0.42, 0.38, 0.34), 0.003),
        Light(1.0, 1.1, (0.6, 0.64, 0.7), (0.44, 0.47, 0.52), (0.32, 0.32, 0.34), 0.006),
    )[variant]
    b.zenith = b.horizon = 255 * rgb(*wall) * 0.8
    b.clouds, b.skyline = 0.0, 0.0
    b.locations = [Location(x, y, (0.0, PI, 0.3, PI + 0.3)) for x, y in ((-22, 0.5), (-8, -0.5), (8, 0.5), (22, -0.5))]


def _station(b: SceneBuilder, half: float, height: float) -> None:
    s = b.stream
    for side in (-1, 1):
        for k in range(-5, 6):
            props.column(b, 8.0 * k, side * 8.2, height, Paint((0.7, 0.62, 0.5), LAYER["plaster"], 0.6, AROUND), 0.4)
        for k in range(-6, 7):
            x = 6.6 * k
            sign = Paint(props.vivid(s), LAYER[s.choice(("plain", "stripes", "checks", "dots"))], 0.5, emission=0.35)
            b.add(box((x, side * (half - 0.05), 4.2), (1.9, 0.1, 0.5), sign))
            door = Paint((0.35, 0.42, 0.45), LAYER["shopfront"], 1 / 3.2, offset=0.5)  # v counts from the middle
            b.add(box((x, side * (half - 0.05), 1.6), (2.4, 0.08, 1.6), door))
        for k in range(-4, 5):
            x = 9.5 * k + s.uniform(-1, 1)
            if s.chance(0.6):
                props.bench(b, x, side * 9.8, yaw=0.0 if side > 0 else PI, paint=(0.25, 0.35, 0.5))
            else:
                props.bin_(b, x, side * 9.8, props.vivid(s))
    for k in range(-3, 4):
        board = Paint((0.08, 0.1, 0.2), LAYER["dots"], 3.0, emission=0.3)
        b.add(box((12.0 * k, 0, 5.6), (0.12, 2.4, 0.6), board), shadow=False)


def _museum(b: SceneBuilder, half: float, height: float) -> None:
    s = b.stream
    layers = ("camouflage", "zigzag", "checks", "stripes", "dots", "scales")
    for side in (-1, 1):
        for k in range(-8, 9):
            x, wide, tall = 5.2 * k, s.uniform(0.8, 1.7), s.uniform(0.7, 1.3)
            b.add(
                box(
                    (x, side * (half - 0.04), 2.2),
                    (wide + 0.12, 0.06, tall + 0.12),
                    Paint((0.45, 0.33, 0.12)),
                )
            )
            art = Paint(props.vivid(s), LAYER[s.choice(layers)], s.uniform(0.3, 0.9), offset=s.uniform())
            b.add(box((x, side * (half - 0.08), 2.2), (wide, 0.06, tall), art))
        for k in range(-4, 5):
            x = 9.8 * k + s.uniform(-1.5, 1.5)
            if s.chance(0.5):
                props.statue(b, x, side * 7.6, s.choice(((0.9, 0.88, 0.84), (0.35, 0.3, 0.25), (0.4, 0.5, 0.46))))
            else:
                base = Paint((0.9, 0.9, 0.88), LAYER["plain"])
                b.add(standing(x, side * 7.6, (0.9, 0.9, 1.0), base))
                vase = Paint(props.vivid(s), LAYER["zigzag"], 1.0, AROUND, gloss=0.8)
                b.add(frustum((x, side * 7.6, 1.0), (x, side * 7.6, 1.5), (0.15, 0.33), vase))
                b.add(frustum((x, side * 7.6, 1.5), (x, side * 7.6, 1.8), (0.33, 0.13), vase))
                b.block(x, side * 7.6, 1.0, 1.0)


def _warehouse(b: SceneBuilder, half: float, height: float) -> None:
    s = b.stream
    for side in (-1, 1):
        b.paint(-46, 46, side * 6.6 - 0.1, side * 6.6 + 0.1, rgb(0.9, 0.75, 0.1))
        for k in range(-5, 6):
            x, y = 8.2 * k, side * 9.6
            for z in (0.1, 2.0, 3.9):
                b.add(standing(x, y, (6.6, 1.8, 0.12), Paint((0.85, 0.4, 0.08)), base=z))
                for u in (-2.2, 0.0, 2.2):
                    if s.chance(0.8):
                        size = s.uniform(0.9, 1.4)
                        goods = Paint(s.choice((props.WOOD, (0.6, 0.48, 0.33), props.vivid(s))), LAYER["panels"], 0.9)
                        b.add(standing(x + u, y, (size * 1.3, 1.4, size), goods, base=z + 0.12))
            for u in (-3.3, 3.3):
                b.add(standing(x + u, y, (0.12, 1.9, 5.6), Paint((0.15, 0.25, 0.5))))
            b.block(x, y, 6.9, 2.0)
        for k in range(-4, 5):
            x = 10.0 * k + s.uniform(-2, 2)
            if s.chance(0.5):
                props.barrel(b, x, side * 7.6, props.vivid(s))
            else:
                props.crate(b, x, side * 7.6, 1.0)
                props.crate(b, x + 0.1, side * 7.6, 0.7, base=1.0)


def harbour(b: SceneBuilder, variant: int) -> None:
    """A quay with water on one side: containers and cranes, or fishing boats and sheds."""
    s = b.stream
    quay = (rgb(0.5, 0.5, 0.49), rgb(0.6, 0.5, 0.38))[variant]
    edge = 9.5
    b.ground_layer = LAYER["asphalt"] if variant == 0 else LAYER["planks"]
    b.fill(quay)
    b.spots(70, (0.4, 2.4), (0.8, 1.12))
    b.paint(-64, 64, edge, 32, rgb(0.1, 0.25, 0.32) if variant == 0 else rgb(0.1, 0.27, 0.34), 0.9)
    b.paint(-64, 64, edge - 0.5, edge, quay * 0.6)
    if variant == 0:
        for y in (-5.5, 6.0):
            b.paint(-64, 64, y - 0.1, y + 0.1, rgb(0.85, 0.7, 0.1))
    b.add(standing(0, edge - 0.15, (128, 0.3, 0.25), Paint(quay * 0.9, LAYER["stone_wall"], 0.5)))
    b.block(0, edge + 20, 140, 41.0)
    for k in range(-7, 8):
        x = 8.4 * k
        b.add(frustum((x, edge - 0.7, 0), (x, edge - 0.7, 0.5), (0.2, 0.26), Paint((0.16, 0.16, 0.17))))
        b.disc(x, edge - 0.7, 0.3)
    for k in range(7):
        x = -48 + 16 * k + s.uniform(-3, 3)
        props.boat(b, x, edge + s.uniform(2.2, 5.0), props.vivid(s), mast=variant == 1 or s.chance(0.3))
    (_containers, _sheds)[variant](b)
    b.locations = [Location(x, y, (0.0, PI)) for x, y in ((-24, 1.0), (-8, 1.8), (8, 1.4), (24, 1.0))]


def _containers(b: SceneBuilder) -> None:
    s = b.stream
    for k in range(-9, 10):
        for row in range(2):
            for level in range(1 + s.integer(3)):
                props.container(b, 6.6 * k, -9.5 - 3.2 * row, props.vivid(s), base=2.5 * level)
    for x in (-38.0, 4.0, 42.0):
        paint = Paint((0.85, 0.35, 0.1), LAYER["panels"], 0.4)
        for u in (-2.5, 2.5):
            b.add(standing(x + u, 7.6, (0.5, 0.5, 11), paint), standing(x + u, -7.2, (0.5, 0.5, 11), paint))
            b.block(x + u, 7.6, 0.6, 0.6)
            b.block(x + u, -7.2, 0.6, 0.6)
        b.add(standing(x, 4, (1.2, 36, 1.0), paint, base=11))
        b.add(standing(x, 3, (2.2, 2.2, 1.6), Paint((0.9, 0.9, 0.85), LAYER["panels"], 0.8), base=9.3))
    for k in range(10):
        x = -52 + 11 * k + s.uniform(-2, 2)
        y = s.choice((-6.6, 7.3))
        if b.is_free(x, y, 1.0):
            props.barrel(b, x, y, props.vivid(s)) if s.chance(0.6) else props.crate(b, x, y, 1.1)
    b.light = Light(0.9, 0.9, (0.9, 0.9, 0.86), (0.5, 0.55, 0.6), (0.25, 0.26, 0.27), 0.007)
    b.zenith, b.horizon, b.clouds, b.skyline = rgb(92, 138, 190), rgb(200, 212, 220), 0.75, 0.5


def _sheds(b: SceneBuilder) -> None:
    s = b.stream
    x = -62.0
    while x < 60:
        length = s.uniform(6, 9)
        wall = Paint(
            s.choice(((0.6, 0.16, 0.12), (0.2, 0.35, 0.5), (0.85, 0.82, 0.72), (0.75, 0.55, 0.2))),
            LAYER["planks"],
            0.7,
        )
        props.house(
            b,
            x + length / 2,
            -11.5,
            (length, 6.0, 3.4),
            wall,
            Paint((0.3, 0.3, 0.33), LAYER["shingles"], 0.5),
            1,
        )
        x += length + s.uniform(0.8, 3)
    for k in range(13):
        x, y = -52 + 8.6 * k + s.uniform(-2, 2), -6.8 if k % 2 else 7.2
        pick = s.uniform()
        if pick < 0.35:
            props.barrel(b, x, y, props.vivid(s))
        elif pick < 0.7:
            props.crate(b, x, y, 0.8)
            props.crate(b, x + 0.95, y, 0.6)
        else:
            b.add(capsule((x - 1, y, 0.3), (x + 1, y, 0.3), 0.3, Paint(props.vivid(s), LAYER["zigzag"], 1.5)))
            b.block(x, y, 2.6, 0.7)
    b.add(frustum((50, 20, 0), (50, 20, 12), (2.2, 1.4), Paint((0.85, 0.25, 0.2), LAYER["stripes"], 0.15, AROUND)))
    b.add(frustum((50, 20, 12), (50, 20, 13.6), (1.0, 0.9), Paint((1.0, 0.95, 0.7), emission=0.7)))
    b.light = Light(0.35, 0.5, (1.2, 0.8, 0.5), (0.42, 0.42, 0.52), (0.28, 0.22, 0.18), 0.006)
    b.zenith, b.horizon, b.clouds, b.skyline = rgb(100, 120, 175), rgb(245, 196, 140), 0.5, 0.35
