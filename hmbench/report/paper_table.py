r"""The table of a paper: models as rows, metrics as columns, proper names, and nothing wider than the text.

Needs the packages booktabs and graphicx. A table that is wider than the line is scaled down to it, and more than
`COLUMNS` metrics go below each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from hmbench.errors import UserError, did_you_mean
from hmbench.report.compare import Comparison, Estimate, MetricMeans
from hmbench.report.proper_names import metric_title, model_title
from hmbench.report.ranking import first_and_second
from hmbench.report.text_table import fitted, heading, latex_float, latex_text, number

COLUMNS = 4
"""Metrics beside each other: with intervals more would be set too small to read."""
LABEL = "tab:hmbench"
"""Of the main table; others add what they are."""


def chosen_columns(text: str, comparison: Comparison) -> dict[str, str]:
    """Metric to its heading, in the order asked for.

    Args:
        text: Names with commas, each with ``=Title`` where another heading is wanted; empty for every compared metric.
        comparison: What was compared.

    Raises:
        UserError: If a name is none of the compared metrics, or stands there twice.
    """
    there = {m.metric: m for m in comparison.means if m.clips}
    if not text.strip():
        return {name: metric_title(name) for name in there}
    found: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, title = (one.strip() for one in part.partition("="))
        if name not in there:
            hint = did_you_mean(name, there) if there else "These runs share no metric."
            raise UserError(
                f"--columns asks for {name!r}, which is not compared.", f"{hint} Others: add --metrics all."
            )
        if name in found:
            raise UserError(f"--columns names {name!r} twice.", "Name each metric once.")
        found[name] = title or metric_title(name)
    return found


def properly_named(comparison: Comparison, known: Collection[str] = ()) -> Comparison:
    """The same comparison with names as a paper prints them, for tables of differences and kinds of clips.

    Args:
        comparison: What was compared.
        known: Names of installed models.
    """
    return replace(
        comparison,
        runs=tuple(replace(run, label=model_title(run.label, known)) for run in comparison.runs),
        means=tuple(replace(m, metric=metric_title(m.metric)) for m in comparison.means),
        differences=tuple(replace(d, metric=metric_title(d.metric)) for d in comparison.differences),
        breakdowns=tuple(replace(b, metric=metric_title(b.metric)) for b in comparison.breakdowns),
    )


def paper_table(comparison: Comparison, columns: dict[str, str], known: Collection[str] = ()) -> str:
    """LaTeX of the means, the best ranked model of each metric in bold and the second underlined.

    Args:
        comparison: What was compared.
        columns: What `chosen_columns` gave.
        known: Names of installed models.
    """
    shown = {m.metric: m for m in comparison.means}
    names = list(columns)
    parts = [names[i : i + COLUMNS] for i in range(0, len(names), COLUMNS)]
    body = [fitted(_tabular(comparison, [(columns[n], shown[n]) for n in part], known)) for part in parts]
    clips = sorted({shown[name].clips for name in names}) or [0]
    counted = (
        f"{clips[0]} clips" if len(clips) == 1 else f"{clips[0]} to {clips[-1]} of {len(comparison.samples)} clips"
    )
    caption = (
        f"Means over {counted}; brackets: 95 % intervals over scenes. Bold: best, underlined: second. "
        f"Data: {comparison.runs[0].manifest.data_name}, {comparison.runs[0].manifest.profile} profile."
    )
    notes = [f"† {model_title(run.label, known)} is not ranked." for run in comparison.runs if not run.ranked]
    return latex_float("\n\n\\medskip\n".join(body), caption=caption, label=LABEL, notes=notes)


def _tabular(comparison: Comparison, columns: Sequence[tuple[str, MetricMeans]], known: Collection[str]) -> str:
    heads = [_head(title, means) for title, means in columns]
    lines = [" & ".join(["Model", *heads]) + r" \\", r"\midrule"]
    for i, run in enumerate(comparison.runs):
        cells = [_cell(comparison, means, i) for _, means in columns]
        mark = "" if run.ranked else r"$^\dagger$"
        lines.append(" & ".join([latex_text(model_title(run.label, known)) + mark, *cells]) + r" \\")
    return "\n".join(
        [
            rf"\begin{{tabular}}{{@{{}}l{'r' * len(columns)}@{{}}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _head(title: str, means: MetricMeans) -> str:
    """The heading; its direction and unit stand below it."""
    below = heading("", means.higher_is_better, means.unit)
    return rf"\begin{{tabular}}[b]{{@{{}}r@{{}}}}{latex_text(title)}\\{latex_text(below)}\end{{tabular}}"


def _cell(comparison: Comparison, means: MetricMeans, run: int) -> str:
    ranked = [e.mean if r.ranked and e else None for r, e in zip(comparison.runs, means.runs, strict=True)]
    first, second = first_and_second(ranked, higher_is_better=means.higher_is_better)
    estimate = means.runs[run]
    text = latex_text(number(estimate.mean if estimate else None))
    if run in first:
        text = rf"\textbf{{{text}}}"
    elif run in second:
        text = rf"\underline{{{text}}}"
    return text + _interval(estimate)


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None:
        return ""
    return rf" {{\scriptsize {latex_text(f'[{number(estimate.low)}, {number(estimate.high)}]')}}}"
