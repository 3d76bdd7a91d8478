"""Which camera convention a clip's pictures agree with: matrices held against the motion of the background.

Nothing in a single matrix says whether it is Unreal's or OpenCV's, camera-to-world or its inverse. The motion between
two frames does: points of the background keep to the epipolar lines of the right relative pose (or, where the camera
only turns, to its homography) within a pixel or two, and stray by tens of pixels under another reading. A unit of
length shows in how deep the scene would be: a path of centimetres with a metre's parallax puts houses at arm's length.

Letters: T frames, n matched points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.data.camera_conventions import CONVENTIONS, Convention, replace_unit
from hmbench.errors import SampleError
from hmbench.types import Intrinsics, Poses, Video

Floats = NDArray[np.float64]
WIDTH = 416
"""Pixels to which frames are reduced."""
FLOW_WINDOW = (21, 21)
PAIRS = 6
"""Pairs of frames that are looked at."""
APART = (1, 2, 4, 8)
"""Frames between the two of a pair: the fewest in which the camera turns enough."""
USUAL_TURN = 2.5
"""Degrees that points are followed over most safely."""
LEVEL = 0.2
"""Largest vertical part of a level camera's axis to the right: HM-World's cameras do not roll."""
LEAST_POINTS = 25
LEAST_TURN = 1.5
"""Degrees between the frames of a pair, below which little tells conventions apart."""
SUBJECT_MARGIN = 9
"""Pixels around the subjects' mask in which no point is taken."""
GOOD = 1.5
"""Median pixels (at `WIDTH`) that the right convention stays below."""
WORSE = 3.0
"""A convention is refuted if it is this many times worse than a good one, and by more than `GOOD` pixels."""
ASTRAY = 4.5
"""Median pixels from which cameras are told not to be the clip's. Right ones have at most `GOOD`; those of another
clip, or of other frames of it, mostly 4 to 36."""
NOISE = 50.0
"""Median pixels from which points were followed by chance, as on a plain background: they say nothing of cameras. Those
of other clips stray by 36 at most."""
DEPTHS = (0.6, 400.0)
"""Metres: a background whose median depth lies outside is in another unit."""
PARALLAX = 0.7
"""Pixels by which a moving camera must explain points better than one that only turns, to speak of depth."""
FAST_PATH = 300.0
"""Metres in a clip: longer paths are in another unit."""


class Candidate(NamedTuple):
    """One convention and how far the background strays under it."""

    convention: Convention
    error: float
    """Median pixels at `WIDTH`."""


UNTOLD = "the pictures do not say what the matrices mean"
"""By this a warning about cameras is known."""


@dataclass(frozen=True, kw_only=True)
class CameraVerdict:
    """What the pictures say of a convention."""

    expected: Candidate | None
    """The one that was expected; None if the pictures say nothing (the camera stands still, or there is no texture)."""
    best: Candidate | None
    """The one that fits best."""
    path: float
    """Length of the path in metres under the expected convention."""
    depth: float | None = None
    """Median depth of the background in metres as expected; None without parallax."""
    rolls: bool = False
    """The camera would lie on its side as expected, and would not under `best`."""
    upright: Convention | None = None
    """A convention under which the camera would stand upright, where it would not as expected."""

    @property
    def refuted(self) -> bool:
        """Whether another convention is right."""
        if self.expected is None or self.best is None or self.best.error > GOOD:
            return False
        if self.rolls:
            return True
        return self.expected.error > max(WORSE * self.best.error, self.best.error + GOOD)

    @property
    def other_unit(self) -> str | None:
        """The unit of length that the pictures ask for instead; None if the expected one is plausible.

        Nor is a unit asked for under which the camera would race: a median depth rests on few points where the
        camera orbits something close.
        """
        if (self.depth is not None and self.depth > DEPTHS[1]) or self.path > FAST_PATH:
            return "centimetres"
        close = self.depth is not None and self.depth < DEPTHS[0]
        return "metres" if close and 100 * self.path <= FAST_PATH else None

    @property
    def astray(self) -> str | None:
        """What to tell where the background moves as the cameras say under no convention."""
        if self.expected is None or self.best is None or self.expected.error < ASTRAY:
            return None
        if not GOOD < self.best.error < NOISE:
            return None
        return (
            f"the background does not move as the cameras say (it strays {self.expected.error:.1f} px of {WIDTH}, and "
            "fits no other convention): they may be another clip's, or their frames numbered otherwise"
        )

    @property
    def doubt(self) -> str | None:
        """What to tell where the pictures say nothing, and the matrices alone speak against the expected convention."""
        told = self.expected is not None and self.best is not None and self.best.error <= GOOD
        if told or self.upright is None:
            return None
        return f"so read, the camera lies on its side, and as {self.upright.name} it would stand upright"

    def sentence(self) -> str:
        """For ``data inspect`` and for errors."""
        if self.expected is None or self.best is None:
            return "the camera hardly turns: the pictures do not tell conventions apart"
        text = f"{self.expected.convention.name}: the background strays {self.expected.error:.1f} px"
        if self.best.convention.axes != self.expected.convention.axes or (
            self.best.convention.to_world != self.expected.convention.to_world
        ):
            text += " (it would lie on its side)" if self.rolls else ""
            text += f"; {self.best.convention.name}: {self.best.error:.1f} px"
        return text


def camera_verdict(
    matrices: Poses, expected: Convention, video: Video, mask: NDArray[np.bool_] | None, lens: Intrinsics
) -> CameraVerdict:
    """Holds a file's matrices against the pictures.

    Args:
        matrices: As the file gives them, ``[T, 4, 4]``.
        expected: What they are taken for.
        video: ``[T, H, W, 3]``.
        mask: Where subjects are, ``[T, H, W]``; None without masks.
        lens: The lens at the video's size.
    """
    path = float(np.linalg.norm(np.diff(expected.poses(matrices)[:, :3, 3], axis=0), axis=1).sum())
    pairs = _pairs(matrices)
    matches = [m for pair in pairs if (m := _match(video, mask, *pair)) is not None]
    kinds = [c for c in CONVENTIONS if c.metres == (0.01 if c.axes == "unreal" else 1.0)]
    upright = (
        None if _roll(expected, matrices) < LEVEL else next((c for c in kinds if _roll(c, matrices) < LEVEL), None)
    )
    if not matches:
        return CameraVerdict(expected=None, best=None, path=path, upright=upright)
    scale = WIDTH / lens.width
    small = (lens.focal * scale, WIDTH / 2, lens.height * scale / 2)
    errors = [
        Candidate(c, float(np.median([_stray(c.poses(matrices), m, small).error for m in matches]))) for c in kinds
    ]
    mine = next(e for e in errors if e.convention[:2] == expected[:2])
    best = min(errors, key=lambda e: e.error)
    level = [e for e in errors if e.error < best.error + GOOD and _roll(e.convention, matrices) < LEVEL]
    rolls = bool(level) and mine not in level and mine.error < best.error + GOOD
    if level and (best not in level or rolls):
        best = min(level, key=lambda e: e.error)
    strays = [_stray(expected.poses(matrices), m, small) for m in matches]
    depths = [s.depth for s in strays if s.pure - s.error > PARALLAX and s.error < GOOD]
    depth = float(np.median(depths)) if depths else None
    return CameraVerdict(expected=mine, best=best, path=path, rolls=rolls, depth=depth, upright=upright)


def held_against_pictures(
    poses: Poses, video: Video, lens: Intrinsics, where: str, expected: Convention, hint: str
) -> str | None:
    """Refuses cameras whose pictures fit another convention or unit.

    Where the pictures say nothing (the camera hardly turns, the clip is tiny), cameras that would lie on their side are
    not refused: there are such cameras. They are warned of, and so are cameras that fit under no convention.

    Args:
        poses: As they were read, OpenCV camera-to-world in metres, ``[T, 4, 4]``.
        video: ``[T, H, W, 3]``.
        lens: The lens at the video's size.
        where: The file, for messages.
        expected: The convention by which they were read.
        hint: What the user can do; ``{}`` stands for the convention that fits.

    Returns:
        A warning, or None.

    Raises:
        SampleError: With the convention that fits.
    """
    verdict = camera_verdict(expected.matrices(poses), expected, video, None, lens)
    if verdict.refuted and verdict.best is not None:
        raise SampleError(
            f"{where}: the pictures contradict the cameras as they are read ({verdict.sentence()}).",
            hint.format(verdict.best.convention.name),
        )
    if unit := verdict.other_unit:
        other = replace_unit(expected, 0.01 if unit == "centimetres" else 1.0)
        depth = f"a background {verdict.depth:.3g} m away, " if verdict.depth is not None else ""
        raise SampleError(
            f"{where}: read as {expected.name}, the cameras give {depth}a path of {verdict.path:.3g} m: "
            f"they seem to be in {unit}.",
            hint.format(other.name),
        )
    if verdict.astray is not None:
        return f"camera.json: {verdict.astray}"
    if verdict.doubt is None:
        return None
    name = verdict.upright.name if verdict.upright is not None else ""
    # kept in records of runs: no path, which a shard's temporary folder would make another each time
    remedy = f"If that is right, say so for the data set: `hmbench data card DATA --cameras {name}`."
    return f"camera.json: {UNTOLD}; {verdict.doubt}. {remedy}"


def _roll(found: Convention, matrices: Poses) -> float:
    """Largest vertical part of the axis to the right; 1 for a camera that is not upright.

    Unreal's world has z up. Of other worlds nobody knows whether y or z is the vertical: the better one counts.
    """
    poses = found.poses(matrices)
    right, down = poses[:, :3, 0], poses[:, :3, 1]
    if found.axes == "unreal":
        return float(np.abs(right[:, 2]).max()) if np.median(down[:, 2]) < -0.5 else 1.0
    upright = [a for a in (1, 2) if np.abs(np.median(down[:, a])) > 0.5]
    return min((float(np.abs(right[:, a]).max()) for a in upright), default=1.0)


class _Match(NamedTuple):
    first: int
    second: int
    p: Floats
    q: Floats


def _pairs(matrices: Poses) -> list[tuple[int, int]]:
    """Pairs of frames between which the camera turns most; turning is the same under every convention."""
    chosen: list[tuple[int, int]] = []
    for apart in APART:
        starts = np.arange(0, len(matrices) - apart)
        a, b = matrices[starts, :3, :3], matrices[starts + apart, :3, :3]
        cosine = (np.einsum("tij,tij->t", a, b) - 1) / 2
        turn = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        for start in np.argsort(np.abs(turn - USUAL_TURN)).tolist():
            if turn[start] < LEAST_TURN or len(chosen) == PAIRS:
                break
            if all(abs(start - other) >= 3 for other, _ in chosen):
                chosen.append((start, start + apart))
    return chosen


def _match(video: Video, mask: NDArray[np.bool_] | None, first: int, second: int) -> _Match | None:
    """Background points of one frame found in another by optical flow, there and back."""
    images = [_grey(video[t]) for t in (first, second)]
    free = None
    if mask is not None:
        subjects = cv2.resize(mask[first].astype(np.uint8), images[0].shape[::-1], interpolation=cv2.INTER_NEAREST)
        free = 1 - cv2.dilate(subjects, np.ones((SUBJECT_MARGIN, SUBJECT_MARGIN), np.uint8))
    corners = cv2.goodFeaturesToTrack(images[0], 250, 0.01, 5, mask=free)
    if corners is None or len(corners) < LEAST_POINTS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        images[0], images[1], corners, corners.copy(), winSize=FLOW_WINDOW, maxLevel=4
    )
    back, again, _ = cv2.calcOpticalFlowPyrLK(
        images[1], images[0], there, there.copy(), winSize=FLOW_WINDOW, maxLevel=4
    )
    same = np.linalg.norm(back - corners, axis=-1)[:, 0] < 0.7
    good = same & (found[:, 0] == 1) & (again[:, 0] == 1)
    if good.sum() < LEAST_POINTS:
        return None
    return _Match(first, second, corners[good, 0].astype(np.float64), there[good, 0].astype(np.float64))


def _grey(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    height = round(frame.shape[0] * WIDTH / frame.shape[1])
    return np.asarray(cv2.resize(grey, (WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


class _Stray(NamedTuple):
    error: float
    pure: float
    depth: float


def _stray(poses: Poses, match: _Match, lens: tuple[float, float, float]) -> _Stray:
    """Median distance of points from where the relative pose lets them be, pixels.

    A point of unknown depth moves along its epipolar line from where a pure turn puts it; it may be at any depth from
    one metre on in front of both cameras. So the distance to that half-line is asked, not to the whole line: a turn to
    the wrong side would otherwise pass wherever the line is level.
    """
    focal, cx, cy = lens
    turn = poses[match.second, :3, :3].T @ poses[match.first, :3, :3]
    shift = poses[match.second, :3, :3].T @ (poses[match.first, :3, 3] - poses[match.second, :3, 3])
    rays = np.column_stack([(match.p - [cx, cy]) / focal, np.ones(len(match.p))])
    far = rays @ turn.T
    best, at, pure = np.full(len(rays), np.inf), np.zeros(len(rays)), np.inf
    length = float(np.linalg.norm(shift))
    ratios = np.concatenate([[0.0], np.geomspace(0.002, 0.5, 24)])
    for ratio in ratios:  # metres of shift over metres of depth; the unit of the path does not matter
        point = far + (shift / max(length, 1e-12)) * ratio
        ahead = point[:, 2] > 0.05
        seen = focal * point[:, :2] / np.where(ahead, point[:, 2], 1.0)[:, None] + [cx, cy]
        distance = np.where(ahead, np.linalg.norm(seen - match.q, axis=1), np.inf)
        at = np.where(distance < best, ratio, at)
        best = np.minimum(best, distance)
        pure = float(np.median(best)) if ratio == 0 else pure
        if length < 1e-9:
            break
    depth = length / max(float(np.median(at)), 1e-6)
    return _Stray(float(min(np.median(best), 1e3)), min(pure, 1e3), depth)
