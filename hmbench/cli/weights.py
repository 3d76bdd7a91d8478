"""``hmbench weights pull DIR`` and ``hmbench weights list``: the paper profile's networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path,
    typer.Argument(
        help="Folder for the weights; it is made if need be. Pass it as --weights afterwards.", metavar="DIR"
    ),
]
MaybeFolder = Annotated[
    Path | None, typer.Argument(help="A weights folder; without one, what there is to get.", metavar="DIR")
]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="This network, by its name in `hmbench weights list`; repeatable.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Compare every file's digest with the lock file.")]


def register(app: typer.Typer) -> None:
    """Adds ``weights`` with its commands."""
    group = typer.Typer(name="weights", help="Get and check the networks that metrics use.", no_args_is_help=True)
    group.command("pull")(pull_command)
    group.command("list")(list_command)
    app.add_typer(group)


def pull_command(folder: Folder, only: Only = None) -> None:
    """Fetch CLIP, DINO, YOLO11 and AlexNet once; afterwards no network is needed.

    MUSIQ and NIQE (for --quality, not for commercial use) come only by name: --only musiq --only niqe.
    So do raft (for --vbench), inception and r3d18 (for `hmbench distribution`).

    The first pull records commits and digests in a lock file; later ones fetch exactly those.

    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE work as everywhere with huggingface-hub.
    """
    from hmbench.cli.console import errors, out
    from hmbench.networks.pull import LOCK, pull

    fetched = pull(folder, only=tuple(only or ()), on_file=lambda name: errors.print(f"fetching {name}"))
    state = f"{len(fetched)} files fetched" if fetched else "everything was there and is what the lock file records"
    out.print(f"{folder}: {state}; revisions and digests are in {folder / LOCK}", soft_wrap=True, highlight=False)


def list_command(folder: MaybeFolder = None, verify: Verify = False) -> None:
    """Show every network, what needs it, its licence, and whether a folder has it."""
    from rich.table import Table

    from hmbench.cli.console import MODE, out, show_json
    from hmbench.errors import UserError
    from hmbench.networks.files import shipped
    from hmbench.networks.pull import statuses
    from hmbench.networks.pull import verify as check

    if verify and folder is None:
        raise UserError("--verify needs a folder to look into.", "Run: hmbench weights list DIR --verify")
    columns = ("name", "from", "needed by", "licence", "state")
    rows: list[tuple[str, ...]] = []
    # ultralytics holds that models of its architectures, trained with its code, fall under its own licence
    for name, use, licence in (
        ("detector", "tracking (mini)", "AGPL-3.0"),
        ("reid", "identity, linking, DSC (mini)", "Apache-2.0"),
    ):
        state = "shipped" if shipped(name).is_file() else "missing"
        rows.append((name, "this package", use, licence, state))
    for status in statuses(folder):
        source, state = status.source, status.state
        if verify and folder is not None and state in ("locked", "damaged"):
            check(folder, source.name)
            state = "verified"
        where = source.repo or "download.pytorch.org"
        rows.append((source.name, where, source.used_for, source.licence, state))
    if MODE.json:
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    out.print(table)
