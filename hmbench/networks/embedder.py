"""The mini profile's subject embedder: a small residual CNN trained to tell the mini world's subjects apart.

It recognises subjects (re-identification), links tracklets, and stands in for CLIP and DINO, so that every metric runs
without downloads. Trained by ``python -m hmbench.subjects.train_reid``; card and digest lie beside the weights.

Letters: B batch, C channels, D embedding, T frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hmbench.networks.encoders import cut_out, shortest_side
from hmbench.networks.files import read_card, read_shipped
from hmbench.subject_names import current_name
from hmbench.types import Boxes, Video

SIDE = 64
"""Pixels a side of a subject's crop."""
FRAME_SIDE = 112
"""Shortest side at which whole frames are seen: half of what CLIP and DINO take, for a quarter of the time."""
WIDTHS = (24, 48, 96, 128)
"""Channels after each halving."""
DIM = 64
"""D."""
_CHUNK = 64


class Embedder(nn.Module):
    """Trunk of stride 16 and a linear head.

    Args:
        widths: Channels after each of the four halvings.
        dim: Length of the embedding.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, dim: int = DIM) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in widths:
            layers += [_conv(before, width, stride=2), _Residual(width)]
            before = width
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(before, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Unit embeddings ``[B, D]`` of images ``[B, 3, H, W]`` in [-1, 1]."""
        return nn.functional.normalize(self.head(self.trunk(images).mean(dim=(2, 3))), dim=1)


class MiniEncoder:
    """The embedder as a `FrameEncoder`, `MapEncoder` and `CropEncoder`.

    Args:
        model: The embedder.
        different: Mean cosine between different unseen subjects, from the card.
        gallery: Strangers by name, unit embeddings ``[D]``.
    """

    name = "reid"

    def __init__(
        self, model: Embedder, *, different: float | None = None, gallery: dict[str, Tensor] | None = None
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.different = different
        self.gallery = gallery or {}

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.head.weight.device

    def crops(self, video: Video, boxes: Boxes) -> Tensor:
        """See `CropEncoder.crops`."""
        return self.embed(cut_out(video, boxes, SIDE))

    @torch.inference_mode()
    def embed(self, crops: Video) -> Tensor:
        """Unit embeddings ``[n, D]`` of crops, uint8 ``[n, SIDE, SIDE, 3]``."""
        out = [torch.zeros(0, self.model.head.out_features)]
        out += [self.model(signed(crops[i : i + _CHUNK], self.device)).cpu() for i in range(0, len(crops), _CHUNK)]
        return torch.cat(out)

    @torch.inference_mode()
    def frames(self, video: Video) -> Tensor:
        """See `FrameEncoder.frames`: mean of the trunk's map over the whole frame."""
        size = shortest_side(video.shape[1], video.shape[2], FRAME_SIDE)
        maps = torch.cat([self._trunk(frame, size).mean(dim=(2, 3)) for frame in video])
        return nn.functional.normalize(maps, dim=1)

    @torch.inference_mode()
    def maps(self, video: Video) -> Tensor:
        """See `MapEncoder.maps`: the trunk's map of the centre crop, as the released DSC script crops."""
        size = shortest_side(video.shape[1], video.shape[2], FRAME_SIDE)
        top, left = (size[0] - FRAME_SIDE) // 2, (size[1] - FRAME_SIDE) // 2
        inner = (slice(top, top + FRAME_SIDE), slice(left, left + FRAME_SIDE))
        return torch.cat([self._trunk(frame, size, inner) for frame in video])

    def _trunk(self, frame: Video, size: tuple[int, int], inner: tuple[slice, ...] = ()) -> Tensor:
        import cv2

        scaled = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR)[inner]
        out: Tensor = self.model.trunk(signed(np.asarray(scaled, np.uint8)[None], self.device)).cpu()
        return out


def load_embedder(device: str) -> MiniEncoder:
    """The shipped embedder."""
    card, state = read_card("reid"), read_shipped("reid")
    gallery = dict(zip(map(current_name, card["gallery"]), state.pop("gallery").float(), strict=True))
    model = Embedder()
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    return MiniEncoder(model.to(device), different=card["different"], gallery=gallery)


def signed(images: Video, device: torch.device) -> Tensor:
    """Images uint8 ``[B, H, W, 3]`` as float ``[B, 3, H, W]`` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.norm(self.inner(x)))


def _conv(before: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )
