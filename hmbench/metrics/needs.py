"""What a metric needs and a sample may lack, with the sentence that its row then carries."""

from __future__ import annotations

from collections.abc import Callable

from hmbench.case import Case
from hmbench.protocols import MetricInfo
from hmbench.types import Truth

TRUTH = "truth"
LABELS = "labels"
SEPARATE = "separate"
"""Masks that tell subjects apart: what is asked of each subject by itself."""
TRACKS = "tracks"
EVENTS = "events"


def unmet_need(info: MetricInfo, case: Case) -> str | None:
    """Why this case cannot be scored by this metric; None if it can.

    Only the clip is asked (truth, labels, whether these tell subjects apart, events, tracks). Missing weights are the
    metric's own affair: it answers with `Score.skipped` and the command that fetches them.
    """
    for need in (TRUTH, LABELS, SEPARATE, EVENTS, TRACKS):
        if need in info.needs:
            reason = _CHECKS[need](case)
            if reason:
                return reason
    return None


def _truth(case: Case) -> Truth | None:
    return case.sample.truth


def _lacks_truth(case: Case) -> str | None:
    return None if _truth(case) else "the sample has no real continuation to compare with (open-domain clip)"


def _lacks_labels(case: Case) -> str | None:
    truth = _truth(case)
    if truth is None:
        return _lacks_truth(case)
    if truth.target_labels is None:
        return "the sample has no subject masks"
    return None if truth.subjects else "the sample's masks show no subject"


def lacks_separate_subjects(case: Case) -> str | None:
    """Why subjects cannot be scored one by one; None if masks tell them apart."""
    truth = _truth(case)
    if truth is None:
        return _lacks_truth(case)
    if truth.separate_subjects:
        return None
    why = truth.told_apart.reason if truth.told_apart else None
    return "one mask covers several subjects (or nobody says how many)" + (f": {why}" if why else "")


def _lacks_events(case: Case) -> str | None:
    truth = _truth(case)
    if truth is None:
        return _lacks_truth(case)
    if truth.events:
        return None
    left = len(truth.told_apart.left_out) if truth.told_apart else 0
    return (
        f"all re-entries ({left}) are left out as unclear"
        if left
        else ("no subject leaves the view and returns in this clip")
    )


def _lacks_tracks(case: Case) -> str | None:
    if case.tracks is not None:
        return None
    return "no tracker ran on the prediction" + (f": {case.no_tracks}" if case.no_tracks else "")


_CHECKS: dict[str, Callable[[Case], str | None]] = {
    TRUTH: _lacks_truth,
    LABELS: _lacks_labels,
    SEPARATE: lacks_separate_subjects,
    EVENTS: _lacks_events,
    TRACKS: _lacks_tracks,
}
