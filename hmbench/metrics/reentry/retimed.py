"""A case whose truth is delayed by as much as the prediction's camera: what is late has a number of its own.

A model that shows everything five frames late has a subject that is everywhere five frames late. Compared with the
clock, all its places would be wrong, by as much as the camera swings in that time; a person says "five frames late"
and then looks at the rest. So the lag is measured on the background (`hmbench.metrics.background.following`), the
truth is delayed by it, and everything about subjects is measured against that.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.following import follows_camera
from hmbench.types import Event, LabelMaps, SubjectTruth, Track


def camera_lag(case: Case) -> int:
    """Frames by which the whole prediction is late (negative: early); 0 where its camera does not follow the asked."""
    found = follows_camera(case)
    return found.lag if found.follows else 0


def retimed(case: Case) -> Case:
    """The case with its truth delayed by `camera_lag`; the case itself where that is 0."""
    lag = camera_lag(case)
    return case if lag == 0 else case.memo("retimed", lambda: delayed(case, lag))


def delayed(case: Case, lag: int) -> Case:
    """The case with its truth `lag` frames later: before it the end of the context shows, after it the last frame.

    Args:
        case: With a truth.
        lag: Frames; negative is earlier.
    """
    prompt, truth = case.sample.prompt, case.truth
    before, length = len(prompt.context), len(truth.target)
    later = np.clip(np.arange(length) + before - lag, 0, before + length - 1)
    every = np.concatenate([np.arange(before), later])
    last = before + length - 1
    poses = np.concatenate([prompt.context_poses, prompt.target_poses])
    events = (replace(e, reentry=min(max(e.reentry + lag, before), last)) for e in truth.events)
    moved = replace(
        truth,
        target=np.concatenate([prompt.context, truth.target])[later],
        target_labels=_labels(truth.context_labels, truth.target_labels, later, before),
        subjects=tuple(_subject(s, every) for s in truth.subjects),
        events=tuple(Event(label=e.label, exit=min(e.exit, e.reentry - 1), reentry=e.reentry) for e in events),
    )
    sample = replace(case.sample, truth=moved, prompt=replace(prompt, target_poses=poses[later]))
    known = case.reference_tracks
    reference = None if known is None else tuple(_track(track, every) for track in known)
    return Case(sample, case.prediction, case.tracks, reference, no_tracks=case.no_tracks)


def _labels(
    context: LabelMaps | None, target: LabelMaps | None, later: NDArray[np.intp], before: int
) -> LabelMaps | None:
    if target is None:
        return None
    unknown = np.zeros((before, *target.shape[1:]), np.uint8)
    return np.asarray(np.concatenate([unknown if context is None else context, target])[later], np.uint8)


def _subject(subject: SubjectTruth, every: NDArray[np.intp]) -> SubjectTruth:
    return replace(
        subject,
        boxes=subject.boxes[every],
        visible_area=subject.visible_area[every],
        positions=None if subject.positions is None else subject.positions[every],
        amodal_area=None if subject.amodal_area is None else subject.amodal_area[every],
    )


def _track(track: Track, every: NDArray[np.intp]) -> Track:
    return replace(track, boxes=track.boxes[every], scores=track.scores[every])
