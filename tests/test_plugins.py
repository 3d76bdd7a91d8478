"""One of each plug-in in a temporary package: one file and one line each, then everything runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hmbench.cli import main
from hmbench.data.dataset import open_dataset
from hmbench.errors import UserError
from hmbench.metrics.plugins import Setting, named_metrics
from hmbench.registry import DATA, MEMORIES, METRICS, MODELS, called, create_model, find_factory
from hmbench.run.name_checks import check_names
from hmbench.subjects.create import create_tracker

PACKAGE = '''
import dataclasses
import numpy as np
from hmbench.data.disc_world import DiscWorld
from hmbench.protocols import MetricInfo, ModelInfo
from hmbench.types import Score
from reference_model.model.memory import FullMemory
from reference_model.model.methods import Method


class Dim:
    """Repeats the last frame, darker."""

    def __init__(self, divisor: int = 2):
        self.divisor = divisor

    def generate(self, prompt, *, seed):
        return np.repeat(prompt.context[-1:] // self.divisor, prompt.num_target_frames, axis=0)


class Whole(FullMemory):
    """Full attention under another name."""


WHOLE = Method(name="whole", description="everything", memory={"kind": Whole})


class Brightness:
    info = MetricInfo(name="brightness", version=1, higher_is_better=None, headline=True)

    def __call__(self, case):
        return Score(float(case.prediction.mean()))


def red_share(case):
    return case.prediction[..., 0].mean() / 255


def nobody(*, device):
    class Nobody:
        name = "nobody"

        def track(self, video):
            return ()

    return Nobody()


def discs():
    return DiscWorld()


def trained_elsewhere(options, listener):
    listener.notice(f"{options['memory']}, {options['steps']} steps")
    return options["out"]


class Needy:
    def __init__(self, weights):
        self.weights = weights


def commands(app):
    @app.command("hello")
    def hello(name: str = "you"):
        print(f"hello {name}")
'''
POINTS = """
[hmbench.models]
dim = own_things:Dim
[hmbench.memories]
whole = own_things:WHOLE
[hmbench.metrics]
my-light = own_things:Brightness
[hmbench.trackers]
nobody = own_things:nobody
[hmbench.data]
own-discs = own_things:discs
[hmbench.trainers]
elsewhere = own_things:trained_elsewhere
[hmbench.commands]
hello = own_things:commands
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    info = folder / "own_things-1.dist-info"
    info.mkdir(parents=True)
    (folder / "own_things.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-things\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    return folder


def hmbench(place: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *([str(path)] if path else [])]), "COLUMNS": "200"}
    code = "import sys; from hmbench.cli import main; sys.argv[0] = 'hmbench'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=place, env=env, capture_output=True, text=True, check=False
    )


def test_one_of_each_by_name(package, tmp_path) -> None:
    arguments = ("eval", "--model", "dim", "--option", "divisor=4", "--data", "own-discs", "--limit", "2")
    named = ("--metric", "my-light", "--metric", "hota", "--tracker", "nobody", "--out", "run")
    done = hmbench(tmp_path, *arguments, *named, path=package)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["model_info"]["name"] == "dim"
    assert manifest["model_info"]["description"] == "Repeats the last frame, darker."
    assert manifest["tracker"] == "nobody"
    assert set(manifest["metrics"]) == {"hota", "brightness"}
    rows = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert {row["metric"] for row in rows} == {"hota", "brightness"}
    assert all(row["value"] is not None for row in rows)
    assert hmbench(tmp_path, "hello", "--name", "Ada", path=package).stdout == "hello Ada\n"
    listed = hmbench(tmp_path, "models", "whole", path=package)
    assert listed.returncode == 0 and "seed_weights" in listed.stdout


@pytest.mark.parametrize("name", ["elsewhere", "own_things:trained_elsewhere"])
def test_a_trainer(name, package, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(package)
    monkeypatch.delitem(sys.modules, "own_things", raising=False)  # of another test's package
    monkeypatch.chdir(tmp_path)
    arguments = ("train-reference", "--trainer", name, "--memory", "whole", "--steps", "3", "--out", "weights")
    monkeypatch.setattr(sys, "argv", ["hmbench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 0 and "whole, 3 steps" in said.err, said.err
    assert said.out == "Trained: weights\nEvaluate it: hmbench eval --model weights\n"


def test_weights_of_ones_own_memory_are_evaluated_by_its_name(package, monkeypatch, tmp_path, capsys) -> None:
    """A folder names no code: its model is ``module:NAME``, and both who trained and who typed the folder are told."""
    monkeypatch.syspath_prepend(package)
    arguments = ("--trainer", "own_things:trained_elsewhere", "--memory", "own_things:WHOLE", "--out", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["hmbench", "train-reference", *arguments])
    with pytest.raises(SystemExit):
        main()
    said = f"hmbench eval --model own_things:WHOLE --option checkpoint={tmp_path} --out runs/{tmp_path.name}\n"
    assert said in capsys.readouterr().out
    (tmp_path / "hmbench_model.json").write_text(json.dumps({"model": "whole of mine"}))
    with pytest.raises(UserError, match=rf"if it is yours, give --model module:NAME --option checkpoint={tmp_path}"):
        create_model(str(tmp_path), profile="mini", device="cpu")


def test_own_things_of_the_working_folder(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(PACKAGE)
    arguments = ("eval", "-m", "mine:Dim", "-d", "mine:discs", "--limit", "1", "--tracker", "mine:nobody")
    done = hmbench(tmp_path, *arguments, "--metric", "mine:red_share", "--out", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert row["metric"] == "red_share" and 0 < row["value"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("eval", "-d", "disc", "-m", "mine:Needy"), "'mine:Needy' is no model: Needy has no method generate"),
        (("eval", "-d", "disc", "-m", "mine:Whole"), "'mine:Whole' is no model: "),
        (("eval", "-d", "disc", "-m", "mine:WHOL"), "mine has no 'WHOL'"),
        (("train-reference", "--out", "x", "--trainer", "mine:WHOLE"), "'mine:WHOLE' is no trainer: "),
        (("train-reference", "--out", "x", "--trainer", "mine:nobody"), "'mine:nobody' is no trainer: "),
        (("train-reference", "--out", "x", "--memory", "mine:Whole"), "The memory 'mine:Whole' is no Method but Whole"),
    ],
)
def test_a_thing_of_another_kind_is_a_users_mistake(arguments, words, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "mine.py").write_text(PACKAGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hmbench", *arguments])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sys.modules.pop("mine", None)
    with pytest.raises(SystemExit) as stopped:
        main()
    sys.modules.pop("mine", None)
    said = capsys.readouterr()
    shown = " ".join((said.out + said.err).split())
    assert stopped.value.code == 2 and words in shown and "Traceback" not in shown


def test_names_that_nobody_offers_are_answered_without_torch(tmp_path) -> None:
    (tmp_path / "mine_here.py").touch()
    for arguments, words in (
        (("--model", "mine_here"), "no model 'mine_here'. mine_here.py lies here: say what in it, mine_here:NAME."),
        (("--model", "hydrra"), "There is no model 'hydrra'. Did you mean 'hydra' or 'hydra-fov'?"),
        (("--model", "hydra", "--data", "minni"), "There is no data folder 'minni'. Did you mean 'mini'?"),
    ):
        code = "import sys; sys.modules['torch'] = None; from hmbench.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "eval", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert words in " ".join((done.stdout + done.stderr).split()), done.stdout + done.stderr


def test_splits_and_profiles_are_told_before_anything_is_opened() -> None:
    rest = {"model": None, "profile": "mini"}
    with pytest.raises(UserError, match=r"mini has no split 'tset'\. Did you mean 'test'\?"):
        check_names(data="mini", split="tset", **rest)
    with pytest.raises(UserError, match=r"mini-easy has no split 'unseen-scene'\. Available: all, easy, test"):
        check_names(data="mini-easy", split="unseen-scene", **rest)
    check_names(data="mini-easy", split="easy", **rest)
    with pytest.raises(UserError, match=r"There is no profile 'papre'\. Available: mini, paper"):
        check_names(data="mini", split="unseen-both", model=None, profile="papre")


def test_functions_that_take_something_else_are_no_source_and_no_metric(tmp_path) -> None:
    """What is raised inside somebody's own function keeps its traceback."""
    setting = Setting(profile="mini", weights=None, device="cpu", backbones={})
    with pytest.raises(UserError, match=r"'json:loads' is no data source: .*missing 1 required"):
        open_dataset("json:loads")
    with pytest.raises(UserError, match="'os:system' is no metric: "):
        named_metrics(["os:system"], setting)
    with pytest.raises(TypeError, match="inside"):
        called("metric", "x", lambda: _breaks())


def test_an_object_is_a_source_or_tracker_as_its_class_is_and_a_number_is_none(tmp_path, monkeypatch) -> None:
    (tmp_path / "ready_things.py").write_text(
        "from hmbench.data.disc_world import DiscWorld\n"
        "class Tracker:\n    name = 'none'\n    def track(self, video):\n        return ()\n"
        "world, tracker, number = DiscWorld(), Tracker(), 5\ndef needs(more):\n    return more\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert open_dataset("ready_things:world").ids("all") == open_dataset("disc").ids("all")
    with pytest.raises(UserError, match="'ready_things:world' has no option 'samples'"):
        open_dataset("ready_things:world", options={"samples": 3})
    tracker = create_tracker(profile="mini", weights=None, device="cpu", method="ready_things:tracker")
    assert tracker.name == "none" and tracker.track(None) == ()
    with pytest.raises(UserError, match="'ready_things:number' is no data source but int"):
        open_dataset("ready_things:number")
    for name, said in (("number", "is no tracker but int"), ("needs", "is no tracker: .*missing 1 required")):
        with pytest.raises(UserError, match=f"'ready_things:{name}' {said}"):
            create_tracker(profile="mini", weights=None, device="cpu", method=f"ready_things:{name}")


def _breaks() -> None:
    raise TypeError("inside")


def test_what_is_no_model_is_said(tmp_path, monkeypatch) -> None:
    (tmp_path / "odd_things.py").write_text("NUMBER = 3\n\ndef empty():\n    return object()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="'odd_things:NUMBER' is no model but int"):
        find_factory("odd_things:NUMBER")
    with pytest.raises(UserError, match="object has no method generate"):
        create_model("odd_things:empty", profile="mini", device="cpu")
    with pytest.raises(UserError, match=r"odd_things has no 'emty'\. Did you mean 'empty'"):
        find_factory("odd_things:emty")
    (tmp_path / "broken_things.py").write_text("def (:\n")
    with pytest.raises(UserError, match="'broken_things', needed by metric 'broken_things:x', fails to import"):
        METRICS.find("broken_things:x")


def test_a_folder_names_installed_models_only(tmp_path) -> None:
    (tmp_path / "hmbench_model.json").write_text(json.dumps({"model": "os:getcwd"}))
    with pytest.raises(UserError, match="which no installed package offers"):
        find_factory(str(tmp_path))


def test_kinds_are_listed() -> None:
    assert {"mini", "mini-easy", "own-video", "disc"} <= set(DATA.points())
    assert "nearest-view" in MODELS.points()
    assert not {"hydra", "full-context"} & set(MODELS.points())  # a memory implies its model
    assert {"hydra", "full-context"} <= set(MEMORIES.points())
