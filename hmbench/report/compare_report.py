"""A comparison on screen, in files and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hmbench.errors import UserError, did_you_mean
from hmbench.files import write_json, write_text
from hmbench.registry import model_names
from hmbench.report.compare import Breakdown, Comparison, Difference, Estimate, MetricMeans
from hmbench.report.compare_inputs import KINDS, MARK, notice_lines
from hmbench.report.forest_plot import write_forest
from hmbench.report.paper_table import LABEL, chosen_columns, paper_table, properly_named
from hmbench.report.ranking import first_and_second
from hmbench.report.text_table import TextTable, heading, number, p_value, to_csv

SIGNIFICANT = 0.05
"""Corrected p-value below which a difference stands out."""


def write_report(comparison: Comparison, out: Path, columns: str = "") -> list[Path]:
    """Writes ``compare.json``, ``compare.md``, ``compare.tex``, ``means.csv``, ``differences.csv``, ``breakdowns.csv``
    and the figure as ``compare.pdf``, ``.svg`` and ``.png``; returns their paths.

    Args:
        comparison: What was compared.
        out: The folder.
        columns: Metrics of the table in ``compare.tex`` (`hmbench.report.paper_table.chosen_columns`).

    Raises:
        UserError: If one of the columns was not compared.
    """  # noqa: D205
    latex = latex_text_of(comparison, columns)
    tables = report_tables(comparison)
    texts = {
        "compare.md": "\n".join(["# Comparison\n", *(f"* {w}" for w in unsaid(comparison, tables)), ""])
        + "\n".join(table.markdown() for table in tables),
        "compare.tex": latex,
        "means.csv": _means_csv(comparison),
        "differences.csv": _differences_csv(comparison),
        "breakdowns.csv": _breakdowns_csv(comparison),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    write_json(out / "compare.json", comparison_record(comparison))
    figures = write_forest(comparison, out / "compare")
    return [*(out / name for name in (*texts, "compare.json")), *figures]


def unsaid(comparison: Comparison, tables: Sequence[TextTable]) -> list[str]:
    """Warnings that do not stand under one of the tables anyway."""
    said = {note for table in tables for note in table.notes}
    return [warning for warning in comparison.warnings if warning not in said]


def latex_text_of(comparison: Comparison, columns: str = "") -> str:
    """``compare.tex``: means with models as rows, differences, and kinds of clips; with names as a paper prints them.

    Args:
        comparison: What was compared.
        columns: As `write_report` takes them.

    Raises:
        UserError: If one of the columns was not compared.
    """
    known = model_names()
    first = paper_table(comparison, chosen_columns(columns, comparison), known)
    named = properly_named(comparison, known)
    kinds = {f"{LABEL}-{by.replace(' ', '-')}": breakdown_table(named, by) for by in _kinds(named)}
    others = {f"{LABEL}-differences": differences_table(named), **kinds}
    head = (
        r"% Needs \usepackage{booktabs,graphicx}. Made by hmbench compare; the tables' labels begin with "
        + LABEL
        + ".\n"
    )
    return head + "\n".join([first, *(replace(table, label=label).latex() for label, table in others.items())])


def _kinds(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(b.by for b in comparison.breakdowns))


def report_tables(comparison: Comparison) -> list[TextTable]:
    """Means, differences and one table a breakdown, as people read them."""
    return [
        means_table(comparison),
        differences_table(comparison),
        *(breakdown_table(comparison, by) for by in _kinds(comparison)),
    ]


def screen_tables(comparison: Comparison, by: Sequence[str] = ()) -> list[TextTable]:
    """What fits on one screen: for two runs a single table, for more the means and the differences; then breakdowns.

    Args:
        comparison: What was compared.
        by: Breakdowns to show, of `hmbench.report.compare_inputs.KINDS`.

    Raises:
        UserError: If there is no such breakdown.
    """
    there = _kinds(comparison)
    by = [next((kind for kind in KINDS if kind.startswith(name)), name) for name in by]  # camera: camera path
    for name in by:
        if name not in KINDS:
            raise UserError(f"Clips are not divided by {name!r}.", did_you_mean(name, KINDS))
        if name not in there:
            raise UserError(f"All clips are of one kind by {name!r}, or single.", f"There is: {', '.join(there)}.")
    tables = [pair_table(comparison)] if len(comparison.runs) == 2 else report_tables(comparison)[:2]
    return [*tables, *(breakdown_table(comparison, name) for name in by)]


def pair_table(comparison: Comparison) -> TextTable:
    """Two runs, a row a metric: both means, the difference with its interval, and the corrected p-value."""
    names, differences = labels(comparison), {d.metric: d for d in comparison.differences}
    shown = [m for m in comparison.means if m.clips and differences[m.metric].test is not None]
    rows, bold = [], set[tuple[int, int]]()
    for i, m in enumerate(shown):
        d = differences[m.metric]
        assert d.test is not None, d
        means = [number(e.mean if e else None) for e in m.runs]
        estimate = Estimate(mean=d.test.difference, low=d.test.low, high=d.test.high)
        rows.append([_metric_name(m), *means, _estimate(estimate), p_value(d.p_holm)])
        bold |= {(i, 3)} if d.p_holm is not None and d.p_holm < SIGNIFICANT else set()
    clips = {m.clips for m in shown}
    counted = _several(clips.pop(), "clip") if len(clips) == 1 else f"up to {len(comparison.samples)} clips"
    scenes = max((d.test.scenes for d in comparison.differences if d.test), default=0)
    return TextTable(
        title=f"{names[1]} − {names[0]}",
        header=["metric", *names, "difference [95 %]", "p (Holm)"],
        rows=rows,
        notes=[f"On {counted} of {_several(scenes, 'scene')}; bold: corrected p < {SIGNIFICANT}.", *_notes(comparison)],
        bold=frozenset(bold),
    )


def means_table(comparison: Comparison) -> TextTable:
    """A row a metric, a column a run; the best ranked run in bold."""
    shown = [m for m in comparison.means if m.clips]
    bold = {(i, m.best + 2) for i, m in enumerate(shown) if m.best is not None}
    second = {(i, place + 2) for i, m in enumerate(shown) for place in _second(comparison, m)}
    return TextTable(
        title=f"Means on {len(comparison.samples)} shared clips, with 95 % intervals over scenes",
        header=["metric", "clips", *labels(comparison)],
        rows=[[_metric_name(m), f"{m.clips} of {len(comparison.samples)}", *map(_estimate, m.runs)] for m in shown],
        notes=_notes(comparison),
        bold=frozenset(bold),
        underlined=frozenset(second),
    )


def differences_table(comparison: Comparison) -> TextTable:
    """A row a metric and pair; significant ones in bold. A single pair is named in the title."""
    names = labels(comparison)
    pairs = {(d.model, d.reference) for d in comparison.differences}
    one = next(iter(pairs)) if len(pairs) == 1 else None
    named = [] if one else ["model", "against"]
    shown = [d for d in comparison.differences if d.test is not None]
    directed = {m.metric for m in comparison.means if m.higher_is_better is not None}
    column = 1 + len(named)
    significant = [(i, column) for i, d in enumerate(shown) if d.p_holm is not None and d.p_holm < SIGNIFICANT]
    tests = sum(d.p_holm is not None for d in shown)
    scenes = max((d.test.scenes for d in shown if d.test), default=0)
    return TextTable(
        title="Paired differences" + (f": {names[one[0]]} − {names[one[1]]}" if one else ""),
        header=["metric", *named, "difference", "clips", "win/tie/loss", "p", "p (Holm)"],
        rows=[
            [
                d.metric,
                *([names[d.model], names[d.reference]] if named else []),
                *_difference_cells(d, directed=d.metric in directed),
            ]
            for d in shown
        ],
        notes=[
            f"Paired tests on {scenes} scenes, corrected by Holm over {tests} tests; bold: corrected p < "
            f"{SIGNIFICANT}. Intervals: 95 %, over scenes."
        ],
        bold=frozenset(significant),
        text_columns=column,
    )


def breakdown_table(comparison: Comparison, by: str) -> TextTable:
    """A row a kind of clip and metric, a column a run."""
    return TextTable(
        title=f"By {by}",
        header=[by, "metric", "clips", *labels(comparison)],
        rows=[
            [b.value, b.metric, str(b.clips), *map(_estimate, b.runs)]
            for b in comparison.breakdowns
            if b.by == by and b.clips
        ],
        notes=["For looking: intervals, no tests."],
        text_columns=2,
    )


def labels(comparison: Comparison) -> list[str]:
    """Names of the runs, marked where they are not ranked."""
    return [run.label if run.ranked else f"{run.label} {MARK}" for run in comparison.runs]


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Everything, as JSON types."""
    return {
        "format": 1,
        "runs": [
            {
                "label": run.label,
                "path": str(run.path),
                "model": run.manifest.model,
                "notice": run.notice,
                "ranked": run.ranked,
                "data_revision": run.manifest.data_revision,
                "profile": run.manifest.profile,
                "seed": run.manifest.seed,
            }
            for run in comparison.runs
        ],
        "samples": list(comparison.samples),
        "warnings": list(comparison.warnings),
        "means": [asdict(m) for m in comparison.means],
        "differences": [asdict(d) for d in comparison.differences],
        "breakdowns": [asdict(b) for b in comparison.breakdowns],
        "seed": comparison.seed,
    }


def _second(comparison: Comparison, means: MetricMeans) -> set[int]:
    """Places of the second-best ranked runs."""
    ranked = [e.mean if run.ranked and e else None for run, e in zip(comparison.runs, means.runs, strict=True)]
    return first_and_second(ranked, higher_is_better=means.higher_is_better)[1]


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _metric_name(means: MetricMeans) -> str:
    return heading(means.metric, means.higher_is_better, means.unit)


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return number(None)
    interval = f" [{number(estimate.low)}, {number(estimate.high)}]" if estimate.low is not None else ""
    return number(estimate.mean) + interval


def _difference_cells(d: Difference, *, directed: bool) -> list[str]:
    assert d.test is not None, d
    estimate = Estimate(mean=d.test.difference, low=d.test.low, high=d.test.high)
    return [
        _estimate(estimate),
        str(d.clips),
        f"{d.test.wins}/{d.test.ties}/{d.test.losses}" if directed else "–",
        p_value(d.test.p if directed else None),
        p_value(d.p_holm),
    ]


def _notes(comparison: Comparison) -> list[str]:
    notes = notice_lines(comparison.runs)
    notes += [f"{m.metric} has no value that all runs share: {m.reason}" for m in comparison.means if not m.clips]
    partly = [m for m in comparison.means if m.clips and len(set(m.scored)) > 1]
    for m in partly:
        counts = ", ".join(f"{run.label} {n}" for run, n in zip(comparison.runs, m.scored, strict=True))
        notes.append(f"{m.metric} has values on unequal numbers of clips ({counts}); its mean is over the common ones.")
    return notes


def _means_csv(comparison: Comparison) -> str:
    header = ["metric", "version", "unit", "run", "ranked", "clips", "scored", "mean", "low", "high"]
    rows = [
        [m.metric, m.version, m.unit, run.label, run.ranked, m.clips, m.scored[i], *_numbers(m.runs[i])]
        for m in comparison.means
        for i, run in enumerate(comparison.runs)
    ]
    return to_csv(header, rows)


def _differences_csv(comparison: Comparison) -> str:
    header = ["metric", "model", "reference", "clips", "difference", "low", "high", "wins", "ties", "losses"]
    rows = []
    for d in comparison.differences:
        names = [d.metric, comparison.runs[d.model].label, comparison.runs[d.reference].label, d.clips]
        t = d.test
        values = [t.difference, t.low, t.high, t.wins, t.ties, t.losses, t.scenes, t.p, d.p_holm] if t else [None] * 9
        rows.append([*names, *values])
    return to_csv([*header, "scenes", "p", "p_holm"], rows)


def _breakdowns_csv(comparison: Comparison) -> str:
    header = ["by", "value", "metric", "clips", "run", "mean", "low", "high"]
    return to_csv(header, [row for b in comparison.breakdowns for row in _breakdown_rows(b, comparison)])


def _breakdown_rows(b: Breakdown, comparison: Comparison) -> list[list[object]]:
    return [
        [b.by, b.value, b.metric, b.clips, run.label, *_numbers(b.runs[i])] for i, run in enumerate(comparison.runs)
    ]


def _numbers(estimate: Estimate | None) -> list[float | None]:
    return [estimate.mean, estimate.low, estimate.high] if estimate else [None, None, None]
