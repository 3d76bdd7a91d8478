"""What an event asks: what no memory gets from it (the zero of `reentry_success`) and what the truth gets (its one).

A family of predictions that need no memory and no model is scored like any other, and its best member in an event is
that event's zero: the context played backwards or again, at five speeds, and any still picture of the context. All of
them come from the context, whose tracks are known, so that nothing is rendered or tracked for it. A member whose
background does not follow the asked camera has nothing (`factors`), and is not even scored; where the camera follows
nobody (it stands still), a still picture is the member to beat.

The truth is scored with the tracks that the same tracker found in it. An event in which not even the truth is found
returned, or what needs no memory gets nearly as much, says nothing of a model: it is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.fidelity import KNOWN_OF_A_CLIP
from hmbench.metrics.background.floor import camera_blind
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.clip_facts import clip_fact
from hmbench.subjects.boxes import framewise_iou
from hmbench.types import Video

MARGIN = 0.05
"""Success above the best of the family that still needs no memory: others of its kind differ by as much."""
ROOM = 0.4
"""Between zero and one of an event; with less, chance decides more than memory does."""
LEAST = 0.5
"""Product of the factors of the truth below which an event is not judged."""


class Found(NamedTuple):
    """What a prediction gets for an event."""

    product: float
    """Product of its factors, in [0, 1]."""
    returned: bool
    """Its verdict is "returned"."""


class EventBounds(NamedTuple):
    """What an event asks; the same for every prediction."""

    floor: float = 0.0
    """Product of the factors up to which no memory is needed."""
    ceiling: float = 1.0
    """The truth's product, seen by the same tracker."""
    judged: bool = True
    """The truth is found returned."""


Scored = Callable[[Case], list[Found]]
"""What a case gets for each event."""


def event_bounds(case: Case, encoder: str, score: Scored) -> list[EventBounds]:
    """Zero and one of each event of a case's sample; 0 and 1 without known tracks.

    Args:
        case: Any case of the sample, its truth as it is.
        encoder: Name of what identity is judged by.
        score: Scores a prediction of the sample.
    """
    events = len(case.truth.events)
    if case.reference_tracks is None:
        return [EventBounds()] * events

    def sound(known: Any) -> bool:
        return isinstance(known, list) and len(known) == events and all(map(_is_a_bound, known))

    found = clip_fact(case, f"bounds of re-entries {encoder}", lambda: _bounds(case, score), sound, tracks=True)
    return [EventBounds(float(floor), float(ceiling), bool(judged)) for floor, ceiling, judged in found]


def _is_a_bound(entry: Any) -> bool:
    """Floor, ceiling and whether it is judged, as the cache should hold them."""
    return isinstance(entry, list | tuple) and len(entry) == 3 and all(isinstance(v, float | int) for v in entry)


def members(case: Case) -> Iterator[Case]:
    """The family as cases: backwards, again, and the still picture that fits each event best.

    Stills only where the camera asks nobody to follow: elsewhere they do not follow it, by construction.
    """
    context, length = len(case.sample.prompt.context), case.sample.prompt.num_target_frames
    for order in camera_blind(context, length).values():
        yield _replayed(case, order)
    if follows_camera(case).follows is None:
        for still in sorted({_best_still(case, number) for number in range(len(case.truth.events))}):
            yield _replayed(case, np.full(length, still))


def _bounds(case: Case, score: Scored) -> list[EventBounds]:
    best = [0.0] * len(case.truth.events)
    for member in members(case):
        if follows_camera(member).follows is not False:
            best = [max(old, found.product) for old, found in zip(best, score(member), strict=True)]
    floors = [min(value + MARGIN, 1.0) if value > 0 else 0.0 for value in best]
    truth = score(_true(case))
    return [
        EventBounds(floor, found.product, found.returned and found.product >= max(LEAST, floor + ROOM))
        for floor, found in zip(floors, truth, strict=True)
    ]


def _true(case: Case) -> Case:
    """The truth as a prediction, with the tracks that it has."""
    first = len(case.sample.prompt.context)
    return _known(case, case.truth.target, np.arange(first, first + len(case.truth.target)))


def _replayed(case: Case, order: NDArray[np.intp]) -> Case:
    """Context frames in an order ``[Tt]`` as a prediction, with the tracks that they have."""
    return _known(case, case.sample.prompt.context[order], order)


def _known(case: Case, video: Video, frames: NDArray[np.intp]) -> Case:
    """Frames of the real clip ``[Tt]`` as a prediction: `video` shows them, their tracks are known."""
    tracks = (
        replace(track, boxes=track.boxes[frames], scores=track.scores[frames]) for track in case.reference_tracks or ()
    )
    shown = tuple(track for track in tracks if track.present().any())
    other = Case(case.sample, video, shown, case.reference_tracks)
    case.hand_on(other, KNOWN_OF_A_CLIP)
    return other


def _best_still(case: Case, number: int) -> int:
    """The context frame whose box of the event's subject covers its boxes after the return best."""
    event = case.truth.events[number]
    subject = next(s for s in case.truth.subjects if s.label == event.label)
    context = len(case.sample.prompt.context)
    later = subject.boxes[event.reentry :]
    overlaps = [
        np.nan_to_num(framewise_iou(np.repeat(box[None], len(later), axis=0), later)).mean()
        for box in subject.boxes[:context]
    ]
    return int(np.argmax(overlaps))
