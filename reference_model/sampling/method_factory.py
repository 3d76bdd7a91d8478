"""Turns a `Method` into a factory for ``--model``, whose options are the settings of its memory.

The factory's signature is made from the memory's settings, so that each setting is described in one place and
``--option frames=5`` works for every method without another line of code.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from hmbench.errors import UserError
from hmbench.protocols import ModelInfo
from hmbench.registry import MEMORIES
from reference_model.model.codec import MiniVideoCodec
from reference_model.model.config import SamplerConfig
from reference_model.model.memory_kinds import memory_class
from reference_model.model.methods import Method
from reference_model.sampling.adjusting import change_memory, set_sampler
from reference_model.sampling.carriers import give_carrier
from reference_model.sampling.paper_model import LargeWorldModel, decide, finish
from reference_model.sampling.paper_pipeline import is_large, load_large
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.sampling.running import FORMATS, Running, compile_blocks
from reference_model.sampling.world_model import (
    STRETCHED,
    HydraWorldModel,
    check_world,
    clip_grids,
    in_a_sentence,
    load_pipeline,
    model_info,
    recipe,
    tell_stand_in,
    usable_device,
    weight_digests,
)


def _options(settings: type, *, optional: bool) -> dict[str, tuple[Any, Any]]:
    """Fields of a record as options: type and default; `optional`: None, which leaves what is there."""
    hints = typing.get_type_hints(settings)
    own = {field.name: (hints[field.name], field.default) for field in fields(settings)}
    return {name: (kind | None, None) for name, (kind, _) in own.items()} if optional else own


SAMPLER = {name: kind for name, kind in _options(SamplerConfig, optional=True).items() if name != "negative_prompt"}
"""Options of the sampler; what guidance steers away from belongs to the weights."""
COMMON: dict[str, tuple[Any, Any]] = {
    "profile": (str, "mini"),
    "device": (str, "cpu"),
    "checkpoint": (Path | None, None),
    "seed_weights": (int, 0),
    "world": (str | None, None),
    "carrier": (str, "shipped"),
    **SAMPLER,
    **_options(Running, optional=False),
}
"""Options of every method: type and default."""


def memory_method(name: str) -> Method:
    """The memory method of that name, or the one that ``module:NAME`` names, as ``--memory`` takes them.

    Raises:
        UserError: If nobody offers it, it cannot be imported, or what it names is no method.
    """
    found = MEMORIES.find(name)
    if not isinstance(found, Method):
        kind = found if isinstance(found, type) else type(found)
        raise UserError(
            f"The memory {name!r} is no Method but {kind.__name__}.",
            'Name its Method: NAME = Method(name="...", description="...", memory={"kind": YourMemory}).',
        )
    return found


class MethodFactory:
    """Builds a method's world model.

    Options are ``profile`` (mini, nano or paper), ``device``, ``checkpoint`` (folder of a saved pipeline),
    ``seed_weights`` (of untrained weights), ``world`` (on which the shipped weights were trained), ``carrier``
    (``shipped``, ``none`` or a folder: `reference_model.sampling.carriers`), ``steps``,
    ``guidance``, ``shift``, ``stochastic``, those of a run (`reference_model.sampling.running.Running`), and each
    setting of the memory; None means the model's own.

    Args:
        method: What to build.
    """

    def __init__(self, method: Method) -> None:
        own = _options(memory_class(str(method.memory["kind"])).Settings, optional=True)
        self.method = method
        self.__name__ = method.name
        self.__doc__ = method.description
        options = {**COMMON, **own}
        self.__annotations__ = {name: kind for name, (kind, _) in options.items()}
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
                for name, (kind, default) in options.items()
            ]
        )

    def __call__(self, **options: Any) -> HydraWorldModel:
        """The world model.

        Raises:
            UserError: If weights, device or settings cannot be used.
        """
        given = self.__signature__.bind(**options)
        given.apply_defaults()
        values = given.arguments
        common = {name: values.pop(name) for name in COMMON}
        return build(self.method, common, {name: value for name, value in values.items() if value is not None})


def build(method: Method, common: dict[str, Any], changes: dict[str, Any]) -> HydraWorldModel:
    """The world model of a method.

    Args:
        method: What to build.
        common: A value for each of `COMMON`.
        changes: Settings of the memory to change.

    Raises:
        UserError: If weights, device or settings cannot be used.
    """
    recipe(common["profile"])
    device = usable_device(common["device"])
    try:
        config = method.apply(common["profile"])
    except ValueError as error:
        raise UserError(
            f"{method.name} cannot work in profile {common['profile']}: {error}.", "Choose another profile or memory."
        ) from error
    check_world(config, common["checkpoint"], common["world"])
    running = Running(**{field.name: common[field.name] for field in fields(Running)})
    if common["profile"] == "paper" or is_large(common["checkpoint"]):
        return _large(method, common, changes, running.for_large(), device)
    running.for_small()
    pipeline, weights, trained = load_pipeline(
        config, common["checkpoint"], common["seed_weights"], kind=method.pipeline, world=common["world"]
    )
    _set(pipeline, method, common, changes, trained=trained)
    weights = weights | give_carrier(pipeline, common["carrier"], trained=trained)
    pipeline.to(device)
    info = _info(method, pipeline, weights, None if trained else common["seed_weights"])
    compiled = compile_blocks(pipeline.transformer, running.compile, device)
    trained_on = {"trained_on": common["world"]} if common["world"] else {}
    carried = {"carrier": common["carrier"] if pipeline.carrier is not None else "none"}
    if pipeline.carrier is not None:  # said with every run, since other clips are painted without it
        carried["carrier_takes"] = f"clips stretched by at most {STRETCHED:.0%} to the model's shape"
    info = replace(info, settings={**info.settings, "compiled": compiled, **carried, **trained_on})
    info = tell_stand_in(info, config, common["checkpoint"], common["world"])
    return HydraWorldModel(pipeline, info, batch=running.batch)


def _large(
    method: Method, common: dict[str, Any], changes: dict[str, Any], running: Running, device: torch.device
) -> LargeWorldModel:
    """The world model at paper scale: the one way in for every method."""
    if common["carrier"] not in ("shipped", "none"):
        raise UserError("A carrier goes with the small models alone.", "Leave out --option carrier.")
    config, folder = method.apply("paper"), common["checkpoint"]
    if folder is None or not (folder / "model_index.json").is_file():
        load_pipeline(config, folder, 0)  # raises, with the sentence on how to fetch the weights
    assert folder is not None, "load_pipeline makes no paper-scale model without weights"
    tiling, offload = decide(running, config, device)
    dtype = FORMATS[running.precision or "bfloat16"]

    def load() -> HydraPipeline:
        return load_large(folder, method.pipeline, tiling=tiling, dtype=dtype, cache=running.text_cache)

    pipeline = in_a_sentence(folder, load)
    _set(pipeline, method, common, changes, trained=True)
    info = _info(method, pipeline, weight_digests(folder), None)
    # hooks that bring layers from elsewhere are no part of a graph
    wanted = running.compile if offload != "sequential" else "false"
    compiled = compile_blocks(pipeline.transformer, wanted, device)
    info = replace(info, settings={**info.settings, "compiled": compiled})
    return finish(pipeline, info, config, running, (device, offload))


def _set(
    pipeline: HydraPipeline, method: Method, common: dict[str, Any], changes: dict[str, Any], *, trained: bool
) -> None:
    """Gives a pipeline its settings, in place; refuses weights of another method."""
    kind = pipeline.transformer.config["memory_settings"]["kind"]
    if kind != method.memory["kind"]:
        raise UserError(
            f"{common['checkpoint']} holds the memory {kind!r}, not {method.memory['kind']!r}.",
            f"Give a checkpoint of {method.name}, or name the model that this one belongs to.",
        )
    if trained:
        change_memory(pipeline, _unlike_the_name(method, pipeline), trained=True)
    change_memory(pipeline, changes, trained=trained)
    set_sampler(pipeline, {name: common[name] for name in SAMPLER})


def _info(method: Method, pipeline: HydraPipeline, weights: dict[str, str], untrained_seed: int | None) -> ModelInfo:
    return model_info((method.name, method.description), pipeline, weights, untrained_seed)


def _unlike_the_name(method: Method, pipeline: HydraPipeline) -> dict[str, Any]:
    """Settings by which a method is named and that the loaded weights have otherwise: a name says what runs."""
    found = pipeline.transformer.config["memory_settings"]
    picture, _ = clip_grids(pipeline, pipeline.config["context_frames"], pipeline.config["target_frames"])
    stated = method.stated(small=isinstance(pipeline.vae, MiniVideoCodec), picture=picture)
    return {name: value for name, value in stated.items() if _plain(found.get(name)) != _plain(value)}


def _plain(value: Any) -> Any:
    """A configuration file has lists where settings have tuples."""
    return tuple(value) if isinstance(value, list) else value
