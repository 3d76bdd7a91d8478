"""Faults on purpose: the same clip with one thing wrong with its first subject, from a frame on where nobody sees it.

A probe switches on at the plan's `safe_switch` frame: neither the subject, nor any variant of it, nor its shadow can
be in the picture there, so every earlier frame is bit-identical and nothing pops. Strength 0 is the clean clip, 1 the
full fault:

    frozen      time runs (1 - strength) as fast: 1 stands still in its step
    vanished    absent until a share `strength` of its return is over: 1 never returns; with less it then pops in, in
                the middle of the picture, by design: every strength loses that share of the return
    swapped     another look; strength picks how far away among the other 48 (1 the farthest)
    distorted   limbs grow and shrink by up to 1.9 and 0.45
    delayed     stands still for 25 * strength frames, then goes on
    displaced   walks 1.6 * strength metres beside its path
    duplicated  a second copy beside it, `strength` times its size
    wrongway    its path from there on turned by 180 * strength degrees
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

import numpy as np

from hmbench.data.mini_world.bodies import build_body
from hmbench.data.mini_world.look import PLAIN, Look
from hmbench.data.mini_world.looks import LOOKS, look_distance
from hmbench.data.mini_world.motion import FRAMES, Pose2D, Walk
from hmbench.data.mini_world.primitives import corners
from hmbench.data.mini_world.scenes import Scene
from hmbench.data.mini_world.spec import ClipSpec, Plan

ProbeKind = Literal["frozen", "vanished", "swapped", "distorted", "delayed", "displaced", "duplicated", "wrongway"]
PROBE_KINDS: tuple[ProbeKind, ...] = get_args(ProbeKind)
_EDGE = 0.5075
"""Half the widest frame over its focal length per width (16:9, and everything narrower), 1.5 % wider."""
DELAY, OFFSET = 25.0, 1.6
"""Frames and metres at full strength."""
PHASES = 16
"""Steps of a gait that are tried for the room that a body needs."""
CONTACT = 0.35
"""Metres by which the shade below a subject reaches beyond its parts (see `renderer`)."""
MARGIN = 1.03
_LIMB_FACTORS = (0.45, 0.5, 1.9, 1.8, 1.8, 1.7, 1.9)


@dataclass(frozen=True)
class Probe:
    """One fault."""

    kind: ProbeKind
    strength: float = 1.0
    """In (0, 1]."""

    def __post_init__(self) -> None:
        if self.kind not in PROBE_KINDS:
            raise ValueError(f"unknown probe {self.kind!r}; there are {', '.join(PROBE_KINDS)}")
        if not 0 < self.strength <= 1:
            raise ValueError(f"the strength of probe {str(self)!r} must be in (0, 1], got {self.strength!r}")

    @classmethod
    def parse(cls, text: str) -> "Probe":
        """Read ``frozen`` or ``frozen:0.5``.

        Raises:
            ValueError: If the kind is unknown or the strength is not in (0, 1].
        """
        kind, _, strength = text.partition(":")
        try:
            value = float(strength) if strength else 1.0
        except ValueError:
            raise ValueError(f"the strength of probe {text!r} is not a number") from None
        return cls(kind, value)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.kind}-{repr(float(self.strength)).removesuffix('.0')}"  # exact: folders are named by it


class Switch(NamedTuple):
    """When faults start, and to which side they move a subject."""

    frame: int
    """First frame that may differ."""
    side: tuple[float, float]
    """Unit vector on the ground along which subjects are displaced."""
    back: int
    """First frame in which the clean first subject is in view again."""


class Instance(NamedTuple):
    """One body to draw."""

    label: int
    look: Look
    pose: Pose2D
    limbs: tuple[float, ...] = PLAIN
    scale: float = 1.0


def instances(spec: ClipSpec, plan: Plan, t: float, probe: Probe | None, switch: Switch | None) -> list[Instance]:
    """Return the bodies at frame t, faults included."""
    out = []
    for k, (index, walk) in enumerate(zip(spec.subjects, plan.walks, strict=True)):
        clean = Instance(k + 1, LOOKS[index], walk.at(t))
        if k > 0 or probe is None or switch is None or t < switch.frame:
            out.append(clean)
        else:
            out.extend(_faulty(clean, walk, t, probe, switch, len(spec.subjects) + 1))
    return out


def _faulty(clean: Instance, walk: Walk, t: float, probe: Probe, switch: Switch, new_label: int) -> list[Instance]:
    kind, strength = probe.kind, probe.strength
    start = float(switch.frame)
    pose = clean.pose
    if kind == "frozen":
        return [clean._replace(pose=walk.at(start + (t - start) * (1 - strength)))]
    if kind == "vanished":
        return [] if t < switch.back + strength * (FRAMES - switch.back) else [clean]
    if kind == "swapped":
        return [clean._replace(look=swap_for(clean.look, strength))]
    if kind == "distorted":
        return [clean._replace(limbs=tuple(f**strength for f in _LIMB_FACTORS))]
    if kind == "delayed":
        return [clean._replace(pose=walk.at(max(start, t - DELAY * strength)))]
    if kind == "displaced":
        return [clean._replace(pose=_beside(pose, switch, OFFSET * strength))]
    if kind == "duplicated":
        return [
            clean,
            Instance(new_label, clean.look, _beside(pose, switch, beside(clean.look)), PLAIN, strength),
        ]
    turned, origin = math.pi * strength, walk.at(start)
    c, s = math.cos(turned), math.sin(turned)
    dx, dy = pose.x - origin.x, pose.y - origin.y
    return [
        clean._replace(
            pose=Pose2D(origin.x + dx * c - dy * s, origin.y + dx * s + dy * c, pose.yaw + turned, pose.walked)
        )
    ]


def beside(look: Look) -> float:
    """Return how far a duplicate walks from the original, metres."""
    return max(0.9, 0.65 * look.height)


def _beside(pose: Pose2D, switch: Switch, offset: float) -> Pose2D:
    return pose._replace(x=pose.x + offset * switch.side[0], y=pose.y + offset * switch.side[1])


def swap_for(look: Look, strength: float) -> Look:
    """Return the look at quantile `strength` of the distances to all others; ties by table order."""
    others = sorted((o for o in LOOKS if o != look), key=lambda o: look_distance(look, o))
    return others[round(strength * (len(others) - 1))]


def safe_switch(spec: ClipSpec, plan: Plan, scene: Scene) -> Switch | None:
    """Return the first frame from which every probe is out of sight together with its shadow, or None.

    The test is geometric and conservative: upright prisms that hold the subject and all its variants, and the prisms'
    shadows on the ground, must lie beyond one side plane of a slightly widened view; so the frame is the same at any
    size. Displaced subjects and duplicates go to the side on which they are in view for longer afterwards.
    """
    found = [s for side in (1, -1) if (s := _first_switch(spec, plan, scene, side)) is not None]
    return max(found, key=lambda switch: _in_view(spec, plan, switch), default=None)


def _first_switch(spec: ClipSpec, plan: Plan, scene: Scene, side: int) -> Switch | None:
    camera = plan.camera
    lost = 1 if camera.sweep > 0 else -1  # a camera that turns left loses the subject on the right
    for t in range(int(camera.leave), min(int(camera.turn_back + camera.turn_back_for), FRAMES)):
        pose = camera.pose(t)
        switch = Switch(t, (float(side * pose[0, 0]), float(side * pose[1, 0])), FRAMES)
        if _outside(spec, plan, scene, switch, lost):
            return switch._replace(back=_re_entry(spec, plan, t))
    return None


def _outside(spec: ClipSpec, plan: Plan, scene: Scene, switch: Switch, lost: int) -> bool:
    look, pose = LOOKS[spec.subjects[0]], plan.camera.pose(switch.frame)
    at = plan.walks[0].at(switch.frame)
    sun = scene.surroundings.light[0]
    edges = []
    aside = _beside(at, switch, max(OFFSET, beside(look)))
    for place, (radius, height) in ((at, _any_prism()), (aside, _prism(look, PLAIN))):
        for k in range(8):
            x, y = place.x + radius * math.cos(k * math.pi / 4), place.y + radius * math.sin(k * math.pi / 4)
            shadow = (x - height * sun[0] / sun[2], y - height * sun[1] / sun[2], 0.0)
            edges += [(x, y, 0.0), (x, y, height), shadow]
    points = np.array(edges) - pose[:3, 3]
    right, ahead = points @ pose[:3, 0], points @ pose[:3, 2]
    return bool((lost * right > _EDGE / spec.focal * ahead).all())


@cache
def _prism(look: Look, limbs: tuple[float, ...]) -> tuple[float, float]:
    """Return radius and height of an upright octagon that holds a body at every phase, and the shade below it."""
    radius = height = 0.0
    for k in range(PHASES):
        body = build_body(look, 2 * math.pi * k / PHASES, limbs)
        at, centers = corners(body.parts), body.parts[:, 1:3]
        shade = CONTACT + 0.5 * float(np.ptp(centers, axis=0).max())
        shade += float(np.hypot(*((centers.min(0) + centers.max(0)) / 2)))
        radius = max(radius, shade, float(np.hypot(at[..., 0], at[..., 1]).max()))
        height = max(height, body.high[2])
    return MARGIN * radius / math.cos(math.pi / 8), MARGIN * height


@cache
def _any_prism() -> tuple[float, float]:
    """Return the prism that holds every look and every distorted body: what a probe may put in a subject's place."""
    prisms = [_prism(look, limbs) for look in LOOKS for limbs in (PLAIN, _LIMB_FACTORS)]
    return max(radius for radius, _ in prisms), max(height for _, height in prisms)


def _re_entry(spec: ClipSpec, plan: Plan, after: int) -> int:
    """Return the first frame after `after` in which the clean first subject's middle is in the 16:9 view again."""
    for t in range(after + 1, FRAMES):
        pose, at = plan.camera.pose(t), plan.walks[0].at(t)
        dx, dy = at.x - pose[0, 3], at.y - pose[1, 3]
        right, ahead = dx * pose[0, 0] + dy * pose[1, 0], dx * pose[0, 2] + dy * pose[1, 2]
        if ahead > 0 and abs(right) < 0.5 / spec.focal * ahead:
            return t
    return FRAMES


def _in_view(spec: ClipSpec, plan: Plan, switch: Switch) -> int:
    """Count the frames after the switch in which a displaced first subject would be in view."""
    count = 0
    for t in range(switch.frame, FRAMES, 2):
        pose, at = plan.camera.pose(t), _beside(plan.walks[0].at(t), switch, OFFSET)
        dx, dy = at.x - pose[0, 3], at.y - pose[1, 3]
        right, ahead = dx * pose[0, 0] + dy * pose[1, 0], dx * pose[0, 2] + dy * pose[1, 2]
        count += bool(ahead > 0 and abs(right) < 0.45 / spec.focal * ahead)
    return count


__all__ = ["PROBE_KINDS", "Instance", "Probe", "Switch", "instances", "safe_switch", "swap_for"]
