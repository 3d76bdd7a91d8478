"""Networks that see motion: RAFT by torchvision, and whatever interpolates frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hmbench.errors import UserError
from hmbench.networks.files import fitting, read_state
from hmbench.networks.untrusted import check_torchscript

ITERATIONS = 20
"""Refinements of the flow, as VBench asks for."""


def load_flow(path: Path, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """RAFT (large) from torchvision's file. Its weights ``C_T_V1`` are the authors' own, which VBench uses, too.

    Args:
        path: ``.pth`` of tensors.
        device: Torch device.

    Raises:
        UserError: If the file is damaged or another network's.
    """
    from torchvision.models.optical_flow import raft_large

    state = read_state(path)
    model = raft_large(weights=None)
    with fitting(path):
        model.load_state_dict(state)
    model = model.eval().requires_grad_(False).to(device)

    def flow(first: Tensor, second: Tensor) -> Tensor:
        scaled = [2 * (picture.to(device) / 255.0) - 1.0 for picture in (first, second)]
        found: list[Tensor] = model(*scaled, num_flow_updates=ITERATIONS)
        return found[-1]

    return flow


def load_interpolator(path: Path, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A frame interpolator that somebody exported with TorchScript: (first, second) to the picture between them.

    Args:
        path: Its file. TorchScript is no Python and still a program: one that touches files is refused.
        device: Torch device.

    Raises:
        UserError: If the file is no TorchScript module, or its program could write files.
    """
    check_torchscript(path)
    try:
        module = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} is no TorchScript module: {str(error).strip().splitlines()[0][:200]}",
            "Export an interpolator (first, second) -> middle, float [1, 3, H, W] in [0, 1], with torch.jit.",
        ) from error

    def interpolate(first: Tensor, second: Tensor) -> Tensor:
        return torch.as_tensor(module(first.to(device), second.to(device)))

    return interpolate
