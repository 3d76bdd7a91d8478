"""HM-World's exit-entry filter on a cheap look at a clip: visibility only, 112 x 64, every second frame.

A candidate passes when nothing walks into anything, its first subject is well visible in the context, leaves, and
comes back in the target to stay, and when probes find a frame to start in.
"""

import math

import numpy as np

from hmbench.data.mini_world.clip import pose_body
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CONTEXT, FRAMES
from hmbench.data.mini_world.probes import instances, safe_switch
from hmbench.data.mini_world.renderer import Renderer
from hmbench.data.mini_world.scenes import Scene, build_scene
from hmbench.data.mini_world.scenes.layout import hits
from hmbench.data.mini_world.spec import ClipSpec, Plan, make_plan
from hmbench.video.events import find_events, visible_frames

LOOK = (112, 64)
MIN_SEEN = 24
"""Frames in which the first subject must be visible, in the context before it leaves and after it returned."""
MIN_HIDDEN = 8
"""Frames it must stay away: shorter gaps graze the edge."""
AREA = (0.006, 0.30)
"""Its median visible share of the frame."""


def rejection(spec: ClipSpec, *, least: float | None = None) -> str | None:
    """Return why a candidate is not a clip of the mini world, or None if it is.

    Args:
        spec: The candidate.
        least: Least median share of the frame that its first subject must fill while in view; None for `AREA`'s.
    """
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    if _collides(spec, plan, scene):
        return "collision"
    if safe_switch(spec, plan, scene) is None:
        return "never fully out of sight"
    area = _visible_area(spec, plan, scene)
    seen = visible_frames(area, LOOK[0] * LOOK[1])
    events = [e for e in find_events(seen, CONTEXT, 1, min_hidden=MIN_HIDDEN) if e.exit < CONTEXT]
    if not events:
        return "no exit and re-entry"
    event = events[0]
    if seen[: event.exit].sum() < MIN_SEEN or seen[event.reentry :].sum() < MIN_SEEN:
        return "too short in view"
    share = float(np.median(area[seen])) / (LOOK[0] * LOOK[1])
    if not (AREA[0] if least is None else least) <= share <= AREA[1]:
        return "too small or too large"
    return None


def _visible_area(spec: ClipSpec, plan: Plan, scene: Scene) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the first subject's visible pixels, [154], every second frame drawn and repeated."""
    renderer = Renderer(scene, LOOK, supersample=1, focal=spec.focal)
    areas = []
    for t in range(0, FRAMES, 2):
        bodies = np.concatenate([pose_body(item)[0] for item in instances(spec, plan, t, None, None)])
        areas.append(float((renderer.labels(plan.camera.pose(t), bodies) == 1).sum()))
    return np.repeat(np.array(areas), 2)


def _collides(spec: ClipSpec, plan: Plan, scene: Scene) -> bool:
    """Tell whether a subject or the camera meets the scene or each other, sampled five times a second."""
    times = range(0, FRAMES, 3)
    radii = [
        0.28 + 0.18 * LOOKS[k].height if LOOKS[k].body != "quadruped" else 0.75 * LOOKS[k].height for k in spec.subjects
    ]
    points = [np.array([walk.at(t)[:2] for t in times]) for walk in plan.walks]
    points.append(np.array([plan.camera.pose(t)[:2, 3] for t in times]))
    radii.append(0.5)
    for k, radius in enumerate(radii):
        if np.abs(points[k][:, 0]).max() > 58 or hits(scene.footprints, points[k], radius).any():
            return True
        for j in range(k):
            gap = points[k] - points[j]
            apart = radius + radii[j] + (0.6 if k == len(radii) - 1 else 0.1)
            if math.sqrt(float((gap * gap).sum(1).min())) < apart:
                return True
    return False
