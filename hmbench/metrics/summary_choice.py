"""How the one score to rank by was chosen: candidates, held against a validity study.

A score that ranks models must put every faulty clip below the clean one, whichever memory failed; it must not put a
clip that only went through a codec below one that lost its subject; and it must fall as a fault grows. So candidates
are ordered by, first, whether the worst of their faults has an AUC of `SEEN` at least; then by the share of pairs
(nuisance, fault) of one clip in which the nuisance scores better; then by monotonicity. What differs by less than
`TIE` is a tie, and a tie keeps what is published.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hmbench.metrics.validity import Study, auc, kinds_of, monotonicity, signed_values
from hmbench.metrics.validity_targets import SEEN

TIE = 0.01
PUBLISHED = "harmonic mean"
"""The candidate that `memory_score` is."""


class Candidate(NamedTuple):
    """A way to make one number of several."""

    name: str
    of: tuple[str, ...]
    """Metrics in [0, 1], higher is better."""
    combine: Callable[[tuple[float, ...]], float]


class Weighed(NamedTuple):
    """What a study says of a candidate; NaN where it says nothing."""

    name: str
    of: tuple[str, ...]
    worst_fault: float
    """Lowest AUC of clean against fault at full strength."""
    worst_fault_kind: str
    """Which fault that is."""
    robust: float
    """Share of pairs (nuisance, fault) of one clip in which the nuisance scores better."""
    worst_pair: float
    """The same for the worst pair of a nuisance and a fault."""
    monotone: float
    """Share of steps of strength at which it does not rise."""


def harmonic(values: tuple[float, ...]) -> float:
    """Harmonic mean; 0 if any value is 0."""
    return len(values) / sum(1 / v for v in values) if min(values) > 0 else 0.0


def geometric(values: tuple[float, ...]) -> float:
    """Geometric mean."""
    return math.prod(values) ** (1 / len(values))


def arithmetic(values: tuple[float, ...]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


BOTH = ("background_fidelity", "reentry_success")
CANDIDATES = (
    Candidate(PUBLISHED, BOTH, harmonic),
    Candidate("geometric mean", BOTH, geometric),
    Candidate("arithmetic mean", BOTH, arithmetic),
    Candidate("smaller one", BOTH, min),
    Candidate("product", BOTH, math.prod),
    Candidate("harmonic mean", ("background_fidelity", "verdict_returned"), harmonic),
    Candidate("harmonic mean", ("ssim_background", "reentry_success"), harmonic),
    Candidate("harmonic mean", ("background_fidelity", "dsc_calibrated"), harmonic),
    Candidate("harmonic mean", (*BOTH, "dsc_calibrated"), harmonic),
    Candidate("alone", ("reentry_success",), arithmetic),
    Candidate("alone", ("background_fidelity",), arithmetic),
)


def weigh_summaries(study: Study) -> list[dict[str, Any]]:
    """All candidates, best first; null where the study says nothing. Empty if a part was not measured."""
    known = set(study.directions)
    found = [_weigh(study, c) for c in CANDIDATES if known.issuperset(c.of)]
    return [_as_json(weighed) for weighed in ranked(found)]


def ranked(found: list[Weighed]) -> list[Weighed]:
    """Best first; ties in the order of `CANDIDATES`, which begins with what is published."""

    def rank(weighed: Weighed) -> tuple[bool, float, float]:
        separates = weighed.worst_fault >= SEEN
        return not separates, -_rounded(weighed.robust), -_rounded(weighed.monotone)

    return sorted(found, key=rank)


def summary_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The candidates as a Markdown table."""
    lines = [
        "Candidates for one score, best first: the lowest AUC of clean against fault; the share of pairs of a nuisance "
        "and a fault of one clip in which the nuisance scores better, and its worst pair; monotonicity.",
        "",
        "| summary | of | worst fault | robust | worst pair | monotone |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        of = ", ".join(f"`{name}`" for name in row["of"])
        numbers = " | ".join("-" if row[k] is None else f"{row[k]:.2f}" for k in ("robust", "worst_pair", "monotone"))
        worst = "-" if row["worst_fault"] is None else f"{row['worst_fault']:.2f} ({row['worst_fault_kind']})"
        lines.append(f"| {row['name']} | {of} | {worst} | {numbers} |")
    return lines


def _weigh(study: Study, candidate: Candidate) -> Weighed:
    faults, nuisances = kinds_of(study)
    full = study.config.strengths[-1]
    clean = _values(study, candidate, "clean", 0.0)
    faulty = {kind: _values(study, candidate, kind, full) for kind in faults}
    noisy = {kind: _values(study, candidate, kind, full) for kind in nuisances}
    aucs = {kind: auc(list(clean.values()), list(values.values())) for kind, values in faulty.items()}
    worst = min(aucs, key=lambda kind: aucs[kind]) if aucs else ""
    pairs = [_better(a, b) for a, b in itertools.product(noisy.values(), faulty.values())]
    steps = []
    for kind in faults:
        levels = [clean, *(_values(study, candidate, kind, s) for s in study.config.strengths)]
        steps += [[level[sample] for level in levels] for sample in clean if all(sample in level for level in levels)]
    return Weighed(
        candidate.name,
        candidate.of,
        aucs.get(worst, math.nan),
        worst,
        float(np.mean(pairs)) if pairs else math.nan,
        min(pairs, default=math.nan),
        monotonicity(steps),
    )


def _values(study: Study, candidate: Candidate, kind: str, strength: float) -> dict[str, float]:
    parts = [signed_values(study, name, kind, strength) for name in candidate.of]
    samples = set.intersection(*(set(part) for part in parts))
    return {sample: candidate.combine(tuple(part[sample] for part in parts)) for sample in sorted(samples)}


def _better(a: dict[str, float], b: dict[str, float]) -> float:
    """Share of samples with a larger value in `a`, ties count half."""
    both = sorted(set(a) & set(b))
    return float(np.mean([auc([a[sample]], [b[sample]]) for sample in both])) if both else math.nan


def _rounded(value: float) -> float:
    return -1.0 if math.isnan(value) else round(value / TIE) * TIE


def _as_json(weighed: Weighed) -> dict[str, Any]:
    plain = weighed._asdict()
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}
