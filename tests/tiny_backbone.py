"""A transformer small enough for a fast test, with all its parts awake: cameras and projectors left their start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import baselines.rivals as methods  # configurations may name classes of imported modules only
from reference_model.model.config import HydraConfig, nano
from reference_model.model.memory_kinds import describe_memory, memory_class
from reference_model.model.transformer import HydraTransformer3DModel

METHODS = methods
CHANNELS = 4


def tiny(memory: dict[str, Any], *, layers: int = 2, seed: int = 0) -> HydraTransformer3DModel:
    """A transformer with this memory; equal seeds give equal backbones whatever the memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = HydraTransformer3DModel(
            memory_settings=memory,
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=CHANNELS,
            text_dim=8,
            freq_dim=8,
            ffn_dim=32,
            num_layers=layers,
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if not name.startswith("memory."):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    return model.eval()


def kind(name: str, **settings: Any) -> dict[str, Any]:
    """The description of a memory class of the baselines."""
    return describe_memory(name, memory_class(name).Settings(**settings))


def inputs(
    past: int, future: int, batch: int = 1, height: int = 8, width: int = 12, seed: int = 1
) -> tuple[Tensor, ...]:
    """Context, target, text, and no cameras: latents of `height` x `width`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return (
        draw(batch, CHANNELS, past, height, width),
        draw(batch, CHANNELS, future, height, width),
        draw(batch, 3, 8),
    )


def tiny_config(**changes: Any) -> HydraConfig:
    """The nano recipe, shrunk to two narrow blocks."""
    recipe = nano()
    small = replace(recipe.transformer, dim=24, heads=2, layers=2, ffn_dim=32, freq_dim=8, content=4)
    return replace(recipe, transformer=replace(small, **changes))
