"""Subjects found in single frames by YOLO11 (ultralytics' network; loading, scaling and suppression are here).

Letters: T frames, H height, W width, A anchors, n detections in a frame.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmbench.errors import UserError
from hmbench.networks.files import read_card, read_shipped
from hmbench.networks.untrusted import check_finite, check_weight_file
from hmbench.subjects.quiet_ultralytics import ultralytics_modules
from hmbench.types import Category, Video

MINI_CLASSES: tuple[Category, ...] = ("person", "robot", "animal", "other")
MINI_WIDTH = 0.125
"""Channels relative to YOLO11's table; yolo11n is 0.25. Toy subjects need less."""
MINI_INPUT = 320
COCO: dict[int, Category] = {0: "person", **dict.fromkeys(range(14, 24), "animal"), 77: "other"}
"""COCO classes that can be subjects: person, bird .. giraffe, teddy bear. COCO has no robot; most pass as persons."""
STRIDE = 32
_PAD = 114
_CHUNK = 8


class Detections(NamedTuple):
    """What was found in one frame."""

    boxes: NDArray[np.float32]
    """``[n, 4]`` xyxy in pixels of the frame, half-open."""
    scores: NDArray[np.float32]
    """Confidence in [0, 1], ``[n]``."""
    classes: NDArray[np.int64]
    """Index of the detector's class, ``[n]``."""


class Detector(Protocol):
    """Finds subjects in frames."""

    name: str
    categories: dict[int, Category]
    """Detector's class to category; classes that are not here are not subjects."""

    def detect(self, video: Video) -> list[Detections]:
        """Detections of each frame, best first."""
        ...

    def settings(self) -> dict[str, Any]:
        """What decides the detections besides frames and weights, as JSON types."""
        ...


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """How a network is run."""

    input_width: int = 640
    """Width in pixels that frames are scaled to; the height follows and is padded to a multiple of `STRIDE`."""
    min_score: float = 0.04
    """Lowest confidence that is kept; ByteTrack uses the weak ones to carry tracks on."""
    overlap: float = 0.6
    """IoU from which on the weaker of two boxes is dropped, whatever their classes."""
    any_class: bool = False
    """Class-agnostic: keep every class of the detector, as category ``unknown`` where it is no subject's class."""
    max_detections: int = 20
    """Most detections a frame."""


class YoloDetector:
    """A YOLO11 network.

    Args:
        model: ultralytics' DetectionModel.
        categories: Class index to category.
        config: How it is run.
        name: As recorded in runs, which are compared by it; a class-agnostic one says so.
    """

    def __init__(self, model: Any, categories: dict[int, Category], config: DetectorConfig, *, name: str) -> None:
        self.model = model.eval()
        self.categories = categories
        self.config = config
        self.name = f"{name}+any-class" if config.any_class else name

    def settings(self) -> dict[str, Any]:
        """See `Detector.settings`; another kind of device adds up in another order."""
        classes = {str(index): name for index, name in self.categories.items()}
        device = next(self.model.parameters()).device.type
        return {"name": self.name, "classes": classes, "device": device, **asdict(self.config)}

    @torch.inference_mode()
    def detect(self, video: Video) -> list[Detections]:
        """See `Detector.detect`."""
        device = next(self.model.parameters()).device
        out: list[Detections] = []
        for start in range(0, len(video), _CHUNK):
            images, scale = network_input(video[start : start + _CHUNK], self.config.input_width)
            raw = self.model(images.to(device))
            raw = raw[0] if isinstance(raw, tuple | list) else raw
            out += [self._kept(one.cpu(), scale, video.shape[1:3]) for one in raw]
        return out

    def _kept(self, raw: Tensor, scale: float, size: tuple[int, ...]) -> Detections:
        """Detections from one frame's raw output ``[4 + classes, A]``: centre, size, class scores."""
        from torchvision.ops import nms

        class_scores = raw[4:]
        if not self.config.any_class:
            class_scores = class_scores[list(self.categories)]
        classes = class_scores.argmax(dim=0)
        scores = 1 - (1 - class_scores).prod(dim=0)  # that it is a subject, whichever: classes split their confidence
        strong = torch.nonzero(scores >= self.config.min_score)[:, 0]
        centre, half = raw[:2, strong].T, raw[2:4, strong].T / 2
        limit = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
        boxes = (torch.cat([centre - half, centre + half], dim=1) / scale).clamp(min=0).minimum(limit)
        keep = nms(boxes, scores[strong], self.config.overlap)[: self.config.max_detections]
        keep = keep[~inside_better(boxes[keep], scores[strong][keep])]
        index = classes[strong][keep].numpy()
        if not self.config.any_class:
            index = np.array(list(self.categories), np.int64)[index]
        return Detections(boxes[keep].numpy(), scores[strong][keep].numpy(), index)


def inside_better(boxes: Tensor, scores: Tensor, *, share: float = 0.85, factor: float = 1.5) -> Tensor:
    """Which boxes are parts of a subject: `share` of them lies in a box of at least `factor` times their confidence.

    Args:
        boxes: ``[n, 4]``.
        scores: ``[n]``.
        share: Of the inner box's area.
        factor: Two subjects, one before the other, are both found with confidence; a leg of one is not.
    """
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    within = (high - low).clamp(min=0).prod(dim=2) >= share * area[:, None]
    return (within & (scores[None] >= factor * scores[:, None])).any(dim=1)


def network_input(video: Video, width: int) -> tuple[Tensor, float]:
    """Frames scaled to a width and padded at the bottom, float ``[T, 3, h, w]`` in [0, 1], and the scale."""
    import cv2

    width = max(STRIDE, round(width / STRIDE) * STRIDE)
    scale = width / video.shape[2]
    height = round(video.shape[1] * scale)
    padded = -(-height // STRIDE) * STRIDE
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    images = np.full((len(video), padded, width, 3), _PAD, np.uint8)
    for image, frame in zip(images, video, strict=True):
        image[:height] = cv2.resize(frame, (width, height), interpolation=method)
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, scale


def mini_network(num_classes: int = len(MINI_CLASSES), width: float = MINI_WIDTH) -> Any:
    """An untrained YOLO11n, narrowed."""
    tasks = ultralytics_modules().tasks
    layout = tasks.yaml_model_load("yolo11n.yaml")
    layout["scales"] = {"n": [layout["scales"]["n"][0], width, layout["scales"]["n"][2]]}
    return tasks.DetectionModel(layout, ch=3, nc=num_classes, verbose=False)


def load_mini_detector(device: str, *, any_class: bool = False) -> YoloDetector:
    """The shipped detector of the mini world's subjects.

    Raises:
        UserError: If its file is missing or damaged.
    """
    card = read_card("detector")
    model = mini_network()
    state = read_shipped("detector")
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    config = DetectorConfig(input_width=card["input_width"], any_class=any_class)
    return YoloDetector(
        model.to(device), dict(enumerate(MINI_CLASSES)), config, name=f"yolo11-mini@{card['sha256'][:8]}"
    )


def load_yolo11(path: Path, device: str, *, any_class: bool = False) -> YoloDetector:
    """A released YOLO11 (COCO classes).

    ultralytics releases it as a pickle of its own classes. It is read with torch's restricted reader, which rebuilds
    ultralytics' and torch's layers and refuses everything else, so that no code of the file runs.

    Args:
        path: ``yolo11*.pt``.
        device: Torch device.
        any_class: Keep all 80 classes.

    Raises:
        UserError: If the file cannot be read.
    """
    from hmbench.digests import content_digest

    check_weight_file(path)
    network = _read_restricted(path)
    check_finite(network.state_dict(), path)
    config = DetectorConfig(input_width=832, any_class=any_class)
    return YoloDetector(network.to(device), COCO, config, name=f"{path.stem}@{content_digest(path)[:8]}")


def _read_restricted(path: Path) -> Any:
    """The network of a checkpoint, without running what the file holds.

    Raises:
        UserError: If it holds anything but a detection network, or this ultralytics can only read it by running it.
    """
    import ultralytics

    tasks = ultralytics_modules().tasks
    safe = getattr(tasks, "_SafeLoad", None)
    if not getattr(safe, "SUPPORTED", False):  # older ones, and newer ones on an old torch, run what the file holds
        raise UserError(
            f"ultralytics {ultralytics.__version__} with torch {torch.__version__} reads {path.name} only by running "
            "what it holds.",
            "pip install -U 'ultralytics>=8.4.190' 'torch>=2.7'",
        )
    try:
        checkpoint, _ = tasks.torch_safe_load(str(path.resolve()), safe_only=True)
        network = checkpoint.get("ema") or checkpoint.get("model")
        if not isinstance(network, tasks.DetectionModel):
            raise TypeError(f"it holds {type(network).__name__}, expected a detection network")
        for layer in network.modules():  # files of older versions lack what newer layers read
            if isinstance(layer, torch.nn.Upsample) and not hasattr(layer, "recompute_scale_factor"):
                layer.recompute_scale_factor = None
        network = network.float().eval()
        network(torch.zeros(1, 3, 2 * STRIDE, 2 * STRIDE))
    except (
        OSError, RuntimeError, EOFError, ImportError, TypeError, AttributeError, ValueError, LookupError, MemoryError,
        pickle.UnpicklingError, AssertionError,
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"The weights {path} cannot be read: {said}.", "Fetch them again.") from error
    return network
