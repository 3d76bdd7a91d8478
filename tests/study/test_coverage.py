"""The simulations behind docs/statistics.md: their draws, and (slow) what the rules hold."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.results.intervals import Scenes
from hmbench.study.coverage import (
    CORRELATIONS,
    LAYOUTS,
    PAIRS,
    SHAPES,
    coverage_record,
    coverage_tables,
    draw_values,
    simulate,
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_draws_have_the_mean_that_is_claimed(shape) -> None:
    values = draw_values((1, 3), 0.3, shape, 40_000, np.random.default_rng(0))
    assert values.mean() == pytest.approx(shape.mean, abs=4 * values.std() / np.sqrt(80_000))


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_clips_of_a_scene_correlate_as_asked(correlation) -> None:
    values = draw_values((2, 2), correlation, SHAPES[0], 40_000, np.random.default_rng(1))
    assert np.corrcoef(values.T)[0, 1] == pytest.approx(correlation, abs=0.02)
    assert np.corrcoef(values.T)[0, 2] == pytest.approx(0.0, abs=0.02)


def test_three_scenes_have_no_bootstrap_t() -> None:
    """Why nothing is given below four: a ninth of the draws repeat one scene, so no 2.5 % quantile is finite."""
    t = Scenes(np.array([1.0, 2.0, 4.0]), np.ones(3)).studentised(seed=0)
    assert np.isinf(t).mean() == pytest.approx(1 / 9, abs=0.02)
    four = Scenes(np.array([1.0, 2.0, 4.0, 6.0]), np.ones(4)).studentised(seed=0)
    assert np.isinf(four).mean() < 0.025 < np.isinf(t).mean()


def test_a_small_study_is_written_and_tabled(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hmbench.study.coverage.LAYOUTS", {6: {"uneven": LAYOUTS[6]["uneven"]}})
    cells = list(simulate(50, scenes=[6]))
    assert len(cells) == len(CORRELATIONS) * (len(SHAPES) + 2 * len(PAIRS))
    record = json.loads(json.dumps(coverage_record(cells, seed=0)))
    means, _, tests = coverage_tables(record)
    assert means.rows[0][:3] == ["6", "uneven", "normal"]
    assert means.rows[0][3] == f"{cells[0].share:.3f}"
    assert len(tests.rows) == len(PAIRS)


def test_the_command_is_there() -> None:
    assert "coverage" in CliRunner().invoke(app, ["study", "--help"]).output


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 10, 17])
def test_intervals_cover_and_tests_keep_their_level(count) -> None:
    """Limits with room for chance: 600 repeats know a coverage of .92 to .011, a level of .06 to .010."""
    for cell in simulate(600, scenes=[count], seed=1):
        where = f"{cell.what}, {cell.scenes} scenes {cell.layout}, {cell.shape}, {cell.correlation}"
        if cell.what == "test":
            unequal = cell.shape.endswith("its mean")
            assert cell.share <= (0.085 if unequal else 0.075), where
        else:
            assert cell.given > 0.99, where
            assert cell.share >= 0.9, where
            if cell.shape in {"normal", "skewed (exponential)"}:
                assert cell.share <= 0.99, where
