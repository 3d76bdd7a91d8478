"""Carries remembered pictures into new frames: an archivist for what stands still, a tracker for who moves.

The transformer paints what memory resembles; at a size that hours can train, it paints it softly. What is in a
remembered frame already need not be painted again. The carrier moves it: along the ray what stands still, along its
path who walks. It looks only at the frames that the transformer's memory shows to new frames, and takes a frame's
pictures only from those that this frame is shown, so that memories differ here as they do there. What it cannot carry
it leaves to the transformer.

Letters: G latent frames, T frames, S frames that are seen at all, K subjects.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor
from torch.nn import functional

from reference_model.carrying import following, gait
from reference_model.carrying.following import Follower, Known, Moments, seen_by
from reference_model.carrying.geometry import aligned_change, partners
from reference_model.carrying.layers import Layer, Remembered, static_layer, subject_layer
from reference_model.carrying.seeing import Seer

MARGIN = 5
"""Pixels across the square around a subject's pixels that is not taken for background."""
LEAST_WEIGHT = 0.75
"""Latent frames that must show a subject well before it is followed."""
WELL = 0.3
"""Weight from which on a frame shows a subject well enough to take its picture."""


class Cameras(NamedTuple):
    """Cameras of frames relative to the first new one, ``[T, 3, 4]`` each, and the lens."""

    context: Tensor
    target: Tensor
    focal: float


class Carried(NamedTuple):
    """New frames as far as memory has them."""

    picture: Tensor
    """In [-1, 1], ``[T, 3, H, W]``."""
    cover: Tensor
    """How much of a pixel is carried, ``[T, H, W]``."""
    sure: Tensor
    """How much what is carried counts against what the transformer paints, in (0, 1], ``[T, H, W]``."""


class Carrier(ModelMixin, ConfigMixin):
    """Finds subjects, follows them, and carries them and what stands still into new frames.

    Args:
        widths: Channels of the `Seer` at each resolution.
        embedding: Channels of its embeddings.
        dim: Channels of the `Follower`.
        layers: Its blocks.
    """

    @register_to_config
    def __init__(
        self, *, widths: tuple[int, ...] = (12, 24, 48, 64), embedding: int = 8, dim: int = 64, layers: int = 3
    ) -> None:
        super().__init__()
        self.seer = Seer(tuple(widths), embedding)
        self.follower = Follower(dim, layers)

    @torch.no_grad()
    def forward(self, context: Tensor, cameras: Cameras, seen: Tensor, stride: int = 4) -> Carried:
        """New frames as far as memory has them.

        Args:
            context: In [-1, 1], ``[Tc, 3, H, W]``.
            cameras: Of both halves, and the focal length at this size.
            seen: Which latent frames of the context each latent frame of the target is shown, bool ``[Gt, Gc]``.
            stride: Frames a latent frame.

        Returns:
            What is carried; a cover of 0 everywhere if nothing is seen.
        """
        frame_of = _latent_of(len(context), stride)
        shown = seen[_latent_of(len(cameras.target), stride)][:, frame_of]
        chosen = torch.nonzero(shown.any(0))[:, 0]
        if not len(chosen):
            empty = context.new_zeros(len(cameras.target), *context.shape[1:])
            return Carried(empty, empty[:, 0], torch.ones_like(empty[:, 0]))
        frames, poses = context[chosen], cameras.context[chosen]
        mask, anyone = self.subjects(frames, poses, cameras.focal)
        blocked = functional.max_pool2d(anyone[:, None], MARGIN, 1, MARGIN // 2)[:, 0]
        past = Remembered(frames, 1 - blocked, poses, cameras.focal)
        painted = static_layer(past, cameras.target, shown[:, chosen])
        found = [layer for m in mask for layer in self._subject(past, m, chosen, cameras, (seen, stride))]
        picture, cover, sure = painted
        for _, layer in sorted(found, key=lambda pair: -pair[0]):
            picture = picture * (1 - layer.cover[:, None]) + layer.picture
            cover = torch.maximum(cover, layer.cover)
            sure = torch.maximum(sure, layer.cover)
        return Carried(picture.clamp(-1, 1), cover, sure)

    @torch.no_grad()
    def subjects(self, frames: Tensor, poses: Tensor, focal: float) -> tuple[Tensor, Tensor]:
        """Finds subjects in frames.

        Args:
            frames: In [-1, 1], ``[S, 3, H, W]``, in the order of time.
            poses: Their cameras, ``[S, 3, 4]``.
            focal: In pixels.

        Returns:
            Soft masks of each subject ``[K, S, H, W]``, the largest first, and of anyone ``[S, H, W]``, in [0, 1].
        """
        number = torch.arange(len(frames))
        change = aligned_change(frames, poses, focal, number, partners(len(frames)))
        parts = [self.seer(frames[i : i + 16], change[i : i + 16]) for i in range(0, len(frames), 16)]
        chance = torch.cat([part[0] for part in parts]).sigmoid()
        mask = following.group(chance, torch.cat([part[1] for part in parts]))
        return following.bodies(((mask - 0.3) / 0.4).clamp(0, 1)), ((chance - 0.1) / 0.3).clamp(0, 1)

    def _subject(
        self, past: Remembered, mask: Tensor, times: Tensor, cameras: Cameras, memory: tuple[Tensor, int]
    ) -> list[tuple[float, Layer]]:
        """One subject in all new frames, with its distance; nothing where no frame shows it well.

        Where it goes follows from all that the memory shows of it to any new frame, since new frames know of each
        other; a new frame that is not shown it does not have it.
        """
        seen, stride = memory
        size, count, ahead = (int(mask.shape[1]), int(mask.shape[2])), len(cameras.context), len(cameras.target)
        measured = following.moments(mask)
        trust = following.steady(measured, following.trust(measured))
        known = self._known(measured, trust, times, cameras, size, stride)
        shown = (known.weight[:, : seen.shape[1]] * seen).sum(1) >= LEAST_WEIGHT
        usable = (trust >= WELL).nonzero()[:, 0]
        if not bool(shown.any()) or not len(usable):
            return []
        poses = torch.cat((cameras.context, cameras.target))
        points = _between(self.follower(known)[0], known.time[0], torch.arange(-count, ahead).float())
        stand = torch.stack(seen_by(points, poses, cameras.focal, size), -1)
        there, here, then = _steadied(stand[times[usable]], measured, usable), stand[count:], times[usable]
        walked, side = _walked(points, then), _sides(points, poses)
        length = gait.stride(gait.cut_outs(past.frames[usable], mask[usable], there), walked[then])
        late = _latent_of(ahead, stride)
        allowed = (seen[:, _latent_of(count, stride)[then]] & shown[:, None])[late]
        sizes, sides = (there[:, 2], here[:, 2]), (side[then], side[count:])
        source = gait.choose((walked[then], walked[count:]), length, sizes, sides, allowed)
        here = torch.where(allowed.any(1, keepdim=True), here, 0.0)
        layer = subject_layer(past, mask, usable[source], there[source], here)
        near = (points[count:] - poses[count:, :, 3]).norm(dim=-1)
        return [(float(near.mean()), layer)]

    def _known(
        self, measured: Moments, trust: Tensor, times: Tensor, cameras: Cameras, size: tuple[int, int], stride: int
    ) -> Known:
        """What all seen frames tell of a subject, as a batch of one."""
        count, ahead = len(cameras.context), len(cameras.target)
        place = following.places(measured, cameras.context[times], cameras.focal, size)
        shape = torch.stack(((measured.width / measured.height).log(), (measured.area / measured.height**2).log()), -1)
        whole = torch.zeros(count, 5)
        whole[times] = torch.cat((place, shape), -1)
        weight = torch.zeros(count)
        weight[times] = trust
        value, total = following.pooled(whole[None], weight[None], stride)
        late = following.latent_times(ahead, 0.0, stride)
        early = following.latent_times(count, float(-count), stride)
        stood = [
            following.pooled(c[None, :, :, 3], torch.ones(1, len(c)), stride)[0]
            for c in (cameras.context.float(), cameras.target.float())
        ]
        later = torch.zeros(1, len(late), 5)
        both = torch.cat((value, later), 1)
        return Known(
            place=both[..., :3], weight=torch.cat((total, later[..., 0]), 1), shape=both[..., 3:],
            camera=torch.cat(stood, 1), time=torch.cat((early, late))[None],
        )  # fmt: skip


def _latent_of(frames: int, stride: int) -> Tensor:
    """Latent frame of each frame: 0, then groups of `stride`."""
    return (torch.arange(frames) + stride - 1) // stride


def _between(points: Tensor, known: Tensor, at: Tensor) -> Tensor:
    """Points ``[G, 3]`` of some times at other times, on straight lines between them and beyond."""
    after = torch.searchsorted(known, at).clamp(1, len(known) - 1)
    share = ((at - known[after - 1]) / (known[after] - known[after - 1]))[:, None]
    return points[after - 1] * (1 - share) + points[after] * share


def _steadied(stand: Tensor, measured: Moments, usable: Tensor) -> Tensor:
    """Where the body is in frames: on its path, moved by what measured places are off it for longer than a step.

    What they are off it all the time is the way from the middle of its pixels to the middle of its body.
    """
    seen = torch.stack((measured.column, measured.row), -1)[usable]
    off = (seen - stand[:, :2]) / stand[:, 2:].clamp_min(1)
    window = min(13, 2 * ((len(off) - 1) // 2) + 1)
    padded = functional.pad(off.T[None], (window // 2, window // 2), mode="replicate")
    slow = functional.avg_pool1d(padded, window, 1)[0].T
    moved = (slow - off.mean(0)) * stand[:, 2:]
    return torch.cat((stand[:, :2] + moved, stand[:, 2:]), -1)


def _walked(points: Tensor, then: Tensor) -> Tensor:
    """How far a subject has come over the ground at its mean pace in the frames `then`, body heights, ``[T]``.

    At an even pace: what is wrong with it is wrong in every stride alike, and the length of a stride makes up for it.
    """
    way = points[int(then.min()) : int(then.max()) + 1, ::2]
    pace = _slope(way) if len(way) > 1 else 0.0
    return torch.arange(len(points)) * pace / following.BODY


def _slope(points: Tensor) -> float:
    """Pace of the straight way that fits points ``[n, 2]`` best."""
    t = torch.arange(len(points)) - (len(points) - 1) / 2
    return float(((t[:, None] * points).sum(0) / t.square().sum()).norm())


def _sides(points: Tensor, poses: Tensor) -> Tensor:
    """Angle between the way that a subject goes and the ray on which it is seen, about the vertical, ``[T]``."""
    step = torch.gradient(points, dim=0)[0]
    ray = points - poses[:, :, 3].to(points)
    return torch.atan2(step[:, 0], step[:, 2]) - torch.atan2(ray[:, 0], ray[:, 2])
