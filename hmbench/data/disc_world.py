"""A world of one or two discs, drawn in memory: the smallest thing with exits, re-entries and exact truth.

It serves the unit tests and `--data disc`. A disc moves on the ground of a panorama while the camera turns away and
back; everything follows from the sample's number, so any frame can be computed by hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Annotations, SubjectNote
from hmbench.data.ids import parse_id
from hmbench.data.labels import subjects_from_labels
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.types import Intrinsics, LabelMaps, Meta, Poses, Prompt, Sample, Truth, Video
from hmbench.video.events import find_events, visible_frames
from hmbench.video.geometry import project

Floats = NDArray[np.float64]

SCENES = ("Dawn", "Noon", "Dusk")
COLOURS = ((214, 64, 48), (52, 110, 220), (240, 200, 60), (90, 200, 120))
"""Disc colours; the k-th sample's first disc takes the k-th."""


@dataclass(frozen=True, kw_only=True)
class DiscWorldConfig:
    """Size of the world."""

    samples: int = 4
    """How many samples there are."""
    frames: int = 21
    """Frames of the context, and of the target; of the form 4k + 1."""
    height: int = 48
    """Pixels."""
    width: int = 80
    """Pixels."""
    fps: float = 15.0
    """Frames a second."""
    sweep: float = 55.0
    """Degrees that the camera turns away."""

    def __post_init__(self) -> None:
        if self.frames % 4 != 1:
            raise ValueError(f"frames must be of the form 4k + 1, got {self.frames}")


class DiscWorld:
    """The discs as a data set."""

    name = "disc"

    def __init__(self, config: DiscWorldConfig | None = None) -> None:
        self.config = config or DiscWorldConfig()

    def ids(self, split: str) -> tuple[str, ...]:
        """All ids; the world has the splits ``all`` and ``test``, which are the same."""
        if split not in {"all", "test"}:
            raise UserError(f"The disc world has no split {split!r}.", did_you_mean(split, ["all", "test"]))
        return tuple(f"{k:05d}_{SCENES[k % len(SCENES)]}_loc0_Straight_Sweep_0" for k in range(self.config.samples))

    def revision(self, ids: tuple[str, ...]) -> str:
        """Digest of the configuration and ids: the frames follow from them."""
        return hashlib.sha256(repr((astuple(self.config), sorted(ids))).encode()).hexdigest()[:16]

    def caption(self, sample_id: str) -> str | None:
        """The sample's caption."""
        return self.load(sample_id).prompt.caption

    def load(self, sample_id: str) -> Sample:
        """Draws one sample.

        Raises:
            SampleError: If there is no such sample.
        """
        if sample_id not in self.ids("all"):
            raise SampleError(f"The disc world has no sample {sample_id!r}.", did_you_mean(sample_id, self.ids("all")))
        parts = parse_id(sample_id)
        assert parts is not None, sample_id
        return _draw(sample_id, parts.number, self.config)


def _draw(sample_id: str, number: int, config: DiscWorldConfig) -> Sample:
    count, half = 2 * config.frames, config.frames
    intrinsics = Intrinsics(focal=1.0 * config.width, width=config.width, height=config.height)
    poses = _poses(count, config.sweep)
    video = np.stack([_background(pose, intrinsics, number) for pose in poses])
    labels = np.zeros(video.shape[:3], dtype=np.uint8)
    tracks = [_positions(number, k, count) for k in range(1 + number % 2)]
    order = np.argsort([-track[:, 2].mean() for track in tracks])
    for k in order:
        _paint(video, labels, tracks[k], poses, intrinsics, int(k) + 1, COLOURS[(number + k) % len(COLOURS)])
    known = Annotations(
        notes={k + 1: SubjectNote(name=f"disc-{k + 1}", category="other", positions=t) for k, t in enumerate(tracks)},
        names=tuple(f"disc-{k + 1}" for k in range(len(tracks))),
        separate=True,
    )
    subjects = subjects_from_labels(labels, known)
    pixels = config.height * config.width
    events = [
        event
        for subject in subjects
        for event in find_events(visible_frames(subject.visible_area, pixels), half, subject.label)
    ]
    return Sample(
        id=sample_id,
        prompt=Prompt(
            context=video[:half],
            context_poses=poses[:half],
            target_poses=poses[half:],
            caption=f"{len(tracks)} coloured disc(s) roll across a striped plain at {SCENES[number % len(SCENES)]}.",
            fps=config.fps,
            intrinsics=intrinsics,
        ),
        truth=Truth(
            target=video[half:],
            context_labels=labels[:half],
            target_labels=labels[half:],
            subjects=subjects,
            events=tuple(sorted(events, key=lambda e: (e.reentry, e.label))),
            separate_subjects=True,
        ),
        meta=Meta(scene=SCENES[number % len(SCENES)], subject_path="Straight", camera_path="Sweep", cell="seen"),
    )


def _poses(count: int, sweep: float) -> Poses:
    """A camera at the origin that looks ahead, turns right by `sweep` degrees around the middle, and turns back."""
    time = np.arange(count) / (count - 1)
    away = np.clip((time - 0.25) / 0.12, 0, 1) - np.clip((time - 0.6) / 0.12, 0, 1)
    angle = np.radians(sweep) * away
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    return poses


def _positions(number: int, k: int, count: int) -> Floats:
    """Centres of a disc, metres: it rolls slowly across, at its own distance and speed."""
    time = np.arange(count) / (count - 1)
    start, speed, depth = -0.8 + 0.9 * k, 0.9 - 0.25 * (number % 3), 5.0 + 1.5 * k
    return np.stack([start + speed * time, np.full(count, 0.6), np.full(count, depth)], axis=1)


def _background(pose: Floats, intrinsics: Intrinsics, number: int) -> Video:
    """A panorama, a function of the viewing direction alone."""
    y, x = np.mgrid[: intrinsics.height, : intrinsics.width] + 0.5
    local = np.stack(
        [
            (x - intrinsics.width / 2) / intrinsics.focal,
            (y - intrinsics.height / 2) / intrinsics.focal,
            np.ones_like(x),
        ],
        axis=-1,
    )
    direction = local @ pose[:3, :3].T
    heading = np.arctan2(direction[..., 0], direction[..., 2])
    slope = direction[..., 1] / np.linalg.norm(direction, axis=-1)
    stripes = np.sin(heading * (17 + 2 * (number % 3))) * np.cos(slope * 23)
    ground = slope > 0.02
    red = np.where(ground, 105 + 35 * stripes, 120 + 60 * slope)
    green = np.where(ground, 130 + 25 * stripes, 150 + 30 * np.sin(5 * heading))
    blue = np.where(ground, 85.0, 200 + 40 * slope)
    image: Video = np.clip(np.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8)
    return image


def _paint(
    video: Video,
    labels: LabelMaps,
    track: Floats,
    poses: Poses,
    intrinsics: Intrinsics,
    label: int,
    colour: tuple[int, int, int],
) -> None:
    """Paints a disc with a turning spoke into every frame in which it is in front of the camera."""
    centres, depth = project(track, poses, intrinsics)
    y, x = np.mgrid[: intrinsics.height, : intrinsics.width] + 0.5
    for frame in np.flatnonzero(depth > 0):
        radius = 0.55 * intrinsics.focal / depth[frame]
        dx, dy = x - centres[frame, 0], y - centres[frame, 1]
        inside = dx**2 + dy**2 < radius**2
        turn = track[frame, 0] / 0.55
        spoke = inside & (np.abs(dx * np.sin(turn) - dy * np.cos(turn)) < 0.2 * radius)
        video[frame][inside] = colour
        video[frame][spoke] = 255 - np.array(colour, dtype=np.uint8)
        labels[frame][inside] = label
