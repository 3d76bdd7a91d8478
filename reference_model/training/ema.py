"""A running average of the trained weights: what a few thousand noisy steps leave behind, without the noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE = "ema.safetensors"


class WeightAverage:
    """Exponential moving average in float32 of all parameters that require gradients.

    Args:
        model: The model, not wrapped.
        decay: Limit of the decay; step n uses min(decay, (1 + n) / (10 + n)), so that the start is forgotten soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: p.detach().float().clone() for name, p in _trained(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step (counted from 0)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        new = _trained(model)
        torch._foreach_lerp_(list(self.weights.values()), [new[name].detach().float() for name in self.weights], share)

    def save(self, folder: Path) -> None:
        """Writes the averages."""
        save_file({name: value.contiguous() for name, value in self.weights.items()}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Takes the averages of `save`."""
        stored = load_file(folder / FILE)
        for name, value in self.weights.items():
            value.copy_(stored[name])

    @torch.no_grad()
    def swap(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Puts the averages into the model; returns the weights that were there, for `restore`."""
        parameters = _trained(model)
        old = {name: parameters[name].detach().clone() for name in self.weights}
        restore(model, self.weights)
        return old


@torch.no_grad()
def restore(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Sets parameters by name."""
    parameters = _trained(model)
    for name, value in weights.items():
        parameters[name].copy_(value)


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
