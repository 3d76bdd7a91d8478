"""Turns a `Method` into a factory for ``--model``, whose options are the settings of its memory.

The factory's signature is made from the memory's settings, so that each setting is described in one place and
``--option frames=5`` works for every method without another line of code.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from reference_model.model.codec import MiniVideoCodec
from reference_model.model.memory_kinds import memory_class
from reference_model.model.methods import Method
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.sampling.world_model import (
    HydraWorldModel,
    change_memory,
    clip_grids,
    load_pipeline,
    model_info,
    recipe,
    set_sampler,
    tell_stand_in,
    usable_device,
)

COMMON: dict[str, tuple[Any, Any]] = {
    "profile": (str, "mini"),
    "device": (str, "cpu"),
    "checkpoint": (Path | None, None),
    "seed_weights": (int, 0),
    "steps": (int | None, None),
    "guidance": (float | None, None),
    "shift": (float | None, None),
    "stochastic": (bool | None, None),
}
"""Options of every method: type and default, as `reference_model.sampling.world_model.hydra` has them."""


class MethodFactory:
    """Builds a method's world model.

    Options are ``profile`` (mini, nano or paper), ``device``, ``checkpoint`` (folder of a saved pipeline),
    ``seed_weights`` (of untrained weights), ``steps``, ``guidance``, ``shift``, ``stochastic``, and each setting of the
    memory; None means the model's own.

    Args:
        method: What to build.
    """

    def __init__(self, method: Method) -> None:
        settings = memory_class(str(method.memory["kind"])).Settings
        hints = typing.get_type_hints(settings)
        own = {field.name: (hints[field.name] | None, None) for field in fields(settings)}
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
    pipeline, weights, trained = load_pipeline(
        config, common["checkpoint"], common["seed_weights"], kind=method.pipeline
    )
    kind = pipeline.transformer.config["memory_settings"]["kind"]
    if kind != method.memory["kind"]:
        raise UserError(
            f"{common['checkpoint']} holds the memory {kind!r}, not {method.memory['kind']!r}.",
            f"Give a checkpoint of {method.name}, or name the model that this one belongs to.",
        )
    if trained:
        change_memory(pipeline, _unlike_the_name(method, pipeline), trained=True)
    change_memory(pipeline, changes, trained=trained)
    set_sampler(pipeline, {name: common[name] for name in ("steps", "guidance", "shift", "stochastic")})
    pipeline.to(device)
    about = (method.name, method.description)
    info = model_info(about, pipeline, weights, None if trained else common["seed_weights"])
    return HydraWorldModel(pipeline, tell_stand_in(info, config, common["checkpoint"]))


def _unlike_the_name(method: Method, pipeline: HydraPipeline) -> dict[str, Any]:
    """Settings by which a method is named and that the loaded weights have otherwise: a name says what runs."""
    found = pipeline.transformer.config["memory_settings"]
    picture, _ = clip_grids(pipeline, pipeline.config["context_frames"], pipeline.config["target_frames"])
    stated = method.stated(small=isinstance(pipeline.vae, MiniVideoCodec), picture=picture)
    return {name: value for name, value in stated.items() if _plain(found.get(name)) != _plain(value)}


def _plain(value: Any) -> Any:
    """A configuration file has lists where settings have tuples."""
    return tuple(value) if isinstance(value, list) else value
