"""Training of the `Follower`: from the moments of masks to where the middle of the true body is, at all times.

Letters: K subjects of all clips, T frames of both halves, G latent frames of both, B subjects of a step.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from reference_model.carrying.following import BODY, Follower, Known, latent_times, pooled
from reference_model.released.checkpoint import tensors_digest
from reference_model.training.monitor import Listener
from reference_model.training.randomness import generator
from reference_model.training.small_training import SmallRecipe, SmallRun, train_small
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.tracks import Tracks

STRIDE = 4
"""Frames of a latent frame."""
LEAST_SEEN = 0.3
"""Trust that one frame of the context must reach for a subject to be followed."""
FARTHEST = 8.0
"""Body heights from which on an error counts no more."""
OUT_OF_VIEW, CONTEXT = 0.15, 0.3
"""What errors count where a subject is out of view, and in the context."""
ON_TRUE_MASKS = 0.35
"""How often a subject on true masks is learned from, where one that the seer found is learned from once."""


class Lesson(NamedTuple):
    """What is known of some subjects, and what is true."""

    known: Known
    """``[B, G, ...]``."""
    true: Tensor
    """``[B, G, 3]``."""
    camera: Tensor
    """``[B, G, 3, 4]``."""


def follower_recipe(steps: int) -> SmallRecipe:
    """The recipe."""
    return SmallRecipe(steps=steps, batch=128, learning_rate=1e-3, betas=(0.9, 0.999), ema=0.998)


def train_follower(
    follower: Follower, tracks: Tracks, made_of: dict[str, Any], out: Path, recipe: SmallRecipe, seed: int,
    listener: Listener | None = None,
) -> dict[str, float]:  # fmt: skip
    """Trains `follower` in place, from its newest checkpoint in `out` if there is one.

    Args:
        follower: Untrained.
        tracks: Of all clips.
        made_of: What they follow from.
        out: Of checkpoints and metrics.
        recipe: How.
        seed: Of batches and augmentation.
        listener: Told of each line of metrics.

    Returns:
        Of held-out clips on true masks ``place`` and ``scale`` (`errors`), and ``straight_place`` and
        ``straight_scale`` of an even walk, for ``subjects`` subjects; the same with ``found_`` before it for those that
        the seer found, on its masks. What no held-out clip has is left out.

    Raises:
        TrainingStoppedError: If `out` holds another run, there is nobody to follow, the loss is no number, or the disk
            is full.
    """
    half = tracks.place.shape[1] // 2
    known = tracks.weight[:, :half].max(1).values > LEAST_SEEN
    learned = torch.nonzero(known & ~tracks.held)[:, 0]
    if not len(learned):
        raise TrainingStoppedError("No clip shows a subject well enough to follow it.", "Give more --clips.")
    masks = {"": ~tracks.found, "found_": tracks.found}
    rows = {name: torch.nonzero(known & tracks.held & of)[:, 0] for name, of in masks.items()}
    held = {name: some for name, some in rows.items() if len(some)}
    batches = Batches(tracks)
    straight = _straight(batches, held)
    run = SmallRun(
        folder=out,
        recipe=recipe,
        made_of={**made_of, "tracks": tensors_digest(tracks._asdict())[:16], "seed": seed},
        loss=partial(_loss, follower, batches, learned, recipe.batch, seed),
        measure=lambda: {**_measured(follower, batches, held), **straight},
    )
    return train_small("follower", follower, run, listener)


class Batches:
    """Lessons of tracks, pooled over latent frames.

    Args:
        tracks: Of K subjects.
    """

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self.half = half = tracks.place.shape[1] // 2
        self.past = 1 + (half - 1) // STRIDE
        self.time = torch.cat((latent_times(half, float(-half), STRIDE), latent_times(half, 0.0, STRIDE)))
        later = torch.arange(1, self.past) * STRIDE - STRIDE // 2
        middle = torch.cat((torch.zeros(1, dtype=torch.int64), later))
        middle = torch.cat((middle, middle + half))
        ones = torch.ones_like(tracks.weight)
        self.true = self._pooled(tracks.true, ones)[0]
        self.stand = self._pooled(tracks.camera[..., 3], ones)[0]
        self.camera = torch.cat((tracks.camera[:, middle, :, :3], self.stand[..., None]), -1)
        self.in_view = tracks.in_view[:, middle]

    def plain(self, rows: Tensor) -> Lesson:
        """Subjects as they were measured."""
        return self._lesson(rows, self.tracks.place[rows])

    def augmented(self, rows: Tensor, draw: Generator) -> Lesson:
        """Subjects as a noisy eye and a short memory know them, every second one mirrored."""
        lesson = self._lesson(rows, self._noisy(rows, draw))
        known = lesson.known._replace(weight=_remembered(lesson.known.weight, self.past, draw))
        return _mirrored(Lesson(known, lesson.true, lesson.camera), draw)

    def worth(self, rows: Tensor) -> Tensor:
        """What errors count in training, ``[B, G]``."""
        worth = torch.where(self.in_view[rows], 1.0, OUT_OF_VIEW)
        worth[:, : self.past] *= CONTEXT
        return worth

    def asked(self, rows: Tensor) -> Tensor:
        """1 where errors are measured: in view, in the target, ``[B, G]``."""
        asked = self.in_view[rows].float()
        asked[:, : self.past] = 0
        return asked

    def _pooled(self, value: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        halves = (slice(0, self.half), slice(self.half, None))
        parts = [pooled(value[:, part], weight[:, part], STRIDE) for part in halves]
        return torch.cat([part[0] for part in parts], 1), torch.cat([part[1] for part in parts], 1)

    def _lesson(self, rows: Tensor, place: Tensor) -> Lesson:
        weight = self.tracks.weight[rows].clone()
        weight[:, self.half :] = 0
        value, total = self._pooled(torch.cat((place, self.tracks.shape[rows]), -1), weight)
        known = Known(
            place=value[..., :3], weight=total, shape=value[..., 3:], camera=self.stand[rows],
            time=self.time.expand(len(rows), -1),
        )  # fmt: skip
        return Lesson(known, self.true[rows], self.camera[rows])

    def _noisy(self, rows: Tensor, draw: Generator) -> Tensor:
        """Places, nearer or farther and aside by a little: in each frame, all of a subject's alike, and by a drift."""
        place, stand = self.tracks.place[rows], self.tracks.camera[rows][..., 3]
        count, frames = place.shape[:2]
        rough = torch.rand(count, 1, 1, generator=draw) * 0.03
        depth = 1 + torch.randn(count, frames, 1, generator=draw) * rough
        depth = depth + torch.randn(count, 1, 1, generator=draw) * 0.03
        depth = depth + _drift((count, frames, 1), 0.06, 0.015, draw)
        aside = torch.rand(count, 1, 1, generator=draw) * 0.004
        ray = place - stand
        way = ray.norm(dim=-1, keepdim=True)
        off = torch.randn(count, frames, 3, generator=draw) * aside + _drift((count, frames, 3), 0.012, 0.006, draw)
        moved: Tensor = stand + ray * depth + way * off
        return moved


def errors(points: Tensor, lesson: Lesson, worth: Tensor) -> tuple[Tensor, Tensor]:
    """Mean errors of world points ``[B, G, 3]`` as cameras see them.

    Returns:
        Columns and rows off, in body heights, at most `FARTHEST` each, summed; and the absolute log of the scale.
    """
    (found, depth), (true, real) = _seen(points, lesson.camera), _seen(lesson.true, lesson.camera)
    off = ((found - true) * real[..., None] / BODY).abs().clamp(max=FARTHEST).sum(-1)
    worth = worth * (real > 0.5)
    total = worth.sum().clamp_min(1e-6)
    return (off * worth).sum() / total, ((depth / real).log().abs() * worth).sum() / total


def _loss(
    follower: Follower, batches: Batches, learned: Tensor, batch: int, seed: int, step: int
) -> dict[str, Tensor]:  # fmt: skip
    draw = generator(seed, "follower", step)
    share = torch.where(batches.tracks.found[learned], 1.0, ON_TRUE_MASKS)
    rows = learned[torch.multinomial(share, batch, replacement=True, generator=draw)]
    lesson = batches.augmented(rows, draw)
    place, scale = errors(follower(lesson.known), lesson, batches.worth(rows))
    return {"loss": place + scale, "place_loss": place, "scale_loss": scale}


@torch.no_grad()
def _measured(follower: Follower, batches: Batches, held: dict[str, Tensor]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, rows in held.items():
        lesson = batches.plain(rows)
        place, scale = errors(follower(lesson.known), lesson, batches.asked(rows))
        found |= {f"{name}subjects": len(rows), f"{name}place": float(place), f"{name}scale": float(scale)}
    return found


def _straight(batches: Batches, held: dict[str, Tensor]) -> dict[str, float]:
    """Errors of the even walk, which a `Follower` of any weights gives whose last layer is zero."""
    with torch.random.fork_rng(devices=[]):
        first = Follower().eval()
    found = _measured(first, batches, held)
    return {f"{name}straight_{part}": found[f"{name}{part}"] for name in held for part in ("place", "scale")}


def _seen(points: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
    there = torch.einsum("bgji,bgj->bgi", camera[..., :3], points - camera[..., 3])
    depth = there[..., 2].clamp_min(0.3)
    across: Tensor = there[..., :2] / depth[..., None]
    return across, depth


def _drift(size: tuple[int, int, int], even: float, wave: float, draw: Generator) -> Tensor:
    """What is off more and more towards both ends of a clip, plus a slow wave, ``[B, T, channels]``.

    Args:
        size: B, T, channels.
        even: Deviation at the ends, 0 in the middle: where the context ends, which alone is measured.
        wave: Deviation of the wave's height.
        draw: Random numbers.
    """
    count, frames, channels = size
    time = torch.linspace(-1, 1, frames)[None, :, None]
    slope, height = torch.randn(2, count, 1, channels, generator=draw)
    begin, speed = torch.rand(2, count, 1, 1, generator=draw)
    drift: Tensor = even * slope * time + wave * height * torch.sin(6.28 * begin + 12 * speed * time)
    return drift


def _remembered(weight: Tensor, past: int, draw: Generator) -> Tensor:
    """Forty in a hundred keep all, fifteen what is recent, the others frames by chance; none keep nothing."""
    count, frames = weight.shape
    kind = torch.rand(count, 1, generator=draw)
    chance = 0.3 + 0.7 * torch.rand(count, 1, generator=draw)
    some = torch.rand(count, frames, generator=draw) < chance
    since = torch.randint(0, max(past - 2, 1), (count, 1), generator=draw)
    recent = torch.arange(frames) >= since
    keep = torch.where(kind < 0.4, True, torch.where(kind < 0.55, recent, some))
    kept = weight * keep
    enough = kept.max(1, keepdim=True).values > LEAST_SEEN
    return torch.where(enough, kept, weight)


def _mirrored(lesson: Lesson, draw: Generator) -> Lesson:
    """Left and right changed for every second subject."""
    known, true, camera = lesson
    sign = torch.ones(len(true), 1, 3)
    sign[:, 0, 0] = torch.where(torch.rand(len(true), generator=draw) < 0.5, -1.0, 1.0)
    both = sign[..., None] * sign[:, :, None]  # M R M of a diagonal M
    turned = torch.cat((camera[..., :3] * both, (camera[..., 3] * sign)[..., None]), -1)
    return Lesson(known._replace(place=known.place * sign, camera=known.camera * sign), true * sign, turned)
