"""What the re-entry family is held to by a validity study, and whether it gets there.

On clean clips subjects are found again, known again and called returned. At full strength the right verdict is each
probe's most frequent one, and each fault is seen by a metric of the family that no nuisance deceives.
"""

from __future__ import annotations

from typing import Any

from hmbench.data.mini_world import PROBE_KINDS
from hmbench.metrics.reentry.readings import READINGS
from hmbench.study.body_faults import BODY_FAULTS
from hmbench.study.validity import EXPECTED, Study

BLIND = 0.6
"""AUC up to which a metric is said not to see a fault, and may be moved by a nuisance."""
SEEN = 0.95
"""AUC from which on it is said to see one."""
ON_CLEAN = {"return_recall": 0.95, "identity_rank1": 0.95, "verdict_returned": 0.9}
"""Metric to the least mean over clean clips."""


def targets(study: Study, metrics: dict[str, Any], verdicts: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Each target with its number and whether it is met, JSON types.

    Args:
        study: The study.
        metrics: Its metrics' entries (`summarise_study`).
        verdicts: Variant to the verdicts of the faulty subject.
    """
    quiet = quiet_metrics(metrics)
    clean = {name: _held(metrics[name]["clean"], least) for name, least in ON_CLEAN.items() if name in metrics}
    probes = [kind for kind in (*PROBE_KINDS, *BODY_FAULTS) if kind in verdicts]
    seen = {kind: _best(metrics, quiet, kind) for kind in probes}
    return {
        "clean": clean,
        "verdicts": {kind: _named(verdicts[kind], EXPECTED[kind]) for kind in probes},
        "quiet": quiet,
        "faults": seen,
        "strength": study.config.strengths[-1],
    }


def quiet_metrics(metrics: dict[str, Any]) -> list[str]:
    """Metrics of the family that no nuisance moves beyond `BLIND`, on either side of chance."""
    found = []
    for name in (reading.name for reading in READINGS):
        aucs = [entry["auc"] for entry in metrics.get(name, {"nuisances": {}})["nuisances"].values()]
        if name in metrics and all(value is not None and 1 - BLIND <= value <= BLIND for value in aucs):
            found.append(name)
    return found


def target_lines(found: dict[str, Any]) -> list[str]:
    """The targets as Markdown."""
    lines = ["Targets:", ""]
    for name, entry in found["clean"].items():
        lines.append(f"* clean clips, `{name}`: {entry['value']:.3f}, asked {entry['asked']} ({_met(entry)})")
    for kind, entry in found["verdicts"].items():
        share = f"{entry['right']} of {entry['events']}"
        lines.append(f"* {kind}: named rightly {share}, most often {entry['most']} ({_met(entry)})")
    lines.append(f"* metrics that no nuisance moves beyond {BLIND}: {', '.join(f'`{n}`' for n in found['quiet'])}")
    for kind, entry in found["faults"].items():
        best = ", ".join(f"`{name}`" for name in entry["best"]) or "none"
        value = "-" if entry["auc"] is None else f"{entry['auc']:.2f}"
        lines.append(f"* {kind}: best AUC among those {value}, by {best} ({_met(entry)})")
    return lines


def _held(value: float | None, least: float) -> dict[str, Any]:
    return {"value": value, "asked": least, "met": value is not None and value >= least}


def _named(counts: dict[str, int], right: str) -> dict[str, Any]:
    most = max(counts.values())
    named = [verdict for verdict, count in counts.items() if count == most]
    return {
        "right": counts.get(right, 0),
        "events": sum(counts.values()),
        "most": " and ".join(named),
        "met": named == [right],
    }


def _best(metrics: dict[str, Any], quiet: list[str], kind: str) -> dict[str, Any]:
    aucs = {name: metrics[name]["faults"][kind]["auc"] for name in quiet}
    known = {name: value for name, value in aucs.items() if value is not None}
    best = max(known.values(), default=None)
    return {
        "auc": best,
        "best": [name for name, value in known.items() if value == best],
        "met": best is not None and best >= SEEN,
    }


def _met(entry: dict[str, Any]) -> str:
    return "met" if entry["met"] else "not met"
