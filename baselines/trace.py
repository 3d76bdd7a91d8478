"""Traces what the memories on the reference backbone retrieve (see `hmbench.insight.retrieval`).

HyDRA chooses anew in every block and step, so its choices are recorded while it generates; the other methods choose by
geometry and time, once, and are simply asked.

Letters: S steps, L blocks, F target latent frames, M parts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.frame_pack import FramePack, PackedRange
from baselines.overlap import PUBLISHED, Lens, overlap
from hmbench.insight.retrieval import RetrievalTrace
from hmbench.protocols import TruthModel, WorldModel
from hmbench.types import Prompt
from hmbench.video.geometry import field_of_view
from reference_model.model.camera import camera_condition
from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.world_model import HydraWorldModel, clip_grids


class Choice(NamedTuple):
    """What was retrieved from what."""

    part: str
    """Name of a part."""
    latents: list[range]
    """Latent frames of the clip (context first) behind each part."""
    selected: NDArray[np.bool_]
    """``[S, L, F, M]``; where a picture has bands, L counts those of each block."""


def trace(model: WorldModel | TruthModel, prompt: Prompt, *, seed: int) -> RetrievalTrace | None:
    """The trace of one generation; None for a model that does not stand on this backbone."""
    if not isinstance(model, HydraWorldModel):
        return None
    memory = model.pipeline.transformer.memory
    cameras = camera_condition(prompt.context_poses, prompt.target_poses, model.pipeline.codec.time_stride)
    choice = _recorded(model, prompt, seed) if isinstance(memory, HydraMemory) else _asked(memory, cameras)
    past = cameras[0].shape[1]
    spans = _spans(len(prompt.context), len(prompt.target_poses), model.pipeline.codec.time_stride)
    lens = _lens(memory, prompt)
    seen = overlap(cameras[1], torch.cat(cameras, dim=1), lens)[0]
    return RetrievalTrace(
        model=model.info.name,
        part=choice.part,
        parts=tuple((spans[frames[0]][0], spans[frames[-1]][1]) for frames in choice.latents),
        targets=tuple(spans[past:]),
        selected=choice.selected,
        overlap=np.stack([seen[:, list(frames)].mean(1).double().numpy() for frames in choice.latents], axis=1),
        lens=(lens.horizontal, lens.vertical, lens.radius),
        settings=dict(model.pipeline.transformer.config["memory_settings"]),
    )


def _recorded(model: HydraWorldModel, prompt: Prompt, seed: int) -> Choice:
    """Generates once and listens to every block."""
    memory = model.pipeline.transformer.memory
    assert isinstance(memory, HydraMemory)
    context, target = clip_grids(model.pipeline, len(prompt.context), prompt.num_target_frames)
    slices = memory.settings.slices(context, target).frames
    heard: list[Tensor] = []

    def listen(block: int, name: str, value: Tensor) -> None:
        if name == "selected":
            heard.append(value[:, -target.frames :].cpu())

    with _Listening(model.pipeline.transformer, listen):
        model.generate(prompt, seed=seed)
    chosen = torch.cat(heard)  # blocks, and the bands of each where pictures have bands (`reference_model.model.bands`)
    marks = torch.zeros(*chosen.shape[:2], slices, dtype=torch.bool).scatter_(2, chosen, True)
    kernel, stride = memory.settings.kernel[0], memory.settings.stride[0]
    return Choice(
        part="memory slice",
        latents=[range(j * stride, j * stride + kernel) for j in range(slices)],
        selected=marks.unflatten(0, (-1, memory.backbone.layers * model.pipeline.transformer.bands)).numpy(),
    )


def _asked(memory: Any, cameras: tuple[Tensor, Tensor]) -> Choice:
    """The choice of a method that looks at cameras and time alone."""
    past, future = (camera.shape[1] for camera in cameras)
    if isinstance(memory, FramePack):
        latents = [frames for part in memory.settings.parts(past) for frames in _packed_frames(part)]
        return Choice("packed frame", latents, np.ones((1, 1, future, len(latents)), dtype=np.bool_))
    chosen = memory.select(*cameras)
    marks = np.zeros((1, 1, future, past), dtype=np.bool_)
    marks[..., slice(None) if chosen is None else chosen[0].tolist()] = True
    return Choice("latent frame", [range(i, i + 1) for i in range(past)], marks)


def _packed_frames(part: PackedRange) -> list[range]:
    """Latent frames behind each packed frame; the oldest has fewer where they do not divide."""
    first = part.stop - math.ceil((part.stop - part.start) / part.factor) * part.factor
    return [range(max(part.start, i), i + part.factor) for i in range(first, part.stop, part.factor)]


def _spans(context: int, target: int, stride: int) -> list[tuple[int, int]]:
    """Pixel frames ``[start, stop)`` of each latent frame: in each half the first alone, then `stride` each."""
    return [
        (first + max(0, stride * (k - 1) + 1), first + stride * k + 1)
        for first, count in ((0, context), (context, target))
        for k in range((count - 1) // stride + 1)
    ]


def _lens(memory: Any, prompt: Prompt) -> Lens:
    """The memory's own lens, or else the clip's with HM-World's radius."""
    fov = getattr(memory.settings, "fov", None)
    if fov is not None:
        return Lens(fov[0], fov[1], memory.settings.radius)
    return Lens(*field_of_view(prompt.intrinsics), PUBLISHED["hm-world"].radius)


class _Listening:
    """While active, the transformer reports what happens inside (see `reference_model.model.memory.Recorder`)."""

    def __init__(self, transformer: HydraTransformer3DModel, listen: Any) -> None:
        self._transformer = transformer
        self._listen = listen

    def __enter__(self) -> None:
        def add(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return given, {**named, "record": self._listen}

        self._handle = self._transformer.register_forward_pre_hook(add, with_kwargs=True)

    def __exit__(self, *failure: object) -> None:
        self._handle.remove()
