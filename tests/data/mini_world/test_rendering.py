"""Pictures against geometry: exact order, exact labels, the same bits everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numba as nb
import numpy as np
import pytest

from hmbench.data.cameras import from_unreal, to_unreal
from hmbench.data.mini_world import ClipSpec, RenderedClip, render_clip
from hmbench.data.mini_world.clip import pose_body
from hmbench.data.mini_world.kernels import FAR, hit
from hmbench.data.mini_world.probes import instances
from hmbench.data.mini_world.renderer import Renderer, focal_length
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import make_plan
from hmbench.types import Intrinsics
from hmbench.video.geometry import project

from .conftest import ALONE, FOREST, HALF, PAIR, SIZE

DIGESTS = {
    "pair": "4f16102c2d5bc74b79ef0721c323e52c696b2afb12d4fe6fb1ef2b072da3557b",
    "alone": "f029c33f39ad39a87678736df5cabcf3b3947eeb1639e37aa940e2c58a1895e1",
    "forest": "3d86640d5b358e0dc90d14dcf3a56e94aab32fbaa354ee73bfb51eded75ac26d",
}


@nb.njit
def _brute_force(prims, origin, directions, out):
    for i in range(len(directions)):
        best = FAR
        for k in range(len(prims)):
            t = hit(prims[k], origin, directions[i], 0.1)
            if t < best and origin[2] + t * directions[i, 2] >= 0.0:
                best, out[i] = t, k


@pytest.mark.parametrize("spec", [PAIR, ALONE, FOREST], ids=["pair", "alone", "forest"])
@pytest.mark.parametrize("frame", [4, 70, 130])
def test_nearest_primitive_equals_brute_force(spec: ClipSpec, frame: int) -> None:
    scene = build_scene(spec.scene)
    plan = make_plan(spec, scene)
    renderer = Renderer(scene, SIZE)
    bodies = np.concatenate([pose_body(item)[0] for item in instances(spec, plan, frame, None, None)])
    pose = plan.camera.pose(frame)
    renderer.frame(pose, bodies, len(spec.subjects))
    generator = np.random.default_rng(frame)
    ys, xs = generator.integers(0, SIZE[1] * 2, 1500), generator.integers(0, SIZE[0] * 2, 1500)
    rays = np.stack([(xs + 0.5 - SIZE[0]) / renderer.focal, (ys + 0.5 - SIZE[1]) / renderer.focal, np.ones(1500)], 1)
    found = np.full(1500, -1)
    _brute_force(np.concatenate([scene.prims, bodies]), pose[:3, 3].copy(), rays @ pose[:3, :3].T, found)
    # the fast path sums in another order, so a sample within 1e-12 of an edge may differ: none of these 13,500 does
    assert np.array_equal(found, renderer.index[ys, xs])
    assert (found >= len(scene.prims)).any() == bool((renderer.index >= len(scene.prims)).any())


@pytest.mark.parametrize("name", ["pair", "alone", "forest"])
@pytest.mark.parametrize("through_unreal", [False, True])
def test_centres_lie_in_their_own_masks(name: str, through_unreal: bool, request: pytest.FixtureRequest) -> None:
    clip: RenderedClip = request.getfixturevalue(name)
    poses = clip.poses
    if through_unreal:
        poses = from_unreal(np.array(json.loads(json.dumps(to_unreal(poses).tolist()))))
        assert np.abs(poses - clip.poses).max() < 1e-12
    lens = Intrinsics(focal=clip.focal, width=SIZE[0], height=SIZE[1])
    checked = 0
    for subject in clip.subjects:
        pixels, _ = project(subject.positions, poses, lens)
        for t, (u, v) in enumerate(pixels):
            inside = 0 <= u < SIZE[0] and 0 <= v < SIZE[1]
            whole = subject.visible_area[t] > max(25, 0.9 * subject.amodal_area[t])
            if inside and whole:
                checked += 1
                assert clip.labels[t, int(v), int(u)] == subject.label, (subject.name, t, u, v)
    assert checked >= 15


@pytest.mark.parametrize("name", ["pair", "alone", "forest"])
def test_three_dimensional_boxes_hold_the_visible_box(name: str, request: pytest.FixtureRequest) -> None:
    clip: RenderedClip = request.getfixturevalue(name)
    lens = Intrinsics(focal=clip.focal, width=SIZE[0], height=SIZE[1])
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    for subject in clip.subjects:
        for t in np.flatnonzero(subject.visible_area > 0):
            x, y, z, *size = subject.box3d[t]
            c, s = np.cos(subject.yaw[t]), np.sin(subject.yaw[t])
            local = signs * np.array(size)
            corners = np.stack(
                [x + local[:, 0] * c - local[:, 1] * s, y + local[:, 0] * s + local[:, 1] * c, z + local[:, 2]], 1
            )
            pixels, depth = project(corners, clip.poses[t], lens)
            if (depth <= 0.2).any():
                continue
            rows, columns = np.nonzero(clip.labels[t] == subject.label)
            assert columns.min() + 1 >= pixels[:, 0].min() and columns.max() <= pixels[:, 0].max() + 1
            assert rows.min() + 1 >= pixels[:, 1].min() and rows.max() <= pixels[:, 1].max() + 1


@pytest.mark.parametrize("name", ["pair", "alone", "forest"])
def test_amodal_area_bounds_the_visible_one(name: str, request: pytest.FixtureRequest) -> None:
    clip: RenderedClip = request.getfixturevalue(name)
    for subject in clip.subjects:
        assert (subject.visible_area <= subject.amodal_area).all()
    hidden = sum(float((subject.amodal_area - subject.visible_area).sum()) for subject in clip.subjects)
    assert (hidden > 0) == (name == "forest")  # trees and others stand before one there only


@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_where_nothing_occludes_all_of_a_subject_is_visible(supersample: int) -> None:
    """Equal to the pixel in an empty world, at the edges of the frame too."""
    scene, plan = build_scene(ALONE.scene), make_plan(ALONE, build_scene(ALONE.scene))
    renderer = Renderer(scene._replace(prims=scene.prims[:0]), SIZE, supersample=supersample)
    areas = []
    for t in range(0, 154, 3):
        bodies = pose_body(instances(ALONE, plan, t, None, None)[0])[0]
        drawn = renderer.frame(plan.camera.pose(t), bodies, 1)
        assert drawn.amodal[1] == (drawn.labels == 1).sum(), t
        areas.append(drawn.amodal[1])
    assert min(areas) == 0 and len({a for a in areas if a > 0}) > 15


@pytest.mark.parametrize(("name", "spec"), [("pair", PAIR), ("alone", ALONE), ("forest", FOREST)])
def test_frames_have_the_recorded_digest(name: str, spec: ClipSpec, request: pytest.FixtureRequest) -> None:
    clip: RenderedClip = request.getfixturevalue(name)
    assert clip.digest() == DIGESTS[name], (
        f"frames of {spec} changed: raise GENERATOR in spec.py and record the new digest"
    )


def test_drawing_twice_gives_the_same_bits(pair: RenderedClip) -> None:
    assert render_clip(PAIR, SIZE, half=HALF).digest() == pair.digest()


@pytest.mark.slow
@pytest.mark.parametrize(
    "switches",
    [
        {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX X86_V3 X86_V4"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": "{tmp}"},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma", "NUMBA_CACHE_DIR": "{tmp}"},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"},
    ],
    ids=["numpy-no-simd", "generic-x86", "haswell-fma", "glibc-no-fma"],
)
def test_other_processors_draw_the_same_bits(switches: dict[str, str], tmp_path: object) -> None:
    script = (
        "from tests.data.mini_world.conftest import FOREST, HALF, PAIR, SIZE\n"
        "from hmbench.data.mini_world import render_clip\n"
        "print(render_clip(PAIR, SIZE, half=HALF).digest(), render_clip(FOREST, SIZE, half=HALF).digest())"
    )
    known = _features()
    values = {key: value.replace("{tmp}", str(tmp_path)) for key, value in switches.items()}
    if "NPY_DISABLE_CPU_FEATURES" in values:
        values["NPY_DISABLE_CPU_FEATURES"] = " ".join(
            f for f in values["NPY_DISABLE_CPU_FEATURES"].split() if f in known
        )
        if not values["NPY_DISABLE_CPU_FEATURES"]:
            pytest.skip("this numpy dispatches to none of the features that could be switched off")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | values,
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [DIGESTS["pair"], DIGESTS["forest"]]


def _features() -> set[str]:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return {name for name in __cpu_dispatch__ if __cpu_features__.get(name)}


def test_a_camera_in_a_narrower_crop_sees_the_middle_of_the_wide_one() -> None:
    wide, crop = (224, 128), (192, 128)  # 16:9 fitted to the height in both: the same focal length
    assert focal_length(wide) == focal_length(crop)
    a = render_clip(ALONE, wide, half=5).labels
    b = render_clip(ALONE, crop, half=5).labels
    assert np.array_equal(a[:, :, 16:-16], b)


def test_focal_length_is_the_recovered_one() -> None:
    assert focal_length((832, 480)) == pytest.approx(1257, abs=0.5)
    assert 2 * np.degrees(np.arctan(416 / focal_length((832, 480)))) == pytest.approx(36.6, abs=0.05)


def test_wrong_sizes_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \(100, 64\)"):
        render_clip(PAIR, (100, 64))
    with pytest.raises(ValueError, match=r"4k \+ 1 frames from 5 to 77, got 20"):
        render_clip(PAIR, SIZE, half=20)


def test_specifications_outside_the_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scene must be in 0\.\.16, got 17"):
        ClipSpec(scene=17, subjects=(0,), subject_path=0, camera_path=0, seed=0)
    with pytest.raises(ValueError, match="1 to 3 different subjects"):
        ClipSpec(scene=0, subjects=(1, 1), subject_path=0, camera_path=0, seed=0)
