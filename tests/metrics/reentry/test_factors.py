"""Factors, their product and its zero, on numbers written by hand; and the truth delayed by the camera's lag."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hmbench.metrics.background.floor import camera_blind
from hmbench.metrics.reentry.factors import part_scores, success
from hmbench.metrics.reentry.memoryless import EventBounds, Found, event_bounds, members
from hmbench.metrics.reentry.metrics import ReentryMetric
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.reentry.records import event_records
from hmbench.metrics.reentry.retimed import delayed
from hmbench.metrics.summary import NOT_JUDGED, MemoryScore
from hmbench.networks.backbones import Backbone
from tests.metrics import stage
from tests.metrics.reentry.test_verdict import RIGHT

KNOWN = replace(
    RIGHT, view=0.9, false_presence=0.0, texture=0.9, contrast=1.0, facing=0.9, gait=0.8, change=1.0, camera_lag=0
)


def product(**changes) -> float:
    return success(part_scores(replace(KNOWN, **changes), coverage=1.0, frames=40))


def test_nothing_wrong_is_full_marks():
    assert product() == 1


@pytest.mark.parametrize(
    "changes, left",
    [
        ({"view": 0.0}, 0.0),
        ({"view": 0.125}, 0.5),
        ({"view": 0.25}, 1.0),
        ({"false_presence": 1.0}, 0.25),
        ({"false_presence": 0.1}, 1.0),
        ({"false_presence": 0.35}, 0.625),
        ({"identity": 0.85}, 1.0),
        ({"identity": 0.425}, 0.5),
        ({"double_frames": 40}, 0.5),
        ({"double_frames": 10}, 0.875),
        ({"offset": 0.25}, 1.0),
        ({"scale": -0.15}, 1.0),
        ({"aspect": 0.12}, 1.0),
        ({"texture": 0.5}, 0.625),
        ({"facing": 0.0}, 0.625),
        ({"offset": 1.25}, math.exp(-2.5)),
        ({"scale": math.log(1.5)}, math.exp(-4 * (math.log(1.5) - 0.15))),
        ({"aspect": -0.32}, math.exp(-0.3)),
        ({"agreement": 0.0, "path": None}, 0.15),
        ({"facing": -1.0}, 0.25),
        ({"gait": 0.0}, 0.4),
        ({"gait": 0.25}, 0.7),
        ({"gait": 0.4}, 1.0),
        ({"texture": 0.1}, 0.25),
        ({"texture": 0.1, "facing": 0.0, "gait": 0.0}, 0.25),  # one fault, not three
        ({"camera_lag": 1}, 1.0),
        ({"camera_lag": -5}, math.exp(-0.2)),
        ({"seen": False}, 0.0),
    ],
)
def test_each_fault_has_its_price(changes, left):
    assert product(**changes) == pytest.approx(left)


@pytest.mark.parametrize(
    "name", ["view", "false_presence", "aspect", "scale", "offset", "agreement", "texture", "facing", "gait"]
)
def test_what_was_not_measured_costs_nothing(name):
    assert product(**{name: math.nan}) == 1


def test_who_never_leaves_its_path_moves_right_whatever_its_velocities_seem_to_be():
    assert product(agreement=0.1) == 1  # RIGHT is on its path
    astray = replace(KNOWN.path, on_time=0.2)
    assert product(agreement=0.35, path=astray) == pytest.approx(0.15 + 0.85 * 0.5)


@pytest.mark.parametrize(("coverage", "frames", "left"), [(1.0, 20, 0.75), (0.4, 5, 0.25), (0.8, 0, 0.5)])
def test_a_second_copy_counts_by_the_frames_that_there_are(coverage, frames, left):
    """Ten frames of it: half of twenty, and all of five, where the share of the asked frames counts as well."""
    assert success(part_scores(replace(KNOWN, double_frames=10), coverage, frames)) == pytest.approx(left)


def test_what_no_memory_gets_is_zero_and_the_truth_one():
    parts = {"coverage": 0.6}
    assert success(parts, 0.2) == pytest.approx(0.5)
    assert success(parts, 0.6) == success(parts, 0.7) == success(parts, 1.0) == 0
    assert success({"coverage": 1.0}, 0.9) == pytest.approx(1)
    assert success({"coverage": 1.0, "timing": 0.8}, 0.9) == pytest.approx(0.8)


def test_the_family_is_the_context_with_its_tracks_in_other_orders():
    case = stage.make_case([stage.HERO], [stage.HERO])
    reference = stage.OracleTracker(
        np.concatenate([case.truth.context_labels, case.truth.target_labels]), encoder=stage.ColourEncoder()
    ).track(np.concatenate([case.sample.prompt.context, case.truth.target]))
    case.reference_tracks = reference
    family = list(members(case))
    names = list(camera_blind(stage.HALF, stage.HALF))
    assert len(family) == len(names) + 1  # the camera stands: a still picture is the member to beat
    back, again, still = family[names.index("backwards at 1")], family[names.index("again at 1")], family[-1]
    context = case.sample.prompt.context
    assert (back.prediction == context[::-1]).all()
    assert (again.prediction == context).all()
    assert np.array_equal(again.tracks[0].boxes, reference[0].boxes[: stage.HALF], equal_nan=True)
    assert (still.prediction == still.prediction[0]).all()
    for member in (back, again, still):
        zero = max(record.success for record in event_records(member, stage.ColourEncoder()))
        assert zero == 0  # against a zero that is at least as high as its own product


def test_a_delayed_truth_shows_the_context_first_and_keeps_everything_together():
    case = stage.make_case([stage.HERO, stage.FRIEND], [stage.HERO, stage.FRIEND])
    late = delayed(case, 3)
    before = case.sample.num_context_frames
    assert (late.truth.target[3:] == case.truth.target[:-3]).all()
    assert (late.truth.target[:3] == case.sample.prompt.context[-3:]).all()
    assert (late.truth.target_labels[3:] == case.truth.target_labels[:-3]).all()
    for moved, subject in zip(late.truth.subjects, case.truth.subjects, strict=True):
        assert np.array_equal(moved.boxes[before + 3 :], subject.boxes[before:-3], equal_nan=True)
        assert (moved.visible_area[:before] == subject.visible_area[:before]).all()
    assert [e.reentry for e in late.truth.events] == [e.reentry + 3 for e in case.truth.events]
    assert (late.sample.prompt.target_poses[3:] == case.sample.prompt.target_poses[:-3]).all()


def test_an_earlier_truth_repeats_its_last_frame():
    case = stage.make_case([stage.HERO], [stage.HERO])
    early = delayed(case, -4)
    assert (early.truth.target[:-4] == case.truth.target[4:]).all()
    assert (early.truth.target[-4:] == case.truth.target[-1]).all()
    assert early.truth.events[0].reentry == max(case.truth.events[0].reentry - 4, case.sample.num_context_frames)


def seen_by_tracker(case, keep=lambda boxes: boxes):
    """Known tracks of the whole clip from its masks, the target's boxes as `keep` leaves them."""
    labels = np.concatenate([case.truth.context_labels, case.truth.target_labels])
    frames = np.concatenate([case.sample.prompt.context, case.truth.target])
    found = stage.OracleTracker(labels, encoder=stage.ColourEncoder()).track(frames)
    target = (replace(track, boxes=track.boxes.copy()) for track in found)
    for track in (tracks := list(target)):
        track.boxes[stage.HALF :] = keep(track.boxes[stage.HALF :])
    return tuple(tracks)


def test_an_event_in_which_the_tracker_misses_the_truth_is_not_judged():
    case = stage.make_case([stage.HERO], [stage.HERO])
    case.reference_tracks = seen_by_tracker(case, lambda boxes: boxes * np.nan)
    (record,) = event_records(case, stage.ColourEncoder())
    assert (record.ceiling, record.judged, record.verdict) == (0.0, False, "not judged")
    assert math.isnan(record.success) and record.numbers.seen  # what was measured is still told
    encoder = Backbone("colour", stage.ColourEncoder)
    assert MemoryScore(encoder)(case).reason == NOT_JUDGED
    found = {r.name: ReentryMetric(r, encoder)(case) for r in READINGS}
    assert found["verdict_returned"].reason and found["reentry_success"].reason
    assert found["return_recall"].value == 1 and found["return_recall"].details["judged"] == 0


@pytest.mark.parametrize(
    "truth, judged",
    [((0.8, True), True), ((0.8, False), False), ((0.74, True), False), ((0.76, True), True), ((1.0, True), True)],
)
def test_an_event_lies_between_the_best_without_memory_and_the_truth(truth, judged):
    case = stage.make_case([stage.HERO], [stage.HERO])
    case.reference_tracks = seen_by_tracker(case)

    def score(other):
        real = np.array_equal(other.prediction, case.truth.target)
        still = (other.prediction == other.prediction[0]).all()
        return [Found(*truth) if real else Found(0.3 if still else 0.1, False)]

    (found,) = event_bounds(case, f"toy {truth}", score)
    assert found == EventBounds(pytest.approx(0.35), truth[0], judged)
    (again,) = event_bounds(case, f"toy {truth}", lambda other: 1 / 0)  # from the cache
    assert again == found


@pytest.mark.parametrize("value, left", [(0.3, 0.0), (0.35, 0.0), (0.575, 0.5), (0.8, 1.0), (0.9, 1.0)])
def test_success_is_one_at_the_ceiling_and_never_above(value, left):
    assert success({"identity": value}, 0.35, 0.8) == pytest.approx(left)
    assert success({"identity": value, "timing": 0.5}, 0.35, 0.8) == pytest.approx(left / 2)


def test_an_event_without_room_has_nothing():
    assert success({"identity": 1.0}, 0.8, 0.8) == 0
