"""Finds models by name, by ``module:factory`` or by folder, without importing any package that offers them.

Names come from the entry-point group ``hmbench.models``. A folder is a model that somebody saved: its
``hmbench_model.json`` names the factory and its options, and the factory receives the folder as ``checkpoint``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from hmbench.errors import UserError, did_you_mean
from hmbench.protocols import TruthModel, WorldModel

GROUP = "hmbench.models"
MODEL_FILE = "hmbench_model.json"

AnyModel = WorldModel | TruthModel
Factory = Callable[..., AnyModel]


def model_names() -> dict[str, EntryPoint]:
    """Installed models: name to entry point; two packages that offer one name raise.

    Raises:
        UserError: If two installed packages offer the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise UserError(
                f"Two installed packages offer the model {point.name!r}: {other.value} and {point.value}.",
                f"Uninstall one, or name the factory itself: --model {point.value}",
            )
    return dict(sorted(found.items()))


def find_factory(name: str) -> tuple[Factory, dict[str, Any]]:
    """The factory behind a name, ``module:factory`` or folder, and the options that the name itself implies.

    Raises:
        UserError: If nothing goes by that name; the hint lists what does.
    """
    folder = Path(name)
    if folder.is_dir():
        return _from_folder(folder)
    known = model_names()
    if name in known:
        return _load(known[name].value), {}
    if ":" in name:
        return _load(name), {}
    hint = did_you_mean(name, known)
    raise UserError(
        f"There is no model named {name!r}.",
        f"{hint} Or give a saved model's folder, or package.module:factory.",
    )


def create_model(name: str, *, profile: str, device: str, options: Mapping[str, str] | None = None) -> AnyModel:
    """Builds a model.

    Args:
        name: An installed name, ``module:factory``, or the folder of a saved model.
        profile: ``mini`` or ``paper``; passed if the factory accepts it.
        device: Torch device string; passed if the factory accepts it.
        options: Values of the factory's own keyword arguments, as text; converted by their annotations.

    Raises:
        UserError: For an unknown model or option, or a value that does not convert.
    """
    factory, implied = find_factory(name)
    accepted = factory_options(factory)
    given = {**implied}
    for key, text in (options or {}).items():
        key = key.replace("-", "_")
        if key not in accepted:
            raise UserError(f"Model {name!r} has no option {key!r}.", did_you_mean(key, accepted))
        given[key] = _convert(name, key, text, accepted[key].annotation)
    parameters = inspect.signature(factory).parameters
    common = {k: v for k, v in {"profile": profile, "device": device}.items() if k in parameters}
    return factory(**{**common, **given})


def factory_options(factory: Factory) -> dict[str, inspect.Parameter]:
    """The keyword arguments of a factory that are its own options, annotations resolved."""
    hints = typing.get_type_hints(factory)
    return {
        name: parameter.replace(annotation=hints.get(name, str))
        for name, parameter in inspect.signature(factory).parameters.items()
        if name not in {"profile", "device"} and parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _from_folder(folder: Path) -> tuple[Factory, dict[str, Any]]:
    record = folder / MODEL_FILE
    if not record.is_file():
        raise UserError(
            f"The folder {folder} is not a saved model: it has no {MODEL_FILE}.",
            "Give the folder that `hmbench train-reference --out` wrote, or a model name (`hmbench models`).",
        )
    try:
        content = json.loads(record.read_text())
        name, options = str(content["model"]), dict(content.get("options", {}))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{record} cannot be read: {error}.", 'It must look like {"model": "hydra"}.') from error
    factory, _ = find_factory(name)
    return factory, {**options, "checkpoint": folder}


def _load(value: str) -> Factory:
    module_name, _, attribute = value.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"The module {error.name!r}, needed by model {value!r}, cannot be imported.",
            "Install the package that offers it into this environment.",
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UserError(f"{module_name} has no factory {attribute!r}.", did_you_mean(attribute, public))
    return typing.cast(Factory, factory)


def _convert(model: str, key: str, text: str, annotation: Any) -> Any:
    """`text` as the type that the factory's annotation asks for (the first member of a union that fits)."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        if type(None) in members and text.lower() in {"none", "null", ""}:
            return None
        members = tuple(m for m in members if m is not type(None))
    else:
        members = (annotation,)
    for member in members:
        try:
            return _convert_one(text, member)
        except ValueError:
            continue
    wanted = " or ".join(_describe(m) for m in members)
    raise UserError(f"Option {key}={text!r} of model {model!r} is not {wanted}.", f"Give {key} as {wanted}.")


def _convert_one(text: str, wanted: Any) -> Any:
    if typing.get_origin(wanted) is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(wanted)}
        if text not in choices:
            raise ValueError(text)
        return choices[text]
    if wanted is bool:
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in truth:
            raise ValueError(text)
        return truth[text.lower()]
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        return tuple(_convert_one(part, inner) for part in text.replace("x", ",").split(","))
    return wanted(text) if wanted in (int, float, str, Path) else text


def _describe(wanted: Any) -> str:
    if typing.get_origin(wanted) is typing.Literal:
        return "one of " + ", ".join(repr(c) for c in typing.get_args(wanted))
    return getattr(wanted, "__name__", str(wanted))
