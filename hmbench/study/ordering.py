"""Is the score in order? Tricks at nothing, the truth at the top, and what remembers above every trick.

    hmbench study ordering RUN RUN ...

Takes scored runs of the same clips and holds them against the demands that a score of memory has to meet: nothing that
needs no memory has more than `NOTHING` of `memory_score` or of `verdict_returned`; the oracle has `TRUTH`, the codec's
bound `CODEC`; every model and stand-in is above every trick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmbench.errors import UserError
from hmbench.report.text_table import TextTable
from hmbench.results.records import read_rows
from hmbench.results.run_folder import RunFolder
from hmbench.study.validity_targets import NOTHING

SCORE, RETURNED = "memory_score", "verdict_returned"
ALSO = ("background_fidelity", "reentry_success")
TRUTH, CODEC = 0.97, 0.85
"""Least score of the oracle, and of what only went through a model's codec."""
TRICK = "no memory"
"""The standing of what needs no memory."""


class Placed(NamedTuple):
    """A run's means."""

    name: str
    standing: str
    clips: int
    means: dict[str, float | None]
    """Metric to the mean over the clips that have a value; None if none has."""


class Demand(NamedTuple):
    """One demand, and how far it is met."""

    text: str
    met: bool
    worst: str
    """What decides it, with its number."""


def read_placed(runs: Sequence[Path]) -> list[Placed]:
    """Means of runs of the same clips.

    Raises:
        UserError: If a folder is no scored run, or the runs are not of the same clips.
    """
    found: list[Placed] = []
    clips: set[str] | None = None
    for path in runs:
        folder = RunFolder(path)
        manifest = folder.read_manifest()
        values: dict[str, dict[str, float | None]] = {name: {} for name in (SCORE, RETURNED, *ALSO)}
        for row in read_rows(path / "rows.jsonl"):
            if row.metric in values:
                values[row.metric][row.sample] = row.value
        own = set(values[SCORE])
        if not own or (clips is not None and own != clips):
            raise UserError(
                f"{path} does not have {SCORE} of the same clips as the other runs.",
                "Score all runs on the same clips with `hmbench eval` or `hmbench score`.",
            )
        clips = own
        means = {name: _mean(list(by.values())) for name, by in values.items()}
        name = manifest.about.name
        found.append(Placed(name, manifest.about.standing, len(own), means))
    return sorted(found, key=lambda p: -(p.means[SCORE] or 0.0))


def demands(placed: Sequence[Placed]) -> list[Demand]:
    """What is asked of the runs that there are."""
    tricks = [p for p in placed if p.standing == TRICK]
    known = {p.name: p for p in placed}
    out = []
    for metric in (SCORE, RETURNED):
        if tricks:
            worst = max(tricks, key=lambda p: p.means[metric] or 0.0)
            value = worst.means[metric] or 0.0
            out.append(Demand(f"{metric} of every trick at most {NOTHING}", value <= NOTHING, _says(worst, metric)))
    for name, least in (("oracle", TRUTH), ("codec", CODEC)):
        if name in known:
            value = known[name].means[SCORE] or 0.0
            out.append(Demand(f"{SCORE} of {name} at least {least}", value >= least, _says(known[name], SCORE)))
    models = [p for p in placed if p.standing in ("model", "stand-in")]
    if tricks and models:
        best = max(tricks, key=lambda p: p.means[SCORE] or 0.0)
        last = min(models, key=lambda p: p.means[SCORE] or 0.0)
        met = (last.means[SCORE] or 0.0) > (best.means[SCORE] or 0.0)
        out.append(Demand("every model above every trick", met, f"{_says(last, SCORE)}, {_says(best, SCORE)}"))
    return out


def ordering_table(placed: Sequence[Placed]) -> TextTable:
    """The runs, best first."""
    names = (SCORE, *ALSO, RETURNED)
    rows = [[p.name, p.standing, str(p.clips), *(_number(p.means[name]) for name in names)] for p in placed]
    return TextTable(title="Order of the score", header=["model", "standing", "clips", *names], rows=rows)


def ordering_record(placed: Sequence[Placed], asked: Sequence[Demand]) -> dict[str, Any]:
    """What is kept, JSON types."""
    return {"runs": [p._asdict() for p in placed], "demands": [d._asdict() for d in asked]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None and not np.isnan(v)]
    return float(np.mean(known)) if known else None


def _says(placed: Placed, metric: str) -> str:
    return f"{placed.name} {_number(placed.means[metric])}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
