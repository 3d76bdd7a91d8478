"""How a field of a record is asked for on the command line: declared once, beside the field.

    >>> @dataclass(frozen=True, kw_only=True)
    ... class Request:
    ...     limit: int | None = flag(None, "The first so many samples only.", commands="eval score", minimum=1)

`hmbench.cli.options` makes the options of every command from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

KEY = "flag"
PART = "part"


@dataclass(frozen=True, kw_only=True)
class Flag:
    """What the command line needs to know of a field."""

    help: str
    """One sentence."""
    commands: frozenset[str]
    """Commands that have the option."""
    names: tuple[str, ...] = ()
    """For example ``("--model", "-m")``; empty: made from the field's name."""
    panel: str | None = None
    """Heading under which the help shows it."""
    typed: Any = None
    """What is typed, where it is not of the field's type: ``list[str]`` for an option that may be repeated."""
    read: Callable[[Any], Any] | None = None
    """Makes the field's value of what was typed; raises `UserError`."""
    minimum: int | None = None
    """Least value."""
    otherwise: Mapping[str, Any] | None = None
    """Command to what stands there if nothing is typed, where it is not the field's default."""


def flag(
    default: Any = MISSING,
    help: str = "",
    *,
    commands: str,
    make: Callable[[], Any] | None = None,
    **more: Any,
) -> Any:
    """A dataclass field that is an option, too.

    Args:
        default: The field's default.
        help: One sentence.
        commands: Names of commands, with spaces between.
        make: Default factory instead of a default.
        **more: Further fields of `Flag`.
    """
    metadata = {KEY: Flag(help=help, commands=frozenset(commands.split()), **more)}
    if make is not None:
        return field(default_factory=make, metadata=metadata)
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def part(record: type, default: Any) -> Any:
    """A field that is a record of its own whose fields are options."""
    return field(default=default, metadata={PART: record})


class Asked(NamedTuple):
    """A field with a flag."""

    name: str
    """Of the field."""
    owner: str | None
    """Name of the field of the outer record that holds it; None for the outer record's own."""
    flag: Flag
    kind: Any
    """The field's annotation, as written."""
    default: Any
    """The field's default."""


def asked_by(record: type, command: str, owner: str | None = None) -> Iterator[Asked]:
    """The fields of a record, and of the records in it, that a command has as options."""
    assert is_dataclass(record), f"{record} is no dataclass"
    for one in fields(record):
        if PART in one.metadata:
            yield from asked_by(one.metadata[PART], command, one.name)
        elif KEY in one.metadata and command in one.metadata[KEY].commands:
            default = one.default_factory() if one.default_factory is not MISSING else one.default
            yield Asked(one.name, owner, one.metadata[KEY], one.type, default)


def from_typed(record: type, command: str, typed: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a record from what was typed, the records in it made.

    Raises:
        UserError: If something that was typed cannot be read.
    """
    values: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for asked in asked_by(record, command):
        value = typed[asked.name]
        value = asked.flag.read(value) if asked.flag.read else value
        (values if asked.owner is None else inner.setdefault(asked.owner, {}))[asked.name] = value
    parts = {one.name: one.metadata[PART] for one in fields(record) if PART in one.metadata}
    return {**values, **{name: parts[name](**found) for name, found in inner.items()}}
