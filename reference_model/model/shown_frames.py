"""Which frames of the past a memory shows to the frames being generated: asked from outside, in one evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from reference_model.model.clip_state import ClipState
from reference_model.model.transformer import HydraTransformer3DModel


@torch.no_grad()
def shown_frames(
    model: HydraTransformer3DModel,
    latents: tuple[Tensor, Tensor],
    timestep: Tensor,
    text: Tensor,
    cameras: tuple[Tensor, Tensor],
) -> Tensor:
    """Which latent frames of the context the memory shows in full to each of the target, bool ``[B, Ft, Fc]``.

    Arguments are those of the model's `forward`, context and target together: a method that retrieves by resemblance
    chooses by what it sees.
    """
    chosen: dict[int, Tensor] = {}

    def keep(block: int, name: str, value: Tensor) -> None:
        if name == "selected":
            chosen[block] = value

    context, target = latents
    state = ClipState()
    # past the hooks of whoever listens to the sampler's own evaluations (`baselines.trace`)
    model.forward(context, target, timestep, text, cameras, record=keep, state=state)
    assert state.sequence is not None and state.packed is not None
    found = model.memory.shown(state.sequence, chosen).to(context.device)
    # a band is a clip of its own to the memory: what one of them is shown, the picture is
    if len(found) == len(context) * model.bands:
        found = found.unflatten(0, (len(context), model.bands)).any(1)
    numbers = state.packed.source_frames.to(context.device)
    if numbers.ndim == 2:
        numbers = numbers[:: model.bands]
    clips, frames = len(context), found.shape[1]
    whole = torch.zeros(clips, frames, cameras[0].shape[1], dtype=torch.bool, device=context.device)
    whole.scatter_(2, numbers.expand(clips, -1)[:, None].expand(-1, frames, -1), found.expand(clips, -1, -1))
    return whole.repeat_interleave(model.patch[0], 1).repeat_interleave(model.patch[0], 2)
