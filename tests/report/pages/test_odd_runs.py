"""Runs that lack something, or are called what nobody expected: their pages say what they know, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.errors import UserError
from hmbench.files import write_sealed
from hmbench.report.pages.content import Metric, Site
from hmbench.report.pages.data_files import boxes_record
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.gallery import ClipView, Gallery, choose_clips
from hmbench.report.pages.in_view import read_tracks
from hmbench.report.pages.media import Job, make_all
from hmbench.report.pages.site import Videos, write_site
from hmbench.report.pages.views import bounds, clip_events, clip_length, clip_page
from hmbench.results.seeds import SEEDS_FILE
from tests.report.pages.stage import CONTEXT, TARGET, ToyData, make_run, moving_square, sample_ids


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))


def first_clip(out: Path, *runs: Path) -> str:
    """The page of the first clip of a site of these runs, without their data."""
    boards = boards_from_runs(runs)
    write_site(Site(title="toys", lead="A lead.", boards=tuple(boards)), out, videos=Videos(which="all"))
    return sorted((out / "b").glob("*/clips/*.html"))[0].read_text()


def change_events(run: Path, change) -> Path:
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    (run / "events.jsonl").write_text("".join(json.dumps(change(line)) + "\n" for line in lines))
    return run


def test_videos_can_be_played_where_nobody_knows_the_times(tmp_path) -> None:
    """Without events, tracks and data the clip had one frame: nothing could be played."""
    run = make_run(tmp_path / "a", clips=3, videos=1)
    shutil.rmtree(run / "tracks")
    with_events = first_clip(tmp_path / "one", run)
    assert f'data-total="{TARGET}"' in with_events and "Nobody says here where the context ends" in with_events
    assert "go there" not in with_events and 'class="timeline"' in with_events
    (run / "events.jsonl").write_text("")
    page = first_clip(tmp_path / "two", run)
    assert f'data-total="{TARGET}"' in page and "nobody knows" in page
    assert '<label hidden><input id="boxes"' in page and 'data-tracks=""' in page, "no boxes can be asked for"


def test_tracks_that_are_damaged_are_said_and_hinder_nothing(tmp_path) -> None:
    run = make_run(tmp_path / "a", clips=3, videos=1)
    file = next((run / "tracks").glob("*.json"))
    for text in ("{", "[]", "{}", '{"prediction": 3}', file.read_text().replace("4.0", "1e300")):
        file.write_text(text)
        tracks = read_tracks(boards_from_runs([run])[0].contenders[0], boards_from_runs([run])[0].clips[0])
        assert tracks is not None and bool(tracks.damaged) != bool(tracks.prediction)
    file.write_text("{")
    page = first_clip(tmp_path / "site", run)
    assert f"a has no boxes here: tracks/{file.name} is no valid JSON" in page
    assert str(tmp_path) not in page, "a page does not tell whose folder it was"


def test_an_event_of_any_model_is_shown_with_what_each_made_of_it(tmp_path) -> None:
    """Events were those of the first model, and times in view were taken by place in the list."""
    one, two = make_run(tmp_path / "one", clips=2, videos=1), make_run(tmp_path / "two", clips=2, videos=1, events=2)
    change_events(two, lambda e: {**e, "exit": 3} if e["label"] == 1 else e)
    board = boards_from_runs([one, two])[0]
    clip = board.clips[0]
    view = Gallery(board, ToyData()).view(clip)
    events = clip_events(board, clip, view, clip_length(board, clip, view))
    assert [(e["exit"], e["hidden"]) for e in events] == [(3, 21), (8, 16), (8, 16)]
    told = [[row["verdict"] != "" for row in sorted(e["table"], key=lambda r: r["name"])] for e in events]
    assert told == [[False, True], [True, False], [False, True]]
    spans = {row["name"]: row["spans"] for row in events[1]["rows"]}
    assert spans["one"] == ((CONTEXT + 4, CONTEXT + TARGET),) and spans["two"] == ()


def test_models_may_be_called_like_panels(tmp_path) -> None:
    runs = [make_run(tmp_path / name, clips=2, videos=1) for name in ("context", "target")]
    board = boards_from_runs(runs)[0]
    view = Gallery(board, ToyData()).view(board.clips[0])
    kinds = [(p.kind, p.title) for p in view.panels]
    assert kinds[:2] == [("context", "context"), ("target", "target")] and kinds[2][0] == "model"
    record = boxes_record(view)
    assert [one["panel"] for one in record] == [0, 1, 2, 3] and record[1]["tracks"][0][0] == "Wolf"
    site = tmp_path / "site"
    write_site(
        Site(title="toys", lead="A lead.", boards=(board,)),
        site,
        videos=Videos(which="all"),
        open_data=lambda _: ToyData(),
    )
    page = sorted((site / "b").glob("*/clips/*.html"))[0].read_text()
    captions = re.findall(r'data-kind="(\w+)".*?<figcaption>(.*?)</figcaption>', page, re.S)
    assert [(kind, "chip" in caption) for kind, caption in captions] == [
        ("context", False), ("target", False), ("model", True), ("model", True),
    ]  # fmt: skip


def test_names_that_look_alike_are_told_apart(tmp_path) -> None:
    names = ["m\u202e", "m[U+202E]", "x" * 5000 + "a", "x" * 5000 + "b"]
    runs = [make_run(tmp_path / f"run{k}", name=name, clips=3) for k, name in enumerate(names)]
    found = sorted(c.name for c in boards_from_runs(runs)[0].contenders)
    assert found == ["m[U+202E]", "m[U+202E] #2", "x" * 119 + "…", "x" * 119 + "… #4"]
    write_site(
        Site(title="t", lead="", boards=tuple(boards_from_runs(runs))), tmp_path / "s", videos=Videos(which="all")
    )


def test_a_folder_of_several_seeds_stands_for_its_runs(tmp_path) -> None:
    for seed in (0, 1):
        make_run(tmp_path / "mine" / f"seed{seed}", name="m", clips=4, seed=seed)
    write_sealed(tmp_path / "mine" / SEEDS_FILE, {"runs": {"0": "seed0", "1": "seed1"}})
    done = CliRunner().invoke(app, ["report", str(tmp_path / "mine"), "--out", str(tmp_path / "site")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "site" / "index.html").read_text()
    assert sorted(set(re.findall(r"<bdi>(m \(seed\d\))</bdi>", page))) == ["m (seed0)", "m (seed1)"]


def test_loops_stay_within_the_clip(tmp_path) -> None:
    run = change_events(make_run(tmp_path / "a", clips=1), lambda e: {**e, "exit": 9000, "reentry": 9010})
    board = boards_from_runs([run])[0]
    view = ClipView(context_frames=CONTEXT, total_frames=CONTEXT + TARGET)
    page = clip_page(board, 0, view)
    assert page["loops"] == [[CONTEXT + TARGET - 1, CONTEXT + TARGET], [0, CONTEXT + TARGET]]
    assert page["loop_names"] == ["Wolf at 9010", "the whole clip"]


def test_verdicts_without_a_score_come_last(tmp_path) -> None:
    def change(event: dict) -> dict:
        return {**event, "verdict": "not judged", "success": None} if event["verdict"] == "late" else event

    board = boards_from_runs([change_events(make_run(tmp_path / "a", clips=8), change)])[0]
    assert board.verdicts == ["returned", "a new word", "vanished", "not judged"]


def test_bounds_read_as_people_write_them() -> None:
    def metric(low: float | None, high: float | None) -> Metric:
        return Metric(name="m", version=1, higher_is_better=True, bounds=(low, high))

    assert [bounds(metric(*b)) for b in ((0, 1), (-1.0, None), (None, None), (0, 0.05))] == [
        "0 to 1", "−1 to ∞", "none", "0 to 0.05",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["worst:²", "worst:1.5", "worst: 3", "worst:-1", "worst", "WORST:3", ""])
def test_other_choices_of_videos_are_refused(tmp_path, wrong) -> None:
    board = boards_from_runs([make_run(tmp_path / "a", clips=3)])[0]
    with pytest.raises(UserError, match="not understood"):
        choose_clips(board, wrong)
    assert len(choose_clips(board, "worst:999999999")) == 3


def test_each_job_counts_though_equal_ones_are_made_once() -> None:
    heard: list[int] = []
    jobs = [Job(key=key, frames=lambda: moving_square(4, 1), fps=15, moments=(0,) * 8) for key in ("a" * 24, "a" * 24)]
    assert len(make_all(jobs, workers=1, on_done=heard.append)) == 1
    assert sum(heard) == 2


def test_a_run_of_failures_alone_and_of_one_clip(tmp_path) -> None:
    failed = make_run(tmp_path / "failed", clips=4)
    for name in ("rows.jsonl", "events.jsonl", "samples.jsonl"):
        (failed / name).write_text("")
    page = first_clip(tmp_path / "site", failed)
    assert sample_ids(1)[0] in page
    index = (tmp_path / "site" / "index.html").read_text()
    assert re.findall(r'<td class="rank">([^<]*)<', index) == ["–"], "missing is no number"
    board = boards_from_runs([failed, make_run(tmp_path / "fine", clips=4)])[0]
    assert [c.name for c in board.contenders] == ["fine", "failed"]
    assert [clip.scene for clip in board.clips] == ["Place0", "Place1", "Place2", "Place3"], "told by the other run"
