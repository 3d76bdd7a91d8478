"""Retrieval attention as pure functions: which tokens a frame may see, and attention to them.

HyDRA (arXiv 2603.25716, section 4.3): every query frame sees a local window of frames in full and the `top_k` memory
tokens slices that resemble it most. `gathered_attention` is the fast path; `dense_attention` is its slow, obvious twin.

Letters: B batch, F query frames, S tokens a frame, M memory slices, s tokens a slice, P tokens of the key pool,
L tokens that one frame sees, H heads, d channels a head, D = H * d.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

BLOCKED = -1e9
"""Affinity of a slice that lies inside the query's own window."""

_GATHERED_ELEMENTS = {"cpu": 2**22, "cuda": 2**26}
"""Elements of keys gathered at once; beyond it frames are taken in chunks. A CPU slows down where 16 MiB of fresh
memory are passed (1.6 against 2.0 ms a frame at 80 frames of mini's size); a GPU wants long kernels (3 frames)."""


def local_windows(num_frames: int, window: int) -> Tensor:
    """Frames of each frame's local window, int64 ``[num_frames, window]``, shifted inwards at both ends."""
    if not 1 <= window <= num_frames:
        raise ValueError(f"a local window of {window} frames needs 1 to {num_frames} frames, got {num_frames=}")
    start = (torch.arange(num_frames) - window // 2).clamp(0, num_frames - window)
    return start[:, None] + torch.arange(window)


def slices_inside(windows: Tensor, num_slices: int, kernel: int, stride: int) -> Tensor:
    """True where a memory slice holds nothing that the window does not show in full, bool ``[F, M]``."""
    first = torch.arange(num_slices) * stride
    return (first >= windows[:, :1]) & (first + kernel - 1 <= windows[:, -1:])


def pooled_affinity(queries: Tensor, keys: Tensor) -> Tensor:
    """Mean query of a frame times mean key of a slice: ``[B, F, S, D], [B, M, s, D] -> [B, F, M]`` (released code)."""
    return queries.mean(2, dtype=torch.float32) @ keys.mean(2, dtype=torch.float32).transpose(1, 2)


def aligned_affinity(
    queries: Tensor, keys: Tensor, height: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    """Eq. 4 of the paper: spatially aligned products, summed and scaled by 1 / sqrt(D).

    Args:
        queries: ``[B, F, S, D]``, averaged over the same patches that the tokenizer sees.
        keys: ``[B, M, s, D]``.
        height: Rows of tokens of a query frame.
        kernel: Rows and columns of the tokenizer's kernel.
        stride: Rows and columns of its stride.

    Returns:
        Scores, float32 ``[B, F, M]``.
    """
    batch, frames, _, dim = queries.shape
    image = queries.float().reshape(batch * frames, height, -1, dim).permute(0, 3, 1, 2)
    pooled = functional.avg_pool2d(image, kernel, stride).flatten(2).transpose(1, 2)
    aligned = pooled.reshape(batch, frames, -1)
    return aligned @ keys.float().flatten(2).transpose(1, 2) / math.sqrt(dim)


def select(affinity: Tensor, blocked: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The best slices of each frame.

    Args:
        affinity: ``[B, F, M]``.
        blocked: Slices that must not be chosen, bool ``[F, M]``.
        top_k: How many.

    Returns:
        The scores with `BLOCKED` filled in ``[B, F, M]``, and the chosen slices, best first, int64 ``[B, F, top_k]``.

    A frame must have `top_k` slices to choose from (`check_available`), else blocked ones are chosen.
    """
    scores = affinity.masked_fill(blocked, BLOCKED)
    return scores, scores.topk(top_k, dim=-1).indices


def available_slices(blocked: Tensor) -> int:
    """How many slices the frame with the fewest may choose from, given ``[F, M]``."""
    return int((~blocked).sum(1).min())


def check_available(top_k: int, blocked: Tensor) -> None:
    """Raises ValueError if some frame has fewer than `top_k` slices to choose from, given ``[F, M]``."""
    if top_k > (available := available_slices(blocked)):
        raise ValueError(
            f"{top_k=} memory slices are wanted, but some frame has only {available} outside its window "
            f"(of {blocked.shape[1]}): lower top_k or the temporal stride, or give a longer clip"
        )


def frame_tokens(frames: Tensor, tokens_per_frame: int, first: int = 0) -> Tensor:
    """Places in a key pool of all tokens of the given frames: ``[..., n] -> [..., n * tokens_per_frame]``.

    Args:
        frames: Frame (or slice) numbers.
        tokens_per_frame: Tokens of each.
        first: Where frame 0 begins in the pool.
    """
    within = torch.arange(tokens_per_frame, device=frames.device)
    return (first + frames[..., None] * tokens_per_frame + within).flatten(-2)


def chosen_slices(slices: Tensor, selected: Tensor) -> Tensor:
    """Each frame's chosen slices side by side, ``[B, M, s, H, d]`` and ``[B, F, K]`` to ``[B, F, K * s, H, d]``."""
    batch, count = slices.shape[:2]
    rows = selected + torch.arange(batch, device=selected.device)[:, None, None] * count
    found = slices.reshape(batch * count, -1).index_select(0, rows.flatten())
    return found.view(*selected.shape, *slices.shape[2:]).flatten(2, 3)


def gathered_attention(queries: Tensor, keys: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """Attention of each frame's tokens to its own choice of keys.

    Cost grows with ``F * S * L``, linear in frames as long as L is fixed.

    Args:
        queries: ``[B, F, S, H, d]``.
        keys: Pool of keys, ``[B, P, H, d]``.
        values: Pool of values, ``[B, P, H, d]``.
        index: Places in the pool that each frame sees, int64 ``[B, F, L]`` or ``[1, F, L]``.

    Returns:
        ``[B, F, S, H, d]``.
    """
    batch, frames, _, heads, dim = queries.shape
    index = index.expand(batch, -1, -1)
    offset = torch.arange(batch, device=index.device)[:, None, None] * keys.shape[1]
    rows = index + offset
    budget = _GATHERED_ELEMENTS.get(queries.device.type, _GATHERED_ELEMENTS["cuda"])
    step = max(1, budget // (batch * index.shape[2] * heads * dim))
    parts = [
        _attend_rows(queries[:, i : i + step], keys, values, rows[:, i : i + step]) for i in range(0, frames, step)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def dense_attention(queries: Tensor, keys: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """The same as `gathered_attention` by attention to the whole pool under a mask: cost ``F * S * P``."""
    batch, _, tokens = queries.shape[:3]
    visible = torch.zeros(*queries.shape[:2], keys.shape[1], dtype=torch.bool, device=queries.device)
    visible.scatter_(2, index.expand(batch, -1, -1), True)
    mask = visible.repeat_interleave(tokens, dim=1)[:, None]
    out = functional.scaled_dot_product_attention(
        queries.flatten(1, 2).transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=mask
    )
    return out.transpose(1, 2).reshape(queries.shape)


def _attend_rows(queries: Tensor, keys: Tensor, values: Tensor, rows: Tensor) -> Tensor:
    batch, frames, _, heads, dim = queries.shape

    def gather(pool: Tensor) -> Tensor:
        chosen = pool.reshape(-1, heads * dim).index_select(0, rows.flatten())
        return chosen.view(batch * frames, -1, heads, dim).transpose(1, 2)

    out = functional.scaled_dot_product_attention(queries.flatten(0, 1).transpose(1, 2), gather(keys), gather(values))
    return out.transpose(1, 2).reshape(queries.shape)
