"""Where subjects of drawn clips are measured and where they are: what the `Follower` learns from.

A clip is measured on its true masks. Some are measured a second time as the trained `Seer` finds their subjects: it is
wrong in ways that noise on true masks is not.

Letters: K subjects of all clips, T frames of both halves, H and W pixels, S subjects that are found.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference_model.carrying.carrier import Carrier
from reference_model.carrying.following import BODY, moments, places, steady, trust
from reference_model.released.checkpoint import state_digest
from reference_model.training.carrier_data import ClipFiles, TrueClip, read_clip
from reference_model.training.disk import replacing
from reference_model.training.monitor import Listener, Silent

FOUND_EVERY = 3
"""One training clip in so many is also measured as the seer finds its subjects; all that are held out are.

The seer has seen these training clips, so it finds a little more in them than in others.
"""
LEAST_PIXELS = 200
"""True pixels in the context from which on a subject is looked for among those that are found."""
LEAST_OVERLAP = 0.5
"""Intersection over union with the true pixels of the context from which on one that is found is that subject."""


class Tracks(NamedTuple):
    """Subjects of clips, relative to the first target camera."""

    place: Tensor
    """Measured, NaN where unseen, ``[K, T, 3]``."""
    weight: Tensor
    """`trust`, made `steady` where the seer found them, ``[K, T]``."""
    shape: Tensor
    """As `Known.shape`, ``[K, T, 2]``."""
    true: Tensor
    """Where the body is, moved along its ray to where one of `BODY` metres looks as high, ``[K, T, 3]``."""
    camera: Tensor
    """``[K, T, 3, 4]``."""
    in_view: Tensor
    """Whether a pixel would be in the frame if it were alone, bool ``[K, T]``."""
    held: Tensor
    """Whether its clip is held out, bool ``[K]``."""
    found: Tensor
    """Whether the seer's masks were measured and not true ones, bool ``[K]``; then nothing is known of the target."""


def measured_tracks(files: ClipFiles, carrier: Carrier, out: Path, listener: Listener | None = None) -> Tracks:
    """Tracks of all clips on true masks, then of some as the seer finds them; measured once and kept in `out`.

    Raises:
        TrainingStoppedError: If a clip cannot be read.
        StorageError: If the disk is full.
    """
    listener, held = listener or Silent(), set(files.held_out())
    every = sorted((*files.training(), *held))
    some = [*files.held_out(), *files.training()[::FOUND_EVERY]]
    found = {**files.made_of(), "every": FOUND_EVERY, "seer": state_digest(carrier.seer)}

    def on_true_masks(path: Path) -> Tracks:
        return tracks_of(read_clip(path), held=path in held)

    def on_found_masks(path: Path) -> Tracks:
        return found_tracks(carrier, read_clip(path), held=path in held)

    parts = [
        _kept(out / "tracks.npz", files.made_of(), "true tracks", every, on_true_masks, listener),
        _kept(out / "found.npz", found, "found tracks", some, on_found_masks, listener),
    ]
    return joined(parts)


def joined(parts: list[Tracks]) -> Tracks:
    """All of them, in order."""
    return Tracks(*(torch.cat(values) for values in zip(*parts, strict=True)))


def tracks_of(clip: TrueClip, *, held: bool) -> Tracks:
    """Tracks of one clip's subjects on their true masks."""
    number = torch.arange(1, len(clip.box3d) + 1)[:, None, None, None]
    masks = (torch.from_numpy(clip.labels)[None] == number).float()
    return _tracks(clip, list(range(len(masks))), masks, held=held)


def found_tracks(carrier: Carrier, clip: TrueClip, *, held: bool) -> Tracks:
    """Tracks of one clip's subjects as the seer finds them in the whole context; of those alone that it finds."""
    half = len(clip.frames) // 2
    frames = torch.from_numpy(clip.frames[:half]).permute(0, 3, 1, 2).float() / 127.5 - 1
    poses = torch.from_numpy(_cameras(clip)[1][:half]).float()
    masks = carrier.subjects(frames, poses, float(clip.focal))[0]
    known, own = [], []
    for k in range(len(clip.box3d)):
        true = torch.from_numpy(clip.labels[:half] == k + 1)
        if int(true.sum()) < LEAST_PIXELS or not len(masks):
            continue
        overlap = torch.stack([((mask > 0.5) & true).sum() / ((mask > 0.5) | true).sum() for mask in masks])
        if float(overlap.max()) >= LEAST_OVERLAP:
            known.append(k)
            own.append(masks[int(overlap.argmax())])
    nothing = torch.zeros(len(known), half, *masks.shape[2:])
    whole = torch.cat((torch.stack(own), nothing), 1) if own else torch.zeros(0, 2 * half, *masks.shape[2:])
    tracks = _tracks(clip, known, whole, held=held)
    weight = [steady(found, trust(found)) for found in map(moments, whole)]  # as the carrier trusts what it finds
    return tracks._replace(
        weight=torch.stack(weight) if weight else tracks.weight, found=torch.ones_like(tracks.found)
    )  # fmt: skip


def _tracks(clip: TrueClip, subjects: list[int], masks: Tensor, *, held: bool) -> Tracks:
    """Subjects of a clip, counted from 0, on masks ``[S, T, H, W]``."""
    origin, cameras = _cameras(clip)
    focal, size = float(clip.focal), (int(clip.labels.shape[1]), int(clip.labels.shape[2]))
    found, box = moments(masks), clip.box3d[subjects]
    middle = box[..., :3] @ origin[:3, :3].T + origin[:3, 3]
    stand = cameras[:, :, 3]
    true = stand + (middle - stand) * (BODY / box[..., 5:6])
    camera = torch.from_numpy(cameras).float()
    count = len(subjects)
    return Tracks(
        place=places(found, camera, focal, size),
        weight=trust(found),
        shape=torch.stack(((found.width / found.height).log(), (found.area / found.height**2).log()), -1),
        true=torch.from_numpy(true).float(),
        camera=camera.expand(count, *camera.shape).contiguous(),
        in_view=torch.from_numpy(clip.amodal[subjects] > 0),
        held=torch.full((count,), held),
        found=torch.zeros(count, dtype=torch.bool),
    )


def _cameras(clip: TrueClip) -> tuple[np.ndarray, np.ndarray]:
    """World to the first target camera ``[4, 4]``, and cameras relative to that one ``[T, 3, 4]``."""
    origin = np.linalg.inv(clip.poses[len(clip.poses) // 2])
    return origin, (origin @ clip.poses)[:, :3]


def _kept(
    cache: Path, facts: dict[str, str | int], stage: str, paths: list[Path], measure: Callable[[Path], Tracks],
    listener: Listener,
) -> Tracks:  # fmt: skip
    """What was measured before for the same clips, or what is measured now."""
    made = json.dumps(facts)
    if cache.is_file():
        try:
            with np.load(cache, allow_pickle=False) as found:
                if str(found["made_of"]) == made:
                    listener.stage(stage, len(paths), len(paths))
                    return Tracks(*(torch.from_numpy(found[name]) for name in Tracks._fields))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # damaged, or of another version: it is measured again
    listener.stage(stage, len(paths), 0)
    tracks = joined(list(_measured(paths, measure, listener)))
    arrays = {name: value.numpy() for name, value in tracks._asdict().items()}
    with replacing(cache) as part:
        np.savez(part, allow_pickle=False, made_of=made, **arrays)
    return tracks


def _measured(paths: list[Path], measure: Callable[[Path], Tracks], listener: Listener) -> Iterator[Tracks]:
    for number, path in enumerate(paths, start=1):
        yield measure(path)
        listener.advance(number, "")
