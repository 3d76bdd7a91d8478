"""Each selector against a plain loop, and what selecting means inside the transformer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from camera_rows import camera, path, random_cameras
from tiny_backbone import inputs, kind, tiny

from baselines.by_view import ViewSettings
from baselines.fov_retrieval import FovRetrieval, FovSettings, best_of_runs, most
from baselines.overlap import ball_points, overlap, rays_meet, seen
from baselines.recent_window import RecentSettings, RecentWindow
from baselines.worldmem import WorldMem, WorldMemSettings, greedy_cover
from reference_model.model.memory import Backbone

BACKBONE = Backbone(24, 2, 2, 4, (1, 2, 2))
LENS = {"fov": (70.0, 40.0), "radius": 8.0}
T = torch.tensor([500.0])


def loop_runs(scores: list[float], threshold: float) -> list[int]:
    kept, run = [], []
    for frame, score in enumerate(scores):
        if score >= threshold:
            run.append(frame)
        if run and (score < threshold or frame == len(scores) - 1):
            kept.append(max(run, key=lambda f: (scores[f], f)))
            run = []
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_best_of_runs_equals_a_loop(seed) -> None:
    scores = torch.from_numpy(np.random.default_rng(seed).choice([0.0, 0.2, 0.5, 0.9], (3, 17))).float()
    marks = best_of_runs(scores, 0.3)
    for row, mark in zip(scores, marks, strict=True):
        assert mark.nonzero()[:, 0].tolist() == loop_runs(row.tolist(), 0.3)


def loop_fov(context, target, settings: FovSettings, count: int) -> set[int]:
    """Context-as-Memory, as one would tell it."""
    total = len(context)
    scores = []
    for j in range(total):
        if settings.rule == "rays":
            hits = [rays_meet(t[None, None], context[j][None, None], settings.lens, near=settings.near) for t in target]
        else:
            hits = [overlap(t[None, None], context[j][None, None], settings.lens) for t in target]
        scores.append(sum(float(hit) for hit in hits) / len(target))
    chosen = loop_runs(scores, settings.threshold) if settings.thin_runs else []
    chosen = sorted(chosen, key=lambda f: (-scores[f], -f))[:count]
    for frame in sorted(range(total), key=lambda f: (-scores[f], -f)):
        if len(chosen) < count and frame not in chosen:
            chosen.append(frame)
    return set(chosen)


@pytest.mark.parametrize("rule", ["overlap", "rays"])
@pytest.mark.parametrize("thin_runs", [True, False])
def test_fov_retrieval_equals_a_loop(rule, thin_runs) -> None:
    settings = FovSettings(frames=6, recent=2, rule=rule, thin_runs=thin_runs, **LENS)
    memory = FovRetrieval(settings, BACKBONE)
    context, target = random_cameras(2, 14, seed=3), random_cameras(2, 5, seed=4)
    found = memory.select(context, target)
    for b in range(2):
        expected = loop_fov(context[b, :12], target[b], settings, 4) | {12, 13}
        assert found[b].tolist() == sorted(expected)


@pytest.mark.parametrize("seed", range(4))
def test_worldmem_equals_a_loop(seed) -> None:
    settings = WorldMemSettings(frames=5, recent=1, points=2000, **LENS)
    context, target = random_cameras(1, 12, seed=seed), random_cameras(1, 4, seed=seed + 50)
    points = ball_points(8.0, 2000) + target[0, 0].view(3, 4)[:, 3]
    wanted = {p for t in target[0] for p in seen(points, t, settings.lens, limited=False).nonzero()[:, 0].tolist()}
    views = [set(seen(points, c, settings.lens, limited=False).nonzero()[:, 0].tolist()) for c in context[0, :11]]
    chosen: list[int] = []
    for _ in range(4):
        worth = [
            len(wanted & view) / max(1, len(wanted)) - 0.2 * (12 - j) / 12 if j not in chosen else -9.0
            for j, view in enumerate(views)
        ]
        chosen.append(int(np.argmax(worth)))
        wanted -= views[chosen[-1]]
    found = WorldMem(settings, BACKBONE).select(context, target)
    assert found[0].tolist() == sorted([*chosen, 11])


def test_greedy_cover_prefers_what_is_new_and_survives_when_all_is_covered() -> None:
    visible = torch.tensor([[[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]], dtype=torch.bool)
    wanted = torch.tensor([[1, 1, 1, 1, 0]], dtype=torch.bool)
    order = greedy_cover(wanted, visible, torch.tensor([0.02, 0.01, 0.015, 0.0]), 4)
    assert order.tolist() == [[0, 2, 3, 1]]


def test_most_prefers_the_newest_among_equals() -> None:
    assert most(torch.tensor([[0.0, 0.5, 0.0, 0.5]]), 3).tolist() == [[3, 1, 2]]


def test_frames_that_looked_where_the_target_looks_are_found() -> None:
    """The camera pans away and back; the target looks where the first frames did."""
    yaws = [0, 0, 10, 40, 90, 90, 90, 90]
    context = path(*(camera(yaw=y) for y in yaws))
    target = path(camera(yaw=5), camera(yaw=0))
    for memory in (
        FovRetrieval(FovSettings(frames=4, thin_runs=False, **LENS), BACKBONE),
        WorldMem(WorldMemSettings(frames=2, **LENS), BACKBONE),
    ):
        chosen = memory.select(context, target)[0].tolist()
        assert chosen[-1] == 7
        assert set(chosen[:-1]) <= {0, 1, 2}


def test_windows_and_short_contexts() -> None:
    memory = RecentWindow(RecentSettings(frames=3), BACKBONE)
    assert memory.select(torch.zeros(2, 7, 12), torch.zeros(2, 4, 12)).tolist() == [[4, 5, 6], [4, 5, 6]]
    assert memory.select(torch.zeros(2, 3, 12), torch.zeros(2, 4, 12)) is None


def test_impossible_settings_say_why() -> None:
    with pytest.raises(ValueError, match="at least one frame must be remembered"):
        RecentSettings(frames=0)
    with pytest.raises(ValueError, match="recent must lie between 0 and frames"):
        ViewSettings(frames=2, recent=3)
    with pytest.raises(ValueError, match="two angles between 0 and 180"):
        FovSettings(fov=(200.0, 20.0))
    with pytest.raises(ValueError, match="rule must be"):
        FovSettings(rule="beams")


RIVALS = {
    "recent": kind("baselines.recent_window:RecentWindow", frames=3),
    "fov": kind("baselines.fov_retrieval:FovRetrieval", frames=3, **LENS),
    "worldmem": kind("baselines.worldmem:WorldMem", frames=3, points=500, **LENS),
}


def velocity(model, context, target, text, cameras, timestep=T):
    with torch.no_grad():
        return model(context, target, timestep.expand(len(context)), text, cameras).target


@pytest.mark.parametrize("name", RIVALS)
def test_forgotten_frames_are_never_seen(name) -> None:
    model = tiny(RIVALS[name])
    context, target, text = inputs(8, 4)
    cameras = (random_cameras(1, 8, seed=5), random_cameras(1, 4, seed=6))
    chosen = model.memory.select(*cameras)[0].tolist()
    before = velocity(model, context, target, text, cameras)
    for frame in range(8):
        changed = context.clone()
        changed[:, :, frame] += 1.0
        after = velocity(model, changed, target, text, cameras)
        assert torch.equal(before, after) == (frame not in chosen)


@pytest.mark.parametrize("name", RIVALS)
def test_equals_full_attention_over_the_chosen_frames(name) -> None:
    """Written out: the chosen latents, each at its own time, and nothing else, given to full attention."""
    model, full = tiny(RIVALS[name]), tiny({"kind": "full"})
    context, target, text = inputs(8, 4, batch=2)
    cameras = (random_cameras(2, 8, seed=5), random_cameras(2, 4, seed=6))
    chosen = model.memory.select(*cameras)
    found = velocity(model, context, target, text, cameras)
    for b in range(2):
        frames = chosen[b].tolist()
        full.memory.select = lambda past, future, frames=frames: torch.tensor([frames])
        alone = (cameras[0][b : b + 1], cameras[1][b : b + 1])
        expected = velocity(full, context[b : b + 1], target[b : b + 1], text[b : b + 1], alone)
        torch.testing.assert_close(found[b : b + 1], expected, rtol=1e-4, atol=1e-5)


def test_a_window_equals_a_context_that_never_was_longer() -> None:
    """Rotary embedding is relative: a shorter context, counted from 0, gives the same target."""
    window, full = tiny(RIVALS["recent"]), tiny({"kind": "full"})
    context, target, text = inputs(8, 4)
    cameras = (random_cameras(1, 8, seed=5), random_cameras(1, 4, seed=6))
    found = velocity(window, context, target, text, cameras)
    short = velocity(full, context[:, :, 5:], target, text, (cameras[0][:, 5:], cameras[1]))
    torch.testing.assert_close(found, short, rtol=1e-4, atol=1e-5)


def test_per_frame_levels_follow_the_chosen_frames() -> None:
    """Levels belong to frames: noise level of a chosen frame counts, of a forgotten one does not."""
    model = tiny(RIVALS["fov"])
    context, target, text = inputs(8, 4)
    cameras = (random_cameras(1, 8, seed=5), random_cameras(1, 4, seed=6))
    chosen = model.memory.select(*cameras)[0].tolist()
    levels = torch.full((1, 12), 300.0)
    with torch.no_grad():
        before = model(context, target, levels, text, cameras).target
        for frame in range(8):
            changed = levels.clone()
            changed[:, frame] = 900.0
            after = model(context, target, changed, text, cameras).target
            assert torch.equal(before, after) == (frame not in chosen)


def test_tokens_seen() -> None:
    model = tiny(RIVALS["recent"])
    context, target = model.grids(8, 4, 8, 12)
    assert model.memory.facts(context, target).tokens_seen == (3 + 4) * 4 * 6
    context, target = model.grids(2, 4, 8, 12)
    assert model.memory.facts(context, target).tokens_seen == (2 + 4) * 4 * 6
