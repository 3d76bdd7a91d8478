"""``hmbench leaderboard ...``: the same commands as ``python -m leaderboard``, loaded when they are called."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Adds ``leaderboard`` to hmbench's commands (entry-point group ``hmbench.commands``)."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("leaderboard", context_settings=passed_on)(leaderboard)


def leaderboard(context: typer.Context) -> None:
    """Accept runs, check entries, print tables, write the site, publish."""
    from leaderboard.cli import app

    app(args=context.args or ["--help"], prog_name="hmbench leaderboard")
