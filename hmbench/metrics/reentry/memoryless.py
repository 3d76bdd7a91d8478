"""What no memory gets from an event: the zero of `reentry_success`.

A family of predictions that need no memory and no model is scored like any other, and its best member in an event is
that event's zero: the context played backwards or again, and any still picture of the context. All of them come from
the context, whose tracks are known, so that nothing is rendered or tracked for it. A member whose background does not
follow the asked camera has nothing (`factors`), and is not even scored; where the camera follows nobody (it stands
still), a still picture is the member to beat.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmbench.cache import cache_folder
from hmbench.case import Case
from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.metrics.background.following import follows_camera
from hmbench.subjects.boxes import framewise_iou

log = logging.getLogger(__name__)

MOST = 0.9
"""Highest zero: an event in which no memory gets more says little, but not nothing."""
Success = Callable[[Case], list[float]]
"""Product of the factors of each event of a case."""


def memoryless_floors(case: Case, encoder: str, score: Success) -> list[float]:
    """For each event of a case's sample the best that a member of the family gets; 0 without known tracks.

    Args:
        case: Any case of the sample, its truth as it is.
        encoder: Name of what identity is judged by.
        score: Scores a member.
    """
    if case.reference_tracks is None:
        return [0.0] * len(case.truth.events)
    key = _key(case, encoder)
    path = cache_folder() / "floors" / key[:2] / f"{key}.json"
    known = _read(path, len(case.truth.events))
    if known is None:
        known = _floors(case, score)
        try:
            write_json(path, known)
        except OSError as error:
            log.warning("Zeros of re-entries are not kept: %s", error)
    return known


def _read(path: Path, events: int) -> list[float] | None:
    """The entry, or None if there is none or it is damaged."""
    try:
        found = read_json(path) if path.is_file() else None
    except (UserError, OSError, ValueError):
        return None
    right = isinstance(found, list) and len(found) == events and all(isinstance(v, float | int) for v in found)
    return [float(v) for v in found] if right and found is not None else None


def _key(case: Case, encoder: str) -> str:
    """Digest of all that decides the zeros: the clip's frames and cameras, its known tracks, the metrics' code."""
    prompt, truth = case.sample.prompt, case.truth
    digest = hashlib.sha256(f"{encoder} {_code()} {[astuple(e) for e in truth.events]}".encode())
    tracks = [array for track in case.reference_tracks or () for array in (track.boxes, track.scores)]
    for array in (prompt.context, truth.target, prompt.context_poses, prompt.target_poses, *tracks):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


@functools.cache
def _code() -> str:
    """Digest of the modules that decide it, so that changed rules find no old zeros."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *(here.parent / "background").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def members(case: Case) -> Iterator[Case]:
    """The family as cases: backwards, again, and the still picture that fits each event best.

    Stills only where the camera asks nobody to follow: elsewhere they do not follow it, by construction.
    """
    context, length = len(case.sample.prompt.context), case.sample.prompt.num_target_frames
    yield _replayed(case, _to_and_fro(context, length))
    yield _replayed(case, np.arange(length) % context)
    if follows_camera(case).follows is None:
        for still in sorted({_best_still(case, number) for number in range(len(case.truth.events))}):
            yield _replayed(case, np.full(length, still))


def _floors(case: Case, score: Success) -> list[float]:
    best = [0.0] * len(case.truth.events)
    for member in members(case):
        if follows_camera(member).follows is not False:
            best = [max(old, new) for old, new in zip(best, score(member), strict=True)]
    return [min(value, MOST) for value in best]


def _to_and_fro(count: int, length: int) -> NDArray[np.intp]:
    """Indices below `count` that go back from the last but one, and forth again at the first, ``[length]``."""
    last = max(count - 1, 1)
    phase = (np.arange(1, length + 1) + last) % (2 * last)
    return np.minimum(np.minimum(phase, 2 * last - phase), count - 1)


def _replayed(case: Case, order: NDArray[np.intp]) -> Case:
    """Context frames in an order ``[Tt]`` as a prediction, with the tracks that they have."""
    tracks = (
        replace(track, boxes=track.boxes[order], scores=track.scores[order]) for track in case.reference_tracks or ()
    )
    shown = tuple(track for track in tracks if track.present().any())
    return Case(case.sample, case.sample.prompt.context[order], shown, case.reference_tracks)


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
