"""The one door for plug-ins: models, memories, metrics, trackers, data sources, trainers, each by name.

A package offers a thing by one line in the entry-point group of its kind; ``module:NAME`` works everywhere without any
installation, from the working folder too. Nothing is imported before it is asked for.

======== ==================== ==========================================================================
kind      group                what the name stands for
======== ==================== ==========================================================================
model     hmbench.models       a factory of a `WorldModel` (see `create_model`)
memory    hmbench.memories     a memory method; it implies the model of the same name
metric    hmbench.metrics      a `Metric`, or what makes one or several (see `hmbench.metrics.table`)
tracker   hmbench.trackers     a factory of a `SubjectTracker`
data      hmbench.data         a factory of a `Dataset`
trainer   hmbench.trainers     what ``train-reference --trainer`` runs
costs     hmbench.costs        cost cards of a package's models
options   hmbench.options      names of the options of a package's models, told without importing their code
retrieval hmbench.retrieval    what traces retrieval in a package's models
command   hmbench.commands     a function that adds commands to the Typer application it is given
======== ==================== ==========================================================================
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json
from hmbench.function_model import factory_of, is_generating
from hmbench.own_code import HOW, called, code_digest, made_by, parameters_of, takes, told
from hmbench.protocols import ModelInfo, TruthModel, WorldModel

MODEL_FILE = "hmbench_model.json"
"""In the folder of a saved model: names the model and its options."""

AnyModel = WorldModel | TruthModel
Factory = Callable[..., AnyModel]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of plug-in."""

    what: str
    """What a sentence calls it."""
    group: str
    """Its entry-point group."""
    option: str
    """How the command line asks for one, for hints."""

    def points(self) -> dict[str, EntryPoint]:
        """Installed ones: name to entry point, in order of name.

        Raises:
            UserError: If two installed packages offer the same name.
        """
        found: dict[str, EntryPoint] = {}
        for point in _installed(_path_as_it_is()).select(group=self.group):
            other = found.setdefault(point.name, point)
            if other.value != point.value:
                raise UserError(
                    f"Two installed packages offer the {self.what} {point.name!r}: {other.value} and {point.value}.",
                    f"Uninstall one, or name the thing itself: {self.option} {point.value}",
                )
        return dict(sorted(found.items()))

    def find(self, name: str) -> Any:
        """What goes by this name, or what ``module:NAME`` names.

        Raises:
            UserError: If nothing does, or it cannot be imported.
        """
        known = self.points()
        if name in known:
            return self.load(known[name].value)
        if ":" in name:
            return self.load(name)
        raise self.unknown(name)

    def unknown(self, name: str, others: Mapping[str, Any] | None = None, more: str = "") -> UserError:
        """The error for a name that nobody offers."""
        if name.isidentifier() and Path(f"{name}.py").is_file():
            return UserError(f"There is no {self.what} {name!r}.", f"{name}.py lies here: say what in it, {name}:NAME.")
        hint = did_you_mean(name, {**self.points(), **(others or {})})
        return UserError(f"There is no {self.what} {name!r}.", f"{hint} Or give {more}module:NAME.")

    def load(self, value: str) -> Any:
        """What ``module:NAME`` stands for; modules of the working folder are found.

        Raises:
            UserError: If the module cannot be imported or has no such name.
        """
        module_name, _, attribute = value.partition(":")
        with suppress(OSError):  # the working folder may be gone
            here = str(Path.cwd())
            if here not in sys.path:
                sys.path.append(here)
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UserError(
                f"The module {error.name!r}, needed by {self.what} {value!r}, cannot be imported.",
                "Install the package that offers it, or go to the folder that holds it.",
            ) from error
        except UserError:
            raise
        except Exception as error:  # whatever somebody's own module does when it is imported
            if value in {point.value for point in self.points().values()} and not isinstance(error, ImportError):
                raise
            raise UserError(
                f"The module {module_name!r}, needed by {self.what} {value!r}, fails to import: {told(error)}.",
                f"Mend it; `python -c 'import {module_name}'` shows where.",
            ) from error
        try:
            return getattr(module, attribute)
        except AttributeError:
            public = [name for name in vars(module) if not name.startswith("_")]
            raise UserError(f"{module_name} has no {attribute!r}.", did_you_mean(attribute, public)) from None


@functools.lru_cache(maxsize=4)
def _installed(_: tuple[tuple[str, int], ...]) -> Any:
    """All entry points: reading what is installed takes a tenth of a second, and a command asks some seven times.

    Python 3.12 gives an `EntryPoints`, earlier ones something else that has the same `select`.
    """
    return entry_points()


def _path_as_it_is() -> tuple[tuple[str, int], ...]:
    """Folders that are searched, with the times of their last change: an installation in between is seen."""
    found = []
    for folder in sys.path:
        try:
            found.append((folder, Path(folder or ".").stat().st_mtime_ns))
        except OSError:
            found.append((folder, 0))
    return tuple(found)


MODELS = Kind(what="model", group="hmbench.models", option="--model")
MEMORIES = Kind(what="memory", group="hmbench.memories", option="--memory")
METRICS = Kind(what="metric", group="hmbench.metrics", option="--metric")
TRACKERS = Kind(what="tracker", group="hmbench.trackers", option="--tracker")
DATA = Kind(what="data source", group="hmbench.data", option="--data")
TRAINERS = Kind(what="trainer", group="hmbench.trainers", option="--trainer")
OPTIONS = Kind(what="table of options", group="hmbench.options", option="")
COSTS = Kind(what="source of cost cards", group="hmbench.costs", option="")
COMMANDS = Kind(what="command", group="hmbench.commands", option="")
RETRIEVAL = Kind(what="tracer of retrieval", group="hmbench.retrieval", option="")


def model_names() -> dict[str, EntryPoint]:
    """Installed models, those that memories imply included: name to entry point.

    Raises:
        UserError: If two installed packages offer the same name.
    """
    return dict(sorted({**MEMORIES.points(), **MODELS.points()}.items()))


def find_factory(name: str) -> tuple[Factory, dict[str, Any]]:
    """The factory behind a name, ``module:factory`` or folder, and the options that the name itself implies.

    Raises:
        UserError: If nothing goes by that name; the hint lists what does.
    """
    if name.startswith(("http://", "https://", "command:")):
        return _as_factory(name, MODELS.load("hmbench.run.elsewhere:elsewhere")(name)), {}
    folder = Path(name)
    known = model_names()
    if name not in known and folder.is_dir():
        return _from_folder(folder)
    if name not in known and ":" not in name:
        raise MODELS.unknown(name, known, "a saved model's folder, or ")
    return _as_factory(name, MODELS.load(known[name].value if name in known else name)), {}


def create_model(name: str, *, profile: str, device: str, options: Mapping[str, str] | None = None) -> AnyModel:
    """Builds a model.

    Args:
        name: An installed name, ``module:factory``, or the folder of a saved model.
        profile: ``mini`` or ``paper``; passed if the factory accepts it.
        device: Torch device string; passed if the factory accepts it.
        options: Values of the factory's own arguments, as text; converted by their annotations.

    Raises:
        UserError: For an unknown model or option, a value that does not convert, or what is no model.
    """
    factory, implied = find_factory(name)
    accepted = factory_options(factory)
    given = {**implied}
    for key, text in (options or {}).items():
        key = key.replace("-", "_")
        if key not in accepted:
            raise UserError(f"Model {name!r} has no option {key!r}.", did_you_mean(key, accepted))
        given[key] = _convert(name, key, text, accepted[key].annotation)
    empty = inspect.Parameter.empty
    missing = [key for key, one in accepted.items() if one.default is empty and key not in given]
    if (
        missing
        and inspect.isclass(factory)
        and not (hasattr(factory, "generate") or hasattr(factory, "generate_from_truth"))
    ):
        raise UserError(f"{name!r} is no model: {factory.__name__} has no method generate.", HOW.format("model"))
    if missing:
        raise UserError(
            f"Model {name!r} needs {'the option' if len(missing) == 1 else 'the options'} {' and '.join(missing)}.",
            "Give " + " ".join(f"--option {key}=VALUE" for key in missing) + ".",
        )
    parameters = inspect.signature(factory).parameters
    common = {k: v for k, v in {"profile": profile, "device": device}.items() if k in parameters}
    return _checked(name, called("model", name, factory, **{**common, **given}))


def factory_options(factory: Factory) -> dict[str, inspect.Parameter]:
    """The arguments of a factory that are its own options, annotations resolved."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    empty = inspect.Parameter.empty
    return {
        name: one.replace(annotation=_kind_of(one.default)) if one.annotation is empty else one
        for name, one in parameters_of(factory).items()
        if name not in {"profile", "device"} and one.kind in kinds
    }


def _kind_of(default: Any) -> Any:
    """The type of an option without annotation: its default's."""
    simple = isinstance(default, bool | int | float | str | Path)
    return type(default) if simple else str


def _as_factory(name: str, found: Any) -> Factory:
    """A factory: itself, a class of models, or that of the model which a memory implies."""
    implied = getattr(found, "factory", None)
    if not callable(found) and callable(implied):
        return typing.cast(Factory, implied())
    if is_generating(found):
        return typing.cast(Factory, factory_of(found, name))
    return typing.cast(Factory, made_by("model", name, found, "generate", "generate_from_truth"))


def as_model(thing: Any) -> AnyModel:
    """A model that was made in Python: an object, or a class or function that makes one without arguments.

    Raises:
        UserError: If it cannot generate.
    """
    found = factory_of(thing, thing.__name__)() if is_generating(thing) else thing
    if found is thing and (inspect.isclass(thing) or (callable(thing) and not hasattr(thing, "generate"))):
        try:
            found = thing()
        except TypeError as error:
            raise UserError(
                f"{thing!r} cannot be made without arguments: {error}.", "Make the object first."
            ) from error
    return _checked(type(found).__name__, found)


def _checked(name: str, model: Any) -> AnyModel:
    """The model, with an `info` made from its name where it has none.

    That says what its code and its own plain settings are, too: a run of other code is another run.

    Raises:
        UserError: If it cannot generate.
    """
    if not (callable(getattr(model, "generate", None)) or callable(getattr(model, "generate_from_truth", None))):
        raise UserError(
            f"What {name!r} gives is no model: {type(model).__name__} has no method generate.",
            "Give it generate(self, prompt, *, seed) -> uint8 frames [Tt, H, W, 3].",
        )
    told_truth = hasattr(model, "generate_from_truth")
    asked = model.generate_from_truth if told_truth else model.generate
    if not takes(asked, *([None, None] if told_truth else [None]), seed=0):
        shown = f"{'generate_from_truth' if told_truth else 'generate'}{inspect.signature(asked)}"
        wanted = (
            "generate_from_truth(self, prompt, truth, *, seed)" if told_truth else "generate(self, prompt, *, seed)"
        )
        raise UserError(f"What {name!r} gives is no model: its {shown} takes other arguments.", f"Write {wanted}.")
    if not isinstance(getattr(model, "info", None), ModelInfo):
        lines = (inspect.getdoc(model) or "").strip().splitlines()
        own = {key: value for key, value in vars(model).items() if isinstance(value, str | int | float | bool | None)}
        model.info = ModelInfo(
            name=name.rpartition(":")[2],
            description=lines[0] if lines else "no description",
            settings={**dict(sorted(own.items())), "code": code_digest(type(model))},
        )
    return typing.cast(AnyModel, model)


def _from_folder(folder: Path) -> tuple[Factory, dict[str, Any]]:
    """A saved model. Its record may come from a stranger, so it may name installed models only, never a module."""
    record = folder / MODEL_FILE
    if not record.is_file():
        raise UserError(
            f"The folder {folder} is not a saved model: it has no {MODEL_FILE}.",
            "Give the folder that `hmbench train-reference --out` wrote, or a model name (`hmbench models`).",
        )
    content = read_json(record, kind=dict)
    name, options = content.get("model"), content.get("options", {})
    if not isinstance(name, str) or not isinstance(options, dict):
        raise UserError(f"{record} cannot be read: it names no model.", 'It must look like {"model": "hydra"}.')
    if name not in model_names():
        raise UserError(
            f"{record} names the model {name!r}, which no installed package offers.",
            f"{did_you_mean(name, model_names())} Code that a folder names is never run: if it is yours, give "
            f"--model module:NAME --option checkpoint={folder}.",
        )
    factory = find_factory(name)[0]
    accepted = factory_options(factory)
    for key, value in options.items():
        if key not in accepted:
            raise UserError(f"{record} gives {name} an option {key!r}.", did_you_mean(key, accepted))
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        options[key] = _convert(name, key, text, accepted[key].annotation)
    return factory, {**options, "checkpoint": folder}


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
    if wanted is float and not math.isfinite(float(text)):
        raise ValueError(text)
    return wanted(text) if wanted in (int, float, str, Path) else text


def _describe(wanted: Any) -> str:
    if typing.get_origin(wanted) is typing.Literal:
        return "one of " + ", ".join(repr(c) for c in typing.get_args(wanted))
    return "a finite number" if wanted is float else getattr(wanted, "__name__", str(wanted))
