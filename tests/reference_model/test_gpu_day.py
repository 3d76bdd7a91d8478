"""The scripts for a lent GPU, rehearsed at toy size: every part runs, and what they compare is compared rightly."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def rehearse(monkeypatch, out, *parts):
    day = load("gpu_day")
    only = [word for part in parts for word in ("--only", part)]
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", "--toy", "--out", str(out), *only])
    day.main()
    return json.loads((out / "gpu_day.json").read_text())


def test_all_parts_but_the_compiler(tmp_path, monkeypatch):
    found = rehearse(monkeypatch, tmp_path, "rates", "parity", "evaluation", "sampling", "training")
    assert not [name for name, part in found.items() if isinstance(part, dict) and "failed" in part]
    assert found["parity"]["float32 released way"]["largest"] < 2e-6
    assert 1e-4 < found["parity"]["bfloat16 ours"]["norm"] < 2e-2
    assert found["evaluation"]["difference"]["largest"] < 2e-6
    # paper's rule: attention, cameras, projector and memory of both blocks train, less than everything
    assert 0 < found["training"]["trained_parameters"] < found["evaluation"]["parameters"]
    assert found["sampling"]["seconds_of_50_steps"] == pytest.approx(25 * found["sampling"]["seconds"])


def test_a_part_that_fails_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "randn", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("out of memory")))
    found = rehearse(monkeypatch, tmp_path, "rates", "evaluation")
    assert found["rates"]["failed"] == "RuntimeError: out of memory"
    assert "failed" in found["evaluation"] and found["seconds"] > 0


def test_the_released_way_is_another_way(monkeypatch):
    """Its two replacements are used, give the same, and are gone afterwards."""
    day = load("gpu_day")
    day.TOY["layers"] = 1
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", "--toy", "--out", "unused"])
    used = []
    own_loop, own_turn = day.per_frame, day.complex_rotate
    monkeypatch.setattr(day, "per_frame", lambda *a: used.append("loop") or own_loop(*a))
    monkeypatch.setattr(day, "complex_rotate", lambda *a: used.append("turn") or own_turn(*a))
    config = day.Day._config(type("Given", (), {"given": type("Toy", (), {"toy": True})})())
    model = day.build(config, torch.device("cpu"), torch.float32)
    given = day.Inputs(config, torch.device("cpu"), torch.float32, 8)
    with torch.no_grad():
        ours = given.evaluate(model, context_too=True)
        with day.released_way(model):
            theirs = given.evaluate(model, context_too=True)
        assert used.count("loop") == 1 and used.count("turn") == 3
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        given.evaluate(model)
    assert used.count("loop") == 1
