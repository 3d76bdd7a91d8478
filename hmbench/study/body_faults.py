"""Faults of bodies that a person sees at once, and nuisances that nobody minds: what the probes of the mini world lack.

The first subject is faulty from the plan's switch on, where nobody sees it; all else is the clean clip:

    mirrored      walks its path as its own mirror image
    moonwalk      walks its path backwards, its back ahead
    sliding       walks its path with (1 - strength) of its steps
    blob          strength of its pixels' colour is its median colour
    enlarged      1 + strength / 2 times as large, its feet where they are
    ever-present  shown for a share `strength` of the frames in which it is hidden, in the middle of the picture
    exchanged     it and the second subject walk each other's path (clips with two subjects)

Mirrored, moonwalk and exchanged have no half: they are drawn at full strength only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hmbench.data.mini_world.clip import pose_body
from hmbench.data.mini_world.motion import CONTEXT, FRAMES
from hmbench.data.mini_world.primitives import ROW
from hmbench.data.mini_world.probes import Instance, instances, safe_switch
from hmbench.data.mini_world.renderer import Renderer
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import ClipSpec, make_plan
from hmbench.types import Event, LabelMaps, Sample, Video

BodyFault = Literal["mirrored", "moonwalk", "sliding", "blob", "enlarged", "ever-present", "exchanged"]
BODY_FAULTS: tuple[BodyFault, ...] = get_args(BodyFault)
WHOLE: frozenset[BodyFault] = frozenset({"mirrored", "moonwalk", "exchanged"})
"""Faults without a half."""
PAINTED: frozenset[BodyFault] = frozenset({"mirrored", "blob", "ever-present"})
"""Faults that are made of the clean clip's pixels; the others are drawn."""
PROBED = 1
"""Label of the faulty subject."""
Drawn = dict[str, NDArray[np.uint8]]


def applies(fault: BodyFault, strength: float, spec: ClipSpec) -> bool:
    """Whether a clip can have a fault at a strength."""
    if fault in WHOLE and strength < 1:
        return False
    return fault != "exchanged" or len(spec.subjects) > 1


def drawn(spec: ClipSpec, size: tuple[int, int], fault: BodyFault | None, strength: float) -> Drawn:
    """The target with a drawn fault: ``frames [Tt, H, W, 3]`` and ``labels [Tt, H, W]``; None leaves the subject out.

    Args:
        spec: The clip.
        size: (width, height).
        fault: One that is not `PAINTED`; None for the clip without its first subject.
        strength: In (0, 1].
    """
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    switch = safe_switch(spec, plan, scene)
    start = CONTEXT if switch is None else switch.frame
    renderer = Renderer(scene, size, supersample=2, focal=spec.focal)
    still = [walk.at(start).walked for walk in plan.walks]
    found = []
    for t in range(CONTEXT, FRAMES):
        items = instances(spec, plan, t, None, None)
        if fault is None or t >= start:
            items = _changed(items, fault, strength, still[0])
        rows = [pose_body(item)[0] for item in items]
        found.append(
            renderer.frame(plan.camera.pose(t), np.concatenate([np.zeros((0, ROW)), *rows]), len(spec.subjects))
        )
    return {"frames": np.stack([f.image for f in found]), "labels": np.stack([f.labels for f in found])}


def painted(sample: Sample, without: Video, fault: BodyFault, strength: float) -> tuple[Video, LabelMaps]:
    """The target with a `PAINTED` fault, and its labels.

    Args:
        sample: The clean clip, with labels.
        without: Its target without the first subject, ``[Tt, H, W, 3]``.
        fault: Which.
        strength: In (0, 1].
    """
    truth = sample.truth
    assert truth is not None and truth.target_labels is not None, f"{sample.id} was rendered with its labels"
    if fault == "ever-present":
        event = next(e for e in truth.events if e.label == PROBED)
        return _ever_present(truth.target, truth.target_labels, event, sample.num_context_frames, strength)
    video, labels = truth.target.copy(), truth.target_labels.copy()
    for frame, shown, empty in zip(video, labels, without, strict=True):
        body = shown == PROBED
        if not body.any():
            continue
        if fault == "blob":
            colour = np.median(frame[body], axis=0)
            frame[body] = np.rint((1 - strength) * frame[body] + strength * colour).astype(np.uint8)
        else:
            _mirror(frame, shown, empty)
    return video, labels


def _changed(items: list[Instance], fault: BodyFault | None, strength: float, still: float) -> list[Instance]:
    first, others = items[0], items[1:]
    pose = first.pose
    if fault is None:
        return others
    if fault == "moonwalk":
        return [first._replace(pose=pose._replace(yaw=pose.yaw + math.pi, walked=-pose.walked)), *others]
    if fault == "sliding":
        walked = still + (1 - strength) * (pose.walked - still)
        return [first._replace(pose=pose._replace(walked=walked)), *others]
    if fault == "enlarged":
        return [first._replace(scale=1 + strength / 2), *others]
    return [first._replace(pose=others[0].pose), others[0]._replace(pose=pose), *others[1:]]


def _mirror(frame: Video, labels: LabelMaps, empty: Video) -> None:
    """Turns the body around the middle of its box, in place."""
    body = labels == PROBED
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    picture, outline = frame[box][:, ::-1].copy(), body[box][:, ::-1].copy()
    frame[body], labels[body] = empty[body], 0
    frame[box][outline], labels[box][outline] = picture[outline], PROBED


def _ever_present(
    target: Video, labels: LabelMaps, event: Event, context: int, strength: float
) -> tuple[Video, LabelMaps]:
    """Its later self, walking on the spot in the middle of the picture, in the last of the frames that hide it."""
    video, shown = target.copy(), labels.copy()
    area = (labels == PROBED).sum(axis=(1, 2))
    hidden = np.flatnonzero(area[: event.reentry - context] == 0)
    hidden = hidden[len(hidden) - math.ceil(strength * len(hidden)) :]
    source = np.argsort(-area)[:20]
    source = np.sort(source[area[source] > 0])
    steps: Callable[[int], int] = lambda k: int(source[k % len(source)])  # noqa: E731
    for k, t in enumerate(hidden.tolist()):
        body = labels[steps(k)] == PROBED
        columns = np.flatnonzero(body.any(axis=0))
        move = body.shape[1] // 2 - int(columns[0] + columns[-1] + 1) // 2
        there = np.roll(body, move, axis=1)
        video[t][there] = np.roll(target[steps(k)], move, axis=1)[there]
        shown[t][there] = PROBED
    return video, shown


__all__ = ["BODY_FAULTS", "PAINTED", "PROBED", "BodyFault", "applies", "drawn", "painted"]
