"""What the re-entry family is held to by a validity study, and whether it gets there.

On clean clips subjects are found again, known again and called returned. At full strength at least four of five faulty
subjects get the right verdict, and each fault is seen by a metric of the family that no nuisance deceives. Nuisances
keep most of the score, and what needs no memory gets none.
"""

from __future__ import annotations

from typing import Any

from hmbench.data.mini_world import PROBE_KINDS
from hmbench.metrics.reentry.matching import MIN_FRAMES
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.reentry.verdict import Thresholds
from hmbench.study.body_faults import BODY_FAULTS
from hmbench.study.nuisances import LEVELS, LIMITS
from hmbench.study.tricks import TRICKS
from hmbench.study.validity import EXPECTED, Study

BLIND = 0.6
"""AUC up to which a metric is said not to see a fault, and may be moved by a nuisance."""
SEEN = 0.95
"""AUC from which on it is said to see one."""
NOTHING = 0.02
"""Mean score up to which a memoryless prediction is worth nothing."""
ON_CLEAN = {"return_recall": 0.95, "identity_rank1": 0.95, "verdict_returned": 0.95, "memory_score": 0.97}
"""Metric to the least mean over clean clips."""
ALSO_RIGHT = {
    "moonwalk": ("sliding", "wrong facing"),
    "sliding": ("out of step",),
    "blob": ("distorted", "changed identity"),
}
"""Fault to other words that a person might as well use: a gait in reverse is no step in time, a blob nobody at all."""
NAMED = 0.8
"""Share of the faulty subject's events that get the right verdict."""
HOLDS = 0.9
"""Share of clips in which a nuisance costs no more than its limit."""
WORTHLESS = ("memory_score", "verdict_returned")
"""Metrics that give a memoryless prediction `NOTHING` in the mean."""


def targets(study: Study, metrics: dict[str, Any], verdicts: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Each target with its number and whether it is met, JSON types.

    Args:
        study: The study.
        metrics: Its metrics' entries (`summarise_study`).
        verdicts: Variant to the verdicts of the faulty subject.
    """
    quiet = quiet_metrics(metrics)
    clean = {name: _held(metrics[name]["clean"], least) for name, least in ON_CLEAN.items() if name in metrics}
    named = {kind: _right(study, kind) for kind in verdicts}
    probes = [kind for kind in (*PROBE_KINDS, *BODY_FAULTS) if kind in verdicts]
    seen = {kind: _best(metrics, quiet, kind) for kind in probes}
    return {
        "clean": clean,
        "verdicts": {kind: _named(verdicts[kind], named[kind]) for kind in probes},
        "nuisances": _within_limits(study),
        "tricks": _tricks(study),
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
    """The targets as Markdown tables."""
    lines = ["### Clean clips", "", *_table("metric", "mean", "asked", "met")]
    for name, entry in found["clean"].items():
        value = "-" if entry["value"] is None else f"{entry['value']:.3f}"
        lines.append(table_row(f"`{name}`", value, f"{entry['asked']}", _met(entry)))
    lines += ["", f"### Faults: the right word in {100 * NAMED:.0f} % of events, and an AUC of {SEEN}", ""]
    lines += _table("fault", "named rightly", "most often", "met", "best quiet metric", "its AUC", "met")
    for kind, entry in found["verdicts"].items():
        seen = found["faults"][kind]
        best = ", ".join(f"`{name}`" for name in seen["best"]) or "none"
        value = "-" if seen["auc"] is None else f"{seen['auc']:.2f}"
        named = f"{entry['right']} of {entry['events']}"
        lines.append(table_row(kind, named, entry["most"], _met(entry), best, value, _met(seen)))
    near = "; ".join(f"{kind}: {' or '.join(words)}" for kind, words in ALSO_RIGHT.items())
    where = "Who is not in sight is vanished; who is in sight while it should be away is ever-present."
    lines += ["", f"Words that are right beside the fault's own: {near}. {where}"]
    quiet = ", ".join(f"`{name}`" for name in found["quiet"]) or "none"
    lines += ["", f"Quiet metrics are those that no nuisance moves beyond an AUC of {BLIND}: {quiet}."]
    lines += ["", f"### Nuisances: `memory_score` within its limit in {100 * HOLDS:.0f} % of clips", ""]
    lines += _table("nuisance", "at least", "held", "lowest", "met")
    for kind, entry in found["nuisances"].items():
        held = f"{entry['held']} of {entry['clips']}"
        lines.append(table_row(kind, f"{entry['asked']}", held, f"{entry['lowest']:.3f}", _met(entry)))
    lines += ["", f"### What needs no memory: at most {NOTHING}", ""]
    lines += _table("prediction", *(f"`{name}`" for name in WORTHLESS), "met")
    for kind, entry in found["tricks"].items():
        values = (entry["values"].get(name) for name in WORTHLESS)
        lines.append(table_row(kind, *("-" if v is None else f"{v:.3f}" for v in values), _met(entry)))
    return lines


def _table(*header: str) -> list[str]:
    return [table_row(*header), table_row(*["---"] * len(header))]


def table_row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _held(value: float | None, least: float) -> dict[str, Any]:
    return {"value": value, "asked": least, "met": value is not None and value >= least}


def _right(study: Study, kind: str) -> int:
    """Judged events of a fault at full strength that have a right word.

    Who walks out of sight, or into it for a moment only, is vanished, whatever else is wrong with it; who is in view
    for most of its absence is ever-present.
    """
    full = study.config.strengths[-1]
    rows = [r for r in study.events if r["kind"] == kind and r["strength"] == full and r["probed"]]
    words = (EXPECTED.get(kind), *ALSO_RIGHT.get(kind, ()))
    return sum(
        row["verdict"] in words
        or (row["verdict"] == "vanished" and _out_of_sight(row))
        or (row["verdict"] == "ever-present" and _never_left(row))
        for row in rows
    )


def _out_of_sight(row: dict[str, Any]) -> bool:
    return row.get("shown") is not None and row["shown"] < MIN_FRAMES


def _never_left(row: dict[str, Any]) -> bool:
    return row.get("shown_hidden") is not None and row["shown_hidden"] >= Thresholds().ever_present


def _named(counts: dict[str, int], right: int) -> dict[str, Any]:
    """How often a fault got one of its right words."""
    most, events = max(counts.values()), sum(counts.values())
    named = [verdict for verdict, count in counts.items() if count == most]
    return {"right": right, "events": events, "most": " and ".join(named), "met": right >= NAMED * events}


def _within_limits(study: Study) -> dict[str, Any]:
    """Each nuisance with a limit: in how many clips `memory_score` holds it."""
    found: dict[str, Any] = {}
    for (kind, strength), asked in LIMITS.items():
        values = _values(study, "memory_score", kind, strength)
        if values:
            held = sum(value >= asked for value in values)
            entry = {"asked": asked, "held": held, "clips": len(values), "lowest": min(values)}
            found[LEVELS.get((kind, strength), kind)] = {**entry, "met": held >= HOLDS * len(values)}
    return found


def _tricks(study: Study) -> dict[str, Any]:
    """Each memoryless prediction: its means, which must be next to nothing."""
    found: dict[str, Any] = {}
    for trick in TRICKS:
        values = {name: _values(study, name, trick, study.config.strengths[-1]) for name in WORTHLESS}
        means = {name: sum(v) / len(v) for name, v in values.items() if v}
        if means:
            found[trick] = {"values": means, "met": all(mean <= NOTHING for mean in means.values())}
    return found


def _values(study: Study, metric: str, kind: str, strength: float) -> list[float]:
    return list(study.of(metric, kind, strength).values())


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
    return "yes" if entry["met"] else "no"
