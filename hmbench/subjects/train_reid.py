"""Trains the mini profile's subject embedder from nothing on the mini world's train split, on a CPU.

    python -m hmbench.subjects.train_reid --out FOLDER

writes ``reid.safetensors`` (float16) and its card with the cosines measured on held-out subjects in held-out scenes.
Cosine softmax with a margin over identities (Wang et al. 2018). Forty subjects are few: each permutation of the colour
channels of a subject's crops counts as one more subject.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.spec import VERSION
from hmbench.networks.embedder import SIDE, Embedder, MiniEncoder, signed
from hmbench.networks.files import FOLDER, write_shipped
from hmbench.subjects.train_detector import degraded
from hmbench.subjects.training_data import TrainingClip, training_clips

log = logging.getLogger(__name__)
_PERMUTATIONS = tuple(itertools.permutations(range(3)))
NAME = "hmbench.subjects.train_reid"
_PAD = 0.35


@dataclass(frozen=True, kw_only=True)
class ReidTraining:
    """A recipe."""

    clips: int = 96
    """Training clips of 18 frames."""
    steps: int = 700
    """Optimiser steps."""
    batch: int = 64
    """Crops a step."""
    learning_rate: float = 3e-3
    """Peak of a one-cycle schedule, AdamW."""
    scale: float = 16.0
    """Of the cosines in the softmax."""
    margin: float = 0.2
    """Taken off the true identity's cosine."""
    seed: int = 1
    """Of clips, order, augmentation and initial weights."""


class Crop(NamedTuple):
    """A subject with room around it."""

    image: NDArray[np.uint8]
    """Cut from the frame, box and padding."""
    box: NDArray[np.float32]
    """The box inside the image, xyxy pixels."""
    subject: int
    """Row of `LOOKS`."""


def crops_of(clip: TrainingClip) -> list[Crop]:
    """Every visible subject of every frame, with a third of its size around it."""
    out = []
    height, width = clip.frames.shape[1:3]
    for look, boxes in clip.boxes.items():
        for frame, box in zip(clip.frames, boxes, strict=True):
            if np.isnan(box).any():
                continue
            pad = _PAD * (box[2:] - box[:2])
            x0, y0 = np.maximum(np.floor(box[:2] - pad), 0).astype(int)
            x1, y1 = np.minimum(np.ceil(box[2:] + pad), [width, height]).astype(int)
            out.append(Crop(frame[y0:y1, x0:x1].copy(), box - np.array([x0, y0, x0, y0], np.float32), look))
    return out


def train(recipe: ReidTraining, *, cache: Path | None = None) -> Embedder:
    """A trained embedder, in evaluation mode."""
    crops = [crop for clip in training_clips(recipe.clips, seed=recipe.seed, cache=cache) for crop in crops_of(clip)]
    subjects = sorted({crop.subject for crop in crops})
    index = {look: i for i, look in enumerate(subjects)}
    by_subject = [[c for c in crops if c.subject == look] for look in subjects]
    log.info("%d crops of %d subjects", len(crops), len(subjects))
    rng = np.random.default_rng(recipe.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = Embedder()
        centres = torch.nn.Parameter(torch.randn(len(subjects) * len(_PERMUTATIONS), model.head.out_features))
    optimiser = torch.optim.AdamW([*model.parameters(), centres], lr=recipe.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    model.train()
    start = time.perf_counter()
    for step in range(1, recipe.steps + 1):
        images, identities = [], []
        for subject in rng.integers(len(subjects), size=recipe.batch):
            crop = by_subject[subject][rng.integers(len(by_subject[subject]))]
            order = int(rng.integers(len(_PERMUTATIONS)))
            images.append(augmented(crop, rng)[..., _PERMUTATIONS[order]])
            identities.append(index[crop.subject] * len(_PERMUTATIONS) + order)
        target = torch.tensor(identities)
        cosines = model(signed(np.stack(images), torch.device("cpu"))) @ torch.nn.functional.normalize(centres).T
        margins = torch.nn.functional.one_hot(target, len(centres)) * recipe.margin
        loss = torch.nn.functional.cross_entropy(recipe.scale * (cosines - margins), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            right = float((cosines.argmax(dim=1) == target).float().mean())
            log.info(
                "step %d loss %.3f right %.2f, %.0f s", step, float(loss.detach()), right, time.perf_counter() - start
            )
    return model.eval()


def augmented(crop: Crop, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square view as a tracker might cut it: box off by some percent, sometimes cut at a side, mirrored, degraded."""
    x0, y0, x1, y1 = (float(v) for v in crop.box)
    width, height = x1 - x0, y1 - y0
    jitter = rng.normal(0.08, 0.09, 4) * np.array([width, height, width, height])
    if rng.random() < 0.25:  # half out of the frame
        cut = rng.uniform(0.2, 0.6) * width
        x0, x1 = (x0 + cut, x1) if rng.random() < 0.5 else (x0, x1 - cut)
    rows = slice(max(int(y0 - jitter[1]), 0), max(int(y1 + jitter[3]), int(y0) + 2))
    columns = slice(max(int(x0 - jitter[0]), 0), max(int(x1 + jitter[2]), int(x0) + 2))
    cut_out = crop.image[rows, columns]
    if min(cut_out.shape[:2]) < 2:
        cut_out = crop.image
    out = np.asarray(cv2.resize(cut_out, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)
    return degraded(out[:, ::-1] if rng.random() < 0.5 else out, rng)


class Cosines(NamedTuple):
    """How well unseen subjects are told apart."""

    same: float
    """Mean cosine between frames of one subject in different clips."""
    different: float
    """Mean cosine between frames of different subjects."""
    rank1: float
    """Share of frames whose nearest frame from another clip shows the same subject."""


def measure(model: Embedder, clips: list[TrainingClip]) -> Cosines:
    """Cosines over clips; frames of one clip are never compared with each other."""
    encoder = MiniEncoder(model)
    features, subjects, owners = [], [], []
    for number, clip in enumerate(clips):
        for look, boxes in clip.boxes.items():
            found = encoder.crops(clip.frames, boxes)
            features.append(found)
            subjects += [look] * len(found)
            owners += [number] * len(found)
    cosines = torch.cat(features) @ torch.cat(features).T
    alike = torch.tensor(subjects)[:, None] == torch.tensor(subjects)
    apart = torch.tensor(owners)[:, None] != torch.tensor(owners)
    nearest = cosines.masked_fill(~apart, -2).argmax(dim=1)
    answerable = (alike & apart).any(dim=1)
    right = alike[torch.arange(len(nearest)), nearest][answerable]
    return Cosines(float(cosines[alike & apart].mean()), float(cosines[~alike].mean()), float(right.float().mean()))


def gallery(model: Embedder, clips: Iterable[TrainingClip]) -> dict[int, torch.Tensor]:
    """Row of `LOOKS` to unit mean embedding: the strangers that a subject must not be taken for."""
    encoder = MiniEncoder(model)
    found: dict[int, list[torch.Tensor]] = {}
    for clip in clips:
        for look, boxes in clip.boxes.items():
            found.setdefault(look, []).append(encoder.crops(clip.frames, boxes))
    means = {look: torch.cat(parts).mean(dim=0) for look, parts in sorted(found.items())}
    return {look: torch.nn.functional.normalize(mean, dim=0) for look, mean in means.items()}


def main(arguments: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the weights and their card")
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps rendered clips")
    parser.add_argument("--clips", type=int, default=ReidTraining.clips)
    parser.add_argument("--steps", type=int, default=ReidTraining.steps)
    parser.add_argument("--seed", type=int, default=ReidTraining.seed)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    recipe = ReidTraining(clips=given.clips, steps=given.steps, seed=given.seed)
    model = train(recipe, cache=given.cache)
    unseen = measure(model, list(training_clips(12, seed=recipe.seed + 1000, held_out=True, cache=given.cache)))
    log.info("unseen subjects in unseen scenes: %s", unseen)
    shown = gallery(model, training_clips(recipe.clips, seed=recipe.seed, cache=given.cache))
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    state["gallery"] = torch.stack(list(shown.values())).half()
    card = {
        "what": "embedder of the mini world's subjects",
        "command": f"python -m {NAME} --clips {recipe.clips} --steps {recipe.steps} --seed {recipe.seed}",
        "data": f"{VERSION}, train split; measured on held-out subjects in held-out scenes",
        "recipe": asdict(recipe),
        "same": round(unseen.same, 4),
        "different": round(unseen.different, 4),
        "rank1": round(unseen.rank1, 4),
        "gallery": [LOOKS[look].name for look in shown],
        "torch": torch.__version__,
    }
    log.info("wrote %s", write_shipped(given.out, "reid", state, card))


if __name__ == "__main__":
    main(sys.argv[1:])
