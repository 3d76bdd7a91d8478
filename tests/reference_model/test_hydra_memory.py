"""HyDRA's settings: what they refuse, and where memory tokens stand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from reference_model.model.hydra_memory import HydraMemory, HydraSettings, MemoryTokenizer
from reference_model.model.memory import Backbone
from reference_model.model.sequence import Grid

PAPER_SIZE = (Grid(20, 30, 52), Grid(20, 30, 52))


def test_the_released_setting_sees_11700_tokens_of_62400():
    with torch.device("meta"):
        memory = HydraMemory(HydraSettings(), Backbone(1536, 12, 1, 16, (1, 2, 2)))
    facts = memory.facts(*PAPER_SIZE)
    assert facts.tokens_seen == 5 * 1560 + 10 * 390 == 11_700
    assert facts.parameters == 1536 * 1536 * 8 + 1536


@pytest.mark.parametrize(
    ("kernel", "stride", "slices"),
    [((2, 2, 2), (2, 2, 2), (20, 15, 26)), ((2, 4, 4), (1, 4, 4), (39, 7, 13)), ((1, 4, 4), (1, 4, 4), (40, 7, 13))],
)
def test_slices_of_kernels_in_the_papers_ablation(kernel, stride, slices):
    assert HydraSettings(kernel=kernel, stride=stride).slices(*PAPER_SIZE) == slices


def test_paper_variant_compresses_the_context_only():
    settings = HydraSettings(variant="paper")
    assert settings.slices(*PAPER_SIZE) == (10, 15, 26)
    windows = settings.windows(*PAPER_SIZE)
    assert windows[:20].max() == 19 and windows[20:].min() == 20
    assert not settings.blocked(*PAPER_SIZE).any()


@pytest.mark.parametrize(
    ("changes", "grids", "message"),
    [
        ({"top_k": 19}, PAPER_SIZE, r"top_k=19 memory slices .* only 18 outside its window \(of 20\)"),
        ({"variant": "paper", "top_k": 15}, PAPER_SIZE, r"only 10 outside its window \(of 10\)"),
        ({"window": 41}, PAPER_SIZE, "window of 41 frames needs 1 to 40 frames"),
        ({"kernel": (2, 31, 2)}, PAPER_SIZE, r"kernel \(2, 31, 2\) does not fit into \(40, 30, 52\) tokens"),
        ({}, (Grid(3, 4, 4), Grid(3, 4, 4)), "top_k=10 memory slices are wanted, but some frame has only 1"),
    ],
)
def test_impossible_settings_are_refused_with_their_values(changes, grids, message):
    with pytest.raises(ValueError, match=message):
        HydraSettings(**changes).check(*grids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "mine"}, "variant must be 'released' or 'paper', got 'mine'"),
        ({"tokenizer": "sparse"}, "tokenizer must be 'dense' or 'depthwise', got 'sparse'"),
        ({"short_clips": "no"}, "short_clips must be 'refuse' or 'fewer', got 'no'"),
        ({"top_k": 0}, "at least 1, got .*self.top_k=0"),
        ({"kernel": (2, 2)}, r"self.kernel=\(2, 2\)"),
    ],
)
def test_settings_refuse_impossible_values(changes, message):
    with pytest.raises(ValueError, match=message):
        HydraSettings(**changes)


def test_short_clips_may_retrieve_fewer_but_never_a_blocked_slice():
    settings = HydraSettings(short_clips="fewer")
    grids = (Grid(6, 8, 14), Grid(6, 8, 14))
    assert settings.retrieved(*grids) == 4  # of 6 slices, 2 lie inside every window
    assert settings.retrieved(*PAPER_SIZE) == 10
    with pytest.raises(ValueError, match="top_k=1 memory slices are wanted, but some frame has only 0"):
        settings.check(Grid(2, 8, 14), Grid(3, 8, 14))


@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_a_fresh_tokenizer_averages_its_kernel(kind):
    settings = HydraSettings(tokenizer=kind, kernel=(2, 2, 3), stride=(1, 2, 2))
    tokenizer, grid = MemoryTokenizer(5, settings), Grid(4, 4, 7)
    tokens = torch.randn(2, grid.tokens, 5)
    found = tokenizer(tokens, grid)
    assert found.shape == (2, 3, 2 * 3, 5)
    image = tokens.unflatten(1, grid)
    for j, y, x in ((0, 0, 0), (1, 1, 2), (2, 0, 1)):
        expected = image[:, j : j + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 3].mean((1, 2, 3))
        torch.testing.assert_close(found[:, j, y * 3 + x], expected)


@pytest.mark.parametrize("kind", ["grid", "world"])
def test_memory_tokens_stand_in_the_middle_of_their_frames(kind):
    """In space at their corner on the grid, as released, and in the middle in the world; cameras are means."""
    memory = HydraMemory(HydraSettings(kernel=(3, 2, 2), stride=(2, 2, 4)), Backbone(12, 2, 1, 4, (1, 2, 2)))
    placing = SimpleNamespace(kind=kind)
    cameras = torch.arange(6.0)[None, :, None].expand(1, 6, 12)
    sequence = SimpleNamespace(placing=placing, cameras=cameras, positions=torch.zeros(1))
    positions, seen = memory._stand(Grid(2, 2, 2), sequence)
    beside = 0.0 if kind == "grid" else 0.5
    assert positions[0].tolist() == [1, beside, beside] and positions[-1].tolist() == [3, 2 + beside, 4 + beside]
    assert seen[0, :, 0].tolist() == [1.0] * 4 + [3.0] * 4
