"""``hmbench doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds ``doctor``."""
    app.command("doctor")(doctor_command)


def doctor_command(
    weights: Annotated[Path | None, typer.Option(help="Folder of backbone weights to look into.")] = None,
    hub: Annotated[bool, typer.Option("--hub", help="Also ask the Hub whether it can be reached.")] = False,
) -> None:
    """Tell what this machine can run; exits 1 if something stops the main job."""
    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import MODE, out, show_json
    from hmbench.run.doctor import examine

    checks = examine(weights=weights, hub=hub)
    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    table = Table(show_header=False, box=None)
    for check in checks:
        table.add_row(f"[{colours[check.verdict]}]{check.verdict}[/]", check.name, escape(check.found))
    if MODE.json:
        show_json([{"verdict": c.verdict, "what": c.name, "found": c.found} for c in checks])
    else:
        out.print(table)
    if any(check.verdict == "problem" for check in checks):
        raise typer.Exit(1)
