"""What scores a run: its record, what is said before, and what rows say where no tracker runs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from toys import Followed, Follower, MeanError

from hmbench.errors import UserError
from hmbench.results.records import RunManifest, read_rows
from hmbench.run.evaluate import evaluate, score
from hmbench.run.request import EvalRequest, Silent
from hmbench.run.scorers import STRANGERS, make_scorer
from hmbench.run.stages import Scorer


class Hears(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)


def manifest_of(data: str) -> RunManifest:
    return RunManifest(
        model="m",
        options={},
        model_info={"name": "m", "trained": True},
        data=data,
        data_name="d",
        data_revision="r",
        split="all",
        samples=("one",),
        seed=0,
        profile="mini",
        device="cpu",
        environment={},
    )


def made(data: str = "mini", reporter: Silent | None = None, **changes) -> tuple[Scorer, RunManifest]:
    request = EvalRequest(**{"out": Path("unused"), "data": data, "metrics": ("hota",), **changes})
    return make_scorer(request, manifest_of(data), None, None, reporter or Silent())


def said(data: str, **changes) -> list[str]:
    reporter = Hears()
    scorer, recorded = made(data, reporter, **changes)
    assert scorer.weights == recorded.metric_weights
    return reporter.said


@pytest.mark.parametrize(("inside", "heard"), [("one/truth.json", []), ("one/check.json", [STRANGERS])])
def test_the_mini_detector_on_other_subjects_is_announced(tmp_path, inside, heard):
    for folder in (tmp_path, tmp_path / "above" / "HM-World"):
        (folder / inside).parent.mkdir(parents=True)
        (folder / inside).write_text("{}")
    assert said(str(tmp_path)) == said(str(tmp_path / "above")) == heard
    assert said(str(tmp_path), tracking=False) == []
    assert said(str(tmp_path), metrics=("psnr",)) == [], "nothing is tracked for it"


def test_the_embedded_world_is_known_and_somebodys_video_is_not():
    assert said("mini") == []
    assert said('{"video": "my.mp4", "camera": "pan"}') == [STRANGERS]


def test_rows_without_tracks_say_why_and_what_to_do(tmp_path):
    reporter = Hears()
    scorer, manifest = made("mini", reporter, profile="paper", weights=tmp_path)
    assert scorer.tracker is None and manifest.tracker is None and manifest.tracker_settings == {}
    assert scorer.no_tracker is not None and f"run: hmbench weights pull {tmp_path}" in scorer.no_tracker
    assert reporter.said == [f"Subjects are not tracked: {scorer.no_tracker}"]
    assert made(tracking=False)[0].no_tracker == "--no-tracking was given"
    given = make_scorer(EvalRequest(out=tmp_path), manifest_of("disc"), [MeanError()], None, Silent())[0]
    assert given.no_tracker == "none was given"
    assert made()[0].no_tracker is None


def test_the_reason_reaches_the_rows_and_the_screen(tmp_path):
    request = EvalRequest(model="copy-last", data="disc", out=tmp_path, limit=1, metrics=("return_recall", "psnr"))
    result = evaluate(replace(request, tracking=False))
    (row,) = [row for row in read_rows(tmp_path / "rows.jsonl") if row.metric == "return_recall"]
    assert row.reason == "no tracker ran on the prediction: --no-tracking was given"
    assert result.summary["return_recall"].reasons == {row.reason: 1}
    result = score(replace(request, profile="paper", weights=None))
    (reason,) = result.summary["return_recall"].reasons
    assert reason.startswith("no tracker ran on the prediction: ") and "hmbench weights pull DIR" in reason


def test_the_trackers_settings_are_recorded_and_make_scores_stale():
    plain, recorded = made()
    settings = recorded.tracker_settings
    assert settings["tracker"]["method"] == "botsort" and settings["detector"]["any_class"] is False
    assert recorded.tracker == "yolo11-mini@ab62fe58+botsort+reid", "the name that published results carry"
    byte, other = made(tracker="bytetrack")
    assert other.tracker_settings["tracker"]["method"] == "bytetrack" and "bytetrack" in other.tracker
    agnostic, third = made(any_class=True)
    assert third.tracker_settings["detector"]["any_class"] is True
    assert third.tracker == "yolo11-mini@ab62fe58+any-class+botsort+reid", "runs are compared by this name"
    assert len({plain.fingerprint, byte.fingerprint, agnostic.fingerprint}) == 3
    assert made()[0].fingerprint == plain.fingerprint


def test_a_setting_that_no_name_shows_makes_scores_stale():
    metrics, request = [Followed()], EvalRequest(out=Path("unused"), data="disc")
    found = {
        make_scorer(request, manifest_of("disc"), metrics, Follower(settings={"high": high}), Silent())[0].fingerprint
        for high in (0.15, 0.15, 0.3)
    }
    assert len(found) == 2


def test_an_unknown_tracker_or_metric_is_told_before_anything_is_generated(tmp_path):
    request = EvalRequest(model="copy-last", data="disc", out=tmp_path / "run", limit=1)
    for wrong, text in (
        ({"tracker": "bytetrak"}, "no tracker 'bytetrak'. Did you mean 'bytetrack'?"),
        ({"metrics": ("pnsr",)}, "no metric 'pnsr'. Did you mean 'psnr'?"),
        ({"weights": tmp_path / "nowhere"}, "does not exist"),
    ):
        with pytest.raises(UserError, match=re.escape(text)):
            evaluate(replace(request, **wrong))
    assert not (tmp_path / "run").exists()
