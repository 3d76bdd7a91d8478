"""How good each part of the carrier is on held-out clips of a training split: pixels, place, size, step.

    python benchmarks/carrier_parts.py                   # the shipped carrier, 32 clips of the easy world, 2 minutes
    python benchmarks/carrier_parts.py --true-masks      # the follower and the steps alone, on masks without a fault
    python benchmarks/carrier_parts.py --carrier runs/carrier/carrier --world mini

A subject counts if the context and the target show it. Everything is measured in the frames of the target that it is in
view of, with all of the context shown. Clips are slots 2007, 2057, ... of the split: carriers in the repository were
trained without them, and so is any that the command trains on 2,000 clips or fewer of a world.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from hmbench.data.mini_world.bodies import stride
from hmbench.data.mini_world.clip import RenderedClip, SubjectRecord
from hmbench.data.mini_world.looks import LOOKS
from reference_model.carrying import carrier as carrying
from reference_model.carrying.carrier import Cameras, Carrier
from reference_model.carrying.layers import Layer, Remembered
from reference_model.model.camera import relative_poses
from reference_model.sampling.carriers import NAME, load_carrier
from reference_model.sampling.world_model import WEIGHTS
from reference_model.training.trainer import MINI_SPLITS, render_slot

FIRST, EVERY = 2007, 50
IN_STEP = 0.12
"""Strides up to which a step counts as right: an eighth of a stride."""


class Found(NamedTuple):
    """One subject of one clip, means over the frames in view."""

    iou: float
    """Of its pixels in the context."""
    place: float
    """Distance in the picture, in heights of the body."""
    straight: float
    """The same of an even walk on from the same places."""
    size: float
    """Absolute logarithm."""
    step: float
    """Strides between the step that is shown and the one that it takes."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carrier", type=Path, default=WEIGHTS / NAME, help="folder of a carrier")
    parser.add_argument("--world", choices=sorted(MINI_SPLITS), default="mini-easy", help="whose training split")
    parser.add_argument("--clips", type=int, default=32, help="how many")
    parser.add_argument("--true-masks", action="store_true", help="masks from the truth instead of the seer's")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    carrier, found = load_carrier(asked.carrier), []
    for number in range(asked.clips):
        clip = render_slot(MINI_SPLITS[asked.world], FIRST + EVERY * number, (112, 64), 77)
        found += of_clip(carrier, clip, true_masks=asked.true_masks)
    print(json.dumps(summary(found), indent=1))


def summary(found: list[Found]) -> dict[str, float]:
    """Means and medians."""
    columns = {name: np.array([getattr(row, name) for row in found]) for name in Found._fields}
    told: dict[str, float] = {"subjects": len(found)}
    for name, values in columns.items():
        told[name] = round(float(values.mean()), 3)
        told[f"{name}, median"] = round(float(np.median(values)), 3)
    return {
        **told,
        "iou, least": round(float(columns["iou"].min()), 3),
        "in step": float((columns["step"] < IN_STEP).mean()),
    }


@torch.no_grad()
def of_clip(carrier: Carrier, clip: RenderedClip, *, true_masks: bool) -> list[Found]:
    """What is found of each subject of a clip."""
    half = clip.num_context
    poses = torch.from_numpy(relative_poses(clip.poses, clip.poses[half])[:, :3]).float()
    cameras = Cameras(poses[:half], poses[half:], clip.focal)
    frames = torch.from_numpy(clip.frames[:half]).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.from_numpy(clip.labels[:half].astype(np.int64))
    seen = torch.stack([labels == subject.label for subject in clip.subjects])
    masks = seen.float() if true_masks else carrier.subjects(frames, cameras.context, clip.focal)[0]
    past = Remembered(frames, 1 - seen.any(0).float(), cameras.context, clip.focal)
    found = []
    for subject, own in zip(clip.subjects, seen, strict=True):
        in_view = subject.amodal_area[half:] > 20
        if int(own.sum()) < 500 or subject.amodal_area[half:].max() < 50:
            continue
        overlap = [float(((m > 0.5) & own).sum() / ((m > 0.5) | own).sum()) for m in masks]
        if not overlap:
            continue
        shown = watched(carrier, (past, masks[int(np.argmax(overlap))]), cameras)
        if shown is not None:
            found.append(compared(clip, subject, shown, in_view, max(overlap)))
    return found


def watched(
    carrier: Carrier, given: tuple[Remembered, Tensor], cameras: Cameras
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Frames that a subject is taken from, where it is shown, and where an even walk would be; None if nowhere."""
    kept: list[tuple[Tensor, Tensor]] = []

    def layer(past: Remembered, mask: Tensor, source: Tensor, there: Tensor, here: Tensor) -> Layer:
        kept.append((source, here))
        return Layer(past.frames[source] * 0, mask[source] * 0)

    every = torch.ones(20, 20, dtype=torch.bool)
    straight = Carrier().eval()  # untrained: its last layer is zero
    with mock.patch.object(carrying, "subject_layer", layer):
        for one in (carrier, straight):
            one._subject(*given, torch.arange(len(cameras.context)), cameras, (every, 4))
    return (kept[0][0], kept[0][1], kept[1][1]) if len(kept) == 2 else None


def compared(
    clip: RenderedClip, subject: SubjectRecord, shown: tuple[Tensor, Tensor, Tensor], in_view: np.ndarray, iou: float
) -> Found:
    """Against the truth."""
    half, size = clip.num_context, (clip.frames.shape[2], clip.frames.shape[1])
    source, here, even = (part.numpy() for part in shown)
    box, poses = subject.box3d, clip.poses
    there = np.einsum("tji,tj->ti", poses[:, :3, :3], box[:, :3] - poses[:, :3, 3])[half:]
    depth = there[:, 2].clip(0.3)
    true = np.stack([there[:, k] / depth * clip.focal + size[k] / 2 for k in (0, 1)], 1)
    tall = clip.focal * box[half:, 5] / depth

    def off(guess: np.ndarray) -> float:
        return float((np.hypot(*(guess[:, :2] - true).T) / tall)[in_view].mean())

    length = stride(next(look for look in LOOKS if look.name == subject.name))
    walked = np.concatenate(([0.0], np.linalg.norm(np.diff(subject.feet[:, :2], axis=0), axis=1).cumsum())) / length
    strides = walked[half:] - walked[source]
    step = np.abs(strides - strides.round())
    scale = np.abs(np.log(here[:, 2].clip(1) / tall))
    return Found(iou, off(here), off(even), float(scale[in_view].mean()), float(step[in_view].mean()))


if __name__ == "__main__":
    main()
