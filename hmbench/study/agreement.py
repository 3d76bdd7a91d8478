"""How far each metric agrees with people who looked at two runs (`hmbench.study.page`).

A person prefers a run on a clip, or sees no difference. A metric prefers the run with the better value there. Its
*accuracy* is the share of people's preferences that it shares; a metric without a difference counts a half, as a coin
would. *Kendall's tau* (b) holds the metric's differences against the mean preference of people, over clips. Judgements
of one clip, and of one person, resemble each other: the interval takes clips whole, another takes persons whole, and
the wider one is told.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import UserError
from hmbench.report.compare_inputs import ComparedRun, direction, rows_by_metric
from hmbench.report.text_table import TextTable, number
from hmbench.results.intervals import Interval, mean_interval
from hmbench.results.run_folder import RunFolder
from hmbench.results.statistics import tied
from hmbench.study.choices import Judgement, judgements, read_choices, refuse_doubles
from hmbench.study.page import WORDS, open_runs, study_of

MIN_CLIPS = 10
"""Fewer judged clips give no number: even full agreement on nine would have an interval from 0.70 on."""
MIN_RATERS = 2
"""One person's taste is no measure of a metric."""
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MetricAgreement:
    """One metric against people."""

    metric: str
    """Metric."""
    clips: int
    """Clips with values of both runs and a judgement."""
    preferences: int
    """Judgements there that prefer a run."""
    accuracy: float | None
    """Share of these that the metric shares, ties a half; None if `reason`."""
    low: float | None
    """Lower end of its 95 % interval, the wider one of clips and raters."""
    high: float | None
    """Upper end."""
    tau: float | None
    """Kendall's tau-b with people's mean preference, over clips."""
    tau_low: float | None
    """Lower end of its 95 % interval (BCa bootstrap over clips)."""
    tau_high: float | None
    """Upper end."""
    reason: str | None
    """Why there are no numbers."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """All that a study says."""

    runs: tuple[str, str]
    """Labels of the study's first and second run."""
    raters: tuple[str, ...]
    """Who judged."""
    clips: int
    """Judged clips."""
    first_preferred: float
    """Share of preferences for the first run."""
    between_people: float | None
    """Share of pairs of people with preferences on one clip that prefer the same: what a metric may hope for."""
    with_themselves: float | None
    """Share of repeated clips on which a person preferred the same run again."""
    metrics: tuple[MetricAgreement, ...]
    """Metrics with a direction, best first."""
    words: dict[str, dict[str, int]]
    """Word to on how many (clip, run) most people said it, the metrics' verdicts did, both did."""


def agreement(files: Sequence[Path], folders: Sequence[Path], *, seed: int = 0) -> Agreement:
    """Holds every metric of two runs against people's choices.

    Args:
        files: Files of choices, at least one a person.
        folders: The two runs that the page was made from.
        seed: Seed of the bootstraps.

    Raises:
        UserError: If files are damaged, of another study, or there are too few of them.
    """
    if not files:
        raise UserError("No choices were given.", "Give the files that people saved from the page.")
    contents = [read_choices(path) for path in files]
    plans = [study_of(folders, content) for content in contents]
    judged = [j for content, plan in zip(contents, plans, strict=True) for j in judgements(content, plan)]
    if len({plan.study for plan in plans}) > 1:
        raise UserError("The choices are of different studies.", "Give files of one page at a time.")
    refuse_doubles(judged)
    fresh = [j for j in judged if not j.repeated]
    raters = tuple(sorted({j.rater for j in fresh}))
    clips = sorted({j.sample for j in fresh})
    if len(raters) < MIN_RATERS:
        raise UserError(
            f"Choices of {len(raters)} person: at least {MIN_RATERS} are needed, one taste measures no metric.",
            "Ask more people.",
        )
    if len(clips) < MIN_CLIPS:
        raise UserError(
            f"People judged {len(clips)} clips: with fewer than {MIN_CLIPS} even full agreement says little.",
            "Make a page of more clips.",
        )
    runs = open_runs(folders)
    first, second = (runs[i] for i in plans[0].runs)
    preferred = [j.preference for j in fresh if j.preference]
    return Agreement(
        runs=(first.label, second.label),
        raters=raters,
        clips=len(clips),
        first_preferred=float(np.mean(np.array(preferred) > 0)) if preferred else float("nan"),
        between_people=_share(_pairs(fresh)),
        with_themselves=_share(_again(judged)),
        metrics=tuple(_metrics(first, second, fresh, set(clips), seed)),
        words=_words(first, second, fresh),
    )


def agreement_table(found: Agreement) -> TextTable:
    """A row a metric."""
    told = [m for m in found.metrics if m.reason is None]
    people = "–" if found.between_people is None else f"{found.between_people:.2f}"
    own = "–" if found.with_themselves is None else f"{found.with_themselves:.2f}"
    return TextTable(
        title=f"Agreement with {len(found.raters)} people on {found.clips} clips: {' against '.join(found.runs)}",
        header=["metric", "clips", "preferences", "accuracy", "Kendall's tau"],
        rows=[
            [
                m.metric,
                str(m.clips),
                str(m.preferences),
                _with_interval(m.accuracy, m.low, m.high),
                _with_interval(m.tau, m.tau_low, m.tau_high),
            ]
            for m in told
        ],
        notes=[
            f"Two people agree in {people} of cases, a person with itself in {own}. {found.runs[0]} is preferred in "
            f"{found.first_preferred:.2f}. 0.5 is a coin. Intervals: 95 %, over clips or people, whichever is wider.",
            *(f"{m.metric}: {m.reason}" for m in found.metrics if m.reason),
        ],
    )


def words_table(found: Agreement) -> TextTable:
    """A row a word."""
    return TextTable(
        title="What is wrong, of clips and runs",
        header=["word", "most people", "verdicts", "both"],
        rows=[
            [word, *(str(counts[k]) for k in ("people", "verdicts", "both"))] for word, counts in found.words.items()
        ],
        notes=["Verdicts: of any event of the clip. Words about the background have none."],
    )


def agreement_record(found: Agreement) -> dict[str, Any]:
    """Everything, as JSON types."""
    return asdict(found)


def _pairs(judged: Sequence[Judgement]) -> list[float]:
    """For every clip and pair of people who both prefer a run: whether it is the same."""
    by_clip: dict[str, list[float]] = {}
    for j in judged:
        if j.preference:
            by_clip.setdefault(j.sample, []).append(j.preference)
    return [float(a == b) for ps in by_clip.values() for i, a in enumerate(ps) for b in ps[:i]]


def _again(judged: Sequence[Judgement]) -> list[float]:
    before = {(j.rater, j.sample): j.preference for j in judged if not j.repeated}
    both = [(before.get((j.rater, j.sample)), j.preference) for j in judged if j.repeated]
    return [float(a == b) for a, b in both if a is not None]


def _metrics(
    first: ComparedRun, second: ComparedRun, judged: Sequence[Judgement], clips: set[str], seed: int
) -> list[MetricAgreement]:
    ours, theirs = rows_by_metric(first, clips), rows_by_metric(second, clips)
    found = []
    for name in (name for name in ours if name in theirs):
        better = direction([first, second], name)
        if better is None:
            continue
        differences = {}
        for sample in sorted(clips):
            a, b = (rows[name].get(sample) for rows in (ours, theirs))
            if a is not None and b is not None and a.value is not None and b.value is not None:
                gap = a.value - b.value
                differences[sample] = 0.0 if tied(a.value, b.value) else gap if better else -gap
        found.append(metric_agreement(name, differences, judged, seed=seed))
    return sorted(found, key=lambda m: (m.accuracy is None, -(m.accuracy or 0.0), m.metric))


def metric_agreement(
    name: str, differences: dict[str, float], judged: Sequence[Judgement], *, seed: int = 0
) -> MetricAgreement:
    """One metric against people.

    Args:
        name: Metric.
        differences: Clip to how much better the first run is.
        judged: Judgements; those of clips without a difference are left out.
        seed: Seed of the bootstrap.
    """
    there = [j for j in judged if j.sample in differences]
    decided = [j for j in there if j.preference]
    clips = sorted({j.sample for j in there})
    enough = len({j.sample for j in decided}) >= MIN_CLIPS
    if not enough:
        reason = f"people prefer a run on {len({j.sample for j in decided})} clips that it has values of: too few"
        return MetricAgreement(
            metric=name, clips=len(clips), preferences=len(decided), accuracy=None, low=None, high=None, tau=None,
            tau_low=None, tau_high=None, reason=reason,
        )  # fmt: skip
    shared = np.array([(1 + np.sign(differences[j.sample]) * j.preference) / 2 for j in decided])
    interval = _wider(
        mean_interval(shared, [j.sample for j in decided], bounds=(0.0, 1.0), seed=seed),
        mean_interval(shared, [j.rater for j in decided], bounds=(0.0, 1.0), seed=seed),
    )
    people = np.array([np.mean([j.preference for j in there if j.sample == s]) for s in clips])
    tau, tau_interval = kendall(np.array([differences[s] for s in clips]), people, seed=seed)
    return MetricAgreement(
        metric=name, clips=len(clips), preferences=len(decided), accuracy=float(shared.mean()),
        low=interval.low if interval else None, high=interval.high if interval else None, tau=tau,
        tau_low=tau_interval.low if tau_interval else None, tau_high=tau_interval.high if tau_interval else None,
        reason=None,
    )  # fmt: skip


def kendall(metric: Array, people: Array, *, seed: int = 0) -> tuple[float | None, Interval | None]:
    """Kendall's tau-b over clips, and its BCa bootstrap interval; None where either side never differs."""
    from scipy import stats

    value = float(_tau_b(metric, people))
    if math.isnan(value):
        return None, None
    if abs(value) == 1:
        return value, None  # no draw of clips says anything else: the bootstrap cannot know how far off it may be
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # its answer is NaN, and no interval is told
        found = stats.bootstrap(
            (metric, people), _tau_b, paired=True, vectorized=True, n_resamples=1999, batch=100, method="BCa", rng=rng
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return value, None if math.isnan(low) or math.isnan(high) else Interval(low, high)


def _tau_b(x: Array, y: Array, axis: int = -1) -> Array:
    """Kendall's tau-b along the last axis of many draws at once; NaN where one side never differs."""
    assert axis == -1, axis
    by_x, by_y = (np.sign(v[..., :, None] - v[..., None, :]) for v in (x, y))
    untied = np.sqrt((by_x**2).sum(axis=(-1, -2)) * (by_y**2).sum(axis=(-1, -2)))
    with np.errstate(invalid="ignore"):
        return np.asarray((by_x * by_y).sum(axis=(-1, -2)) / untied, dtype=np.float64)


def _wider(by_clip: Interval | None, by_rater: Interval | None) -> Interval | None:
    given = [i for i in (by_clip, by_rater) if i is not None]
    return max(given, key=lambda i: i.high - i.low) if given else None


def _words(first: ComparedRun, second: ComparedRun, judged: Sequence[Judgement]) -> dict[str, dict[str, int]]:
    verdicts = [_verdicts(run) for run in (first, second)]
    counts = {word: dict.fromkeys(("people", "verdicts", "both"), 0) for word in WORDS}
    for sample in sorted({j.sample for j in judged}):
        there = [j for j in judged if j.sample == sample]
        for side in (0, 1):
            for word in WORDS:
                people = sum(word in j.wrong[side] for j in there) * 2 > len(there)
                metric = word in verdicts[side].get(sample, set())
                for key, true in (("people", people), ("verdicts", metric), ("both", people and metric)):
                    counts[word][key] += true
    return counts


def _verdicts(run: ComparedRun) -> dict[str, set[str]]:
    """Verdicts of each clip's events."""
    found: dict[str, set[str]] = {}
    for event in RunFolder(run.path).events():
        if event.verdict is not None:
            found.setdefault(event.sample, set()).add(event.verdict)
    return found


def _share(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return number(value) + ("" if low is None else f" [{number(low)}, {number(high)}]")
