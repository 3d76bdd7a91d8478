"""``hmbench study``: what stands behind the numbers, for people who want to check it or to ask other people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repeats = Annotated[int, typer.Option("--repeats", min=50, help="Simulated benchmarks a case.")]
SimulationOut = Annotated[Path, typer.Option("--out", "-o", help="Folder for coverage.json and coverage.md.")]
SimulationSeed = Annotated[int, typer.Option("--seed", help="Seed of the draws.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of ``study``."""
    app.command("coverage")(coverage)


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
