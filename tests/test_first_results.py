"""One command makes first results anew, and the documents show what entries and shipped weights say."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from hmbench.errors import UserError
from leaderboard.readme import rendered
from leaderboard.submission import RESULTS, read_entries
from reference_model.training.ship import WEIGHTS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_results", ROOT / "benchmarks" / "first_results.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_show_the_shipped_weights_and_entries(script) -> None:
    """After a change of either: python benchmarks/first_results.py."""
    entries = read_entries(RESULTS)
    for name in script.TABLES:
        text = (ROOT / name).read_text()
        assert rendered(text, entries) == text, name
    text = (ROOT / script.LOSSES).read_text()
    assert script.with_losses(text, script.losses_table(WEIGHTS)) == text


def test_losses_are_the_last_of_each_model(script, tmp_path) -> None:
    for name, losses in {"nano-a": (0.9, 0.61239), "nano-b": (0.8, 0.5)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text("{}")
        rows = [{"step": 0, "validation": losses[0]}, {"step": 40, "validation": losses[1]}, {"step": 41, "loss": 0.1}]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert script.losses_table(tmp_path).splitlines()[2:] == ["| `nano-b` | 0.500 | 40 |", "| `nano-a` | 0.612 | 40 |"]
    (tmp_path / "nano-b" / "metrics.jsonl").write_text('{"step": 41, "loss": 0.1}\n')
    with pytest.raises(UserError, match="has no validation"):
        script.losses_table(tmp_path)


def test_a_run_becomes_an_entry_and_the_documents_follow(script, tmp_path, tmp_path_factory) -> None:
    from tests.leaderboard.test_leaderboard import make_run

    (tmp_path / "docs" / "training").mkdir(parents=True)
    mark = "<!-- results of psnr on mini-v1: python -m leaderboard documents -->\n<!-- results end -->\n"
    for name in script.TABLES:
        (tmp_path / name).write_text(f"{mark}{script.BEGIN}\n{script.END}\n")
    results, weights = tmp_path / "results", tmp_path / "weights"
    shutil.copytree(WEIGHTS / "nano-hydra", weights / "nano-hydra")
    good, changed = make_run(tmp_path / "good", 0.0), make_run(tmp_path / "changed", -2.0)
    (changed / "predictions" / "clip00.mp4").write_bytes(b"another")
    with pytest.raises(UserError):
        script.renew([("one", good), ("two", changed)], tmp_path, results, weights)
    assert not list(results.glob("*.json"))  # no entry of a set that is not whole
    told = script.renew([("one", good)], tmp_path, results, weights)
    assert told[1:] == [f"{name}: updated" for name in script.TABLES]
    mean = read_entries(results)[0].means["psnr"].mean
    assert f"| `one` | {mean:.2f} [" in (tmp_path / "README.md").read_text()
    assert "| `nano-hydra` | 1.030 | 200 |" in (tmp_path / script.LOSSES).read_text()
    assert script.renew([], tmp_path, results, weights) == [f"{name}: up to date" for name in script.TABLES]


def test_what_is_no_pair_is_refused(script) -> None:
    assert script.named_run("nano-hydra=runs/a=b") == ("nano-hydra", Path("runs/a=b"))
    for text in ("runs/a", "=runs/a", "a="):
        with pytest.raises(UserError, match="is not NAME=RUN"):
            script.named_run(text)
