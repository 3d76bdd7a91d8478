"""What became of a subject at its re-entry: one word, decided by rules over measured numbers.

The order of the rules is the order of what one would say first: a subject that never came back is vanished, whatever
else; a stranger in its place is a changed identity before its path matters; a body out of shape before its place.
Thresholds were set on clips of the mini world's train split (`hmbench validate-metrics --split train`) and are held
against its test split in docs/metrics.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal[
    "returned",
    "late",
    "displaced",
    "frozen",
    "wrong way",
    "changed identity",
    "distorted",
    "duplicated",
    "vanished",
]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where one verdict ends and another begins."""

    identity: float = 0.45
    """Calibrated similarity below which it is somebody else, if the nearest in the gallery is somebody else, too."""
    resemblance: float = 0.72
    """Calibrated similarity below which the right subject is out of shape."""
    shape: float = 0.17
    """|log| of the aspect ratio against the target's from which on it is out of shape."""
    size: float = 0.3
    """|log| of the size ratio from which on a subject that stands where it should is out of shape."""
    any_size: float = 0.5
    """|log| of the size ratio from which on it is out of shape wherever it stands."""
    feet: float = 0.15
    """Box heights between its feet and the target's up to which it stands where it should."""
    late_frames: float = 6.0
    """Frames too late, at first sight or along its path."""
    aside: float = 0.35
    """Body heights beside the path."""
    agreement: float = 0.35
    """Agreement of velocities below which it goes another way."""
    slow: float = 0.4
    """Share of the target's speed below which it is frozen."""
    far_from_shape: float = 0.4
    """|log| of the aspect ratio from which on parts of it may look like a second copy."""
    double_frames: int = 10
    """Frames in which a second copy must be there."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What the verdict is decided by; NaN where it could not be measured."""

    seen: bool
    """It came back at all."""
    offset_frames: float
    """Frames between its first sight and the target's; positive is late."""
    identity: float
    """Calibrated similarity to the context."""
    rank1: bool | None
    """The gallery's nearest is itself; None without others."""
    aspect: float
    """Log of width over height, against the target's."""
    scale: float
    """Log of the square root of area, against the target's."""
    feet: float
    """Distance of feet in the picture, in heights of the target's box."""
    offset: float
    """Body heights between it and the target in the world."""
    aside: float
    """The same, after taking out a lag along the path."""
    lag: float
    """Frames behind along the path."""
    agreement: float
    """Agreement of velocities."""
    speed_target: float
    """Metres a frame."""
    speed_ratio: float
    """Predicted speed over the target's."""
    double_frames: int
    """Frames with a second copy."""
    standing: float
    """Metres a frame below which the target stands."""


def decide(n: Numbers, limits: Thresholds | None = None) -> Verdict:
    """The verdict."""
    t = limits or Thresholds()
    if not n.seen:
        return "vanished"
    if n.identity < t.identity and n.rank1 is not True:
        return "changed identity"
    if abs(n.aspect) > t.far_from_shape:
        return "distorted"
    if n.double_frames >= t.double_frames:
        return "duplicated"
    wrong_size = abs(n.scale) > t.size and n.feet < t.feet
    if abs(n.aspect) > t.shape or wrong_size or n.identity < t.resemblance:
        return "distorted"
    moves = n.speed_target > n.standing
    if moves and n.speed_ratio < t.slow:
        return "frozen"
    if moves and n.agreement < t.agreement:
        return "wrong way"
    if abs(n.scale) > t.any_size:
        return "distorted"
    trails = moves and not math.isnan(n.lag) and n.lag >= t.late_frames and n.aside < max(t.aside, 0.5 * n.offset)
    if trails or n.offset_frames >= t.late_frames:
        return "late"
    return "displaced" if n.offset > t.aside else "returned"
