"""What every command has: ``--quiet``, a usage example in its help, and ``--json`` where it has a result to print."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer
from typer.models import CommandInfo

from hmbench.cli.console import MODE

JSON = frozenset(
    {
        *("eval", "score", "compare", "models", "doctor", "check-predictions", "inspect", "distribution"),
        *("data check", "data inspect", "data splits", "study agreement", "study ordering", "weights list"),
    }
)
"""Commands that print their result as JSON when asked."""
EXAMPLES = {
    "eval": "hmbench eval --model hydra --data mini --limit 4",
    "generate": "hmbench generate --model hydra --data mini --out runs/hydra",
    "score": "hmbench score --predictions my-videos --data mini --name my-model",
    "check-predictions": "hmbench check-predictions my-videos mini --match '{id}_seed0.mp4'",
    "compare": "hmbench compare runs/hydra-mini-seed0 runs/full-context-mini-seed0 --by cell",
    "report": "hmbench report runs/hydra-mini-seed0 --out site",
    "train-reference": "hmbench train-reference --preset nano --memory hydra --data mini --out trained",
    "models": "hmbench models hydra",
    "retrieval": "hmbench retrieval --model hydra --data mini --sample 00001 --out retrieval",
    "inspect": "hmbench inspect runs/hydra-mini-seed0 00001",
    "distribution": "hmbench distribution runs/hydra-mini-seed0",
    "validate-metrics": "hmbench validate-metrics --clips 2 --out validity",
    "doctor": "hmbench doctor",
    "leaderboard": "hmbench leaderboard check",
    "data import": "hmbench data import my-videos my-data --size 832x480",
    "data masks": "hmbench data masks my-data",
    "data show": "hmbench data show mini 00001",
    "data check": "hmbench data check my-data --report findings.jsonl",
    "data card": "hmbench data card my-data --cameras opencv",
    "data import-examples": "hmbench data import-examples examples hm-world-examples",
    "data make-mini": "hmbench data make-mini data/mini --clips 8 --size 224x128",
    "data export": "hmbench data export my-data shards --format parquet",
    "data prompts": "hmbench data prompts mini prompts --limit 4 --cameras opengl",
    "data sheet": "hmbench data sheet mini --out sheet.png",
    "data cameras": "hmbench data cameras",
    "data download": "hmbench data download --split test --samples 100 --out hm-world",
    "data inspect": "hmbench data inspect my-data",
    "study coverage": "hmbench study coverage",
    "study ordering": "hmbench study ordering runs/oracle runs/still runs/hydra",
    "study page": "hmbench study page runs/a runs/b --out page",
    "study agreement": "hmbench study agreement choices.json runs/a runs/b",
    "weights pull": "hmbench weights pull weights",
    "weights list": "hmbench weights list",
    "data index": "hmbench data index my-data",
    "data splits": "hmbench data splits my-data --out splits",
    "data caption": "hmbench data caption my-data --model Qwen/Qwen2.5-VL-3B-Instruct",
}
"""Command to a line that can be typed."""


def dress(app: typer.Typer) -> None:
    """Gives every command of an application, and of those in it, what all have."""
    for words, command in leaves(app).items():
        assert command.callback is not None, words
        command.callback = _with_flags(command.callback, ("quiet", "json") if words in JSON else ("quiet",))
        if words in EXAMPLES and not command.epilog:
            command.epilog = f"Example: {EXAMPLES[words]}"


def leaves(app: typer.Typer, before: str = "") -> dict[str, CommandInfo]:
    """Commands that do something, by their words."""
    found: dict[str, CommandInfo] = {}
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        found[f"{before} {name}".strip()] = command
    for group in app.registered_groups:
        inner = group.typer_instance
        if inner is not None:
            name = group.name if isinstance(group.name, str) else inner.info.name
            found |= leaves(inner, f"{before} {name}".strip())
    return found


def _with_flags(function: Callable[..., Any], flags: tuple[str, ...]) -> Callable[..., Any]:
    """The same command with these flags, which set `MODE`."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())
    added = [
        inspect.Parameter(
            f"_{flag}",
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[bool, typer.Option(f"--{flag}", help=FLAGS[flag])],
        )
        for flag in flags
    ]

    @functools.wraps(function)
    def run(**values: Any) -> Any:
        for flag in FLAGS:  # one process may run several commands: tests do
            setattr(MODE, flag, bool(values.pop(f"_{flag}", False)))
        return function(**values)

    shows(run, [*own, *added])
    return run


def shows(run: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
    """Lets Typer see these parameters, by keyword alone, in place of the function's own."""
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}


def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """Benchmark and evaluation toolkit for hybrid memory in video world models."""
    if version:
        from hmbench import __version__

        print(f"hmbench {__version__}")  # noqa: T201
        raise typer.Exit


FLAGS = {
    "quiet": "No bars and no notes: results and errors alone.",
    "json": "Print the result as JSON on stdout; everything else goes to stderr.",
}
"""Option to its help."""
