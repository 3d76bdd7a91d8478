"""Bodies of subjects: primitives in their own axes (x ahead, z up, lowest foot at z = 0) at a phase of their gait.

The phase is distance walked over stride, so feet do not slide when the speed varies, and one that stands still is
frozen in its step. `limbs` are factors that the distortion probe moves away from 1 (see `probes`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from hmbench.data.mini_world.creatures import bird, quadruped
from hmbench.data.mini_world.look import PLAIN, Look
from hmbench.data.mini_world.machines import cart, drone
from hmbench.data.mini_world.people import person, robot
from hmbench.data.mini_world.primitives import Rows, Vec, corners, rows


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


_Builder = Callable[[Look, float, Sequence[float]], tuple[list[list[float]], Vec]]
_BODIES: dict[str, _Builder] = {
    "person": person, "robot": robot, "quadruped": quadruped, "bird": bird, "cart": cart, "drone": drone,
}  # fmt: skip
