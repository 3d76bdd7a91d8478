"""CLIP and DINO as the metrics call them: which pixels go in, how they are scaled, which layer comes out.

Every transform is written out, since the numbers depend on it: VBench resizes without antialiasing, the released DSC
script centre-crops and never tells its boxes.

Letters: T frames, D features, S side of the square input.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hmbench.networks.dino import Dino, load_dino
from hmbench.networks.files import fitting, unfit
from hmbench.networks.untrusted import check_finite, check_weight_files
from hmbench.types import Boxes, Video

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_CHUNK = 16
CROP_MARGIN = 0.1
"""Share of a box's side added around it before it is cut out."""


class DinoFrames:
    """DINO's class token as in VBench's subject consistency.

    Float 0..255, shortest side to 224 (bilinear, no antialiasing, no crop), / 255, ImageNet mean and deviation.

    Args:
        model: DINO.
        side: Length of the shortest side.
    """

    name = "dino"

    def __init__(self, model: Dino, side: int = 224) -> None:
        self.model = model
        self.side = side

    @classmethod
    def load(cls, path: Path, device: str, *, num_heads: int | None = None) -> DinoFrames:
        """Reads the weights; see `load_dino`."""
        return cls(load_dino(path, device, num_heads=num_heads))

    @torch.inference_mode()
    def frames(self, video: Video) -> Tensor:
        """See `FrameEncoder.frames`."""
        device = self.model.norm.weight.device
        size = shortest_side(video.shape[1], video.shape[2], self.side)
        out = []
        for part in _chunks(video):
            image = _resize(_floats(part, device), size, "bilinear")
            out.append(self.model(_normalised(image / 255, _IMAGENET)).cpu())
        return nn.functional.normalize(torch.cat(out), dim=1)


class ClipFrames:
    """CLIP's projected image embedding as in VBench's background consistency, in float32.

    Float 0..255, shortest side to the input's (bicubic, no antialiasing, not clamped), centre crop, / 255, CLIP mean
    and deviation; the whole frame. VBench runs fp16 on CUDA, whose steps are 0.0005.

    Args:
        model: transformers' CLIPVisionModelWithProjection.
    """

    name = "clip_b32"

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    def load(cls, path: Path, device: str) -> ClipFrames:
        """Reads a transformers folder."""
        from transformers import CLIPVisionModelWithProjection

        return cls(_from_pretrained(CLIPVisionModelWithProjection, path, device))

    @torch.inference_mode()
    def frames(self, video: Video) -> Tensor:
        """See `FrameEncoder.frames`."""
        side = self.model.config.image_size
        size = shortest_side(video.shape[1], video.shape[2], side)
        out = []
        for part in _chunks(video):
            image = _centre_crop(_resize(_floats(part, self.model.device), size, "bicubic"), side)
            out.append(self.model(pixel_values=_normalised(image / 255, _CLIP)).image_embeds.cpu())
        return nn.functional.normalize(torch.cat(out), dim=1)


class ClipMaps:
    """CLIP's last hidden state, patches only, before the post-layernorm, as a map: the released DSC script's features.

    Args:
        model: transformers' CLIPVisionModel.
        whole_frame: False, as released: CLIP's processor centre-crops (PIL bicubic), so that boxes and pixels disagree.
            True: the whole frame is resized to the square input (bicubic, no antialiasing, rounded and clamped).
    """

    def __init__(self, model: Any, *, whole_frame: bool = False) -> None:
        self.model = model
        self.whole_frame = whole_frame
        self.name = "clip_b16_whole" if whole_frame else "clip_b16_released"

    @classmethod
    def load(cls, path: Path, device: str, *, whole_frame: bool = False) -> ClipMaps:
        """Reads a transformers CLIP folder; text weights in it are not used."""
        from transformers import CLIPVisionModel

        return cls(_from_pretrained(CLIPVisionModel, path, device), whole_frame=whole_frame)

    @torch.inference_mode()
    def maps(self, video: Video) -> Tensor:
        """See `MapEncoder.maps`."""
        side = self.model.config.image_size
        prepare = self._stretched if self.whole_frame else self._cropped
        return torch.cat([self._map(prepare(part, side)) for part in _chunks(video)])

    def _map(self, images: Tensor) -> Tensor:
        grid = self.model.config.image_size // self.model.config.patch_size
        hidden = self.model(pixel_values=_normalised(images, _CLIP)).last_hidden_state[:, 1:]
        out: Tensor = hidden.transpose(1, 2).unflatten(2, (grid, grid)).float().cpu()
        return out

    def _stretched(self, video: Video, side: int) -> Tensor:
        # whole numbers, as a resized picture has: bicubic sums leave 0..255 at edges
        return _resize(_floats(video, self.model.device), (side, side), "bicubic").round().clamp(0, 255) / 255

    def _cropped(self, video: Video, side: int) -> Tensor:
        from PIL import Image

        height, width = shortest_side(video.shape[1], video.shape[2], side)
        small = [Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC) for f in video]
        images = _floats(np.stack([np.asarray(f) for f in small]), self.model.device)
        # transformers' processor cuts an odd row or column off the far side, torchvision's crop rounds to even
        top, left = (images.shape[2] - side) // 2, (images.shape[3] - side) // 2
        return images[:, :, top : top + side, left : left + side] / 255


class ClipSubjects:
    """Subjects seen by CLIP: each box cut out, resized to the input, mean of the patch tokens.

    A subject that covers a tenth of the frame's width would be one or two tokens of a map over the whole frame.

    Args:
        model: transformers' CLIPVisionModel.
    """

    name = "clip_b16"
    different: float | None = None

    def __init__(self, model: Any) -> None:
        self.model = model
        self.gallery: dict[str, Tensor] = {}

    @classmethod
    def load(cls, path: Path, device: str) -> ClipSubjects:
        """Reads a transformers CLIP folder."""
        return cls(ClipMaps.load(path, device).model)

    @torch.inference_mode()
    def crops(self, video: Video, boxes: Boxes) -> Tensor:
        """See `CropEncoder.crops`."""
        side = self.model.config.image_size
        crops = cut_out(video, boxes, side)
        out = [torch.zeros(0, self.model.config.hidden_size)]
        for part in _chunks(crops):
            pixels = _normalised(_floats(part, self.model.device) / 255, _CLIP)
            out.append(self.model(pixel_values=pixels).last_hidden_state[:, 1:].mean(dim=1).cpu())
        return nn.functional.normalize(torch.cat(out), dim=1)


class DinoSubjects:
    """Subjects seen by DINO: each box cut out, resized to the input, class token.

    Args:
        model: DINO.
        side: Input size.
    """

    name = "dino"
    different: float | None = None

    def __init__(self, model: Dino, side: int = 224) -> None:
        self.model = model
        self.side = side
        self.gallery: dict[str, Tensor] = {}

    @classmethod
    def load(cls, path: Path, device: str, *, num_heads: int | None = None) -> DinoSubjects:
        """Reads the weights; see `load_dino`."""
        return cls(load_dino(path, device, num_heads=num_heads))

    @torch.inference_mode()
    def crops(self, video: Video, boxes: Boxes) -> Tensor:
        """See `CropEncoder.crops`."""
        device = self.model.norm.weight.device
        out = [torch.zeros(0, self.model.config.embed_dim)]
        for part in _chunks(cut_out(video, boxes, self.side)):
            out.append(self.model(_normalised(_floats(part, device) / 255, _IMAGENET)).cpu())
        return nn.functional.normalize(torch.cat(out), dim=1)


def cut_out(video: Video, boxes: Boxes, side: int, *, margin: float = CROP_MARGIN) -> Video:
    """Boxes cut out of their frames and scaled to squares.

    Args:
        video: ``[T, H, W, 3]``.
        boxes: ``[T, 4]``, xyxy pixels; rows of NaN are left out.
        side: Pixels a side.
        margin: Share of each side added around the box, as far as the frame goes.

    Returns:
        uint8 ``[n, side, side, 3]``, n rows that are not NaN.
    """
    import cv2

    height, width = video.shape[1:3]
    out = []
    for frame, box in zip(video, boxes, strict=True):
        if np.isnan(box).any():
            continue
        pad_x, pad_y = margin * (box[2] - box[0]), margin * (box[3] - box[1])
        x0, x1 = _span(box[0] - pad_x, box[2] + pad_x, width)
        y0, y1 = _span(box[1] - pad_y, box[3] + pad_y, height)
        crop = frame[y0:y1, x0:x1]
        shrinks = crop.shape[0] * crop.shape[1] > side * side
        out.append(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
    return np.stack(out).astype(np.uint8) if out else np.zeros((0, side, side, 3), np.uint8)


def shortest_side(height: int, width: int, side: int) -> tuple[int, int]:
    """Size whose shortest side is `side`, the longer one truncated, as torchvision does."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(max(int(np.floor(low)), 0), size - 1)
    return start, min(max(int(np.ceil(high)), start + 1), size)


def _chunks(video: Video) -> list[Video]:
    return [video[start : start + _CHUNK] for start in range(0, len(video), _CHUNK)]


def _floats(video: Video, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(video)).to(device).permute(0, 3, 1, 2).float()


def _resize(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    return nn.functional.interpolate(images, size=size, mode=mode, align_corners=False, antialias=False)


def _centre_crop(images: Tensor, side: int) -> Tensor:
    top, left = round((images.shape[2] - side) / 2), round((images.shape[3] - side) / 2)
    return images[:, :, top : top + side, left : left + side]


def _normalised(images: Tensor, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in statistics)
    return (images - mean) / deviation


def _from_pretrained(kind: Any, path: Path, device: str) -> Any:
    """A transformers network; a layer that the files lack is an error, where transformers would draw it at random."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # a CLIP folder holds a text model too, and saying so helps nobody
    try:
        check_weight_files(path)
        with fitting(path):
            model, report = kind.from_pretrained(path, local_files_only=True, output_loading_info=True)
    finally:
        logging.set_verbosity(verbosity)
    if lost := sorted(report["missing_keys"]):
        raise unfit(path, f"{len(lost)} entries are missing, the first is {lost[0]}")
    check_finite(model.state_dict(), path)
    return model.eval().requires_grad_(False).to(device)
