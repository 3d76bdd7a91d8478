"""A stage for tests of the subject metrics: coloured rectangles on a textured wall before a camera that stands still.

The toy suffices: every rule of association, re-entry and verdict is about boxes over time and about looks, and here
both are known by hand. The encoder is the mean colour, so that looks are exact, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from hmbench.case import Case
from hmbench.data.annotations import Annotations, SubjectNote
from hmbench.data.labels import subjects_from_labels
from hmbench.subjects.oracle import OracleTracker
from hmbench.types import Intrinsics, Prompt, Sample, Truth
from hmbench.video.events import find_events, visible_frames

H, W, HALF, FPS = 60, 120, 24, 15.0
RED, BLUE, GREEN, GOLD = (220, 40, 40), (40, 60, 220), (40, 200, 60), (230, 190, 40)


class ColourEncoder:
    """Looks = mean colour of the box, centred, as a unit vector."""

    name = "colour"
    different: float | None = None

    def __init__(self) -> None:
        self.gallery: dict[str, torch.Tensor] = {}

    def crops(self, video, boxes):
        out = []
        for frame, box in zip(video, boxes, strict=True):
            if not np.isnan(box).any():
                x0, y0, x1, y1 = (round(float(v)) for v in box)
                out.append(frame[max(y0, 0) : y1, max(x0, 0) : x1].reshape(-1, 3).mean(axis=0) - 110)
        values = torch.tensor(np.array(out).reshape(-1, 3), dtype=torch.float32)
        return torch.nn.functional.normalize(values, dim=1)


class NoisyColourEncoder(ColourEncoder):
    """Mean colour, and beside it something of each view's own: like a real network's, views of one subject differ.

    The same pixels at the same place look the same, in whatever video they are.
    """

    name = "noisy colour"

    def crops(self, video, boxes):
        own = []
        for frame, box in zip(video, boxes, strict=True):
            if not np.isnan(box).any():
                x0, y0, x1, y1 = (round(float(v)) for v in box)
                seed = [x0, y0, x1, y1, int(frame[max(y0, 0) : y1, max(x0, 0) : x1].sum())]
                own.append(0.4 * np.random.default_rng(seed).standard_normal(6))
        views = torch.tensor(np.array(own).reshape(-1, 6), dtype=torch.float32)
        return torch.nn.functional.normalize(torch.cat([super().crops(video, boxes), views], dim=1), dim=1)


@dataclass(frozen=True)
class Actor:
    """A rectangle that walks along x."""

    label: int
    colour: tuple[int, int, int]
    x: float = 20.0
    speed: float = 1.0
    y: float = 20.0
    width: int = 10
    height: int = 24
    hidden: tuple[int, int] = (14, 30)
    """Frames out of sight, half-open."""
    again: tuple[int, int] = (0, 0)
    """More of them."""

    def box(self, t: int):
        if self.hidden[0] <= t < self.hidden[1] or self.again[0] <= t < self.again[1]:
            return None
        x = round(self.x + self.speed * t)
        return max(x, 0), round(self.y), min(x + self.width, W), round(self.y) + self.height


PAN = np.round(24 * np.sin(np.arange(2 * HALF) / 7)).astype(int)
"""A camera that turns to the right and back, in pixels."""


def film(actors, frames=range(2 * HALF), pan=None):
    """Video and label maps; with `pan`, pixels that the camera has turned to the right in each frame of the clip."""
    rng = np.random.default_rng(3)
    wall = rng.integers(80, 140, (H, W, 3)).astype(np.uint8)
    video = np.repeat(wall[None], len(frames), axis=0)
    labels = np.zeros(video.shape[:3], np.uint8)
    for i, t in enumerate(frames):
        moved = 0 if pan is None else int(pan[t])
        video[i] = np.roll(wall, -moved, axis=1)
        for actor in actors:
            box = actor.box(t)
            if box is not None:
                box = (max(box[0] - moved, 0), box[1], min(box[2] - moved, W), box[3])
            if box is not None and box[2] > box[0]:
                video[i, box[1] : box[3], box[0] : box[2]] = actor.colour
                # a step: legs of another shade move, so that bodies are not frozen
                middle = (box[0] + box[2]) // 2 + (2 if t // 4 % 2 else -2)
                video[i, box[3] - 8 : box[3], middle - 1 : middle + 1] = 110
                labels[i, box[1] : box[3], box[0] : box[2]] = actor.label
    return video, labels


def make_case(actors, played, *, tracks=None, oracle=True, pan=None) -> Case:
    """The truth played by `actors`, the prediction by `played`."""
    video, labels = film(actors, pan=pan)
    notes = {a.label: SubjectNote(name=f"actor-{a.label}", category="person") for a in actors}
    subjects = subjects_from_labels(labels, Annotations(notes=notes, separate=True))
    events = [
        e for s in subjects for e in find_events(visible_frames(s.visible_area, H * W), HALF, s.label, min_hidden=5)
    ]
    poses = np.tile(np.eye(4), (2 * HALF, 1, 1))
    if pan is not None:
        angle = np.arctan(pan / W)  # the focal length is W
        poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
        poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    prompt = Prompt(
        context=video[:HALF],
        context_poses=poses[:HALF],
        target_poses=poses[HALF:],
        caption="",
        fps=FPS,
        intrinsics=Intrinsics(focal=W, width=W, height=H),
    )
    truth = Truth(
        target=video[HALF:],
        context_labels=labels[:HALF],
        target_labels=labels[HALF:],
        subjects=subjects,
        events=tuple(events),
        separate_subjects=True,
    )
    shown, shown_labels = film(played, range(HALF, 2 * HALF), pan)
    if oracle and tracks is None:
        tracks = OracleTracker(shown_labels, encoder=ColourEncoder()).track(shown)
    return Case(Sample(id="stage", prompt=prompt, truth=truth), shown, tracks=tracks)


def one_mask(case: Case) -> Case:
    """The same case as HM-World has it: one mask covers everybody, and nobody says whom."""
    truth = case.truth
    masks = np.concatenate([truth.context_labels, truth.target_labels]) > 0
    subjects = subjects_from_labels(masks.astype(np.uint8), Annotations())
    seen = visible_frames(subjects[0].visible_area, H * W)
    merged = replace(
        truth,
        context_labels=masks[:HALF].astype(np.uint8),
        target_labels=masks[HALF:].astype(np.uint8),
        subjects=subjects,
        events=tuple(find_events(seen, HALF, 1, min_hidden=5)),
        separate_subjects=False,
    )
    return Case(replace(case.sample, truth=merged), case.prediction, case.tracks)


HERO = Actor(1, RED)
FRIEND = Actor(2, BLUE, x=60, speed=0.5, hidden=(14, 28))


def changed(actor: Actor, **values) -> Actor:
    return replace(actor, **values)
