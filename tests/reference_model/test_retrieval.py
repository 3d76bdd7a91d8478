"""Retrieval attention against slow and obvious versions of itself."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from reference_model.model import retrieval_attention as retrieval
from reference_model.model.retrieval_attention import (
    aligned_affinity,
    check_available,
    dense_attention,
    frame_tokens,
    gathered_attention,
    local_windows,
    pooled_affinity,
    select,
    slices_inside,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("frames", "window"), [(40, 5), (12, 5), (7, 4), (5, 5), (9, 1), (8, 3)])
def test_windows_stay_inside_and_hold_their_frame(frames, window):
    windows = local_windows(frames, window)
    assert windows.shape == (frames, window)
    for frame, row in enumerate(windows.tolist()):
        assert row == list(range(row[0], row[0] + window))
        assert frame in row and row[0] >= 0 and row[-1] < frames


def test_windows_of_the_released_code():
    windows = local_windows(40, 5)
    assert windows[:, 0].tolist() == [min(max(i - 2, 0), 35) for i in range(40)]


def test_window_larger_than_the_clip_is_refused():
    with pytest.raises(ValueError, match="window of 5 frames needs 1 to 4 frames, got num_frames=4"):
        local_windows(4, 5)


@pytest.mark.parametrize(
    ("frames", "window", "kernel", "stride"), [(40, 5, 2, 2), (40, 5, 2, 1), (21, 6, 3, 2), (9, 2, 3, 3)]
)
def test_blocked_slices_are_those_wholly_shown(frames, window, kernel, stride):
    windows, slices = local_windows(frames, window), (frames - kernel) // stride + 1
    blocked = slices_inside(windows, slices, kernel, stride)
    for frame, j in itertools.product(range(frames), range(slices)):
        covered = set(range(j * stride, j * stride + kernel))
        assert blocked[frame, j].item() == (covered <= set(windows[frame].tolist()))


def test_the_released_setting_blocks_two_slices_of_twenty():
    assert slices_inside(local_windows(40, 5), 20, 2, 2).sum(1).tolist() == [2] * 40


def test_pooled_affinity_is_the_mean_of_all_pairs():
    q, k = torch.randn(2, 3, 4, 6, generator=generator()), torch.randn(2, 5, 2, 6, generator=generator(1))
    pairs = torch.einsum("bfsd,bmtd->bfmst", q, k).mean((3, 4))
    torch.testing.assert_close(pooled_affinity(q, k), pairs)


def test_aligned_affinity_is_equation_four():
    height, width, dim, kernel = 4, 7, 6, (2, 2)
    q = torch.randn(2, 3, height * width, dim, generator=generator())
    k = torch.randn(2, 5, 2 * 3, dim, generator=generator(1))
    found = aligned_affinity(q, k, height, kernel, kernel)
    grid = q.unflatten(2, (height, width))
    for b, i, j in itertools.product(range(2), range(3), range(5)):
        total = 0.0
        for y, x in itertools.product(range(2), range(3)):
            pooled = grid[b, i, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean((0, 1))
            total += (pooled @ k[b, j, y * 3 + x]).item() / math.sqrt(dim)
        assert found[b, i, j].item() == pytest.approx(total, rel=1e-5, abs=1e-6)


def test_select_never_takes_a_blocked_slice_and_orders_by_score():
    scores = torch.randn(2, 9, 8, generator=generator())
    blocked = slices_inside(local_windows(9, 5), 8, 2, 1)
    filled, chosen = select(scores, blocked, 3)
    assert not blocked.expand(2, -1, -1).gather(2, chosen).any()
    values = filled.gather(2, chosen)
    assert (values[..., :-1] >= values[..., 1:]).all()
    best = scores.masked_fill(blocked, -torch.inf).sort(dim=2, descending=True).indices[..., :3]
    assert torch.equal(chosen, best)


def test_too_many_slices_are_refused_with_the_numbers():
    blocked = slices_inside(local_windows(12, 5), 6, 2, 2)
    check_available(4, blocked)
    with pytest.raises(ValueError, match=r"top_k=5 memory slices .* only 4 outside its window \(of 6\): lower top_k"):
        check_available(5, blocked)


def make_pool(batch, frames, tokens, slices, slice_tokens, heads=2, dim=6, dtype=torch.float32):
    pool = frames * tokens + slices * slice_tokens
    made = [torch.randn(batch, n, heads, dim, generator=generator(n), dtype=dtype) for n in (pool, pool + 1)]
    queries = torch.randn(batch, frames, tokens, heads, dim, generator=generator(7), dtype=dtype)
    return queries, made[0], made[1][:, 1:].contiguous()


def make_index(batch, frames, tokens, slices, slice_tokens, window, top_k):
    near = frame_tokens(local_windows(frames, window), tokens)
    chosen = torch.rand(batch, frames, slices, generator=generator(3)).argsort(2)[..., :top_k]
    return torch.cat((near.expand(batch, -1, -1), frame_tokens(chosen, slice_tokens, first=frames * tokens)), dim=2)


@pytest.mark.parametrize(
    "shape", [(1, 8, 6, 4, 2, 3, 2), (2, 5, 3, 7, 1, 1, 7), (3, 9, 1, 2, 5, 5, 1)], ids=lambda s: "x".join(map(str, s))
)
def test_gathered_attention_equals_its_dense_twin(shape):
    batch, frames, tokens, slices, slice_tokens, window, top_k = shape
    queries, keys, values = make_pool(*shape[:5], dtype=torch.float64)
    index = make_index(batch, frames, tokens, slices, slice_tokens, window, top_k)
    fast = gathered_attention(queries, keys, values, index)
    torch.testing.assert_close(fast, dense_attention(queries, keys, values, index), rtol=1e-12, atol=1e-12)


def test_gathered_attention_equals_a_loop_over_tokens():
    queries, keys, values = make_pool(1, 4, 2, 3, 2, heads=1, dtype=torch.float64)
    index = make_index(1, 4, 2, 3, 2, 3, 2)
    found = gathered_attention(queries, keys, values, index)
    for frame, token in itertools.product(range(4), range(2)):
        seen = index[0, frame]
        weights = (keys[0, seen, 0] @ queries[0, frame, token, 0] / math.sqrt(6)).softmax(0)
        torch.testing.assert_close(found[0, frame, token, 0], weights @ values[0, seen, 0])


def test_chunks_change_nothing(monkeypatch):
    queries, keys, values = make_pool(2, 8, 6, 4, 2)
    index = make_index(2, 8, 6, 4, 2, 3, 2)
    whole = gathered_attention(queries, keys, values, index)
    monkeypatch.setitem(retrieval._GATHERED_ELEMENTS, "cpu", 2 * index.shape[2] * 12 * 3)
    torch.testing.assert_close(gathered_attention(queries, keys, values, index), whole)


def test_both_twins_have_the_same_gradients():
    gradients = []
    for attention in (gathered_attention, dense_attention):
        inputs = [x.requires_grad_() for x in make_pool(2, 5, 3, 4, 2, dtype=torch.float64)]
        attention(*inputs, make_index(2, 5, 3, 4, 2, 3, 2)).square().sum().backward()
        gradients.append([x.grad for x in inputs])
    for fast, slow in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize(
    ("frames", "window", "starts"),
    [(7, 4, [0, 0, 0, 1, 2, 3, 3]), (6, 2, [0, 0, 1, 2, 3, 4]), (5, 3, [0, 0, 1, 2, 2]), (4, 1, [0, 1, 2, 3])],
)
def test_windows_of_even_length_look_further_back(frames, window, starts):
    assert local_windows(frames, window)[:, 0].tolist() == starts
