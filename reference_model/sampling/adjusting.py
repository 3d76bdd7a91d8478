"""Changes to a loaded pipeline's sampler and memory, in place, refused where trained weights would be lost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from hmbench.errors import UserError
from reference_model.model.config import SamplerConfig
from reference_model.model.memory_kinds import memory_settings
from reference_model.model.transformer import with_memory
from reference_model.sampling.pipeline import HydraPipeline, build_scheduler


def set_sampler(pipeline: HydraPipeline, options: dict[str, Any]) -> None:
    """Changes how a pipeline samples, in place.

    Args:
        pipeline: The pipeline.
        options: ``steps``, ``guidance``, ``shift`` and ``stochastic`` (`SamplerConfig`); None
            leaves the model's own.

    Raises:
        UserError: If a value is impossible.
    """
    own = {
        "steps": pipeline.config["steps"],
        "guidance": pipeline.config["guidance"],
        "shift": pipeline.scheduler.config["shift"],
        "stochastic": pipeline.scheduler.config["stochastic_sampling"],
    }
    try:
        wanted = SamplerConfig(**{**own, **{name: value for name, value in options.items() if value is not None}})
    except ValueError as error:
        raise UserError(f"The model cannot sample so: {error}.", "Change or leave out these options.") from error
    pipeline.register_to_config(steps=wanted.steps, guidance=wanted.guidance)
    pipeline.register_modules(scheduler=build_scheduler(wanted.shift, wanted.stochastic))


def change_memory(pipeline: HydraPipeline, changes: dict[str, Any], *, trained: bool) -> None:
    """Changes settings of the memory in place; nothing happens without changes.

    Args:
        pipeline: The pipeline.
        changes: Settings of the memory and their new values.
        trained: Whether its weights were trained: then the memory's own must fit the changed settings.

    Raises:
        UserError: If a value is impossible, or trained weights of the memory would be lost.
    """
    if not changes:
        return
    described = {**pipeline.transformer.config["memory_settings"], **changes}
    try:
        settings = memory_settings(described)
    except ValueError as error:
        raise UserError(f"The memory cannot be set so: {error}.", "Change or leave out these options.") from error
    changed = with_memory(pipeline.transformer, {"kind": described["kind"], **asdict(settings)})
    if trained and (lost := _differing(pipeline.transformer, changed)):
        wanted = ", ".join(f"{name}={value}" for name, value in changes.items())
        raise UserError(
            f"The trained memory does not fit {wanted}: its weights have other sizes ({lost[0]}"
            f"{f' and {len(lost) - 1} more' if len(lost) > 1 else ''}), and untrained ones would take their place.",
            "Leave these settings as they were trained, or train a model with them (`hmbench train-reference`).",
        )
    pipeline.register_modules(transformer=changed)


def _differing(before: torch.nn.Module, after: torch.nn.Module) -> list[str]:
    """Weights that one of two transformers lacks or has in another size."""
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (before, after)]
    return sorted(name for name in shapes[0].keys() | shapes[1].keys() if shapes[0].get(name) != shapes[1].get(name))
