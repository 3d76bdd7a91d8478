"""The score file of a sample: what is written comes back, damage is told, and files of 0.1 are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmbench.errors import UserError
from hmbench.files import write_json, write_sealed
from hmbench.results.records import EventRow, Row
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_scores import Failure, SampleScores, stored_scores

ROWS = (
    Row(sample="a", metric="psnr", version=2, value=20.5, cluster="Park", details={"frames": 3}),
    Row(sample="a", metric="lpips", version=3, value=None, reason="no weights", cluster="Park"),
)
SCORES = SampleScores(
    rows=ROWS,
    sample={"id": "a", "scene": "Park"},
    failures=(Failure("dsc", "torn", "line 3"), Failure("tracker", "no GPU", ""), Failure("hota", "torn", "")),
    events=(EventRow(sample="a", label=1, subject="Wolf", category="animal", exit=3, reentry=9, hidden=6).line(),),
    stamp="f:v",
    by={"psnr": "s:v"},
    events_by="t:v",
)


def test_scores_come_back(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).scores("a")
    SCORES.write(path)
    assert stored_scores(path) == SCORES == RunFolder(tmp_path).read_scores("a")
    assert SCORES.failed == "dsc, hota: torn; tracker: no GPU"
    content = json.loads(path.read_text())
    assert content["rows"][0]["details"] == {"frames": 3}
    assert content["failures"][1] == {"part": "tracker", "message": "no GPU", "traceback": ""}


@pytest.mark.parametrize("gone", ["rows", "sample", "failures", "events", "stamp"])
def test_what_is_not_whole_is_made_again(tmp_path: Path, gone: str) -> None:
    path = RunFolder(tmp_path).scores("a")
    SCORES.write(path)
    content = json.loads(path.read_text())
    write_json(path, {key: value for key, value in content.items() if key not in (gone, "digest", "by")})
    assert stored_scores(path) is None
    if gone == "failures":  # as 0.1 wrote them
        old = RunFolder(tmp_path).read_scores("a")
        assert (old.rows, old.stamp, old.sample, old.events) == (ROWS, "f:v", {}, ())
    else:
        with pytest.raises(UserError, match=rf"a\.json is damaged: .*{gone}"):
            RunFolder(tmp_path).read_scores("a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", [{**vars(ROWS[0]), "version": [1, 1]}]),
        ("rows", [{**vars(ROWS[0]), "value": "1"}]),
        ("rows", [{**vars(ROWS[0]), "sample": "b"}]),
        ("rows", [[]]),
        ("rows", None),
        ("sample", {}),
        ("sample", {"id": "b"}),
        ("sample", {"id": ["a"]}),
        ("by", {"psnr": 1}),
        ("by", [1]),
        ("stamp", 3),
        ("events", ["x"]),
        ("failures", [{"part": "dsc", "message": [], "traceback": ""}]),
        ("failures", [None]),
    ],
    ids=str,
)
def test_values_of_other_kinds_are_made_again_whatever_the_digest_says(tmp_path: Path, key: str, value: object) -> None:
    """A version that is a list, in scores whose digest was made anew, was a TypeError where tables are made."""
    path = RunFolder(tmp_path).scores("a")
    SCORES.write(path)
    content = {name: old for name, old in json.loads(path.read_text()).items() if name != "digest"}
    write_sealed(path, {**content, key: value})
    assert stored_scores(path) is None


def test_edited_scores_are_made_again(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).scores("a")
    SCORES.write(path)
    path.write_text(path.read_text().replace("20.5", "21.5"))
    assert stored_scores(path) is None
    with pytest.raises(UserError, match="digest does not fit"):
        RunFolder(tmp_path).read_scores("a")
