"""Tracks of real clips are found once: what makes another key, what a damaged entry does, and two processes at once."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hmbench.metrics.fidelity import Psnr
from hmbench.results.run_folder import RunFolder
from hmbench.run.stages import RowTags, Scorer, score_sample
from hmbench.subjects import create_tracker
from hmbench.subjects.oracle import OracleTracker
from hmbench.subjects.reference_tracks import Described, kept_tracks, reference_tracks, track_key
from hmbench.subjects.track import TrackerConfig, YoloTracker
from hmbench.video.files import write_lossless
from tests.metrics import stage

WEIGHTS = {"shipped/detector": "aa", "shipped/reid": "bb"}


class Counting:
    """Finds what the masks show, whatever it is given, and counts how often it is asked."""

    name = "counting"

    def __init__(self, labels, context, **settings) -> None:
        self.labels, self.context, self.asked, self.known = labels, context, 0, settings

    def settings(self):
        return {"name": self.name, **self.known}

    def track(self, video):
        self.asked += 1
        first = (video == self.context).all() if len(video) == len(self.context) else True
        labels = self.labels[: len(video)] if first else self.labels[-len(video) :]
        return OracleTracker(labels, encoder=stage.ColourEncoder()).track(video)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tracks"


@pytest.fixture
def sample():
    return stage.make_case([stage.HERO], [stage.HERO]).sample


def counting(sample, **settings) -> Counting:
    truth = sample.truth
    return Counting(np.concatenate([truth.context_labels, truth.target_labels]), sample.prompt.context, **settings)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


def same(a, b) -> bool:
    return len(a) == len(b) > 0 and all(
        x.id == y.id
        and x.category == y.category
        and np.array_equal(x.boxes, y.boxes, equal_nan=True)
        and np.array_equal(x.scores, y.scores, equal_nan=True)
        and np.array_equal(x.embedding, y.embedding)
        for x, y in zip(a, b, strict=True)
    )


def test_the_second_model_finds_the_tracks_of_the_real_clip(cache, sample):
    first, second = counting(sample), counting(sample)
    a, b = reference_tracks(first, sample, WEIGHTS), reference_tracks(second, sample, WEIGHTS)
    assert (first.asked, second.asked, len(entries(cache))) == (2, 0, 1)  # both halves, once
    assert same(a, b)
    assert len(a[0].boxes) == sample.num_context_frames + len(sample.truth.target)


def test_a_study_tracks_a_video_once(tmp_path, sample):
    tracker, video = counting(sample), sample.truth.target
    first = kept_tracks(tracker, video, WEIGHTS, tmp_path)
    again = kept_tracks(counting(sample), video, WEIGHTS, tmp_path)
    np.testing.assert_array_equal(first[0].boxes, again[0].boxes)
    assert np.isfinite(first[0].boxes).any() and len(list(tmp_path.glob("*.json"))) == 1
    other = video.copy()
    other[3, 4, 5] ^= 1  # one pixel
    for more in ((tracker, other, WEIGHTS), (counting(sample, high=0.5), video, WEIGHTS), (tracker, video, {})):
        kept_tracks(*more, tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 4
    assert tracker.asked == 3


def test_anything_that_decides_the_tracks_is_another_key(sample):
    tracker = counting(sample)
    frames = sample.truth.target.copy()
    frames[-1, -1, -1, -1] += 1
    one_pixel = dataclasses.replace(sample, truth=dataclasses.replace(sample.truth, target=frames))
    keys = [
        track_key(tracker, sample, WEIGHTS),
        track_key(counting(sample, high=0.3), sample, WEIGHTS),
        track_key(tracker, sample, {**WEIGHTS, "shipped/reid": "cc"}),
        track_key(tracker, one_pixel, WEIGHTS),
        track_key(tracker, dataclasses.replace(sample, id="other"), WEIGHTS),
    ]
    assert len(set(keys)) == len(keys)
    caption = dataclasses.replace(sample.prompt, caption="another")
    assert track_key(tracker, dataclasses.replace(sample, prompt=caption), WEIGHTS) == keys[0]


@pytest.mark.parametrize("damage", ["empty", "half", "other json", "one digit", "other frames"])
def test_a_damaged_entry_is_made_again(cache, sample, damage):
    good = reference_tracks(counting(sample), sample, WEIGHTS)
    (path,) = entries(cache)
    text = path.read_text()
    content = json.loads(text)
    if damage == "one digit":
        box = next(box for box in content["tracks"]["tracks"][0]["boxes"] if box)
        box[0] += 1
    if damage == "other frames":
        content["tracks"]["tracks"][0]["boxes"].pop()
    spoilt = {"empty": "", "half": text[: len(text) // 2], "other json": "[1]"}.get(damage, json.dumps(content))
    path.write_text(spoilt)
    tracker = counting(sample)
    assert same(reference_tracks(tracker, sample, WEIGHTS), good)
    assert tracker.asked == 2  # both halves
    assert path.read_text() == text


def test_the_real_tracker_says_what_decides_its_tracks():
    tracker = create_tracker(profile="mini", weights=None, device="cpu")
    assert isinstance(tracker, Described) and isinstance(tracker, YoloTracker)
    base = tracker.settings()
    assert json.loads(json.dumps(base)) == base
    others = [YoloTracker(tracker.detector, tracker.encoder, TrackerConfig(high=0.3)).settings()]
    others.append(YoloTracker(tracker.detector, None).settings())
    tracker.detector.config = dataclasses.replace(tracker.detector.config, overlap=0.5)
    assert base not in [*others, tracker.settings()]


def test_a_tracker_that_reads_masks_is_asked_every_time(cache, sample):
    truth = sample.truth
    labels = np.concatenate([truth.context_labels, truth.target_labels])
    assert reference_tracks(OracleTracker(labels, encoder=stage.ColourEncoder()), sample, WEIGHTS)
    assert not cache.exists()
    assert reference_tracks(counting(sample), dataclasses.replace(sample, truth=None), WEIGHTS) is None


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path, monkeypatch, sample):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "file"))
    tracker = counting(sample)
    assert reference_tracks(tracker, sample, WEIGHTS) and reference_tracks(tracker, sample, WEIGHTS)
    assert tracker.asked == 4


AT_ONCE = """
from tests.subjects.test_reference_tracks import WEIGHTS, counting, reference_tracks, stage
sample = stage.make_case([stage.HERO], [stage.HERO]).sample
for high in range(8):
    assert len(reference_tracks(counting(sample, high=high), sample, WEIGHTS)[0].boxes) == 2 * stage.HALF
"""


@pytest.mark.slow
def test_processes_share_the_cache(cache):
    root = Path(__file__).resolve().parents[2]
    runs = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE], cwd=root, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [(run.communicate()[1], run.returncode) for run in runs] == [("", 0)] * 2
    assert len(entries(cache)) == 8
    assert len(list(cache.rglob("*"))) == len(entries(cache)) + len(list(cache.iterdir())), "nothing half written"


def test_two_models_of_one_run_ask_once(cache, tmp_path, sample):
    """Through the runner's own stage: the second prediction of a clip is tracked, the real clip is not."""
    tracker = counting(sample)
    scorer = Scorer(
        metrics=[Psnr()], tracker=tracker, tags=RowTags("m", True, "mini", "r"), fingerprint="f", weights=WEIGHTS
    )
    stored = []
    for model in ("one", "two"):
        video = tmp_path / f"{model}.mp4"
        write_lossless(video, sample.truth.target, fps=15)
        run = RunFolder(tmp_path / model)
        score_sample(sample, video, run, scorer)
        stored.append(json.loads(run.tracks(sample.id).read_text())["reference"])
    assert tracker.asked == 4  # a prediction each, both halves of the real clip once
    assert stored[0] == stored[1] and stored[0]["tracks"]
