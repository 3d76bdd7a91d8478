"""Training of the `Seer`: pixels of subjects, and embeddings that are alike for pixels of one subject of one clip.

Letters: n frames of a clip, T frames of a half, H and W pixels, E channels of an embedding.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from reference_model.carrying.geometry import APART, aligned_change, partners
from reference_model.carrying.seeing import Seer
from reference_model.training.carrier_data import ClipFiles, TrueClip, read_clip
from reference_model.training.monitor import Listener
from reference_model.training.randomness import clip_order, generator
from reference_model.training.small_training import SmallRecipe, SmallRun, train_small

FRAMES = 4
"""Frames of a clip in a step: what embeddings must be alike across."""
PAIRS = 192
"""Pixels of a clip whose embeddings are compared, each with each."""
SMALLEST = 8
"""Pixels of anyone that make a frame worth drawing."""
MEASURED = 3
"""Frames of each half of a held-out clip that are measured."""
LUMA = (0.299, 0.587, 0.114)


class Frames(NamedTuple):
    """Frames of one clip as the `Seer` takes them, and who is there."""

    picture: Tensor
    """In [-1, 1], ``[n, 3, H, W]``."""
    change: Tensor
    """`aligned_change`, ``[n, 4, H, W]``."""
    labels: Tensor
    """0 background, k subject k, int64 ``[n, H, W]``."""


def seer_recipe(steps: int) -> SmallRecipe:
    """The recipe."""
    return SmallRecipe(steps=steps, batch=4, learning_rate=2e-3, betas=(0.9, 0.98), ema=0.995)


def train_seer(
    seer: Seer, files: ClipFiles, out: Path, recipe: SmallRecipe, seed: int, listener: Listener | None = None
) -> dict[str, float]:
    """Trains `seer` in place, from its newest checkpoint in `out` if there is one.

    Returns:
        ``iou`` on held-out clips; nothing where none are held out.

    Raises:
        TrainingStoppedError: If `out` holds another run, a clip cannot be read, the loss is no number, or the disk is
            full.
    """
    training = files.training()
    held = _held_out(files.held_out())
    seer.to(memory_format=torch.channels_last)
    run = SmallRun(
        folder=out,
        recipe=recipe,
        made_of={**files.made_of(), "seed": seed},
        loss=partial(_loss, seer, training, recipe.batch, seed),
        measure=lambda: {"iou": iou(seer, held)} if held else {},
    )
    found = train_small("seer", seer, run, listener)
    seer.to(memory_format=torch.contiguous_format)
    return found


@torch.no_grad()
def iou(seer: Seer, held: list[Frames]) -> float:
    """Pixels that are found (a chance above half) and true, as a share of those that are either, over all frames."""
    both = either = 0
    for part in held:
        found, true = seer(part.picture, part.change)[0] > 0, part.labels > 0
        both += int((found & true).sum())
        either += int((found | true).sum())
    return both / max(either, 1)


def subject_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy, in which subjects count five times, and 1 less the Dice coefficient of frames."""
    true = (labels > 0).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, true, weight=1 + 4 * true)
    chance = logits.sigmoid()
    both = (chance * true).sum((1, 2))
    return entropy, (1 - (2 * both + 4) / (chance.sum((1, 2)) + true.sum((1, 2)) + 4)).mean()


def embedding_loss(embedding: Tensor, labels: Tensor, draw: Generator) -> Tensor | None:
    """Whether two pixels are of one subject, told from their embeddings ``[n, E, H, W]``; None where nobody is seen."""
    pixels, whose = embedding.permute(0, 2, 3, 1)[labels > 0], labels[labels > 0]
    if len(whose) < SMALLEST:
        return None
    some = torch.randint(len(whose), (PAIRS,), generator=draw)
    alike = pixels[some] @ pixels[some].T * 8 - 3
    same = (whose[some][:, None] == whose[some][None]).float()
    weight = torch.ones_like(same)
    if bool((same == 0).any()):
        weight = torch.where(same > 0, 0.5 / same.mean(), 0.5 / (1 - same.mean()).clamp_min(1e-3))
    return functional.binary_cross_entropy_with_logits(alike, same, weight=weight)


def _loss(seer: Seer, files: list[Path], batch: int, seed: int, step: int) -> dict[str, Tensor]:
    order = clip_order(seed, step, batch, len(files))
    draws = [generator(seed, "seer", step, place) for place in range(batch)]
    clips = [augmented(read_clip(files[k]), draw) for k, draw in zip(order, draws, strict=True)]
    whole = Frames(*(torch.cat(parts) for parts in zip(*clips, strict=True)))
    logits, embedding = seer(whole.picture.contiguous(memory_format=torch.channels_last), whole.change)
    entropy, dice = subject_loss(logits, whole.labels)
    sizes = [len(clip.labels) for clip in clips]
    told = [
        embedding_loss(*parts)
        for parts in zip(embedding.split(sizes), whole.labels.split(sizes), draws, strict=True)
    ]  # fmt: skip
    known = [value for value in told if value is not None]
    whose = torch.stack(known).mean() if known else torch.zeros(())
    return {
        "loss": entropy + 0.5 * dice + 0.3 * whose, "cross_entropy": entropy, "dice": dice, "embedding": whose,
    }  # fmt: skip


def augmented(clip: TrueClip, draw: Generator) -> Frames:
    """Some frames of a clip, as cameras, codecs and mirrors would change them."""
    half = len(clip.frames) // 2
    first = half if _uniform(draw) >= 0.7 else 0  # either half is a fine film
    picks = _picked((clip.labels[first : first + half] > 0).sum((1, 2)), draw)
    later = partners(half)[picks]
    if _uniform(draw) < 0.5:  # the other way round is as good
        later = torch.where(picks >= APART, picks - APART, later)
    use = torch.cat((picks, later)) + first
    pictures = _as_pictures(clip, use)
    if _uniform(draw) < 0.5:  # what a codec leaves
        pictures = _softened(pictures, draw)
    gain = 0.85 + 0.3 * torch.rand(1, 3, 1, 1, generator=draw)
    light = -0.1 + 0.2 * _uniform(draw)
    noise = torch.randn(pictures.shape, generator=draw) * (0.05 * _uniform(draw))
    found = _seen(clip, (pictures * gain + light + noise).clamp(-1, 1), use)
    if _uniform(draw) < 0.5:
        return Frames(found.picture.flip(3), found.change.flip(3), found.labels.flip(2))
    return found


def _picked(area: np.ndarray, draw: Generator) -> Tensor:
    """Frames of a half: all but one show somebody, if so many do."""
    seen = torch.from_numpy(np.flatnonzero(area > SMALLEST))
    good = seen[torch.randperm(len(seen), generator=draw)[: FRAMES - 1]]
    rest = torch.randperm(len(area), generator=draw)[: FRAMES - len(good)]
    return torch.cat((good, rest))


def _as_pictures(clip: TrueClip, use: Tensor) -> Tensor:
    return torch.from_numpy(clip.frames[use.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1


def _seen(clip: TrueClip, pictures: Tensor, use: Tensor) -> Frames:
    """Pictures of frames and, after them, of their partners, made into what the `Seer` takes."""
    count = len(use) // 2
    number = torch.arange(count)
    poses = torch.from_numpy(clip.poses)[use]
    change = aligned_change(pictures, poses, float(clip.focal), number, number + count)
    labels = torch.from_numpy(clip.labels[use[:count].numpy()].astype(np.int64))
    return Frames(pictures[:count], change, labels)


def _softened(pictures: Tensor, draw: Generator) -> Tensor:
    """Colours blurred by a share, brightness as it is; three in ten stay."""
    if _uniform(draw) < 0.3:
        return pictures
    share = 0.2 + 0.8 * _uniform(draw)
    bright = (pictures * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    colour = pictures - bright
    blurred = functional.avg_pool2d(functional.pad(colour, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return bright + torch.lerp(colour, blurred, share)


def _held_out(files: list[Path]) -> list[Frames]:
    """Frames to measure on, evenly spaced, as they are."""
    found = []
    for path in files:
        clip = read_clip(path)
        half = len(clip.frames) // 2
        picks = (torch.arange(MEASURED) * 2 + 1) * half // (2 * MEASURED)
        for first in (0, half):
            use = torch.cat((picks, partners(half)[picks])) + first
            found.append(_seen(clip, _as_pictures(clip, use), use))
    return found


def _uniform(draw: Generator) -> float:
    return float(torch.rand((), generator=draw))
