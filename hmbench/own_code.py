"""Code of others: called so that its mistakes are told in a sentence, and known by a digest.

Somebody's own model, metric, tracker or data source may raise anything while it is imported or made. That is theirs to
mend, so it is told with the place in their file. What hmbench's own package raises keeps its traceback: it is a bug.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
import traceback
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmbench.errors import UserError

HOW = "See docs/architecture.md, 'To add X, touch Y', for what a {} is."


def called(what: str, name: str, make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a named function or class gives.

    Args:
        what: Kind of the plug-in, for a sentence.
        name: By what it was asked for.
        make: The function or class.
        *arguments: For it.
        **named: For it.

    Raises:
        UserError: If it takes other arguments, or ``module:NAME`` raises something.
    """
    try:
        return make(*arguments, **named)
    except UserError:
        raise
    except Exception as error:
        inside = error.__traceback__ is not None and error.__traceback__.tb_next is not None
        if isinstance(error, TypeError) and not inside:
            raise UserError(f"{name!r} is no {what}: {error}.", HOW.format(what)) from error
        if ":" not in name:
            raise
        raise UserError(f"The {what} {name!r} cannot be made: {told(error)}.", _mend(error)) from error


def told(error: BaseException) -> str:
    """What was raised and where: the last line of somebody's own file that led to it, if there is one."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ").rstrip(".")
    place = _place(error)
    return f"{said} ({place[0].name}, line {place[1]})" if place else said


def _mend(error: BaseException) -> str:
    place = _place(error)
    return f"Mend {place[0]}, or give it other options." if place else "Mend it, or give it other options."


_NOT_THEIRS = (Path(__file__).parent, Path(sysconfig.get_paths()["stdlib"]))


def _place(error: BaseException) -> tuple[Path, int] | None:
    """File and line in the code that is neither hmbench's nor an installed library's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = Path(frame.filename).parts
        ours = any(map(Path(frame.filename).is_relative_to, _NOT_THEIRS))
        if not (ours or "site-packages" in inside or frame.filename.startswith("<") or frame.lineno is None):
            return Path(frame.filename), frame.lineno
    return None


def made_by(what: str, name: str, found: Any, *methods: str) -> Callable[..., Any]:
    """What makes a plug-in: a class or function as it is; of an object with one of `methods`, a function that gives it.

    Raises:
        UserError: If what stands under `name` can neither be called nor has such a method.
    """
    if callable(found):
        return typing.cast(Callable[..., Any], found)
    if any(callable(getattr(found, method, None)) for method in methods):
        return lambda: found
    raise UserError(f"{name!r} is no {what} but {type(found).__name__}.", HOW.format(what))


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters of what is called, annotations resolved; those that cannot be resolved count as absent."""
    target: Any = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError):
        hints = {}
    return {
        name: parameter.replace(annotation=hints.get(name, inspect.Parameter.empty))
        for name, parameter in inspect.signature(function).parameters.items()
    }


def takes(function: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
    """Whether a function can be called like this, as far as its signature tells."""
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:  # written in C: it tells nothing of itself
        return True
    return True


def settings_of(thing: Any) -> dict[str, Any]:
    """Plain arguments of its class that an object kept under their names; what it counts while it works is none."""
    try:
        arguments = inspect.signature(type(thing)).parameters
    except (TypeError, ValueError):  # written in C: it tells nothing of itself
        return {}
    kept = sorted(getattr(thing, "__dict__", {}).items())
    return {k: v for k, v in kept if k.lstrip("_") in arguments and isinstance(v, str | int | float | bool | None)}


def code_digest(thing: Any) -> str:
    """Digest of the code behind a class or function: of its module's file, or of itself if it was typed at a prompt."""
    module = sys.modules.get(thing.__module__)
    file = getattr(module, "__file__", None)
    if file and thing.__module__ != "__main__" and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    digest = hashlib.sha256()
    members = vars(thing) if inspect.isclass(thing) else {thing.__name__: thing}
    for name, value in sorted(members.items()):
        code = getattr(getattr(value, "__func__", value), "__code__", None)
        if isinstance(code, types.CodeType):
            digest.update(f"{name}{_plain_code(code)}".encode())
    return digest.hexdigest()[:12]


def _plain_code(code: types.CodeType) -> str:
    """What a function does, without where it stands."""
    inner = [_plain_code(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"
