"""The record of one re-entry: everything that is measured about it, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass

from hmbench.metrics.reentry.verdict import Numbers, Verdict
from hmbench.types import Event


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """One re-entry; NaN where something could not be measured."""

    event: Event
    """Which, in frames of the whole clip."""
    name: str
    """The subject's name."""
    category: str
    """Its category."""
    window: tuple[int, int]
    """Target frames that were looked at, half-open."""
    whole_window: int
    """Frames of a window that the clip's end does not cut short."""
    strangers: int
    """Whom it might be taken for: other subjects of the clip, and the encoder's gallery."""
    moves: bool | None
    """The real subject moves in the window; None where it is in view too briefly to tell."""
    tracks: tuple[int, ...]
    """Ids of the tracks that play it."""
    numbers: Numbers
    """What the verdict rests on."""
    verdict: Verdict
    """The verdict."""
    coverage: float
    """Share of the asked frames in which it is there."""
    false_presence: float
    """Share of the hidden target frames in which something that looks like it is there."""
    centre_error: float
    """Mean distance to the target's box, in frame diagonals."""
    centre_error_size: float
    """The same in square roots of the box's area."""
    iou: float
    """Mean overlap with the target's box over the frames with both."""
    margin: float
    """Calibrated lead over the nearest stranger."""
    direction: float
    """Cosine between velocities."""
    articulation: float
    """Change inside the box over the target's."""
    double_share: float
    """Share of its frames with a second copy beside it."""
    parts: dict[str, float]
    """Every factor that could be measured (`hmbench.metrics.reentry.factors`), each in [0, 1]."""
    floor: float
    """What the best memoryless prediction gets for the product of its `parts`."""
    ceiling: float
    """What the truth gets for it, seen by the same tracker."""
    judged: bool
    """The truth is found returned; an event without is not judged."""
    success: float
    """Product of `parts`, on the scale from `floor` (0) to `ceiling` (1); 0 if it never came back, NaN if the event is
    not judged."""
