"""The re-entry family: did the subject come back, when, where, as itself, and moving right.

Every metric is the mean over the clip's events. A subject that never came back counts with the worst value, unless not
even the real one could be measured (no stranger in the gallery to take it for, a real subject too short in view to have
a motion): then the event is left out. Success and verdict leave out events that are not judged, too. The mean over
those that did come back is `given_return` in the details, with `events`, `returned` and `measured` as counts, and
`coverage` the share that came back. Metrics without a worst value (errors without a bound, numbers without a direction)
are means over those alone, and are skipped, with that reason, where nobody came back.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from hmbench.case import Case
from hmbench.metrics.needs import EVENTS, LABELS, SEPARATE, TRACKS, TRUTH, lacks_separate_subjects
from hmbench.metrics.reentry.event_record import EventRecord
from hmbench.metrics.reentry.path_fit import STORIES
from hmbench.metrics.reentry.readings import Reading
from hmbench.metrics.reentry.records import event_records
from hmbench.networks.backbones import Backbone, CropEncoder
from hmbench.protocols import MetricInfo
from hmbench.results.records import EventRow
from hmbench.subjects.boxes import centres
from hmbench.types import Boxes, Score

_ENCODER = "re-entry encoder"
UNASKED = "not measurable in any of the clip's events"


class ReentryMetric:
    """One number of the re-entry family, mean over the clip's events.

    Args:
        reading: Which.
        encoder: What identity is judged by.
    """

    def __init__(self, reading: Reading, encoder: Backbone[CropEncoder]) -> None:
        self.reading = reading
        self.encoder = encoder
        self.info = MetricInfo(
            name=reading.name,
            version=reading.version,
            higher_is_better=reading.higher_is_better,
            unit=reading.unit,
            bounds=reading.bounds,
            needs=frozenset({TRUTH, LABELS, SEPARATE, EVENTS, TRACKS, encoder.name}),
            source=f"hmbench: {reading.what}",
            headline=reading.headline,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the encoder's weights, or where no event can be measured."""
        if self.encoder.missing:
            return Score.skipped(self.encoder.missing)
        records = records_of(case, self.encoder.get())
        returned = [r for r in records if r.numbers.seen]
        measured = records if self.reading.of_all else returned
        given = [v for v in map(self.reading.read, measured) if not math.isnan(v)]
        values = list(given)
        worst = self.reading.worst
        if worst is not None:
            missed = map(worst, (r for r in records if not r.numbers.seen))
            values += [v for v in missed if not math.isnan(v)]
        details: dict[str, Any] = {
            "events": len(records),
            "judged": sum(r.judged for r in records),
            "returned": len(returned),
            "measured": len(values),
            "coverage": len(returned) / len(records),
            "given_return": math.fsum(given) / len(given) if given else None,
        }
        if not values:
            nobody = worst is None and not measured
            return Score(math.nan, "no subject came back" if nobody else UNASKED, details)
        return Score(math.fsum(values) / len(values), details=details)


def records_of(case: Case, encoder: CropEncoder) -> tuple[EventRecord, ...]:
    """Records of a case, and the note that this encoder made them (`event_rows` reads it)."""
    used: list[CropEncoder] = case.memo(_ENCODER, list)
    if not used:
        used.append(encoder)
    return event_records(case, encoder)


def judged(case: Case) -> bool:
    """Whether a metric of the family has scored this case, so that its events can have verdicts."""
    return bool(case.memo(_ENCODER, list))


def event_rows(case: Case, encoder: CropEncoder | None = None) -> list[dict[str, Any]]:
    """Rows for ``events.jsonl``: sample, subject, times, verdict and every number behind it; JSON types, null for NaN.

    Verdict and numbers are left out without tracks, where one mask covers several subjects, and where nobody said what
    identity is to be judged by: no metric of the family was asked for, or its weights are missing.

    Args:
        case: The case.
        encoder: What identity is judged by; by default what the case's metrics used.
    """
    if case.sample.truth is None or not case.sample.truth.events:
        return []
    used: list[CropEncoder] = case.memo(_ENCODER, list)
    if encoder is None and used:
        encoder = used[0]
    if encoder is None or case.tracks is None or lacks_separate_subjects(case):
        return [_facts(case, event.label, event.exit, event.reentry).line() for event in case.truth.events]
    return [_row(case, record).line() for record in event_records(case, encoder)]


def _facts(case: Case, label: int, exit_frame: int, reentry: int) -> EventRow:
    subject = next(s for s in case.truth.subjects if s.label == label)
    return EventRow(
        sample=case.sample.id,
        label=label,
        subject=subject.name,
        category=subject.category,
        exit=exit_frame,
        reentry=reentry,
        hidden=reentry - exit_frame,
        place=_place(subject.boxes[reentry], case.sample.prompt.size),
    )


def _place(box: Boxes, size: tuple[int, int]) -> tuple[float, float] | None:
    """Middle of a box ``[4]`` as shares of the picture's width and height; None without a box."""
    if np.isnan(box).any():
        return None
    x, y = centres(box[None])[0]
    return round(float(x) / size[1], 4), round(float(y) / size[0], 4)


def _row(case: Case, record: EventRecord) -> EventRow:
    event, n = record.event, record.numbers
    numbers = {
        "seen": n.seen,
        "coverage": record.coverage,
        "kept": n.kept,
        "excused": n.excused,
        "false_presence": record.false_presence,
        "offset_frames": n.offset_frames,
        "identity": n.identity,
        "rank1": n.rank1,
        "margin": record.margin,
        "aspect_log": n.aspect,
        "scale_log": n.scale,
        "centre_error": record.centre_error,
        "centre_error_size": record.centre_error_size,
        "iou": record.iou,
        "feet_heights": n.feet,
        "offset_heights": n.offset,
        "aside_heights": n.aside,
        "lag_frames": n.lag,
        "agreement": n.agreement,
        "direction": record.direction,
        "speed_target": n.speed_target,
        "speed_ratio": n.speed_ratio,
        "articulation": record.articulation,
        "double_frames": n.double_frames,
        "view": n.view,
        "camera_lag": n.camera_lag,
        "texture": n.texture,
        "contrast": n.contrast,
        "facing": n.facing,
        "gait": n.gait,
        "body_change": n.change,
        "pose": n.pose,
        "flat": n.flat,
        "floor": record.floor,
        "ceiling": record.ceiling,
        "success": record.success,
        **{f"path_{story}": getattr(n.path, story) if n.path else None for story in STORIES},
        **{f"part_{name}": value for name, value in record.parts.items()},
    }
    begin, end = (w + case.sample.num_context_frames for w in record.window)
    return replace(
        _facts(case, event.label, event.exit, event.reentry),
        verdict=record.verdict,
        window=(begin, end),
        tracks=tuple(record.tracks),
        numbers={key: _plain(value) for key, value in numbers.items()},
    )


def _plain(value: float | bool | None) -> float | bool | None:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 5)
    return value
