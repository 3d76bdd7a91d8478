"""``hmbench study``: what stands behind the numbers, for people who want to check it or to ask other people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repeats = Annotated[int, typer.Option("--repeats", min=50, help="Simulated benchmarks a case.")]
SimulationOut = Annotated[Path, typer.Option("--out", "-o", help="Folder for coverage.json and coverage.md.")]
SimulationSeed = Annotated[int, typer.Option("--seed", help="Seed of the draws.")]
TwoRuns = Annotated[list[Path], typer.Argument(help="Two run folders.")]
PageOut = Annotated[Path, typer.Option("--out", "-o", help="Folder of the page.")]
PageData = Annotated[str | None, typer.Option("--data", "-d", help="Where the clips are, if they moved.")]
PageClips = Annotated[int | None, typer.Option("--clips", "-n", min=1, help="So many clips, drawn by the seed.")]
PageSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of clips, order and sides.")]
PageRepeats = Annotated[int, typer.Option("--repeats", min=0, help="Clips asked twice, sides swapped.")]
ChoicesAndRuns = Annotated[list[Path], typer.Argument(help="Files of choices (.json), and the page's two run folders.")]
SomeRuns = Annotated[list[Path], typer.Argument(help="Scored run folders of the same clips: tricks, models, bounds.")]
OrderingOut = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for ordering.json and ordering.md.")]
AgreementOut = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for agreement.json and agreement.md.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of ``study``."""
    app.command("coverage")(coverage)
    app.command("page")(page)
    app.command("agreement")(agreement)
    app.command("ordering")(ordering)


def coverage(repeats: Repeats = 1000, out: SimulationOut = Path("coverage"), seed: SimulationSeed = 0) -> None:
    """Simulate benchmarks of few scenes: what intervals cover, and how often tests find what is not there."""
    from hmbench.cli.console import out as screen
    from hmbench.cli.console import progress_bar
    from hmbench.files import write_json, write_text
    from hmbench.study.coverage import CORRELATIONS, LAYOUTS, PAIRS, SHAPES, coverage_record, coverage_tables, simulate

    layouts = sum(map(len, LAYOUTS.values()))
    with progress_bar() as bar:
        task = bar.add_task("cases", total=layouts * len(CORRELATIONS) * (len(SHAPES) + len(PAIRS)), note="")
        cells = []
        for cell in simulate(repeats, seed=seed):
            cells.append(cell)
            bar.update(task, advance=cell.what != "test", note=f"{cell.scenes} scenes, {cell.shape}")
    record = coverage_record(cells, seed=seed)
    text = "\n".join(table.markdown() for table in coverage_tables(record))
    write_json(out / "coverage.json", record)
    write_text(out / "coverage.md", text)
    screen.print(text, markup=False, highlight=False, soft_wrap=True)
    screen.print(f"Written: {out / 'coverage.md'}, {out / 'coverage.json'}", markup=False, highlight=False)


def page(
    runs: TwoRuns,
    out: PageOut,
    data: PageData = None,
    clips: PageClips = None,
    seed: PageSeed = 0,
    repeats: PageRepeats = 2,
) -> None:
    """Write a page that shows people two predictions of each clip, blinded, and asks which remembers better.

    Open OUT/index.html, or put the folder on any web server. People save their choices as JSON and send the file.
    """
    from hmbench.cli.console import out as screen
    from hmbench.cli.console import progress_bar
    from hmbench.study.page import write_page

    with progress_bar() as bar:
        task = bar.add_task("clips", total=clips, note="")
        plan = write_page(
            runs,
            out,
            data=data,
            clips=clips,
            seed=seed,
            repeats=repeats,
            on_item=lambda name: bar.update(task, advance=1, note=name),
        )
    screen.print(f"{len(plan.items)} questions: {out / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def agreement(targets: ChoicesAndRuns, out: AgreementOut = None) -> None:
    """How far each metric agrees with people: accuracy and Kendall's tau, with intervals."""
    from hmbench.cli.compare import screen_table
    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.files import write_json, write_text
    from hmbench.study.agreement import agreement as measure
    from hmbench.study.agreement import agreement_record, agreement_table, words_table

    folders = [path for path in targets if path.is_dir()]
    found = measure([path for path in targets if not path.is_dir()], folders)
    tables = [agreement_table(found), words_table(found)]
    if MODE.json:
        show_json(agreement_record(found))
    else:
        for table in tables:
            screen.print(screen_table(table))
    if out is not None:
        write_json(out / "agreement.json", agreement_record(found))
        write_text(out / "agreement.md", "\n".join(table.markdown() for table in tables))


def ordering(runs: SomeRuns, out: OrderingOut = None) -> None:
    """Whether the score is in order: tricks at nothing, the truth at the top, what remembers above every trick."""
    from hmbench.cli.compare import screen_table
    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.files import write_json, write_text
    from hmbench.study.ordering import demands, ordering_record, ordering_table, read_placed

    placed = read_placed(runs)
    asked, table = demands(placed), ordering_table(placed)
    lines = [f"{'met' if d.met else 'NOT met'}: {d.text} ({d.worst})" for d in asked]
    if MODE.json:
        show_json(ordering_record(placed, asked))
    else:
        screen.print(screen_table(table))
        screen.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        write_json(out / "ordering.json", ordering_record(placed, asked))
        write_text(out / "ordering.md", table.markdown() + "\n" + "\n".join(f"* {line}" for line in lines) + "\n")
