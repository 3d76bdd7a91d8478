"""A line of ``samples.jsonl``: what is written comes back, older lines are read, others are refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.run.stages import describe_sample

TOLD = SampleRow(
    id="b",
    scene="Park",
    num_subjects=2,
    categories=("animal", "person"),
    num_events=3,
    max_hidden=41,
    warnings=("an odd mask",),
    told_apart="positions",
    told_apart_detail="feet",
    certainty=(0.9, 1.0),
    unclear_frames=(0, 4),
    left_out_events=({"label": 2, "exit": 30, "reentry": 80},),
    failed={"dsc": "torn"},
    reading={"rate": 24, "align": "start", "resized_from": [832, 480], "notes": ["scaled"]},
)
EXACT = {
    "id", "scene", "cell", "camera_path", "subject_path", "num_subjects", "categories", "num_events", "max_hidden",
    "warnings",
}  # fmt: skip


def test_lines_come_back(tmp_path: Path) -> None:
    data = DiscWorld()
    sample = data.load(data.ids("all")[0])
    seen = describe_sample(sample, {"context_frames_dropped": 21})
    assert (seen.id, seen.num_events, seen.told_apart) == (sample.id, len(sample.truth.events), None)
    assert seen.max_hidden == max(event.reentry - event.exit for event in sample.truth.events)
    assert seen.line().keys() == EXACT | {"context_frames_dropped"}, "exact labels need no word on how they came"
    bare = SampleRow(id="c", failed={"generate": "no memory"})
    assert bare.line() == {"id": "c", "failed": {"generate": "no memory"}} and bare.unknown and not TOLD.unknown
    assert TOLD.line()["left_out_events"] == [{"label": 2, "exit": 30, "reentry": 80}]
    assert TOLD.line()["rate"] == 24 and TOLD.line()["failed"] == {"dsc": "torn"} and "reading" not in TOLD.line()
    rows = (seen, TOLD, bare)
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row.line()) + "\n" for row in rows))
    assert read_samples(tmp_path) == {row.id: row for row in rows}
    assert read_samples(tmp_path / "nowhere") is None


def test_lines_of_other_versions_are_read() -> None:
    old = {"id": "a", "num_subjects": 1, "weather": "rain"}
    assert SampleRow.from_line(old, "x") == SampleRow(id="a", num_subjects=1, reading={"weather": "rain"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 7}, "its id is '7', expected str"),
        ({"num_subjects": "two"}, "its num_subjects is 'two'"),
        ({"num_events": True}, "its num_events is 'True'"),
        ({"max_hidden": 1.5}, "its max_hidden is '1.5'"),
        ({"scene": ["Park"]}, "its scene is"),
        ({"warnings": "odd"}, "its warnings is 'odd'"),
        ({"warnings": [3]}, "its warnings hold '3'"),
        ({"categories": [None]}, "its categories hold 'None'"),
        ({"certainty": [True]}, "its certainty hold 'True'"),
        ({"failed": "torn"}, "its failed is 'torn'"),
    ],
)
def test_lines_of_another_kind_are_refused(change, words, tmp_path) -> None:
    (tmp_path / "samples.jsonl").write_text(json.dumps({**TOLD.line(), **change}) + "\n")
    with pytest.raises(UserError, match=rf"samples.jsonl, line 1 is damaged: {words}"):
        read_samples(tmp_path)
    for content in ({"scene": "Park"}, ["a"], None):
        with pytest.raises(UserError, match=r"it has no id|holds no object"):
            SampleRow.from_line(content, "x")
