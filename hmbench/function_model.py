"""A plain function of a prompt as a model: ``def freeze(prompt, *, seed): return frames``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hmbench.own_code import code_digest, parameters_of
from hmbench.protocols import ModelInfo

if TYPE_CHECKING:
    from hmbench.types import Prompt, Video


class FunctionModel:
    """A model whose ``generate`` is somebody's function.

    Args:
        function: Takes a prompt, and the seed if it has a parameter of that name.
        name: What tables call it.
        options: What its other parameters are given.
    """

    def __init__(self, function: Callable[..., Video], name: str, options: dict[str, Any]) -> None:
        lines = (inspect.getdoc(function) or "").strip().splitlines()
        self._function, self._options = function, options
        self._seeded = "seed" in inspect.signature(function).parameters
        self.info = ModelInfo(
            name=name,
            description=lines[0] if lines else "no description",
            settings={**{key: str(value) for key, value in options.items()}, "code": code_digest(function)},
        )

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """The function's frames."""
        return self._function(prompt, **({"seed": seed} if self._seeded else {}), **self._options)


def is_generating(found: Any) -> bool:
    """Whether this is a function that generates, and not one that makes a model: its first parameter is the prompt."""
    return inspect.isfunction(found) and next(iter(inspect.signature(found).parameters), None) == "prompt"


def factory_of(function: Callable[..., Video], name: str) -> Callable[..., FunctionModel]:
    """What makes the model; the function's parameters besides prompt and seed are the model's options."""
    short = function.__name__ if function.__name__ != "<lambda>" else name.rpartition(":")[2]

    def make(**options: Any) -> FunctionModel:
        return FunctionModel(function, short, options)

    own = [one for key, one in parameters_of(function).items() if key not in ("prompt", "seed")]
    kept = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own if one.kind not in _REST]
    make.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    make.__annotations__ = {one.name: one.annotation for one in kept if one.annotation is not inspect.Parameter.empty}
    return make


_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
