"""Where a subject of one event is and should be, in the world: its motion, and the story that explains its place.

Letters: Tc context frames, Tt target frames.
"""

from __future__ import annotations

import numpy as np

from hmbench.case import Case
from hmbench.metrics.reentry.matching import Part
from hmbench.metrics.reentry.motion import (
    MIN_POINTS,
    Floats,
    MotionEvidence,
    body_height,
    compare_motion,
    compare_points,
    usable_frames,
    world_points,
)
from hmbench.metrics.reentry.path_fit import PathFit, bridged, fit_path
from hmbench.types import Boxes


def event_motion(case: Case, part: Part, boxes: Boxes) -> tuple[MotionEvidence | None, PathFit | None]:
    """Motion against the target's boxes (its path, where it hardly shares frames with them), and the best story."""
    prompt, height = case.sample.prompt, height_of(case, part)
    lens, size = prompt.intrinsics, (case.prediction.shape[1], case.prediction.shape[2])
    evidence = compare_motion(boxes, part.seen_as, prompt.target_poses, lens, height)
    used = usable_frames(boxes, None, size)
    path = _path(case, part, height)
    on_path = used[np.isfinite(path[used + len(prompt.context)]).all(axis=1)]
    if len(on_path) < MIN_POINTS:
        return evidence, None
    times = on_path + len(prompt.context)
    points = world_points(boxes[on_path], prompt.target_poses[on_path], lens, height)
    eyes = prompt.target_poses[on_path, :3, 3]
    fit = fit_path(points, times, path, eyes, height)
    return evidence or compare_points(points, path[times], on_path, eyes, height), fit


def height_of(case: Case, part: Part) -> float:
    """The subject's height in metres."""
    prompt = case.sample.prompt
    poses = np.concatenate([prompt.context_poses, prompt.target_poses])
    return body_height(part.truth, poses, prompt.intrinsics, prompt.size[0])


def _path(case: Case, part: Part, height: float) -> Floats:
    """Where the subject is as its boxes tell, ``[Tc + Tt, 3]``, also while it is hidden.

    From its positions, moved to where boxes put them; without positions from its boxes, straight across the gap.
    """
    prompt = case.sample.prompt
    num_context, size = len(prompt.context), (case.prediction.shape[1], case.prediction.shape[2])
    poses = np.concatenate([prompt.context_poses, prompt.target_poses])
    boxes = np.concatenate([part.truth.boxes[:num_context], part.seen_as])
    whole = usable_frames(boxes, None, size)
    points = world_points(boxes[whole], poses[whole], prompt.intrinsics, height)
    if part.truth.positions is not None:
        late = whole >= num_context if (whole >= num_context).sum() >= MIN_POINTS else whole >= 0
        habit = np.median((points - part.truth.positions[whole])[late], axis=0) if len(whole) else np.zeros(3)
        return np.asarray(part.truth.positions + np.nan_to_num(habit), np.float64)
    path = np.full((len(poses), 3), np.nan)
    path[whole] = points
    return bridged(path)
