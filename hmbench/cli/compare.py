"""``hmbench compare RUN RUN ...`` and ``hmbench compare MODEL MODEL ... --data DATA``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.errors import UserError

if TYPE_CHECKING:
    from hmbench.compare import Comparison
    from hmbench.evaluate import EvalRequest

Targets = Annotated[list[str], typer.Argument(help="Run folders; or models by name or folder, with --data.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables, plot, videos, and runs of models.")]
Metrics = Annotated[
    str, typer.Option("--metrics", help="headline, all, or names with commas; fewer tests are corrected less.")
]
AllPairs = Annotated[bool, typer.Option("--all-pairs", help="Every pair, not only against the first.")]
Videos = Annotated[int, typer.Option("--videos", help="Side-by-side videos of so many most different clips.")]
VideosBy = Annotated[str | None, typer.Option("--videos-by", help="Metric that finds these clips; default: the first.")]
Data = Annotated[str | None, typer.Option("--data", help="Evaluate models first: mini, or a folder.")]
Split = Annotated[str, typer.Option("--split", help="Split of the data.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Only the first so many clips.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of generation, bootstrap and random flips.")]
Device = Annotated[str, typer.Option("--device", help="Torch device.")]
Profile = Annotated[str, typer.Option("--profile", help="mini or paper.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Folder of backbone weights.")]


def register(app: typer.Typer) -> None:
    """Adds ``compare``."""
    app.command("compare")(compare)


def compare(
    targets: Targets,
    out: Out = None,
    metrics: Metrics = "headline",
    all_pairs: AllPairs = False,
    videos: Videos = 0,
    videos_by: VideosBy = None,
    data: Data = None,
    split: Split = "all",
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "cpu",
    profile: Profile = "mini",
    weights: Weights = None,
) -> None:
    """Compare runs on the clips they share: paired differences, intervals, Holm-corrected p-values.

    The first run is the reference. Models are evaluated first (into --out/runs) and need --data and --out.
    """
    from hmbench.compare import CompareSettings, compare_runs
    from hmbench.evaluate import EvalRequest

    if videos and out is None:
        raise UserError("--videos needs a folder to write to.", "Give --out DIR.")
    request = EvalRequest(
        out=out or Path(),
        data=data or "",
        split=split,
        limit=limit,
        seed=seed,
        device=device,
        profile=profile,
        weights=weights,
    )
    folders = [_run_folder(target, number, request) for number, target in enumerate(targets, start=1)]
    wanted = metrics if metrics in {"headline", "all"} else tuple(name.strip() for name in metrics.split(","))
    settings = CompareSettings(metrics=wanted, pairs="all" if all_pairs else "first", seed=seed)
    comparison = compare_runs(folders, settings)
    _show(comparison)
    if out is not None:
        _write(comparison, out, videos, videos_by)


def _run_folder(target: str, number: int, request: EvalRequest) -> Path:
    """The run that a target names; a model is evaluated into ``--out/runs/<number>-<name>`` first."""
    from dataclasses import replace

    from hmbench.evaluate import evaluate

    if (Path(target) / "run.json").is_file():
        return Path(target)
    if not request.data or request.out == Path():
        raise UserError(
            f"{target} is no run folder, and to evaluate it as a model --data and --out are needed.",
            "Give run folders of `hmbench eval`, or: hmbench compare MODEL MODEL --data mini --out DIR",
        )
    folder = request.out / "runs" / f"{number}-{Path(target.replace(':', '-')).name}"
    evaluate(replace(request, model=target, out=folder))
    return folder


def _show(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from hmbench.compare_report import report_tables

    console = Console()
    for warning in comparison.warnings:
        console.print(f"[bold yellow]{warning}[/]")
    for text in report_tables(comparison):
        table = Table(title=text.title, title_justify="left", caption="\n".join(text.notes), caption_justify="left")
        for column, name in enumerate(text.header):
            table.add_column(name, justify="left" if column < text.text_columns else "right")
        for r, row in enumerate(text.rows):
            table.add_row(*(f"[bold]{cell}[/]" if (r, c) in text.bold else cell for c, cell in enumerate(row)))
        console.print(table)


def _write(comparison: Comparison, out: Path, videos: int, videos_by: str | None) -> None:
    from rich.console import Console

    from hmbench.compare_report import write_report
    from hmbench.side_by_side import most_different, write_side_by_side

    paths = write_report(comparison, out)
    if videos:
        metric = videos_by or comparison.means[0].metric
        paths += write_side_by_side(comparison, most_different(comparison, metric, videos), out / "videos")
    Console().print("Wrote " + ", ".join(map(str, paths)), soft_wrap=True)
