"""LPIPS with the AlexNet trunk (Zhang et al. 2018), over the whole frame, subject pixels, background pixels.

The lpips package ships the learnt channel weights; its trunk is torchvision's ImageNet AlexNet, read from the weights
folder (`hmbench weights pull DIR`). Input is uint8 and is scaled to [-1, 1] here: [0, 1] would be accepted without a
word by every implementation and gives a third of the value.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.fidelity import Region, check_same_shape, region_masks, region_means
from hmbench.metrics.needs import LABELS, TRUTH
from hmbench.networks.backbones import Backbone
from hmbench.protocols import MetricInfo
from hmbench.types import Score, Video

_CHUNK = 8


class LpipsParts(NamedTuple):
    """What one pass over a clip gives."""

    frames: NDArray[np.float64]
    """LPIPS per frame, ``[T]``: layers averaged over their own grids, then summed, as published."""
    maps: NDArray[np.float32]
    """Layers upsampled to the frame and summed, ``[T, H, W]``; its mean is close to, not equal to, `frames`."""


class Lpips:
    """Learned perceptual distance, mean over frames; lower is better.

    Args:
        model: The network, or why there is none.
        region: Which pixels of the target count; regions average the spatial map.
    """

    def __init__(self, model: Backbone[Any], region: Region = "frame") -> None:
        self.model = model
        self.region = region
        self.info = MetricInfo(
            name="lpips" if region == "frame" else f"lpips_{region}",
            version=1,
            higher_is_better=False,
            bounds=(0.0, None),
            needs=frozenset({TRUTH, "alexnet"} if region == "frame" else {TRUTH, LABELS, "alexnet"}),
            source="Zhang et al. 2018, AlexNet, version 0.1",
            headline=region == "frame",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the trunk's weights or where no frame shows the region."""
        if self.model.missing:
            return Score.skipped(self.model.missing)
        parts = case.memo("lpips", lambda: lpips_parts(self.model.get(), case.prediction, case.truth.target))
        if self.region == "frame":
            return Score(float(parts.frames.mean()), details={"frames": len(parts.frames)})
        values, _ = region_means(parts.maps, region_masks(case, self.region))
        if not len(values):
            return Score.skipped(f"no target frame shows the {self.region}")
        return Score(float(values.mean()), details={"frames": len(values)})


@torch.inference_mode()
def lpips_parts(model: Any, a: Video, b: Video) -> LpipsParts:
    """LPIPS of two clips, uint8 ``[T, H, W, 3]`` each."""
    from lpips import normalize_tensor

    check_same_shape(a, b)
    device = next(model.parameters()).device
    frames, maps = [], []
    for start in range(0, len(a), _CHUNK):
        x, y = (model.scaling_layer(_signed(v[start : start + _CHUNK], device)) for v in (a, b))
        pairs = zip(model.net(x), model.net(y), model.lins, strict=True)
        layers = [lin((normalize_tensor(p) - normalize_tensor(q)) ** 2) for p, q, lin in pairs]
        frames.append(torch.stack([layer.mean(dim=(1, 2, 3)) for layer in layers]).sum(dim=0).cpu().double().numpy())
        maps.append(torch.stack([_upsample(layer, a.shape[1:3])[:, 0] for layer in layers]).sum(dim=0).cpu().numpy())
    return LpipsParts(np.concatenate(frames), np.concatenate(maps))


def _signed(video: Video, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(video)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _upsample(layer: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return torch.nn.functional.interpolate(layer, size=size, mode="bilinear", align_corners=False)
