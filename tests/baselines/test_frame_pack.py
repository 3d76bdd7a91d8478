"""FramePack's packing against loops that do what its description says."""

from __future__ import annotations

import pytest
import torch
from camera_rows import random_cameras
from tiny_backbone import inputs, kind, tiny

from baselines.frame_pack import FramePack, FramePackSettings, PackedRange
from baselines.rivals import FRAME_PACK
from reference_model.model.config import hydra_wan_1_3b
from reference_model.model.memory import Backbone, ContextFrames
from reference_model.model.rope import rotation
from reference_model.model.sequence import Grid

SMALL = {"first": 1, "quarter": 6, "half": 2, "full": 1}


def packed(frames: int, height: int, width: int, **settings):
    """A packing memory with non-zero kernels, its embedding, latents, cameras, and the packed context."""
    generator = torch.Generator().manual_seed(0)
    memory = FramePack(FramePackSettings(**settings), Backbone(24, 2, 2, 4, (1, 2, 2)))
    embed = torch.nn.Conv3d(4, 24, (1, 2, 2), (1, 2, 2))
    with torch.no_grad():
        for value in (*memory.parameters(), *embed.parameters()):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    latents = torch.randn(2, 4, frames, height, width, generator=generator)
    rows = random_cameras(2, frames, seed=1)
    with torch.no_grad():
        context = memory.pack(ContextFrames(latents, rows, torch.arange(frames), frames), embed)
    return memory, embed, latents, rows, context


@pytest.mark.parametrize(("frames", "height", "width"), [(10, 16, 16), (10, 12, 20), (7, 10, 14), (4, 6, 6), (1, 4, 4)])
def test_packing_equals_a_loop(frames, height, width) -> None:
    """Token by token: the kernel is the patch embedding spread over the cell, plus what was learned."""
    memory, embed, latents, rows, context = packed(frames, height, width, **SMALL)
    tokens, cameras, sources = [], [], []
    for start, stop, factor in memory.settings.parts(frames):
        weight = embed.weight.repeat(1, 1, factor, factor, factor) / factor**3
        if factor > 1:
            weight = weight + (memory.half_kernel if factor == 2 else memory.quarter_kernel).weight
        steps = -(-(stop - start) // factor)
        for t in range(steps):
            times = [max(start, stop - (steps - t) * factor + i) for i in range(factor)]
            cameras.append(rows[:, times].mean(1))
            sources.append(times[-1])
            for y in range(-(-height // (2 * factor))):
                for x in range(-(-width // (2 * factor))):
                    lines = [min(height - 1, y * 2 * factor + i) for i in range(2 * factor)]
                    columns = [min(width - 1, x * 2 * factor + i) for i in range(2 * factor)]
                    cell = latents[:, :, times][:, :, :, lines][:, :, :, :, columns]
                    tokens.append(torch.einsum("bcthw,dcthw->bd", cell, weight) + embed.bias)
    torch.testing.assert_close(context.tokens, torch.stack(tokens, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(context.cameras, torch.stack(cameras, 1))
    assert context.source_frames.tolist() == sources
    assert sum(grid.tokens for grid in context.grids) == context.tokens.shape[1] == len(context.positions)
    assert context.target_start == frames


def test_depthwise_kernels_weigh_the_fine_tokens_channel_by_channel() -> None:
    memory, embed, latents, _, context = packed(10, 16, 16, **SMALL, projection="depthwise")
    fine = embed(latents)
    token = context.tokens[:, context.grids[0].tokens]  # the first one that is packed four times
    cells = fine[:, :, [1, 1, 1, 2]][:, :, :, :4, :4]
    expected = cells.mean((2, 3, 4)) + (cells * memory.quarter_kernel.weight[:, 0]).sum((2, 3, 4))
    torch.testing.assert_close(token, expected, rtol=1e-4, atol=1e-4)
    assert memory.num_parameters() == 24 * (2**3 + 4**3)


def test_small_presets_weigh_channel_by_channel_and_the_papers_does_not() -> None:
    found = {preset: FRAME_PACK.apply(preset).transformer.memory["projection"] for preset in ("nano", "mini", "paper")}
    assert found == {"nano": "depthwise", "mini": "depthwise", "paper": "dense"}


@pytest.mark.parametrize("projection", ["dense", "depthwise"])
def test_starts_as_the_mean_of_fine_tokens(projection) -> None:
    memory = FramePack(FramePackSettings(**SMALL, projection=projection), Backbone(24, 2, 2, 4, (1, 2, 2)))
    embed = torch.nn.Conv3d(4, 24, (1, 2, 2), (1, 2, 2))
    latents = torch.randn(1, 4, 10, 16, 16)
    context = memory.pack(ContextFrames(latents, torch.zeros(1, 10, 12), torch.arange(10), 10), embed)
    fine = embed(latents)
    token = context.tokens[0, context.grids[0].tokens]  # the first one that is packed four times
    part = memory.settings.parts(10)[1]
    assert part == PackedRange(1, 7, 4)
    times = [1, 1, 1, 2]  # six frames fill eight places: the oldest is repeated
    expected = fine[0][:, times][:, :, :4, :4].mean((1, 2, 3))
    torch.testing.assert_close(token, expected, rtol=1e-4, atol=1e-5)


def test_rotary_angles_are_averaged() -> None:
    """Cosines and sines of the fine tokens, averaged one packed token at a time."""
    model = tiny(kind("baselines.frame_pack:FramePack", **SMALL))
    context, target, text = inputs(10, 3, height=12, width=20)
    caught = []
    original = model.memory.plan
    model.memory.plan = lambda sequence: caught.append((sequence, original(sequence))) or caught[-1][1]
    rows = (random_cameras(1, 10), random_cameras(1, 3))
    with torch.no_grad():
        model(context, target, torch.tensor([500.0]), text, rows)
    sequence, plan = caught[0]
    place = 0
    for start, stop, factor in model.memory.settings.parts(10):
        steps = -(-(stop - start) // factor)
        for t in range(steps):
            for y in range(-(-6 // factor)):
                for x in range(-(-10 // factor)):
                    fine = [
                        (
                            float(max(start, stop - (steps - t) * factor + i)),
                            min(5, y * factor + j),
                            min(9, x * factor + k),
                        )
                        for i in range(factor)
                        for j in range(factor)
                        for k in range(factor)
                    ]
                    expected = rotation(torch.tensor(fine), 12)
                    torch.testing.assert_close(plan.cos[place], expected.cos.mean(0))
                    torch.testing.assert_close(plan.sin[place], expected.sin.mean(0))
                    place += 1
    torch.testing.assert_close(plan.cos[place:], sequence.rotation.cos[place:])
    assert len(plan.cos) == len(sequence.positions)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (20, [(0, 1, 1), (1, 17, 4), (17, 19, 2), (19, 20, 1)]),
        (30, [(0, 1, 1), (11, 27, 4), (27, 29, 2), (29, 30, 1)]),
        (10, [(0, 1, 1), (1, 7, 4), (7, 9, 2), (9, 10, 1)]),
        (4, [(0, 1, 1), (1, 3, 2), (3, 4, 1)]),
        (3, [(0, 2, 2), (2, 3, 1)]),
        (1, [(0, 1, 1)]),
        (0, []),
    ],
)
def test_division_of_the_past(frames, expected) -> None:
    assert [tuple(part) for part in FramePackSettings().parts(frames)] == expected


def test_papers_token_count() -> None:
    """20 latent frames of 60x104 latents: 1560 + 4 * 104 + 390 + 1560."""
    memory = FramePack(FramePackSettings(), hydra_wan_1_3b().backbone())
    context, target = Grid(20, 30, 52), Grid(20, 30, 52)
    assert memory.facts(context, target).tokens_seen == 3926 + 31_200


def test_dropped_frames_are_never_seen_and_packed_ones_are() -> None:
    model = tiny(kind("baselines.frame_pack:FramePack", first=1, quarter=4, half=2, full=1))
    context, target, text = inputs(10, 3)
    rows = (random_cameras(1, 10), random_cameras(1, 3))
    with torch.no_grad():
        before = model(context, target, torch.tensor([500.0]), text, rows).target
        for frame in range(10):
            changed = context.clone()
            changed[:, :, frame] += 1.0
            after = model(changed, target, torch.tensor([500.0]), text, rows).target
            assert torch.equal(before, after) == (frame in (1, 2))


def test_settings_say_why() -> None:
    with pytest.raises(ValueError, match="the last frame must be kept"):
        FramePackSettings(full=0)
