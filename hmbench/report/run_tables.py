"""One run as a table: on screen, and as Markdown, CSV and LaTeX beside its rows.

A mean stands with its 95 % interval and, where samples were skipped, with how many were scored: ``0.812 (118 of 120)``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hmbench.files import write_text
from hmbench.protocols import MetricInfo
from hmbench.report.text_table import TextTable, arrow, to_csv
from hmbench.results.intervals import MIN_SCENES
from hmbench.results.notes import run_notes
from hmbench.results.records import RunManifest
from hmbench.results.summary import UNFINISHED, MetricSummary

if TYPE_CHECKING:
    from rich.table import Table

HEADER = ("metric", "better", "mean", "95 % interval", "scored")
CSV_HEADER = "model trained data data_revision split profile metric version higher_is_better mean low high scored total"


def write_run_tables(folder: Path, manifest: RunManifest, summary: Mapping[str, MetricSummary]) -> None:
    """Writes ``table.md``, ``table.csv`` and ``table.tex``."""
    table = TextTable(
        title=run_title(manifest, summary),
        header=HEADER,
        rows=table_lines(manifest, summary, headline_only=False),
        notice=manifest.about.notice,
        notes=[*run_notes(folder, manifest), *interval_notes(summary)],
    )
    write_text(folder / "table.md", table.markdown())
    write_text(folder / "table.csv", csv_text(manifest, summary))
    write_text(folder / "table.tex", table.latex())


def run_title(manifest: RunManifest, summary: Mapping[str, MetricSummary]) -> str:
    """What a table's numbers are of: model, data, how many samples, and how many of them if not all."""
    count, left = len(manifest.samples), unfinished(summary)
    done = f"unfinished: {count - left} of {count}" if left else str(count)
    return (
        f"{manifest.about.name} on {manifest.data_name} ({manifest.split}, {done} "
        f"sample{'s' if count != 1 else ''}, {manifest.profile} profile, data {manifest.data_revision})"
    )


def unfinished(summary: Mapping[str, MetricSummary]) -> int:
    """How many samples have not been evaluated yet."""
    return min((found.reasons.get(UNFINISHED, 0) for found in summary.values()), default=0)


def table_lines(
    manifest: RunManifest,
    summary: Mapping[str, MetricSummary],
    *,
    headline_only: bool,
    asked: Collection[str] = (),
) -> list[tuple[str, ...]]:
    """Cells, one line a metric.

    Metrics that no sample has a value for come last, with a dash; among the headline ones they are left out (the
    reasons are told beside the table). With the headline ones stand those that were `asked` for by name; where none
    of them has a value, as of a video without a truth, all that have one are shown.
    """
    shown = list(summary.values())
    if headline_only:
        scored = [s for s in shown if s.scored]
        shown = [s for s in scored if manifest.metrics[s.metric].headline or s.metric in asked] or scored
    return [_line(manifest.metrics[s.metric], s) for s in sorted(shown, key=lambda s: s.mean is None)]


def screen_table(
    manifest: RunManifest,
    summary: Mapping[str, MetricSummary],
    *,
    headline_only: bool = True,
    asked: Collection[str] = (),
) -> Table:
    """The table for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(run_title(manifest, summary)), title_justify="left", header_style="bold")
    for name, justify in zip(HEADER, ("left", "center", "right", "center", "right"), strict=True):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for line in table_lines(manifest, summary, headline_only=headline_only, asked=asked):
        table.add_row(*map(escape, line))
    table.caption, table.caption_justify = escape("\n".join(interval_notes(summary))), "left"
    return table


def interval_notes(summary: Mapping[str, MetricSummary]) -> list[str]:
    """Why some means have no interval, where too few scenes are the reason."""
    few = sorted({s.scenes for s in summary.values() if s.mean is not None and 0 < s.scenes < MIN_SCENES})
    if not few:
        return []
    counted = " or ".join(map(str, few)) + (" scene" if few == [1] else " scenes")
    return [f"No interval on {counted}: at least {MIN_SCENES} are needed."]


def skipped_reasons(summary: Mapping[str, MetricSummary]) -> dict[str, list[str]]:
    """Reason to the metrics that were skipped for it, so that a reader sees each reason once.

    That a run is unfinished is said in the title.
    """
    reasons: dict[str, list[str]] = {}
    for found in summary.values():
        for reason in (r for r in found.reasons if r != UNFINISHED):
            reasons.setdefault(reason, []).append(found.metric)
    return reasons


def number(value: float | None, unit: str = "") -> str:
    """A value as tables print it; a dash for none."""
    if value is None:
        return "-"
    text = f"{value:.2f}" if unit in {"dB", "frames", "px", "deg"} else f"{value:.4f}"
    return f"{text} {unit}".strip()


def csv_text(manifest: RunManifest, summary: Mapping[str, MetricSummary]) -> str:
    """A CSV file at full precision, with everything that tells unequal rows apart."""
    model, data = manifest.about, (manifest.data_name, manifest.data_revision, manifest.split)
    rows = []
    for s in summary.values():
        kind = (manifest.profile, s.metric, s.version, manifest.metrics[s.metric].higher_is_better)
        rows.append([model.name, model.trained, *data, *kind, s.mean, s.low, s.high, s.scored, s.total])
    return to_csv(CSV_HEADER.split(), rows)


def _line(info: MetricInfo, s: MetricSummary) -> tuple[str, ...]:
    unit = info.unit
    interval = f"{number(s.low)} .. {number(s.high)}" if s.low is not None else "-"
    if unit in {"dB", "frames", "px", "deg"} and s.low is not None and s.high is not None:
        interval = f"{s.low:.2f} .. {s.high:.2f}"
    return s.metric, arrow(info.higher_is_better), number(s.mean, unit), interval, f"{s.scored} of {s.total}"
