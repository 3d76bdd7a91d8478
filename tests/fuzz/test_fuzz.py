"""A sample of the fuzzers with the suite, more of them as a slow test; all of it by ``python tests/fuzz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzz_mutate import mutate_bytes, mutate_json
from fuzz_run import Done, _problem, call, campaign


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))


SAMPLE = 200
"""Of the fast suite: about 0.1 s of processor time each."""


def test_a_sample_of_changed_inputs_ends_in_a_result_or_a_sentence() -> None:
    report = campaign(SAMPLE, seed=20261128, fast=True)
    assert report.findings == [], "\n\n".join(report.findings[:3])
    assert report.tried.total() >= 0.95 * SAMPLE
    assert 0.2 < report.refused.total() / report.tried.total() < 0.95  # neither harmless nor refused unread


@pytest.mark.slow
def test_many_changed_inputs_end_in_a_result_or_a_sentence() -> None:
    report = campaign(2000, seed=1, fast=True)
    assert report.findings == [], "\n\n".join(report.findings[:3])


def test_the_judge_sees_what_must_not_be(tmp_path: Path) -> None:
    assert _problem(Done(None, "Traceback ... KeyError"), tmp_path) is not None
    assert _problem(Done(1, "  "), tmp_path) == "exit code 1 without a word"
    assert _problem(Done(3, "x"), tmp_path) is not None
    assert _problem(Done(2, "Error: a sentence"), tmp_path) is None
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "a.score.json").write_text('{"traceback": "KeyError: 1"}')
    assert "KeyError" in (_problem(Done(1, "said"), tmp_path) or "")


def test_what_escapes_a_command_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmbench.cli

    monkeypatch.setattr(hmbench.cli, "main", lambda: {}["missing"])
    done = call(["data", "show", "mini"])
    assert done.code is None and "KeyError" in done.text


def test_changes_are_seeded() -> None:
    data = b'{"a": [1, 2, {"b": "c"}], "d": null}' * 3
    for change in (mutate_bytes, mutate_json):
        first, again = (change(data, np.random.default_rng([5, 7])) for _ in range(2))
        assert first == again
        results = {change(data[:36], np.random.default_rng(k))[1] for k in range(60)}
        assert len(results) > 20
