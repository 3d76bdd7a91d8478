"""Predictions that need no memory, made from a clip's context and cameras: what a score must not reward.

first, last     one context frame, all the time; blurred: the last one, blurred
flat, rows, mean  the context's mean colour, means of its rows, its mean picture
backwards, again  the context in another order; fast: backwards at one and a half times the speed
turned, mirrored-edge, moved  the last frame seen from where the camera looks, its border repeated or mirrored; or
                moved round
pinned          turned, with what the last frame that shows a subject shows of it, at its place in the world
halved          turned, the right half being that of the first context frame
shuffled        the context in a random order
noise           random colours
stuck           means of rows with the same subject, where it was in the picture; gated: while the camera looks there

The study sees masks, so that it cuts subjects out better than a model could.
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.metrics.background.floor import camera_blind, seen_from, turned_last_frame
from hmbench.types import LabelMaps, Prompt, Sample, Video

Trick = Literal[
    "first", "last", "blurred", "flat", "rows", "mean", "backwards", "again", "fast",
    "turned", "mirrored-edge", "moved", "pinned", "halved", "shuffled", "noise", "stuck", "gated",
]  # fmt: skip
TRICKS: tuple[Trick, ...] = get_args(Trick)
NEAR = 15.0
"""Degrees within which the camera looks there."""
_ORDERS = {"backwards": "backwards at 1", "again": "again at 1", "fast": "backwards at 1.5"}
_TURNED = {
    "turned": "last frame turned, edge",
    "mirrored-edge": "last frame turned, mirror",
    "moved": "last frame moved round",
}


def memoryless(sample: Sample, trick: Trick) -> Video:
    """A prediction that needs no memory, uint8 ``[Tt, H, W, 3]``."""
    prompt = sample.prompt
    context, steps = prompt.context, prompt.num_target_frames
    if trick in _ORDERS:
        return context[camera_blind(len(context), steps)[_ORDERS[trick]]]
    if trick in _TURNED:
        return turned_last_frame(prompt)[_TURNED[trick]]
    if trick in ("shuffled", "noise"):
        return _random(context, steps, trick)
    if trick == "halved":
        video = turned_last_frame(prompt)["last frame turned, edge"].copy()
        video[:, :, video.shape[2] // 2 :] = context[0][:, video.shape[2] // 2 :]
        return video
    rows = np.broadcast_to(context.mean(axis=(0, 2))[:, None], context.shape[1:])
    stills = {
        "first": context[0],
        "last": context[-1],
        "blurred": cv2.GaussianBlur(context[-1], (0, 0), 6.0),
        "flat": np.broadcast_to(context.mean(axis=(0, 1, 2)), context.shape[1:]),
        "rows": rows,
        "mean": context.mean(axis=0),
    }
    if trick in stills:
        return _repeated(stills[trick], steps)
    assert sample.truth is not None and sample.truth.context_labels is not None, f"{sample.id} was rendered with masks"
    return _pasted(prompt, sample.truth.context_labels, trick, _repeated(rows, steps))


def _pasted(prompt: Prompt, labels: LabelMaps, trick: Trick, rows: Video) -> Video:
    """The subjects of the last frame that shows enough of them, on another picture."""
    sizes = (labels > 0).sum(axis=(1, 2))
    source = int(np.flatnonzero(sizes >= sizes.max() / 2)[-1])
    picture, shown = prompt.context[source], (labels[source] > 0).astype(np.uint8)
    if trick == "pinned":
        lens = prompt.intrinsics.matrix()
        out = turned_last_frame(prompt)["last frame turned, edge"]
        for t, pose in enumerate(prompt.target_poses):
            turn = lens @ prompt.context_poses[source, :3, :3].T @ pose[:3, :3] @ np.linalg.inv(lens)
            there = seen_from(shown, turn, cv2.BORDER_CONSTANT) > 0
            out[t][there] = seen_from(picture, turn, cv2.BORDER_CONSTANT)[there]
        return out
    ahead = prompt.target_poses[:, :3, 2] @ prompt.context_poses[source, :3, 2]
    away = np.degrees(np.arccos(np.clip(ahead, -1, 1)))
    when = away <= NEAR if trick == "gated" else np.ones(len(away), np.bool_)
    return np.where((shown[None] > 0)[..., None] & when[:, None, None, None], picture[None], rows)


def _random(context: Video, steps: int, trick: Trick) -> Video:
    draws = np.random.default_rng(11)
    if trick == "noise":
        return draws.integers(0, 256, (steps, *context.shape[1:]), np.uint8)
    order = np.concatenate([draws.permutation(len(context)) for _ in range(-(-steps // len(context)))])
    return np.asarray(context[order[:steps]], np.uint8)


def _repeated(picture: NDArray[np.generic], steps: int) -> Video:
    frame = np.clip(np.rint(np.asarray(picture, np.float64)), 0, 255).astype(np.uint8)
    return np.repeat(frame[None], steps, axis=0)
