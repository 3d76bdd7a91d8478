"""The LPIPS network: the lpips package's learnt channel weights on a trunk read from torchvision's AlexNet."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from hmbench.networks.files import fitting, read_state

_SLICES = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
"""Convolution index in torchvision's `features` -> slice of lpips' trunk."""


def load_lpips(path: Path, device: str) -> Any:
    """The lpips network with a trunk read from torchvision's AlexNet state dict.

    Args:
        path: ``.pth`` (tensors only) or ``.safetensors``.
        device: Torch device.

    Raises:
        UserError: If the file is damaged or another network's.
    """
    state = read_state(path)
    model = empty_lpips()
    with fitting(path):
        trunk = {
            f"slice{part}.{index}.{kind}": state[f"features.{index}.{kind}"]
            for index, part in _SLICES.items()
            for kind in ("weight", "bias")
        }
        model.net.load_state_dict(trunk)
    return model.to(device)


def empty_lpips() -> Any:
    """The network with its learnt channel weights and a random trunk."""
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # lpips calls torchvision by its old argument names
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    return model.eval().requires_grad_(False)
