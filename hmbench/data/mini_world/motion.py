"""Paths of subjects and cameras: everything a function of time, so any frame of any variant can be drawn by itself.

Subjects: 10 paths (heading as a function of distance, integrated once) times a speed. Cameras: 7 motions x 4 sweeps =
28. World axes: x, y on the ground, z up, metres; a camera pose is camera-to-world with OpenCV axes.
"""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FPS = 15.0
FRAMES = 154
CONTEXT = 77

SUBJECT_PATHS = (
    "Straight",
    "ArcLeft",
    "ArcRight",
    "TightLeft",
    "TightRight",
    "Weave",
    "StopGo",
    "ZigZag",
    "UTurn",
    "SCurve",
)
CAMERA_MOTIONS = ("DollyBack", "Follow", "Static", "Truck", "DollyIn", "Orbit", "Handheld")
CAMERA_SWEEPS = ("LeftEarly", "RightEarly", "LeftLate", "RightLate")
CAMERA_PATHS = tuple(m + s for s in CAMERA_SWEEPS for m in CAMERA_MOTIONS)
_STEP = 0.02
_REACH = 45.0


def smoothstep(x: float) -> float:
    """Return 3x^2 - 2x^3 clipped to [0, 1]."""
    u = min(1.0, max(0.0, x))
    return u * u * (3 - 2 * u)


def _zigzag(d: float) -> float:
    leg, phase = divmod(d, 3.4)
    turn = smoothstep((phase - 2.6) / 0.8)
    side = 1.0 if int(leg) % 2 == 0 else -1.0
    return 0.5 * side * (1 - 2 * turn)


_HEADINGS: dict[str, Callable[[float], float]] = {
    "Straight": lambda d: 0.0,
    "ArcLeft": lambda d: d / 14,
    "ArcRight": lambda d: -d / 14,
    "TightLeft": lambda d: d / 7,
    "TightRight": lambda d: -d / 7,
    "Weave": lambda d: 0.45 * math.sin(2 * math.pi * d / 9),
    "StopGo": lambda d: 0.0,
    "ZigZag": _zigzag,
    "UTurn": lambda d: math.pi * smoothstep((d - 4.5) / 3.0),
    "SCurve": lambda d: 0.85 * math.sin(2 * math.pi * d / 15),
}


@cache
def _curve(kind: str) -> tuple[tuple[float, float, float], ...]:
    """Positions and headings every 2 cm (midpoint rule)."""
    heading = _HEADINGS[kind]
    x = y = 0.0
    out = [(0.0, 0.0, heading(0.0))]
    for i in range(int(_REACH / _STEP)):
        middle = heading((i + 0.5) * _STEP)
        x += _STEP * math.cos(middle)
        y += _STEP * math.sin(middle)
        out.append((x, y, heading((i + 1) * _STEP)))
    return tuple(out)


class Pose2D(NamedTuple):
    """Where a subject is at one time."""

    x: float
    y: float
    yaw: float
    """Heading, radians."""
    walked: float
    """Metres walked: sets the phase of the gait."""


class Walk(NamedTuple):
    """A subject's path through the scene."""

    kind: str
    """One of `SUBJECT_PATHS`."""
    x: float
    y: float
    yaw: float
    """Start and first heading."""
    speed: float
    """Metres a second."""

    def at(self, t: float) -> Pose2D:
        """Return the pose at frame t (15 frames a second)."""
        seconds = t / FPS
        d = self.speed * seconds
        if self.kind == "StopGo":
            d -= self.speed * 5 / (2 * math.pi) * math.sin(2 * math.pi * seconds / 5)
        curve = _curve(self.kind)
        u = min(max(d, 0.0) / _STEP, len(curve) - 2.0)
        i = int(u)
        f = u - i
        a, b = curve[i], curve[i + 1]
        lx, ly, turn = (a[k] + f * (b[k] - a[k]) for k in range(3))
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return Pose2D(self.x + lx * c - ly * s, self.y + lx * s + ly * c, self.yaw + turn, d)


class CameraMove(NamedTuple):
    """A camera's path: a slow motion, and a sweep away and back."""

    motion: str
    """One of `CAMERA_MOTIONS`."""
    x: float
    y: float
    z: float
    yaw: float
    """First heading, radians."""
    drift: float
    """Direction of motion relative to the heading, radians."""
    speed: float
    """Metres a second along it; negative is backwards."""
    sweep: float
    """Radians, positive to the left."""
    leave: float
    """Frame at which the sweep begins."""
    leave_for: float
    """Frames it takes."""
    turn_back: float
    """Frame at which the way back begins."""
    turn_back_for: float
    """Frames it takes."""
    framed: tuple[Walk, ...] = ()
    """Walks whose middle the camera keeps in view; empty for a fixed heading. Always the clean walks: a fault of a
    subject never moves the camera."""

    def pose(self, t: float) -> NDArray[np.float64]:
        """Return camera-to-world [4, 4] at frame t, read-only: the filter, the switch and the frames all ask for it."""
        return _pose(self, t)

    def sweep_at(self, t: float) -> float:
        """Return how far the camera is turned away at frame t, radians."""
        out = smoothstep((t - self.leave) / self.leave_for)
        return self.sweep * (out - smoothstep((t - self.turn_back) / self.turn_back_for))

    def position(self, t: float) -> tuple[float, float, float]:
        """Return where the camera is at frame t."""
        s = self.speed * t / FPS
        a = self.yaw + self.drift
        x, y, z = self.x + s * math.cos(a), self.y + s * math.sin(a), self.z
        if self.motion == "Handheld":
            side = 0.1 * math.sin(2 * math.pi * t / 43)
            x, y = x - side * math.sin(self.yaw), y + side * math.cos(self.yaw)
            z += 0.03 * math.sin(2 * math.pi * t / 11)
        return x, y, z

    def aim(self, t: float) -> float:
        """Return the heading that keeps the framed walks' middle in view, smoothed over 13 frames."""
        if not self.framed:
            return self.yaw
        offset = 0.0
        times = [t + k for k in range(-6, 7, 3)]
        for time in times:
            x, y, _ = self.position(time)
            poses = [walk.at(max(0.0, time)) for walk in self.framed]
            dx = sum(p.x for p in poses) / len(poses) - x
            dy = sum(p.y for p in poses) / len(poses) - y
            offset += math.remainder(math.atan2(dy, dx) - self.yaw, 2 * math.pi)
        return self.yaw + offset / len(times)


@lru_cache(maxsize=1024)
def _pose(move: CameraMove, t: float) -> NDArray[np.float64]:
    x, y, z = move.position(t)
    yaw = move.aim(t) + move.sweep_at(t)
    if move.motion == "Handheld":
        yaw += 0.012 * math.sin(2 * math.pi * t / 37) + 0.008 * math.sin(2 * math.pi * t / 23 + 1)
    c, s = math.cos(yaw), math.sin(yaw)
    pose = np.array([[s, 0.0, c, x], [-c, 0.0, s, y], [0.0, -1.0, 0.0, z], [0.0, 0.0, 0.0, 1.0]])
    pose = np.rint(pose * 2.0**40) * 2.0**-40
    pose.setflags(write=False)
    return pose


__all__ = [
    "CAMERA_MOTIONS",
    "CAMERA_PATHS",
    "CAMERA_SWEEPS",
    "CONTEXT",
    "FPS",
    "FRAMES",
    "SUBJECT_PATHS",
    "CameraMove",
    "Pose2D",
    "Walk",
    "smoothstep",
]
