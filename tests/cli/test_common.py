"""What every command has: an example that parses, --quiet, --json where it says so, completion, quick answers."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.cli import completion as shell
from hmbench.cli.common import EXAMPLES, JSON, leaves
from hmbench.described import lacks
from hmbench.errors import UserError
from hmbench.run.request import names_of

ROOT = Path(__file__).resolve().parents[2]
LEAVES = leaves(app)


def run(*arguments: str, cwd: Path | None = None, torch: bool = True) -> subprocess.CompletedProcess[str]:
    block = "" if torch else "sys.modules['torch'] = None; sys.modules['scipy'] = None; sys.modules['pandas'] = None; "
    code = f"import sys; {block}from hmbench.cli import main; sys.argv[0] = 'hmbench'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_has_an_example() -> None:
    own = {words for words in LEAVES if not words.startswith("leaderboard")}
    assert own - set(EXAMPLES) == set()
    assert set(EXAMPLES) - set(LEAVES) <= {"leaderboard"}
    assert set(JSON) <= set(LEAVES)


@pytest.mark.parametrize("words", sorted(set(EXAMPLES) & set(LEAVES)))
def test_examples_name_options_that_exist(words: str) -> None:
    typed = shlex.split(EXAMPLES[words])
    assert typed[: 1 + len(words.split())] == ["hmbench", *words.split()]
    command = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {one for one in typed if one.startswith("-")} <= known
    required = {p.opts[0] for p in command.params if p.required and p.param_type_name == "option"}
    assert required <= set(typed)


def test_version_and_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "hmbench", "--version"], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == "hmbench 0.1.0\n"


def test_help_shows_flags_and_example() -> None:
    shown = CliRunner().invoke(app, ["eval", "--help"]).output
    assert "--quiet" in shown and "--json" in shown and "Example: hmbench eval" in shown


def test_typos_and_lists_need_neither_torch_nor_scipy() -> None:
    done = run("eval", "--model", "hydra", "--metric", "psrn", torch=False)
    assert done.returncode == 2 and "no metric 'psrn'" in done.stderr and "Did you mean 'psnr'?" in done.stderr
    listed = run("models", "--json", torch=False)
    found = {one["model"]: one["description"] for one in json.loads(listed.stdout)}
    assert "Repeats the last context frame." in found["copy-last"] and "HyDRA" in found["hydra"]
    assert not [name for name, text in found.items() if not text or "cannot be loaded" in text]


def test_metrics_are_named_in_one_way_everywhere() -> None:
    assert names_of(["psnr, ssim", "own:Metric", "psnr"]) == ("psnr", "ssim", "own:Metric") and names_of(None) == ()
    for command in ("eval", "score", "compare"):
        found = {option for one in typer.main.get_command(app).commands[command].params for option in one.opts}
        assert {"--metric", "--metrics"} <= found, command


def test_one_option_means_one_thing_everywhere() -> None:
    """Help and default of `--device`, `--sample`, `--limit`; other words for how many are taken beside `--limit`."""
    found: dict[str, dict[str, set[tuple[str, object]]]] = {}
    names: dict[str, set[str]] = {}
    for words in LEAVES:
        command = typer.main.get_command(app)
        for word in words.split():
            command = command.commands[word]
        names[words] = {option for one in command.params for option in one.opts}
        for one in command.params:
            said = (one.help or "", one.default) if one.param_type_name == "option" else ("", None)
            found.setdefault(one.opts[0], {}).setdefault(words, set()).add(said)
    device = {words: said for words, said in found["--device"].items() if words not in ("train-reference", "models")}
    assert set.union(*device.values()) == {
        ("Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one.", "auto")
    }
    assert len({help for words, said in found["--sample"].items() if words != "retrieval" for help, _ in said}) == 1
    assert {help for said in found["--limit"].values() for help, _ in said} == {"The first so many samples only."}
    assert all("--limit" in names[words] for words in ("data download", "data inspect"))
    assert "--workers" in names["validate-metrics"]


TYPOS = {
    "eval --model hydraa --data mini": "There is no model 'hydraa'",
    "eval --model own_modle:Last --data mini": "The module 'own_modle', needed by model 'own_modle:Last'",
    "eval --model own:Frezee --data mini": "Did you mean 'Freeze'?",
    "eval --model hydra --data own:Squaers": "own has no 'Squaers'.",
    "eval --model hydra --data onw:Squares": "The module 'onw', needed by data source 'onw:Squares'",
    "eval --model hydra --data mini --metric own:Brigthness": "Did you mean 'Brightness'?",
    "score --predictions videos --data mini --tracker own:Sort": "own has no 'Sort'",
    "eval --model hydra --data minni": "There is no data folder 'minni'",
    "eval --model hydra --video none.mp4": "There is no video none.mp4.",
    "eval --model hydraa --video videos": "There is no model 'hydraa'",
    "eval --model hydra --data mini --metric pnsr": "There is no metric 'pnsr'",
    "eval --model hydra --data mini --tracker sort": "There is no tracker 'sort'",
    "eval --model hydra --data mini --profile papr": "There is no profile 'papr'",
    "eval --model hydra --data listed --split tset": "has no split 'tset'",
    "eval --model hydra --data mini --split tset": "mini has no split 'tset'",
    "eval --model hydra --data mini --option stpes=3": "Model 'hydra' has no option 'stpes'",
    "eval --model codec --data mini --option checkpiont=a": "Did you mean 'checkpoint'?",
    "score --predictions nowhere --data mini": "There is no folder of predictions nowhere",
    "check-predictions nowhere mini": "There is no folder of predictions nowhere",
    "generate --model hydra --data mini --shard 3": "--shard '3' is not of the form k/n",
    "score --run nowhere": "nowhere is not a run",
    "score --predictions videos --data minni": "There is no data folder 'minni'",
    "compare a b": "a is no run folder",
    "compare hydra hydraa --data mini": "There is no model 'hydraa'",
    "inspect nowhere 1": "nowhere is not a run",
    "distribution nowhere": "nowhere is not a run",
    "report nowhere --out site": "nowhere is not a run",
    "check-predictions videos minni": "There is no data folder 'minni'",
    "train-reference --preset nanoo --out x": "There is no preset 'nanoo'. Did you mean 'nano'?",
    "train-reference --memory hydraa --out x": "There is no memory 'hydraa'. Did you mean 'hydra'",
    "train-reference --data minni --out x": "There is no data folder 'minni'. Did you mean 'mini'?",
    "data masks minni": "There is no data folder 'minni'. Did you mean 'mini'?",
    "data masks videos --tracker botsrt": "There is no tracker 'botsrt'. Did you mean 'botsort'",
    "models hydraa": "There is no model 'hydraa'",
    "evall": "No such command 'evall'",
    "eval --modell hydra": "No such option: --modell",
}
"""What was typed, and what is said of it."""
HEAVY = ("torch", "numpy", "scipy", "pandas", "cv2", "av", "numba", "matplotlib", "transformers")


def test_names_that_a_module_makes_when_it_runs_are_not_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for number, (text, refused) in enumerate(
        [("A = B = 1", True), ("A = NAME = 1", False), ("try:\n    import x as NAME\nexcept OSError:\n    ...", False),
         ("from os import *", False), ("def __getattr__(name): ...", False), ("globals()['NAME'] = 1", False),
         ("class NAME: ...", False), ("for NAME in (1,): ...", False), ("# NAME", True)]
    ):  # fmt: skip
        (tmp_path / f"made{number}.py").write_text(text)
        assert (lacks(f"made{number}:NAME") is not None) == refused, text
    assert lacks("json:loads") is None and lacks("nowhere_at_all:NAME") is None and lacks("math:sin") is None


def test_typos_are_answered_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "listed").mkdir()
    (tmp_path / "videos").mkdir()
    (tmp_path / "own.py").write_text("class Freeze: ...\nclass Squares: ...\ndef Brightness(case): ...\nprint(1 / 0)\n")
    (tmp_path / "listed" / "splits.json").write_text('{"test": []}')
    code = f"""
import shlex, sys
from hmbench.cli import main
for typed in {list(TYPOS)!r}:
    sys.argv = ["hmbench", *shlex.split(typed)]
    try:
        main()
    except SystemExit as done:
        assert done.code == 2, (typed, done.code)
    print("=====", file=sys.stderr)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    assert not heavy, (typed, heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for sentence, said in zip(TYPOS.values(), done.stderr.split("====="), strict=False):
        assert sentence in " ".join(said.split()), said


@pytest.mark.parametrize("typed", ["data show minni", "data check minni", "data sheet minni", "data prompts minni out"])
def test_data_that_are_not_there_are_told_in_the_same_words_everywhere(typed: str) -> None:
    with pytest.raises(UserError, match=r"There is no data folder 'minni'\. Did you mean 'mini'\?"):
        CliRunner().invoke(app, typed.split(), catch_exceptions=False)


def test_an_option_that_a_model_lacks_is_told_before_its_data_are_made(tmp_path: Path) -> None:
    from hmbench.run.name_checks import check_options

    with pytest.raises(UserError, match="Model 'still' has no option 'fram'") as refused:
        check_options("still", {"fram": "3"})
    assert "frame" in str(refused.value.hint)
    check_options("still", {})


def test_what_is_installed_is_read_once_and_seen_when_it_changes(tmp_path: Path, monkeypatch) -> None:
    from hmbench.registry import TRACKERS

    monkeypatch.syspath_prepend(str(tmp_path))
    assert "late" not in TRACKERS.points()
    info = tmp_path / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hmbench.trackers]\nlate = late:track\n")
    assert TRACKERS.points()["late"].value == "late:track"


def test_models_are_never_cut_at_80_columns() -> None:
    from hmbench.registry import model_names

    shown = run("models").stdout
    assert all(f" {name} " in shown for name in model_names())
    assert max(len(line) for line in shown.splitlines()) <= 80 and "…" not in shown


def test_json_and_quiet(tmp_path) -> None:
    arguments = ("eval", "--model", "copy-last", "--data", "disc", "--limit", "1", "--metric", "psnr", "--no-tracking")
    done = run(*arguments, "--json", "--quiet", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    found = json.loads(done.stdout)
    assert found["run"] == "runs/copy-last-disc-seed0" and found["samples"] == 1
    assert 20 < found["metrics"]["psnr"]["mean"] < 60
    shown = run("inspect", "runs/copy-last-disc-seed0", "000", cwd=tmp_path)  # the beginning of an id
    assert "Pictures: runs/copy-last-disc-seed0/inspect/00000_Dawn" in " ".join(shown.stdout.split())


JSON_OF = {
    "inspect runs/copy-last-disc-seed0 00000": lambda found: (
        found["tracked"] is False and [event["label"] for event in found["events"]] == [1]
    ),
    "distribution runs/copy-last-disc-seed0": lambda found: (
        [one["metric"] for one in found] == ["fid", "kid", "fvd_r3d18"] and all(one["value"] is None for one in found)
    ),
    "data check discs --limit 2": lambda found: (
        [one["sample"][:5] for one in found] == ["00000", "00001"] and not any(one["error"] for one in found)
    ),
    "data check discs --sample 00001": lambda found: [one["sample"][:5] for one in found] == ["00001"],
    "data inspect discs": lambda found: {"topic", "expected", "found", "verdict"} == set(found[0]) and len(found) > 5,
    "data splits discs --out splits": lambda found: [one["count"] for one in found] == [0, 2],
    "weights list": lambda found: (
        {"detector": "shipped", "raft": "missing"}.items() <= {one["name"]: one["state"] for one in found}.items()
    ),
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Path:
    """A folder with data and a scored run of theirs."""
    from hmbench.run.evaluate import EvalRequest, evaluate

    folder = tmp_path_factory.mktemp("scored")
    run = folder / "runs" / "copy-last-disc-seed0"
    evaluate(EvalRequest(model="copy-last", data="disc", limit=1, out=run, metrics=("psnr",)))
    return folder


@pytest.mark.parametrize("line", JSON_OF)
def test_results_as_json(line: str, scored, disc_folder, monkeypatch) -> None:
    monkeypatch.chdir(scored)
    (scored / "discs").is_symlink() or (scored / "discs").symlink_to(disc_folder)
    done = CliRunner().invoke(app, [*line.split(), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert JSON_OF[line](json.loads(done.stdout)), done.stdout


def test_every_command_that_prints_json_was_asked_for_it() -> None:
    elsewhere = {"eval", "score", "compare", "models", "doctor", "check-predictions"} | {
        *("study agreement", "study ordering")  # tests/study
    }
    assert set(JSON) - elsewhere == {words for words in JSON if any(line.startswith(words) for line in JSON_OF)}


def test_metric_names_are_those_of_the_metrics() -> None:
    from hmbench.metrics.names import current_names, metric_names

    assert list(metric_names()) == current_names(), "run: python -m hmbench.metrics.names"


def test_completion(tmp_path, monkeypatch, disc_folder) -> None:
    from hmbench.data.hm_world import HMWorld

    class Context:
        def __init__(self, **params: str) -> None:
            self.params = params

    assert shell.models("copy") == ["copy-last"] and "psnr_subject" in shell.metrics("psnr")
    monkeypatch.chdir(disc_folder.parent)
    assert shell.sources("dis") == ["disc", "discs"]
    ids = HMWorld(disc_folder).ids("all")
    discs = Context(data="discs")
    assert shell.samples(discs, "") == list(ids) and shell.samples(discs, "00001") == [ids[1]]
    assert shell.splits(discs, "a") == ["all"]
    assert shell.samples(Context(run="discs"), "") == []
