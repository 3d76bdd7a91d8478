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
    (tmp_path / "mine.py").write_text("class Data:\n    ids = load = staticmethod(lambda *a: ())\n")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("mine:Data").ids("all") == ()
