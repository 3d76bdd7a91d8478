"""How well a subject came back, factor by factor, and the one number that they multiply to.

Each factor is 1 for what is right within the tracker's and a codec's wobble (`Tolerance`), and says how much of a
return is left where only this is wrong. A factor that could not be measured is left out. Places and paths mean nothing
in a view that nobody asked for: *view* multiplies everything. What is left of a memoryless prediction is taken off at
the end (`hmbench.metrics.reentry.memoryless`).
"""

from __future__ import annotations

import math

from hmbench.metrics.reentry.verdict import Numbers


class Tolerance:
    """What counts as right: about the tracker's own wobble on nuisances; set by hand, seen on few clips."""

    view = 0.25
    """Following of the asked camera above what needs no memory."""
    identity = 0.85
    """Calibrated similarity."""
    aspect = 0.12
    """|log| of the aspect ratio."""
    scale = 0.15
    """|log| of the size ratio."""
    offset = 0.25
    """Body heights."""
    agreement = 0.65
    """Agreement of velocities."""
    on_path = 0.1
    """Body heights from its path up to which it moves right whatever its velocities seem to be: boxes wobble."""
    coverage = 0.8
    """Share of the asked frames."""
    absence = 0.1
    """Share of the hidden frames in which it is shown."""
    texture = 0.7
    """Correlation with the real body's colours."""
    facing = 0.3
    """Between a body that faces right (1) and its mirror image (-1)."""
    gait = 0.4
    """Of the real body's steps."""
    lag = 1
    """Frames by which the whole prediction is late or early."""


def part_scores(n: Numbers, coverage: float, frames: int) -> dict[str, float]:
    """Every factor that could be measured, each in [0, 1].

    Args:
        n: The event's numbers.
        coverage: Share of the asked frames in which it is there.
        frames: Frames in which it is there.
    """
    if not n.seen:
        return {"coverage": 0.0}
    t = Tolerance
    known = {
        "view": _ramp(n.view, 0, t.view),
        "coverage": min(coverage / t.coverage, 1.0),
        "absence": 1 - 0.75 * _ramp(n.false_presence, t.absence, 0.6),
        "identity": _ramp(n.identity, 0, t.identity),
        "single": 1 - 0.5 * min(1.0, n.double_frames / max(frames, 1)),
        "shape": math.exp(-1.5 * _beyond(n.aspect, t.aspect)),
        "size": math.exp(-4 * _beyond(n.scale, t.scale)),
        "place": math.exp(-2.5 * _beyond(n.offset, t.offset)),
        "motion": 0.15 + 0.85 * _motion(n),
        "body": _body(n),
        "timing": math.exp(-0.05 * _beyond(n.camera_lag, t.lag)),
    }
    return {name: value for name, value in known.items() if not math.isnan(value)}


def _body(n: Numbers) -> float:
    """The worst of texture, facing and gait: what has no texture faces nowhere and has no gait, which is one fault."""
    t = Tolerance
    known = (
        0.25 + 0.75 * _ramp(n.texture, 0.3, t.texture),
        0.25 + 0.75 * _ramp(n.facing, -t.facing, t.facing),
        0.4 + 0.6 * _ramp(n.gait, 0.1, t.gait),
    )
    return min((value for value in known if not math.isnan(value)), default=math.nan)


def _motion(n: Numbers) -> float:
    """Agreement of velocities; or that it never leaves its path, where a short sight says little of velocities."""
    agreement = _ramp(n.agreement, 0.05, Tolerance.agreement)
    if n.path is None or math.isnan(n.path.on_time) or math.isnan(agreement):
        return agreement
    return max(agreement, 1 - _ramp(n.path.on_time, Tolerance.on_path, 2 * Tolerance.on_path))


def success(parts: dict[str, float], floor: float = 0.0, ceiling: float = 1.0) -> float:
    """The product of the factors on a scale where `floor`, what no memory gets, is 0 and `ceiling`, the truth, is 1.

    Timing multiplies at the end: being late costs the same whatever no memory gets. Where what needs
    no memory gets as much as the truth, nothing is left to tell, and the success is 0.
    """
    value = math.prod(value for name, value in parts.items() if name != "timing")
    above = min(max(value - floor, 0.0) / (ceiling - floor), 1.0) if floor < ceiling else 0.0
    return above * parts.get("timing", 1.0)


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, straight between; NaN stays."""
    return value if math.isnan(value) else min(max((value - low) / (high - low), 0.0), 1.0)


def _beyond(value: float, tolerance: float) -> float:
    return value if math.isnan(value) else max(abs(value) - tolerance, 0.0)
