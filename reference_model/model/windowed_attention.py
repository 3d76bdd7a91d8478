"""Retrieval attention without copying windows: each window is a slice of the keys, only retrieved slices are gathered.

A frame sees neighbouring frames and retrieved slices. The neighbours lie side by side, so that a window is a view of
the keys; frames whose windows begin one frame after the other are the batch of one kernel call. Attention to both parts
is put together by the logarithm of each part's sum (its "log-sum-exp"), which torch's fused kernels know::

    softmax over both = w local + (1 - w) far,  w = sigmoid(lse_local - lse_far)

It is the same function as `retrieval_attention.gathered_attention` and copies no window, which holds 7,800 of a frame's
11,700 keys at the paper's size. Kernels give no gradient of the log-sum-exp, so training gathers.

Letters: as in `retrieval_attention`: B batch, F query frames, S tokens a frame, H heads, d channels a head, L keys.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

_ops: Any = torch.ops.aten


class Run(NamedTuple):
    """Neighbouring frames whose windows follow one rule."""

    first: int
    """First query frame."""
    frames: int
    """How many query frames."""
    window: int
    """First frame of the first one's window."""
    moves: bool
    """Whether the window moves on by a frame with each frame, or is the same for all."""


def window_runs(windows: Tensor) -> tuple[Run, ...]:
    """The fewest runs that make up windows of neighbouring frames, int64 ``[F, window]``."""
    starts = [int(start) for start in windows[:, 0]]
    runs: list[Run] = []
    for frame, start in enumerate(starts):
        last = runs[-1] if runs else None
        step = start - starts[frame - 1] if last else None
        if last and step in (0, 1) and (last.frames == 1 or last.moves == bool(step)):
            runs[-1] = Run(last.first, last.frames + 1, last.window, bool(step))
        else:
            runs.append(Run(frame, 1, start, False))
    return tuple(runs)


def runs_from(runs: tuple[Run, ...], first: int) -> tuple[Run, ...]:
    """The runs of the frames from `first` on, counted from there."""
    left = []
    for run in runs:
        skipped = min(max(first - run.first, 0), run.frames)
        if run.frames > skipped:
            window = run.window + skipped * run.moves
            left.append(Run(max(run.first - first, 0), run.frames - skipped, window, run.moves))
    return tuple(left)


def windowed_attention(
    queries: Tensor,
    local: tuple[Tensor, Tensor],
    far: tuple[Tensor, Tensor],
    windows: tuple[tuple[Run, ...], int],
    kernel: str,
) -> Tensor:
    """Attention of each frame's tokens to its window and to keys of its own.

    Args:
        queries: ``[B, F, S, H, d]``.
        local: Keys and values of all frames' tokens, ``[B, T S, H, d]`` each.
        far: Keys and values that each frame sees besides, ``[B, F, L, H, d]`` each.
        windows: As `window_runs` gives them for these F frames, and how many frames a window has.
        kernel: What `kernel_for` gave.

    Returns:
        ``[B, F, S, H, d]``.
    """
    batch, frames, tokens, heads, dim = queries.shape
    # clips stand beside heads, so that frames of all clips are one call
    rows = queries.permute(1, 0, 3, 2, 4).reshape(frames, batch * heads, tokens, dim)
    keys, values = (part.transpose(0, 1).reshape(-1, batch * heads, dim) for part in local)
    found = [_one_run(rows, keys, values, (run, windows[1]), kernel) for run in windows[0]]
    near, near_sum = (
        torch.cat(parts).unflatten(1, (batch, heads)).transpose(0, 1) for parts in zip(*found, strict=True)
    )
    far_keys, far_values = (part.flatten(0, 1).transpose(1, 2) for part in far)
    further, further_sum = lse_attention(queries.flatten(0, 1).transpose(1, 2), far_keys, far_values, kernel)
    # all as [B, F, H, S, d]
    share = torch.sigmoid(near_sum - further_sum.view(near_sum.shape)).unsqueeze(-1).to(near.dtype)
    return torch.lerp(further.unflatten(0, (batch, frames)), near, share).transpose(2, 3)


def lse_attention(query: Tensor, key: Tensor, value: Tensor, kernel: str) -> tuple[Tensor, Tensor]:
    """Attention ``[n, H, S, d]`` and the logarithm of each query's sum of exponentials, float32 ``[n, H, S]``."""
    if kernel == "cpu":
        out, total = _ops._scaled_dot_product_flash_attention_for_cpu(query, key, value)
    elif kernel == "flash":
        out, total = _ops._scaled_dot_product_flash_attention(query, key, value)[:2]
    elif kernel == "cudnn":
        out, total = _ops._scaled_dot_product_cudnn_attention(query, key, value, None, True)[:2]
    elif kernel == "efficient":
        out, total = _ops._scaled_dot_product_efficient_attention(query, key, value, None, True)[:2]
    else:
        raise ValueError(f"there is no attention kernel {kernel!r}")
    if total.ndim == 4:  # cuDNN's has an axis of one at the end
        total = total.squeeze(-1)
    return out, total[..., : query.shape[2]]  # the efficient kernel fills up to whole blocks


@functools.cache
def kernel_for(device: torch.device, dtype: torch.dtype) -> str | None:
    """The first kernel that gives right sums on this device in this format; None: gather instead.

    These are torch's own kernels under names that are not promised to stay: each is tried on a small case, laid out as
    windows are, and used only where it agrees with plain arithmetic.
    """
    names = {"cpu": ("cpu",), "cuda": ("cudnn", "flash", "efficient")}.get(device.type, ())
    return next((name for name in names if _agrees(name, device, dtype)), None)


def _agrees(kernel: str, device: torch.device, dtype: torch.dtype) -> bool:
    drawn = torch.randn(1, 6 * 16, 2, 64, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    query = drawn.unflatten(1, (6, 16))[0, :4].transpose(1, 2)
    key = _sliding(drawn[0], 16, 3)
    scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(64)
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    try:
        out, total = lse_attention(query, key, key, kernel)
        agreed = torch.allclose(out.float(), scores.softmax(-1) @ key.float(), atol=tolerance, rtol=tolerance)
        return agreed and torch.allclose(total.float(), scores.logsumexp(-1), atol=tolerance, rtol=tolerance)
    except (RuntimeError, AttributeError, TypeError, ValueError):  # not built in, not for this device, other arguments
        return False


def _sliding(keys: Tensor, tokens: int, window: int) -> Tensor:
    """All windows of neighbouring frames as a view, ``[T S, H, d] -> [T - window + 1, H, window S, d]``."""
    return keys.unfold(0, window * tokens, tokens).transpose(2, 3)


def _one_run(rows: Tensor, keys: Tensor, values: Tensor, place: tuple[Run, int], kernel: str) -> tuple[Tensor, Tensor]:
    """The frames of one run: of queries ``[F, H, S, d]`` to ``[n, H, S, d]`` and ``[n, H, S]``."""
    (run, window), (_, heads, tokens, _) = place, rows.shape
    query = rows[run.first : run.first + run.frames]
    span = slice(run.window * tokens, (run.window + window + (run.frames - 1) * run.moves) * tokens)
    if run.moves:
        key, value = (_sliding(part[span], tokens, window) for part in (keys, values))
        return lse_attention(query, key, value, kernel)
    # one window for all: its frames are one frame of more tokens
    key, value = (part[span].transpose(0, 1)[None] for part in (keys, values))
    together = query.transpose(0, 1).reshape(1, heads, run.frames * tokens, -1)
    out, total = (found[0].unflatten(1, (run.frames, tokens)) for found in lse_attention(together, key, value, kernel))
    return out.transpose(0, 1), total.transpose(0, 1)
