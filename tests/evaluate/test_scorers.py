"""What is said before scoring: that the shipped detector knows no subjects but its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmbench.requests import EvalRequest, Silent
from hmbench.results import RunManifest
from hmbench.scorers import STRANGERS, make_scorer


class Hears(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)


def said(data: str, **changes) -> list[str]:
    reporter = Hears()
    manifest = RunManifest(
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
    request = EvalRequest(out=Path("unused"), data=data, metrics=("psnr",), **changes)
    scorer, recorded = make_scorer(request, manifest, None, None, reporter)
    assert scorer.weights == recorded.metric_weights
    return reporter.said


@pytest.mark.parametrize(("inside", "heard"), [("one/truth.json", []), ("one/check.json", [STRANGERS])])
def test_the_mini_detector_on_other_subjects_is_announced(tmp_path, inside, heard):
    for folder in (tmp_path, tmp_path / "above" / "HM-World"):
        (folder / inside).parent.mkdir(parents=True)
        (folder / inside).write_text("{}")
    assert said(str(tmp_path)) == said(str(tmp_path / "above")) == heard
    assert said(str(tmp_path), tracking=False) == []


def test_the_embedded_world_is_known_and_somebodys_video_is_not():
    assert said("mini") == []
    assert said('{"video": "my.mp4", "camera": "pan"}') == [STRANGERS]
