"""Entries are verified from their videos: an edited value is found, however well its digest was made anew."""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from toys import MeanError, Sometimes
from typer.testing import CliRunner

import hmbench.run.evaluate as running
from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.run.evaluate import EvalRequest, evaluate
from leaderboard.cli import app
from leaderboard.submission import accept, entry_digest, read_entry


class Psnr(MeanError):  # noqa: N818
    """The toy error under the name that boards are ranked by."""

    info = replace(MeanError.info, name="psnr")


METRICS = [Psnr(), Sometimes()]


@pytest.fixture
def board(tmp_path: Path, monkeypatch) -> Path:
    """A run of all clips with toy metrics, accepted; scoring it again uses the same toys."""
    evaluate(EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run"), metrics=METRICS)
    accept(tmp_path / "run", name="toy", results=tmp_path / "results")
    monkeypatch.setattr(running, "score", functools.partial(running.score, metrics=METRICS))
    return tmp_path


def check(board: Path, *more: str):
    arguments = ["check", "--results", str(board / "results"), "--rescore", "--run", str(board / "run"), *more]
    return CliRunner().invoke(app, arguments)


def edit(path: Path, change) -> None:
    """An edit by somebody who knows how: means and digest follow."""
    record = json.loads(path.read_text())
    del record["digest"]
    change(record)
    values = record["values"]["psnr"]
    record["means"]["psnr"]["mean"] = math.fsum(values) / len(values)
    write_json(path, {**record, "digest": entry_digest(record)})


def test_an_entry_is_verified_when_its_videos_say_the_same(board: Path) -> None:
    path = board / "results" / "toy.json"
    assert read_entry(path).verified == {}
    done = check(board)
    assert done.exit_code == 0, done.output
    assert "not verified from its videos" in done.output and "verified toy: all values follow" in done.output
    assert read_entry(path).verified["on"] and read_entry(path).verified["torch"]
    assert "(4 clips, 2 metrics, format 2, verified 20" in check(board).output


def test_an_edited_value_is_found_and_the_entry_is_not_verified(board: Path) -> None:
    path = board / "results" / "toy.json"
    edit(path, lambda record: record["values"]["psnr"].__setitem__(1, 0.999))
    assert read_entry(path).means["psnr"].scored == 4, "by itself it looks right"
    done = check(board)
    assert isinstance(done.exception, UserError) and "1 values do not follow from their videos" in done.exception.what
    assert "NOT toy: psnr of 00001_Noon_loc0_Straight_Sweep_0: the entry says 0.999, its video gives" in done.output
    assert read_entry(path).verified == {}


def test_other_videos_or_no_videos_verify_nothing(board: Path) -> None:
    video = next((board / "run" / "predictions").glob("*.mp4"))
    video.write_bytes(video.read_bytes() + b"\0")
    assert "No entry names the videos" in str(check(board).exception)
    done = CliRunner().invoke(app, ["check", "--results", str(board / "results"), "--rescore"])
    assert "--rescore needs the videos" in str(done.exception)


def test_a_part_of_a_split_makes_no_board(tmp_path: Path) -> None:
    evaluate(EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run", limit=2), metrics=METRICS)
    with pytest.raises(UserError, match=r"has 2 of the 4 clips of disc, split 'all': no board is made of a part"):
        accept(tmp_path / "run", name="part", results=tmp_path / "results")
