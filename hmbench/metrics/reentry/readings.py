"""The numbers of an event record that are published, each with its name, direction and worst value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from hmbench.metrics.reentry.event_record import EventRecord

Read = Callable[[EventRecord], float]


class Reading(NamedTuple):
    """One number of an event record, and how to publish it."""

    name: str
    """Metric name."""
    read: Read
    """The number; NaN where it could not be measured."""
    what: str
    """What it is, in a line."""
    higher_is_better: bool | None
    """Direction."""
    bounds: tuple[float | None, float | None]
    """Smallest and largest value."""
    worst: Read | None = None
    """Value of a subject that never came back, NaN where not even the real one could be measured; None where the number
    has no bound and so no worst value."""
    unit: str = ""
    """Unit."""
    version: int = 3
    """Raised whenever its numbers may change."""
    headline: bool = False
    """Shown on screen."""
    of_all: bool = False
    """Also asked of subjects that never came back, since it is about the time before."""


def _none(record: EventRecord) -> float:
    return 0.0


def _share(
    name: str, read: Read, what: str, *, worst: Read = _none, version: int = 3, headline: bool = False
) -> Reading:
    """A value in [0, 1], higher is better, 0 for a subject that never came back."""
    return Reading(name, read, what, True, (0, 1), worst=worst, version=version, headline=headline)


def _error(name: str, read: Read, what: str, unit: str = "", version: int = 3) -> Reading:
    """A value from 0 up, lower is better, without a worst."""
    return Reading(name, read, what, False, (0, None), unit=unit, version=version)


READINGS = (
    _share("return_recall", lambda r: float(r.numbers.seen), "share of subjects that are seen again", headline=True),
    _share("return_coverage", lambda r: r.coverage, "share of the frames with the real subject that have it"),
    Reading(
        "false_presence",
        lambda r: r.false_presence,
        "share of the frames without the real subject that show it",
        False,
        (0, 1),
        version=4,
        of_all=True,
    ),
    Reading(
        "return_offset",
        lambda r: r.numbers.offset_frames,
        "first sight against the target's, positive is late",
        None,
        (None, None),
        unit="frames",
    ),
    Reading(
        "return_delay",
        lambda r: abs(r.numbers.offset_frames),
        "|first sight against the target's|; the length of a window if it never came back",
        False,
        (0, None),
        worst=lambda r: float(r.whole_window),
        unit="frames",
    ),
    Reading(
        "place_error",
        lambda r: r.centre_error,
        "distance of box centres",
        False,
        (0, 1),
        worst=lambda r: 1.0,
        unit="diagonals",
    ),
    _error("place_error_size", lambda r: r.centre_error_size, "distance of box centres over the root of the area"),
    _error(
        "place_offset",
        lambda r: r.numbers.offset,
        "distance in the world, along the line of sight 0.35 of it",
        "body heights",
        4,
    ),
    _share("place_iou", lambda r: r.iou, "overlap of boxes"),
    _error("scale_error", lambda r: abs(r.numbers.scale), "|log| of the size ratio", version=4),
    _error("shape_error", lambda r: abs(r.numbers.aspect), "|log| of the aspect ratio over the target's"),
    _share(
        "identity_rank1",
        lambda r: _truth(r.numbers.rank1),
        "nearest in the gallery is itself",
        worst=lambda r: 0.0 if r.strangers else math.nan,
        version=4,
    ),
    _share(
        "identity_similarity",
        lambda r: min(max(r.numbers.identity, 0.0), 1.0),
        "looks: 0 = a stranger, 1 = its own real crops",
        version=4,
        headline=True,
    ),
    Reading("identity_margin", lambda r: r.margin, "lead over the nearest stranger", True, (None, None), version=4),
    _share("identity_single", lambda r: 1 - r.double_share, "1 - share of the frames with a second copy", version=5),
    _share(
        "motion_agreement",
        lambda r: r.numbers.agreement,
        "1 - |v - w| / (|v| + |w|)",
        worst=lambda r: 0.0 if r.moves is not None else math.nan,
        version=4,
        headline=True,
    ),
    Reading(
        "motion_direction",
        lambda r: r.direction,
        "cosine of velocities",
        True,
        (-1, 1),
        worst=lambda r: -1.0 if r.moves else math.nan,
        version=4,
    ),
    Reading("motion_speed", lambda r: r.numbers.speed_ratio, "speed over the target's", None, (0, None), version=4),
    Reading("articulation", lambda r: r.articulation, "change inside the box over the target's", None, (0, None)),
    Reading(
        "return_timing",
        lambda r: r.parts.get("timing", math.nan),
        "exp(-0.05 (|lag of the whole prediction| - 1))",
        True,
        (None, 1),
        version=1,
    ),
    _share("body_texture", lambda r: _clipped(r.numbers.texture), "likeness of colours inside the body", version=1),
    Reading(
        "body_facing",
        lambda r: r.numbers.facing,
        "1 faces as the real one, -1 as its mirror image",
        True,
        (None, None),
        version=1,
    ),
    Reading("body_gait", lambda r: r.numbers.gait, "1 in step, 0 slides or out of step", True, (None, None), version=1),
    _share(
        "verdict_returned",
        lambda r: float(r.verdict == "returned") if r.judged else math.nan,
        "nothing wrong with the event",
        worst=lambda r: 0.0 if r.judged else math.nan,
        version=11,
        headline=True,
    ),
    _share(
        "reentry_success",
        lambda r: r.success,
        "product of all factors, 0 at the best memoryless prediction, 1 at the truth",
        worst=lambda r: 0.0 if r.judged else math.nan,
        version=9,
        headline=True,
    ),
)


def _clipped(value: float) -> float:
    return value if math.isnan(value) else min(max(value, 0.0), 1.0)


def _truth(value: bool | None) -> float:
    return math.nan if value is None else float(value)
