"""A run's record may come from a stranger: whatever it names as its data, no command runs code for it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hmbench
from hmbench.cli import app
from hmbench.data.dataset import open_dataset
from hmbench.errors import UserError
from hmbench.files import read_json, write_sealed
from hmbench.run.distribution import measure_distribution
from hmbench.run.evaluate import EvalRequest, evaluate
from hmbench.study.page import write_page

STRANGE = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def data(**anything): ...
"""
NAMED = (
    pytest.param(("subprocess:call", {"args": ["touch", "ran"]}), id="call"),
    pytest.param(("strange:data", {}), id="module", marks=pytest.mark.slow),
    pytest.param(("os:system", {"command": "touch ran"}), id="system", marks=pytest.mark.slow),
    pytest.param(("runpy:run_path", {"path_name": "strange.py"}), id="path", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        model = {"a": "copy-last", "b": "noise"}[name]
        evaluate(EvalRequest(model=model, data="disc", metrics=("psnr",), tracking=False, out=folder / name))
    return folder / "a", folder / "b"


def cli(*arguments: object) -> str:
    found = CliRunner().invoke(app, [str(a) for a in arguments])
    assert found.exception is None or isinstance(found.exception, SystemExit | UserError), found.exception
    return f"{found.output} {found.exception}"


READERS: dict[str, Callable[[Path, Path], object]] = {
    "inspect": lambda a, b: cli("inspect", a, read_json(a / "run.json")["samples"][0], "--out", a.parent / "i"),
    "compare": lambda a, b: cli("compare", a, b, "--out", a.parent / "c", "--videos", "1"),
    "report": lambda a, b: cli("report", a, b, "--out", a.parent / "s", "--videos", "all"),
    "score": lambda a, b: cli("score", "--run", a, "--metric", "psnr", "--metric", "ssim"),
    "leaderboard add": lambda a, b: cli("leaderboard", "add", a, "--name", "x", "--results", a.parent / "e"),
    "api": lambda a, b: hmbench.score(a, metrics=["ssim"]),
    "distribution": lambda a, b: measure_distribution(a, networks={}),
    "study": lambda a, b: write_page([a, b], a.parent / "page", seed=0, repeats=0),
}


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("reader", READERS)
def test_no_record_runs_code(made, tmp_path: Path, monkeypatch, reader: str, named) -> None:
    runs = []
    for path in made:
        shutil.copytree(path, tmp_path / path.name)
        content = read_json(path / "run.json")
        content.pop("digest")
        write_sealed(tmp_path / path.name / "run.json", {**content, "data": named[0], "data_options": named[1]})
        runs.append(tmp_path / path.name)
    (tmp_path / "strange.py").write_text(STRANGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.suppress(UserError):
        READERS[reader](*runs)
    assert not (tmp_path / "ran").exists()


def test_whoever_types_it_is_obeyed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mine.py").write_text(
        "class Data:\n    ids = load = caption = revision = staticmethod(lambda *a: ())\n"
    )
    monkeypatch.chdir(tmp_path)
    assert open_dataset("mine:Data").ids("all") == ()


EVENTS: dict[str, Callable[[dict], object]] = {
    "a text": lambda event: "text",
    "empty": lambda event: {},
    "no label": lambda event: {k: v for k, v in event.items() if k != "label"},
    "a label of nobody": lambda event: {**event, "label": 9},
    "label as text": lambda event: {**event, "label": "1"},
    "back in a million frames": lambda event: {**event, "reentry": 10**6},
    "a number as an object": lambda event: {**event, "success": {}},
    "an exit before all": lambda event: {**event, "exit": -4},
}


@pytest.mark.parametrize("change", EVENTS)
@pytest.mark.parametrize("reader", ["inspect", "leaderboard add"])
def test_strange_events_end_in_a_sentence(made, tmp_path: Path, change: str, reader: str) -> None:
    """Whoever makes a digest anew may write any event; `hmbench score` makes it again, as for a damaged file."""
    for path in made:
        shutil.copytree(path, tmp_path / path.name)
    run = tmp_path / "a"
    sample = read_json(run / "run.json")["samples"][0]
    content = read_json(run / "scores" / f"{sample}.json")
    right = content["events"]
    content.pop("digest")
    write_sealed(run / "scores" / f"{sample}.json", {**content, "events": [EVENTS[change](event) for event in right]})
    said = READERS[reader](run, tmp_path / "b")
    if reader == "inspect":
        assert "is damaged" in str(said) or "is no event" in str(said) or "was damaged" in str(said), said
    evaluate(EvalRequest(model="copy-last", data="disc", metrics=("psnr",), tracking=False, out=run))
    unreadable = change not in ("a label of nobody", "back in a million frames", "an exit before all")
    assert (read_json(run / "scores" / f"{sample}.json")["events"] == right) == unreadable


def test_an_event_without_a_verdict_has_none(made, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made[0], tmp_path / "a"))
    sample = read_json(run / "run.json")["samples"][0]
    content = read_json(run / "scores" / f"{sample}.json")
    content.pop("digest")
    events = [{k: v for k, v in event.items() if k != "verdict"} for event in content["events"]]
    write_sealed(run / "scores" / f"{sample}.json", {**content, "events": events})
    assert "Pictures:" in cli("inspect", run, sample, "--out", tmp_path / "i")


def test_needs_of_a_metric_are_texts(made, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made[0], tmp_path / "a"))
    content = read_json(run / "run.json")
    content.pop("digest")
    content["metrics"]["psnr"]["needs"] = [{}]
    write_sealed(run / "run.json", content)
    assert "its metric psnr, needs is '{}', expected text" in cli("leaderboard", "add", run, "--name", "x")
