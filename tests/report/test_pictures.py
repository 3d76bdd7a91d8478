"""Film strips of events wherever they lie in a clip, and ``hmbench inspect`` end to end."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from hmbench.case import Case
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.report.pictures import WIDTH, film_strip
from tests.metrics import stage

HERO = stage.HERO


def strip_of(case, row):
    return film_strip(case.sample, case.prediction, case.tracks or (), row)


def test_a_strip_of_an_exit_in_the_target_shows_what_came_before_it():
    """Frames before such an exit are the real continuation's, not the context's."""
    twice = stage.changed(HERO, hidden=(10, 30), again=(36, 42), width=20)
    case = stage.make_case([twice], [twice])
    row = event_rows(case, stage.ColourEncoder())[1]
    assert row["exit"] == 36
    strip = strip_of(case, row)
    height = (strip.shape[0] - 26) // 3
    last_before = strip[26 : 26 + height, -2 * WIDTH : -WIDTH]  # frame 32 of 6 .. 36
    red = (last_before == stage.RED).all(axis=2).mean()
    assert red > 0.02, "the subject is there just before it leaves"


def test_an_exit_long_after_the_context_can_be_drawn():
    actor = stage.changed(HERO, hidden=(41, 46))
    case = stage.make_case([actor], [actor], oracle=False)
    prompt, truth = case.sample.prompt, case.truth
    video, poses = np.concatenate([prompt.context, truth.target]), np.tile(np.eye(4), (2 * stage.HALF, 1, 1))
    short = replace(prompt, context=video[:8], context_poses=poses[:8], target_poses=poses[8:])
    sample = replace(case.sample, prompt=short, truth=replace(truth, target=video[8:]))
    case = Case(sample, video[8:])
    assert strip_of(case, event_rows(case)[0]).shape[1] > 8 * WIDTH


@pytest.mark.parametrize("hidden", [(14, 30), (3, 25), (20, 26), (24, 29), (40, 46), (41, 47)])
def test_every_event_can_be_drawn(hidden):
    actor = stage.changed(HERO, hidden=hidden)
    case = stage.make_case([actor], [actor])
    rows = event_rows(case, stage.ColourEncoder())
    assert len(rows) == 1
    shape = strip_of(case, rows[0]).shape
    facts = event_rows(stage.make_case([actor], [actor], oracle=False))  # without tracks: no window, no verdict
    assert strip_of(case, facts[0]).shape == shape


def test_inspect_draws_a_runs_events(tmp_path, monkeypatch, capfd):
    from hmbench.cli import main
    from hmbench.data.disc_world import DiscWorld

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def hmbench(*arguments):
        monkeypatch.setattr(sys, "argv", ["hmbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        assert not stop.value.code, captured.err
        return captured.out

    sample = next(i for i in DiscWorld().ids("all") if DiscWorld().load(i).truth.events)
    hmbench("eval", "-m", "oracle", "-d", "disc", "--metric", "psnr", "--no-tracking", "--out", "run")
    text = hmbench("inspect", "run", sample)
    events = DiscWorld().load(sample).truth.events
    pictures = sorted(p.name for p in (tmp_path / "run" / "inspect" / sample).iterdir())
    assert pictures == [*(f"event-{k + 1}.png" for k in range(len(events))), "trajectories.png"]
    assert "disc-" in text and "No verdicts: subjects were not followed (--no-tracking)." in text
    assert str(events[0].reentry) in text
