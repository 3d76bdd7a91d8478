"""Everything measured about one re-entry: the evidence behind every number of the re-entry family and the verdict.

Window: from the frame r in which the target shows the subject again, `WINDOW_SECONDS` long. Tracks may be there up to
`EARLY_SECONDS` sooner, but not while the real subject has not left yet; being there early and never again is no return.
Where the same tracker also ran on the real clip, only frames in which it sees the real subject are asked for: its own
blind spots are not the model's fault.

Letters: Tc context frames, Tt target frames, r first frame of the re-entry, counted in the target.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmbench.case import Case
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.reentry.body import body_evidence
from hmbench.metrics.reentry.event_motion import event_motion, height_of
from hmbench.metrics.reentry.event_record import EventRecord
from hmbench.metrics.reentry.factors import part_scores, success
from hmbench.metrics.reentry.matching import (
    LIMB,
    LOOKS_ENOUGH,
    MIN_FRAMES,
    PART,
    SAME_SUBJECT,
    Part,
    cast,
    in_window,
    others_places,
    parts_of,
    strangers_of,
    track_features,
    unit_mean,
)
from hmbench.metrics.reentry.memoryless import EventBounds, Found, event_bounds
from hmbench.metrics.reentry.motion import MotionEvidence, articulation, compare_motion, standing
from hmbench.metrics.reentry.retimed import camera_lag, retimed
from hmbench.metrics.reentry.verdict import Numbers, decide, worth_of
from hmbench.networks.backbones import CropEncoder
from hmbench.subjects.boxes import areas, centres, covered, cut_off, feet, framewise_iou, heights, present, touches_edge
from hmbench.types import Boxes, Event
from hmbench.video.events import VISIBLE_SHARE

WINDOW_SECONDS = 3.0
EARLY_SECONDS = 1.0
NAN = float("nan")


def event_records(case: Case, encoder: CropEncoder) -> tuple[EventRecord, ...]:
    """Records of all events of a case, computed once."""

    def compute() -> tuple[EventRecord, ...]:
        bounds = event_bounds(case, encoder.name, lambda other: _found(other, encoder))
        found = zip(case.truth.events, _unbounded(case, encoder), bounds, strict=True)
        return tuple(_between(replace(record, event=event), bound) for event, record, bound in found)

    return case.memo(("events", encoder.name), compute)


def _found(case: Case, encoder: CropEncoder) -> list[Found]:
    return [Found(record.success, record.verdict == "returned") for record in _unbounded(case, encoder)]


def _between(record: EventRecord, bound: EventBounds) -> EventRecord:
    """The record on the scale from what no memory gets to what the truth gets."""
    known = replace(record, floor=bound.floor, ceiling=bound.ceiling, judged=bound.judged)
    if not bound.judged:
        return replace(known, verdict="not judged", success=NAN)
    worth = success(record.parts, bound.floor, bound.ceiling)
    verdict = worth_of(record.verdict, worth, record.parts, record.numbers)
    return replace(known, verdict=verdict, success=worth)


def _unbounded(case: Case, encoder: CropEncoder) -> list[EventRecord]:
    """Records against the truth at the prediction's own time, before they are put between their bounds."""
    view = follows_camera(case)
    overall = Overall(view.view, camera_lag(case))
    case = retimed(case)
    parts = {part.truth.label: part for part in parts_of(case, encoder)}
    return [_record(case, encoder, parts[event.label], event, overall) for event in case.truth.events]


class Overall(NamedTuple):
    """What holds for all events of a prediction."""

    view: float
    """How far it follows the asked camera: 0 for the best that needs no memory; NaN where the camera stands still."""
    camera_lag: int
    """Frames by which the whole prediction is late."""


def _record(case: Case, encoder: CropEncoder, part: Part, event: Event, overall: Overall) -> EventRecord:
    length = max(2 * MIN_FRAMES, round(WINDOW_SECONDS * case.sample.prompt.fps))
    start = event.reentry - case.sample.num_context_frames
    stop = min(start + length, len(case.prediction))
    early = _early(case, part, event)
    casting = cast(case, encoder, early, stop)
    played = casting.played[part.truth.label]
    boxes = merged(case, played, early, stop)
    shown, asked = present(boxes), _asked(case, part, start, stop)
    seen = int(shown[start:].sum()) >= MIN_FRAMES
    motion, fit = event_motion(case, part, boxes) if seen else (None, None)
    numbers = _numbers(case, encoder, part, _Played(played, boxes, asked, seen, (early, stop)), motion)
    doubles = [merged(case, (i,), start, stop) for i in casting.doubles[part.truth.label]]
    twins = [_beside(_without(twin, others_places(case, encoder, part)), boxes) for twin in doubles]
    numbers = replace(
        numbers,
        path=fit,
        double_frames=max(twins, default=0),
        view=overall.view,
        camera_lag=overall.camera_lag,
        false_presence=_false_presence(case, encoder, part, event),
    )
    if seen:
        numbers = _with_body(numbers, case, part, boxes, start, stop)
    wanted = part.seen_as
    both = shown & present(wanted)
    distance = np.linalg.norm(centres(boxes[both]) - centres(wanted[both]), axis=1)
    diagonal = float(np.hypot(*case.prediction.shape[1:3]))
    coverage = float(shown[asked].mean()) if asked.any() else float(seen)
    parts = part_scores(numbers, coverage, int(shown[start:stop].sum()))
    ratio = _articulation(case, part, boxes, start, stop) if seen else NAN
    return EventRecord(
        event=event,
        name=part.truth.name,
        category=part.truth.category,
        window=(start, stop),
        whole_window=length,
        strangers=len(strangers_of(case, encoder, part)),
        moves=_moves(case, part, start, stop),
        tracks=tuple(case.tracks[i].id for i in played) if case.tracks else (),
        numbers=numbers,
        verdict=decide(numbers),
        coverage=coverage,
        false_presence=numbers.false_presence,
        centre_error=float(distance.mean()) / diagonal if both.any() else NAN,
        centre_error_size=float((distance / np.sqrt(areas(wanted[both]))).mean()) if both.any() else NAN,
        iou=float(np.mean(framewise_iou(boxes[both], wanted[both]))) if both.any() else (0.0 if seen else NAN),
        margin=_margin(encoder, case, part, played, early, stop) if seen else NAN,
        direction=motion.direction if motion else NAN,
        articulation=ratio,
        double_share=min(1.0, numbers.double_frames / max(int(shown[start:stop].sum()), 1)),
        parts=parts,
        floor=0.0,
        ceiling=1.0,
        judged=True,
        success=success(parts),
    )


def _with_body(n: Numbers, case: Case, part: Part, boxes: Boxes, start: int, stop: int) -> Numbers:
    """The numbers with those of the body; as they are where nothing can be said of it."""
    labels = case.truth.target_labels
    assert labels is not None, "the family needs labels"
    window = boxes.copy()
    window[:start] = window[stop:] = np.nan
    found = body_evidence(
        case.prediction, window, case.truth.target, part.seen_as, np.asarray(labels == part.truth.label, np.bool_)
    )
    if found is None:
        return n
    return replace(
        n,
        texture=found.texture,
        contrast=found.contrast,
        facing=found.facing,
        gait=found.gait,
        change=found.change,
        pose=found.pose,
        flat=found.flat,
    )


def _early(case: Case, part: Part, event: Event) -> int:
    """First target frame in which a track of the subject is an early return: it has left, and is due in a second."""
    least = VISIBLE_SHARE * case.prediction[0, :, :, 0].size
    gone = out_of_sight_from(part.truth.visible_area, least, event.reentry)
    soonest = event.reentry - round(EARLY_SECONDS * case.sample.prompt.fps)
    return max(0, max(gone, soonest) - case.sample.num_context_frames)


def out_of_sight_from(area: NDArray[np.float64], least: float, reentry: int) -> int:
    """First frame after the last sight before a re-entry in which nothing of the subject shows; `reentry` if none.

    Args:
        area: Visible pixels per frame, ``[Tc + Tt]``.
        least: Pixels from which on it counts as seen; less is a sliver of the one that leaves.
        reentry: First frame in which it is seen again.
    """
    last = int(np.flatnonzero(area[:reentry] >= least).max(initial=-1))
    hidden = np.flatnonzero(area[last + 1 : reentry] == 0)
    return last + 1 + int(hidden[0]) if len(hidden) else reentry


def _without(boxes: Boxes, places: list[Boxes]) -> Boxes:
    """The boxes but those at one of `places`."""
    out = boxes.copy()
    for place in places:
        out[np.nan_to_num(framewise_iou(boxes, place)) >= SAME_SUBJECT] = np.nan
    return out


def _beside(twin: Boxes, boxes: Boxes) -> int:
    """Frames in which a second copy stands beside the subject: neither is a part of the other, nor a mere limb."""
    both = present(twin) & present(boxes)
    a, b = twin[both], boxes[both]
    alike = np.abs(np.log(heights(a) / heights(b))) < LIMB
    return int((alike & (covered(a, b) < PART)).sum())


def merged(case: Case, played: tuple[int, ...], start: int, stop: int) -> Boxes:
    """One track from the pieces that play a subject, ``[Tt, 4]``, NaN outside the window."""
    boxes = np.full((len(case.prediction), 4), np.nan, np.float32)
    for index in played:
        assert case.tracks is not None, "only tracks play subjects"
        piece = case.tracks[index].boxes
        free = np.isnan(boxes[:, 0])
        boxes[free] = piece[free]
    boxes[:start] = boxes[stop:] = np.nan
    return boxes


def _moves(case: Case, part: Part, start: int, stop: int) -> bool | None:
    """Whether the real subject moves in a window, by the measure of predictions; None without evidence."""
    wanted = part.seen_as.copy()
    wanted[:start] = wanted[stop:] = np.nan
    prompt = case.sample.prompt
    motion = compare_motion(wanted, wanted, prompt.target_poses, prompt.intrinsics, height_of(case, part))
    return None if motion is None else not math.isnan(motion.direction)


def _asked(case: Case, part: Part, start: int, stop: int) -> NDArray[np.bool_]:
    """Frames in which the subject must be found: the target shows it, and the tracker sees it there."""
    shown = present(part.boxes)
    shown[:start] = shown[stop:] = False
    if case.reference_tracks is None:
        return shown
    seen = shown & part.tracked
    return seen if seen.sum() >= MIN_FRAMES else shown


class _Played(NamedTuple):
    """How a subject is played in an event."""

    indices: tuple[int, ...]
    """Its tracks."""
    boxes: Boxes
    """One track of them, ``[Tt, 4]``."""
    asked: NDArray[np.bool_]
    """Frames in which it must be found, ``[Tt]``."""
    seen: bool
    """It is there for `MIN_FRAMES` from the re-entry on."""
    window: tuple[int, int]
    """Frames that count, the early ones among them, half-open."""


def _numbers(case: Case, encoder: CropEncoder, part: Part, played: _Played, motion: MotionEvidence | None) -> Numbers:
    indices, boxes, asked, seen, window = played
    shown = present(boxes)
    wanted = part.seen_as
    both = shown & present(wanted)
    size = (case.prediction.shape[1], case.prediction.shape[2])
    whole = both & ~touches_edge(boxes, size) & ~touches_edge(wanted, size)
    measurable = whole.sum() >= MIN_FRAMES
    shape = whole if measurable else both
    feature = _feature(case, encoder, indices, *window)
    similarity = float(feature @ part.context) if seen else NAN
    strangers = strangers_of(case, encoder, part)
    nearest = max((float(feature @ s) for s in strangers), default=None) if seen else None
    height = height_of(case, part)
    first = float(np.argmax(shown) - np.argmax(asked)) if seen and asked.any() else NAN
    return Numbers(
        seen=seen,
        offset_frames=first,
        kept=_kept(shown, asked),
        excused=seen and _may_be_out_of_sight(case, indices, boxes),
        identity=part.calibrated(similarity) if seen else NAN,
        rank1=None if nearest is None else similarity > nearest,
        aspect=_median_log(_aspect(boxes[shape]) / _aspect(wanted[shape])) if measurable else NAN,
        scale=_median_log(np.sqrt(areas(boxes[shape]) / areas(wanted[shape])))
        if measurable
        else _scale_of_whole_sides(boxes[both], wanted[both], size),
        feet=_median(np.linalg.norm(feet(boxes[shape]) - feet(wanted[shape]), axis=1) / heights(wanted[shape])),
        offset=motion.offset if motion else NAN,
        aside=motion.aside if motion else NAN,
        lag=motion.lag if motion else NAN,
        agreement=motion.agreement if motion else NAN,
        speed_target=motion.speed_target if motion else NAN,
        speed_ratio=motion.speed_predicted / max(motion.speed_target, 1e-9) if motion else NAN,
        double_frames=0,
        standing=standing(height),
    )


def _kept(shown: NDArray[np.bool_], asked: NDArray[np.bool_]) -> float:
    """Share of the asked frames since the first sight in which it is there; NaN if none is asked since."""
    since = asked & (np.arange(len(shown)) >= np.argmax(shown)) if shown.any() else np.zeros_like(asked)
    return float(shown[since].mean()) if since.any() else NAN


def _may_be_out_of_sight(case: Case, indices: tuple[int, ...], boxes: Boxes) -> bool:
    """Whether it is last seen at the frame's edge, or against another track: it may have walked out or behind."""
    last = int(np.flatnonzero(present(boxes))[-1])
    box = boxes[last : last + 1]
    if touches_edge(box, (case.prediction.shape[1], case.prediction.shape[2]))[0]:
        return True
    others = [track.boxes[last : last + 2] for i, track in enumerate(case.tracks or ()) if i not in indices]
    return any(bool((covered(np.repeat(box, len(other), axis=0), other) > 0).any()) for other in others)


def _feature(case: Case, encoder: CropEncoder, played: tuple[int, ...], start: int, stop: int) -> Tensor:
    """Unit mean feature of the tracks that play a subject, in a window."""
    features = track_features(case, encoder)
    tracks = case.tracks or ()
    pieces = [in_window(features[i], tracks[i], start, stop) for i in played]
    return unit_mean(torch.cat(pieces)) if pieces else torch.zeros(0)


def _margin(encoder: CropEncoder, case: Case, part: Part, played: tuple[int, ...], start: int, stop: int) -> float:
    strangers = strangers_of(case, encoder, part)
    if not strangers:
        return NAN
    feature = _feature(case, encoder, played, start, stop)
    lead = float(feature @ part.context) - max(float(feature @ s) for s in strangers)
    return lead / max(part.same - part.different, 0.05)


def _articulation(case: Case, part: Part, boxes: Boxes, start: int, stop: int) -> float:
    wanted = part.seen_as.copy()
    wanted[:start] = wanted[stop:] = np.nan
    real = articulation(case.truth.target, wanted)
    return articulation(case.prediction, boxes) / real if real > 0 else NAN


def _false_presence(case: Case, encoder: CropEncoder, part: Part, event: Event) -> float:
    """Share of hidden target frames with a track that looks like the subject and like no other of the clip.

    What the real video shows at the same place and time is not the subject, which is hidden there, whatever it looks
    like to the encoder.
    """
    num_context = case.sample.num_context_frames
    start, stop = max(0, event.exit - num_context), event.reentry - num_context
    hidden = np.zeros(len(case.prediction), bool)
    hidden[start:stop] = (part.truth.visible_area[num_context:] == 0)[start:stop]
    if not hidden.any():
        return NAN
    there = np.zeros(len(hidden), bool)
    for track, features in zip(case.tracks or (), track_features(case, encoder), strict=True):
        frames = torch.from_numpy(np.flatnonzero(track.present()))
        in_hiding = features[torch.from_numpy(hidden)[frames]]
        if len(in_hiding) < MIN_FRAMES:
            continue
        looks = {p.truth.label: p.calibrated(float(unit_mean(in_hiding) @ p.context)) for p in parts_of(case, encoder)}
        if looks[part.truth.label] >= LOOKS_ENOUGH and looks[part.truth.label] == max(looks.values()):
            there |= present(_without(track.boxes, others_places(case, encoder, part)))
    return float(there[hidden].mean())


def _scale_of_whole_sides(boxes: Boxes, wanted: Boxes, size: tuple[int, int]) -> float:
    """Log of the size where the frame cuts bodies off: by heights that it leaves whole, by widths where it does not.

    A body that is too large is cut off where the real one is not, so that whole boxes alone would not tell.
    """
    sides, ends = (cut_off(boxes, size) | cut_off(wanted, size)).T
    of_heights = heights(boxes) / np.maximum(heights(wanted), 1)
    of_widths = (boxes[:, 2] - boxes[:, 0]) / np.maximum(wanted[:, 2] - wanted[:, 0], 1)
    known = ~(sides & ends)
    ratios = np.where(ends, of_widths, of_heights)[known]
    return _median_log(np.asarray(ratios, np.float64)) if len(ratios) >= MIN_FRAMES else NAN


def _aspect(boxes: Boxes) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) / np.maximum(heights(boxes), 1), np.float64)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else NAN


def _median_log(ratios: NDArray[np.float64]) -> float:
    return float(np.median(np.log(np.maximum(ratios, 1e-6)))) if len(ratios) else NAN
