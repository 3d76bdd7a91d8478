"""Families built of facades: streets and plazas."""

import math

from hmbench.data.mini_world.primitives import AROUND, Paint, box, standing
from hmbench.data.mini_world.scenes import props
from hmbench.data.mini_world.scenes.layout import Light, Location, SceneBuilder, rgb
from hmbench.data.mini_world.textures import LAYER

PI = math.pi
FACADES = {"brick": ("facade_narrow", "brick", "facade_narrow"), "glass": ("glass", "facade_wide", "glass"),
           "old": ("facade_narrow", "facade_wide", "plaster")}  # fmt: skip


def facades(
    b: SceneBuilder, side: int, distance: float, style: str, heights: tuple[float, float], gap: float = 0.0
) -> None:
    """Line one side (y = side * distance) with buildings, shop fronts and awnings."""
    s = b.stream
    x = -66.0
    while x < 66:
        wide, tall, deep = s.uniform(6, 12), s.uniform(*heights), s.uniform(7, 10)
        layer = s.choice(FACADES[style])
        per_metre = {"facade_narrow": 1 / 3, "facade_wide": 1 / 3, "glass": 0.25}.get(layer, 0.4)
        wall = props.muted(s, 0.5, 0.82)
        y = side * (distance + deep / 2 + s.uniform(0, 0.8))
        front = y - side * deep / 2
        b.add(
            standing(
                x + wide / 2,
                y,
                (wide - 0.06, deep, tall),
                Paint(wall, LAYER[layer], per_metre, offset=s.uniform()),
            )
        )
        b.add(standing(x + wide / 2, y, (wide - 0.2, deep + 0.7, 0.45), Paint([c * 0.7 for c in wall]), base=tall))
        shop = Paint(props.muted(s, 0.55, 0.85), LAYER["shopfront"], 1 / 3.2, offset=0.5)  # v counts from the middle
        if s.chance(0.7):
            b.add(box((x + wide / 2, front, 1.6), (wide * 0.46, 0.12, 1.6), shop))
            sign = Paint(props.vivid(s), LAYER[s.choice(("stripes", "plain", "dots", "zigzag"))], 0.6, emission=0.35)
            b.add(box((x + wide / 2, front - side * 0.2, 3.6), (wide * 0.4, 0.08, 0.35), sign))
        if s.chance(0.5):
            awning = Paint(props.vivid(s), LAYER["stripes"], 0.8)
            b.add(box((x + wide / 2, front - side * 0.7, 3.05), (wide * 0.4, 0.7, 0.06), awning))
        b.block(x + wide / 2, y, wide, deep + 0.3)
        x += wide + (s.uniform(0.3, 1.0) * gap)


def _close_ends(b: SceneBuilder, style: str) -> None:
    s = b.stream
    for end in (-1, 1):
        for y in (-18, -6, 6, 18):
            wall = Paint(props.muted(s, 0.5, 0.75), LAYER[s.choice(FACADES[style])], 0.3, offset=s.uniform())
            b.add(standing(end * 72, y, (8, 11.9, s.uniform(8, 16)), wall))


def _crossing(b: SceneBuilder, x: float, road: float) -> None:
    y = -road + 0.4
    while y < road - 0.4:
        b.paint(x, x + 2.6, y, y + 0.55, rgb(0.85, 0.85, 0.82))
        y += 1.1


def street(b: SceneBuilder, variant: int) -> None:
    """A road along x between two rows of facades."""
    s = b.stream
    style = ("brick", "glass", "old")[variant]
    road, walk = (5.0, 6.0, 4.4)[variant], (3.2, 4.0, 2.6)[variant]
    pavement = (rgb(0.47, 0.45, 0.43), rgb(0.56, 0.57, 0.58), rgb(0.4, 0.34, 0.3))[variant]
    tarmac = (rgb(0.25, 0.25, 0.26), rgb(0.33, 0.34, 0.36), rgb(0.3, 0.27, 0.25))[variant]
    b.ground_layer = LAYER["asphalt"] if variant < 2 else LAYER["paving"]
    b.fill(pavement)
    b.paint(-64, 64, -road, road, tarmac)
    for side in (-1, 1):
        b.paint(-64, 64, side * road - 0.12, side * road + 0.12, rgb(0.62, 0.6, 0.57))
    if variant < 2:
        for k in range(-10, 11):
            b.paint(
                6.0 * k,
                6.0 * k + 3,
                -0.08,
                0.08,
                rgb(0.86, 0.84, 0.72) if variant == 0 else rgb(0.9, 0.75, 0.2),
            )
        for x in (-33.0, 3.0, 31.0):
            _crossing(b, x, road)
    b.spots(50, (0.3, 1.4), (0.82, 1.12))
    heights = ((7, 14), (14, 26), (6, 10))[variant]
    for side in (-1, 1):
        facades(b, side, road + walk, style, heights)
    _close_ends(b, style)
    for x in range(-56, 60, 8):
        for side in (-1, 1):
            _kerb_thing(b, x + s.uniform(-2, 2), side, road, variant)
    if variant < 2:
        for side in (-1, 1):
            for k in range(9):
                x = -52 + 12 * k + s.uniform(-3, 3)
                if s.chance(0.6):
                    props.car(
                        b,
                        x,
                        side * (road - 1.0),
                        props.vivid(s) if s.chance(0.6) else props.muted(s, 0.1, 0.8),
                    )
    if variant == 1:
        b.light = Light(2.5, 0.62, (1.1, 0.86, 0.6), (0.42, 0.44, 0.55), (0.26, 0.2, 0.18), 0.005)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(90, 120, 180), rgb(235, 205, 170), 0.35, 1.0
    if variant == 2:
        b.light = Light(-0.7, 1.0, (0.3, 0.32, 0.46), (0.42, 0.43, 0.62), (0.44, 0.33, 0.24), 0.01)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(28, 36, 80), rgb(120, 96, 110), 0.4, 0.6
    b.locations = [Location(x, y, (0.0, PI)) for x, y in ((-24, 0.6), (-9, -0.6), (7, 0.5), (22, -0.4))]


def _kerb_thing(b: SceneBuilder, x: float, side: int, road: float, variant: int) -> None:
    s = b.stream
    y = side * (road + s.uniform(0.6, 1.2))
    pick = s.uniform()
    if pick < 0.35 and variant != 2:
        props.tree(b, x, y, height=s.uniform(2.6, 3.4), crown=s.uniform(1.2, 1.7))
    elif pick < 0.6 or (variant == 2 and pick < 0.75):
        glow = (1.0, 0.8, 0.45) if variant == 2 else (1.0, 0.95, 0.78)
        props.lamp(b, x, y, height=4.2 if variant != 2 else 3.0, glow=glow)
    elif pick < 0.75:
        props.bin_(b, x, y, props.vivid(s))
    elif pick < 0.88:
        props.bench(b, x, y + side * 0.4, yaw=0.0 if side > 0 else PI)
    else:
        props.planter(b, x, y + side * 0.3, props.vivid(s))


def plaza(b: SceneBuilder, variant: int) -> None:
    """An open paved square: market, fountain, temple court."""
    stone = (rgb(0.58, 0.5, 0.42), rgb(0.55, 0.56, 0.58), rgb(0.66, 0.58, 0.44))[variant]
    b.ground_layer = LAYER["paving"] if variant != 2 else LAYER["tiles"]
    b.fill(stone)
    for k in range(-6, 7):
        b.paint(10.0 * k - 0.3, 10.0 * k + 0.3, -32, 32, stone * 0.75)
    for y in (-9.0, 9.0):
        b.paint(-64, 64, y - 0.3, y + 0.3, stone * 0.75)
    b.spots(40, (0.4, 2.2), (0.88, 1.1))
    b.locations = [
        Location(x, y, (0.0, PI, 0.5, PI - 0.5, PI + 0.5, -0.5)) for x, y in ((-20, 0), (-6, 2), (6, -2), (20, 0))
    ]
    (_market, _fountains, _temple)[variant](b)
    if variant == 0:
        b.light = Light(0.6, 0.75, (1.0, 0.9, 0.72), (0.46, 0.48, 0.54), (0.26, 0.22, 0.18), 0.006)


def _market(b: SceneBuilder) -> None:
    s = b.stream
    for side in (-1, 1):
        facades(b, side, 19, "old", (7, 12))
        for k in range(9):
            x, y = -44 + 11 * k + s.uniform(-2, 2), side * s.uniform(10.5, 14)
            pick = s.uniform()
            if pick < 0.5:
                _stall(b, x, y)
            elif pick < 0.75:
                props.parasol(b, x, y, props.vivid(s))
            else:
                props.tree(b, x, y, height=2.8, leaf=(0.3, 0.45, 0.16))
    _close_ends(b, "old")


def _stall(b: SceneBuilder, x: float, y: float) -> None:
    s = b.stream
    b.add(standing(x, y, (3.0, 1.6, 0.9), Paint(props.WOOD, LAYER["planks"], 0.8)))
    b.add(standing(x, y, (3.4, 2.2, 0.12), Paint(props.vivid(s), LAYER["stripes"], 0.9), base=2.4))
    for u in (-1.6, 1.6):
        b.add(standing(x + u, y, (0.08, 0.08, 2.4), Paint(props.WOOD)))
    for k in range(4):
        goods = Paint(props.vivid(s), LAYER["dots"], 3.0)
        b.add(standing(x - 1.1 + 0.75 * k, y, (0.6, 1.2, 0.25), goods, base=0.9))
    b.block(x, y, 3.4, 2.2)


def _fountains(b: SceneBuilder) -> None:
    s = b.stream
    for side in (-1, 1):
        facades(b, side, 22, "glass", (10, 22), gap=3.0)
        for k in range(7):
            x = -45 + 15 * k + s.uniform(-1, 1)
            if k % 3 == 1:
                props.fountain(b, x, side * 12.5, (0.7, 0.68, 0.63))
            else:
                props.tree(b, x, side * 11.5, height=3.2, leaf=(0.34, 0.46, 0.2), crown=1.8)
                props.bench(b, x + 3, side * 11.0, yaw=0.0 if side > 0 else PI)
                props.lamp(b, x - 3, side * 10.2)
    _close_ends(b, "glass")
    b.light = Light(-1.1, 0.95, (0.95, 0.92, 0.86), (0.5, 0.55, 0.62), (0.26, 0.25, 0.24), 0.005)
    b.zenith, b.horizon, b.clouds = rgb(62, 120, 205), rgb(196, 216, 232), 0.6


def _temple(b: SceneBuilder) -> None:
    s = b.stream
    sand = (0.78, 0.68, 0.5)
    marble = Paint(sand, LAYER["plaster"], 0.6, AROUND)
    for side in (-1, 1):
        for k in range(-9, 10):
            props.column(b, 5.5 * k, side * 12, 5.0, marble, 0.42)
        b.add(standing(0, side * 12, (104, 1.4, 0.9), Paint(sand, LAYER["stone_wall"], 0.5), base=5.0))
        b.add(standing(0, side * 17, (130, 1.0, 6.5), Paint((0.7, 0.42, 0.3), LAYER["stone_wall"], 0.4)))
        b.block(0, side * 17, 130, 1.0)
        for k in range(6):
            x = -40 + 16 * k + s.uniform(-1.5, 1.5)
            if k % 2:
                props.statue(b, x, side * 9.2, (0.82, 0.8, 0.74))
            else:
                props.palm(b, x, side * 9.5, height=s.uniform(3.6, 4.8))
    for end in (-1, 1):
        b.add(standing(end * 60, 0, (3, 36, 8), Paint((0.72, 0.5, 0.36), LAYER["stone_wall"], 0.3)))
    b.light = Light(2.0, 0.85, (1.15, 0.98, 0.72), (0.42, 0.47, 0.56), (0.32, 0.26, 0.2), 0.004)
    b.zenith, b.horizon, b.clouds, b.skyline = rgb(50, 110, 200), rgb(224, 214, 190), 0.12, 0.0
