"""``hmbench compare RUN RUN ...`` and ``hmbench compare MODEL MODEL ... --data DATA``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.cli.completion import FIELDS
from hmbench.cli.options import Typed, default_out, takes_request
from hmbench.errors import UserError
from hmbench.run.name_checks import check_names
from hmbench.run.request import names_of

if TYPE_CHECKING:
    from rich.console import Group, JustifyMethod
    from rich.table import Table

    from hmbench.report.compare import Comparison
    from hmbench.report.text_table import TextTable
    from hmbench.run.request import EvalRequest

FILES = "Files"
RUN = "run.json"
SEEDS_FILE = "seeds.json"
"""`hmbench.results.seeds.SEEDS_FILE`, whose module needs numpy."""

Targets = Annotated[list[str], typer.Argument(help="Run folders; or models by name or folder, with --data.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics",
        "--metric",
        help="headline, all, or names, with commas or repeated; fewer tests are corrected less.  [default: headline]",
        autocompletion=FIELDS["metrics"],
    ),
]
AllPairs = Annotated[bool, typer.Option("--all-pairs", help="Every pair, not only against the first.")]
PoolSeeds = Annotated[
    bool, typer.Option("--pool-seeds", help="Runs that differ in their seed alone are one model: means over seeds.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for tables, plot and videos.", rich_help_panel=FILES)
]
Videos = Annotated[
    int, typer.Option("--videos", help="Side-by-side videos of so many most different clips.", rich_help_panel=FILES)
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        help="Also by kinds of clips, with commas: cell, camera, subjects, category, hidden (time out of sight).",
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        "--columns",
        help="Metrics of the LaTeX table, in order, with commas; NAME=TITLE gives a heading. Needs --out.",
        rich_help_panel=FILES,
    ),
]
VideosBy = Annotated[
    str | None, typer.Option("--videos-by", help="Metric that finds these clips; the first.", rich_help_panel=FILES)
]


def register(app: typer.Typer) -> None:
    """Adds ``compare``."""
    app.command("compare")(takes_request("compare")(compare))


def compare(
    typed: Typed,
    targets: Targets,
    metrics: Metrics = None,
    by: By = "",
    all_pairs: AllPairs = False,
    pool_seeds: PoolSeeds = False,
    out: Out = None,
    columns: Columns = "",
    videos: Videos = 0,
    videos_by: VideosBy = None,
) -> None:
    """Compare runs on the clips they share: paired differences, intervals, Holm-corrected p-values.

    The first one is the reference. Models are evaluated first, into the folders that `hmbench eval` would use.
    """
    if videos and out is None:
        raise UserError("--videos needs a folder to write to.", "Give --out DIR.")
    if columns and out is None:
        raise UserError("--columns is of the LaTeX table, which needs a folder to stand in.", "Give --out DIR.")
    folders = _run_folders(typed, targets)
    names = names_of(metrics) or ("headline",)
    wanted = names[0] if names in {("headline",), ("all",)} else names
    from hmbench.report.compare import CompareSettings, compare_runs

    settings = CompareSettings(
        metrics=wanted, pairs="all" if all_pairs else "first", pool_seeds=pool_seeds, seed=typed["seed"]
    )
    comparison = compare_runs(folders, settings)
    kinds = [name.strip() for name in by.split(",") if name.strip()]
    _show(comparison, kinds)
    if out is not None:
        _write(comparison, out, columns, (videos, videos_by))


def _run_folders(typed: Typed, targets: Sequence[str]) -> list[Path]:
    """The runs that targets name; models are evaluated first, and only they need torch."""
    models = [target for target in targets if not any((Path(target) / name).is_file() for name in (RUN, SEEDS_FILE))]
    for target in models:
        if not typed["data"]:
            raise UserError(
                f"{target} is no run folder, and to evaluate it as a model --data is needed.",
                "Give run folders of `hmbench eval`, or: hmbench compare MODEL MODEL --data mini",
            )
        check_names(model=target, data=typed["data"], profile=typed["profile"])
    if not models:
        return [Path(target) for target in targets]
    request = typed.request(out=Path(), data=typed["data"])
    return [_evaluated(target, request) if target in models else Path(target) for target in targets]


def _evaluated(target: str, request: EvalRequest) -> Path:
    """The run of a model, evaluated now."""
    from hmbench.cli.console import RichReporter
    from hmbench.run.workers import evaluate

    folder = default_out(target, request.data, request.seed)
    with RichReporter() as reporter:
        evaluate(replace(request, model=target, out=folder), reporter)
    return folder


def screen_table(text: TextTable) -> Group:
    """A text table for the terminal, its notes below; divided where the screen is too narrow for it."""
    from rich.console import Group

    from hmbench.cli.console import out
    from hmbench.report.narrow import fitted

    spaced = replace(text, header=[name.replace("/", "/ ") for name in text.header])  # headings break at a stroke
    return Group(*map(_rich_table, fitted(spaced, out.width)))


def _rich_table(text: TextTable) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import out
    from hmbench.report.narrow import column_widths

    table = Table(
        title=escape(text.title) or None,
        title_justify="left",
        caption=escape("\n".join(text.notes)) or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    widths = column_widths(text, out.width)
    for column, name in enumerate(text.header):  # names are never cut, numbers broken between words alone
        first = column < text.text_columns
        side: JustifyMethod = "left" if first else "right"
        table.add_column(
            escape(name), justify=side, no_wrap=first, overflow="fold", width=widths[column] if widths else None
        )
    for r, row in enumerate(text.rows):
        cells = [escape(cell) for cell in row]
        table.add_row(*(f"[bold]{cell}[/]" if (r, c) in text.bold else cell for c, cell in enumerate(cells)))
    return table


def _show(comparison: Comparison, by: Sequence[str]) -> None:
    from rich.markup import escape

    from hmbench.cli.console import MODE, errors, show_json
    from hmbench.cli.console import out as screen
    from hmbench.report.compare_report import comparison_record, screen_tables, unsaid

    tables = screen_tables(comparison, by)
    if MODE.json:
        show_json(comparison_record(comparison))
        return
    if not MODE.quiet:
        for warning in unsaid(comparison, tables):
            errors.print(f"[bold yellow]Note:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    for text in tables:
        screen.print(screen_table(text))
    if comparison.breakdowns and not by and not MODE.quiet:
        kinds = ", ".join(dict.fromkeys(b.by for b in comparison.breakdowns))
        errors.print(
            f"By kinds of clips: --by {kinds}. Everything in files: --out DIR.", highlight=False, soft_wrap=True
        )


def _write(comparison: Comparison, out: Path, columns: str, filmed: tuple[int, str | None]) -> None:
    from hmbench.cli.console import out as screen
    from hmbench.report.compare_report import write_report
    from hmbench.report.side_by_side import most_different, write_side_by_side

    paths = write_report(comparison, out, columns)
    videos, by = filmed
    if videos:
        metric = by or comparison.means[0].metric
        paths += write_side_by_side(comparison, most_different(comparison, metric, videos), out / "videos")
    screen.print(f"Wrote {', '.join(path.name for path in paths)} to {out}", highlight=False, soft_wrap=True)
