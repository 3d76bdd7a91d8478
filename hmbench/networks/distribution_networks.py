"""Networks whose features FID, KID and FVD compare, read from files and never downloaded here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmbench.networks.files import fitting, read_state
from hmbench.types import Video

BATCH = 16
"""Pictures, or snippets by four, that are looked at at once."""
Features = Callable[[Video], Tensor]
"""A video, uint8 ``[T, H, W, 3]``, to its features, float32 ``[N, D]`` on the CPU."""


def load_inception(path: Path, device: str, *, every: int) -> Features:
    """The original FID's Inception (pool 3, 2,048 numbers a picture), by torch-fidelity, on every n-th frame.

    Args:
        path: Its file, tensors only.
        device: Torch device.
        every: Frames between those that are looked at.

    Raises:
        UserError: If the file is damaged or another network's.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    read_state(path)  # torch-fidelity would run what code a pickle holds; this lets tensors pass and nothing else
    with fitting(path):
        model = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    model = model.to(device)

    def features(video: Video) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(video[::every])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return torch.cat([model(part.to(device))[0].cpu() for part in pictures.split(BATCH)])

    return features


def load_r3d18(path: Path, device: str, *, snippet: int) -> Features:
    """Torchvision's R3D-18 without its classifier (512 numbers a snippet), on snippets that do not overlap.

    Pictures go through torchvision's own transform for these weights: 128x171, cut to 112x112.

    Args:
        path: Its file.
        device: Torch device.
        snippet: Frames of one; a rest at the end is left out.

    Raises:
        UserError: If the file is damaged or another network's.
    """
    from torchvision.models.video import R3D_18_Weights, r3d_18

    state = read_state(path)
    model = r3d_18(weights=None)
    with fitting(path):
        model.load_state_dict(state)
    model.fc = torch.nn.Identity()
    model = model.eval().requires_grad_(False).to(device)
    transform = R3D_18_Weights.KINETICS400_V1.transforms()

    def features(video: Video) -> Tensor:
        count = len(video) // snippet
        if count == 0:
            return torch.zeros(0, 512)
        frames = torch.from_numpy(np.ascontiguousarray(video[: count * snippet])).permute(0, 3, 1, 2)
        snippets = torch.stack([transform(part) for part in frames.split(snippet)])
        with torch.inference_mode():
            return torch.cat([model(part.to(device)).cpu() for part in snippets.split(BATCH // 4)])

    return features
