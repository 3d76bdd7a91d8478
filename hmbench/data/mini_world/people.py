"""People and robots, on two legs."""

import math
from collections.abc import Sequence

from hmbench.data.mini_world.look import PALETTE, PATTERNS, SKINS, Legs, Look, dim, flat, leg, main
from hmbench.data.mini_world.primitives import BY_FACE, Paint, Vec, box, capsule, ellipsoid, frustum
from hmbench.data.mini_world.textures import LAYER


def person(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a walking person and its core point; `d` are distortion factors."""
    h, b = look.height, look.build
    child = h < 1.35
    skin = SKINS["dark"] if "dark" in look.extras else SKINS["tan"] if "tan" in look.extras else SKINS["light"]
    cloth, trousers = main(look, 2.2), flat(PALETTE[look.bottom])
    hip, shoulder = 0.53 * h, 0.815 * h
    out: list[list[float]] = []
    bare = "skirt" in look.extras
    legs = Legs(0.26 * h * d[1], 0.25 * h, 0.52 * d[0], 0.62)
    for side, shift in ((1, 0.0), (-1, math.pi)):
        a = (0.0, side * 0.052 * h * b, hip)
        k, f = leg(a, phase + shift, legs)
        out += [
            capsule(a, k, 0.056 * h * b * d[2], trousers),
            capsule(k, f, 0.043 * h * b, flat(skin) if bare else trousers),
        ]
        out.append(
            capsule(
                (f[0] - 0.012 * h, f[1], f[2] - 0.012 * h),
                (f[0] + 0.075 * h, f[1], f[2] - 0.016 * h),
                0.03 * h,
                flat((0.1, 0.08, 0.07)),
            )
        )
        arm = -0.5 * d[0] * math.sin(phase + shift)
        bend = arm + 0.35 + 0.25 * math.sin(phase + shift + math.pi)
        s = (0.0, side * 0.118 * h * b * d[5], shoulder)
        e = (
            s[0] + 0.165 * h * d[3] * math.sin(arm),
            s[1] + side * 0.02 * h,
            s[2] - 0.165 * h * d[3] * math.cos(arm),
        )
        w = (e[0] + 0.15 * h * math.sin(bend), e[1], e[2] - 0.15 * h * math.cos(bend))
        out += [
            capsule(s, e, 0.038 * h * b, cloth),
            capsule(e, w, 0.029 * h * b, flat(skin) if "coat" not in look.extras else cloth),
        ]
        out.append(ellipsoid(w, (0.032 * h, 0.026 * h, 0.036 * h), flat(skin)))
    out += [
        ellipsoid((0, 0, hip + 0.025 * h), (0.08 * h * b, 0.1 * h * b * d[4], 0.085 * h), trousers),
        ellipsoid((0, 0, 0.665 * h), (0.082 * h * b, 0.108 * h * b * d[4], 0.15 * h), cloth),
        ellipsoid((0, 0, 0.765 * h), (0.078 * h * b, 0.13 * h * b * d[5], 0.085 * h), cloth),
        capsule((0, 0, 0.82 * h), (0.005 * h, 0, 0.88 * h), 0.031 * h, flat(skin)),
    ]
    if "coat" in look.extras:
        out.append(frustum((0, 0, 0.34 * h), (0, 0, 0.68 * h), (0.165 * h * b, 0.1 * h * b), cloth))
    elif bare:
        out.append(
            frustum((0, 0, 0.34 * h), (0, 0, 0.6 * h), (0.16 * h * b, 0.085 * h * b), flat(PALETTE[look.bottom]))
        )
    if "pack" in look.extras:
        out.append(
            box(
                (-0.125 * h * b, 0, 0.72 * h),
                (0.055 * h, 0.09 * h, 0.12 * h),
                Paint(PALETTE[look.accent], LAYER["panels"], 2.0),
            )
        )
    out += _head(look, h, d[6] * (1.18 if child else 1.0), skin)
    return out, (0.0, 0.0, 0.58 * h)


def _head(look: Look, h: float, size: float, skin: Vec) -> list[list[float]]:
    z, r = 0.925 * h, h * size
    hair = Paint(PALETTE[look.accent], LAYER["fur"], 3.0)
    out = [ellipsoid((0.008 * h, 0, z), (0.058 * r, 0.05 * r, 0.068 * r), flat(skin))]
    out.append(ellipsoid((0.064 * r, 0, z - 0.008 * h), (0.013 * r, 0.01 * r, 0.015 * r), flat(dim(skin, 0.9))))
    out += [
        ellipsoid(
            (0.055 * r, s * 0.021 * r, z + 0.012 * r),
            (0.008 * r, 0.009 * r, 0.009 * r),
            flat((0.03, 0.03, 0.03)),
        )
        for s in (1, -1)
    ]
    if "bald" not in look.extras:
        out.append(ellipsoid((-0.016 * r, 0, z + 0.022 * r), (0.06 * r, 0.058 * r, 0.062 * r), hair))
    if "long" in look.extras:
        out.append(ellipsoid((-0.042 * r, 0, z - 0.055 * r), (0.036 * r, 0.062 * r, 0.1 * r), hair))
    if "beard" in look.extras:
        out.append(ellipsoid((0.035 * r, 0, z - 0.05 * r), (0.032 * r, 0.038 * r, 0.045 * r), hair))
    if "hat" in look.extras:
        felt = flat(dim(PALETTE[look.bottom], 0.8))
        out += [frustum((0, 0, z + 0.05 * r), (0, 0, z + 0.062 * r), (0.115 * r, 0.11 * r), felt)]
        out += [frustum((0, 0, z + 0.06 * r), (0, 0, z + 0.13 * r), (0.064 * r, 0.054 * r), felt)]
    if "cap" in look.extras:
        felt = flat(PALETTE[look.top])
        out += [ellipsoid((0, 0, z + 0.04 * r), (0.064 * r, 0.06 * r, 0.045 * r), felt)]
        out += [ellipsoid((0.07 * r, 0, z + 0.035 * r), (0.05 * r, 0.045 * r, 0.008 * r), felt)]
    if "helmet" in look.extras:
        out.append(ellipsoid((0, 0, z + 0.015 * r), (0.07 * r, 0.066 * r, 0.075 * r), flat(PALETTE[look.bottom], 0.6)))
    return out


def robot(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    """Return primitives of a walking robot and its core point; `d` are distortion factors."""
    h, b = look.height, look.build
    shell = Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], 1.6, BY_FACE, 0.0, 0.5)
    joint, light = flat(PALETTE[look.bottom], 0.5), flat(PALETTE[look.accent], 0.0, 0.9)
    out: list[list[float]] = []
    legs = Legs(0.23 * h * d[1], 0.22 * h, 0.45 * d[0], 0.5)
    for side, shift in ((1, 0.0), (-1, math.pi)):
        a = (0.0, side * 0.085 * h * b, 0.47 * h)
        k, f = leg(a, phase + shift, legs)
        out += [
            frustum(a, k, (0.05 * h * b * d[2], 0.065 * h * b * d[2]), shell),
            ellipsoid(k, (0.055 * h, 0.055 * h, 0.055 * h), joint),
        ]
        out += [
            frustum(k, f, (0.05 * h * b, 0.075 * h * b), shell),
            box((f[0] + 0.02 * h, f[1], f[2] - 0.02 * h), (0.09 * h, 0.055 * h, 0.025 * h), joint),
        ]
        arm = -0.45 * d[0] * math.sin(phase + shift)
        s = (0.0, side * 0.2 * h * b * d[5], 0.76 * h)
        e = (
            s[0] + 0.17 * h * d[3] * math.sin(arm),
            s[1] + side * 0.02 * h,
            s[2] - 0.17 * h * d[3] * math.cos(arm),
        )
        w = (e[0] + 0.14 * h * math.sin(arm + 0.6), e[1], e[2] - 0.14 * h * math.cos(arm + 0.6))
        out += [ellipsoid(s, (0.07 * h, 0.07 * h, 0.07 * h), joint), capsule(s, e, 0.04 * h * b, joint)]
        out += [frustum(e, w, (0.045 * h, 0.06 * h), shell)]
    out += [
        box((0, 0, 0.5 * h), (0.085 * h, 0.12 * h * b * d[4], 0.045 * h), joint),
        box((0, 0, 0.68 * h), (0.1 * h * b, 0.155 * h * b * d[5], 0.135 * h), shell),
        box((0.1 * h * b, 0, 0.71 * h), (0.012 * h, 0.05 * h, 0.05 * h), light),
        capsule((0, 0, 0.8 * h), (0, 0, 0.86 * h), 0.035 * h, joint),
    ]
    if "dome" in look.extras:
        out += [ellipsoid((0, 0, 0.89 * h), (0.085 * h, 0.09 * h, 0.09 * h * d[6]), shell)]
    else:
        out += [box((0, 0, 0.9 * h), (0.075 * h, 0.085 * h, 0.068 * h * d[6]), shell)]
    out += [box((0.08 * h, 0, 0.905 * h), (0.014 * h, 0.06 * h, 0.018 * h), light)]
    if "antenna" in look.extras:
        out += [
            capsule((0, 0.05 * h, 0.95 * h), (0, 0.05 * h, 1.04 * h), 0.008 * h, joint),
            ellipsoid((0, 0.05 * h, 1.05 * h), (0.02 * h, 0.02 * h, 0.02 * h), light),
        ]
    return out, (0.0, 0.0, 0.66 * h)
