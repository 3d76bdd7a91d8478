"""HyDRA at paper scale as a world model: plan first, text from the cache, offloading where memory asks for it.

    hmbench eval --model reference_model.sampling.paper_model:hydra_paper --option checkpoint=hydra-paper ...

`HydraWorldModel` does the rest. `PaperWorldModel.prepare` encodes all captions of a run at once; a runner that knows
them calls it first, else each new caption loads the text encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from reference_model.model.config import HydraConfig, hydra_wan_1_3b
from reference_model.released.checkpoint import file_digest
from reference_model.sampling.paper_pipeline import Offload, PaperPipeline, load_paper_pipeline
from reference_model.sampling.ram_plan import MemoryPlan, memory_plan
from reference_model.sampling.world_model import HydraWorldModel, load_pipeline, model_info, usable_device


class PaperWorldModel(HydraWorldModel):
    """`HydraWorldModel` whose pipeline keeps no text encoder."""

    pipeline: PaperPipeline

    def prepare(self, captions: Iterable[str]) -> int:
        """Encodes all captions of a run that are not cached yet; returns how many.

        They are encoded where there is room beside the model: on its device, else on the CPU.
        """
        device = self.pipeline._execution_device
        room = device.type == "cuda" and torch.cuda.mem_get_info(device)[0] > _TEXT_BYTES
        return self.pipeline.prepare(captions, None if room else torch.device("cpu"))

    def plan_lines(self) -> list[str]:
        """What it needs of the machine's memory against what there is (`memory_plan`)."""
        tiling = bool(self.info.settings["codec_tiles"])
        return memory_plan(hydra_wan_1_3b(), self.pipeline._execution_device, tiling=tiling).lines()


_TEXT_BYTES = 13 * 2**30
"""Free memory from which UMT5-XXL in bfloat16 (10.6 GiB) is encoded on the GPU."""


def hydra_paper(
    *,
    device: str = "cuda",
    checkpoint: Path | None = None,
    offload: Literal["auto", "none", "model", "sequential"] = "auto",
    tiling: bool = True,
    steps: int | None = None,
    guidance: float | None = None,
    text_cache: Path | None = None,
) -> PaperWorldModel:
    """HyDRA on Wan 2.1 1.3B, 832x480, as released.

    Args:
        device: Torch device.
        checkpoint: Folder written by `reference_model.released.paper_weights`.
        offload: What of the model waits in the machine's memory; ``auto`` takes the fastest that the plan allows.
        tiling: Codec in tiles.
        steps: Sampling steps instead of 50.
        guidance: Weight of the text instead of 5.
        text_cache: Folder of text tokens; None is huggingface-hub's assets cache.
    """
    config = hydra_wan_1_3b()
    target = usable_device(device)
    if checkpoint is None or not (checkpoint / "model_index.json").is_file():
        load_pipeline(config, checkpoint, 0)  # raises, with the sentence on how to fetch the weights
    assert checkpoint is not None, "load_pipeline makes no paper-scale model without weights"
    mode = offload if offload != "auto" else choose_offload(memory_plan(config, target, tiling=tiling))
    return from_folder(checkpoint, target, config, mode, tiling=tiling, overrides=(steps, guidance), cache=text_cache)


def from_folder(
    folder: Path,
    device: torch.device,
    config: HydraConfig,
    offload: Offload,
    *,
    tiling: bool = True,
    overrides: tuple[int | None, float | None] = (None, None),
    cache: Path | None = None,
) -> PaperWorldModel:
    """The model of a folder.

    Args:
        folder: Written by `reference_model.released.paper_weights`.
        device: Where it runs.
        config: Its recipe, for the name.
        offload: What waits in the machine's memory.
        tiling: Codec in tiles.
        overrides: Steps and guidance instead of the model's own.
        cache: Folder of text tokens.
    """
    pipeline = load_paper_pipeline(folder, device, offload=offload, tiling=tiling, cache=cache)
    named = dict(zip(("steps", "guidance"), overrides, strict=True))
    pipeline.register_to_config(**{name: value for name, value in named.items() if value is not None})
    weights = {str(f.relative_to(folder)): file_digest(f) for f in sorted(folder.rglob("*.safetensors"))}
    about = ("hydra", f"HyDRA on {config.name}: retrieves compressed memory tokens by affinity, beside a local window")
    info = model_info(about, pipeline, weights, None)
    # offloading changes no number, tiles do
    return PaperWorldModel(pipeline, replace(info, settings={**info.settings, "codec_tiles": tiling}))


def choose_offload(plan: MemoryPlan) -> Offload:
    """The fastest mode that the plan allows; ``sequential`` if even that may not fit, and never offloading on a CPU."""
    if plan.device == "cpu" or plan.offload == "none":
        return "none"
    return "model" if plan.offload == "model" else "sequential"
