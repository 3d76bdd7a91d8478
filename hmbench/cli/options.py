"""Commands whose options are the fields of a record (see `hmbench.flags`): each is declared once, for all commands."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Annotated, Any

import typer

from hmbench.cli.common import shows
from hmbench.cli.completion import FIELDS
from hmbench.flags import Asked, asked_by, from_typed
from hmbench.run.name_checks import check_metrics, check_names, check_options
from hmbench.run.request import EvalRequest, default_out, names_of, parse_options

__all__ = ["Typed", "default_out", "takes_request"]


class Typed:
    """What was typed for the fields of `EvalRequest`.

    Args:
        command: Name of the command.
        values: Field to what was typed.
    """

    def __init__(self, command: str, values: Mapping[str, Any]) -> None:
        self.command = command
        self.values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def fields(self) -> dict[str, Any]:
        """The fields of the request that the command has, read."""
        return from_typed(EvalRequest, self.command, self.values)

    @property
    def on_workers(self) -> bool:
        """Whether the work is to be done by worker processes."""
        return bool(self.values.get("count") or self.values.get("address"))

    def request(self, **changes: Any) -> EvalRequest:
        """The request; `changes` replace what was typed. Names are looked at before anything heavy is imported.

        Raises:
            UserError: For an unknown name, or something that cannot be read.
        """
        values = {**self.values, **changes}
        profile = None if self.command == "retrieval" else values.get("profile")  # models know profiles of their own
        names = {name: values.get(name) for name in ("model", "data", "tracker", "split")}
        check_names(**names, profile=profile, samples=values.get("samples") or ())
        check_metrics(names_of(values.get("metrics")))
        check_options(values.get("model"), parse_options(values.get("options")))
        others = {name: value for name, value in changes.items() if name not in self.values}
        if self.on_workers:  # what this machine has says nothing of theirs
            others["device"], values["device"] = values["device"], "cpu"
        return EvalRequest(**{**from_typed(EvalRequest, self.command, values), **others})


def takes_request(command: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose first argument is what was typed for the fields of `EvalRequest` that belong to `command`.

    Its other parameters are options of its own, as Typer has them.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        asked = list(asked_by(EvalRequest, command))
        hints = _hints(EvalRequest)
        parameters = sorted(
            [*(_parameter(one, command, hints) for one in asked), *own],
            key=lambda parameter: parameter.default is not inspect.Parameter.empty,
        )

        def run(**values: Any) -> None:
            typed = {one.name: values.pop(one.name) for one in asked}
            function(Typed(command, typed), **values)

        run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
        shows(run, parameters)
        return run

    return decorate


def _parameter(asked: Asked, command: str, hints: Mapping[str, Any]) -> inspect.Parameter:
    otherwise = asked.flag.otherwise or {}
    default = otherwise.get(command, asked.default)
    if default in (MISSING, (), {}):  # nothing typed for what may be left out or repeated
        default = None
    return inspect.Parameter(
        asked.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=_annotation(asked, hints),
    )


def _annotation(asked: Asked, hints: Mapping[str, Any]) -> Any:
    kind = asked.flag.typed or hints[asked.name]
    names = asked.flag.names or (f"--{asked.name.replace('_', '-')}",)
    found = typer.Option(
        *names,
        help=asked.flag.help,
        rich_help_panel=asked.flag.panel,
        min=asked.flag.minimum,
        autocompletion=FIELDS.get(asked.name),
    )
    return Annotated[kind, found]


def _hints(record: type) -> dict[str, Any]:
    """Resolved annotations of a record and of the records in it."""
    found = dict(typing.get_type_hints(record))
    for one in list(found.values()):
        if inspect.isclass(one) and hasattr(one, "__dataclass_fields__"):
            found |= _hints(one)
    return found
