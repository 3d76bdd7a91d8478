"""The frozen tables, the splits, the paths, the captions, the random stream."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections import Counter

import numpy as np
import pytest

from hmbench.data.ids import parse_id
from hmbench.data.mini_world.bodies import build_body, category
from hmbench.data.mini_world.captions import captions, describe, style
from hmbench.data.mini_world.look import LIMBS
from hmbench.data.mini_world.looks import LOOKS, look_distance
from hmbench.data.mini_world.motion import CAMERA_PATHS, FRAMES, SUBJECT_PATHS, CameraMove, Walk
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES, build_scene
from hmbench.data.mini_world.scenes.layout import hits
from hmbench.data.mini_world.spec import ClipSpec, make_plan
from hmbench.data.mini_world.splits import (
    HELD_OUT_SCENES,
    HELD_OUT_SUBJECTS,
    TEST_CELLS,
    candidate,
    is_test_path,
    pool,
    spread_slots,
)
from hmbench.data.mini_world.writer import sample_id

from .conftest import PAIR


def test_tables_have_hm_worlds_sizes() -> None:
    assert (len(SCENES), len(LOOKS), len(SUBJECT_PATHS), len(CAMERA_PATHS)) == (17, 49, 10, 28)
    assert len({row.family for row in SCENES}) >= 6
    assert len({look.name for look in LOOKS}) == 49
    assert Counter(category(look) for look in LOOKS) == {"person": 25, "robot": 8, "animal": 12, "other": 4}


def test_subjects_are_far_apart() -> None:
    closest = min(look_distance(a, b) for i, a in enumerate(LOOKS) for b in LOOKS[:i])
    assert closest > 1.7  # another main colour alone is about 1.2


def test_held_out_rows_exist_and_span_categories() -> None:
    assert set(HELD_OUT_SCENES) <= {row.name for row in SCENES} and len(HELD_OUT_SCENES) == 3
    chosen = [look for look in LOOKS if look.name in HELD_OUT_SUBJECTS]
    assert len(chosen) == 9
    assert {category(look) for look in chosen} == {"person", "robot", "animal", "other"}


def test_splits_share_no_path_cell_and_hold_out_what_they_say() -> None:
    train = pool("train", "train")
    for cell in TEST_CELLS:
        test = pool("test", cell)
        assert not set(test.paths) & set(train.paths)
        assert set(test.paths) | set(train.paths) == {(p, c) for p in range(10) for c in range(28)}
        assert bool(set(test.scenes) & set(train.scenes)) == (cell in ("seen", "unseen-subject"))
        assert bool(set(test.subjects) & set(train.subjects)) == (cell in ("seen", "unseen-scene"))
    assert 40 <= sum(is_test_path(p, c) for p in range(10) for c in range(28)) <= 72
    with pytest.raises(ValueError, match="has the cells"):
        pool("train", "seen")


def test_every_path_of_either_axis_occurs_in_training() -> None:
    paths = pool("train", "train").paths
    assert {p for p, _ in paths} == set(range(10)) and {c for _, c in paths} == set(range(28))


def test_candidates_take_scenes_and_group_sizes_in_turn() -> None:
    specs = [candidate("train", 0, slot, 0) for slot in range(42)]
    assert Counter(spec.scene for spec in specs) == dict.fromkeys(pool("train", "train").scenes, 3)
    assert Counter(len(spec.subjects) for spec in specs) == {1: 14, 2: 14, 3: 14}


@pytest.mark.parametrize("index", range(17))
def test_scenes_have_room_where_clips_start(index: int) -> None:
    scene = build_scene(index)
    starts = np.array([[place.x, place.y] for place in scene.locations])
    assert len(starts) >= 4
    assert not hits(scene.footprints, starts, 1.0).any()
    boxes = scene.footprints[
        (scene.footprints[:, 5] > 0.7) & (scene.footprints[:, 4] > 1.9) & (scene.footprints[:, 4] < 2.3)
    ]
    for i, a in enumerate(boxes):  # cars are 4.3 m x 1.8 m: none stands in another
        others = np.delete(boxes, i, 0)
        assert not hits(others, a[None, :2], 0.5).any(), (SCENES[index].name, a)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_bodies_stand_on_the_ground_at_every_phase(look) -> None:  # type: ignore[no-untyped-def]
    for phase in np.linspace(0, 2 * math.pi, 9):
        body = build_body(look, float(phase))
        assert body.high[2] == pytest.approx(look.height, rel=0.6)
        assert abs(body.low[2]) < 0.12 * look.height if look.body != "drone" else body.low[2] > 0.02
        assert all(low < core < high for low, core, high in zip(body.low, body.core, body.high, strict=True))
    distorted = build_body(look, 0.5, (1.9,) * LIMBS)
    assert not np.array_equal(distorted.parts[:, 13:16], build_body(look, 0.5).parts[:, 13:16])


@pytest.mark.parametrize("kind", SUBJECT_PATHS)
def test_walks_move_as_fast_as_they_say_and_never_jump(kind: str) -> None:
    walk = Walk(kind, 1.0, 2.0, 0.3, 1.2)
    at = [walk.at(t) for t in range(FRAMES)]
    steps = [math.hypot(b.x - a.x, b.y - a.y) for a, b in itertools.pairwise(at)]
    assert max(steps) < 2.1 * 1.2 / 15
    if kind != "StopGo":
        assert np.allclose(steps, 1.2 / 15, rtol=0.02)
    turns = [abs(b.yaw - a.yaw) for a, b in itertools.pairwise(at)]
    assert max(turns) < 0.2


def test_walk_headings_point_where_they_go() -> None:
    for kind in SUBJECT_PATHS:
        walk = Walk(kind, 0.0, 0.0, 0.7, 1.0)
        for t in range(5, FRAMES, 13):
            a, b = walk.at(t - 0.01), walk.at(t + 0.01)
            if math.hypot(b.x - a.x, b.y - a.y) > 1e-4:
                assert math.remainder(math.atan2(b.y - a.y, b.x - a.x) - walk.at(t).yaw, 2 * math.pi) == pytest.approx(
                    0, abs=0.1
                )


def test_the_camera_turns_away_and_comes_back() -> None:
    move = CameraMove("Static", 0, 0, 1.5, 0.0, 0.0, 0.0, math.radians(45), 36, 20, 72, 22)
    yaw = [math.degrees(math.atan2(move.pose(t)[1, 2], move.pose(t)[0, 2])) for t in range(FRAMES)]
    assert (
        yaw[36] == pytest.approx(0, abs=1e-6)
        and yaw[60] == pytest.approx(45)
        and yaw[100] == pytest.approx(0, abs=1e-6)
    )
    rotation = move.pose(50)[:3, :3]
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-10 and np.linalg.det(rotation) > 0


PATH_WORDS = ("straight", "arc", "curve", "wave", "bend", "stopping", "turns back", "out and back", "circle")


def test_captions_do_not_reveal_the_target_where_they_promise() -> None:
    """The context's caption is the same for every path of the subject and says nothing of a way back."""
    for seed in range(20):
        texts = [
            captions(
                ClipSpec(scene=seed % 17, subjects=(seed, seed + 20), subject_path=path, camera_path=seed, seed=seed)
            )
            for path in (0, seed % 10, 8)
        ]
        assert len({text.context for text in texts}) == len({text.short for text in texts}) == 1
        for text in texts:
            assert "back to where it looked" in text.full
            assert not re.search(rf"\b({'|'.join(PATH_WORDS)}|again|turns|too)\b", text.context)
            assert len(text.short) < len(text.context) < len(text.full)


@pytest.mark.parametrize("kind", SUBJECT_PATHS)
def test_the_way_that_captions_tell_is_the_way_that_is_walked(kind: str) -> None:
    told = set()
    for speed in np.linspace(0.2, 1.5, 40):
        walk = Walk(kind, 0.0, 0.0, 0.0, float(speed))
        yaw = np.degrees([walk.at(t).yaw for t in range(FRAMES)])
        how, last = style(walk)
        told.add(how + last)
        turned = yaw[-1] - yaw[0]
        swings = np.count_nonzero(np.diff(np.sign(np.round(np.diff(yaw), 6))))
        if "turns back" in last:
            assert 150 < turned <= 180.001
        elif "turns to" in last:
            assert 20 < abs(turned) < 170 and (turned > 0) == ("left" in last)
        elif how == "straight ahead":
            assert abs(turned) < 30
        elif how in ("in gentle waves", "in a zigzag", "in an S-curve"):
            assert yaw.max() - yaw.min() > 45 and (swings >= 2 or np.ptp(yaw[len(yaw) // 4 :]) > 45)
        elif "to the" in how:
            assert (walk.at(FRAMES - 1).y > 0) == ("left" in how) and "circle" not in how
    assert (len(told) > 1) == (kind in ("Weave", "ZigZag", "UTurn", "SCurve"))


def test_captions_tell_the_path_of_the_first_subject_alone() -> None:
    """Half the companions take another path than the first: the sentence with the path names no companion."""
    different = 0
    for seed in range(30):
        spec = ClipSpec(scene=0, subjects=(1, 30, 40), subject_path=3, camera_path=5, seed=seed)
        walks = make_plan(spec, build_scene(0)).walks
        different += any(walk.kind != walks[0].kind for walk in walks)
        told, company, camera = captions(spec).full.split(". ")
        assert "tight curve to the left" in told and describe(LOOKS[1]) in told[0].lower() + told[1:]
        for k in (30, 40):
            assert describe(LOOKS[k]) not in told and describe(LOOKS[k])[2:] in company
        assert not re.search(rf"\b({'|'.join(PATH_WORDS)})\b", company)
        assert "backs away at an angle" in camera
    assert different > 5


def test_captions_are_english() -> None:
    arc = SUBJECT_PATHS.index("ArcLeft")
    man = next(k for k, look in enumerate(LOOKS) if look.kind == "man")
    cat = next(k for k, look in enumerate(LOOKS) if look.kind == "cat")
    drone = next(k for k, look in enumerate(LOOKS) if look.kind == "drone")
    alone, pair, animal, machine = (
        " ".join(
            captions(ClipSpec(scene=0, subjects=who, subject_path=arc, camera_path=0, seed=seed)).full
            for seed in range(40)
        )
        for who in ((man,), (man, cat), (cat,), (drone,))
    )
    assert "makes his way in a wide arc to the left" in alone and "until the man is out of view" in alone
    assert "makes his way in a wide arc to the left" in pair and "legs walks there too." in pair
    assert "until the first of them is out of view" in pair
    assert "makes its way in a wide arc" in animal and "until it is out of view" in animal
    assert "moves" in machine and "walk" not in machine


def test_ids_parse_like_hm_worlds() -> None:
    parts = parse_id(sample_id(7, PAIR, 3))
    assert parts is not None
    assert (parts.number, parts.scene, parts.location) == (7, "MarketPlaza", "loc3")
    assert (parts.subject_path, parts.camera_path) == (
        "Weave",
        CAMERA_PATHS[5],
    )


def test_stream_is_splitmix64() -> None:
    stream = Stream("x")
    state = int.from_bytes(hashlib.sha256(repr(("x",)).encode()).digest()[:8], "little")
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    assert stream.bits() == z ^ z >> 31


def test_equal_specifications_give_equal_plans_whatever_their_integers() -> None:
    plain = {"scene": 3, "subject_path": 9, "camera_path": 24, "seed": 350185}
    spec = ClipSpec(subjects=(26, 42), **plain)  # type: ignore[arg-type]
    same = ClipSpec(
        subjects=tuple(np.array([26, 42], np.uint8)),  # type: ignore[arg-type]
        **{name: np.int64(value) for name, value in plain.items()},  # type: ignore[arg-type]
    )
    scene = build_scene(3)
    assert same == spec and repr(same) == repr(spec) and make_plan(same, scene) == make_plan(spec, scene)
    assert json.dumps(same.to_json()) == json.dumps(spec.to_json())
    assert Stream("a", np.int64(3)).bits() == Stream("a", 3).bits()  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ClipSpec(subjects=(26,), **(plain | {"seed": 1.5}))  # type: ignore[arg-type]


def test_stream_is_even_and_keys_matter() -> None:
    values = Stream("even").array(20000)
    assert abs(values.mean() - 0.5) < 0.01 and values.min() >= 0 and values.max() < 1
    assert np.histogram(values, 10, (0, 1))[0].min() > 1800
    assert Stream("a", 1).bits() != Stream("a", 2).bits() != Stream("a", "2").bits()
    with pytest.raises(ValueError, match="cannot draw 3 different items from 2"):
        Stream("s").sample((1, 2), 3)


def test_the_default_set_stands_in_eleven_scenes() -> None:
    """Eight clips of familiar scenes, no two of one; fourteen of the sixteen are the split's first."""
    slots = spread_slots("test", 0, 16)
    scenes = [candidate("test", 0, slot, 0).scene for slot in slots]
    assert len(set(scenes)) == 11
    assert slots == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 22)
    assert Counter(slot % 4 for slot in slots) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert spread_slots("test", 0, 32) == tuple(range(32)), "more clips than familiar scenes must repeat some"
