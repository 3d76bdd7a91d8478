"""The transcripts of ``check-predictions`` and ``score --predictions``: what is refused, what is said once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.video.files import write_lossless, write_video


@pytest.fixture
def hmbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, UserError):
            return 2, str(done.exception)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return call


def truths(folder: Path, *, fps: float = 15, repeat: int = 1, name: str = "{id}.mp4") -> None:
    world = DiscWorld()
    for sample in world.ids("all"):
        truth = world.load(sample).truth
        assert truth is not None
        write_lossless(folder / name.format(id=sample), truth.target.repeat(repeat, axis=0), fps=fps)


SCORE = ("--data", "disc", "--no-tracking", "--metric", "psnr", "--device", "cpu")


def test_the_truth_at_twice_the_rate(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p", fps=30, repeat=2)
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--out", "r")
    assert code == 2 and "is 30 fps, the clip 15 fps" in text and "--align resample" in text
    assert not (tmp_path / "r" / "run.json").exists()
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--out", "r", "--align", "resample")
    assert code == 0, text
    sentence = "predictions of 30 fps were resampled to 15 fps"
    assert text.count(sentence) == 1 and "(4 of 4 samples)" in text
    for table in ("table.md", "table.tex"):
        assert (tmp_path / "r" / table).read_text().count(sentence) == 1
    assert json.loads((tmp_path / "r" / "run.json").read_text())["reading"] == {"align": "resample"}
    rows = [json.loads(line) for line in (tmp_path / "r" / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and all(row["value"] == 100.0 or row["value"] > 90 for row in rows)
    assert all(row["details"]["prediction"] == {"align": "resample", "rate": 30.0} for row in rows)


def test_names_by_pattern(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p", name="{id}_seed3.mp4")
    code, text = hmbench("score", "--predictions", "p", *SCORE)
    assert code == 2 and "No file in p is named after a sample" in text and "it holds 4 videos" in text
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_seed3.mp4")
    assert code == 0, text


def test_a_look_before_scoring(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p")
    first, second, third, _ = DiscWorld().ids("all")
    (tmp_path / "p" / f"{first}.mp4").unlink()
    write_lossless(tmp_path / "p" / f"{second}.mp4", np.zeros((21, 48, 48, 3), np.uint8), fps=15)
    (tmp_path / "p" / f"{third}.mp4").write_bytes(b"no video")
    write_video(tmp_path / "p" / "stranger.mp4", np.zeros((3, 48, 80, 3), np.uint8), fps=15)
    code, text = hmbench("check-predictions", "p", "disc")
    assert code == 1 and "1 of 4 predictions can be scored" in text
    for sentence in ("missing", "another shape", "damaged or no video", "--fit crop", "fits", "stranger.mp4"):
        assert sentence in text, sentence
    assert "48x48" in text and "h264 gbrp" in text and "15 fps" in text and "1.40 s" in text
    code, text = hmbench("check-predictions", "p", "disc", "--fit", "pad")
    assert code == 1 and "2 of 4 predictions can be scored" in text and "made to fit: pad" in text


def test_a_look_is_quick(hmbench, tmp_path: Path) -> None:
    """About ten milliseconds a file; measured as CPU time, since machines are shared."""
    truths(tmp_path / "p")
    hmbench("check-predictions", "p", "disc")
    started = time.process_time()
    hmbench("check-predictions", "p", "disc")
    assert time.process_time() - started < 2
