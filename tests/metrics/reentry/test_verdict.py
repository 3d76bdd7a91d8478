"""The verdict's rules on numbers written by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hmbench.metrics.reentry.factors import part_scores
from hmbench.metrics.reentry.path_fit import PathFit
from hmbench.metrics.reentry.verdict import WORD_OF, Numbers, Thresholds, decide, worth_of

RIGHT = Numbers(
    seen=True,
    offset_frames=0,
    kept=1.0,
    excused=False,
    identity=1.0,
    rank1=True,
    aspect=0.0,
    scale=0.0,
    feet=0.0,
    offset=0.0,
    aside=0.0,
    lag=0.0,
    agreement=1.0,
    speed_target=0.04,
    speed_ratio=1.0,
    double_frames=0,
    standing=0.017,
    path=PathFit(on_time=0.02, late=0.02, shift=0.0, beside=0.02, still=0.3, turned=0.6),
)
STANDS = replace(
    RIGHT,
    offset=0.31,
    agreement=0.3,
    speed_ratio=0.07,
    path=PathFit(on_time=0.31, late=0.1, shift=45.0, beside=0.06, still=0.01, turned=0.06),
)
TRAILS = replace(
    RIGHT,
    offset=0.12,
    agreement=0.3,
    path=PathFit(on_time=0.11, late=0.04, shift=25.0, beside=0.04, still=0.06, turned=0.11),
)


def test_nothing_wrong_is_returned():
    assert decide(RIGHT) == "returned"


def test_soon_gone_again_is_vanished():
    briefly = Thresholds().kept - 0.01
    assert decide(replace(RIGHT, kept=Thresholds().kept)) == "returned"
    assert decide(replace(RIGHT, kept=briefly)) == "vanished"
    assert decide(replace(STANDS, kept=briefly)) == "vanished"
    assert decide(replace(RIGHT, kept=math.nan)) == "returned"  # nothing was asked since


def test_who_may_have_walked_out_of_sight_is_vanished_only_if_nothing_else_is_wrong():
    assert decide(replace(RIGHT, kept=0.2, excused=True)) == "vanished"
    assert decide(replace(STANDS, kept=0.2, excused=True)) == "frozen"


@pytest.mark.parametrize("speed", [2.0, 0.7])
def test_a_slow_walk_says_as_much_as_a_fast_one(speed):
    """A subject slower than a hundredth of its height a frame still goes half a body height in three seconds."""
    for numbers, verdict in ((STANDS, "frozen"), (TRAILS, "late")):
        assert decide(replace(numbers, speed_target=speed * numbers.standing)) == verdict


def test_who_stands_on_its_path_is_on_time_whatever_explains_the_rest_better():
    """A coarse codec leaves boxes a few hundredths beside their place, and some shift always explains that better."""
    wobbles = PathFit(on_time=0.06, late=0.02, shift=8.0, beside=0.05, still=0.2, turned=0.4)
    assert decide(replace(RIGHT, offset=0.06, path=wobbles)) == "returned"
    assert decide(replace(RIGHT, offset=0.16, path=replace(wobbles, on_time=0.16))) == "late"


def test_a_standing_target_cannot_be_frozen_or_late():
    barely = Thresholds().moves * RIGHT.standing * 0.9
    assert decide(replace(STANDS, speed_target=barely)) == "returned"
    assert decide(replace(TRAILS, speed_target=barely)) == "returned"


def test_a_body_far_away_is_seen_from_another_side():
    elsewhere = replace(
        RIGHT,
        aspect=-0.27,
        feet=1.2,
        offset=2.0,
        agreement=0.0,
        path=PathFit(on_time=1.4, late=0.8, shift=45.0, beside=0.2, still=0.2, turned=0.1),
    )
    assert decide(elsewhere) == "wrong way"
    unclear = replace(elsewhere, path=replace(elsewhere.path, turned=0.19))
    assert decide(unclear) == "wrong way"
    assert decide(replace(unclear, feet=0.1)) == "distorted"
    assert decide(replace(elsewhere, aspect=-0.5)) == "distorted"


def test_first_things_are_said_first():
    both = replace(STANDS, double_frames=20)
    assert decide(both) == "duplicated"
    assert decide(replace(both, identity=0.2)) == "changed identity"
    assert decide(replace(both, seen=False)) == "vanished"


BODY = replace(
    RIGHT,
    view=0.9,
    false_presence=0.0,
    texture=0.9,
    contrast=1.0,
    facing=0.9,
    gait=0.8,
    change=1.0,
    pose=0.95,
    flat=0.05,
    camera_lag=0,
)
BACK = PathFit(on_time=0.9, late=0.4, shift=45.0, beside=0.12, still=0.08, turned=0.05)
TABLE = [
    ({}, "returned"),
    ({"view": 0.0}, "wrong view"),
    ({"view": -0.05, "seen": False}, "vanished"),
    ({"view": -0.05, "identity": 0.2}, "changed identity"),
    ({"view": -0.05, "offset": 3.0, "facing": -1.0}, "wrong view"),
    ({"false_presence": 0.5}, "ever-present"),
    ({"false_presence": 0.5, "double_frames": 20}, "duplicated"),
    ({"false_presence": 0.49}, "returned"),
    ({"scale": math.log(1.5)}, "wrong size"),
    ({"scale": -math.log(1.5)}, "wrong size"),
    ({"scale": math.log(1.3)}, "returned"),
    ({"texture": 0.3, "contrast": 0.4}, "faceless"),
    ({"texture": 0.3, "contrast": 1.0}, "returned"),
    ({"texture": 0.3, "contrast": 0.4, "identity": 0.6}, "faceless"),
    ({"flat": 0.85, "identity": 0.1, "rank1": False}, "faceless"),
    ({"flat": 0.84, "identity": 0.1}, "changed identity"),
    ({"flat": 0.9, "seen": False}, "vanished"),
    ({"identity": 0.6}, "distorted"),
    ({"aspect": 0.2}, "distorted"),
    ({"aspect": -0.2, "gait": 0.1, "change": 0.1}, "sliding"),  # its legs are together, which is no other shape
    ({"aspect": -0.2, "gait": 0.1, "change": 0.1, "pose": 0.8}, "distorted"),
    ({"aspect": -0.2, "gait": 0.1, "change": 0.6, "pose": 0.8}, "distorted"),
    ({"aspect": -0.26, "gait": 0.1, "change": 0.1}, "distorted"),
    ({"gait": 0.1, "change": 0.52, "pose": 0.8}, "distorted"),  # in no pose of a real body
    ({"gait": 0.1, "change": 0.54, "pose": 0.8}, "sliding"),
    ({"gait": 0.36, "change": 0.1}, "returned"),
    ({"gait": 0.34, "change": 0.1}, "sliding"),
    ({"aspect": 0.9, "pose": 0.5}, "distorted"),  # it is squeezed, but shows a picture of the real one
    ({"aspect": 0.9, "pose": 0.49}, "changed identity"),
    ({"aspect": -0.9, "pose": math.nan}, "changed identity"),
    ({"aspect": 0.9, "pose": 0.7, "rank1": False, "identity": 0.9}, "changed identity"),
    ({"gait": 0.1, "change": 0.6, "pose": 0.8}, "sliding"),
    ({"pose": 0.2}, "returned"),
    ({"path": BACK, "agreement": 0.05, "scale": 0.45, "feet": 0.7}, "wrong way"),
    ({"path": BACK, "agreement": 0.05, "scale": 0.45, "feet": 0.7, "speed_target": 0.0}, "returned"),
    ({"path": replace(BACK, turned=0.07), "scale": 0.45, "feet": 0.1}, "wrong size"),
    ({"path": replace(BACK, turned=0.13, still=0.02), "scale": 0.45, "feet": 0.1, "speed_ratio": 0.1}, "wrong size"),
    ({"path": replace(BACK, turned=0.13, still=0.02), "scale": 0.45, "feet": 0.6, "speed_ratio": 0.1}, "frozen"),
    (
        {"path": replace(RIGHT.path, still=0.1), "speed_ratio": 0.1, "agreement": 0.3},
        "returned",
    ),  # it keeps to its path
    ({"facing": -0.9}, "wrong facing"),
    ({"facing": -0.9, "gait": 0.0}, "wrong facing"),
    ({"facing": -0.9, "offset": 0.9}, "displaced"),
    ({"gait": 0.1, "change": 0.2}, "sliding"),
    ({"gait": 0.1, "change": 1.1}, "out of step"),
    ({"gait": 0.1, "change": math.nan}, "out of step"),
    ({"camera_lag": 5}, "returned"),
    ({"camera_lag": 6}, "late"),
    ({"camera_lag": -6}, "late"),
]


@pytest.mark.parametrize("changes, verdict", TABLE)
def test_the_words_of_the_table(changes, verdict):
    assert decide(replace(BODY, **changes)) == verdict


@pytest.mark.parametrize(
    "name", ["view", "false_presence", "texture", "contrast", "facing", "gait", "change", "pose", "flat", "scale"]
)
def test_what_was_not_measured_is_nothing_wrong(name):
    assert decide(replace(BODY, **{name: math.nan})) == "returned"


def test_without_a_path_and_without_others_the_numbers_suffice():
    assert decide(replace(BODY, path=None, rank1=None)) == "returned"
    assert decide(replace(BODY, path=None, rank1=None, speed_ratio=0.1)) == "frozen"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"offset_frames": Thresholds().first_sight}, "late"),
        ({"offset_frames": Thresholds().first_sight - 1}, "returned"),
        ({"offset_frames": -30.0}, "returned"),  # early is a number of its own, and no lateness
        ({"camera_lag": -Thresholds().camera_lag}, "late"),
        # where its feet are not known it is judged as if they were near: a missing number excuses nothing
        ({"feet": math.nan, "scale": 0.4}, "wrong size"),
        ({"feet": Thresholds().unmeasured + 0.01, "scale": 0.4}, "returned"),
        ({"feet": Thresholds().unmeasured, "scale": 0.4}, "wrong size"),
        ({"feet": Thresholds().far + 0.01, "identity": 0.6}, "returned"),
        ({"feet": Thresholds().far, "identity": 0.6}, "distorted"),
        ({"double_frames": Thresholds().double_frames}, "duplicated"),
        ({"double_frames": Thresholds().double_frames - 1}, "returned"),
        ({"offset": Thresholds().aside + 0.01}, "displaced"),
        ({"offset": math.nan, "feet": Thresholds().unmeasured + 0.01}, "displaced"),
        ({"offset": math.nan, "feet": Thresholds().unmeasured}, "returned"),
        ({"gait": 0.0, "change": 0.0}, "sliding"),
        ({"gait": 0.0, "change": Thresholds().slides}, "out of step"),
        ({"rank1": None, "identity": Thresholds().identity - 0.01}, "changed identity"),
        ({"rank1": True, "identity": Thresholds().resemblance}, "returned"),
    ],
)
def test_the_edge_of_each_rule(changes, verdict):
    # it stands in the target, so that rules about the way of one who walks do not speak first
    assert decide(replace(RIGHT, speed_target=0.0, **changes)) == verdict


@pytest.mark.parametrize(
    "verdict, success, parts, speed, word",
    [
        ("returned", 0.25, {"motion": 0.5}, 0.0, "returned"),
        ("returned", 0.24, {"motion": 0.5, "place": 0.9}, 0.2, "frozen"),
        ("returned", 0.24, {"motion": 0.5, "place": 0.9}, 1.0, "wrong way"),
        ("returned", 0.0, {"motion": 0.9, "place": 0.4, "body": 0.6}, 1.0, "displaced"),
        ("returned", 0.0, {"view": 0.1}, math.nan, "wrong view"),
        ("returned", 0.0, {}, math.nan, "returned"),
        ("late", 0.0, {"place": 0.1}, 0.0, "late"),
    ],
)
def test_a_return_that_is_worth_little_has_the_word_of_its_lowest_factor(verdict, success, parts, speed, word):
    assert worth_of(verdict, success, parts, replace(RIGHT, speed_ratio=speed)) == word


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"texture": 0.2, "facing": 0.9, "gait": 0.9}, "faceless"),
        ({"texture": 0.4, "facing": -0.9, "gait": 0.9}, "wrong facing"),
        ({"texture": 0.9, "facing": math.nan, "gait": 0.0}, "sliding"),
        ({}, "sliding"),
    ],
)
def test_a_low_body_has_the_word_of_what_is_low(changes, word):
    assert worth_of("returned", 0.1, {"body": 0.3, "place": 0.9}, replace(RIGHT, **changes)) == word


def test_every_factor_has_a_word():
    assert set(part_scores(replace(RIGHT, view=1.0, false_presence=0.0, gait=1.0), 1.0, 40)) == {*WORD_OF, "body"}
