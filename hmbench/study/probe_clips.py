"""Clips of the mini world with exactly one thing wrong, and nuisances that must not be punished, as cases to score.

Only the target is drawn for a variant: the context is the clean one, which is what a model would have been given. A
fault starts where nobody sees it, so every variant is a possible continuation of the same context.

The mini world's probes are faults of subjects. The fault of the background is made here: ``forgotten``, where the
subjects are right and behind them is another part of the same scene, as the camera would see it if it were turned.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hmbench.data.annotations import Annotations, SubjectNote
from hmbench.data.labels import subjects_from_labels
from hmbench.data.mini_world import ClipSpec, Probe, rejection, render_clip
from hmbench.data.mini_world.bodies import category
from hmbench.data.mini_world.clip import pose_body
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CONTEXT, FRAMES
from hmbench.data.mini_world.primitives import ROW
from hmbench.data.mini_world.probes import instances, safe_switch
from hmbench.data.mini_world.renderer import Renderer
from hmbench.data.mini_world.scenes import SCENES, build_scene
from hmbench.data.mini_world.spec import GENERATOR, make_plan
from hmbench.data.mini_world.splits import SplitName, candidate, cell_of
from hmbench.durable import replacing
from hmbench.errors import UserError
from hmbench.files import read_json, write_text
from hmbench.study.body_faults import BODY_FAULTS, PAINTED, applies, painted
from hmbench.study.body_faults import drawn as drawn_fault
from hmbench.study.nuisances import LEVELS, NUISANCES, disturbed
from hmbench.study.tricks import TRICKS, memoryless
from hmbench.types import Category, Intrinsics, LabelMaps, Meta, Prompt, Sample, Truth, Video
from hmbench.video.events import find_events, visible_frames

FORGOTTEN = "forgotten"
"""The fault of the background."""
TURN = math.radians(40)
"""How far the background is turned around the camera at full strength."""


class Variant(NamedTuple):
    """What is wrong with a clip."""

    kind: str
    """``clean``, a probe, ``forgotten``, a fault of a body or a nuisance."""
    strength: float
    """0 for clean, up to 1."""


class Shown(NamedTuple):
    """A variant as a model would have made it."""

    variant: Variant
    """What is wrong."""
    video: Video
    """Target frames ``[Tt, H, W, 3]``."""
    labels: LabelMaps | None
    """Labels of these very frames; None for nuisances, which move or blur them."""


@dataclass(frozen=True, kw_only=True)
class ProbeSource:
    """Which clips."""

    split: SplitName = "test"
    """Split of the mini world."""
    seed: int = 0
    """Seed of the split."""
    size: tuple[int, int] = (224, 128)
    """(width, height)."""
    cache: Path | None = None
    """Folder that keeps rendered frames between commands."""


class CleanClip(NamedTuple):
    """A clip of a split, not drawn yet."""

    name: str
    """Its id in the study."""
    cell: str
    """Its cell."""
    spec: ClipSpec
    """What is drawn."""


def clean_samples(source: ProbeSource, count: int) -> Iterator[tuple[ClipSpec, Sample]]:
    """The first clips of a split as samples; the cells take turns."""
    for clip in clean_clips(source, count):
        yield clip.spec, clean_sample(source, clip)


def clean_clips(source: ProbeSource, count: int) -> Iterator[CleanClip]:
    """The first clips of a split; the cells take turns."""
    for number, (cell, spec) in enumerate(_specs(source, count)):
        yield CleanClip(f"{source.split}-{number:03d}", cell, spec)


def clean_sample(source: ProbeSource, clip: CleanClip) -> Sample:
    """A clip as a sample."""
    drawn = _kept(source, clip.spec, "clean", functools.partial(_whole, clip.spec, source.size))
    return _sample(clip.name, clip.spec, clip.cell, drawn)


def shown_variants(
    source: ProbeSource, spec: ClipSpec, sample: Sample, probes: tuple[Probe, ...], strengths: tuple[float, ...]
) -> Iterator[Shown]:
    """The clean continuation, each fault and nuisance at each strength, and each memoryless prediction."""
    truth = sample.truth
    assert truth is not None, f"{sample.id} was rendered with its truth"
    yield Shown(Variant("clean", 0.0), truth.target, truth.target_labels)
    for probe in probes:
        drawn = _kept(source, spec, str(probe), functools.partial(_target_only, spec, source.size, probe))
        yield Shown(Variant(probe.kind, probe.strength), drawn["frames"], drawn["labels"])
    assert truth.target_labels is not None, f"{sample.id} was rendered with its labels"
    for strength in strengths:
        drawn = _kept(source, spec, f"{FORGOTTEN}:{strength}", functools.partial(_turned, spec, source.size, strength))
        video = np.where(truth.target_labels[..., None] > 0, truth.target, drawn["frames"])
        yield Shown(Variant(FORGOTTEN, strength), video, truth.target_labels)
    yield from _body_variants(source, spec, sample, strengths)
    for trick in TRICKS:
        yield Shown(Variant(trick, strengths[-1]), memoryless(sample, trick), None)
    shown = [(kind, strength) for kind in NUISANCES for strength in strengths]
    for kind, strength in dict.fromkeys([*shown, *LEVELS]):
        video = disturbed(truth.target, kind, strength, fps=sample.prompt.fps)
        yield Shown(Variant(kind, strength), video, None)


def _body_variants(
    source: ProbeSource, spec: ClipSpec, sample: Sample, strengths: tuple[float, ...]
) -> Iterator[Shown]:
    """Faults of bodies at each strength that they have."""
    without: Video | None = None
    for fault in BODY_FAULTS:
        for strength in (s for s in strengths if applies(fault, s, spec)):
            if fault in PAINTED:
                if without is None:
                    draw = functools.partial(drawn_fault, spec, source.size, None, 1.0)
                    without = _kept(source, spec, "without", draw)["frames"]
                yield Shown(Variant(fault, strength), *painted(sample, without, fault, strength))
            else:
                draw = functools.partial(drawn_fault, spec, source.size, fault, strength)
                drawn = _kept(source, spec, f"{fault}:{strength}", draw)
                yield Shown(Variant(fault, strength), drawn["frames"], drawn["labels"])


def _specs(source: ProbeSource, count: int) -> Iterator[tuple[str, ClipSpec]]:
    """The first accepted specifications of a split; finding them takes longer than drawing them, so they are kept."""
    path = None if source.cache is None else source.cache / f"specs-{GENERATOR}-{source.split}-{source.seed}.json"
    known: list[Any] = []
    if path is not None and path.is_file():
        with suppress(UserError):  # a damaged one is made again
            known = read_json(path, kind=list)
    for slot in range(count):
        if slot == len(known):
            known.append(_accepted(source, slot).to_json())
            if path is not None:
                write_text(path, json.dumps(known))
        yield cell_of(source.split, slot), ClipSpec.from_json(known[slot])


def _accepted(source: ProbeSource, slot: int) -> ClipSpec:
    """The slot's first candidate that passes the exit-entry filter: the clip that `data make-mini` would make."""
    candidates = (candidate(source.split, source.seed, slot, attempt) for attempt in itertools.count())
    return next(spec for spec in candidates if rejection(spec) is None)


def _whole(spec: ClipSpec, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    clip = render_clip(spec, size)
    return {
        "frames": clip.frames,
        "labels": clip.labels,
        "poses": clip.poses,
        "positions": np.stack([s.positions for s in clip.subjects]),
        "focal": np.array(clip.focal),
        "fps": np.array(clip.fps),
    }


def _target_only(spec: ClipSpec, size: tuple[int, int], probe: Probe) -> dict[str, NDArray[Any]]:
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    switch = safe_switch(spec, plan, scene)
    renderer = Renderer(scene, size, supersample=2, focal=spec.focal)
    objects = len(spec.subjects) + (probe.kind == "duplicated")
    drawn = []
    for t in range(CONTEXT, FRAMES):
        rows = [pose_body(item)[0] for item in instances(spec, plan, t, probe, switch)]
        drawn.append(renderer.frame(plan.camera.pose(t), np.concatenate([np.zeros((0, ROW)), *rows]), objects))
    return {"frames": np.stack([d.image for d in drawn]), "labels": np.stack([d.labels for d in drawn])}


def _turned(spec: ClipSpec, size: tuple[int, int], strength: float) -> dict[str, NDArray[Any]]:
    """The target's views of the empty scene, with the camera turned around the vertical."""
    scene = build_scene(spec.scene)
    camera = make_plan(spec, scene).camera
    renderer = Renderer(scene, size, supersample=2, focal=spec.focal)
    cos, sin = math.cos(strength * TURN), math.sin(strength * TURN)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    frames = []
    for t in range(CONTEXT, FRAMES):
        pose = camera.pose(t).copy()
        pose[:3, :3] = turn @ pose[:3, :3]
        frames.append(renderer.frame(pose, np.zeros((0, ROW)), 0).image)
    return {"frames": np.stack(frames)}


def _sample(name: str, spec: ClipSpec, cell: str, drawn: dict[str, NDArray[Any]]) -> Sample:
    frames, labels, poses = drawn["frames"], drawn["labels"], drawn["poses"]
    looks = [LOOKS[k] for k in spec.subjects]
    notes = {
        k: SubjectNote(name=look.name, category=cast(Category, category(look)), positions=drawn["positions"][k - 1])
        for k, look in enumerate(looks, 1)
    }
    known = Annotations(notes=notes, names=tuple(look.name for look in looks), separate=True)
    subjects = subjects_from_labels(labels, known)
    height, width = frames.shape[1:3]
    seen = {s.label: visible_frames(s.visible_area, height * width) for s in subjects}
    events = [event for label, shown in seen.items() for event in find_events(shown, CONTEXT, label)]
    return Sample(
        id=name,
        prompt=Prompt(
            context=frames[:CONTEXT],
            context_poses=poses[:CONTEXT],
            target_poses=poses[CONTEXT:],
            caption="",
            fps=float(drawn["fps"]),
            intrinsics=Intrinsics(focal=float(drawn["focal"]), width=width, height=height),
        ),
        truth=Truth(
            target=frames[CONTEXT:],
            context_labels=labels[:CONTEXT],
            target_labels=labels[CONTEXT:],
            subjects=subjects,
            events=tuple(sorted(events, key=lambda e: (e.reentry, e.label))),
            separate_subjects=True,
        ),
        meta=Meta(scene=SCENES[spec.scene].name, cell=cell),
    )


def _kept(
    source: ProbeSource, spec: ClipSpec, what: str, draw: Callable[[], dict[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """What `draw` gives, from the cache where there is one."""
    if source.cache is None:
        return draw()
    text = json.dumps([GENERATOR, spec.to_json(), source.size, what], sort_keys=True)
    path = source.cache / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
    if path.is_file():
        with suppress(OSError, ValueError, EOFError, BadZipFile, KeyError), np.load(path) as stored:
            return dict(stored)  # a damaged one is drawn again
    drawn = draw()
    with replacing(path) as part:
        np.savez(part, allow_pickle=False, **drawn)
    return drawn
