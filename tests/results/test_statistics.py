"""Paired statistics against scipy and against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.stats import permutation_test

from hmbench.results.intervals import Scenes, difference_interval
from hmbench.results.statistics import EXACT_SCENES, MIN_TEST_SCENES, holm, paired_test, scene_p, sign_flip_p


def draw(count: int, shift: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, count)


@pytest.mark.parametrize("count", [1, 2, 5, 9, EXACT_SCENES])
@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_sign_flips_equal_counting_all_of_them(count, shift) -> None:
    values = draw(count, shift, seed=count)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip_p(values) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_drawn_sign_flip_is_near_scipys_t_test(shift) -> None:
    values = draw(60, shift, seed=4)
    expected = stats.ttest_1samp(values, 0.0).pvalue
    assert sign_flip_p(values) == pytest.approx(expected, abs=0.02)


def test_drawn_sign_flips_agree_with_all_of_them() -> None:
    values = draw(EXACT_SCENES + 4, 0.4, seed=9)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(values))))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip_p(values) == pytest.approx(exact, abs=0.01)


def test_p_is_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(1)
    p_values = [sign_flip_p(rng.normal(size=12), flips=999) for _ in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_p_is_the_largest_of_three() -> None:
    """Each of the three is the largest somewhere, and equals its independent computation there."""
    rng = np.random.default_rng(5)
    found = set()
    for number in range(12):
        sizes = np.array([2, 2, 3, 1, 2, 4, 2, 2]) if number % 2 else np.full(8, 2)
        sums = (rng.exponential(1.0, 8) - 1.8) * sizes if number % 3 else rng.normal(0.8, 1.0, 8) * sizes
        scenes = Scenes(sums, sizes.astype(float))
        t = scenes.mean / scenes.error
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=8)))
        flips = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean()
        student = 2 * stats.t.sf(abs(t), scenes.freedom)
        drawn = scenes.studentised(seed=0)
        draws = min(1.0, 2 * (1 + min((drawn >= t).sum(), (drawn <= t).sum())) / (1 + len(drawn)))
        three = [flips, student, draws]
        assert scene_p(scenes, seed=0) == pytest.approx(max(three))
        found.add(int(np.argmax(three)))
    assert found == {0, 1, 2}


def test_bootstrap_t_draws_are_scipys() -> None:
    """The pivots of equal scenes against scipy's own standard errors, on other draws."""
    means = draw(15, 0.3)
    ours = Scenes(means * 2, np.full(15, 2.0)).studentised(seed=0)
    drawn = means[np.random.default_rng(8).integers(15, size=(20_000, 15))]
    theirs = (drawn.mean(axis=1) - means.mean()) / stats.sem(drawn, axis=1)
    np.testing.assert_allclose(np.quantile(ours, [0.1, 0.5, 0.9]), np.quantile(theirs, [0.1, 0.5, 0.9]), atol=0.06)


def test_no_difference_gives_one() -> None:
    for count in (6, 40):
        result = paired_test(np.arange(count) + 0.5, np.arange(count) + 0.5, [""] * count)
        assert (result.p, result.difference, result.wins, result.losses) == (1.0, 0.0, 0, 0)
        assert result.ties == count


def test_p_never_reaches_zero() -> None:
    assert 0 < sign_flip_p(np.full(50, 3.0)) < 1e-3
    assert paired_test(np.full(50, 3.0), np.zeros(50), [""] * 50).p == pytest.approx(1e-3)  # 2 / (draws + 1)


def test_scenes_are_flipped_whole() -> None:
    """Ten scenes of eight equal clips hold ten observations, not eighty."""
    scenes = [f"scene {i}" for i in range(10) for _ in range(8)]
    per_scene = draw(10, 0.5, seed=2)
    result = paired_test(np.repeat(per_scene, 8), np.zeros(80), scenes)
    once = paired_test(per_scene, np.zeros(10), [f"scene {i}" for i in range(10)])
    assert result.scenes == 10
    assert result.p == pytest.approx(once.p)
    assert (result.low, result.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize("sizes", [[1, 5, 2, 9, 3], [16]])
def test_few_scenes_have_no_p_value_and_say_why(sizes) -> None:
    scenes = [f"scene {k}" for k, size in enumerate(sizes) for _ in range(size)]
    result = paired_test(np.arange(float(len(scenes))) + 1, np.zeros(len(scenes)), scenes)
    assert result.p is None
    assert result.reason.startswith(f"{len(sizes)} scene") and "cannot give a p-value below 0.05" in result.reason
    assert 2 / 2 ** (MIN_TEST_SCENES - 1) > 0.05 > 2 / 2**MIN_TEST_SCENES
    assert (result.low is None) == (len(sizes) < 4)


def test_unequal_scenes_weigh_by_their_clips() -> None:
    sizes = [1, 1, 2, 3, 4, 6, 8]
    scenes = [f"scene {k}" for k, size in enumerate(sizes) for _ in range(size)]
    values = draw(len(scenes), 0.4, seed=11)
    result = paired_test(values, np.zeros(len(values)), scenes)
    sums = np.array([values[[s == f"scene {k}" for s in scenes]].sum() for k in range(7)])
    assert result.difference == pytest.approx(sums.sum() / sum(sizes))
    assert result.p == pytest.approx(scene_p(Scenes(sums, np.array(sizes, dtype=float))))
    assert (result.low, result.high) == tuple(difference_interval(values, scenes))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_significant_has_an_interval_without_zero(seed) -> None:
    sizes = [1, 2, 2, 3, 1, 4, 2, 2, 3]
    scenes = [f"scene {k}" for k, size in enumerate(sizes) for _ in range(size)]
    values = draw(len(scenes), 0.15 * seed, seed=seed) * 10
    result = paired_test(values, np.zeros(len(values)), scenes, bounds=(0.0, None))
    if result.p < 0.049:
        assert result.low * result.high > 0


def test_unknown_scenes_are_scenes_of_their_own() -> None:
    values = draw(12, 0.5)
    named = paired_test(values, np.zeros(12), [str(i) for i in range(12)])
    unknown = paired_test(values, np.zeros(12), [""] * 12)
    assert unknown.scenes == 12
    assert unknown.p == pytest.approx(named.p)


def test_direction_decides_wins_and_leaves_the_difference() -> None:
    model, reference = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 1.0, 1.0])
    up = paired_test(model, reference, list("abcd"))
    down = paired_test(model, reference, list("abcd"), higher_is_better=False)
    assert (up.wins, up.ties, up.losses) == (2, 1, 1)
    assert (down.wins, down.ties, down.losses) == (1, 1, 2)
    assert up.difference == down.difference == pytest.approx(1.0)


@pytest.mark.parametrize(("factor", "ties"), [(1e-9, 12), (9e-7, 12), (1.2e-6, 0)])
def test_what_single_precision_cannot_tell_is_a_tie(factor: float, ties: int) -> None:
    """Another machine's last digits go one way in every clip, and would be the surest of all differences."""
    values = np.linspace(20, 36, 12)
    result = paired_test(values * (1 + factor), values, [f"scene{i}" for i in range(12)])
    assert (result.ties, result.wins) == (ties, 12 - ties)
    assert result.p == 1.0 if ties else result.p < 0.01
    assert result.difference == (0 if ties else pytest.approx(values.mean() * factor, rel=1e-6))


def test_rounding_is_a_tie() -> None:
    result = paired_test(np.full(6, 0.1 + 0.2), np.full(6, 0.3), [""] * 6)
    assert (result.ties, result.p) == (6, 1.0)


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


@pytest.mark.parametrize("count", [2, 7, 13, 14, 40])
def test_sign_flips_are_those_of_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    for differences in (rng.normal(size=count), rng.integers(-1, 2, size=count) / 3.0, rng.normal(0.5, 1, size=count)):
        expected = permutation_test(
            (differences,),
            lambda x, axis: np.sum(x, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**EXACT_SCENES if count <= EXACT_SCENES else 9999,
            rng=np.random.default_rng(3),
        ).pvalue
        got = sign_flip_p(differences, seed=3)
        assert got == (pytest.approx(expected, abs=1e-12) if differences.any() else 1.0)
