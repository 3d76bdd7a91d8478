"""Families with open ground: parks, villages, forests."""

import math

from hmbench.data.mini_world.primitives import Paint, frustum, gable, standing
from hmbench.data.mini_world.scenes import props
from hmbench.data.mini_world.scenes.layout import Light, Location, SceneBuilder, rgb
from hmbench.data.mini_world.textures import LAYER

PI = math.pi
AUTUMN = ((0.75, 0.35, 0.1), (0.8, 0.55, 0.12), (0.6, 0.2, 0.1), (0.5, 0.5, 0.15))


def park(b: SceneBuilder, variant: int) -> None:
    """Lawns with a broad path, trees, benches and a pond."""
    s = b.stream
    grass, gravel = (
        (rgb(0.3, 0.44, 0.17), rgb(0.62, 0.54, 0.42)),
        (rgb(0.46, 0.42, 0.2), rgb(0.5, 0.4, 0.33)),
    )[variant]
    b.ground_layer = LAYER["grass"]
    b.fill(grass)
    b.spots(90, (0.8, 3.5), (0.86, 1.14))
    b.path([(-64, 1), (-30, -1), (0, 1), (30, -1), (64, 1)], 7.0, gravel)
    b.path([(-22, 0), (-18, -32)], 3.0, gravel)
    b.path([(16, 0), (22, 32)], 3.0, gravel)
    leaves = (props.GREEN, (0.2, 0.4, 0.18), (0.34, 0.46, 0.14)) if variant == 0 else AUTUMN
    _pond(b, 2.0, 17.0 if variant == 0 else -17.0)
    for x in range(-60, 64, 7):
        for side in (-1, 1):
            for row in range(3):
                xx, y = x + s.uniform(-2.5, 2.5), side * (7.0 + 6.5 * row + s.uniform(-0.8, 1.5))
                if not b.is_free(xx, y, 1.5):
                    continue
                pick = s.uniform()
                if pick < 0.55:
                    props.tree(b, xx, y, height=s.uniform(2.4, 4.0), leaf=s.choice(leaves), crown=s.uniform(1.5, 2.3))
                elif pick < 0.7:
                    props.bush(b, xx, y, size=s.uniform(0.6, 1.1), leaf=s.choice(leaves))
                elif row == 0 and pick < 0.85:
                    props.bench(b, xx, y - side * 1.6, yaw=0.0 if side > 0 else PI)
                elif row == 0:
                    props.lamp(b, xx, y - side * 1.4)
    for side in (-1, 1):
        for k in range(8):
            wall = Paint(props.muted(s, 0.55, 0.8), LAYER["facade_wide"], 0.3, offset=s.uniform())
            b.add(standing(-60 + 17 * k, side * 36, (s.uniform(10, 15), 8, s.uniform(6, 13)), wall))
    if variant == 1:
        b.light = Light(2.6, 0.6, (1.1, 0.84, 0.55), (0.44, 0.44, 0.5), (0.28, 0.22, 0.15), 0.01)
        b.zenith, b.horizon, b.clouds = rgb(120, 140, 180), rgb(232, 212, 178), 0.6
    b.skyline = 0.3
    b.locations = [Location(x, y, (0.0, PI)) for x, y in ((-24, -0.4), (-8, 0.4), (8, 0.4), (24, -0.4))]


def _pond(b: SceneBuilder, x: float, y: float) -> None:
    for k in range(5):
        dx, r = 3.0 * (k - 2), 4.6 - 0.8 * abs(k - 2)
        b._disc(b.ground, x + dx, y, r + 0.5, (150.0, 140.0, 110.0, 0.0))
    for k in range(5):
        dx, r = 3.0 * (k - 2), 4.6 - 0.8 * abs(k - 2)
        b._disc(b.ground, x + dx, y, r, (58.0, 84.0, 92.0, 200.0))
    b.footprints.append((x, y, 1.0, 0.0, 10.0, 4.6))


def village(b: SceneBuilder, variant: int) -> None:
    """Gabled houses along a lane; variant 1 in snow."""
    s = b.stream
    snow = variant == 1
    field, lane = (
        (rgb(0.86, 0.88, 0.92), rgb(0.66, 0.65, 0.66)) if snow else (rgb(0.36, 0.46, 0.2), rgb(0.56, 0.46, 0.34))
    )
    b.ground_layer = LAYER["snow"] if snow else LAYER["soil"]
    b.fill(field)
    b.spots(80, (0.8, 3.5), (0.94, 1.04) if snow else (0.85, 1.15))
    b.path([(-64, 0), (-25, 1), (10, -1), (64, 0)], 7.5, lane)
    b.path([(-4, 0), (2, 32)], 4.0, lane)
    for side in (-1, 1):
        x = -60.0 + 5 * (side > 0)
        while x < 58:
            length, width = s.uniform(7, 10), s.uniform(6, 8)
            _house(
                b,
                x + length / 2,
                side * (s.uniform(8.5, 11) + width / 2),
                (length, width, s.uniform(2.8, 3.8)),
                side,
                snow,
            )
            _garden(b, x + length + 1.6, side, snow)
            x += length + s.uniform(3.5, 7)
        for k in range(12):
            xx, y = -58 + 10.5 * k, side * s.uniform(22, 29)
            leaf = (0.75, 0.8, 0.84) if snow and k % 2 else (0.14, 0.3, 0.17)
            props.conifer(b, xx, y, height=s.uniform(5, 8), leaf=leaf)
    if snow:
        b.light = Light(-2.2, 0.55, (0.78, 0.74, 0.72), (0.5, 0.55, 0.66), (0.36, 0.38, 0.44), 0.013)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(150, 172, 205), rgb(214, 222, 232), 0.8, 0.25
    else:
        b.light = Light(1.2, 0.9, (1.0, 0.94, 0.8), (0.46, 0.52, 0.6), (0.24, 0.24, 0.16), 0.006)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(64, 126, 205), rgb(198, 218, 230), 0.5, 0.25
    b.locations = [Location(x, y, (0.0, PI)) for x, y in ((-26, 0.5), (-10, 0.2), (6, -0.5), (22, -0.5))]


def _house(b: SceneBuilder, x: float, y: float, size: tuple[float, float, float], side: int, snow: bool) -> None:
    s = b.stream
    wall = Paint(
        props.muted(s, 0.55, 0.8),
        LAYER[s.choice(("plaster", "brick", "planks", "stone_wall"))],
        0.5,
        offset=s.uniform(),
    )
    tint = (0.88, 0.9, 0.95) if snow else s.choice(((0.6, 0.26, 0.17), (0.45, 0.3, 0.22), (0.32, 0.34, 0.38)))
    roof = Paint(tint, LAYER["snow" if snow else "shingles"], 0.5)
    props.house(b, x, y, size, wall, roof, -side)


def _garden(b: SceneBuilder, x: float, side: int, snow: bool) -> None:
    s = b.stream
    y = side * s.uniform(6.6, 8.0)
    pick = s.uniform()
    if pick < 0.3:
        props.fence(b, x - 2, x + 1.2, y, (0.8, 0.78, 0.72) if not snow else props.WOOD)
    elif pick < 0.5:
        props.barrel(b, x, y, props.WOOD)
        props.crate(b, x + 0.9, y, 0.7)
    elif pick < 0.7 and not snow:
        b.add(
            frustum(
                (x, y - 0.6, 0.62),
                (x, y + 0.6, 0.62),
                (0.62, 0.62),
                Paint((0.8, 0.66, 0.32), LAYER["fur"], 1.0),
            )
        )
        b.block(x, y, 1.3, 1.3)
    elif pick < 0.85:
        props.bush(b, x, y, size=0.8, leaf=(0.85, 0.88, 0.92) if snow else (0.3, 0.46, 0.2))
    else:
        b.add(frustum((x, y, 0), (x, y, 0.8), (0.7, 0.7), Paint((0.55, 0.53, 0.5), LAYER["stone_wall"], 0.8, 1)))
        for u in (-0.65, 0.65):
            b.add(standing(x + u, y, (0.1, 0.1, 1.9), Paint(props.WOOD)))
        b.add(gable((x, y, 2.15), (0.9, 0.7, 0.25), Paint((0.5, 0.25, 0.18), LAYER["shingles"], 1.0)))
        b.disc(x, y, 0.9)


def forest(b: SceneBuilder, variant: int) -> None:
    """A path between trees: misty pines, golden beeches."""
    s = b.stream
    floor, track = (
        (rgb(0.2, 0.26, 0.13), rgb(0.36, 0.29, 0.21)),
        (rgb(0.5, 0.33, 0.14), rgb(0.42, 0.31, 0.22)),
    )[variant]
    b.ground_layer = LAYER["soil"]
    b.fill(floor)
    b.spots(160, (0.5, 2.5), (0.78, 1.22))
    b.path([(-64, 0), (-34, 1.4), (-8, -1.2), (18, 1.2), (44, -1), (64, 0)], 6.5, track)
    for x in range(-64, 66, 4):
        for side in (-1, 1):
            for row in range(3):
                xx, y = x + s.uniform(-1.8, 1.8), side * (6.2 + 4.6 * row + s.uniform(-0.7, 2.2))
                if s.chance(0.3) or not b.is_free(xx, y, 1.0):
                    continue
                _growth(b, xx, y, variant, row)
    for k in range(10):
        where, side = -50 + 11 * k + s.uniform(-2, 2), 1 if k % 2 else -1
        props.sphere(
            b,
            where,
            side * s.uniform(4.9, 5.8),
            s.uniform(0.35, 0.7),
            Paint((0.45, 0.45, 0.42), 0, 3.0, 2, offset=s.uniform()),
        )
    if variant == 0:
        b.light = Light(0.7, 0.8, (0.75, 0.76, 0.7), (0.42, 0.47, 0.48), (0.2, 0.22, 0.17), 0.024)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(160, 178, 185), rgb(190, 203, 203), 0.9, 0.0
    else:
        b.light = Light(2.3, 0.7, (1.15, 0.9, 0.56), (0.46, 0.45, 0.44), (0.3, 0.22, 0.12), 0.014)
        b.zenith, b.horizon, b.clouds, b.skyline = rgb(130, 165, 205), rgb(240, 220, 170), 0.4, 0.0
    b.locations = [Location(x, y, (0.0, PI)) for x, y in ((-26, 0.6), (-8, -0.6), (10, 0.2), (26, 0.4))]


def _growth(b: SceneBuilder, x: float, y: float, variant: int, row: int) -> None:
    s = b.stream
    if s.chance(0.16):
        leaf = (0.22, 0.36, 0.14) if variant == 0 else s.choice(AUTUMN)
        props.bush(b, x, y, size=s.uniform(0.4, 0.8), leaf=leaf)
    elif variant == 0:
        props.conifer(b, x, y, height=s.uniform(6.5, 10) + row, leaf=(0.13, 0.27, 0.16))
    else:
        props.tree(b, x, y, height=s.uniform(3.4, 5.0) + 0.5 * row, leaf=s.choice(AUTUMN), crown=s.uniform(1.6, 2.2))
