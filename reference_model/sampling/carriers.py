"""Which carrier a model has: the shipped one, one of a folder, or none.

The shipped carrier belongs to the small models and is one for all memories: they differ in what they show it.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from safetensors import safe_open
from safetensors.torch import load_file

from hmbench.digests import content_digest
from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.networks.untrusted import check_finite, check_weight_file
from reference_model.carrying.carrier import Carrier
from reference_model.model.codec import MiniVideoCodec
from reference_model.sampling import world_model
from reference_model.sampling.pipeline import HydraPipeline

NAME = "nano-carrier"
"""Folder of the carrier among the shipped weights."""


def give_carrier(pipeline: HydraPipeline, named: str, *, trained: bool) -> dict[str, str]:
    """Gives a pipeline its carrier, in place.

    Args:
        pipeline: The model.
        named: ``shipped``: small trained models have it, at the size that it was made for; ``none``; or a folder that
            `reference_model.training.carrier` wrote.
        trained: Whether the pipeline has trained weights: untrained ones show what they are worth by themselves.

    Returns:
        Digests of the carrier's weight files by name; empty without one.

    Raises:
        UserError: If there is no such carrier, or the model is not a small one.
    """
    small = isinstance(pipeline.vae, MiniVideoCodec)
    if named == "none" or (named == "shipped" and not (small and trained and _fits(pipeline))):
        return {}
    folder = world_model.WEIGHTS / NAME if named == "shipped" else Path(named)
    if not small:
        raise UserError("A carrier goes with the small models alone.", "Leave out --option carrier.")
    pipeline.carrier = load_carrier(folder)
    return {f"carrier/{file.name}": content_digest(file) for file in sorted(folder.glob("*.safetensors"))}


def load_carrier(folder: Path) -> Carrier:
    """A saved carrier.

    Raises:
        UserError: If the folder holds none.
    """
    config, weights = folder / "config.json", folder / "diffusion_pytorch_model.safetensors"
    if not config.is_file() or not weights.is_file():
        raise UserError(
            f"{folder} holds no carrier: it has no {weights.name if config.is_file() else config.name}.",
            "Give shipped, none, or the folder `carrier` that `python -m reference_model.training.carrier` wrote.",
        )
    try:
        if read_json(config, kind=dict).get("_class_name") != Carrier.__name__:
            raise ValueError(f"its {config.name} is of another class")
        check_weight_file(weights)
        with safe_open(weights, framework="pt") as stored:
            names = set(stored.keys())
        carrier = cast(Carrier, Carrier.from_config(Carrier.load_config(folder, local_files_only=True)))
        if wrong := sorted(names ^ carrier.state_dict().keys()):
            raise ValueError(f"{len(wrong)} tensors too many or too few, such as {wrong[0]}")
        carrier.load_state_dict(load_file(weights))
        check_finite(carrier.state_dict(), weights)
    except (OSError, ValueError, TypeError, RuntimeError, LookupError) as error:
        raise UserError(
            f"{folder} holds no usable carrier: {' '.join(str(error).split())[:300]}", "Train or fetch it again."
        ) from error
    carrier.eval()
    return carrier


def _fits(pipeline: HydraPipeline) -> bool:
    """Whether the pipeline works at the size whose subjects the shipped carrier has seen."""
    return (world_model.WEIGHTS / NAME / "config.json").is_file() and int(pipeline.config["height"]) == 64
