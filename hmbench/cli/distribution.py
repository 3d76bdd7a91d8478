"""``hmbench distribution RUN``: FID, KID and FVD of a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

RunFolderArgument = Annotated[Path, typer.Argument(help="A run folder with its predictions.")]
Weights = Annotated[Path | None, typer.Option(help="Folder of the networks (`hmbench weights pull DIR`).")]
Device = Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="Where the clips are, if they moved.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of KID's subsets.")]


def register(app: typer.Typer) -> None:
    """Adds ``distribution``."""
    app.command("distribution")(distribution)


def distribution(
    run: RunFolderArgument, weights: Weights = None, data: Data = None, device: Device = "auto", seed: Seed = 0
) -> None:
    """FID, KID and FVD of a run's videos against the real ones, or why there are too few of them.

    Networks: hmbench weights pull DIR --only inception --only r3d18. The numbers go to RUN/distribution.json.
    """
    from hmbench.cli.compare import screen_table
    from hmbench.results.run_folder import RunFolder

    RunFolder(run).read_manifest()  # before anything heavy: a name may be wrong
    from hmbench.cli.console import MODE, progress_bar, show_json
    from hmbench.cli.console import out as screen
    from hmbench.report.text_table import TextTable, number
    from hmbench.run.distribution import distribution_networks, measure_distribution
    from hmbench.run.request import checked_device

    networks = distribution_networks(weights, checked_device(device))
    with progress_bar() as bar:
        task = bar.add_task("clips", total=None, note="")
        found = measure_distribution(
            run,
            networks=networks,
            data=data,
            seed=seed,
            on_clip=lambda name, total: bar.update(task, advance=1, total=total, note=name),
        )
    if MODE.json:
        show_json([asdict(d) for d in found])
        return
    told = [d for d in found if d.reason is None]
    table = TextTable(
        title=f"Distribution of {run.name}",
        header=["metric ↓", "value", "± over subsets", "clips", "samples"],
        rows=[[d.metric, number(d.value), number(d.spread), str(d.clips), str(d.samples)] for d in told],
        notes=[f"{d.metric}: {d.reason}." for d in found if d.reason],
    )
    screen.print(screen_table(table))
