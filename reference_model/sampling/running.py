"""How a model is run: settings that belong to no method, equal for all of them, and recorded with every run.

Number formats, codec tiles and the released way of sampling change numbers; where weights wait, where text tokens are
kept and whether blocks are compiled change times. All are said in ``run.json``.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import torch

from hmbench.errors import UserError
from reference_model.model.transformer import HydraTransformer3DModel

Precision = Literal["bfloat16", "float16", "float32"]
OffloadChoice = Literal["auto", "none", "model", "sequential"]
Compile = Literal["auto", "true", "false"]
FORMATS: dict[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Running:
    """Settings of a run, as given; None is the scale's own."""

    precision: Precision | None = None
    """Number format of transformer and text encoder at paper scale; None is bfloat16."""
    tiling: bool | None = None
    """Codec in tiles at paper scale; None: where the device cannot hold the picture whole."""
    offload: OffloadChoice = "auto"  # not None, as which an option's "none" would be read
    """What waits in the machine's memory at paper scale; ``auto``: the fastest that fits."""
    text_cache: Path | None = None
    """Folder of text tokens at paper scale; None is huggingface-hub's assets cache."""
    compile: Compile | None = None
    """Whether blocks are compiled; None is ``auto``: on a CUDA device that has Triton."""
    as_released: bool | None = None
    """Whether sampling rounds, tiles, crops and truncates as the release does; None is no."""
    batch: int = 1
    """Clips that a small model generates at once. Each has its own noise; sums over a batch may round otherwise."""
    guidance_device: str | None = None
    """Second device at paper scale, which answers the negative prompt at the same time; None: one after the other."""

    def for_small(self) -> Running:
        """These settings for a small model, which has none of the large one's.

        Raises:
            UserError: If one is given, or no clip is to be generated at once.
        """
        if self.batch < 1:
            raise UserError(f"{self.batch} clips cannot be generated at once.", "Give --option batch=1 or more.")
        for field in fields(self):
            if field.name not in ("compile", "batch") and getattr(self, field.name) != field.default:
                raise UserError(
                    f"The option {field.name} belongs to models at paper scale, and this one is small.", "Leave it out."
                )
        return self

    def for_large(self) -> Running:
        """These settings with the release's own where it is reproduced.

        Raises:
            UserError: If another setting contradicts it.
        """
        if self.batch != 1:
            raise UserError(
                f"A model at paper scale fills a GPU with one clip, and batch={self.batch} was given.",
                "Leave out batch; several GPUs share clips by --workers.",
            )
        if not self.as_released:
            return self
        if self.guidance_device is not None:
            raise UserError(
                "as_released=true samples on one device, and guidance_device was given.",
                "Leave out guidance_device or as_released.",
            )
        for name, own in (("precision", "bfloat16"), ("tiling", True)):
            if getattr(self, name) not in (None, own):
                raise UserError(
                    f"as_released=true samples with {name}={own}, and {name}={getattr(self, name)} was given.",
                    f"Leave out {name} or as_released.",
                )
        return Running(**{**vars(self), "precision": "bfloat16", "tiling": True})

    def record(self) -> dict[str, Any]:
        """What ``run.json`` says, besides what the loaded model itself says."""
        return {
            "offload": self.offload,
            "text_cache": str(self.text_cache or "default"),
            "as_released": bool(self.as_released),
            "guidance_device": self.guidance_device or "none",
        }


def compile_blocks(transformer: HydraTransformer3DModel, wanted: Compile | None, device: torch.device) -> bool:
    """Compiles the transformer's blocks into one graph, if that is wanted; returns whether it did.

    Args:
        transformer: Its blocks are compiled at their first call.
        wanted: ``auto`` compiles on a CUDA device that has Triton.
        device: Where it will run.

    Raises:
        UserError: If it must and no compiler is there.
    """
    compiler = _compiler(device)
    if wanted in (None, "auto"):
        if device.type != "cuda" or compiler is None:
            return False
    elif wanted == "false":
        return False
    elif compiler is None:
        needed = "Triton (`pip install triton`)" if device.type == "cuda" else "a C++ compiler (g++ or clang++)"
        raise UserError(f"Blocks cannot be compiled for {device} here: {needed} is missing.", "Give compile=false.")
    for block in transformer.blocks:
        cast(Any, block).compile(fullgraph=True, dynamic=False)
    return True


def _compiler(device: torch.device) -> str | None:
    if device.type == "cuda":
        return "triton" if importlib.util.find_spec("triton") else None
    return next((name for name in ("g++", "clang++", "c++") if shutil.which(name)), None)
