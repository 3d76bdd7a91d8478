"""``python -m leaderboard`` and ``hmbench leaderboard``: accept a run, check entries, print tables, write the site."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hmbench.errors import UserError
from hmbench.results.run_folder import RunFolder
from hmbench.streams import harmless
from leaderboard.rescore import mark_verified, rescore, videos_fit
from leaderboard.submission import RESULTS, Entry, accept, read_entries
from leaderboard.tables import PUBLISHED, board_csv, board_table, make_boards, published_table

RANK_BY = "memory_score,psnr"
"""Metrics that boards are ranked by unless --rank-by says otherwise: the first that all entries have."""

Results = Annotated[Path, typer.Option("--results", help="Folder of entries.")]
RankBy = Annotated[str, typer.Option("--rank-by", help="Metric to rank by; more than one with commas, by preference.")]
Runs = Annotated[list[Path] | None, typer.Option("--run", help="Run folder with videos of an entry; may be repeated.")]
WhichVideos = Annotated[str, typer.Option("--videos", help="Clips that get videos: none, all or worst:N.")]
MaxSize = Annotated[str, typer.Option("--max-size", help="Refuse to start if it would take more, for example 30MB.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="The clips themselves, for context and target.")]


def _say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Prints a line of strangers' words: control characters are shown, not sent to the terminal."""
    typer.echo(harmless(text), err=err, nl=nl)


app = typer.Typer(
    help="Accept runs, check entries, print tables, write the site, publish.",
    no_args_is_help=True,
    add_completion=False,
)


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
    _say(f"Accepted: {accept(run, name=name, link=link, results=results, replace=replace)}")


@app.command()
def check(
    results: Results = RESULTS,
    rescored: Annotated[
        bool, typer.Option("--rescore", help="Score the videos of --run again: do the entry's values follow?")
    ] = False,
    run: Runs = None,
    data: Data = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of the metrics' weights.")] = None,
) -> None:
    """Check every entry: its digest, its shape, that its means follow from its values, and, asked, its videos."""
    refused: list[str] = []
    entries = read_entries(results, lambda path, error: refused.append(f"REFUSED {path.name}: {error.what}"))
    for entry in entries:
        size = f"{len(entry.samples)} clips, {len(entry.metrics)} metrics, format {entry.format}"
        _say(f"ok {entry.name} ({size}, {entry.described})")
    for line in refused:
        _say(line)
    make_boards(entries, rank_by=RANK_BY.split(","))
    if rescored:
        _rescore(entries, results, run or [], data, weights)
    if refused:
        raise UserError(f"{len(refused)} of {len(refused) + len(entries)} entries are refused.", "Submit them again.")


@app.command()
def documents(
    paths: Annotated[list[Path], typer.Argument(help="Documents with the marks of a results table.")],
    results: Results = RESULTS,
) -> None:
    """Write the table of results into documents, from the accepted entries."""
    from leaderboard.readme import update_document

    entries = _entries(results)
    for path in paths:
        _say(f"{path}: {'updated' if update_document(path, entries) else 'up to date'}")


@app.command()
def table(
    form: Annotated[Format, typer.Option("--format", help="markdown, csv or latex.")] = Format.markdown,
    rank_by: RankBy = RANK_BY,
    results: Results = RESULTS,
) -> None:
    """Print every board, and the published numbers apart."""
    boards = make_boards(_entries(results), rank_by=rank_by.split(","))
    reported = published_table(PUBLISHED)
    if form is Format.csv:
        _say("\n".join(board_csv(board) for board in boards), nl=False)
        return
    tables = [*(board_table(board) for board in boards), reported]
    _say("\n".join(t.latex() if form is Format.latex else t.markdown() for t in tables), nl=False)


@app.command()
def site(
    out: Annotated[Path, typer.Argument(help="Folder of the site.")],
    runs: Runs = None,
    data: Data = None,
    videos: WhichVideos = "worst:4",
    max_size: MaxSize = "30MB",
    rank_by: RankBy = RANK_BY,
    results: Results = RESULTS,
) -> None:
    """Write the site of all entries; with --run, the videos too."""
    from hmbench.cli.report import SiteProgress, board_data, parse_size
    from hmbench.report.pages.documents import explained, validity
    from hmbench.report.pages.site import Videos, write_site
    from leaderboard.site import leaderboard_site

    entries = _entries(results)
    content = leaderboard_site(
        entries,
        published_table(PUBLISHED),
        rank_by=[name.strip() for name in rank_by.split(",")],
        runs=runs or (),
        validity=validity(),
        explained=explained({metric for entry in entries for metric in entry.metrics}),
    )
    wanted = Videos(which=videos if runs else "none", max_bytes=parse_size(max_size))
    with SiteProgress() as watcher:
        size = write_site(content, out, videos=wanted, open_data=lambda b: board_data(b, data), watcher=watcher)
    _say(f"Wrote {out / 'index.html'} ({size / 1e6:.1f} MB)")


@app.command()
def push(
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub.")],
    pages: Annotated[Path | None, typer.Option("--site", help="Site to publish as a static Space.")] = None,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the site's videos, if it has any.")] = "",
    private: Annotated[bool, typer.Option("--private", help="Make new repositories private.")] = False,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Another Hub than the public one.")] = None,
    results: Results = RESULTS,
) -> None:
    """Publish entries as a data set on the Hub, and a site as a static Space; log in with `hf auth login` first."""
    import tempfile

    from huggingface_hub import HfApi

    from leaderboard import publish

    with tempfile.TemporaryDirectory() as staging:
        addresses = publish.push(
            _entries(results),
            repo,
            api=HfApi(endpoint=endpoint),
            staging=Path(staging),
            site=pages,
            licence=licence,
            private=private,
        )
    for address in addresses:
        _say(address)


def _rescore(entries: list[Entry], results: Path, runs: list[Path], data: str | None, weights: Path | None) -> None:
    """Scores the videos of each run again and marks its entry.

    Raises:
        UserError: If a run belongs to no entry, or an entry does not follow from its videos.
    """
    if not runs:
        raise UserError("--rescore needs the videos.", "Give the submitted run folder: --run RUN; repeatable.")
    wrong: list[str] = []
    for path in runs:
        name = RunFolder(path).read_manifest().model
        mine = [entry for entry in entries if entry.videos and videos_fit(entry, path)]
        if not mine:
            raise UserError(f"No entry names the videos of {path} ({name}).", "Add the run first, or give another.")
        for entry in mine:
            differing = rescore(entry, path, data=data, weights=weights)
            if differing:
                wrong += [f"{entry.name}: {text}" for text in differing]
                continue
            mark_verified(results / f"{entry.name}.json", entry)
            _say(f"verified {entry.name}: all values follow from its videos")
    for line in wrong:
        _say(f"NOT {line}")
    if wrong:
        raise UserError(f"{len(wrong)} values do not follow from their videos.", "These entries are not verified.")


def _entries(results: Path) -> list[Entry]:
    """Entries that hold; the others are named on the error stream, since one bad file must not hide all others."""
    return read_entries(results, lambda path, error: _say(f"Left out {path.name}: {error.what} {error.hint}", err=True))
