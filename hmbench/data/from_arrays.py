"""A sample from arrays: for data sources of your own, and for clips that are imported."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hmbench.data.annotations import Annotations, SubjectNote
from hmbench.data.cameras import FOCAL_PER_WIDTH
from hmbench.data.labels import subjects_from_labels
from hmbench.types import Intrinsics, LabelMaps, Meta, Poses, Prompt, Sample, Truth, Video
from hmbench.video.events import find_events, visible_frames


def make_sample(
    sample_id: str,
    context: ArrayLike,
    target: ArrayLike | None = None,
    *,
    context_poses: ArrayLike | None = None,
    target_poses: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    names: Mapping[int, str] | None = None,
    caption: str = "",
    fps: float = 15.0,
    fov: float | None = None,
    scene: str | None = None,
    num_target_frames: int | None = None,
) -> Sample:
    """A sample from arrays. Exits and re-entries follow from the label maps.

    Args:
        sample_id: Its id; letters, digits, ``_ - .``.
        context: Past frames, uint8 ``[Tc, H, W, 3]``.
        target: The real continuation, uint8 ``[Tt, H, W, 3]``; None where nobody knows it.
        context_poses: Camera-to-world, OpenCV axes, metres, ``[Tc, 4, 4]``; None is a camera that stands still.
        target_poses: The same of the target, ``[Tt, 4, 4]``.
        labels: Label maps of context and target, whole numbers ``[Tc + Tt, H, W]``: 0 is background, k is subject k.
        names: Label to name.
        caption: What the clip shows.
        fps: Frames a second.
        fov: Horizontal field of view in degrees; None is HM-World's lens.
        scene: Scene name; intervals count scenes. By default the id.
        num_target_frames: Frames to generate where neither target nor its cameras are given.

    Raises:
        ValueError: If lengths, sizes or types do not fit.
    """
    past = _video(context, "context")
    future = None if target is None else _video(target, "target")
    if future is not None and future.shape[1:] != past.shape[1:]:
        raise ValueError(f"context and target must have one size, got {past.shape[1:3]} and {future.shape[1:3]}")
    count = _count(future, target_poses, num_target_frames)
    poses = _poses(context_poses, len(past)), _poses(target_poses, count)
    height, width = past.shape[1:3]
    focal = FOCAL_PER_WIDTH * width if fov is None else width / 2 / np.tan(np.radians(fov) / 2)
    still = ("no cameras were given: they are taken as standing still",) if target_poses is None else ()
    return Sample(
        id=sample_id,
        prompt=Prompt(
            context=past,
            context_poses=poses[0],
            target_poses=poses[1],
            caption=caption,
            fps=fps,
            intrinsics=Intrinsics(focal=float(focal), width=width, height=height),
        ),
        truth=None if future is None else _truth(past, future, labels, names or {}),
        meta=Meta(scene=scene or sample_id, warnings=still),
    )


def _truth(past: Video, future: Video, labels: ArrayLike | None, names: Mapping[int, str]) -> Truth:
    if labels is None:
        return Truth(target=future, context_labels=None, target_labels=None)
    maps = np.asarray(labels)
    shape = (len(past) + len(future), *past.shape[1:3])
    if maps.shape != shape or maps.dtype.kind not in "iub" or (maps.size and not 0 <= maps.min() <= maps.max() < 256):
        raise ValueError(f"labels must be whole numbers below 256, {list(shape)}, got {maps.dtype} {list(maps.shape)}")
    known: LabelMaps = maps.astype(np.uint8)
    notes = {label: SubjectNote(name=name) for label, name in names.items()}
    subjects = subjects_from_labels(known, Annotations(notes=notes, separate=True))
    events = [
        event
        for subject in subjects
        for event in find_events(visible_frames(subject.visible_area, shape[1] * shape[2]), len(past), subject.label)
    ]
    return Truth(
        target=future,
        context_labels=known[: len(past)],
        target_labels=known[len(past) :],
        subjects=subjects,
        events=tuple(sorted(events, key=lambda event: (event.reentry, event.label))),
        separate_subjects=True,
    )


def _video(video: ArrayLike, what: str) -> Video:
    found = np.asarray(video)
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[-1] != 3 or not found.size:
        raise ValueError(f"the {what} must be uint8 [T, H, W, 3], got {found.dtype} {list(found.shape)}")
    return found


def _count(target: Video | None, poses: ArrayLike | None, wanted: int | None) -> int:
    counts = {len(np.asarray(one)) for one in (target, poses) if one is not None} | ({wanted} if wanted else set())
    if len(counts) != 1:
        raise ValueError(f"how many target frames? got {sorted(counts) or 'no target, no target_poses, no number'}")
    return int(counts.pop())


def _poses(poses: ArrayLike | None, count: int) -> Poses:
    if poses is None:
        return np.tile(np.eye(4), (count, 1, 1))
    found = np.asarray(poses, np.float64)
    if found.shape != (count, 4, 4):
        raise ValueError(f"poses must be [{count}, 4, 4], got {list(found.shape)}")
    return found
