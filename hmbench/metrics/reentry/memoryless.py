"""What no memory gets from an event: the zero of `reentry_success`.

A family of predictions that need no memory and no model is scored like any other, and its best member in an event is
that event's zero: the context played backwards or again, at five speeds, and any still picture of the context. All of
them come from the context, whose tracks are known, so that nothing is rendered or tracked for it. A member whose
background does not follow the asked camera has nothing (`factors`), and is not even scored; where the camera follows
nobody (it stands still), a still picture is the member to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.fidelity import KNOWN_OF_A_CLIP
from hmbench.metrics.background.floor import camera_blind
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.clip_facts import clip_fact
from hmbench.subjects.boxes import framewise_iou

MOST = 0.9
"""Highest zero: an event in which no memory gets more says little, but not nothing."""
MARGIN = 0.05
"""Success above the best of the family that still needs no memory: others of its kind differ by as much."""
Success = Callable[[Case], list[float]]
"""Product of the factors of each event of a case."""


def memoryless_floors(case: Case, encoder: str, score: Success) -> list[float]:
    """For each event of a case's sample the best that a member of the family gets; 0 without known tracks.

    Args:
        case: Any case of the sample, its truth as it is.
        encoder: Name of what identity is judged by.
        score: Scores a member.
    """
    events = len(case.truth.events)
    if case.reference_tracks is None:
        return [0.0] * events

    def sound(known: Any) -> bool:
        return isinstance(known, list) and len(known) == events and all(isinstance(v, float | int) for v in known)

    found = clip_fact(case, f"zeros of re-entries {encoder}", lambda: _floors(case, score), sound, tracks=True)
    return [float(value) for value in found]


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


def _floors(case: Case, score: Success) -> list[float]:
    best = [0.0] * len(case.truth.events)
    for member in members(case):
        if follows_camera(member).follows is not False:
            best = [max(old, new) for old, new in zip(best, score(member), strict=True)]
    return [min(value + MARGIN, MOST) if value > 0 else 0.0 for value in best]


def _replayed(case: Case, order: NDArray[np.intp]) -> Case:
    """Context frames in an order ``[Tt]`` as a prediction, with the tracks that they have."""
    tracks = (
        replace(track, boxes=track.boxes[order], scores=track.scores[order]) for track in case.reference_tracks or ()
    )
    shown = tuple(track for track in tracks if track.present().any())
    member = Case(case.sample, case.sample.prompt.context[order], shown, case.reference_tracks)
    case.hand_on(member, KNOWN_OF_A_CLIP)
    return member


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
