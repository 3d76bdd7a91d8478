"""``python -m leaderboard``: accept a run, print the tables, write the page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hmbench.files import write_text
from leaderboard.site import page
from leaderboard.submission import RESULTS, accept, read_entries
from leaderboard.tables import PUBLISHED, board_csv, board_table, make_boards, published_table

RANK_BY = "memory_score,psnr"
"""Metrics that boards are ranked by unless --rank-by says otherwise: the first that all entries have."""

Results = Annotated[Path, typer.Option("--results", help="Folder of entries.")]
RankBy = Annotated[str, typer.Option("--rank-by", help="Metric to rank by; more than one with commas, by preference.")]

app = typer.Typer(help="Accept runs, print tables, write the page.", no_args_is_help=True)


class Format(StrEnum):
    """How to print a table."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"


@app.command()
def add(
    run: Annotated[Path, typer.Argument(help="Folder of `hmbench eval`.")],
    name: Annotated[str, typer.Option("--name", help="Name in tables.")],
    link: Annotated[str, typer.Option("--link", help="Paper or code.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an entry of this name.")] = False,
    results: Results = RESULTS,
) -> None:
    """Check a run and accept it: refuses untrained, incomplete and changed ones."""
    typer.echo(f"Accepted: {accept(run, name=name, link=link, results=results, replace=replace)}")


@app.command()
def table(
    form: Annotated[Format, typer.Option("--format", help="markdown, csv or latex.")] = Format.markdown,
    rank_by: RankBy = RANK_BY,
    results: Results = RESULTS,
) -> None:
    """Print every board, and the published numbers apart."""
    boards = make_boards(read_entries(results), rank_by=rank_by.split(","))
    reported = published_table(PUBLISHED)
    if form is Format.csv:
        typer.echo("\n".join(board_csv(board) for board in boards), nl=False)
        return
    tables = [*(board_table(board) for board in boards), reported]
    typer.echo("\n".join(t.latex() if form is Format.latex else t.markdown() for t in tables), nl=False)


@app.command()
def site(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file.")],
    rank_by: RankBy = RANK_BY,
    results: Results = RESULTS,
) -> None:
    """Write the page."""
    boards = make_boards(read_entries(results), rank_by=rank_by.split(","))
    write_text(out, page(boards, published_table(PUBLISHED)))
    typer.echo(f"Wrote {out}")
