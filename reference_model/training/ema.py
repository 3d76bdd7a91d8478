"""A running average of the trained weights: what a few thousand noisy steps leave behind, without the noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from reference_model.training.shards import own_part, part_of, whole_of

FILE = "ema.safetensors"


class WeightAverage:
    """Exponential moving average in float32 of all parameters that require gradients; of sharded ones the own part.

    Args:
        model: The model, not wrapped; if it is sharded, after that was done.
        decay: Limit of the decay; step n uses min(decay, (1 + n) / (10 + n)), so that the start is forgotten soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: p.float().clone() for name, p in _parts(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step (counted from 0)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        new = _parts(model)
        torch._foreach_lerp_(list(self.weights.values()), [new[name].float() for name in self.weights], share)

    def save(self, folder: Path, model: nn.Module, writes: bool) -> None:
        """Writes whole averages; every process must call this, one of them with `writes`."""
        parameters, found = _trained(model), {}
        for name, value in self.weights.items():
            gathered = whole_of(value, parameters[name])
            if writes:
                found[name] = gathered.cpu().contiguous()
        if writes:
            save_file(found, folder / FILE)

    def load(self, folder: Path, model: nn.Module) -> None:
        """Takes the averages of `save`."""
        stored, parameters = load_file(folder / FILE), _trained(model)
        for name, value in self.weights.items():
            value.copy_(part_of(stored[name], parameters[name]))

    @torch.no_grad()
    def swap(self, model: nn.Module) -> Mapping[str, Tensor]:
        """Puts the averages into the model; returns the weights that were there, for `restore`."""
        parts = _parts(model)
        old = {name: parts[name].clone() for name in self.weights}
        restore(model, self.weights)
        return old


@torch.no_grad()
def restore(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Sets parameters, of sharded ones the own part, by name."""
    parts = _parts(model)
    for name, value in weights.items():
        parts[name].copy_(value)


def _parts(model: nn.Module) -> dict[str, Tensor]:
    return {name: own_part(parameter.detach()) for name, parameter in _trained(model).items()}


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
