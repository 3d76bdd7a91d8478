"""Paired statistics against scipy and against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from hmbench.results.statistics import EXACT_UNITS, MIN_SCENES, holm, paired_test, sign_flip_p
from hmbench.results.summary import bootstrap_interval


def draw(count: int, shift: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, count)


@pytest.mark.parametrize("count", [1, 2, 5, 9, EXACT_UNITS])
@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_exact_sign_flip_equals_scipy(count, shift) -> None:
    values = draw(count, shift, seed=count)
    expected = (
        stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        if count > 1
        else 1.0
    )
    assert sign_flip_p(values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_drawn_sign_flip_is_near_scipys_t_test(shift) -> None:
    values = draw(60, shift, seed=4)
    expected = stats.ttest_1samp(values, 0.0).pvalue
    assert sign_flip_p(values) == pytest.approx(expected, abs=0.02)


def test_drawn_sign_flip_agrees_with_the_exact_one() -> None:
    values = draw(EXACT_UNITS + 4, 0.4, seed=9)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip_p(values) == pytest.approx(exact, abs=0.01)


def test_p_is_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(1)
    p_values = [sign_flip_p(rng.normal(size=12)) for _ in range(400)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_no_difference_gives_one() -> None:
    for count in (1, 5, 40):
        result = paired_test(np.arange(count) + 0.5, np.arange(count) + 0.5, ["a"] * count)
        assert (result.p, result.difference, result.wins, result.losses) == (1.0, 0.0, 0, 0)
        assert result.ties == count


def test_p_never_reaches_zero() -> None:
    assert 0 < sign_flip_p(np.full(50, 3.0)) < 1e-4


def test_scenes_are_flipped_whole() -> None:
    """Ten scenes of eight equal clips hold ten observations, not eighty."""
    scenes = [f"scene {i}" for i in range(MIN_SCENES) for _ in range(8)]
    per_scene = draw(MIN_SCENES, 0.5, seed=2)
    values = np.repeat(per_scene, 8)
    result = paired_test(values, np.zeros(len(values)), scenes)
    assert result.unit == "scene"
    assert result.p == pytest.approx(sign_flip_p(per_scene), abs=1e-12)
    few = paired_test(values, np.zeros(len(values)), ["one", "two"] * (len(values) // 2))
    assert few.unit == "clip"
    assert few.p < result.p


def test_unknown_scenes_are_scenes_of_their_own() -> None:
    values = draw(12, 0.5)
    named = paired_test(values, np.zeros(12), [str(i) for i in range(12)])
    unknown = paired_test(values, np.zeros(12), [""] * 12)
    assert unknown.unit == "scene"
    assert unknown.p == pytest.approx(named.p)


def test_direction_decides_wins_and_leaves_the_difference() -> None:
    model, reference = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 1.0, 1.0])
    up = paired_test(model, reference, list("abcd"))
    down = paired_test(model, reference, list("abcd"), higher_is_better=False)
    assert (up.wins, up.ties, up.losses) == (2, 1, 1)
    assert (down.wins, down.ties, down.losses) == (1, 1, 2)
    assert up.difference == down.difference == pytest.approx(1.0)


def test_rounding_is_a_tie() -> None:
    result = paired_test(np.array([0.1 + 0.2]), np.array([0.3]), ["a"])
    assert (result.ties, result.p) == (1, 1.0)


def test_interval_of_single_clip_scenes_equals_scipys_bootstrap() -> None:
    values = draw(40, 1.0)
    low, high = bootstrap_interval(values, [str(i) for i in range(40)], seed=0)
    expected = stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", random_state=1)
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.04)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.04)


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_its_definition(seed) -> None:
    p_values = np.random.default_rng(seed).uniform(0, 0.1, 7)
    for level in (0.01, 0.05, 0.2):
        order = np.argsort(p_values)
        rejected: set[int] = set()
        for rank, index in enumerate(order):
            if p_values[index] > level / (len(p_values) - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(list(p_values))) if p <= level} == rejected


def test_holm_of_nothing_and_of_ones() -> None:
    assert holm([]) == []
    assert holm([1.0, 1.0]) == [1.0, 1.0]


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="equally many clips"):
        paired_test(np.zeros(2), np.zeros(3), ["a"] * 2)
