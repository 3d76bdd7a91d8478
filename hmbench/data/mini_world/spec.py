"""A clip as a dozen numbers, and the plan that follows from them.

`ClipSpec` is what is stored; `make_plan` draws everything else from it (places, speeds, distances, the sweep) and is
pure, so the same specification gives the same clip at any size.
"""

import math
import operator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from hmbench.data.mini_world.bodies import build_body
from hmbench.data.mini_world.look import Look
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import (
    CAMERA_MOTIONS,
    CAMERA_PATHS,
    FPS,
    FRAMES,
    SUBJECT_PATHS,
    CameraMove,
    Walk,
)
from hmbench.data.mini_world.renderer import FOCAL_PER_WIDTH
from hmbench.data.mini_world.rng import Stream
from hmbench.data.mini_world.scenes import SCENES, Scene

VERSION = "mini-v1"
GENERATOR = 3
"""Raised whenever a frame of any clip changes."""
MAX_SUBJECTS = 3


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """HM-World's four dimensions and a seed."""

    scene: int
    """Row of `SCENES`, 0..16."""
    subjects: tuple[int, ...]
    """Rows of `LOOKS`, 1 to 3 of 0..48; the first is the one that must leave and come back."""
    subject_path: int
    """Row of `SUBJECT_PATHS`, 0..9."""
    camera_path: int
    """Row of `CAMERA_PATHS`, 0..27."""
    seed: int
    """Everything else."""
    focal: float = FOCAL_PER_WIDTH
    """Focal length over the uncropped 16:9 width; the default is HM-World's recovered 36.6 degrees at 832x480."""

    def __post_init__(self) -> None:
        for whole in ("scene", "subject_path", "camera_path", "seed"):  # numpy's integers would print differently
            object.__setattr__(self, whole, int(operator.index(getattr(self, whole))))
        object.__setattr__(self, "subjects", tuple(int(operator.index(k)) for k in self.subjects))
        object.__setattr__(self, "focal", float(self.focal))
        for name, value, count in (
            ("scene", self.scene, len(SCENES)),
            ("subject_path", self.subject_path, len(SUBJECT_PATHS)),
            ("camera_path", self.camera_path, len(CAMERA_PATHS)),
            *(("subjects", k, len(LOOKS)) for k in self.subjects),
        ):
            if not 0 <= value < count:
                raise ValueError(f"{name} must be in 0..{count - 1}, got {value}")
        if not 1 <= len(self.subjects) <= MAX_SUBJECTS or len(set(self.subjects)) != len(self.subjects):
            raise ValueError(f"a clip has 1 to {MAX_SUBJECTS} different subjects, got {self.subjects}")
        if self.focal <= 0:
            raise ValueError(f"{self.focal=} must be positive")

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"subjects": list(self.subjects)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ClipSpec":
        """Rebuild what `to_json` gave."""
        return cls(**(data | {"subjects": tuple(data["subjects"])}))


class Plan(NamedTuple):
    """A clip's walks and camera."""

    walks: tuple[Walk, ...]
    """One a subject."""
    camera: CameraMove
    location: int
    """Which of the scene's locations it starts at."""


def make_plan(spec: ClipSpec, scene: Scene) -> Plan:
    """Draw the clip's plan; the same specification gives the same plan."""
    s = Stream("clip", spec.scene, *spec.subjects, spec.subject_path, spec.camera_path, spec.seed)
    motion = CAMERA_MOTIONS[spec.camera_path % len(CAMERA_MOTIONS)]
    location = s.integer(len(scene.locations))
    place = scene.locations[location]
    looks = [LOOKS[k] for k in spec.subjects]
    yaw = s.choice(place.headings) + s.uniform(-0.06, 0.06)
    speed = s.uniform(0.55, 1.45) * min(1.0, max(look.height for look in looks) / 1.5)
    speed *= 0.65 if motion in ("Static", "Truck", "DollyIn") else 1.0  # or they would be dots after ten seconds
    towards = motion in ("DollyBack", "Orbit") or (motion in ("Static", "Truck") and s.chance(0.5))
    reach = _distance(s, looks, motion, towards, speed, spec.focal)
    x, y = place.x + s.uniform(-3, 3), place.y + s.uniform(-0.8, 0.8)
    x -= reach * 0.5 * math.cos(yaw)
    walks = _walks(s, spec, (x, y, yaw + math.pi if towards else yaw), (yaw, reach, speed))
    return Plan(walks, _camera(s, spec, motion, (x, y, yaw, speed), walks), location)


def _distance(s: Stream, looks: list[Look], motion: str, towards: bool, speed: float, focal: float) -> float:
    """Return the first distance: from the share of the frame's height that the group fills when it is nearest."""
    nearest = focal * 16 / 9 * _reference_height(looks) / s.uniform(0.55, 0.95)
    travel = speed * FRAMES / FPS
    if motion in ("Static", "Truck") and towards:
        return nearest + 0.75 * travel
    return nearest * (1.15 if motion in ("Orbit", "Follow", "Handheld") else 1.0)


def _reference_height(looks: list[Look]) -> float:
    """Return the height that the framing goes by: the first subject's, or 0.7 of a taller companion's."""
    bodies = [build_body(look, 0.0) for look in looks]
    sizes = [max(b.high[2], 0.62 * (b.high[0] - b.low[0])) for b in bodies]
    return max(sizes[0], *(0.7 * size for size in sizes))


def _walks(
    s: Stream, spec: ClipSpec, start: tuple[float, float, float], group: tuple[float, float, float]
) -> tuple[Walk, ...]:
    """Return one walk a subject: the first takes the clip's path, companions take it or a simple one."""
    x, y, heading = start
    yaw, reach, speed = group
    sides = ((s.uniform(-0.06, 0.06),), (-0.11, 0.12), (-0.13, 0.13, 0.01))[len(spec.subjects) - 1]
    walks = []
    for k, side in enumerate(sides):
        ahead = reach * (1.0 + (0.0, 0.1, 0.32)[k] + s.uniform(-0.04, 0.04))
        across = (side + s.uniform(-0.02, 0.02)) * reach
        kind = SUBJECT_PATHS[spec.subject_path] if k == 0 or s.chance(0.5) else s.choice(("Straight", "Weave"))
        px = x + ahead * math.cos(yaw) - across * math.sin(yaw)
        py = y + ahead * math.sin(yaw) + across * math.cos(yaw)
        walks.append(Walk(kind, px, py, heading + s.uniform(-0.08, 0.08), speed * s.uniform(0.94, 1.06)))
    return tuple(walks)


def _camera(
    s: Stream, spec: ClipSpec, motion: str, start: tuple[float, float, float, float], walks: tuple[Walk, ...]
) -> CameraMove:
    """Return the camera's move: HM-World's examples turn 30 to 51 degrees within about 22 frames and back."""
    x, y, yaw, speed = start
    tall = _reference_height([LOOKS[k] for k in spec.subjects])
    along = {
        "DollyBack": -s.uniform(0.95, 1.25), "Follow": s.uniform(0.8, 1.0), "Static": 0.0, "Truck": s.uniform(0.3, 0.5),
        "DollyIn": s.uniform(0.35, 0.55), "Orbit": -s.uniform(0.8, 1.0), "Handheld": s.uniform(0.8, 1.0),
    }[motion]  # fmt: skip
    sweep = spec.camera_path // len(CAMERA_MOTIONS)
    late = 12.0 * (sweep // 2)
    leave = s.uniform(32, 40) + late
    leave_for, back_for = s.uniform(18, 26), s.uniform(18, 26)
    hold = max(leave + leave_for + 1, s.uniform(70, 77) + late)
    steady = motion in ("DollyBack", "Follow", "Handheld") and walks[0].kind in (
        "Straight",
        "StopGo",
        "Weave",
    )
    drift = {"Truck": s.sign() * math.pi / 2, "Orbit": s.sign() * s.uniform(0.2, 0.4)}.get(motion, 0.0)
    return CameraMove(
        motion=motion,
        x=x,
        y=y,
        z=min(1.7, max(0.45, tall * s.uniform(0.55, 0.68))),
        yaw=yaw,
        drift=drift,
        speed=along * speed,
        sweep=(1 if sweep % 2 == 0 else -1) * math.radians(s.uniform(34, 58)),
        leave=leave,
        leave_for=leave_for,
        turn_back=hold,
        turn_back_for=back_for,
        framed=() if steady else walks,
    )
