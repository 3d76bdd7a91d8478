"""Intervals over scenes: formulas against independent ones, edges, and what they cover (slow)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hmbench.results.intervals import MIN_SCENES, Scenes, difference_interval, mean_interval

SIZES = [1, 2, 3, 4, 6]
"""Clips of five scenes."""


def scene_names(sizes: list[int]) -> list[str]:
    return [f"scene {k}" for k, size in enumerate(sizes) for _ in range(size)]


def draw(sizes: list[int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(rng.normal(), 0.5, size) for size in sizes])


def test_error_and_freedom_of_equal_scenes_are_those_of_students_t() -> None:
    values = draw([3] * 7)
    means = values.reshape(7, 3).mean(axis=1)
    scenes = Scenes.of(values, scene_names([3] * 7))
    assert scenes.error == pytest.approx(stats.sem(means))
    assert scenes.freedom == pytest.approx(6)


def test_error_of_unequal_scenes_is_unbiased_for_independent_clips() -> None:
    """CR2's reason to be: its expectation, worked out from matrices clip by clip, is the true variance of the mean."""
    index = np.repeat(np.arange(5), SIZES)
    count = len(index)
    residual = np.eye(count) - np.full((count, count), 1 / count)  # clip minus mean
    expected, freedom_matrix = 0.0, np.zeros((count, count))
    for k, size in enumerate(SIZES):
        row = residual[index == k].sum(axis=0) / count / math.sqrt(1 - size / count)
        expected += row @ row
        freedom_matrix += np.outer(row, row)
    assert expected == pytest.approx(1 / count)
    found = Scenes.of(draw(SIZES), scene_names(SIZES))
    eigenvalues = np.linalg.eigvalsh(freedom_matrix)
    assert found.freedom == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    values = draw(SIZES)
    by_hand = sum(
        ((values[index == k] - values.mean()).sum() / count) ** 2 / (1 - size / count) for k, size in enumerate(SIZES)
    )
    assert found.error == pytest.approx(math.sqrt(by_hand))


def test_a_share_of_single_clip_scenes_is_wilsons_interval() -> None:
    """Many scenes of one clip: the effective number is the number, but for degrees of freedom, taken out here."""
    count, hits = 60, 9
    values = np.array([1.0] * hits + [0.0] * (count - hits))
    found = mean_interval(values, [str(i) for i in range(count)])
    size = (count - 1) * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, count - 1)) ** 2
    z = stats.norm.ppf(0.975)
    roots = np.roots([1 + z**2 / size, -(2 * 0.15 + z**2 / size), 0.15**2])  # (p - share)^2 = z^2 p (1 - p) / size
    assert found == pytest.approx(sorted(roots))


@pytest.mark.parametrize(("constant", "scenes"), [(0.0, 10), (1.0, 10), (0.0, 5), (1.0, 17)])
def test_a_mean_at_an_end_has_wilsons_interval_of_as_many_clips_as_scenes(constant, scenes) -> None:
    names = [f"scene {i % scenes}" for i in range(3 * scenes)]
    found = mean_interval(np.full(3 * scenes, constant), names, bounds=(0.0, 1.0))
    expected = stats.binomtest(int(constant * scenes), scenes).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high))
    assert found.high - found.low > 0.18


def test_ends_may_be_any() -> None:
    values = draw(SIZES)
    values = 0.4 + 0.1 * values / np.abs(values).max()
    share = mean_interval(values, scene_names(SIZES), bounds=(0.0, 1.0))
    decibels = mean_interval(100 * values, scene_names(SIZES), bounds=(0.0, 100.0))
    cosines = mean_interval(2 * values - 1, scene_names(SIZES), bounds=(-1.0, 1.0))
    assert decibels == pytest.approx([100 * end for end in share])
    assert cosines == pytest.approx([2 * end - 1 for end in share])
    assert mean_interval(values, scene_names(SIZES)) == share, "values in [0, 1] are taken for such a metric"


def test_without_ends_it_is_the_wider_one_of_students_t_and_the_bootstrap_t() -> None:
    sizes = [2] * 12
    values = np.exp(0.4 * draw(sizes, seed=3)) * 5
    names = scene_names(sizes)
    low, high = mean_interval(values, names, seed=1)
    means = values.reshape(12, 2).mean(axis=1)
    t = stats.t.interval(0.95, 11, means.mean(), stats.sem(means))
    rng = np.random.default_rng(9)
    drawn = means[rng.integers(12, size=(20_000, 12))]
    pivots = (drawn.mean(axis=1) - means.mean()) / stats.sem(drawn, axis=1)
    above, below = np.quantile(pivots, [0.975, 0.025])
    assert low == pytest.approx(min(t[0], means.mean() - above * stats.sem(means)), rel=0.02)
    assert high == pytest.approx(max(t[1], means.mean() - below * stats.sem(means)), rel=0.06)
    assert high > t[1] * 1.02, "the toy must be skewed"
    assert low == pytest.approx(t[0])


def test_a_lower_end_alone_only_cuts() -> None:
    values = np.array([0.1, 0.2, 9.0, 0.1, 0.3])
    names = [str(i) for i in range(5)]
    free, cut = mean_interval(values, names, bounds=(None, None)), mean_interval(values, names, bounds=(0.0, None))
    assert free.low < 0 and cut.low == 0.0
    assert cut.high == free.high


def test_values_outside_of_their_ends_do_not_trust_them() -> None:
    values = np.array([0.2, 0.4, 1.7, 0.3, 0.6])
    names = [str(i) for i in range(5)]
    assert mean_interval(values, names, bounds=(0.0, 1.0)) == mean_interval(values, names, bounds=(None, None))


def test_too_few_scenes_and_no_spread_have_no_interval() -> None:
    values = draw([4] * (MIN_SCENES - 1))
    assert mean_interval(values, scene_names([4] * (MIN_SCENES - 1))) is None
    assert difference_interval(values, scene_names([4] * (MIN_SCENES - 1))) is None
    assert mean_interval(draw([4] * MIN_SCENES), scene_names([4] * MIN_SCENES)) is not None
    assert mean_interval(np.full(12, 20.1), scene_names([2] * 6)) is None
    assert mean_interval(np.full(12, 0.1), scene_names([2] * 6), bounds=(None, None)) is None


def test_copies_of_a_clip_within_its_scene_add_nothing() -> None:
    centres = np.random.default_rng(1).normal(size=12)
    names = [f"c{i}" for i in range(12)]
    few = mean_interval(centres, names, seed=0)
    many = mean_interval(np.repeat(centres, 10), [n for n in names for _ in range(10)], seed=0)
    np.testing.assert_allclose(few, many)


def test_one_scene_with_most_clips_leaves_few_degrees_of_freedom() -> None:
    sizes = [1, 1, 2, 4, 12]
    assert Scenes.of(draw(sizes), scene_names(sizes)).freedom < 2
    assert Scenes.of(draw([4] * 5), scene_names([4] * 5)).freedom == pytest.approx(4)


def test_differences_that_are_all_zero_still_could_be_rare() -> None:
    names = scene_names([2] * 10)
    low, high = difference_interval(np.zeros(20), names, bounds=(0.0, 1.0))
    wilson = stats.binomtest(0, 10).proportion_ci(method="wilson").high
    assert (low, high) == pytest.approx((-wilson, wilson))
    assert difference_interval(np.zeros(20), names, bounds=(0.0, None)) is None


def test_unknown_scenes_are_scenes_of_their_own() -> None:
    values = draw([1] * 8)
    assert mean_interval(values, [""] * 8) == mean_interval(values, [str(i) for i in range(8)])
