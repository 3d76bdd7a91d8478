"""``--model hydra`` at every scale: the small models of `world_model`, or the released one of `paper_model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from hmbench.errors import UserError
from reference_model.model.methods import HYDRA
from reference_model.sampling.method_factory import COMMON, build
from reference_model.sampling.paper_pipeline import is_large
from reference_model.sampling.running import Compile, OffloadChoice, Precision
from reference_model.sampling.world_model import HydraWorldModel
from reference_model.sampling.world_model import hydra as hydra_small


def hydra(
    *,
    profile: str = "mini",
    device: str = "cpu",
    checkpoint: Path | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed_weights: int = 0,
    shift: float | None = None,
    stochastic: bool | None = None,
    variant: Literal["released", "paper"] | None = None,
    top_k: int | None = None,
    precision: Precision | None = None,
    tiling: bool | None = None,
    offload: OffloadChoice = "auto",
    text_cache: Path | None = None,
    compile: Compile | None = None,
    as_released: bool | None = None,
    guidance_device: str | None = None,
    batch: int = 1,
) -> HydraWorldModel:
    """HyDRA (arXiv 2603.25716): hybrid memory by retrieval attention.

    Args:
        profile: ``mini``, ``nano`` (smaller still) or ``paper`` (Wan 2.1 1.3B; needs `checkpoint`).
        device: Torch device.
        checkpoint: Folder of a saved model; at paper scale one written by `reference_model.released.paper_weights`.
        steps: Sampling steps instead of the model's own.
        guidance: Weight of the text instead of the model's own; 1 is none.
        seed_weights: Of untrained weights (mini, nano).
        shift: How far noise levels are pushed towards noise (mini, nano) instead of the model's own.
        stochastic: Whether noise is drawn anew at every step (mini, nano) instead of the model's own.
        variant: Which reading of the method (mini, nano); None: the model's own.
        top_k: Memory slices to retrieve (mini, nano) instead of the model's own.
        precision: Number format (paper); None is bfloat16.
        tiling: Codec in tiles (paper); None: where the device cannot hold the picture whole.
        offload: What of the model waits in the machine's memory (paper); ``auto`` takes the fastest that fits.
        text_cache: Folder of text tokens (paper); None is huggingface-hub's assets cache.
        compile: Whether blocks are compiled; None is ``auto``: on a CUDA device that has Triton.
        as_released: Whether sampling rounds, tiles, crops and truncates as the release does (paper).
        guidance_device: Second device, which answers the negative prompt at the same time (paper).
        batch: Clips that are generated at once (mini, nano).

    Raises:
        UserError: If an option belongs to the other scale, or weights or device cannot be used.
    """
    small: dict[str, Any] = {"shift": shift, "stochastic": stochastic, "variant": variant, "top_k": top_k}
    run: dict[str, Any] = {
        "precision": precision, "tiling": tiling, "offload": None if offload == "auto" else offload,
        "text_cache": text_cache,
        "as_released": as_released, "guidance_device": guidance_device,
    }  # fmt: skip
    common: dict[str, Any] = {"device": device, "checkpoint": checkpoint, "steps": steps, "guidance": guidance}
    if profile == "paper" or is_large(checkpoint):
        _refuse({**small, "batch": None if batch == 1 else batch}, "paper")
        given = {**run, "compile": compile}
        return hydra_paper(**common, **{name: value for name, value in given.items() if value is not None})
    _refuse(run, profile)
    return hydra_small(profile=profile, seed_weights=seed_weights, compile=compile, batch=batch, **common, **small)


def hydra_paper(
    *,
    device: str = "cuda",
    checkpoint: Path | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    precision: Precision | None = None,
    tiling: bool | None = None,
    offload: OffloadChoice = "auto",
    text_cache: Path | None = None,
    compile: Compile = "auto",
    as_released: bool = False,
    guidance_device: str | None = None,
) -> HydraWorldModel:
    """HyDRA on Wan 2.1 1.3B, 832x480.

    Args:
        device: Torch device.
        checkpoint: Folder written by `reference_model.released.paper_weights`.
        steps: Sampling steps instead of 50.
        guidance: Weight of the text instead of 5.
        precision: Number format of the transformer; None is bfloat16.
        tiling: Codec in tiles; None: where the device cannot hold the picture whole.
        offload: What of the model waits in the machine's memory; ``auto`` takes the fastest that the plan allows.
        text_cache: Folder of text tokens; None is huggingface-hub's assets cache.
        compile: Whether blocks are compiled; ``auto``: on a CUDA device that has Triton.
        as_released: Whether sampling rounds, tiles, crops and truncates as the release does.
        guidance_device: Second device, which answers the negative prompt at the same time.
    """
    given = {
        "profile": "paper", "device": device, "checkpoint": checkpoint, "steps": steps, "guidance": guidance,
        "precision": precision, "tiling": tiling, "offload": offload, "text_cache": text_cache, "compile": compile,
        "as_released": as_released, "guidance_device": guidance_device,
    }  # fmt: skip
    return build(HYDRA, {**{name: default for name, (_, default) in COMMON.items()}, **given}, {})


def _refuse(options: dict[str, Any], profile: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"The option {name} does not apply to profile {profile}.", "Leave it out.")
