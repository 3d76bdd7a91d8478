"""Memory methods by name, as a transformer's configuration file names them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.memory import Backbone, FullMemory, Memory, MemorySettings

MEMORY_KINDS: dict[str, type[Memory]] = {"hydra": HydraMemory, "full": FullMemory}
"""Methods that have a short name."""
GROUP = "hmbench.memories"
"""Entry-point group of installed memories."""


def memory_class(kind: str) -> type[Memory]:
    """The class behind a short name or ``package.module:Class``.

    A configuration may come from a stranger, and importing a module runs it. So a module is never imported because a
    configuration names it: it must have been imported already, or belong to an installed memory.

    Raises:
        ValueError: If there is no such class.
    """
    if kind in MEMORY_KINDS:
        return MEMORY_KINDS[kind]
    module, _, name = kind.partition(":")
    if module not in sys.modules:
        _import_installed()
    if module not in sys.modules:
        raise ValueError(
            f"unknown memory {kind!r}: use {', '.join(MEMORY_KINDS)}, or module:Class after importing the module"
        )
    found = getattr(sys.modules[module], name, None)
    if not (isinstance(found, type) and issubclass(found, Memory)):
        raise ValueError(f"{kind!r} is not a Memory: {module} has {found!r} under that name")
    return found


def memory_settings(description: Mapping[str, Any]) -> MemorySettings:
    """Settings from a description ``{"kind": ..., **settings}``, as a configuration file holds it.

    Raises:
        ValueError: For an unknown kind, an unknown setting or an impossible value.
    """
    values = dict(description)
    settings = memory_class(str(values.pop("kind", None))).Settings
    known = [field.name for field in dataclasses.fields(settings)]
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(
            f"memory {description['kind']!r} has no setting {unknown}; it has {known}: the fields of its `Settings`"
        )
    return settings(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def build_memory(description: Mapping[str, Any], backbone: Backbone) -> Memory:
    """A memory from its description, with its starting weights."""
    return memory_class(str(description.get("kind")))(memory_settings(description), backbone)


def describe_memory(kind: str, settings: MemorySettings) -> dict[str, Any]:
    """The description that `memory_settings` reads."""
    return {"kind": kind, **dataclasses.asdict(settings)}


def _import_installed() -> None:
    """Imports what installed packages offer as memories; a broken package is somebody else's error."""
    for point in entry_points(group=GROUP):
        with contextlib.suppress(ImportError, AttributeError):
            point.load()
