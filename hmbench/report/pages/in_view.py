"""Boxes over videos, and who is in view when, from the tracks of a run and from the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.report.pages.content import Clip, Contender
from hmbench.report.pages.words import shown
from hmbench.results.run_folder import RunFolder

if TYPE_CHECKING:
    from hmbench.types import Boxes, Sample, Track

Span = tuple[int, int]
"""Frames from the clip's beginning, half-open."""
EventKey = tuple[int, int, int]
"""Label, exit and re-entry: the same event in any model's records."""


@dataclass(frozen=True, kw_only=True)
class BoxTrack:
    """Somebody's boxes in one panel."""

    name: str
    """What stands beside the box."""
    colour: int
    """Number of its colour: equal ones are the same subject."""
    first: int
    """The panel's frame of the first entry of `boxes`."""
    boxes: tuple[tuple[int, int, int, int] | None, ...]
    """xyxy in pixels of the source, frame by frame."""


@dataclass(frozen=True, kw_only=True)
class ClipTracks:
    """Tracks of one prediction, as the tracking stage left them."""

    prediction: tuple[Track, ...] = ()
    """In the prediction, boxes ``[Tt, 4]``."""
    reference: tuple[Track, ...] = ()
    """In the real clip, boxes ``[T, 4]``; empty if there is none."""
    damaged: str = ""
    """Why they cannot be read; empty if they can."""

    @property
    def lengths(self) -> tuple[int, int]:
        """Frames of the context and of the whole clip; zeros if the tracks do not tell."""
        predicted, whole = (
            max((len(t.boxes) for t in tracks), default=0) for tracks in (self.prediction, self.reference)
        )
        return (whole - predicted, whole) if 0 < predicted < whole else (0, 0)


def event_key(event: Mapping[str, Any]) -> EventKey:
    """What tells an event of a clip from its others."""
    return int(event["label"]), int(event["exit"]), int(event["reentry"])


def read_tracks(contender: Contender, clip: Clip) -> ClipTracks | None:
    """Tracks of a model on a clip; None if there are none. What is damaged is told and hinders no page."""
    from hmbench.subjects import tracks_from_json

    if contender.run is None or Path(clip.key).name != clip.key:
        return None
    path = RunFolder(contender.run).tracks(clip.key)
    if not path.is_file():
        return None
    try:
        content = read_json(path, kind=dict)
        real = content.get("reference")
        return ClipTracks(
            prediction=tracks_from_json(content.get("prediction")),
            reference=() if real is None else tracks_from_json(real),
        )
    except UserError as error:
        return ClipTracks(damaged=shown(error.what))


def spans(there: Any) -> tuple[Span, ...]:
    """Runs of true frames, half-open.

    >>> spans([False, True, True, False, True])
    ((1, 3), (4, 5))
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(there, dtype=np.int8), [0]])))
    return tuple((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def in_view(tracks: ClipTracks, event: Mapping[str, Any], before: int) -> tuple[Span, ...]:
    """When any track that plays the event's subject is there.

    Args:
        tracks: Of the prediction.
        event: The event, which names them.
        before: Frames of the context.
    """
    played = set(event.get("tracks") or ())
    found = [t.present() for t in tracks.prediction if t.id in played]
    length = max(map(len, found), default=0)
    there = np.zeros(length, dtype=bool)
    for one in found:
        there[: len(one)] |= one
    return tuple((a + before, b + before) for a, b in spans(there))


def real_tracks(sample: Sample | None, kind: str) -> tuple[BoxTrack, ...]:
    """True boxes over the ``context`` or the ``target``."""
    if sample is None or sample.truth is None:
        return ()
    before = sample.num_context_frames
    part = slice(None, before) if kind == "context" else slice(before, None)
    found = [_box_track(shown(s.name), s.label, s.boxes[part]) for s in sample.truth.subjects]
    return tuple(track for track in found if track is not None)


def predicted_tracks(contender: Contender, clip: Clip, tracks: ClipTracks | None) -> tuple[BoxTrack, ...]:
    """Tracks of a prediction; those that play a subject have its colour."""
    plays = {t: int(e["label"]) for e in contender.events.get(clip.key, ()) for t in e.get("tracks") or ()}
    found = [_box_track(f"{t.id}", plays.get(t.id, 0), t.boxes) for t in (tracks.prediction if tracks else ())]
    return tuple(track for track in found if track is not None)


def _box_track(name: str, colour: int, boxes: Boxes) -> BoxTrack | None:
    fit = np.atleast_1d(np.isfinite(boxes).all(axis=1))
    there = np.flatnonzero(fit)
    if len(there) == 0:
        return None
    first, last = int(there[0]), int(there[-1])
    drawn = tuple(
        (round(float(box[0])), round(float(box[1])), round(float(box[2])), round(float(box[3]))) if ok else None
        for box, ok in zip(boxes[first : last + 1], fit[first : last + 1], strict=True)
    )
    return BoxTrack(name=name, colour=colour, first=first, boxes=drawn)
