"""The page that asks people: what its files hold, that it is blind, and that choices find their run again."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.report.compare_inputs import ComparedRun
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.study.page import WORDS, make_plan, open_runs, write_page
from hmbench.video.files import read_video, write_lossless

CLIPS = DiscWorld().ids("all")[:3]


def grey(sample: str, level: int) -> np.ndarray:
    prompt = DiscWorld().load(sample).prompt
    video = np.full((prompt.num_target_frames, *prompt.size, 3), level, dtype=np.uint8)
    video[:, : prompt.size[0] // 2] += 20
    return video


def make_runs(folder: Path) -> list[Path]:
    runs = []
    for name, level in (("dark", 40), ("light", 200)):
        manifest = RunManifest(
            model=name, options={}, model_info={"name": name, "trained": None, "notice": None}, data="disc",
            data_name="disc", data_revision=DiscWorld().revision(CLIPS), split="all", samples=CLIPS, seed=0,
            profile="mini", device="cpu",
        )  # fmt: skip
        run = RunFolder(folder / f"run-{name}")
        run.write_manifest(manifest)
        for sample in CLIPS:
            write_lossless(run.prediction(sample), grey(sample, level), fps=15)
        runs.append(run.path)
    return runs


def content_of(page: str) -> dict:
    return json.loads(re.search(r'<script id="content" type="application/json">(.*?)</script>', page, re.S).group(1))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    runs = make_runs(folder)
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for run in runs for p in run.rglob("*.mp4")}
    plan = write_page(runs, folder / "page", seed=3, repeats=2)
    return folder, runs, plan, before


def test_videos_are_for_browsers_and_originals_stay(study) -> None:
    folder, _, _, before = study
    videos = sorted((folder / "page" / "videos").iterdir())
    assert len(videos) == 3 * len(CLIPS)
    for path in videos:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in before} == before


def test_sides_are_where_the_plan_says(study) -> None:
    folder, _, plan, _ = study
    content = content_of((folder / "page" / "index.html").read_text())
    levels = {0: 40, 1: 200}
    assert len(content["questions"]) == len(CLIPS) + 2
    for question, item in zip(content["questions"], plan.items, strict=True):
        assert (question["sample"], question["repeated"]) == (item.sample, item.repeated)
        left = plan.runs[0] if item.first_is_left else plan.runs[1]
        for side, run in (("left", left), ("right", 1 - left)):
            shown = read_video(folder / "page" / question[side])
            assert np.abs(shown.astype(int) - grey(item.sample, levels[run])).mean() < 3
        context = read_video(folder / "page" / question["context"])
        assert np.abs(context.astype(int) - DiscWorld().load(item.sample).prompt.context).mean() < 4
    assert content["words"] == list(WORDS) and "returned" not in WORDS


def test_the_page_is_blind_and_asks_nothing_of_the_network(study) -> None:
    folder, _, _, _ = study
    names = " ".join(p.name for p in (folder / "page").rglob("*"))
    page = (folder / "page" / "index.html").read_text()
    for told in ("dark", "light", "run-"):
        assert told not in names.lower()
        assert told not in json.dumps(content_of(page))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert page.count("<script") == 2 and " src=" not in page.split("<script id")[0]


def test_repeats_come_last_with_sides_swapped(study) -> None:
    _, _, plan, _ = study
    first = {i.sample: i.first_is_left for i in plan.items if not i.repeated}
    again = [i for i in plan.items if i.repeated]
    assert len(again) == 2 and [i.repeated for i in plan.items] == [False] * 3 + [True] * 2
    assert all(i.first_is_left != first[i.sample] for i in again)


def compared(folder: Path) -> list[ComparedRun]:
    return open_runs(make_runs(folder))


def test_plans_follow_from_seed_and_not_from_the_order_of_runs(tmp_path) -> None:
    runs = compared(tmp_path)
    clips = [f"clip{i}" for i in range(40)]
    plan = make_plan(runs, clips, seed=0, repeats=4)
    turned = make_plan(runs[::-1], clips[::-1], seed=0, repeats=4)
    assert (turned.study, turned.items) == (plan.study, plan.items)
    assert turned.runs == tuple(1 - i for i in plan.runs)
    other = make_plan(runs, clips, seed=1, repeats=4)
    assert other.study != plan.study
    assert [i.sample for i in other.items] != [i.sample for i in plan.items]
    assert sum(i.first_is_left for i in plan.items[:40]) == 20, "as often left as right"
    assert (
        len({(i.sample, i.first_is_left) for i in plan.items} - {(i.sample, i.first_is_left) for i in other.items}) > 5
    )


def test_names_of_clips_cannot_break_out_of_the_page() -> None:
    from hmbench.study.page import _in_script

    text = str(_in_script({"sample": "</script><script>alert(1)</script>&"}))
    assert "<" not in text and json.loads(text)["sample"].startswith("</script>")


def test_refusals(tmp_path) -> None:
    runs = make_runs(tmp_path)
    with pytest.raises(UserError, match="shows two runs, not 1"):
        write_page(runs[:1], tmp_path / "p")
    with pytest.raises(UserError, match="same model and seed"):
        write_page([runs[0], runs[0]], tmp_path / "p")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other things"):
        write_page(runs, tmp_path / "full")
    RunFolder(runs[1]).prediction(CLIPS[0]).unlink()
    with pytest.raises(UserError):
        write_page(runs, tmp_path / "p")


def test_the_command_writes_a_page_again_where_it_was(tmp_path) -> None:
    runs = make_runs(tmp_path)
    command = ["study", "page", *map(str, runs), "--out", str(tmp_path / "p"), "--clips", "2", "--repeats", "1"]
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "3 questions" in done.output
    assert len(content_of((tmp_path / "p" / "index.html").read_text())["questions"]) == 3
