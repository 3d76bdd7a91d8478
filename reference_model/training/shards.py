"""Models whose weights lie in shards on several processes (FSDP 2), beside whole ones, by the same few functions.

A sharded parameter is a `DTensor`: each process holds a part, of which whatever is elementwise (averages, swapping
weights for validation) needs no other. Only what leaves the processes is put together: checkpoints of averages and the
saved model. What is whole already passes through as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from reference_model.model.transformer import HydraTransformer3DModel


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters lie on several processes."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def compute_under(model: nn.Module, context: Callable[[], AbstractContextManager[Any]]) -> None:
    """Makes every forward pass run in a context: mixed precision, which accelerate gives to whole models only.

    As accelerate does it there, in the forward method, so that training, validation and samples all have it; a hook
    cannot hold a context open.
    """
    forward = model.forward

    def within(*inputs: Any, **named: Any) -> Any:
        with context():
            return forward(*inputs, **named)

    model.forward = within


def share_out(model: nn.Module) -> None:
    """Gives back the whole weights that a forward pass without a backward one left behind.

    Values that are set while they are there would be lost.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def own_part(tensor: Tensor) -> Tensor:
    """This process's part of a tensor, with the same memory; may be empty."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together; every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """Parts that lie as those of `like`, put together; every process must call this."""
    if not isinstance(like, DTensor):
        return part
    spread = DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return whole(spread)


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor that every process has, cut as `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    return own_part(distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None))


@torch.no_grad()
def whole_model(model: HydraTransformer3DModel, wanted: bool) -> HydraTransformer3DModel:
    """A model that stands by itself; every process must call this.

    Args:
        model: The trained one, which is returned as it is unless it is sharded.
        wanted: Whether this process needs the result; the others keep the sharded model and the memory.
    """
    if not is_sharded(model):
        return model
    weights = {}
    for name, value in model.state_dict().items():
        gathered = whole(value)
        if wanted:
            weights[name] = gathered.cpu()
    if not wanted:
        return model
    alone = cast(HydraTransformer3DModel, HydraTransformer3DModel.from_config(model.config))
    alone.load_state_dict(weights, assign=True)  # in the number formats that they were trained in
    return alone
