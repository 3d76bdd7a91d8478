"""Animals on four legs, and birds."""

import math
from collections.abc import Sequence

from hmbench.data.mini_world.look import PALETTE, Legs, Look, flat, leg, main
from hmbench.data.mini_world.primitives import X_AXIS, Paint, Vec, capsule, ellipsoid, frustum
from hmbench.data.mini_world.textures import LAYER

# length, body thickness, leg share of the height, neck length, neck rise, head length, head width, ear, tail
_QUADRUPEDS = {
    "dog": (0.62, 0.17, 0.5, 0.22, 0.24, 0.15, 0.1, 0.07, 0.35),
    "horse": (0.55, 0.17, 0.52, 0.34, 0.42, 0.17, 0.08, 0.06, 0.4),
    "cat": (0.66, 0.15, 0.48, 0.14, 0.2, 0.11, 0.12, 0.08, 0.6),
    "bear": (0.62, 0.28, 0.38, 0.2, 0.1, 0.17, 0.15, 0.06, 0.08),
    "deer": (0.52, 0.14, 0.56, 0.26, 0.4, 0.13, 0.07, 0.09, 0.1),
    "cow": (0.62, 0.23, 0.44, 0.22, 0.14, 0.19, 0.12, 0.06, 0.45),
}


def quadruped(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a walking animal on four legs and its core point; `d` are distortion factors."""
    length, thick, leg_share, neck, rise, head, wide, ear, tail = _QUADRUPEDS[look.kind]
    h = look.height
    t = thick * h * look.build
    coat, socks, accent = (
        main(look, 1.6 / max(h, 0.6)),
        flat(PALETTE[look.bottom]),
        flat(PALETTE[look.accent]),
    )
    hip = leg_share * h
    mid, x = hip + 0.55 * t, length * h
    out: list[list[float]] = []
    legs = Legs(0.52 * hip * d[1], 0.46 * hip, 0.46 * d[0], 0.5)
    for fx, side, shift in ((0.8, 1, 0.0), (0.8, -1, math.pi), (-0.8, 1, math.pi + 0.5), (-0.8, -1, 0.5)):
        a = (fx * x, side * 0.62 * t, hip)
        k, f = leg(a, phase + shift, legs)
        out += [
            capsule(a, k, 0.075 * h * d[2] * look.build, flat(PALETTE[look.top])),
            capsule(k, f, 0.047 * h, socks),
        ]
        out.append(ellipsoid((f[0] + 0.02 * h, f[1], f[2]), (0.065 * h, 0.05 * h, 0.04 * h), flat((0.12, 0.1, 0.09))))
    out += [
        ellipsoid((0, 0, mid), (t * 0.95 * d[4], t * 0.95 * d[4], 1.12 * x), coat, X_AXIS),
        ellipsoid((0.7 * x, 0, mid + 0.1 * t), (t * 1.05 * d[5], t * d[5], 0.42 * x), coat, X_AXIS),
        ellipsoid((-0.72 * x, 0, mid + 0.05 * t), (t * 1.02, t * 0.98, 0.4 * x), coat, X_AXIS),
    ]
    nod = 0.015 * h * math.sin(2 * phase)
    top = (0.95 * x + neck * h * 0.75, 0.0, mid + 0.5 * t + rise * h * d[3] + nod)
    out.append(frustum((0.8 * x, 0, mid + 0.2 * t), top, (0.62 * t, 0.4 * t), coat))
    r = head * h
    out.append(ellipsoid((top[0] + 0.2 * r, 0, top[2]), (wide * h, wide * h * d[6], 0.75 * r), coat, X_AXIS))
    nose = (top[0] + 1.25 * r, 0.0, top[2] - 0.3 * r)
    out += [frustum((top[0] + 0.5 * r, 0, top[2] - 0.1 * r), nose, (0.62 * wide * h, 0.42 * wide * h), socks)]
    out += [ellipsoid(nose, (0.3 * wide * h, 0.36 * wide * h, 0.34 * wide * h), flat((0.05, 0.04, 0.04)))]
    for side in (1, -1):
        out += [
            ellipsoid(
                (top[0] - 0.25 * r, side * 0.7 * wide * h, top[2] + 0.7 * wide * h),
                (0.03 * h, 0.026 * h, ear * h),
                accent,
            )
        ]
        out += [
            ellipsoid(
                (top[0] + 0.55 * r, side * 0.75 * wide * h, top[2] + 0.35 * wide * h),
                (0.016 * h, 0.016 * h, 0.016 * h),
                flat((0.02, 0.02, 0.02)),
            )
        ]
        if "horns" in look.extras:
            root, mid_horn = (
                (top[0], side * 0.4 * wide * h, top[2] + 0.8 * wide * h),
                (top[0] - 0.06 * h, side * 0.14 * h, top[2] + 0.24 * h),
            )
            out += [
                capsule(root, mid_horn, 0.018 * h, accent),
                capsule(
                    mid_horn,
                    (mid_horn[0] + 0.08 * h, side * 0.2 * h, mid_horn[2] + 0.12 * h),
                    0.014 * h,
                    accent,
                ),
            ]
    if "mane" in look.extras:
        out += [
            ellipsoid(
                ((0.8 * x + top[0]) / 2 - 0.05 * h, 0, (mid + top[2]) / 2 + 0.12 * h),
                (0.09 * h, 0.045 * h, 0.2 * h),
                Paint(PALETTE[look.accent], LAYER["fur"], 2.0),
            )
        ]
    wag = 0.12 * h * math.sin(phase)
    end = (
        -1.1 * x - tail * h * 0.5,
        wag,
        mid + 0.3 * t + (0.3 if look.kind in ("dog", "cat") else -0.35) * tail * h,
    )
    out.append(capsule((-1.05 * x, 0, mid + 0.3 * t), end, 0.03 * h, accent))
    return out, (0.0, 0.0, mid)


def bird(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a walking bird and its core point; `d` are distortion factors."""
    h, b = look.height, look.build
    coat, second, beak = main(look, 2.0), flat(PALETTE[look.bottom]), flat(PALETTE[look.accent])
    penguin = look.kind == "penguin"
    hip = (0.16 if penguin else 0.45) * h
    legs = Legs(0.5 * hip * d[1], 0.48 * hip, (0.35 if penguin else 0.5) * d[0], 0.55)
    out: list[list[float]] = []
    for side, shift in ((1, 0.0), (-1, math.pi)):
        k, f = leg((0.0, side * 0.07 * h, hip), phase + shift, legs)
        out += [
            capsule((0.0, side * 0.07 * h, hip), k, 0.035 * h * d[2], second),
            capsule(k, f, 0.02 * h, beak),
        ]
        out.append(ellipsoid((f[0] + 0.04 * h, f[1], f[2]), (0.075 * h, 0.04 * h, 0.018 * h), beak))
    roll = 0.02 * h * math.sin(phase)
    if penguin:
        out.append(ellipsoid((0, roll, 0.46 * h), (0.19 * h * b, 0.2 * h * b * d[4], 0.36 * h), coat))
        out.append(ellipsoid((0.07 * h, roll, 0.44 * h), (0.14 * h * b, 0.155 * h * b, 0.3 * h), second))
        head, core = (0.03 * h, roll, 0.86 * h), 0.46 * h
        for side in (1, -1):
            flap = (0.02 * h, side * (0.29 + 0.03 * math.sin(2 * phase)) * h * b, 0.33 * h)
            out.append(capsule((0, side * 0.19 * h * b, 0.66 * h), flap, 0.035 * h * d[3], coat))
    else:
        core = 0.56 * h
        out.append(ellipsoid((-0.02 * h, 0, core), (0.17 * h * b * d[4], 0.17 * h * b * d[4], 0.28 * h), coat, X_AXIS))
        out.append(ellipsoid((-0.3 * h, 0, core + 0.06 * h), (0.1 * h, 0.13 * h, 0.13 * h), second))
        head = (0.3 * h + 0.02 * h * math.sin(2 * phase), 0.0, 0.95 * h)
        out.append(
            capsule(
                (0.18 * h, 0, core + 0.06 * h),
                head,
                0.042 * h * d[3],
                beak if "neck" in look.extras else coat,
            )
        )
        for side in (1, -1):
            out.append(
                ellipsoid(
                    (-0.04 * h, side * 0.15 * h * b, core + 0.02 * h),
                    (0.21 * h, 0.05 * h, 0.11 * h * d[5]),
                    second,
                )
            )
    out.append(ellipsoid(head, (0.095 * h, 0.08 * h, 0.085 * h * d[6]), coat))
    out.append(
        frustum(
            (head[0] + 0.06 * h, head[1], head[2] - 0.01 * h),
            (head[0] + 0.2 * h, head[1], head[2] - 0.03 * h),
            (0.04 * h, 0.01 * h),
            beak,
        )
    )
    out += [
        ellipsoid(
            (head[0] + 0.06 * h, head[1] + s * 0.062 * h, head[2] + 0.025 * h),
            (0.016 * h, 0.016 * h, 0.016 * h),
            flat((0.95, 0.95, 0.9)),
        )
        for s in (1, -1)
    ]
    return out, (0.0, 0.0, core)
