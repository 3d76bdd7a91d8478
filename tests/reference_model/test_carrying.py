"""The carrier, part by part, against formulas written anew here."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_backbone import inputs, kind, tiny
from torch.nn import functional

from baselines.frame_pack import FramePack
from baselines.recent_window import RecentWindow
from reference_model.carrying import following, gait, layers
from reference_model.carrying.following import group, moments
from reference_model.carrying.geometry import aligned_change, partners, seen_at
from reference_model.carrying.latents import CarriedLatents, carried_latents
from reference_model.carrying.layers import Remembered, static_layer, subject_layer
from reference_model.model.hydra_memory import HydraMemory, HydraSettings
from reference_model.model.memory import FullMemory
from reference_model.model.sequence import Grid
from reference_model.model.shown_frames import shown_frames

HEIGHT, WIDTH, FOCAL = 48, 80, 60.0


def camera(yaw, place=(0.0, 0.0, 0.0)):
    """Camera-to-world of a camera turned to its right by so many degrees, ``[3, 4]``."""
    a = math.radians(yaw)
    rows = [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]]
    return torch.tensor([[*row, p] for row, p in zip(rows, place, strict=True)])


def cameras(*yaws):
    return torch.stack([camera(yaw) for yaw in yaws])


def far_away(yaw):
    """What a turned camera sees of a smooth world at infinity, by angles alone, ``[3, H, W]`` in [-1, 1]."""
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL
    y = (np.arange(HEIGHT)[:, None] + 0.5 - HEIGHT / 2) / FOCAL
    azimuth = np.arctan2(x, 1)[None] + math.radians(yaw)
    tangent = y / np.hypot(x, 1)[None]  # of the elevation
    waves = [np.sin(9 * azimuth + 2), np.cos(7 * azimuth + 5 * tangent), np.sin(11 * tangent) * np.cos(4 * azimuth)]
    return torch.from_numpy(0.8 * np.stack(np.broadcast_arrays(*waves))).float()


def psnr(one, other):
    return float(-10 * torch.log10(((one - other) / 2).square().mean()))


def test_moments_of_a_hard_rectangle():
    mask = torch.zeros(2, HEIGHT, WIDTH)
    mask[0, 10:30, 5:15], mask[1, 3:5, 0:4] = 1, 0.5
    found = moments(mask)
    assert (float(found.area[0]), float(found.column[0]), float(found.row[0])) == (200, 10, 20)
    # a bar of length L has the variance L^2 / 12
    assert float(found.height[0]) == pytest.approx(3.46 * 20 / math.sqrt(12), rel=1e-5)
    assert float(found.width[0]) == pytest.approx(3.46 * 10 / math.sqrt(12), rel=1e-5)
    assert float(found.cut[0]) == 0
    assert float(found.area[1]) == 4 and found.column[1].isnan() and found.height[1].isnan()
    mask[1, 3:13, 0:4] = 0.5
    assert float(moments(mask).cut[1]) == pytest.approx(5 / (3.46 * 10 / math.sqrt(12)), rel=1e-5)


def test_group_tells_two_embeddings_apart_across_frames():
    chance, whose = torch.full((3, 32, 48), 0.02), torch.zeros(3, 32, 48, dtype=torch.int64)
    for s in range(3):
        whose[s, 5:25, 4 + 3 * s : 12 + 3 * s] = 1
        whose[s, 8:20, 30 + 2 * s : 36 + 2 * s] = 2
    chance[whose > 0] = 0.9
    known = torch.tensor([[0.6, 0.8, 0], [1.0, 0, 0], [0, 0, 1.0]])
    noise = 0.2 * torch.randn(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    embedding = functional.normalize(known[whose].permute(0, 3, 1, 2) + noise, dim=1)
    mask = group(chance, embedding)
    assert mask.shape == (2, 3, 32, 48)  # the larger first
    for k in (0, 1):
        assert float(((mask[k] > 0.5) == (whose == k + 1)).float().mean()) > 0.999
    assert group(torch.full((3, 32, 48), 0.3), embedding).shape == (0, 3, 32, 48)


def test_seen_at_is_the_formula_of_a_turn():
    pixels, inside = seen_at((camera(7.0)[:, :3].T @ camera(15.0)[:, :3])[None], (HEIGHT, WIDTH), FOCAL)
    for row, column in ((3, 5), (24, 40), (47, 60)):
        x, y = (column + 0.5 - WIDTH / 2) / FOCAL, (row + 0.5 - HEIGHT / 2) / FOCAL
        angle = math.atan(x) + math.radians(8)
        depth = math.hypot(x, 1) * math.cos(angle)
        expected = (math.tan(angle) * FOCAL + WIDTH / 2, y / depth * FOCAL + HEIGHT / 2)
        assert pixels[0, row, column].tolist() == pytest.approx(expected, abs=1e-3)
    assert bool(inside[0, 24, 5]) and not bool(inside[0, 24, 79])


def test_nothing_changes_where_a_camera_only_turns():
    yaws = (0.0, 10.0)
    frames = torch.stack([far_away(yaw) for yaw in yaws])
    poses = torch.cat((cameras(*yaws), torch.tensor([0.0, 0, 0, 1]).expand(2, 1, 4)), 1).double()
    change = aligned_change(frames, poses, FOCAL, torch.tensor([0, 1]), torch.tensor([1, 0]))
    known = change[:, 3] > 0
    shift = round(math.tan(math.radians(10)) * FOCAL)
    assert not known[0, :, :5].any() and known[0, 15:33, 2 * shift : -2].all()
    off = change[:, :3].abs().amax(1)
    assert float(off[known].max()) < 0.02 and float(off[~known].max()) == 0
    assert float((frames[0] - frames[1]).abs().mean()) > 0.3  # not turned back, it changes
    moved = frames.clone()
    moved[0, :, 20:30, 40:46] = 1.0
    seen = aligned_change(moved, poses, FOCAL, torch.tensor([0]), torch.tensor([1]))[0, :3]
    expected = 1.0 - frames[0, :, 20:30, 40:46]
    assert torch.allclose(seen[:, 20:30, 40:46], expected, atol=0.02)


def test_partners_are_half_a_second_away():
    assert partners(20)[[0, 11, 12, 19]].tolist() == [8, 19, 4, 11]
    assert partners(1).tolist() == [0]


# what stands still


def remembered(*yaws):
    frames = torch.stack([far_away(yaw) for yaw in yaws])
    return Remembered(frames, torch.ones(len(yaws), HEIGHT, WIDTH), cameras(*yaws), FOCAL)


def test_a_turned_picture_is_painted_and_cover_ends_where_nobody_looked():
    past, new = remembered(0.0, 6.0), cameras(10.0, 180.0)
    picture, cover, _ = static_layer(past, new, torch.ones(2, 2, dtype=torch.bool))
    seen, margin = cover[0] > 0, 2
    assert psnr(picture[0][:, seen], far_away(10.0)[:, seen]) > 38
    # 6 degrees of the right side were never seen
    edge = FOCAL * math.tan(math.radians(-4) + math.atan(WIDTH / 2 / FOCAL)) + WIDTH / 2
    assert seen[:, : int(edge) - margin].all() and not seen[:, int(edge) + margin :].any()
    assert float(cover[1].max()) == 0
    _, none, _ = static_layer(past, new[:1], torch.tensor([[False, False]]))
    assert float(none.max()) == 0


def test_a_camera_that_travelled_is_less_sure():
    past = Remembered(far_away(0.0)[None], torch.ones(1, *far_away(0.0).shape[1:]), cameras(0.0), FOCAL)
    moved = cameras(0.0, 0.0).clone()
    moved[1, 0, 3] = 0.5  # half a metre aside
    sure = static_layer(past, moved, torch.ones(2, 1, dtype=torch.bool)).sure
    assert float(sure[0].min()) == 1 and float(sure[1].max()) == pytest.approx(layers.TRAVELLED)


def test_a_far_view_is_carried_and_not_grey():
    """Weights of views are against the nearest: 35 degrees away, a part of the picture is still the same."""
    past = Remembered(far_away(0.0)[None], torch.ones(1, *far_away(0.0).shape[1:]), cameras(0.0), FOCAL)
    turned = 0.75 * math.degrees(2 * math.atan(WIDTH / 2 / FOCAL))
    picture, cover, _ = static_layer(past, cameras(turned), torch.tensor([[True]]))
    seen = cover[0] > 0
    assert 0.1 < float(seen.float().mean()) < 0.4
    assert psnr(picture[0][:, seen], far_away(turned)[:, seen]) > 30


def test_somebody_in_the_way_of_everything_is_no_cover():
    past = Remembered(far_away(0.0)[None], torch.zeros(1, *far_away(0.0).shape[1:]), cameras(0.0), FOCAL)
    assert float(static_layer(past, cameras(0.0), torch.tensor([[True]])).cover.max()) == 0


def test_a_frame_that_is_not_shown_is_never_chosen():
    """Not even where every allowed one shows the subject behind the camera."""
    allowed = torch.tensor([[False, True]])
    chosen = gait.choose(
        (torch.zeros(2), torch.ones(1)),
        0.8,
        (torch.tensor([20.0, 0.0]), torch.ones(1)),
        (torch.zeros(2), torch.zeros(1)),
        allowed,
    )
    assert chosen.tolist() == [1]


def test_only_what_is_shown_is_painted():
    past = remembered(0.0, 30.0)
    _, cover, _ = static_layer(past, cameras(30.0), torch.tensor([[True, False]]))
    assert float(cover[0].mean()) < 0.7
    picture, cover, _ = static_layer(past, cameras(30.0), torch.tensor([[False, True]]))
    assert float(cover.min()) == 1
    assert psnr(picture[0], far_away(30.0)) > 45


def test_who_stands_in_the_way_is_not_shown():
    past = remembered(0.0, 3.0)
    frames, clear = past.frames.clone(), past.clear.clone()
    frames[:, :, 20:34, 36:46], clear[:, 20:34, 36:46] = 5.0, 0.0  # far brighter than anything behind
    one = static_layer(Remembered(frames[:1], clear[:1], past.cameras[:1], FOCAL), cameras(0.0), torch.tensor([[True]]))
    hidden = one.picture[0, :, 20:34, 36:46]
    assert float(hidden.max()) < 1.2  # filled from around
    ring = far_away(0.0)[:, 16:38, 32:50]
    assert float(hidden.mean() - ring.mean()) == pytest.approx(0, abs=0.25)
    assert psnr(one.picture[0, :, :16], far_away(0.0)[:, :16]) > 45
    # another view saw what is behind it
    frames[1], clear[1] = past.frames[1], 1.0
    two = static_layer(Remembered(frames, clear, past.cameras, FOCAL), cameras(0.0), torch.tensor([[True, True]]))
    assert psnr(two.picture[0, :, 20:34, 36:46], far_away(0.0)[:, 20:34, 36:46]) > 30


def test_a_square_is_moved_and_scaled_to_the_place():
    mask, frames = torch.zeros(2, HEIGHT, WIDTH), torch.full((2, 3, HEIGHT, WIDTH), -0.9)
    mask[1, 10:20, 20:30] = 1
    frames[1, 0, 10:20, 20:30], frames[1, 1, 10:20, 20:30] = 0.7, torch.linspace(-0.5, 0.5, 10)
    past = Remembered(frames, 1 - mask, cameras(0.0, 0.0), FOCAL)
    there = torch.tensor([[25.0, 15.0, 10.0]]).expand(3, -1)
    here = torch.tensor([[55.0, 25.0, 20.0], [25.0, 15.0, 10.0], [40.0, 20.0, 0.0]])
    picture, cover = subject_layer(past, mask, torch.tensor([1, 1, 1]), there, here)
    assert torch.allclose(cover[1], mask[1], atol=1e-5)
    assert torch.allclose(picture[1], frames[1] * mask[1], atol=1e-5)
    twice = torch.zeros(HEIGHT, WIDTH)
    twice[15:35, 45:65] = 1
    inner = functional.max_pool2d(1 - twice[None, None], 3, 1, 1)[0, 0] == 0
    outer = functional.max_pool2d(twice[None, None], 3, 1, 1)[0, 0] > 0
    assert float(cover[0][inner].min()) > 0.999 and float(cover[0][~outer].max()) < 1e-4
    assert float(cover[0].sum()) == pytest.approx(400, rel=0.01)
    assert picture[0, 0][inner].tolist() == pytest.approx([0.7] * int(inner.sum()), abs=1e-4)
    assert float(picture[0, 1, 25, 60] - picture[0, 1, 25, 50]) == pytest.approx(10 / 2 / 9, abs=1e-3)
    assert float(cover[2].max()) == 0


# gait


@pytest.mark.parametrize("length", [0.7, 0.83, 1.06])
def test_the_stride_of_a_periodic_walk(length):
    walked = torch.arange(70) * 0.045
    phase = 2 * math.pi * walked / length
    drawn = torch.Generator().manual_seed(0)
    parts = [torch.randn(2, 200, generator=drawn) * share for share in (1.0, 0.5)]
    pictures = sum(
        torch.stack(((k + 1) * phase, (k + 1) * phase - math.pi / 2), -1).cos() @ part for k, part in enumerate(parts)
    )
    noise = 0.05 * torch.randn(70, 200, generator=drawn)
    assert gait.stride(pictures + noise, walked) == pytest.approx(length, abs=0.04)


def test_where_nothing_tells_a_stride_is_usual():
    assert gait.stride(torch.randn(5, 30), torch.arange(5) * 0.1) == gait.USUAL


def test_the_frame_of_the_same_phase_is_taken():
    walked, wanted = torch.arange(-20.0, 0.0), torch.arange(1.0, 30.0)
    alike = (torch.full((20,), 20.0), torch.full((29,), 20.0)), (torch.zeros(20), torch.zeros(29))
    all_shown = torch.ones(29, 20, dtype=torch.bool)

    def chosen(sizes, sides, allowed=all_shown):
        return walked[gait.choose((walked, wanted), 10.0, sizes, sides, allowed)]

    assert ((wanted - chosen(*alike)) % 10 == 0).all()
    sides = torch.where(walked < -10, 0.0, math.pi), torch.zeros(29)  # the later half from behind
    found = chosen(alike[0], sides)
    assert ((wanted - found) % 10 == 0).all() and (found < -10).all()
    sizes = torch.where(walked < -10, 5.0, 20.0), torch.full((29,), 20.0)
    assert (chosen(sizes, alike[1]) >= -10).all()
    early = (walked < -10).expand(29, -1)
    assert (chosen(sizes, alike[1], early) < -10).all(), "what memory does not show is not taken"


def test_pieces_apart_from_a_body_are_left_out_and_its_halves_are_not():
    mask = torch.zeros(1, 2, 40, 60)
    mask[0, 0, 10:30, 20:28] = 1
    mask[0, 0, 5:8, 50:53] = 1  # 9 of 160 pixels
    mask[0, 1, 10:18, 20:28] = 1
    mask[0, 1, 22:30, 20:28] = 1  # who walks behind a bar
    found = following.bodies(mask)
    assert found[0, 0].sum() == 160 and found[0, 1].sum() == 128


def test_a_frame_of_another_size_is_doubted():
    mask = torch.zeros(11, 40, 60)
    mask[:, 10:30, 20:28] = 1
    mask[5, 30:38, 20:28] = 1
    measured = following.moments(mask)
    trust = following.steady(measured, following.trust(measured))
    assert trust[[0, 4, 6, 10]].tolist() == pytest.approx([1.0] * 4)
    assert float(trust[5]) == pytest.approx(following.DOUBTED)


# what samplers and memories say


def test_one_step_gives_what_is_carried_and_leaves_the_rest():
    drawn = torch.Generator().manual_seed(0)
    clean, noisy, own = (torch.randn(1, 4, 3, 2, 5, generator=drawn) for _ in range(3))
    share = torch.zeros(1, 1, 3, 2, 5)
    share[:, :, 1], share[:, :, 2] = 1.0, 0.25
    level = 0.6
    carried = CarriedLatents(clean, share)
    end = noisy - level * carried.velocity(noisy, own, level)
    assert torch.allclose(end[:, :, 1], clean[:, :, 1], atol=1e-5)
    assert torch.allclose(carried.velocity(noisy, own, level)[:, :, 0], own[:, :, 0], atol=1e-5)
    between = 0.75 * (noisy - level * own) + 0.25 * clean
    assert torch.allclose(end[:, :, 2], between[:, :, 2], atol=1e-5)


def test_what_is_not_sure_counts_less():
    """The share of a latent is what is covered of its pixels, times how sure that is."""
    frames, height, width = 5, 8, 16
    cover, sure = torch.ones(frames, height, width), torch.ones(frames, height, width)
    cover[1:, :, 8:] = 0.5
    sure[1:] = 0.4
    carried = SimpleNamespace(picture=torch.zeros(frames, 3, height, width), cover=cover, sure=sure)
    codec = SimpleNamespace(time_stride=4, space_stride=8, encode=lambda video: torch.zeros(len(video), 4, 2, 1, 2))
    clip = (torch.zeros(3, frames, height, width), None, None)
    share = carried_latents(lambda *_: carried, codec, [clip], torch.zeros(1)).share
    assert share.flatten().tolist() == pytest.approx([1.0, 1.0, 0.4, 0.2])


def sequence(target, *context):
    return SimpleNamespace(target=target, context=context, context_frames=sum(grid.frames for grid in context))


def test_full_and_chosen_frames_are_all_shown():
    for memory in (FullMemory, RecentWindow):
        shown = memory.shown(SimpleNamespace(), sequence(Grid(3, 4, 6), Grid(5, 4, 6)), {})
        assert shown.shape == (1, 3, 5) and bool(shown.all())


def test_a_summary_is_not_shown():
    shown = FramePack.shown(
        SimpleNamespace(),
        sequence(Grid(2, 4, 8), Grid(1, 4, 8), Grid(2, 1, 2), Grid(1, 2, 4), Grid(1, 4, 8)),
        {},
    )
    assert shown.tolist() == [[[True, False, False, False, True]] * 2]


def test_hydra_shows_its_window_and_what_the_last_block_retrieved():
    settings = HydraSettings(window=3, top_k=2, kernel=(2, 2, 2), stride=(2, 2, 2))
    whole = sequence(Grid(4, 4, 6), Grid(6, 4, 6))
    every = torch.tensor([[9, 9]] * 6 + [[0, 4], [1, 3], [0, 2], [2, 4]])[None]  # rows of the context do not count
    shown = HydraMemory.shown(SimpleNamespace(settings=settings), whole, {0: every * 0, 3: every})[0]
    expected = [{0, 1}, {2, 3}, {0, 1, 4, 5}, {4, 5}]
    near = settings.windows(*whole.context, whole.target)[6:].tolist()
    assert 5 in near[0] and 5 not in near[3]
    for row, frames, window in zip(shown.tolist(), expected, near, strict=True):
        assert {k for k, there in enumerate(row) if there} == frames | {k for k in window if k < 6}


def asked(model):
    context, target, text = inputs(6, 4)
    views = torch.randn(1, 10, 12, generator=torch.Generator().manual_seed(2))
    return shown_frames(model, (context, target), torch.tensor([500.0]), text, (views[:, :6], views[:, 6:]))


def test_frames_that_a_backbone_is_shown():
    assert asked(tiny({"kind": "full"})).tolist() == [[[True] * 6] * 4]
    recent = asked(tiny(kind("baselines.recent_window:RecentWindow", frames=2)))
    assert recent.tolist() == [[[False] * 4 + [True] * 2] * 4]
    packed = asked(tiny(kind("baselines.frame_pack:FramePack", first=1, quarter=0, half=2, full=2)))
    assert packed.tolist() == [[[True] + [False] * 3 + [True] * 2] * 4]
    hydra = asked(tiny({"kind": "hydra", "window": 3, "top_k": 2, "kernel": (2, 1, 1), "stride": (2, 1, 1)}))
    assert hydra.shape == (1, 4, 6)
    assert hydra[0].sum(1).tolist() != [6] * 4 and int(hydra.sum()) >= 2
