"""Whether a score is in order, on made-up runs whose answer is known."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.study.ordering import Placed, demands, ordering_record, ordering_table


def placed(name, standing, score, returned=0.0):
    means = {"memory_score": score, "verdict_returned": returned, "background_fidelity": None, "reentry_success": score}
    return Placed(name, standing, 16, means)


RIGHT = [
    placed("oracle", "bound", 0.99, 1.0),
    placed("codec", "bound", 0.9, 0.9),
    placed("hydra", "stand-in", 0.05),
    placed("still", "no memory", 0.0),
    placed("backwards", "no memory", 0.02, 0.02),
]


def test_what_is_in_order_meets_every_demand():
    found = demands(RIGHT)
    assert [d.met for d in found] == [True] * 5
    assert found[-1].worst == "hydra 0.050, backwards 0.020"
    assert json.loads(json.dumps(ordering_record(RIGHT, found)))["demands"][0]["worst"] == "backwards 0.020"
    assert "| still | no memory | 16 | 0.000 | - | 0.000 | 0.000 |" in ordering_table(RIGHT).markdown()


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (placed("stickers", "no memory", 0.021), {0}),
        (placed("stickers", "no memory", 0.0, 0.021), {1}),
        (placed("stickers", "no memory", 0.06), {0, 4}),
        (placed("weak", "model", 0.02), {4}),
        (placed("weak", "untrained", 0.0), set()),
    ],
)
def test_each_demand_fails_by_itself(wrong, broken):
    assert {i for i, d in enumerate(demands([*RIGHT, wrong])) if not d.met} == broken


def test_a_bound_that_is_too_low_is_told():
    low = [placed("oracle", "bound", 0.96), placed("codec", "bound", 0.84)]
    assert [(d.met, d.worst) for d in demands(low)] == [(False, "oracle 0.960"), (False, "codec 0.840")]


def test_the_command_as_json(monkeypatch):
    monkeypatch.setattr("hmbench.study.ordering.read_placed", lambda runs: RIGHT[: len(runs)])
    done = CliRunner().invoke(app, ["study", "ordering", *"abcde", "--json"])
    assert json.loads(done.stdout) == json.loads(json.dumps(ordering_record(RIGHT, demands(RIGHT))))
