"""How a subject moves after it came back, with the camera's own motion taken out.

A box becomes a point in the world: its centre's ray at the depth at which a body of the subject's height fills the
box's height. The height is the same for the prediction and the target, so that its error cancels in every ratio. The
poses are those that the model was asked to follow; a model that ignores them moves subjects, too, and is told so.

Letters: T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.subjects.boxes import centres, heights, present, touches_edge
from hmbench.types import Boxes, Intrinsics, Poses, SubjectTruth, Video

Floats = NDArray[np.float64]
USUAL_HEIGHT = 1.7
"""Metres assumed for a subject whose positions the data do not give; only scales the world, alike on both sides."""
MIN_POINTS = 6
"""Frames with both boxes below which motion cannot be judged."""
STRETCH = 15
"""Frames over which a velocity is a slope: a second at 15 fps."""
STEADY = 5
"""Frames to either side over which heights, and with them depths, are steadied: a third of a second at 15 fps."""
DEPTH_SHARE = 0.35
"""Weight of what is along the line of sight, where only the height of a box tells anything."""
ARTICULATION_SIDE = 48
ARTICULATION_STEP = 4
"""Frames between the compared pictures of a body (a quarter of a second at 15 fps: half a step)."""


@dataclass(frozen=True, kw_only=True)
class MotionEvidence:
    """Motion of a predicted subject against the target's, over the frames in which both are there."""

    frames: int
    """Frames that count."""
    speed_target: float
    """Metres a frame, after taking out the camera."""
    speed_predicted: float
    """The same of the prediction."""
    direction: float
    """Cosine between both velocities; NaN where one of them stands still."""
    agreement: float
    """1 - |v - w| / (|v| + |w|): 1 for equal velocities, 0 for opposite ones or for one that stands still."""
    offset: float
    """Mean distance between both in the world, in body heights."""
    lag: float
    """Frames by which the prediction trails the target along its path; NaN where the target stands still."""
    aside: float
    """What remains of `offset` after taking the lag out, in body heights."""


def body_height(subject: SubjectTruth, poses: Poses, intrinsics: Intrinsics, frame_height: int) -> float:
    """The subject's height in metres, from boxes that the frame does not cut; `USUAL_HEIGHT` where nobody knows.

    Args:
        subject: With positions, all Tc + Tt frames.
        poses: Cameras of the same frames, ``[Tc + Tt, 4, 4]``.
        intrinsics: The lens at the frames' size.
        frame_height: Pixels.
    """
    if subject.positions is None:
        return USUAL_HEIGHT
    whole = present(subject.boxes) & ~touches_edge(subject.boxes, (frame_height, intrinsics.width))
    if whole.sum() < MIN_POINTS:
        whole = present(subject.boxes)
    if not whole.any():
        return USUAL_HEIGHT
    offsets = subject.positions[whole] - poses[whole, :3, 3]
    depth = np.einsum("ti,ti->t", offsets, poses[whole, :3, 2])
    return float(np.nanmedian(depth * heights(subject.boxes[whole]) / intrinsics.focal))


def world_points(boxes: Boxes, poses: Poses, intrinsics: Intrinsics, height: float) -> Floats:
    """Where boxes are in the world, metres ``[T, 3]``, NaN where there is no box.

    Args:
        boxes: ``[T, 4]``.
        poses: ``[T, 4, 4]``.
        intrinsics: The lens.
        height: The body's height in metres.
    """
    depth = intrinsics.focal * height / np.maximum(steady(heights(boxes)), 1)
    middle = centres(boxes) - np.array([intrinsics.width / 2, intrinsics.height / 2])
    local = np.concatenate([middle / intrinsics.focal, np.ones((len(boxes), 1))], axis=1) * depth[:, None]
    return np.asarray(np.einsum("tij,tj->ti", poses[:, :3, :3], local) + poses[:, :3, 3], np.float64)


def compare_motion(
    predicted: Boxes, target: Boxes, poses: Poses, intrinsics: Intrinsics, height: float
) -> MotionEvidence | None:
    """Motion over the frames in which both have a box; None if they are too few.

    Velocities are slopes over stretches of `STRETCH` frames, so that a path with a turn in it keeps its speed. Boxes
    that the frame cuts off are left out where enough others remain: their middle is not the body's.
    """
    used = usable_frames(predicted, target, (intrinsics.height, intrinsics.width))
    if len(used) < MIN_POINTS:
        return None
    p = world_points(predicted[used], poses[used], intrinsics, height)
    q = world_points(target[used], poses[used], intrinsics, height)
    return compare_points(p, q, used, poses[used, :3, 3], height)


def usable_frames(predicted: Boxes, target: Boxes | None, size: tuple[int, int]) -> NDArray[np.intp]:
    """Frames with boxes (both, or the predicted one if there is no target), whole ones if they are enough.

    Args:
        predicted: ``[T, 4]``.
        target: ``[T, 4]`` or None.
        size: (height, width) of the frames.
    """
    both = present(predicted) if target is None else present(predicted) & present(target)
    whole = both & ~touches_edge(predicted, size)
    if target is not None:
        whole &= ~touches_edge(target, size)
    return np.flatnonzero(whole if whole.sum() >= MIN_POINTS else both)


def compare_points(p: Floats, q: Floats, used: NDArray[np.intp], eyes: Floats, height: float) -> MotionEvidence:
    """Motion of points against the target's.

    Args:
        p: Predicted, metres ``[n, 3]``.
        q: The target's ``[n, 3]``.
        used: Frames ``[n]``.
        eyes: Where the camera is ``[n, 3]``.
        height: The body's height, metres.
    """
    parts = _stretches(used)
    rays = [np.median(q[part] - eyes[part], axis=0) for part in parts]
    v = np.stack([across(_velocity(p[part], used[part]), ray) for part, ray in zip(parts, rays, strict=True)])
    w = np.stack([across(_velocity(q[part], used[part]), ray) for part, ray in zip(parts, rays, strict=True)])
    apart = np.stack([across(np.median(p[part] - q[part], axis=0), ray) for part, ray in zip(parts, rays, strict=True)])
    speed, wanted = (float(np.linalg.norm(x, axis=1).mean()) for x in (v, w))
    least = standing(height)
    moving, both_move = wanted > 0.1 * least, min(speed, wanted) > 0.1 * least
    lag = -float((apart * w).sum() / (w * w).sum()) if moving else float("nan")
    aside = apart + lag * w if moving else apart
    return MotionEvidence(
        frames=len(used),
        speed_target=wanted,
        speed_predicted=speed,
        direction=float((v * w).sum() / np.sqrt((v * v).sum() * (w * w).sum())) if both_move else float("nan"),
        agreement=1 - float(np.linalg.norm(v - w, axis=1).mean()) / max(speed + wanted, least),
        offset=float(np.linalg.norm(apart, axis=1).mean()) / height,
        lag=lag,
        aside=float(np.linalg.norm(aside, axis=1).mean()) / height,
    )


def across(vectors: Floats, rays: Floats) -> Floats:
    """Vectors ``[..., 3]`` with what is along the line of sight counted `DEPTH_SHARE`: depth is much less certain."""
    unit = rays / np.maximum(np.linalg.norm(rays, axis=-1, keepdims=True), 1e-9)
    along = (vectors * unit).sum(axis=-1, keepdims=True) * unit
    return np.asarray(vectors - (1 - DEPTH_SHARE) * along, np.float64)


def standing(height: float) -> float:
    """Metres a frame below which a body of this height is as good as standing: a hundredth of its height."""
    return 0.01 * height


def articulation(video: Video, boxes: Boxes) -> float:
    """How much a body changes between pictures `ARTICULATION_STEP` frames apart, cut out and scaled alike.

    Mean absolute difference of grey levels in [0, 1] over the middle of the crops, each shifted in brightness to the
    same mean; NaN with fewer than `MIN_POINTS` pairs. It means something only against the same number of the target.
    """
    crops = {}
    for t in np.flatnonzero(present(boxes)):
        x0, y0 = np.floor(boxes[t, :2]).astype(int).clip(min=0)
        x1, y1 = np.ceil(boxes[t, 2:]).astype(int)
        crop = video[t, y0 : max(y1, y0 + 2), x0 : max(x1, x0 + 2)].mean(axis=2, dtype=np.float32) / 255
        if crop.size:
            small = cv2.resize(crop, (ARTICULATION_SIDE,) * 2, interpolation=cv2.INTER_AREA)
            crops[int(t)] = small - small.mean()
    pairs = [(crops[t], crops[t + ARTICULATION_STEP]) for t in crops if t + ARTICULATION_STEP in crops]
    if len(pairs) < MIN_POINTS:
        return float("nan")
    return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))


def steady(values: Floats) -> Floats:
    """Values ``[n]`` steadied: a line through the `STEADY` rows to either side, read off in the middle; NaN stays.

    Boxes jump, bodies do not.
    """
    out = np.full(len(values), np.nan)
    for i in np.flatnonzero(np.isfinite(values)).tolist():
        near = np.arange(max(i - STEADY, 0), min(i + STEADY + 1, len(values)))
        near = near[np.isfinite(values[near])]
        t = near - near.mean()
        slope = float((t * values[near]).sum() / max(float((t * t).sum()), 1e-9))
        out[i] = values[near].mean() + slope * (i - near.mean())
    return out


def _stretches(frames: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Indices of overlapping stretches of `STRETCH` frames, every `STRETCH` / 3; one of all frames if they are few."""
    starts = range(int(frames[0]), max(int(frames[-1]) - STRETCH + 2, int(frames[0]) + 1), STRETCH // 3)
    found = [np.flatnonzero((frames >= start) & (frames < start + STRETCH)) for start in starts]
    return [part for part in found if len(part) >= MIN_POINTS] or [np.arange(len(frames))]


def _velocity(points: Floats, frames: NDArray[np.intp]) -> Floats:
    """Least-squares slope, metres a frame ``[3]``, outliers trimmed once."""
    t = frames - frames.mean()
    slope = (t[:, None] * points).sum(axis=0) / (t**2).sum()
    residual = np.linalg.norm(points - points.mean(axis=0) - t[:, None] * slope, axis=1)
    keep = residual <= 3 * np.median(residual) + 1e-9
    if keep.sum() < MIN_POINTS:
        return np.asarray(slope, np.float64)
    t, kept = frames[keep] - frames[keep].mean(), points[keep]
    return np.asarray((t[:, None] * kept).sum(axis=0) / (t**2).sum(), np.float64)
