"""From a specification to frames, labels and truth, in memory.

    clip = render_clip(ClipSpec(scene=0, subjects=(0, 30), subject_path=0, camera_path=1, seed=5), (416, 240))

No disk is touched. With `half` frames below 77 the same ten seconds are sampled more coarsely (and fps falls), for
tests.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.bodies import Body, build_body, category, stride
from hmbench.data.mini_world.look import Look
from hmbench.data.mini_world.motion import CONTEXT, FPS, FRAMES
from hmbench.data.mini_world.primitives import ROW, place
from hmbench.data.mini_world.probes import Instance, Probe, Switch, instances, safe_switch
from hmbench.data.mini_world.renderer import Renderer, focal_length
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import ClipSpec, make_plan
from hmbench.subject_names import DUPLICATE
from hmbench.types import Category, LabelMaps, Poses, Video

SUPERSAMPLE = 2
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SubjectRecord:
    """The exact truth of one subject; T = 154 frames, the context first, NaN where it does not exist."""

    label: int
    """Its value in the label maps."""
    name: str
    """Unique name of its look."""
    category: Category
    """person, robot, animal or other."""
    positions: Floats
    """A point inside its body near the middle, world metres (z up), [T, 3]."""
    feet: Floats
    """Its point on the ground, [T, 3]."""
    yaw: Floats
    """Heading about the vertical, radians, [T]."""
    box3d: Floats
    """Upright box: centre x, y, z, then length, width, height along its heading, [T, 6]."""
    visible_area: Floats
    """Visible pixels, [T]."""
    amodal_area: Floats
    """Pixels in the frame if it were alone, [T]."""
    duplicate_of: int | None = None
    """Label of the original, for a duplicate."""
    swapped_to: tuple[str, Category] | None = None
    """Name and category of the look that it has from the clip's switch frame on, if a fault swapped it."""


@dataclass(frozen=True, kw_only=True)
class RenderedClip:
    """A clip in memory."""

    spec: ClipSpec
    """What made it."""
    probe: Probe | None
    """The fault in it."""
    frames: Video
    """[T, H, W, 3], the context first."""
    labels: LabelMaps
    """[T, H, W]: 0 background, k subject k; a duplicate has a label of its own."""
    poses: Poses
    """Camera-to-world, OpenCV camera axes, world z up, metres, [T, 4, 4]."""
    subjects: tuple[SubjectRecord, ...]
    """By label."""
    focal: float
    """Pixels."""
    fps: float
    """Frames a second."""
    num_context: int
    """Frames of the context."""
    switch: Switch | None
    """When probes start in this clip (also in the clean one), in frames of this clip; None if it has no safe frame."""
    location: int
    """Location in the scene."""

    def digest(self) -> str:
        """Return the sha256 of raw frames and labels: equal on every machine for equal specifications."""
        total = hashlib.sha256(np.ascontiguousarray(self.frames).data)
        total.update(np.ascontiguousarray(self.labels).data)
        return total.hexdigest()


def render_clip(
    spec: ClipSpec,
    size: tuple[int, int],
    probe: Probe | None = None,
    *,
    half: int = CONTEXT,
    supersample: int = SUPERSAMPLE,
) -> RenderedClip:
    """Draw a clip.

    Args:
        spec: What to draw.
        size: (W, H) in pixels, multiples of 16.
        probe: A fault of the first subject, or None for the clean clip.
        half: Frames of each half, 4k + 1; below 77 the same time is sampled more coarsely.
        supersample: Samples a pixel along each axis.

    Raises:
        ValueError: If the size or length is not allowed, or a probe is asked of a clip without a safe switch frame.
    """
    if size[0] % 16 or size[1] % 16 or min(size) < 16:
        raise ValueError(f"width and height must be multiples of 16, got {size}")
    if half % 4 != 1 or not 5 <= half <= CONTEXT:
        raise ValueError(f"half a clip has 4k + 1 frames from 5 to {CONTEXT}, got {half}")
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    switch = safe_switch(spec, plan, scene)
    if probe is not None and switch is None:
        raise ValueError(
            f"{spec} has no frame at which its first subject and its shadow are out of sight: no probe can start"
        )
    renderer = Renderer(scene, size, supersample=supersample, focal=spec.focal)
    objects = len(spec.subjects) + (probe is not None and probe.kind == "duplicated")
    times = [i * FRAMES / (2 * half) for i in range(2 * half)]
    book = _Book(objects, len(times))
    frames = np.empty((len(times), size[1], size[0], 3), np.uint8)
    labels = np.empty((len(times), size[1], size[0]), np.uint8)
    poses = np.stack([plan.camera.pose(t) for t in times])
    for i, t in enumerate(times):
        bodies = book.enter(i, instances(spec, plan, t, probe, switch))
        drawn = renderer.frame(poses[i], bodies, objects)
        frames[i], labels[i] = drawn.image, drawn.labels
        book.amodal[:, i] = drawn.amodal[1:]
    return RenderedClip(
        spec=spec,
        probe=probe,
        frames=frames,
        labels=labels,
        poses=poses,
        subjects=book.records(spec, labels),
        focal=focal_length(size, spec.focal),
        fps=FPS * 2 * half / FRAMES,
        num_context=half,
        switch=_in_clip(switch, half),
        location=plan.location,
    )


def _in_clip(switch: Switch | None, half: int) -> Switch | None:
    return (
        None
        if switch is None
        else switch._replace(
            frame=math.ceil(switch.frame * 2 * half / FRAMES), back=math.ceil(switch.back * 2 * half / FRAMES)
        )
    )


def pose_body(item: Instance) -> tuple[NDArray[np.float64], Body]:
    """Return an instance's rows in the world, and its body."""
    body = build_body(
        item.look, 2 * math.pi * item.pose.walked / stride(item.look) + item.label, item.limbs, item.scale
    )
    return place(body.parts, item.pose.x, item.pose.y, item.pose.yaw, item.label), body


class _Book:
    """Collects the truth of every subject frame by frame."""

    def __init__(self, objects: int, count: int) -> None:
        self.positions = np.full((objects, count, 3), np.nan)
        self.feet = np.full((objects, count, 3), np.nan)
        self.yaw = np.full((objects, count), np.nan)
        self.box3d = np.full((objects, count, 6), np.nan)
        self.amodal = np.zeros((objects, count))
        self.looks: dict[int, Look] = {}
        self.last: dict[int, Look] = {}

    def enter(self, i: int, items: list[Instance]) -> NDArray[np.float64]:
        """Note the instances of frame i; return their rows."""
        parts = [np.zeros((0, ROW))]
        for item in items:
            placed, body = pose_body(item)
            parts.append(placed)
            k, (x, y, yaw, _) = item.label - 1, item.pose
            self.looks.setdefault(item.label, item.look)
            self.last[item.label] = item.look
            c, s = math.cos(yaw), math.sin(yaw)
            middle = [(a + b) / 2 for a, b in zip(body.low, body.high, strict=True)]
            self.positions[k, i] = (
                x + body.core[0] * c - body.core[1] * s,
                y + body.core[0] * s + body.core[1] * c,
                body.core[2],
            )
            self.feet[k, i] = (x, y, 0.0)
            self.yaw[k, i] = yaw
            extent = [b - a for a, b in zip(body.low, body.high, strict=True)]
            self.box3d[k, i] = (
                x + middle[0] * c - middle[1] * s,
                y + middle[0] * s + middle[1] * c,
                middle[2],
                *extent,
            )
        return np.concatenate(parts)

    def records(self, spec: ClipSpec, labels: LabelMaps) -> tuple[SubjectRecord, ...]:
        """Return the records by label."""
        original = len(spec.subjects)
        out = []
        for label, look in sorted(self.looks.items()):
            k, last = label - 1, self.last[label]
            twin = label > original
            out.append(
                SubjectRecord(
                    label=label,
                    name=look.name + (DUPLICATE if twin else ""),
                    category=category(look),  # type: ignore[arg-type]
                    positions=self.positions[k],
                    feet=self.feet[k],
                    yaw=self.yaw[k],
                    box3d=self.box3d[k],
                    visible_area=(labels == label).sum((1, 2)).astype(np.float64),
                    amodal_area=self.amodal[k],
                    duplicate_of=1 if twin else None,
                    swapped_to=None if last == look else (last.name, category(last)),  # type: ignore[arg-type]
                )
            )
        return tuple(out)
