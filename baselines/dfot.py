"""``dfot``: diffusion forcing with history guidance (arXiv 2502.06764) over a window of recent frames.

Every latent frame has its own noise level. In training all levels are drawn independently, context included (so the
model learns every mixture of clean, noisy and absent history); in sampling the history is clean, and a history of pure
noise is none at all, which is what guidance steers away from::

    v = v(history) + (w - 1) [v(history at level k) - v(no history)]

with k = 0 history guidance proper (HG-v), with k > 0 its fractional form (HG-f), with w = 1 none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from baselines.recent_window import RecentSettings, RecentWindow
from reference_model.model.clip_state import ClipState
from reference_model.sampling.pipeline import TRAIN_TIMESTEPS, Denoiser, HydraPipeline, Noise, drawn

Level = float | Literal["target"]


@dataclass(frozen=True, kw_only=True)
class DfotSettings(RecentSettings):
    """The window, and how history guides."""

    history_guidance: float = 1.5
    """w; 1 is none and costs one evaluation a step instead of two or three."""
    guided_level: float = 0.0
    """k, in [0, 1): noise level of the history that guides."""
    history_level: Level = 0.0
    """Noise level of the history itself, in [0, 1); the paper steadies generated history with 0.02, ours is real.
    ``target``: clean history labelled with the target's own level, which is the plain sampler where velocities are
    predicted (a model that predicts clean latents takes a history's label at its word and shrinks it)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        named = self.history_level == "target"
        if not (0 <= self.guided_level < 1 and (named or 0 <= float(self.history_level) < 1)):
            raise ValueError(f"levels must lie in [0, 1), got {self.guided_level=} {self.history_level=}")

    def terms(self) -> dict[Level, float]:
        """Weight of the velocity under each noise level of the history; they sum to 1."""
        extra = self.history_guidance - 1.0
        weights: dict[Level, float] = {self.history_level: 1.0}
        for level, weight in ((self.guided_level, extra), (1.0, -extra)):
            weights[level] = weights.get(level, 0.0) + weight
        return {level: weight for level, weight in weights.items() if weight}


class Dfot(RecentWindow):
    """A recent window whose frames have noise levels of their own."""

    Settings = DfotSettings
    settings: DfotSettings
    per_frame_noise = True


class DfotPipeline(HydraPipeline):
    """Samples the target under a history at several noise levels."""

    def denoiser(self, context: Tensor, cameras: tuple[Tensor, Tensor], generator: Noise) -> Denoiser:
        """The guided velocity; the history's noise is drawn once for all steps."""
        noise = drawn(context.shape, generator).to(context)
        settings = self.transformer.memory.settings
        assert isinstance(settings, DfotSettings), f"DfotPipeline needs the memory Dfot, got {settings}"

        states = {level: ClipState() for level in settings.terms()}

        def denoise(latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
            parts = [
                weight * self._velocity(context, noise, level, latents, timestep, (text, cameras, states[level]))
                for level, weight in settings.terms().items()
            ]
            return torch.stack(parts).sum(0)

        return denoise

    def _velocity(
        self,
        context: Tensor,
        noise: Tensor,
        level: Level,
        latents: Tensor,
        timestep: Tensor,
        conditions: tuple[Tensor, tuple[Tensor, Tensor], ClipState],
    ) -> Tensor:
        """The target's velocity under a history at one noise level."""
        text, cameras, state = conditions
        past, future = (camera.shape[1] for camera in cameras)
        amount, known = 0.0, timestep
        if level != "target":
            amount, known = float(level), torch.full_like(timestep, float(level) * TRAIN_TIMESTEPS)
        steps = torch.cat((known.expand(len(latents), past), timestep.expand(len(latents), future)), dim=1)
        history = (1 - amount) * context + amount * noise
        dtype = self.transformer.dtype
        given = (history.to(dtype), latents.to(dtype), steps, text, cameras)
        found = self.transformer(*given, state=state, context_too=False).target
        return cast(Tensor, found.float())
