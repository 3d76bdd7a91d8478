"""Frames of the mini world's train split with boxes and identities, to train the detector and the embedder on.

Ten seconds are sampled at 18 frames or fewer: neighbours would add little, another clip does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.clip import RenderedClip, render_clip
from hmbench.data.mini_world.spec import ClipSpec
from hmbench.data.mini_world.splits import TEST_CELLS, candidate
from hmbench.types import Boxes, LabelMaps, Video

SIZE = (320, 192)
HALF = 9
MIN_PIXELS = 40
"""Smallest visible area that is asked of the detector at `SIZE`; less is neither a subject nor background."""


@dataclass(frozen=True, kw_only=True)
class TrainingClip:
    """Some frames and everything visible in them."""

    spec: ClipSpec
    """What was drawn."""
    frames: Video
    """``[T, H, W, 3]``."""
    boxes: dict[int, Boxes]
    """Row of `LOOKS` to visible boxes ``[T, 4]``, NaN where less than `MIN_PIXELS` show."""
    slivers: list[NDArray[np.float32]]
    """Per frame, boxes ``[n, 4]`` of what shows less than `MIN_PIXELS`."""


def training_clips(
    count: int, *, seed: int, held_out: bool = False, cache: Path | None = None, half: int = HALF
) -> Iterator[TrainingClip]:
    """Clips of the train split, not filtered for exits: every view of a subject teaches.

    Args:
        count: How many.
        seed: Another seed is another set.
        held_out: Held-out subjects in held-out scenes instead, to measure on.
        cache: Folder that keeps rendered clips between commands.
        half: Frames of each half, 4k + 1.
    """
    for slot in range(count):
        if held_out:
            spec = candidate("test", seed, slot * len(TEST_CELLS) + TEST_CELLS.index("unseen-both"), 0)
        else:
            spec = candidate("train", seed, slot, 0)
        yield load_clip(spec, cache, half)


def load_clip(spec: ClipSpec, cache: Path | None, half: int = HALF) -> TrainingClip:
    """Renders a clip, or reads it from the cache."""
    if cache is None:
        clip = render_clip(spec, SIZE, half=half)
        return training_clip(spec, clip.frames, clip.labels)
    key = hashlib.sha256(json.dumps([spec.to_json(), SIZE, half], sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{key}.npz"
    if not path.is_file():
        rendered: RenderedClip = render_clip(spec, SIZE, half=half)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, frames=rendered.frames, labels=rendered.labels)
    with np.load(path) as stored:
        return training_clip(spec, stored["frames"], stored["labels"])


def training_clip(spec: ClipSpec, frames: Video, labels: LabelMaps) -> TrainingClip:
    """Boxes from label maps."""
    boxes = {}
    slivers: list[list[NDArray[np.float32]]] = [[] for _ in frames]
    for k, look in enumerate(spec.subjects, 1):
        boxes[look] = np.full((len(frames), 4), np.nan, np.float32)
        for t, mask in enumerate(labels == k):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if not len(rows):
                continue
            box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
            if mask.sum() >= MIN_PIXELS:
                boxes[look][t] = box
            else:
                slivers[t].append(box)
    packed = [np.stack(b) if b else np.zeros((0, 4), np.float32) for b in slivers]
    return TrainingClip(spec=spec, frames=frames, boxes=boxes, slivers=packed)
