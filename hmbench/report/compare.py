"""Compares runs on the clips that all of them have: means, paired differences, breakdowns.

Two runs differ in their models and in nothing else, or the comparison is refused: data, split, profile, tracker and
metric versions must agree. Differences are taken clip by clip; intervals and tests count scenes, not clips
(`hmbench.results.intervals`, `hmbench.results.statistics`); p-values are corrected by Holm over every test of the
comparison (metrics times pairs). Breakdowns carry intervals and no p-values: they are for
looking, and testing each of them would find something by chance.

Runs that cannot win are shown and never ranked: models with untrained weights, and models that were shown the truth.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hmbench.errors import UserError
from hmbench.report.compare_inputs import (
    KINDS,
    ComparedRun,
    RunRows,
    check_comparable,
    choose_metrics,
    comparable_metrics,
    direction,
    expanded,
    load_runs,
    metric_info,
    not_in_all,
    pool_runs,
    rows_by_metric,
    shared_samples,
)
from hmbench.results.intervals import Bounds, mean_interval
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.results.statistics import PairedTest, holm, paired_test, tied
from hmbench.results.summary import bounds_of


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    """Mean over clips."""
    low: float | None
    """Lower end of the 95 % interval; None where `hmbench.results.intervals.mean_interval` has none."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True, kw_only=True)
class MetricMeans:
    """One metric on the clips on which every run has a value."""

    metric: str
    """Metric name."""
    version: int
    """Metric version."""
    higher_is_better: bool | None
    """Direction; None for numbers that describe and must not rank."""
    unit: str
    """Unit, empty for a ratio."""
    clips: int
    """Clips on which every run has a value."""
    scored: tuple[int, ...]
    """Clips on which each run has one, by run."""
    runs: tuple[Estimate | None, ...]
    """By run; None if there is no common clip."""
    reason: str | None
    """Why there is no common clip, as most rows say; None if there is one."""
    best: int | None
    """Index of the best ranked run; None without direction or with fewer than two ranked runs."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One run against another on one metric."""

    metric: str
    """Metric name."""
    model: int
    """Index of the run."""
    reference: int
    """Index of the run that it is compared with."""
    clips: int
    """Clips on which both have a value."""
    test: PairedTest | None
    """None if there is no common clip."""
    p_holm: float | None
    """Corrected p-value; None for metrics without direction, which are not tested, and below six scenes."""


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """One metric on the clips of one kind."""

    by: str
    """What clips are divided by."""
    value: str
    """The kind."""
    metric: str
    """Metric name."""
    clips: int
    """Clips of this kind on which every run has a value."""
    runs: tuple[Estimate | None, ...]
    """By run."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that is said about a set of runs."""

    runs: tuple[ComparedRun, ...]
    """In the order given."""
    samples: tuple[str, ...]
    """Clips that all runs have."""
    warnings: tuple[str, ...]
    """What a reader must know."""
    means: tuple[MetricMeans, ...]
    """One entry a metric."""
    differences: tuple[Difference, ...]
    """One entry a metric and pair."""
    breakdowns: tuple[Breakdown, ...]
    """One entry a kind of clip and metric."""
    seed: int
    """Seed of bootstrap and random flips."""


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """What to compare."""

    metrics: Sequence[str] | Literal["headline", "all"] = "headline"
    """Metric names, or a set of them. Fewer tests are corrected less."""
    pairs: Literal["first", "all"] = "first"
    """``first``: every run against the first; ``all``: every pair."""
    pool_seeds: bool = False
    """Whether runs that differ in their seed alone are one model, a clip's value the mean over seeds."""
    seed: int = 0
    """Seed of bootstrap and random flips."""


def compare_runs(folders: Sequence[Path], settings: CompareSettings | None = None) -> Comparison:
    """Compares run folders.

    Args:
        folders: Two or more folders of `hmbench eval`; the first is the reference. A folder of several seeds
            (`hmbench.run.seeds`) is one model: a clip's value is the mean over its seeds.
        settings: What to compare.

    Raises:
        UserError: If a folder is no run, or the runs must not be compared.
    """
    settings = settings or CompareSettings()
    if len(folders) < 2:
        raise UserError("A comparison needs at least two runs.", "Give two or more run folders or model names.")
    several = len(expanded(folders)) > len(folders)
    runs = load_runs(expanded(folders))
    warnings = check_comparable(runs)
    samples = shared_samples(runs)
    rows: list[RunRows] = [rows_by_metric(run, set(samples)) for run in runs]
    names = choose_metrics(runs, rows, settings.metrics)
    by_name = settings.metrics not in ("headline", "all")
    names, left_out = comparable_metrics(runs, rows, names, asked=by_name)
    left_out += [] if by_name else not_in_all(runs, rows)
    if settings.pool_seeds or several:
        runs, rows, said = pool_runs(runs, rows)
        if len(runs) < 2:
            raise UserError("All runs are seeds of one model.", "Give runs of two models, or leave --pool-seeds out.")
        warnings = check_comparable(runs, seeds=False) + said
    table = _Table(runs=runs, rows=rows, samples=samples, seed=settings.seed)
    warnings += left_out
    differences = _differences(table, names, settings.pairs)
    warnings += _without_p(differences)
    warnings += _too_few(differences)
    metadata = read_samples(runs[0].path)
    if metadata is None:
        warnings.append(f"{runs[0].path} has no samples.jsonl: no breakdowns.")
    return Comparison(
        runs=tuple(runs),
        samples=tuple(samples),
        warnings=tuple(warnings),
        means=tuple(table.means(name) for name in names),
        differences=tuple(differences),
        breakdowns=tuple(_breakdowns(table, names, metadata or {})),
        seed=settings.seed,
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Values of all runs on the shared clips."""

    runs: Sequence[ComparedRun]
    rows: Sequence[RunRows]
    samples: Sequence[str]
    seed: int

    def common(self, metric: str, which: Sequence[int], samples: Sequence[str] | None = None) -> list[str]:
        """Clips on which the runs in `which` have a value."""
        have = set.intersection(*(self.valued[i].get(metric, set()) for i in which))
        return [s for s in (self.samples if samples is None else samples) if s in have]

    @functools.cached_property
    def valued(self) -> list[dict[str, set[str]]]:
        """Of each run and metric the clips that have a value: asked again for each pair and each breakdown."""
        return [
            {metric: {s for s, row in column.items() if row.value is not None} for metric, column in rows.items()}
            for rows in self.rows
        ]

    def values(self, metric: str, run: int, samples: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self.rows[run][metric]
        return np.array([column[sample].value for sample in samples], dtype=np.float64)

    def clusters(self, metric: str, samples: Sequence[str]) -> list[str]:
        column = self.rows[0][metric]
        return [column[sample].cluster or sample for sample in samples]

    def bounds(self, metric: str) -> Bounds | None:
        return bounds_of(metric_info(self.runs, metric))

    def estimates(self, metric: str, samples: Sequence[str]) -> tuple[Estimate | None, ...]:
        if not samples:
            return (None,) * len(self.runs)
        clusters, bounds = self.clusters(metric, samples), self.bounds(metric)
        found = []
        for run in range(len(self.runs)):
            values = self.values(metric, run, samples)
            low, high = mean_interval(values, clusters, bounds=bounds, seed=self.seed) or (None, None)
            found.append(Estimate(mean=math.fsum(values) / len(values), low=low, high=high))
        return tuple(found)

    def reason(self, metric: str) -> str:
        """The commonest reason for a missing value."""
        given = [row.reason for column in self.rows for row in column.get(metric, {}).values() if row.reason]
        return max(sorted(set(given)), key=given.count) if given else "no run has a row of it."

    def means(self, metric: str) -> MetricMeans:
        everyone = range(len(self.runs))
        samples = self.common(metric, everyone)
        info = metric_info(self.runs, metric)
        runs = self.estimates(metric, samples)
        return MetricMeans(
            metric=metric,
            version=_version(self.rows, metric),
            higher_is_better=direction(self.runs, metric),
            unit="" if info is None else info.unit,
            clips=len(samples),
            scored=tuple(len(self.common(metric, [i])) for i in everyone),
            runs=runs,
            reason=None if samples else self.reason(metric),
            best=_best(self.runs, runs, direction(self.runs, metric)),
        )


def _version(rows: Sequence[RunRows], metric: str) -> int:
    return next(iter(rows[0][metric].values())).version


def _differences(table: _Table, names: Sequence[str], pairs: Literal["first", "all"]) -> list[Difference]:
    indices = range(len(table.runs))
    chosen = (
        [(i, 0) for i in indices[1:]] if pairs == "first" else [(b, a) for a, b in itertools.combinations(indices, 2)]
    )
    found = [_difference(table, name, model, reference) for name in names for model, reference in chosen]
    directed = {name for name in names if direction(table.runs, name) is not None}
    tested = {i: d.test.p for i, d in enumerate(found) if d.test and d.test.p is not None and d.metric in directed}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [replace(d, p_holm=corrected.get(i)) for i, d in enumerate(found)]


def _difference(table: _Table, metric: str, model: int, reference: int) -> Difference:
    samples = table.common(metric, (model, reference))
    test = None
    if samples:
        test = paired_test(
            table.values(metric, model, samples),
            table.values(metric, reference, samples),
            table.clusters(metric, samples),
            higher_is_better=direction(table.runs, metric) is not False,
            bounds=table.bounds(metric),
            seed=table.seed,
        )
    return Difference(metric=metric, model=model, reference=reference, clips=len(samples), test=test, p_holm=None)


def _without_p(differences: Sequence[Difference]) -> list[str]:
    """Why some or all differences have no p-value."""
    reasons = {d.test.reason: None for d in differences if d.test is not None and d.test.reason}
    return [f"No p-value on {reason}. Evaluate clips of more scenes." for reason in reasons]


def _too_few(differences: Sequence[Difference]) -> list[str]:
    """A warning if not even the clearest difference could be significant."""
    tests = [d.test for d in differences if d.p_holm is not None and d.test is not None]
    scenes = max((test.scenes for test in tests), default=0)
    smallest = min(1.0, 2.0 ** (1 - scenes) * len(tests))
    if not tests or smallest < 0.05:
        return []
    return [
        f"Too few scenes to find anything: with {scenes} and {len(tests)} tests no corrected p-value can be below "
        f"{smallest:.2f}. Evaluate clips of more scenes, or test fewer metrics."
    ]


def _breakdowns(table: _Table, names: Sequence[str], metadata: Mapping[str, SampleRow]) -> list[Breakdown]:
    found = []
    for by, kind_of in KINDS.items():
        groups: dict[str, list[str]] = {}
        for sample in table.samples:
            kind = kind_of(metadata[sample]) if sample in metadata else None
            if kind is not None:
                groups.setdefault(kind, []).append(sample)
        groups = {kind: members for kind, members in groups.items() if len(members) > 1}  # one clip is no kind
        if len(groups) < 2:
            continue
        for value, metric in itertools.product(sorted(groups), names):
            samples = table.common(metric, range(len(table.runs)), groups[value])
            runs = table.estimates(metric, samples)
            found.append(Breakdown(by=by, value=value, metric=metric, clips=len(samples), runs=runs))
    return found


def _best(
    runs: Sequence[ComparedRun], estimates: Sequence[Estimate | None], higher_is_better: bool | None
) -> int | None:
    """Index of the best ranked run; None if none can be named: no direction, no rival, or a tie."""
    ranked = {i: e.mean for i, (run, e) in enumerate(zip(runs, estimates, strict=True)) if run.ranked and e}
    if higher_is_better is None or len(ranked) < 2:
        return None
    top = (max if higher_is_better else min)(ranked.values())
    winners = [i for i, mean in ranked.items() if tied(mean, top)]
    return winners[0] if len(winners) == 1 else None
