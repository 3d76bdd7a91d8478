"""Guidance on two devices: one answers with the caption, its twin with the negative prompt, at the same time.

A clip at paper scale takes two evaluations a step, which need nothing of each other. With a second GPU they run side by
side. The numbers are those of one device; noise is drawn alike for both.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from reference_model.sampling.pipeline import Denoiser, HydraPipeline


class GuidanceTwin:
    """A second copy of a pipeline's transformer.

    Args:
        pipeline: Whose transformer is copied, as it is now (number format, compiled blocks).
        device: Where the copy lives.
    """

    def __init__(self, pipeline: HydraPipeline, device: torch.device) -> None:
        self.device = device
        self.pipeline = copy.copy(pipeline)
        # diffusers writes what is assigned into the pipeline's configuration, which the two share
        self.pipeline.__dict__["transformer"] = copy.deepcopy(pipeline.transformer).to(device)

    def denoiser(self, context: Tensor, cameras: tuple[Tensor, Tensor], generator: torch.Generator) -> Denoiser:
        """The pipeline's denoiser on the twin's device, with the noise that the first one draws.

        Args:
            context: Clean context latents, ``[B, C, Fc, h, w]``.
            cameras: Of context and target, ``[B, F, 12]`` each.
            generator: In the state in which the first denoiser is given it; it is left in that state.
        """
        same = torch.Generator(generator.device)
        same.set_state(generator.get_state())
        past, future = (camera.to(self.device) for camera in cameras)
        return self.pipeline.denoiser(context.to(self.device), (past, future), same)


class SideBySide:
    """Velocities with the caption and with the negative prompt, the latter from the twin's thread.

    Args:
        first: Denoiser of the pipeline.
        second: Denoiser of the twin.
        texts: Tokens of caption and negative prompt, ``[B, L, D]`` each, the latter on the twin's device.
    """

    def __init__(self, first: Denoiser, second: Denoiser, texts: tuple[Tensor, Tensor]) -> None:
        self.first, self.second, self.texts = first, second, texts
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="guidance")

    def __call__(self, latents: Tensor, timestep: Tensor) -> list[Tensor]:
        """Both velocities, ``[B, C, Ft, h, w]`` each, on the device of `latents`."""
        caption, negative = self.texts
        other = negative.device
        away: Future[Tensor] = self.pool.submit(self._second, latents.to(other), timestep.to(other))
        found = self.first(latents, timestep, caption)
        return [found, away.result().to(latents.device)]

    def close(self) -> None:
        """Ends the thread."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _second(self, latents: Tensor, timestep: Tensor) -> Tensor:
        with torch.no_grad():  # a thread has its own mode
            return self.second(latents, timestep, self.texts[1])
