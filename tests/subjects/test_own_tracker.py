"""Trackers of somebody's own: without a name, with wrong answers, changed between two commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hmbench
from hmbench.errors import UserError
from hmbench.subjects.create import as_tracker, check_tracker, create_tracker
from hmbench.subjects.reference_tracks import reference_tracks

VIDEO = np.zeros((6, 48, 80, 3), np.uint8)
MINE = """
import numpy as np
from hmbench import Track

class Mine:
    def track(self, video):
        boxes = np.tile(np.float32([10, 10, 30, SIZE]), (len(video), 1))
        return (Track(id=1, boxes=boxes, scores=np.ones(len(video), np.float32)),)

class Nothing:
    pass
"""


class Whole:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def track(self, video: np.ndarray) -> list[hmbench.Track]:
        self.seen.append(len(video))
        boxes = np.tile(np.float32([1, 2, 3, 4]), (len(video), 1))
        return [hmbench.Track(id=1, boxes=boxes, scores=np.ones(len(video), np.float32))]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_tracker_without_a_name_has_that_of_its_place(work: Path) -> None:
    (work / "nameless.py").write_text(MINE.replace("SIZE", "40"))
    tracker = create_tracker(profile="mini", weights=None, device="cpu", method="nameless:Mine")
    assert tracker is not None and tracker.name == "nameless:Mine"
    (track,) = tracker.track(VIDEO)
    assert track.boxes.tolist() == [[10, 10, 30, 40]] * 6
    with pytest.raises(UserError, match="'nameless:Nothing' gives is no tracker: Nothing has no method track"):
        check_tracker("nameless:Nothing")
    assert as_tracker(Whole, "Whole").track(VIDEO)[0].id == 1  # a class, as a metric may be one


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros((6, 4)), "ndarray, no tuple of tracks"),
        ([np.zeros((6, 4))], "ndarray where a Track is due"),
        (
            (hmbench.Track(id=1, boxes=np.zeros((5, 4)), scores=np.ones(5)),),
            r"scores of \[5, 4\] and \[5\] for 6 frames",
        ),
    ],
)
def test_answers_that_are_no_tracks_are_told(answer: object, said: str) -> None:
    class Wrong:
        name = "wrong"

        def track(self, video: np.ndarray) -> object:
            return answer

    with pytest.raises(UserError, match=f"The tracker wrong gave .*{said}"):
        as_tracker(Wrong(), "x").track(VIDEO)


def test_both_halves_of_a_real_clip_are_tracked_apart_as_a_prediction_is() -> None:
    own = Whole()
    sample = hmbench.open_data("disc", limit=1)[0]
    for _ in range(2):  # nothing is kept: only its author knows what decides its tracks
        found = reference_tracks(as_tracker(own, "whole"), sample, {})
    assert own.seen == [21, 21, 21, 21]
    assert found is not None and [track.id for track in found] == [1, 2]
    assert [int(track.present().sum()) for track in found] == [21, 21]


def test_changed_code_tracks_again(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracks of the former code were taken for those of the new one."""
    import sys

    data = hmbench.open_data("disc", limit=1)
    boxes = []
    for size in ("40", "35"):
        (work / "mine_changes.py").write_text(MINE.replace("SIZE", size))
        monkeypatch.delitem(sys.modules, "mine_changes", raising=False)
        run = hmbench.evaluate(
            "copy-last", data, tracker="mine_changes:Mine", metrics=["hota"], out=work / "run", progress=False
        )
        (tracks,) = (work / "run" / "tracks").glob("*.json")
        boxes.append(json.loads(tracks.read_text())["prediction"])
    assert boxes[0] != boxes[1]
    assert run.manifest.tracker == "mine_changes:Mine" and set(run.manifest.tracker_settings) == {"code"}
