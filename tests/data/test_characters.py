"""``character.json`` and ``check.json`` in many forms: the same numbers under the same names, or a sentence."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmbench.data.annotations import read_annotations
from hmbench.data.characters import read_characters
from hmbench.data.check_file import read_flags
from hmbench.data.mini_world.as_hm_world import SCHEMAS, HMWorldForm, _Walker
from hmbench.errors import UserError

CHARACTERS = ("Wolf", "Redhead", "Conductor")  # names that look like a bone, a half of the clip


def walkers(count: int, frames: int) -> list[_Walker]:
    rng = np.random.default_rng(count)
    return [
        _Walker(f"actor_{k}", CHARACTERS[k], np.round(rng.normal(size=(frames, 3)) * 300, 3), rng.normal(size=frames))
        for k in range(count)
    ]


@pytest.mark.parametrize("frames", [(77, 77), (37, 41)])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_schema_gives_the_same_paths(schema: str, count: int, frames: tuple[int, int]) -> None:
    written = walkers(count, sum(frames))
    content = json.loads(json.dumps(SCHEMAS[schema](written, frames[0])))
    found = read_characters(content, *frames)
    assert found.problem is None and len(found.paths) == count
    for path, walker in zip(found.paths, written, strict=True):
        np.testing.assert_allclose(path.points, walker.points, atol=6e-4)
        assert walker.character in "/".join(path.name) and walker.actor in "/".join(path.name)


def axes(point: list[float]) -> dict[str, float]:
    return dict(zip("xyz", point, strict=True))


def table(points: list[list[float]]) -> list[tuple[str, int, list[float]]]:
    return [("cond" if i < 9 else "tgt", i % 9, p) for i, p in enumerate(points)]


def even(items: Any) -> list[Any]:
    """Every other one, and the last."""
    return [x for i, x in enumerate(items) if i % 2 == 0 or i == 17]


def ramp(count: int, start: float = 0.0) -> list[list[float]]:
    return [[start + i, 2.0 * (start + i), 0.5] for i in range(count)]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"Wolf": {"cond": ramp(9), "tgt": ramp(9, 9)}}, "Wolf"),
        ({"characters": {"Wolf": {"positions": ramp(18), "rotations": ramp(18, 500)}}}, "Wolf"),
        ([{"index": 4, "name": "Wolf", "locations": ramp(18)}], "Wolf"),
        ([{"Wolf": {str(i): p for i, p in enumerate(ramp(9))}}, {"Wolf": dict(enumerate(ramp(9, 9)))}], "Wolf"),
        ({"Wolf": [{"frame_id": i, "pos": p, "velocity": [9, 9, 9]} for i, p in enumerate(ramp(18))]}, "Wolf"),
        ({"Wolf": [{"transform": {"translation": p, "scale": [1, 1, 1]}} for p in ramp(18)]}, "Wolf"),
        ({"frames": [{"Wolf": {"location": {"X": x, "Y": y, "Z": z}}} for x, y, z in ramp(18)]}, "Wolf"),
        ({"Wolf": [[*p, 0.0, 90.0, 0.0] for p in ramp(18)]}, "Wolf"),
        ({"Wolf": [{"t": p, "r": [0.0, 90.0, 0.0], "near": [1, 2, 3]} for p in ramp(18)]}, "Wolf"),
        ({"Wolf": [{"position": p, "quaternion": [0, 0, 0.6, 0.8]} for p in ramp(18)]}, "Wolf"),
        ({"Wolf": {f"frame_{i:04d}": p for i, p in enumerate(ramp(18))}}, "Wolf"),
        ({"Wolf": {f"{i:04d}.png": p for i, p in enumerate(ramp(18))}}, "Wolf"),
        ({"Wolf": [str(p) for p in ramp(18)]}, "Wolf"),
        ({"Wolf": [[str(v) for v in p] for p in ramp(18)]}, "Wolf"),
        ({"Wolf": ["{},{},{}|0.0,90.0,0.0|1.0,1.0,1.0".format(*p) for p in ramp(18)]}, "Wolf"),
        ({"Wolf": [list(axis) for axis in zip(*ramp(18), strict=True)]}, "Wolf"),
        ({"frames": {str(i): {"Wolf": p} for i, p in enumerate(ramp(18))}}, "Wolf"),
        ({"Wolf": [{"frame": i, "loc": p} for i, p in enumerate(ramp(18)) if i % 4 == 0 or i == 17]}, "Wolf"),
        ({"Wolf": [{"frame": i, "x": p[0], "y": p[1], "z": p[2]} for i, p in enumerate(ramp(18))][::-1]}, "Wolf"),
        ([{"actor": "a", "character": "Wolf", "frame": i, **axes(p)} for i, p in enumerate(ramp(18))], "Wolf"),
        ([{"half": h, "name": "Wolf", "frame": i, **axes(p)} for h, i, p in table(ramp(18))], "Wolf"),
        ({"Wolf": {"frames": even(range(18)), "positions": even(ramp(18))}}, "Wolf"),
        (
            {"Wolf": {"frame": even(range(18)), **dict(zip("xyz", zip(*even(ramp(18)), strict=True), strict=True))}},
            "Wolf",
        ),
        (
            {
                "Wolf": [
                    {"frame": i, **{f"loc_{k}": str(v) for k, v in axes(p).items()}} for i, p in enumerate(ramp(18))
                ]
            },
            "Wolf",
        ),
        ({"Wolf": [{"position_screen": [9, 9, 0], "position_world": p} for p in ramp(18)]}, "Wolf"),
        ({"Wolf": [{"location3d": p, "rotation3d": [0, 90, 0]} for p in ramp(18)]}, "Wolf"),
        ({"input": {"Wolf": ramp(9)}, "output": {"Wolf": ramp(9, 9)}}, "Wolf"),
        ({"cond": {"Target_1": ramp(9)}, "tgt": {"Target_1": ramp(9, 9)}}, "Target_1"),
        ({"Target_1": ramp(18)}, "Target_1"),
    ],
)
def test_other_forms(content: Any, name: str) -> None:
    found = read_characters(json.loads(json.dumps(content)), 9, 9)
    assert [path.name[-1] for path in found.paths] == [name]
    np.testing.assert_allclose(found.paths[0].points, ramp(18))


def test_frames_that_are_missing_are_unknown_but_for_short_gaps() -> None:
    named = [3, 4, 9, 15, 16, 17]  # four frames are left out after 4, five after 9
    content = {"cond": {"Wolf": {str(i): [i, 0, 0] for i in named}}}
    points = read_characters(content, 18, 9).paths[0].points
    assert np.flatnonzero(np.isnan(points[:18, 0])).tolist() == [0, 1, 2, 10, 11, 12, 13, 14]
    assert np.isnan(points[18:]).all()
    np.testing.assert_allclose(points[3:10, 0], np.arange(3, 10))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "no 3D points"),
        ({"Wolf": {"0": "here"}}, "no 3D points"),
        ({"Wolf": {"start": [0, 0, 0], "end": [1, 1, 1]}}, "do not go by frames"),
        ({"Wolf": ramp(40)}, r"do not fit the clip \(40 for 9 \+ 9\)"),
    ],
)
def test_what_is_no_path_is_said(content: Any, sentence: str) -> None:
    found = read_characters(content, 9, 9)
    assert found.paths == ()
    assert re.search(sentence, found.problem or "")


def flag_list(flags: list[int], start: int = 0) -> list[dict[str, Any]]:
    return [{"frame": start + i, "inFrame": bool(v)} for i, v in enumerate(flags)]


SEEN = [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "lists",
    [
        (flag_list(SEEN[0]), flag_list(SEEN[1])),
        (flag_list(SEEN[0], 1), flag_list(SEEN[1], 1)),
        (flag_list(SEEN[0]), flag_list(SEEN[1], 5)),
        (flag_list(SEEN[0]), [e for e in flag_list(SEEN[1]) if e["frame"] != 3]),
        ([{"frame": 0, "inFrame": True}, {"frame": 3, "inFrame": False}], flag_list(SEEN[1])),
        ([{"frame": 3, "event": "exit"}], [{"frame": 2, "event": "re-entry"}]),
        ({"exit": [3]}, {"enter": [2]}),
    ],
)
def test_flags_and_events_are_read_alike(lists: tuple[Any, Any]) -> None:
    content = {f"{side}_check": {"a1": {"Wolf": x}} for side, x in zip(("cond", "tgt"), lists, strict=True)}
    flags = read_flags(content, 5, 5, [])
    assert list(flags) == [("a1", "Wolf")]
    np.testing.assert_array_equal(flags["a1", "Wolf"], np.array(SEEN[0] + SEEN[1], bool))


def write(folder: Path, check: Any, character: Any) -> Path:
    for name, content in (("check", check), ("character", character)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def both_halves(half: Any, name: str) -> dict[str, Any]:
    return {f"cond_{name}": half, f"tgt_{name}": half}


def test_two_actors_of_one_character_are_two(tmp_path: Path) -> None:
    half = {actor: {"Wolf": flag_list([1] * 5)} for actor in ("a1", "a2")}
    places = {actor: {"Wolf": ramp(5, k)} for k, actor in enumerate(("a1", "a2"))}
    known = read_annotations(write(tmp_path, both_halves(half, "check"), both_halves(places, "character")), 5, 5)
    assert known.names == ("Wolf (a1)", "Wolf (a2)")
    assert [actor.path[0, 0] for actor in known.actors if actor.path is not None] == [0, 1]


def test_a_character_that_one_file_forgets_is_not_lost(tmp_path: Path) -> None:
    check = both_halves({"a1": {"Wolf": flag_list([1] * 5)}}, "check")
    places = both_halves({"a1": {"Wolf": ramp(5)}, "a2": {"Cat": ramp(5, 7)}}, "character")
    known = read_annotations(write(tmp_path, check, places), 5, 5)
    assert known.names == ("Wolf", "Cat")
    assert known.actors[0].flags is not None and known.actors[1].flags is None


def test_a_character_of_one_half_stays_a_subject(tmp_path: Path) -> None:
    check = {
        "cond_check": {"a1": {"Wolf": flag_list([1] * 5)}, "a2": {"Cat": flag_list([1] * 5)}},
        "tgt_check": {"a1": {"Wolf": flag_list([1] * 5)}},
    }
    known = read_annotations(write(tmp_path, check, {}), 5, 5)
    assert known.names == ("Wolf", "Cat")
    assert not known.flags["Cat"][5:].any()
    assert any("does not list a2/Cat in the target" in w for w in known.warnings)


def test_of_several_points_of_one_actor_none_is_guessed(tmp_path: Path) -> None:
    check = both_halves({f"a{k}": {name: flag_list([1] * 5)} for k, name in enumerate(("Wolf", "Cat"))}, "check")
    twice = {"a0": {"Wolf": [{"p": p, "v": [9.0, 9.0, 9.0]} for p in ramp(5)]}, "a1": {"Cat": ramp(5, 3)}}
    known = read_annotations(write(tmp_path, check, both_halves(twice, "character")), 5, 5)
    assert [(actor.name, actor.path is None) for actor in known.actors] == [("Wolf", True), ("Cat", False)]
    assert any("several points a frame of a0/Wolf (a0/Wolf/p, a0/Wolf/v): none is taken" in w for w in known.warnings)


def test_names_in_one_string_belong_to_the_flags(tmp_path: Path) -> None:
    half = {f"actor_{k}": {name: flag_list([1] * 5)} for k, name in enumerate(("Wolf", "Cat"))}
    places = {f"actor_{k}_{name}": ramp(5, k) for k, name in enumerate(("Wolf", "Cat"))}
    known = read_annotations(write(tmp_path, both_halves(half, "check"), both_halves(places, "character")), 5, 5)
    assert known.names == ("Wolf", "Cat")
    assert [actor.path[0, 0] for actor in known.actors if actor.path is not None] == [0, 1]


def test_forms_that_do_not_exist_are_explained() -> None:
    assert HMWorldForm.parse(["positions=records", "lag=3", "same-character=yes"]) == HMWorldForm(
        positions="records", lag=3, same_character=True
    )
    for text, sentence in (
        ("color=red", "no setting 'color'"),
        ("masks=rde", "Did you mean 'red'"),
        ("lag=x", "parse"),
    ):
        with pytest.raises(UserError, match=sentence):
            HMWorldForm.parse([text])
