"""Association, re-entry numbers and verdicts on a stage where everything is known by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hmbench.case import Case
from hmbench.metrics.needs import unmet_need
from hmbench.metrics.reentry import matching
from hmbench.metrics.reentry.matching import cast, coherence, parts_of
from hmbench.metrics.reentry.metrics import ReentryMetric, event_rows
from hmbench.metrics.reentry.motion import body_height
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.reentry.records import _scale_of_whole_sides, event_records, out_of_sight_from
from hmbench.metrics.tracking import TrackingMetric, without
from hmbench.networks.backbones import Backbone
from hmbench.subjects.oracle import OracleTracker
from hmbench.types import Intrinsics, Track
from tests.metrics import stage

WORST = {
    "return_recall": 0,
    "return_coverage": 0,
    "return_delay": 45,
    "place_error": 1,
    "place_iou": 0,
    "identity_similarity": 0,
    "identity_rank1": 0,
    "identity_single": 0,
    "motion_agreement": 0,
    "motion_direction": -1,
    "body_texture": 0,
    "verdict_returned": 0,
    "reentry_success": 0,
}
UNBOUNDED = (
    "return_offset",
    "place_error_size",
    "place_offset",
    "scale_error",
    "shape_error",
    "identity_margin",
    "motion_speed",
    "articulation",
    "return_timing",
)
BODY = ("body_facing", "body_gait")
"""Without a worst value, and not measurable where a real body is its own mirror image, or does not step."""
ENCODER = stage.ColourEncoder()
HERO, FRIEND, changed, make_case = stage.HERO, stage.FRIEND, stage.changed, stage.make_case


def record(case, label=1):
    return next(r for r in event_records(case, ENCODER) if r.event.label == label)


def test_the_truth_itself_returns_with_full_marks():
    got = record(make_case([HERO, FRIEND], [HERO, FRIEND]))
    assert got.verdict == "returned"
    assert got.coverage == 1
    assert got.numbers.offset_frames == 0
    assert got.iou == pytest.approx(1)
    assert got.numbers.rank1 is True
    assert got.numbers.agreement == pytest.approx(1)
    assert got.articulation == pytest.approx(1)
    assert got.success == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "fault, verdict",
    [
        ({"hidden": (14, 60)}, "vanished"),
        ({"colour": stage.GREEN}, "changed identity"),
        ({"x": 20 + 37, "speed": 0.0}, "frozen"),
        ({"x": 20 + 2 * 36, "speed": -1.0}, "wrong way"),
        ({"y": 34.0}, "displaced"),
        ({"x": 20 - 9.0}, "late"),
        ({"hidden": (14, 40)}, "late"),
        ({"width": 17}, "distorted"),
    ],
)
def test_each_fault_has_its_verdict(fault, verdict):
    got = record(make_case([HERO, FRIEND], [changed(HERO, **fault), FRIEND]))
    assert got.verdict == verdict, got.numbers
    assert got.success < 0.96


def test_places_are_in_diagonals_of_the_frame():
    got = record(make_case([HERO, FRIEND], [changed(HERO, y=HERO.y + 3), FRIEND]))
    assert got.centre_error == pytest.approx(3 / np.hypot(stage.H, stage.W))


@pytest.mark.parametrize(("back", "offset"), [(26, -4), (33, 3)])
def test_a_delay_is_as_long_as_an_earliness(back, offset):
    case = make_case([HERO], [changed(HERO, hidden=(14, back))])
    reading = {r.name: ReentryMetric(r, Backbone(ENCODER.name, lambda: ENCODER)) for r in READINGS}
    assert reading["return_offset"](case).value == offset
    assert reading["return_delay"](case).value == abs(offset)


def test_a_scale_without_room_is_not_stretched():
    """Strangers as like as the subject itself would make a hundredth of a cosine the whole scale."""
    part = replace(parts_of(make_case([HERO], [HERO]), ENCODER)[0], different=0.5, same=0.52)
    assert part.calibrated(0.52) == pytest.approx(0.4)
    assert replace(part, same=0.9).calibrated(0.6) == pytest.approx(0.25)


def test_looks_beyond_the_subjects_own_buy_no_place(monkeypatch):
    """A track in place and like the subject goes before one elsewhere that is more like it than itself."""
    twin = changed(HERO, label=3, y=2.0, x=60)
    case = make_case([HERO], [HERO, twin])
    place, looks = iter((1.0, 0.5)), iter((1.0, 2.5))
    monkeypatch.setattr(matching, "_place", lambda *given: next(place))
    monkeypatch.setattr(matching, "_looks", lambda *given: next(looks))
    assert cast(case, ENCODER, 0, stage.HALF).played[1] == (0,)


def test_a_body_height_is_read_where_the_frame_cuts_nothing():
    """In a wide frame the right half is no edge; boxes cut at the right are shorter here and must not count."""
    subject = make_case([HERO], [HERO]).truth.subjects[0]
    whole = np.tile(np.float32((80, 10, 90, 34)), (12, 1))
    cut = np.tile(np.float32((112, 10, stage.W, 20)), (20, 1))
    known = replace(subject, boxes=np.concatenate([whole, cut]), positions=np.tile((0.0, 0.0, 10.0), (32, 1)))
    lens = Intrinsics(focal=stage.W, width=stage.W, height=stage.H)
    poses = np.tile(np.eye(4), (32, 1, 1))
    assert body_height(known, poses, lens, stage.H) == pytest.approx(10 * 24 / stage.W)


def test_a_track_on_a_sliver_and_more_on_a_subject_is_on_the_subject():
    box, sliver, body = (np.float32([row]) for row in ((0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 9)))
    np.testing.assert_array_equal(without(box, [sliver], [body]), box)
    assert np.isnan(without(box, [sliver], [np.float32([(0, 0, 10, 4)])])).all()


def test_a_second_copy_is_a_duplicate():
    twin = changed(HERO, label=3, y=2.0, x=60)
    got = record(make_case([HERO, FRIEND], [HERO, FRIEND, twin]))
    assert got.verdict == "duplicated"
    assert got.numbers.double_frames >= 10


@pytest.mark.parametrize(
    ("real", "shown", "log_size"),
    [
        ((40, 20, 60, 80), (30, 0, 60, 80), math.log(30 / 20)),  # cut off at the top: by its width
        ((0, 20, 20, 70), (0, 10, 24, 70), math.log(60 / 50)),  # at the side: by its height
        ((40, 20, 60, 80), (0, 0, 60, 80), None),  # at both: unknown
        ((0, 20, 20, 70), (30, 0, 60, 80), None),  # one at the side, the other at the top
        ((40, 20, 60, 80), (44, 30, 56, 80), math.log(50 / 60)),  # whole
    ],
)
def test_a_size_is_read_from_the_sides_that_the_frame_leaves_whole(real, shown, log_size):
    def times(box):
        return np.tile(np.float32(box), (5, 1))

    got = _scale_of_whole_sides(times(shown), times(real), (100, 200))
    assert math.isnan(got) if log_size is None else got == pytest.approx(log_size)
    assert math.isnan(_scale_of_whole_sides(times(shown)[:2], times(real)[:2], (100, 200)))  # too few frames


def test_a_body_that_is_too_large_for_the_frame_has_the_wrong_size():
    """Its feet are where they should be, and the frame cuts its head off in every frame."""
    hero = changed(HERO, y=4.0)
    large = changed(hero, y=0.0, height=28, width=15)
    got = record(make_case([hero], [large])).numbers
    assert got.scale == pytest.approx(math.log(15 / 10))
    assert math.isnan(got.aspect)
    assert record(make_case([hero], [large])).verdict == "wrong size"
    assert record(make_case([hero], [hero])).numbers.scale == pytest.approx(0)


def shown_by_the_real_clip(case, track, frames=stage.HALF):
    """The case with the predicted tracks as those of the real clip, `track` in its first target `frames` alone."""
    real = []
    for one in case.tracks:
        boxes = np.full((2 * stage.HALF, 4), np.nan, np.float32)
        last = frames if one is track else stage.HALF
        boxes[stage.HALF : stage.HALF + last] = one.boxes[:last]
        scores = np.where(np.isnan(boxes[:, 0]), np.float32(np.nan), np.float32(1))
        real.append(Track(id=one.id, boxes=boxes, scores=scores, category="person"))
    return Case(case.sample, case.prediction, case.tracks, tuple(real))


def test_a_body_that_the_real_clip_shows_there_is_no_second_copy():
    twin = changed(HERO, label=3, y=2.0, x=60)
    case = make_case([HERO, FRIEND], [HERO, FRIEND, twin])
    track = max(case.tracks, key=lambda t: float(np.nanmin(t.boxes[:, 0])) - float(np.nanmin(t.boxes[:, 1])))
    there = record(shown_by_the_real_clip(case, track))
    assert (there.numbers.double_frames, there.verdict) == (0, "returned")
    copies = record(case).numbers.double_frames
    start = record(case).window[0]
    assert record(shown_by_the_real_clip(case, track, start + 5)).numbers.double_frames == copies - 5


def test_a_body_that_the_real_clip_shows_there_is_no_false_presence():
    case = make_case([HERO], [changed(HERO, hidden=(14, 20))])
    (track,) = case.tracks
    assert record(shown_by_the_real_clip(case, track)).false_presence == 0


def test_a_companion_is_never_mistaken_for_the_missing_subject():
    # the friend walks exactly where the hero should be; it is still the friend, seen elsewhere by nobody
    impostor = changed(FRIEND, x=HERO.x, speed=HERO.speed)
    case = make_case([HERO, FRIEND], [changed(HERO, hidden=(14, 60)), FRIEND])
    assert record(case).verdict == "vanished"
    assert record(case, label=2).verdict == "returned"
    case = make_case([HERO, FRIEND], [changed(HERO, hidden=(14, 60)), impostor])
    assert record(case, label=2).verdict != "vanished"


def test_crossing_subjects_keep_their_tracks():
    hero, friend = changed(HERO, x=10, speed=1.5), changed(FRIEND, x=90, speed=-0.8)
    case = make_case([hero, friend], [hero, friend])
    casting = cast(case, ENCODER, 0, stage.HALF)
    colours = {t.id: ENCODER.crops(case.prediction, t.boxes).mean(dim=0) for t in case.tracks}
    for label, colour in ((1, 0), (2, 2)):
        track = case.tracks[casting.played[label][0]]
        assert int(colours[track.id].argmax()) == colour


def test_pieces_of_a_broken_track_are_put_together():
    case = make_case([HERO], [HERO])
    whole = case.tracks[0]
    halves = []
    for number, keep in enumerate((slice(0, 12), slice(12, None)), 1):
        boxes = np.full_like(whole.boxes, np.nan)
        boxes[keep] = whole.boxes[keep]
        scores = np.where(np.isnan(boxes[:, 0]), np.float32(np.nan), np.float32(1))
        halves.append(Track(id=number, boxes=boxes, scores=scores, category="person"))
    got = record(make_case([HERO], [HERO], tracks=tuple(halves)))
    assert got.coverage == 1
    assert len(got.tracks) == 2


def test_showing_a_hidden_subject_is_a_false_presence():
    got = record(make_case([HERO], [changed(HERO, hidden=(14, 20))]))
    assert got.false_presence == pytest.approx(1)
    assert got.numbers.offset_frames < 0


def test_what_is_seen_before_the_exit_is_no_return():
    """The second before the re-entry reaches back to where the subject has not left yet: that is not coming back."""
    leaves = changed(HERO, hidden=(30, 40))  # in view for the target's first six frames
    truth = record(make_case([leaves], [leaves]))
    assert (truth.verdict, truth.numbers.offset_frames, truth.coverage) == ("returned", 0, 1)
    gone = record(make_case([leaves], [changed(leaves, hidden=(30, 60))]))
    assert gone.verdict == "vanished"
    assert not gone.numbers.seen


def test_the_first_return_is_not_the_second():
    twice = changed(HERO, hidden=(14, 28), again=(32, 40))
    truth = make_case([twice], [twice])
    assert [(e.exit, e.reentry) for e in truth.truth.events] == [(14, 28), (32, 40)]
    assert [r.verdict for r in event_records(truth, ENCODER)] == ["returned", "returned"]
    assert [r.numbers.offset_frames for r in event_records(truth, ENCODER)] == [0, 0]
    once = make_case([twice], [changed(twice, again=(32, 60))])
    assert event_records(once, ENCODER)[1].verdict == "vanished"


def test_gone_again_after_a_few_frames_is_vanished():
    briefly = record(make_case([HERO], [changed(HERO, again=(34, 60))]))  # 4 of the 18 frames that are asked for
    assert briefly.verdict == "vanished"
    assert briefly.coverage == briefly.numbers.kept == pytest.approx(4 / 18)
    assert not briefly.numbers.excused
    at_the_edge = changed(HERO, x=stage.W - 8, speed=0.0)
    gone = record(make_case([at_the_edge], [changed(at_the_edge, again=(34, 60))]))
    assert gone.numbers.excused
    assert gone.verdict == "vanished"


def test_the_wrong_way_out_of_sight_is_the_wrong_way():
    """Out through the edge, or behind somebody whom the tracker sees instead."""
    out = changed(HERO, x=6 + 3 * 30, speed=-3.0, width=14)
    case = make_case([changed(out, x=6 - 30, speed=1.0)], [changed(out, again=(38, 60))])
    assert record(case).numbers.kept < 0.5
    assert record(case).verdict == "wrong way"
    friend = changed(FRIEND, x=30, speed=0.0, y=30)
    case = make_case([HERO, friend], [changed(HERO, x=50 + 60, speed=-2.0, again=(38, 60)), friend])
    assert record(case).numbers.kept < 0.5
    assert record(case).verdict == "wrong way"


def test_a_tracker_that_misses_a_third_is_no_vanishing():
    case = make_case([HERO], [HERO])
    boxes = case.tracks[0].boxes.copy()
    boxes[7::3] = np.nan
    blinking = Track(id=1, boxes=boxes, scores=np.where(np.isnan(boxes[:, 0]), np.nan, 1).astype(np.float32))
    assert record(make_case([HERO], [HERO], tracks=(blinking,))).verdict == "returned"


def test_being_there_only_before_the_return_is_vanished():
    early = record(make_case([HERO], [changed(HERO, hidden=(14, 24), again=(30, 60))]))
    assert early.verdict == "vanished"
    assert early.coverage == early.success == 0
    assert metric("return_recall")(make_case([HERO], [changed(HERO, hidden=(14, 24), again=(30, 60))])).value == 0


def test_late_for_good_is_late_not_vanished():
    late = record(make_case([HERO], [changed(HERO, hidden=(14, 42))]))  # there in a third of the frames
    assert late.coverage < 0.5
    assert late.numbers.kept == 1
    assert late.verdict == "late"


def test_early_is_from_where_nothing_of_the_subject_shows():
    area = np.array([90, 90, 90, 4, 4, 0, 0, 0, 3, 90, 90])
    assert out_of_sight_from(area, 10, reentry=9) == 5  # slivers of the one that leaves are not its return
    assert out_of_sight_from(np.array([90, 4, 4, 4, 90]), 10, reentry=4) == 4  # never quite out of sight


def metric(name):
    reading = next(r for r in READINGS if r.name == name)
    return ReentryMetric(reading, Backbone("colour", lambda: ENCODER))


def test_every_number_says_what_a_vanished_subject_is_worth():
    assert {*WORST, *UNBOUNDED, *BODY, "false_presence"} == {r.name for r in READINGS}
    assert set(WORST) == {r.name for r in READINGS if r.worst is not None}


def test_no_detection_anywhere_is_the_worst_score_with_no_coverage():
    case = make_case([HERO, FRIEND], [], tracks=())
    for name, worst in WORST.items():
        score = metric(name)(case)
        assert score.value == worst, name
        low, high = metric(name).info.bounds
        assert worst in (low, high) or name == "return_delay", name
        assert score.details["coverage"] == score.details["returned"] == 0
        assert score.details["given_return"] is None
    for name in UNBOUNDED:
        score = metric(name)(case)
        assert score.reason == "no subject came back", name
        assert (score.details["events"], score.details["returned"]) == (2, 0)
    assert TrackingMetric("hota")(case).value == 0
    assert TrackingMetric("idf1")(case).value == 0


def test_who_vanished_does_not_leave_the_means_of_bounded_errors():
    half = make_case([HERO, FRIEND], [HERO, changed(FRIEND, hidden=(14, 60))])
    assert metric("place_error")(half).value == pytest.approx(0.5, abs=1e-3)
    assert metric("return_delay")(half).value == pytest.approx(45 / 2)
    assert metric("motion_direction")(half).value == pytest.approx(0, abs=1e-3)
    for name in UNBOUNDED:  # a mean over those that came back, which the details say
        score = metric(name)(half)
        details = score.details
        assert (details["events"], details["returned"], details["measured"], details["coverage"]) == (2, 1, 1, 0.5), (
            name
        )
        assert score.value == details["given_return"]


def test_without_strangers_nobody_is_asked_who_is_nearest():
    for played in ([HERO], [changed(HERO, hidden=(14, 60))]):
        score = metric("identity_rank1")(make_case([HERO], played))
        assert score.reason == "not measurable in any of the clip's events"


def test_a_motion_that_the_real_subject_does_not_show_is_asked_of_nobody():
    briefly = changed(HERO, hidden=(14, 45))  # three frames in view
    for played in ([briefly], [changed(HERO, hidden=(14, 60))]):
        for name in ("motion_agreement", "motion_direction"):
            assert "not measurable" in (metric(name)(make_case([briefly], played)).reason or ""), name
    stands = changed(HERO, speed=0.0)
    for played in ([stands], [changed(stands, hidden=(14, 60))]):
        assert "not measurable" in (metric("motion_direction")(make_case([stands], played)).reason or "")


def test_what_is_given_return_is_published_beside_what_counts_everybody():
    case = make_case([HERO, FRIEND], [HERO, changed(FRIEND, hidden=(14, 60))])
    score = metric("identity_similarity")(case)
    assert score.value == pytest.approx(0.5, abs=0.01)
    assert score.details["given_return"] == pytest.approx(1, abs=0.01)
    assert score.details["coverage"] == 0.5


def test_frames_in_which_the_tracker_misses_the_real_subject_are_not_asked_for():
    blind = changed(HERO, hidden=(14, 38))
    case = make_case([HERO], [blind])
    assert record(case).coverage < 0.7
    video, labels = stage.film([blind])
    reference = OracleTracker(labels).track(video)
    fair = Case(case.sample, case.prediction, case.tracks, reference)
    assert record(fair).coverage == 1


def test_a_companions_box_is_no_sight_of_the_subject_behind():
    """The real clip's tracker loses the hero behind a smaller friend: the box that lies on both is the friend's.

    The truth itself was vanished then, since it was asked for in frames in which nobody can see it.
    """
    friend = changed(HERO, label=2, colour=stage.BLUE, x=HERO.x + 2, y=HERO.y + 4, width=6, height=16)
    case = make_case([HERO, friend], [HERO, friend])
    video, labels = stage.film([HERO, friend])
    labels[36:][labels[36:] == 1] = 0
    assert not (labels[36:] == 1).any()
    seen = OracleTracker(labels[stage.HALF :], encoder=ENCODER).track(case.prediction)
    blind = Case(case.sample, case.prediction, seen, OracleTracker(labels).track(video))
    hero = next(part for part in parts_of(blind, ENCODER) if part.truth.label == 1)
    assert np.flatnonzero(hero.tracked).tolist() == [*range(6, 12)]
    assert record(blind).coverage == 1
    assert record(blind).verdict == "returned"


def test_event_rows_are_json_and_say_everything():
    rows = event_rows(make_case([HERO, FRIEND], [HERO]), ENCODER)
    json.dumps(rows, allow_nan=False)
    by_subject = {row["subject"]: row for row in rows}
    assert by_subject["actor-1"]["verdict"] == "returned"
    assert by_subject["actor-2"]["verdict"] == "vanished"
    assert by_subject["actor-1"]["hidden"] == 16
    case = make_case([HERO, FRIEND], [HERO])
    x0, y0, x1, y1 = case.truth.subjects[0].boxes[by_subject["actor-1"]["reentry"]]
    height, width = case.sample.prompt.size
    place = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height]
    assert by_subject["actor-1"]["place"] == pytest.approx(place, abs=1e-4)
    assert by_subject["actor-1"]["reentry"] == 30
    assert by_subject["actor-2"]["identity"] is None
    assert by_subject["actor-1"]["path_shift"] == 0
    assert by_subject["actor-2"]["path_still"] is None


def test_without_a_tracker_events_are_listed_without_a_verdict():
    rows = event_rows(make_case([HERO], [HERO], oracle=False))
    assert [row["verdict"] for row in rows] == [None]


def test_events_have_the_verdict_of_the_profile_or_none():
    """A shipped network that knows the mini world must not judge who is who in a run of another profile."""
    assert [row["verdict"] for row in event_rows(make_case([HERO], [HERO]))] == [None]
    missing = make_case([HERO], [HERO])
    reading = READINGS[0]
    assert ReentryMetric(reading, Backbone("dino", lambda: ENCODER, "no weights"))(missing).reason == "no weights"
    assert [row["verdict"] for row in event_rows(missing)] == [None]
    judged = make_case([HERO], [HERO])
    metric("return_recall")(judged)
    assert [row["verdict"] for row in event_rows(judged)] == ["returned"]


def test_a_clip_without_events_is_a_skip():
    case = make_case([changed(HERO, hidden=(0, 0))], [HERO])
    reason = unmet_need(metric("return_recall").info, case)
    assert reason == "no subject leaves the view and returns in this clip"


def test_a_track_whose_pictures_have_nothing_in_common_follows_nobody():
    """A detector finds bodies in noise, at the right place and with the right looks now and then."""
    case = make_case([HERO], [HERO])
    assert coherence(case.prediction, case.tracks[0].boxes) > 0.7
    noise = np.random.default_rng(0).integers(0, 256, case.prediction.shape).astype(np.uint8)
    snow = Case(case.sample, noise, case.tracks)
    assert coherence(noise, case.tracks[0].boxes) < 0.2
    assert cast(case, ENCODER, 0, stage.HALF).played == {1: (0,)}
    assert cast(snow, ENCODER, 0, stage.HALF).played == {1: ()}
    assert record(snow).verdict == "vanished"


def test_two_that_changed_places_changed_identities():
    swapped = [changed(HERO, colour=FRIEND.colour), changed(FRIEND, colour=HERO.colour)]
    case = make_case([HERO, FRIEND], swapped)
    assert {r.event.label: r.verdict for r in event_records(case, ENCODER)} == dict.fromkeys(
        (HERO.label, FRIEND.label), "changed identity"
    )
