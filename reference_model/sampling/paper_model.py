"""World models at paper scale, whatever their memory: plan first, text from the cache, settings of the run recorded.

    hmbench eval --model hydra --profile paper --option checkpoint=hydra-paper ...
    hmbench eval --model trained/full-context --profile paper ...

Every method is loaded here, so that rivals differ in their memories alone. `LargeWorldModel.prepare` encodes all
captions of a run at once; a runner that knows them calls it first, else each new caption loads the text encoder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from hmbench.errors import UserError
from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Video
from reference_model.model.camera import camera_condition
from reference_model.model.config import HydraConfig
from reference_model.sampling.as_released import cover_and_crop, sample_as_released, truncated, uncrop
from reference_model.sampling.paper_pipeline import Offload, place
from reference_model.sampling.pipeline import GenerationRequest, HydraPipeline
from reference_model.sampling.ram_plan import RamPlan, ram_plan
from reference_model.sampling.running import FORMATS, Running
from reference_model.sampling.split_guidance import GuidanceTwin
from reference_model.sampling.world_model import HydraWorldModel, to_tensor, to_video, usable_device

_TEXT_BYTES = 13 * 2**30
"""Free memory from which UMT5-XXL in bfloat16 (10.6 GiB) is encoded on the GPU."""


class LargeWorldModel(HydraWorldModel):
    """`HydraWorldModel` whose pipeline keeps no text encoder.

    Args:
        pipeline: The model.
        info: What runs record of it.
        config: Its recipe, for the plan.
        as_released: Whether it samples as the release does (`as_released`).
    """

    def __init__(self, pipeline: HydraPipeline, info: ModelInfo, config: HydraConfig, *, as_released: bool) -> None:
        super().__init__(pipeline, info)
        self.config = config
        self.as_released = as_released

    def prepare(self, captions: Iterable[str]) -> int:
        """Encodes all captions of a run that are not cached yet, the negative prompt with them; returns how many.

        They are encoded where there is room beside the model: on its device, else on the CPU.
        """
        device = self.pipeline._execution_device
        room = device.type == "cuda" and torch.cuda.mem_get_info(device)[0] > _TEXT_BYTES
        assert self.pipeline.text_cache is not None, "a large pipeline has a text cache"
        wanted = [*captions, str(self.pipeline.config["negative_prompt"])]
        return self.pipeline.text_cache.encode_missing(wanted, device if room else torch.device("cpu"))

    def plan_lines(self) -> list[str]:
        """What it needs of the machine's memory against what there is (`ram_plan`)."""
        dtype, tiling = self.pipeline.transformer.dtype, self.pipeline.tiled
        return ram_plan(self.config, self.pipeline._execution_device, dtype, tiling=tiling).lines()

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """As `HydraWorldModel.generate`; as released, with the release's own seed and crop."""
        if not self.as_released:
            return super().generate(prompt, seed=seed)
        self._check(len(prompt.context), prompt.num_target_frames)
        height, width = int(self.pipeline.config["height"]), int(self.pipeline.config["width"])
        request = GenerationRequest(
            context=to_tensor(cover_and_crop(prompt.context, height, width)),
            cameras=camera_condition(prompt.context_poses, prompt.target_poses, self.pipeline.codec.time_stride),
            captions=[prompt.caption],
        )
        frames = sample_as_released(self.pipeline, request, self.on_step)
        to_video(frames)  # refuses what is no picture
        return uncrop(truncated(frames), prompt.size)


def decide(running: Running, config: HydraConfig, device: torch.device) -> tuple[bool, Offload]:
    """Tiles and offloading: as given, or what the plan allows.

    Tiles are chosen by all memory of the device and not by what is free of it, so that equal machines compute alike.
    """
    tiling, offload = running.tiling, running.offload
    dtype = FORMATS[running.precision or "bfloat16"]
    if tiling is None:
        whole = ram_plan(config, device, dtype, tiling=False)
        tiling = whole.needed("none") > whole.total
    if offload == "auto":
        return tiling, choose_offload(ram_plan(config, device, dtype, tiling=tiling))
    return tiling, offload


def finish(
    pipeline: HydraPipeline, info: ModelInfo, config: HydraConfig, running: Running, where: tuple[torch.device, Offload]
) -> LargeWorldModel:
    """The world model of a loaded pipeline, put where it runs.

    Args:
        pipeline: On the CPU.
        info: What is recorded of it.
        config: Its recipe.
        running: Settings of the run.
        where: Device and what waits elsewhere.
    """
    if running.as_released:
        # `to` of diffusers keeps norms and the time embedding in float32, which the release does not
        torch.nn.Module.to(pipeline.transformer, torch.bfloat16)
        torch.nn.Module.to(pipeline.vae, torch.bfloat16)
    place(pipeline, *where)
    if running.guidance_device is not None:
        pipeline.twin = GuidanceTwin(pipeline, twin_device(pipeline, running.guidance_device, where[1]))
    said: dict[str, Any] = {**running.record(), "codec_tiles": pipeline.tiled, "device": str(where[0])}
    info = replace(info, settings={**info.settings, **said})
    return LargeWorldModel(pipeline, info, config, as_released=bool(running.as_released))


def twin_device(pipeline: HydraPipeline, name: str, offload: Offload) -> torch.device:
    """The device of the second half of guidance.

    Raises:
        UserError: If there is no guidance to split, the device cannot be used, or layers wait elsewhere.
    """
    if float(pipeline.config["guidance"]) == 1:
        raise UserError("guidance=1 is one evaluation a step: there is nothing to share.", "Leave out guidance_device.")
    if offload != "none":
        raise UserError(
            f"guidance_device={name} keeps a second whole transformer, and offload={offload} keeps none whole.",
            "Give offload=none, or leave out guidance_device.",
        )
    return usable_device(name)


def choose_offload(plan: RamPlan) -> Offload:
    """The fastest mode that the plan allows; ``sequential`` if even that may not fit, and never offloading on a CPU."""
    if plan.device == "cpu" or plan.offload == "none":
        return "none"
    return "model" if plan.offload == "model" else "sequential"
