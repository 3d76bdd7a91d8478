"""Bodies of subjects: primitives in their own axes (x ahead, z up, lowest foot at z = 0) at a phase of their gait.

The phase is distance walked over stride, so feet do not slide when the speed varies, and one that stands still is
frozen in its step. `limbs` are factors that the distortion probe moves away from 1 (see `probes`).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from hmbench.data.mini_world.primitives import (
    AROUND,
    BY_FACE,
    X_AXIS,
    Paint,
    Rows,
    Vec,
    box,
    capsule,
    corners,
    ellipsoid,
    frustum,
    rows,
)
from hmbench.data.mini_world.textures import LAYER

LIMBS = 7
"""Factors: stride, upper leg length, leg width, arm or neck length, belly, shoulders, head."""
PLAIN = (1.0,) * LIMBS
PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (0.8, 0.09, 0.08), "orange": (0.95, 0.45, 0.06), "yellow": (0.95, 0.82, 0.12), "green": (0.12, 0.55, 0.16),
    "teal": (0.05, 0.6, 0.6), "blue": (0.1, 0.2, 0.8), "purple": (0.45, 0.12, 0.62), "pink": (0.95, 0.42, 0.62),
    "white": (0.88, 0.88, 0.88), "black": (0.06, 0.06, 0.07), "brown": (0.4, 0.23, 0.11), "grey": (0.42, 0.42, 0.45),
    "beige": (0.78, 0.65, 0.45), "silver": (0.66, 0.69, 0.73), "gold": (0.82, 0.6, 0.18), "navy": (0.06, 0.09, 0.28),
    "lime": (0.55, 0.85, 0.12), "sky": (0.4, 0.68, 0.95),
}  # fmt: skip
SKINS = {"light": (0.88, 0.66, 0.52), "tan": (0.7, 0.48, 0.34), "dark": (0.36, 0.22, 0.15)}
PATTERNS = {"plain": "plain", "striped": "stripes", "checked": "checks", "dotted": "dots", "zigzag": "zigzag",
            "camouflage": "camouflage", "furry": "fur", "hazard": "hazard", "scaly": "scales"}  # fmt: skip


class Look(NamedTuple):
    """Everything that identifies a subject."""

    name: str
    """Unique name, for example ``RedWoman``."""
    body: str
    """person, robot, quadruped, bird, cart or drone."""
    kind: str
    """Word for captions and shape details: woman, dog, ostrich..."""
    height: float
    """Metres."""
    build: float
    """Thickness, 1 is average."""
    top: str
    """Main colour."""
    bottom: str
    """Second colour."""
    accent: str
    """Hair, horns or lights."""
    pattern: str
    """Of the main surface."""
    extras: tuple[str, ...] = ()
    """hat, cap, pack, skirt, coat, long, bald, dark, tan, horns, mane..."""


class Body(NamedTuple):
    """A body in its own axes."""

    parts: Rows
    core: tuple[float, float, float]
    """A point inside the body near its middle: the subject's 3D centre."""
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    """Opposite corners of its bounding box."""


def stride(look: Look) -> float:
    """Return metres walked in one cycle of the gait."""
    return {"person": 0.85, "robot": 0.8, "quadruped": 1.0, "bird": 0.75, "cart": 1.2, "drone": 1.0}[
        look.body
    ] * look.height


def category(look: Look) -> str:
    """Return the category that detectors are scored on."""
    return {"person": "person", "robot": "robot", "quadruped": "animal", "bird": "animal"}.get(look.body, "other")


def build_body(look: Look, phase: float, limbs: Sequence[float] = PLAIN, scale: float = 1.0) -> Body:
    """Return the body at a phase in radians.

    Args:
        look: The subject.
        phase: 2 pi times strides walked.
        limbs: Distortion factors.
        scale: Overall size.
    """
    sized = look._replace(height=look.height * scale)
    parts, core = _BODIES[look.body](sized, phase, limbs)
    body = rows(parts)
    at = corners(body)
    lift = -_lowest(body) if look.body != "drone" else 0.0
    body[:, 3] += lift
    low, high = at.min((0, 1)), at.max((0, 1))
    return Body(
        body,
        (core[0], core[1], core[2] + lift),
        (float(low[0]), float(low[1]), max(0.0, float(low[2] + lift))),
        (float(high[0]), float(high[1]), float(high[2] + lift)),
    )


def _lowest(body: Rows) -> float:
    """Height of the lowest point; exact for spheres and upright shapes, a corner bound for the others."""
    up = np.abs(body[:, [6, 9, 12]])
    s = body[:, 13:16]
    kind = body[:, 0]
    square = up[:, 0] * s[:, 0], up[:, 1] * s[:, 1], up[:, 2] * s[:, 2]
    round_ = np.sqrt(square[0] * square[0] + square[1] * square[1] + square[2] * square[2])
    reach = np.where(kind == 1, round_, np.where(kind == 2, square[2] + s[:, 0], square[0] + square[1] + square[2]))
    return float((body[:, 3] - reach).min())


def _flat(color: Vec, gloss: float = 0.0, emission: float = 0.0) -> Paint:
    return Paint(color, LAYER["plain"], 2.0, BY_FACE, emission, gloss)


def _main(look: Look, repeats: float = 2.0) -> Paint:
    return Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], repeats, AROUND)


def _dim(color: Vec, factor: float) -> Vec:
    return [c * factor for c in color]


class _Legs(NamedTuple):
    """How a leg of two segments hangs from its hip."""

    upper: float
    lower: float
    swing: float
    bend: float


def _leg(hip: Vec, phase: float, legs: _Legs) -> tuple[Vec, Vec]:
    """Return knee and ankle."""
    thigh = legs.swing * math.sin(phase)
    knee = 0.12 + legs.bend * max(0.0, -math.cos(phase - 0.4))
    k = (hip[0] + legs.upper * math.sin(thigh), hip[1], hip[2] - legs.upper * math.cos(thigh))
    shin = thigh - knee
    return k, (k[0] + legs.lower * math.sin(shin), k[1], k[2] - legs.lower * math.cos(shin))


def _person(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    h, b = look.height, look.build
    child = h < 1.35
    skin = SKINS["dark"] if "dark" in look.extras else SKINS["tan"] if "tan" in look.extras else SKINS["light"]
    cloth, trousers = _main(look, 2.2), _flat(PALETTE[look.bottom])
    hip, shoulder = 0.53 * h, 0.815 * h
    out: list[list[float]] = []
    bare = "skirt" in look.extras
    legs = _Legs(0.26 * h * d[1], 0.25 * h, 0.52 * d[0], 0.62)
    for side, shift in ((1, 0.0), (-1, math.pi)):
        a = (0.0, side * 0.052 * h * b, hip)
        k, f = _leg(a, phase + shift, legs)
        out += [
            capsule(a, k, 0.056 * h * b * d[2], trousers),
            capsule(k, f, 0.043 * h * b, _flat(skin) if bare else trousers),
        ]
        out.append(
            capsule(
                (f[0] - 0.012 * h, f[1], f[2] - 0.012 * h),
                (f[0] + 0.075 * h, f[1], f[2] - 0.016 * h),
                0.03 * h,
                _flat((0.1, 0.08, 0.07)),
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
            capsule(e, w, 0.029 * h * b, _flat(skin) if "coat" not in look.extras else cloth),
        ]
        out.append(ellipsoid(w, (0.032 * h, 0.026 * h, 0.036 * h), _flat(skin)))
    out += [
        ellipsoid((0, 0, hip + 0.025 * h), (0.08 * h * b, 0.1 * h * b * d[4], 0.085 * h), trousers),
        ellipsoid((0, 0, 0.665 * h), (0.082 * h * b, 0.108 * h * b * d[4], 0.15 * h), cloth),
        ellipsoid((0, 0, 0.765 * h), (0.078 * h * b, 0.13 * h * b * d[5], 0.085 * h), cloth),
        capsule((0, 0, 0.82 * h), (0.005 * h, 0, 0.88 * h), 0.031 * h, _flat(skin)),
    ]
    if "coat" in look.extras:
        out.append(frustum((0, 0, 0.34 * h), (0, 0, 0.68 * h), (0.165 * h * b, 0.1 * h * b), cloth))
    elif bare:
        out.append(
            frustum((0, 0, 0.34 * h), (0, 0, 0.6 * h), (0.16 * h * b, 0.085 * h * b), _flat(PALETTE[look.bottom]))
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
    out = [ellipsoid((0.008 * h, 0, z), (0.058 * r, 0.05 * r, 0.068 * r), _flat(skin))]
    out.append(ellipsoid((0.064 * r, 0, z - 0.008 * h), (0.013 * r, 0.01 * r, 0.015 * r), _flat(_dim(skin, 0.9))))
    out += [
        ellipsoid(
            (0.055 * r, s * 0.021 * r, z + 0.012 * r),
            (0.008 * r, 0.009 * r, 0.009 * r),
            _flat((0.03, 0.03, 0.03)),
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
        felt = _flat(_dim(PALETTE[look.bottom], 0.8))
        out += [frustum((0, 0, z + 0.05 * r), (0, 0, z + 0.062 * r), (0.115 * r, 0.11 * r), felt)]
        out += [frustum((0, 0, z + 0.06 * r), (0, 0, z + 0.13 * r), (0.064 * r, 0.054 * r), felt)]
    if "cap" in look.extras:
        felt = _flat(PALETTE[look.top])
        out += [ellipsoid((0, 0, z + 0.04 * r), (0.064 * r, 0.06 * r, 0.045 * r), felt)]
        out += [ellipsoid((0.07 * r, 0, z + 0.035 * r), (0.05 * r, 0.045 * r, 0.008 * r), felt)]
    if "helmet" in look.extras:
        out.append(ellipsoid((0, 0, z + 0.015 * r), (0.07 * r, 0.066 * r, 0.075 * r), _flat(PALETTE[look.bottom], 0.6)))
    return out


def _robot(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    h, b = look.height, look.build
    shell = Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], 1.6, BY_FACE, 0.0, 0.5)
    joint, light = _flat(PALETTE[look.bottom], 0.5), _flat(PALETTE[look.accent], 0.0, 0.9)
    out: list[list[float]] = []
    legs = _Legs(0.23 * h * d[1], 0.22 * h, 0.45 * d[0], 0.5)
    for side, shift in ((1, 0.0), (-1, math.pi)):
        a = (0.0, side * 0.085 * h * b, 0.47 * h)
        k, f = _leg(a, phase + shift, legs)
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


# length, body thickness, leg share of the height, neck length, neck rise, head length, head width, ear, tail
_QUADRUPEDS = {
    "dog": (0.62, 0.17, 0.5, 0.22, 0.24, 0.15, 0.1, 0.07, 0.35),
    "horse": (0.55, 0.17, 0.52, 0.34, 0.42, 0.17, 0.08, 0.06, 0.4),
    "cat": (0.66, 0.15, 0.48, 0.14, 0.2, 0.11, 0.12, 0.08, 0.6),
    "bear": (0.62, 0.28, 0.38, 0.2, 0.1, 0.17, 0.15, 0.06, 0.08),
    "deer": (0.52, 0.14, 0.56, 0.26, 0.4, 0.13, 0.07, 0.09, 0.1),
    "cow": (0.62, 0.23, 0.44, 0.22, 0.14, 0.19, 0.12, 0.06, 0.45),
}


def _quadruped(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    length, thick, leg_share, neck, rise, head, wide, ear, tail = _QUADRUPEDS[look.kind]
    h = look.height
    t = thick * h * look.build
    coat, socks, accent = (
        _main(look, 1.6 / max(h, 0.6)),
        _flat(PALETTE[look.bottom]),
        _flat(PALETTE[look.accent]),
    )
    hip = leg_share * h
    mid, x = hip + 0.55 * t, length * h
    out: list[list[float]] = []
    legs = _Legs(0.52 * hip * d[1], 0.46 * hip, 0.46 * d[0], 0.5)
    for fx, side, shift in ((0.8, 1, 0.0), (0.8, -1, math.pi), (-0.8, 1, math.pi + 0.5), (-0.8, -1, 0.5)):
        a = (fx * x, side * 0.62 * t, hip)
        k, f = _leg(a, phase + shift, legs)
        out += [
            capsule(a, k, 0.075 * h * d[2] * look.build, _flat(PALETTE[look.top])),
            capsule(k, f, 0.047 * h, socks),
        ]
        out.append(ellipsoid((f[0] + 0.02 * h, f[1], f[2]), (0.065 * h, 0.05 * h, 0.04 * h), _flat((0.12, 0.1, 0.09))))
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
    out += [ellipsoid(nose, (0.3 * wide * h, 0.36 * wide * h, 0.34 * wide * h), _flat((0.05, 0.04, 0.04)))]
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
                _flat((0.02, 0.02, 0.02)),
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


def _bird(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    h, b = look.height, look.build
    coat, second, beak = _main(look, 2.0), _flat(PALETTE[look.bottom]), _flat(PALETTE[look.accent])
    penguin = look.kind == "penguin"
    hip = (0.16 if penguin else 0.45) * h
    legs = _Legs(0.5 * hip * d[1], 0.48 * hip, (0.35 if penguin else 0.5) * d[0], 0.55)
    out: list[list[float]] = []
    for side, shift in ((1, 0.0), (-1, math.pi)):
        k, f = _leg((0.0, side * 0.07 * h, hip), phase + shift, legs)
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
            _flat((0.95, 0.95, 0.9)),
        )
        for s in (1, -1)
    ]
    return out, (0.0, 0.0, core)


def _cart(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    h, b = look.height, look.build
    shell = Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], 1.5, BY_FACE, 0.0, 0.5)
    trim, light = _flat(PALETTE[look.bottom], 0.3), _flat(PALETTE[look.accent], 0.0, 0.9)
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
                    _flat((0.06, 0.06, 0.06)),
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
                _flat((0.15, 0.2, 0.25), 0.9),
            )
        )
    else:
        out.append(box((0.02 * h, 0, 0.79 * h + bob), (0.4 * h, 0.29 * h * b * d[5], 0.06 * h), trim))
        out.append(capsule((-0.35 * h, 0.2 * h, 0.8 * h), (-0.38 * h, 0.2 * h, 1.25 * h * d[3]), 0.015 * h, trim))
        out.append(box((-0.38 * h, 0.2 * h, 1.22 * h * d[3]), (0.09 * h, 0.01 * h, 0.07 * h), light))
    for side in (1, -1):
        out.append(ellipsoid((0.52 * h, side * 0.2 * h, 0.55 * h + bob), (0.03 * h, 0.06 * h, 0.06 * h), light))
    return out, (0.0, 0.0, 0.5 * h)


def _drone(look: Look, phase: float, d: Sequence[float]) -> tuple[list[list[float]], Vec]:
    h, b = look.height, look.build
    shell, trim = _main(look, 1.5)._replace(gloss=0.6), _flat(PALETTE[look.bottom], 0.4)
    light = _flat(PALETTE[look.accent], 0.0, 0.9)
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


_Builder = Callable[[Look, float, Sequence[float]], tuple[list[list[float]], Vec]]
_BODIES: dict[str, _Builder] = {
    "person": _person, "robot": _robot, "quadruped": _quadruped, "bird": _bird, "cart": _cart, "drone": _drone,
}  # fmt: skip
