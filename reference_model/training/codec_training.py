"""Stage 1: the mini codec, from the principal components of causal patches to a small network around them.

The linear start matters: from random weights the same network stands at 20 dB where the components alone give 24 to 30.
Crops are drawn as functions of (seed, step), clips are held in memory as bytes. At the end each latent channel is
measured and normalised, first frames apart from the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_model.model.codec import MiniVideoCodec
from reference_model.model.config import CodecConfig
from reference_model.training.clips import ClipSource, Frames, as_tensor
from reference_model.training.codec_checkpoints import EVERY, CodecCheckpoints
from reference_model.training.config import CodecTrainingConfig
from reference_model.training.randomness import generator
from reference_model.training.stop import TrainingStoppedError

_LINEAR = ("first_in", "group_in", "first_out", "group_out")

CodecListener = Callable[[int, float], None]
"""Told of a finished step and its loss."""


@dataclass(frozen=True, kw_only=True)
class CodecReport:
    """What became of a codec."""

    linear_psnr: float | None
    """Mean PSNR in dB of held-out halves through the principal components alone; None: nothing was held out."""
    psnr: float | None
    """The same at the end."""
    worst: float | None
    """PSNR of the worst held-out half."""
    clips: int
    """Clips that it learned from."""
    steps: int
    """Optimizer steps."""


class CodecDivergedError(TrainingStoppedError):
    """A codec that became no number."""


def build_codec(config: CodecConfig, seed: int) -> MiniVideoCodec:
    """An untrained mini codec with seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec: MiniVideoCodec = MiniVideoCodec(
            latent_channels=config.latent_channels,
            hidden_channels=config.hidden_channels,
            encoder_depth=config.encoder_depth,
            decoder_depth=config.decoder_depth,
            time_stride=config.time_stride,
            space_stride=config.space_stride,
        )
    return codec


def train_codec(
    codec: MiniVideoCodec,
    source: ClipSource,
    ids: tuple[tuple[str, ...], tuple[str, ...]],
    config: CodecTrainingConfig,
    seed: int,
    device: torch.device,
    listen: CodecListener | None = None,
    checkpoints: CodecCheckpoints | None = None,
) -> CodecReport:
    """Trains `codec` in place, from the newest of its checkpoints if there are any.

    Args:
        codec: The codec.
        source: Clips.
        ids: Ids to learn from, of which `config.clips` evenly spaced ones are taken, and ids to measure on.
        config: Settings.
        seed: Of the crops.
        device: Where it is trained; it returns there.
        listen: Told of each step.
        checkpoints: Where a killed run goes on; None: nowhere.

    Raises:
        TrainingStoppedError: If a loss, a gradient or what became of the codec is no number, or the disk is full.
    """
    taken = spread_evenly(ids[0], config.clips)
    halves, held = _halves(source, taken), _halves(source, ids[1])
    codec.to(device)
    optimizer = _optimizer(codec)
    start, linear = checkpoints.resume(codec, optimizer, device) if checkpoints else (0, [])
    if start == 0:
        codec.cpu().fit_patch_basis(_tensors(halves, torch.device("cpu")))
        codec.to(device)
        linear = [psnr(codec, half) for half in _tensors(held, device)]
    codec.train()
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = _rate(config, step) * group["share"]
        loss = _loss(codec, _crops(halves, codec, config, seed, step).to(device), config.absolute)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        length = float(torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0))
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(length)):
            raise _diverged(f"its loss of step {step + 1} is {value}, its gradient has the length {length}")
        optimizer.step()
        if listen:
            listen(step + 1, value)
        if checkpoints and (step + 1) % EVERY == 0 and step + 1 < config.steps:
            checkpoints.save(step + 1, codec, optimizer, linear)
    codec.eval()
    codec.fit_normalisation(_tensors(halves, device))
    values = [psnr(codec, half) for half in _tensors(held, device)]
    if not all(math.isfinite(v) for v in values) or not bool(codec.latent_std.isfinite().all()):
        raise _diverged("what comes out of it in the end is no picture")
    return CodecReport(
        linear_psnr=_mean(linear),
        psnr=_mean(values),
        worst=min(values, default=None),
        clips=len(taken),
        steps=config.steps,
    )


@torch.no_grad()
def psnr(codec: MiniVideoCodec, video: Tensor) -> float:
    """PSNR in dB of ``[1, 3, T, H, W]`` in [-1, 1] through the codec."""
    raw = codec.decode_raw(codec.encode_raw(video)).clamp(-1, 1)
    # at most 100 dB, since infinity would be no JSON
    return float(-10 * torch.log10(((raw - video) / 2).square().mean().clamp_min(1e-10)))


def measured(codec: MiniVideoCodec, source: ClipSource, ids: tuple[str, ...], device: torch.device) -> CodecReport:
    """What a codec that was trained elsewhere is worth on clips of this run.

    Args:
        codec: It returns to the CPU.
        source: Clips.
        ids: Held-out ids.
        device: Where it is measured.
    """
    codec.to(device)
    values = [psnr(codec, half) for half in _tensors(_halves(source, ids), device)]
    codec.cpu()
    return CodecReport(linear_psnr=None, psnr=_mean(values), worst=min(values, default=None), clips=0, steps=0)


def spread_evenly(ids: tuple[str, ...], count: int) -> tuple[str, ...]:
    """At most `count` ids, evenly spaced, so that neighbouring ids (of one scene, often) do not crowd the sample."""
    if len(ids) <= count:
        return ids
    return tuple(ids[k * len(ids) // count] for k in range(count))


def _optimizer(codec: MiniVideoCodec) -> torch.optim.AdamW:
    """AdamW whose rate is ``lr * share`` a group.

    A weight of the linear transform is about 0.04; at the convolutions' rate Adam would undo its components at once.
    """
    linear = {id(p) for part in _LINEAR for p in getattr(codec, part).parameters()}
    groups = [
        {"params": [p for p in codec.parameters() if (id(p) in linear) == slow], "share": share}
        for slow, share in ((True, 0.02), (False, 1.0))
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)


def _loss(codec: MiniVideoCodec, video: Tensor, absolute: float) -> Tensor:
    error = codec.decode_raw(codec.encode_raw(video)) - video
    return (1 - absolute) * error.square().mean() + absolute * error.abs().mean()


def _rate(config: CodecTrainingConfig, step: int) -> float:
    warmup = max(1, config.steps // 20)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * (1 + math.cos(math.pi * (step - warmup) / (config.steps - warmup))) / 2


def _crops(halves: list[Frames], codec: MiniVideoCodec, config: CodecTrainingConfig, seed: int, step: int) -> Tensor:
    """Crops of a step, ``[B, 3, frames, side, side]``; a crop may begin anywhere, its first frame is coded alone."""
    drawn = generator(seed, "codec", step)
    crops = []
    for _ in range(config.batch):
        half = halves[_draw(len(halves), drawn)]
        frames, height, width = half.shape[:3]
        size = (min(config.frames, frames), min(config.side, height), min(config.side, width))
        t = _draw(frames - size[0] + 1, drawn)
        # corners on the patch grid: elsewhere the components would have to describe patches they never meet
        y, x = (
            codec.space_stride * _draw((whole - part) // codec.space_stride + 1, drawn)
            for whole, part in ((height, size[1]), (width, size[2]))
        )
        crops.append(as_tensor(half[t : t + size[0], y : y + size[1], x : x + size[2]])[0])
    return torch.stack(crops)


def _draw(count: int, drawn: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=drawn))


def _halves(source: ClipSource, ids: tuple[str, ...]) -> list[Frames]:
    """Contexts and targets as bytes: as float32 mini's 256 clips would take 13.6 GB."""
    clips = (source.load(clip_id) for clip_id in ids)
    return [half for clip in clips for half in (clip.context, clip.target)]


def _tensors(halves: list[Frames], device: torch.device) -> Iterator[Tensor]:
    for half in halves:
        yield as_tensor(half).to(device)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _diverged(what: str) -> CodecDivergedError:
    return CodecDivergedError(
        f"Training of the codec diverged: {what}. Nothing of it was kept.",
        "Give fewer --codec-steps (0 keeps its linear part), or look at the clips.",
    )
