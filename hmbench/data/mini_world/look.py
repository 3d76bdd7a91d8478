"""What identifies a subject, and the parts and paints that all bodies share."""

import math
from typing import NamedTuple

from hmbench.data.mini_world.primitives import AROUND, BY_FACE, Paint, Vec
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
    """Unique name: pattern, main colour, what a person wears, and kind, for example ``StripedRedCoatWoman``."""
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


def garment(look: Look) -> str:
    """Return what a person wears in the main colour."""
    return "coat" if "coat" in look.extras else "top"


def flat(color: Vec, gloss: float = 0.0, emission: float = 0.0) -> Paint:
    """Return one plain colour."""
    return Paint(color, LAYER["plain"], 2.0, BY_FACE, emission, gloss)


def main(look: Look, repeats: float = 2.0) -> Paint:
    """Return the subject's own colour and pattern."""
    return Paint(PALETTE[look.top], LAYER[PATTERNS[look.pattern]], repeats, AROUND)


def dim(color: Vec, factor: float) -> Vec:
    """Return a colour made darker or lighter."""
    return [c * factor for c in color]


class Legs(NamedTuple):
    """How a leg of two segments hangs from its hip."""

    upper: float
    lower: float
    swing: float
    bend: float


def leg(hip: Vec, phase: float, legs: Legs) -> tuple[Vec, Vec]:
    """Return knee and ankle."""
    thigh = legs.swing * math.sin(phase)
    knee = 0.12 + legs.bend * max(0.0, -math.cos(phase - 0.4))
    k = (hip[0] + legs.upper * math.sin(thigh), hip[1], hip[2] - legs.upper * math.cos(thigh))
    shin = thigh - knee
    return k, (k[0] + legs.lower * math.sin(shin), k[1], k[2] - legs.lower * math.cos(shin))
