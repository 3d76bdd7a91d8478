"""A comparison as one figure for a paper's column: a row a metric, models as colours, differences from the first run.

All metrics share one scale: a difference is counted in standard errors of the first run's mean and turned so that
right is better. The line is the 95 % interval of the paired difference; a filled dot is significant after correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.durable import replacing
from hmbench.report.compare import Comparison, MetricMeans
from hmbench.report.text_table import heading

COLUMN_INCHES = 3.35
"""Width of one column of the usual two-column styles."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999933", "#882255")
"""Okabe and Ito, then two of Tol's: told apart by colour-blind readers."""
MARKERS = "osD^vPX<"
"""A second sign beside colour, for print in grey."""
SIGNIFICANT = 0.05
NORMAL_95 = 1.959964
FORMATS = ("pdf", "svg", "png")


class Mark(NamedTuple):
    """One model on one metric, in standard errors of the first run, right is better."""

    run: int
    """Index of the model."""
    place: float
    """Difference of the means."""
    low: float | None
    """Lower end of its 95 % interval."""
    high: float | None
    """Upper end."""
    significant: bool
    """Corrected p-value below `SIGNIFICANT`."""


class Line(NamedTuple):
    """One metric's row."""

    label: str
    """Name, arrow, unit."""
    marks: tuple[Mark, ...]
    """A mark a model."""


def forest_lines(comparison: Comparison) -> tuple[list[Line], list[str]]:
    """Rows of the figure, and names of metrics that cannot stand on its scale (no direction, or no spread)."""
    lines, left_out = [], []
    for means in comparison.means:
        unit = _unit(means)
        marks = _marks(comparison, means, unit) if unit else ()
        if marks:
            lines.append(Line(heading(means.metric, means.higher_is_better, ""), marks))
        else:
            left_out.append(means.metric)
    return lines, left_out


def write_forest(comparison: Comparison, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes the figure as ``<stem>.pdf``, ``.svg`` and ``.png``; returns their paths.

    Args:
        comparison: What to draw: the first run is the zero.
        stem: Path without ending.
        formats: Endings.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines, left_out = forest_lines(comparison)
    models = list(range(1, len(comparison.runs)))
    step = 0.13 * max(1, len(models)) + 0.13
    height = 0.75 + step * max(1, len(lines)) + 0.15 * ((len(models) + 1) // 2)
    fonts: dict[Any, Any] = {
        "font.size": 7,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "axes.linewidth": 0.6,
        "svg.hashsalt": "hmbench",
    }
    with matplotlib.rc_context(fonts):
        figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        for row, line in enumerate(lines):
            if row % 2 == 0:
                axis.axhspan(row - 0.5, row + 0.5, color="0.955", linewidth=0)
            for mark in line.marks:
                spread = 0.62 * ((mark.run - 0.5) / max(1, len(models)) - 0.5) if len(models) > 1 else 0.0
                _draw(axis, mark, row + spread)
        axis.axvline(0.0, color="0.35", linewidth=0.8)
        axis.set_yticks(range(len(lines)), [line.label for line in lines])
        axis.set_ylim(max(1, len(lines)) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
        first = comparison.runs[0].label
        axis.set_xlabel(f"better than {_plain(first)} →\n(in standard errors of its mean)")
        handles = [_handle(i, comparison.runs[i].label) for i in models]
        figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False, handletextpad=0.2)
        if left_out:
            figure.supxlabel(f"not on this scale: {_plain(', '.join(left_out))}"[:110], fontsize=5.5, color="0.4")
        paths = [stem.with_suffix(f".{ending}") for ending in formats]
        for path in paths:
            # no date inside, so that equal comparisons give equal files
            told = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(path.suffix[1:], {})
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=300, metadata=told)
    return paths


def _unit(means: MetricMeans) -> float:
    """Standard error of the first run's mean, from its interval; 0 if there is none."""
    first = means.runs[0]
    if means.higher_is_better is None or first is None or first.low is None or first.high is None:
        return 0.0
    return (first.high - first.low) / (2 * NORMAL_95)


def _marks(comparison: Comparison, means: MetricMeans, unit: float) -> tuple[Mark, ...]:
    sign = 1.0 if means.higher_is_better else -1.0
    marks = []
    for d in comparison.differences:
        if d.metric != means.metric or d.reference != 0 or d.test is None:
            continue
        ends = None if d.test.low is None or d.test.high is None else sorted((sign * d.test.low, sign * d.test.high))
        marks.append(
            Mark(
                run=d.model,
                place=sign * d.test.difference / unit,
                low=ends[0] / unit if ends else None,
                high=ends[1] / unit if ends else None,
                significant=d.p_holm is not None and d.p_holm < SIGNIFICANT,
            )
        )
    return tuple(marks)


def _draw(axis: object, mark: Mark, y: float) -> None:
    colour, marker = COLOURS[(mark.run - 1) % len(COLOURS)], MARKERS[(mark.run - 1) % len(MARKERS)]
    plot = axis.plot  # type: ignore[attr-defined]
    if mark.low is not None and mark.high is not None:
        plot([mark.low, mark.high], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
    face = colour if mark.significant else "white"
    plot([mark.place], [y], marker, color=colour, markersize=3.4, markerfacecolor=face, markeredgewidth=0.9)


def _handle(run: int, label: str) -> object:
    from matplotlib.lines import Line2D

    colour, marker = COLOURS[(run - 1) % len(COLOURS)], MARKERS[(run - 1) % len(MARKERS)]
    return Line2D([], [], color=colour, marker=marker, markersize=3.6, linewidth=1.1, label=_plain(label))


def _plain(text: str) -> str:
    """Text without what matplotlib would take for mathematics."""
    return text.replace("$", r"\$")
