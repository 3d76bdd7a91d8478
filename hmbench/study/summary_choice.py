"""How the one score to rank by was chosen: candidates, held against a validity study.

A score that ranks models must put every faulty clip below the clean one, whichever memory failed; it must not put a
clip that only went through a codec below one that lost its subject; and it must fall as a fault grows. So a candidate
must separate: the worst of its faults has an AUC of `SEEN` at least. Among those that do, one goes before what is
published if it leads in the share of pairs (nuisance, fault) of one clip in which the nuisance scores better, or, with
no lead or lag there, in monotonicity. A lead is what the clips can tell from chance (`SURE`, flipping signs clip by
clip); everything else is a tie, and a tie keeps what is published.

And it must be fair at the lower end: what needs no memory (`hmbench.study.tricks`) is worth `NOTHING` at most in the
mean, and a clip that remembers the place and lost its subject stands above it. A mean that gives nothing to one memory
alone fails here: there models that know the place stand beside tricks that know nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hmbench.results.statistics import sign_flip_p
from hmbench.study.tricks import TRICKS
from hmbench.study.validity import Study, auc, kinds_of, monotonicity, signed_values
from hmbench.study.validity_targets import NOTHING, SEEN

SURE = 0.05
"""p-value below which a candidate's lead over the published one is no chance."""
ONE_MEMORY = "vanished"
"""The fault that leaves the memory of the place alone."""
PUBLISHED = "power mean"
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
    lead: float
    """`robust` minus the published candidate's."""
    p: float
    """Probability of such a lead, or such a lag, by chance."""
    monotone: float
    """Share of steps of strength at which it does not rise."""
    monotone_lead: float
    """`monotone` minus the published candidate's."""
    monotone_p: float
    """Probability of such a lead by chance."""
    trick: float
    """Highest mean of a memoryless prediction."""
    one_memory: float
    """Share of pairs in which a clip that lost its subject alone scores better than a memoryless prediction."""

    @property
    def fair(self) -> bool:
        """Whether it is fair at the lower end; yes where the study has no memoryless predictions."""
        return not (self.trick > NOTHING or self.one_memory < SEEN)


def harmonic(values: tuple[float, ...]) -> float:
    """Harmonic mean; 0 if any value is 0."""
    return len(values) / sum(1 / v for v in values) if min(values) > 0 else 0.0


def power(values: tuple[float, ...]) -> float:
    """Power mean of exponent 1/2."""
    return float(np.mean(np.sqrt(values)) ** 2)


def geometric(values: tuple[float, ...]) -> float:
    """Geometric mean."""
    return math.prod(values) ** (1 / len(values))


def arithmetic(values: tuple[float, ...]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


BOTH = ("background_fidelity", "reentry_success")
CANDIDATES = (
    Candidate(PUBLISHED, BOTH, power),
    Candidate("harmonic mean", BOTH, harmonic),
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
    """All candidates, best first; null where the study says nothing. Empty if what is published was not measured."""
    known = set(study.directions)
    if not known.issuperset(CANDIDATES[0].of):
        return []
    found = [_weigh(study, c) for c in CANDIDATES if known.issuperset(c.of)]
    return [_as_json(weighed) for weighed in ranked(found)]


def ranked(found: list[Weighed]) -> list[Weighed]:
    """Best first; ties in the order of `CANDIDATES`, which begins with what is published."""

    def rank(weighed: Weighed) -> tuple[bool, bool, float, float]:
        robust = _sure(weighed.lead, weighed.p)
        return not weighed.fair, weighed.worst_fault < SEEN, -robust, -_sure(weighed.monotone_lead, weighed.monotone_p)

    return sorted(found, key=rank)


def summary_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The candidates as a Markdown table."""
    lines = [
        "Candidates for one score, best first.",
        "",
        "* trick: the highest mean of a memoryless prediction.",
        "* one memory: share of pairs in which a clip that only lost its subject scores better than one of these.",
        "* worst fault: the lowest AUC of clean against fault.",
        "* robust: share of pairs of a nuisance and a fault of one clip in which the nuisance scores better.",
        "* monotone: share of steps of strength at which the value does not rise.",
        "* lead: over the published candidate, with the p-value of flipped signs.",
        "",
        "| summary | of | trick | one memory | worst fault | robust | lead (p) | monotone | lead (p) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        of = ", ".join(f"`{name}`" for name in row["of"])
        trick, one, worst, robust, monotone, lead, p, monotone_lead, monotone_p = (
            "-" if row[key] is None else f"{round(row[key], 2) + 0.0:.2f}"
            for key in (
                *("trick", "one_memory", "worst_fault", "robust", "monotone"),
                *("lead", "p", "monotone_lead", "monotone_p"),
            )
        )
        faults = f"{worst} ({row['worst_fault_kind']}) | {robust} | {lead} ({p})"
        lines.append(
            f"| {row['name']} | {of} | {trick} | {one} | {faults} | {monotone} | {monotone_lead} ({monotone_p}) |"
        )
    return lines


def _weigh(study: Study, candidate: Candidate) -> Weighed:
    faults, _ = kinds_of(study)
    full = study.config.strengths[-1]
    clean = _values(study, candidate, "clean", 0.0)
    aucs = {k: auc(list(clean.values()), list(_values(study, candidate, k, full).values())) for k in faults}
    worst = min(aucs, key=lambda kind: aucs[kind]) if aucs else ""
    robust, monotone = _robust(study, candidate), _monotone(study, candidate)
    lead, p = _lead(robust, _robust(study, CANDIDATES[0]))
    monotone_lead, monotone_p = _lead(monotone, _monotone(study, CANDIDATES[0]))
    return Weighed(
        candidate.name,
        candidate.of,
        aucs.get(worst, math.nan),
        worst,
        _mean(robust),
        lead,
        p,
        _mean(monotone),
        monotone_lead,
        monotone_p,
        *_lower_end(study, candidate),
    )


def _lower_end(study: Study, candidate: Candidate) -> tuple[float, float]:
    """Highest mean of a memoryless prediction, and how surely one memory alone stands above them; NaN without any."""
    full = study.config.strengths[-1]
    seen = {value.kind for value in study.values}
    worth = [list(_values(study, candidate, kind, full).values()) for kind in TRICKS if kind in seen]
    alone = list(_values(study, candidate, ONE_MEMORY, full).values())
    means = [float(np.mean(values)) for values in worth if values]
    return max(means, default=math.nan), auc(alone, [value for values in worth for value in values])


def _lead(own: dict[str, float], published: dict[str, float]) -> tuple[float, float]:
    """Mean difference over samples, and its p-value."""
    leads = np.array([own[sample] - published[sample] for sample in sorted(set(own) & set(published))])
    return (float(leads.mean()), sign_flip_p(leads)) if len(leads) else (math.nan, math.nan)


def _sure(lead: float, p: float) -> float:
    """1 for a lead, -1 for a lag, 0 for what may be chance."""
    return math.copysign(1.0, lead) if p < SURE else 0.0


def _monotone(study: Study, candidate: Candidate) -> dict[str, float]:
    """Sample to the share of steps of growing strength, over all faults, at which the value does not rise."""
    clean = _values(study, candidate, "clean", 0.0)
    curves: dict[str, list[list[float]]] = {}
    for kind in kinds_of(study)[0]:
        levels = [clean, *(_values(study, candidate, kind, s) for s in study.config.strengths)]
        for sample in clean:
            if all(sample in level for level in levels):
                curves.setdefault(sample, []).append([level[sample] for level in levels])
    return {sample: monotonicity(found) for sample, found in sorted(curves.items())}


def _robust(study: Study, candidate: Candidate) -> dict[str, float]:
    """Sample to the share of pairs of a nuisance and a fault in which the nuisance scores better, ties count half."""
    faults, nuisances = kinds_of(study)
    full = study.config.strengths[-1]
    shares: dict[str, list[float]] = {}
    for noise, fault in itertools.product(nuisances, faults):
        noisy, faulty = (_values(study, candidate, kind, full) for kind in (noise, fault))
        for sample in set(noisy) & set(faulty):
            shares.setdefault(sample, []).append(auc([noisy[sample]], [faulty[sample]]))
    return {sample: float(np.mean(found)) for sample, found in sorted(shares.items())}


def _values(study: Study, candidate: Candidate, kind: str, strength: float) -> dict[str, float]:
    parts = [signed_values(study, name, kind, strength) for name in candidate.of]
    samples = set.intersection(*(set(part) for part in parts))
    return {sample: candidate.combine(tuple(part[sample] for part in parts)) for sample in sorted(samples)}


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values()))) if values else math.nan


def _as_json(weighed: Weighed) -> dict[str, Any]:
    plain = weighed._asdict()
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}
