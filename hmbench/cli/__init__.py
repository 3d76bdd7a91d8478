"""The command line: ``hmbench eval``, ``compare``, ``train-reference`` and their companions.

A module a command group; each offers ``register(app)``. Importing this package imports no torch: ``--help`` is instant.
"""

from __future__ import annotations

import importlib
import logging
import sys

import typer

from hmbench.cli.common import dress, root
from hmbench.cli.console import errors, show_error
from hmbench.cli.stopping import sentence, stopped_by_signals
from hmbench.durable import storage_error
from hmbench.errors import Stopped, UserError
from hmbench.registry import COMMANDS
from hmbench.streams import say_everything

app = typer.Typer(
    name="hmbench",
    help="Benchmark and evaluation toolkit for hybrid memory in video world models.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
data_app = typer.Typer(name="data", help="Get, make, look at and check data.", no_args_is_help=True)
app.add_typer(data_app)
study_app = typer.Typer(name="study", help="Check what stands behind the numbers; ask people.", no_args_is_help=True)
app.add_typer(study_app)

ROOT_MODULES = (
    "evaluate",
    "predictions",
    "compare",
    "report",
    "train",
    "models",
    "inspect",
    "distribution",
    "validate",
    "weights",
    "doctor",
)
"""Modules of this package that register commands on `hmbench`, in the order of the help."""
DATA_MODULES = ("data", "importing", "mini", "hub")
"""Modules that register commands on `hmbench data`."""
STUDY_MODULES = ("study",)
"""Modules that register commands on `hmbench study`."""

for _names, _target in ((ROOT_MODULES, app), (DATA_MODULES, data_app), (STUDY_MODULES, study_app)):
    for _name in _names:
        importlib.import_module(f"hmbench.cli.{_name}").register(_target)
for _name in COMMANDS.points():
    COMMANDS.find(_name)(app)
app.callback(invoke_without_command=True)(root)
dress(app)


def main() -> None:
    """Entry point of ``hmbench``."""
    # comes with pyiqa and, on import, tells everyone to install a package for quantised layers that nothing here has
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    run_app(app)


def run_app(commands: typer.Typer) -> None:
    """Runs a command line: user mistakes end in one readable sentence and exit code 2, without a traceback.

    Full disks and missing permission end alike, signals in a sentence that says how to go on and 128 + their number.
    """
    say_everything()
    try:
        with stopped_by_signals():
            commands()
    except UserError as error:
        show_error(error)
        sys.exit(2)
    except OSError as error:  # what no door of its own turned into a sentence
        show_error(storage_error(error))
        sys.exit(2)
    except Stopped as stopped:
        errors.print(sentence(stopped), highlight=False, soft_wrap=True)
        sys.exit(128 + stopped.signal)
