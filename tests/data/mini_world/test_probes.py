"""Faults: nothing before the switch, exactly the named thing after it."""

from __future__ import annotations

import numpy as np
import pytest

from hmbench.data.mini_world import PROBE_KINDS, ClipSpec, Probe, RenderedClip, accepted_specs, render_clip
from hmbench.data.mini_world.bodies import category
from hmbench.data.mini_world.clip import pose_body
from hmbench.data.mini_world.looks import LOOKS, look_distance
from hmbench.data.mini_world.primitives import ROW
from hmbench.data.mini_world.probes import Instance, instances, safe_switch, swap_for
from hmbench.data.mini_world.renderer import Renderer
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import Plan, make_plan
from hmbench.data.mini_world.writer import truth_json

from .conftest import HALF, PAIR, SIZE

LARGER = ClipSpec(scene=4, subjects=(41, 32), subject_path=3, camera_path=23, seed=448145)
LARGER_BY_FAR = ClipSpec(scene=0, subjects=(42,), subject_path=0, camera_path=2, seed=719829)


@pytest.fixture(scope="module")
def variants() -> dict[str, RenderedClip]:
    return {kind: render_clip(PAIR, SIZE, Probe(kind), half=HALF) for kind in PROBE_KINDS}


def test_frames_before_the_switch_are_identical(pair: RenderedClip, variants: dict[str, RenderedClip]) -> None:
    assert pair.switch is not None
    start = pair.switch.frame
    assert 8 < start < 2 * HALF - 8
    for kind, clip in variants.items():
        assert clip.switch == pair.switch
        assert np.array_equal(clip.frames[:start], pair.frames[:start]), kind
        assert np.array_equal(clip.labels[:start], pair.labels[:start]), kind
        assert not np.array_equal(clip.frames[start:], pair.frames[start:]), kind


def test_nothing_of_any_variant_is_in_the_switch_frame(pair: RenderedClip, variants: dict[str, RenderedClip]) -> None:
    assert pair.switch is not None
    for kind, clip in variants.items():
        assert np.array_equal(clip.frames[pair.switch.frame], pair.frames[pair.switch.frame]), kind


def test_switch_frames_of_many_clips_are_clean() -> None:
    """At the switch, at full size, the clean frame, the frame without the subject and every variant are one picture."""
    for _, spec in accepted_specs("test", 5, 4):
        scene = build_scene(spec.scene)
        plan = make_plan(spec, scene)
        switch = safe_switch(spec, plan, scene)
        assert switch is not None
        renderer = Renderer(scene, (416, 240))

        def picture(items: list[Instance], t: int, renderer: Renderer = renderer, plan: Plan = plan) -> np.ndarray:  # type: ignore[type-arg]
            rows = [np.zeros((0, ROW)), *(pose_body(item)[0] for item in items)]
            return renderer.frame(plan.camera.pose(t), np.concatenate(rows), 4).image

        clean = picture(instances(spec, plan, switch.frame, None, None), switch.frame)
        without = [item for item in instances(spec, plan, switch.frame, None, None) if item.label != 1]
        assert np.array_equal(picture(without, switch.frame), clean), spec
        for kind in PROBE_KINDS:
            variant = instances(spec, plan, switch.frame, Probe(kind), switch)
            assert np.array_equal(picture(variant, switch.frame), clean), (spec, kind)


@pytest.mark.parametrize("spec", [LARGER, LARGER_BY_FAR], ids=lambda spec: str(spec.seed))
def test_no_swap_and_no_distortion_shows_in_the_switch_frame(spec: ClipSpec) -> None:
    """Larger looks than the first subject's: both clips showed some when the room was measured on its own look."""
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    switch = safe_switch(spec, plan, scene)
    assert switch is not None
    renderer = Renderer(scene, SIZE)

    def picture(t: int, probe: Probe | None) -> np.ndarray:  # type: ignore[type-arg]
        rows = [pose_body(item)[0] for item in instances(spec, plan, t, probe, switch._replace(frame=t))]
        return renderer.frame(plan.camera.pose(t), np.concatenate(rows), len(spec.subjects)).image

    probes = [Probe("swapped", k / 48) for k in range(1, 49)] + [Probe("distorted", s) for s in (0.5, 1.0)]
    assert len({swap_for(LOOKS[spec.subjects[0]], probe.strength) for probe in probes[:48]}) == 47
    clean = picture(switch.frame, None)
    for probe in probes:
        assert np.array_equal(picture(switch.frame, probe), clean), probe
    earlier = switch.frame - 8  # the test sees a swap that is in view
    assert any(not np.array_equal(picture(earlier, probe), picture(earlier, None)) for probe in probes)


def test_each_fault_is_the_named_one(pair: RenderedClip, variants: dict[str, RenderedClip]) -> None:
    assert pair.switch is not None
    start = pair.switch.frame
    clean = pair.subjects[0].feet[start:]
    walked = {kind: clip.subjects[0].feet[start:] for kind, clip in variants.items()}
    assert np.ptp(walked["frozen"], axis=0).max() < 0.15  # the switch lies between two of the coarse frames
    assert np.isnan(walked["vanished"]).all() and (variants["vanished"].labels[start:] != 1).all()
    assert np.array_equal(walked["swapped"], clean)
    assert np.array_equal(walked["distorted"], clean)
    behind = np.linalg.norm(walked["delayed"] - clean, axis=1)
    assert behind[-1] > 0.3 and np.allclose(walked["delayed"][-1], pair.subjects[0].feet[-1 - _frames(25)], atol=0.15)
    apart = np.linalg.norm(walked["displaced"] - clean, axis=1)
    assert np.allclose(apart, 1.6)
    assert np.allclose(np.diff(walked["wrongway"], axis=0), -np.diff(clean, axis=0))


def test_every_strength_of_vanished_loses_its_share_of_the_return(pair: RenderedClip) -> None:
    """Absent from the switch until that share of what is left after the clean re-entry is over, whatever the share."""
    back = int(np.flatnonzero((pair.labels[HALF:] == 1).any((1, 2)))[0]) + HALF
    assert pair.switch is not None and back - 1 <= pair.switch.back <= back + 2 < 2 * HALF - 8
    start, missing = pair.switch.back, []
    for strength in (0.3, 0.6, 1.0):
        clip = render_clip(PAIR, SIZE, Probe("vanished", strength), half=HALF)
        lost = (pair.labels == 1).sum((1, 2)) - (clip.labels == 1).sum((1, 2))
        assert (clip.labels[pair.switch.frame : start + 1] != 1).all()
        gone = round(strength * (2 * HALF - start))
        assert abs(np.count_nonzero(lost[start:]) - gone) <= 1
        assert not np.array_equal(clip.frames[start:], pair.frames[start:])
        missing.append(int(lost[start:].sum()))
    assert 0 < missing[0] < missing[1] < missing[2] == (pair.labels[start:] == 1).sum()


def test_swapped_clips_say_what_was_swapped_in(variants: dict[str, RenderedClip]) -> None:
    """The record keeps the subject that the context shows, and names the look that stands in for it from the switch."""
    look = LOOKS[PAIR.subjects[0]]
    new = swap_for(look, 1.0)
    for kind, clip in variants.items():
        expected = (new.name, category(new)) if kind == "swapped" else None
        assert [s.swapped_to for s in clip.subjects] == [expected, *[None] * (len(clip.subjects) - 1)]
        assert (clip.subjects[0].name, clip.subjects[0].category) == (look.name, category(look))
        written = truth_json(clip, "seen")["subjects"][0]["swapped_to"]
        assert written == (None if expected is None else {"name": new.name, "category": category(new)})
    assert category(new) != category(look)


def test_duplicates_have_a_label_of_their_own(pair: RenderedClip, variants: dict[str, RenderedClip]) -> None:
    twin = variants["duplicated"].subjects[-1]
    assert (twin.label, twin.duplicate_of, twin.name) == (3, 1, pair.subjects[0].name + "Duplicate")
    assert len(pair.subjects) == 2
    assert np.array_equal(variants["duplicated"].subjects[0].positions, pair.subjects[0].positions)


def test_others_and_camera_do_not_change(pair: RenderedClip, variants: dict[str, RenderedClip]) -> None:
    for kind, clip in variants.items():
        assert np.array_equal(clip.poses, pair.poses), kind
        assert np.array_equal(clip.subjects[1].positions, pair.subjects[1].positions), kind


@pytest.mark.parametrize("kind", PROBE_KINDS)
def test_strength_is_monotone(kind: str) -> None:
    """A stronger fault moves more (or looks more different)."""

    def change(strength: float) -> float:
        clip = render_clip(PAIR, (64, 48), Probe(kind, strength), half=9)  # type: ignore[arg-type]
        clean = render_clip(PAIR, (64, 48), half=9)
        if kind in ("swapped",):
            look = LOOKS[PAIR.subjects[0]]
            return look_distance(look, swap_for(look, strength))
        if kind in ("distorted", "duplicated"):
            box = clip.subjects[-1 if kind == "duplicated" else 0].box3d[-1, 3:]
            reference = np.zeros(3) if kind == "duplicated" else clean.subjects[0].box3d[-1, 3:]
            return float(np.abs(box - reference).sum())
        if kind == "vanished":
            return float(np.isnan(clip.subjects[0].positions[:, 0]).sum())
        return float(np.nansum(np.linalg.norm(clip.subjects[0].feet - clean.subjects[0].feet, axis=1)))

    weak, middle, strong = change(0.2), change(0.6), change(1.0)
    assert 0 < weak < middle < strong


def test_swaps_are_other_subjects_ordered_by_distance() -> None:
    for look in LOOKS:
        near, far = swap_for(look, 0.01), swap_for(look, 1.0)
        assert look not in (near, far)
        assert look_distance(look, near) <= look_distance(look, far)


def test_probe_texts() -> None:
    assert Probe.parse("frozen:0.5") == Probe("frozen", 0.5)
    assert Probe.parse("vanished") == Probe("vanished", 1.0)
    assert str(Probe("delayed", 0.6)) == "delayed-0.6"
    for text, sentence in (
        ("melted", "unknown probe 'melted'"), ("frozen:2", "must be in \\(0, 1\\]"), ("frozen:x", "is not a number"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            Probe.parse(text)


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_strengths_outside_their_range_are_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength of probe 'frozen-.*' must be in \(0, 1\], got"):
        Probe("frozen", strength)
    with pytest.raises(ValueError, match="unknown probe 'melted'"):
        Probe("melted")  # type: ignore[arg-type]


def test_a_clip_without_a_safe_frame_takes_no_probe() -> None:
    scene = build_scene(PAIR.scene)
    for seed in range(200):
        spec = ClipSpec(scene=PAIR.scene, subjects=(35,), subject_path=0, camera_path=2, seed=seed)
        if safe_switch(spec, make_plan(spec, scene), scene) is None:
            with pytest.raises(ValueError, match="no probe can start"):
                render_clip(spec, SIZE, Probe("frozen"), half=5)
            return
    pytest.fail("every candidate had a safe frame: the test needs another specification")


def _frames(raw: int) -> int:
    return round(raw * 2 * HALF / 154)
