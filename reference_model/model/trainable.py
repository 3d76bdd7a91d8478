"""Which parameters training changes, and which stay as the backbone brought them."""

from __future__ import annotations

from typing import Literal

from torch import nn

from reference_model.model.transformer import HydraTransformer3DModel

TrainingRule = Literal["paper", "all"]

_ADDITIONS = ("camera_context", "camera_target", "projector")


def trainable_parameters(model: HydraTransformer3DModel, rule: TrainingRule = "paper") -> dict[str, nn.Parameter]:
    """Parameters that training changes, by name.

    Args:
        model: The transformer.
        rule: ``paper``: self-attention, camera encoders, projector, memory; cross-attention, feed-forward, embeddings
            and modulation stay as they are. ``all``: everything.
    """
    if rule not in ("paper", "all"):
        raise ValueError(f"rule must be 'paper' or 'all', got {rule!r}")
    return {name: parameter for name, parameter in model.named_parameters() if rule == "all" or _paper_trains(name)}


def freeze(model: HydraTransformer3DModel, rule: TrainingRule = "paper") -> dict[str, nn.Parameter]:
    """Makes exactly the parameters of `trainable_parameters` require gradients, and returns them."""
    chosen = trainable_parameters(model, rule)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    return chosen


def _paper_trains(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "memory" or (parts[0] == "blocks" and parts[2] in ("attn1", *_ADDITIONS))
