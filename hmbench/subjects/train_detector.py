"""Trains the mini profile's detector from nothing on the mini world's train split, on a CPU.

    python -m hmbench.subjects.train_detector --out FOLDER

writes ``detector.safetensors`` (float16) and its card. A narrow YOLO11n with ultralytics' own loss; the loop, data and
augmentation are here, since ultralytics' trainer wants datasets on disk and a home folder to write into.

Letters: B batch, n boxes of an image.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hmbench.data.mini_world.bodies import category
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.spec import VERSION
from hmbench.networks.files import FOLDER, digest, read_state, write_shipped
from hmbench.subjects.detect import MINI_CLASSES, MINI_INPUT, MINI_WIDTH, mini_network
from hmbench.subjects.training_data import HALF, TrainingClip, training_clips
from hmbench.types import Video

log = logging.getLogger(__name__)
NAME = "hmbench.subjects.train_detector"
_GREY = 114


@dataclass(frozen=True, kw_only=True)
class DetectorTraining:
    """A recipe."""

    clips: int = 96
    """Training clips."""
    half: int = HALF
    """Frames of each half of a clip, 4k + 1."""
    steps: int = 900
    """Optimiser steps."""
    batch: int = 16
    """Images a step."""
    learning_rate: float = 2e-3
    """Peak of a one-cycle schedule, AdamW."""
    weight_decay: float = 0.01
    """Of AdamW."""
    average: float = 0.995
    """Decay of the averaged weights, which are what is written."""
    seed: int = 1
    """Of clips, order, augmentation and initial weights."""
    zoom: float = 1.5
    """Most that an image is enlarged; it is shrunk to 0.55 at least."""
    coarse: float = 0.35
    """Share of the images that are shown at a lower resolution, as models make them."""
    start: str | None = None
    """sha256 of the weights that it goes on from; None for nothing."""


class Labelled(NamedTuple):
    """A training image."""

    image: NDArray[np.uint8]
    """``[H, W, 3]``."""
    boxes: NDArray[np.float32]
    """``[n, 4]`` xyxy pixels."""
    classes: NDArray[np.int64]
    """``[n]``."""


def train(recipe: DetectorTraining, *, cache: Path | None = None, state: dict[str, torch.Tensor] | None = None) -> Any:
    """A trained network (averaged weights, in evaluation mode), from `state` on if there is one."""
    clips = training_clips(recipe.clips, seed=recipe.seed, cache=cache, half=recipe.half)
    images = [image for clip in clips for image in labelled(clip)]
    log.info("%d images", len(images))
    rng = np.random.default_rng(recipe.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = mini_network()
    if state is not None:
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    averaged = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    model.train()
    start = time.perf_counter()
    for step in range(1, recipe.steps + 1):
        picked = rng.integers(len(images), size=recipe.batch)
        drawn = [augmented(images[i], rng, zoom=recipe.zoom, coarse=recipe.coarse) for i in picked]
        loss, parts = model.loss(batch_of(drawn))
        optimiser.zero_grad()
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        _update_average(averaged, model, min(recipe.average, step / (step + 10)))
        if step % 50 == 0:
            values = parts.values() if isinstance(parts, dict) else parts
            shown = " ".join(f"{float(v):.3f}" for v in values)
            log.info("step %d loss %s, %.0f s", step, shown, time.perf_counter() - start)
    return averaged.eval()


def labelled(clip: TrainingClip) -> list[Labelled]:
    """Images of a clip; what shows too little to be asked for is painted grey."""
    out = []
    for t, frame in enumerate(clip.frames):
        found = [
            (boxes[t], MINI_CLASSES.index(category(LOOKS[look])))
            for look, boxes in clip.boxes.items()
            if not np.isnan(boxes[t]).any()
        ]
        image = painted(frame, clip.slivers[t])
        boxes = np.array([b for b, _ in found], np.float32).reshape(-1, 4)
        out.append(Labelled(image, boxes, np.array([c for _, c in found], np.int64)))
    return out


def augmented(item: Labelled, rng: np.random.Generator, *, zoom: float = 1.5, coarse: float = 0.35) -> Labelled:
    """Zoom and shift, mirror, light, blur: none of it changes what a subject is."""
    image, boxes = _zoomed(item.image, item.boxes, zoom, rng)
    height, width = image.shape[:2]
    boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
    sides = boxes[:, 2:] - boxes[:, :2]
    shown = (sides.min(axis=1) >= 3) & (sides.prod(axis=1) >= 60) if len(boxes) else np.zeros(0, bool)
    image = painted(image, boxes[~shown])
    boxes, classes = boxes[shown], item.classes[shown]
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    return Labelled(degraded(image, rng, coarse=coarse), boxes.astype(np.float32), classes)


def degraded(image: NDArray[np.uint8], rng: np.random.Generator, *, coarse: float = 0.35) -> NDArray[np.uint8]:
    """Another light, a lower resolution (in a share `coarse` of all images), noise: each sometimes."""
    height, width = image.shape[:2]
    if rng.random() < coarse:
        factor = rng.uniform(0.3, 0.9)
        small = cv2.resize(image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    values: NDArray[np.floating] = image.astype(np.float32)
    if rng.random() < 0.6:
        values = (values - 128) * rng.uniform(0.75, 1.25) + 128 + rng.uniform(-25, 25)
    if rng.random() < 0.2:
        values = values + rng.normal(0, rng.uniform(2, 8), values.shape)
    return values.clip(0, 255).astype(np.uint8)


def painted(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image with boxes filled in grey."""
    if not len(boxes):
        return image
    out = image.copy()
    for x0, y0, x1, y1 in boxes.astype(int):
        out[max(y0, 0) : y1, max(x0, 0) : x1] = _GREY
    return out


def batch_of(items: list[Labelled]) -> dict[str, torch.Tensor]:
    """A batch as ultralytics' loss wants it: boxes as centre and size, relative to the image."""
    height, width = items[0].image.shape[:2]
    boxes = np.concatenate([i.boxes for i in items]) / np.array([width, height] * 2, np.float32)
    centred = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    counts = [len(i.boxes) for i in items]
    stacked: Video = np.stack([i.image for i in items])
    return {
        "img": torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255,
        "batch_idx": torch.from_numpy(np.repeat(np.arange(len(items)), counts).astype(np.float32)),
        "cls": torch.from_numpy(np.concatenate([i.classes for i in items]).astype(np.float32))[:, None],
        "bboxes": torch.from_numpy(centred.astype(np.float32)),
    }


def main(arguments: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the weights and their card")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps rendered clips")
    parser.add_argument("--clips", type=int, default=DetectorTraining.clips)
    parser.add_argument("--half", type=int, default=DetectorTraining.half, help="frames of half a clip, 4k + 1")
    parser.add_argument("--steps", type=int, default=DetectorTraining.steps)
    parser.add_argument("--seed", type=int, default=DetectorTraining.seed)
    parser.add_argument("--rate", type=float, default=DetectorTraining.learning_rate, help="peak learning rate")
    parser.add_argument("--zoom", type=float, default=DetectorTraining.zoom, help="most that an image is enlarged")
    parser.add_argument("--coarse", type=float, default=DetectorTraining.coarse, help="share at a lower resolution")
    parser.add_argument("--start", type=Path, default=None, help="weights (.safetensors) to go on from")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    recipe = DetectorTraining(
        clips=given.clips,
        half=given.half,
        steps=given.steps,
        seed=given.seed,
        learning_rate=given.rate,
        zoom=given.zoom,
        coarse=given.coarse,
        start=None if given.start is None else digest(given.start),
    )
    model = train(recipe, cache=given.cache, state=None if given.start is None else read_state(given.start))
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    card = {
        "what": "YOLO11n, narrowed, for the mini world's subjects",
        "command": _command(recipe),
        "data": f"{VERSION}, train split",
        "recipe": asdict(recipe),
        "classes": list(MINI_CLASSES),
        "width": MINI_WIDTH,
        "input_width": MINI_INPUT,
        "torch": torch.__version__,
    }
    log.info("wrote %s", write_shipped(given.out, "detector", state, card))


def _command(recipe: DetectorTraining) -> str:
    options = f"--clips {recipe.clips} --half {recipe.half} --steps {recipe.steps} --seed {recipe.seed}"
    more = f"{options} --rate {recipe.learning_rate:g} --zoom {recipe.zoom:g} --coarse {recipe.coarse:g}"
    return f"python -m {NAME} {more}" + ("" if recipe.start is None else " --start START")


def _zoomed(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], zoom: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Scaled and shifted; an enlarged image keeps a part of some box in sight."""
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.55), np.log(zoom)))) if rng.random() < 0.7 else 1.0
    room = np.array([width, height]) * (1 - scale)
    shift = rng.uniform(np.minimum(room, 0), np.maximum(room, 0)) if scale != 1 else np.zeros(2)
    if scale > 1 and len(boxes):
        box = boxes[rng.integers(len(boxes))]
        point = rng.uniform(box[:2], box[2:]) * scale
        shift = (rng.uniform(0, 1, 2) * [width, height] - point).clip(room, 0)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    out = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(_GREY,) * 3)
    return np.asarray(out, np.uint8), boxes * np.float32(scale) + np.tile(shift, 2).astype(np.float32)


@torch.no_grad()
def _update_average(averaged: Any, model: Any, decay: float) -> None:
    current = model.state_dict()
    for key, value in averaged.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[key], 1 - decay)
        else:
            value.copy_(current[key])


if __name__ == "__main__":
    main(sys.argv[1:])
