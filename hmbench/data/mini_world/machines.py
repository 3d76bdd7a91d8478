"""Carts and drones."""

import math
from collections.abc import Sequence

from hmbench.data.mini_world.look import PALETTE, PATTERNS, Look, flat, main
from hmbench.data.mini_world.primitives import BY_FACE, Paint, Vec, box, capsule, ellipsoid, frustum
from hmbench.data.mini_world.textures import LAYER


def cart(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a cart on wheels and its core point; `d` are distortion factors."""
    h, b = look.height, look.build
    shell = Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], 1.5, BY_FACE, 0.0, 0.5)
    trim, light = flat(PALETTE[look.bottom], 0.3), flat(PALETTE[look.accent], 0.0, 0.9)
    r = 0.19 * h * d[1]
    out: list[list[float]] = []
    for x in (-0.33, 0.33):
        for side in (1, -1):
            at = (x * h * d[0], side * 0.36 * h * b, r)
            out.append(
                frustum(
                    (at[0], at[1] - 0.05 * h * d[2], r),
                    (at[0], at[1] + 0.05 * h * d[2], r),
                    (r, r),
                    flat((0.06, 0.06, 0.06)),
                )
            )
            for k in range(2):  # spokes show that the wheel turns
                a = phase + k * math.pi / 2
                tip = (0.8 * r * math.sin(a), 0.8 * r * math.cos(a))
                y = at[1] + side * 0.052 * h * d[2]
                out.append(capsule((at[0] - tip[0], y, r - tip[1]), (at[0] + tip[0], y, r + tip[1]), 0.025 * h, trim))
    bob = 0.008 * h * math.sin(2 * phase)
    out.append(box((0, 0, 0.5 * h + bob), (0.52 * h, 0.34 * h * b * d[4], 0.24 * h), shell))
    out.append(box((0, 0, 0.27 * h), (0.5 * h, 0.28 * h * b, 0.06 * h), trim))
    if look.kind == "buggy":
        out.append(
            ellipsoid(
                (-0.1 * h, 0, 0.78 * h + bob),
                (0.3 * h, 0.28 * h * d[5], 0.24 * h * d[6]),
                flat((0.15, 0.2, 0.25), 0.9),
            )
        )
    else:
        out.append(box((0.02 * h, 0, 0.79 * h + bob), (0.4 * h, 0.29 * h * b * d[5], 0.06 * h), trim))
        out.append(capsule((-0.35 * h, 0.2 * h, 0.8 * h), (-0.38 * h, 0.2 * h, 1.25 * h * d[3]), 0.015 * h, trim))
        out.append(box((-0.38 * h, 0.2 * h, 1.22 * h * d[3]), (0.09 * h, 0.01 * h, 0.07 * h), light))
    for side in (1, -1):
        out.append(ellipsoid((0.52 * h, side * 0.2 * h, 0.55 * h + bob), (0.03 * h, 0.06 * h, 0.06 * h), light))
    return out, (0.0, 0.0, 0.5 * h)


def drone(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a hovering drone and its core point; `d` are distortion factors."""
    h, b = look.height, look.build
    shell, trim = main(look, 1.5)._replace(gloss=0.6), flat(PALETTE[look.bottom], 0.4)
    light = flat(PALETTE[look.accent], 0.0, 0.9)
    r = 0.3 * h * b
    z = 0.68 * h + 0.04 * h * math.sin(phase)
    out = [
        ellipsoid((0, 0, z), (r * d[4], r * d[4], r), shell),
        frustum((0, 0, z - 0.04 * h), (0, 0, z + 0.04 * h), (1.5 * r * d[5], 1.5 * r * d[5]), trim),
    ]
    out += [ellipsoid((0.9 * r, 0, z + 0.25 * r), (0.25 * r, 0.4 * r, 0.28 * r * d[6]), light)]
    for k in range(4):
        a = phase * 0.5 + k * math.pi / 2
        tip = (1.35 * r * math.cos(a), 1.35 * r * math.sin(a))
        out.append(ellipsoid((tip[0], tip[1], z), (0.24 * r, 0.24 * r, 0.2 * r * d[2]), light))
        out.append(
            capsule(
                (0.5 * r * math.cos(a), 0.5 * r * math.sin(a), z - 0.8 * r),
                (0.75 * r * math.cos(a), 0.75 * r * math.sin(a), z - 1.5 * r * d[1]),
                0.1 * r,
                trim,
            )
        )
    return out, (0.0, 0.0, z)
