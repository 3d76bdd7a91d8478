"""Are the settings in a saved model's files of the kinds that its classes take? A stranger's need not be.

Diffusers passes whatever JSON holds to the constructor. A number that is text would only be noticed while a video is
made, as an error of every clip.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

LARGEST = 10**9
"""Of a whole number: no setting counts further."""


def check_kinds(content: Mapping[str, Any], make: Callable[..., Any], source: object) -> None:
    """Refuses settings of other kinds than the arguments of `make` are annotated with.

    Args:
        content: Name to value, as JSON has it; names that `make` does not take are passed over.
        make: A constructor.
        source: What the message calls them.

    Raises:
        ValueError: With the first one that does not fit.
    """
    hints = _hints(make)
    for name, argument in inspect.signature(make).parameters.items():
        if name not in content or name not in hints:
            continue
        value = content[name]
        if value is None and argument.default is None:
            continue
        if not _fits(value, hints[name]):
            shown = getattr(hints[name], "__name__", None) if get_origin(hints[name]) is None else None
            raise ValueError(f"{source}: {name} is {str(value)[:60]!r}, expected {shown or hints[name]}")


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(make)
    except (NameError, TypeError):
        return {}


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inside
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            return False
        if origin is tuple and len(inside) > 1 and inside[-1] is not Ellipsis:
            return len(value) == len(inside) and all(map(_fits, value, inside))
        return not inside or all(_fits(one, inside[0]) for one in value)
    if origin is dict or hint is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    return True  # a class of diffusers or torch: its own matter
