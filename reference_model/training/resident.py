"""Training on an accelerator that holds all clips, while the machine's processors draw more of them.

`training.loop` reads prepared clips from disk and draws its noise on the CPU, so that any number of processes and any
resumed run compute the same. A small model on a large GPU would wait for both. Here clips are drawn by other processes
while the model trains, encoded once on the device and kept there; noise is drawn there too. What is trained is the same
loss on the same noise schedule (`training.flow`). What is given up: two runs see different clips at the same step, so
that weights cannot be made again bit for bit.

Memories may share a backbone: they take turns step by step, each with weights of its own.

Letters: B batch, C latent channels, F latent frames, N clips.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reference_model.model.memory import Memory
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import TRAIN_TIMESTEPS, HydraPipeline
from reference_model.training.clips import ClipSource, TrainingClip
from reference_model.training.config import FlowConfig, OptimizerConfig
from reference_model.training.flow import GRID, Draws, LatentBatch, flow_loss, noisy_batch
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.validation import LEVELS

CHECK_EVERY = 50
"""Steps between looks at the loss: each one waits for the device."""


class Drawing:
    """Clips that other processes load or draw, given in the order of the jobs.

    Begin before the accelerator is touched: a process that has one must not be forked.

    Args:
        jobs: Source and id of each clip.
        workers: Processes.
    """

    def __init__(self, jobs: Iterable[tuple[ClipSource, str]], workers: int) -> None:
        context = multiprocessing.get_context("fork")
        self._pool = context.Pool(workers, initializer=torch.set_num_threads, initargs=(1,))
        self._found: queue.Queue[TrainingClip | Exception | None] = queue.Queue()
        self._finished = False
        results = self._pool.imap(_load, list(jobs))
        self._thread = threading.Thread(target=self._collect, args=(results,), daemon=True)
        self._thread.start()

    def ready(self, least: int = 0, most: int = 16) -> list[TrainingClip]:
        """Clips that came in since the last call, `most` at a time; waits for `least` of them unless no more come."""
        found: list[TrainingClip] = []
        while len(found) < most and not self._finished:
            try:
                item = self._found.get(block=len(found) < least)
            except queue.Empty:
                break
            if isinstance(item, Exception):
                raise item
            if item is None:
                self._finished = True
            else:
                found.append(item)
        return found

    def close(self) -> None:
        """Ends the processes."""
        self._pool.terminate()
        self._pool.join()

    def _collect(self, results: Iterable[TrainingClip]) -> None:
        try:
            for clip in results:
                self._found.put(clip)
            self._found.put(None)
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for clips
            self._found.put(error)


def _load(job: tuple[ClipSource, str]) -> TrainingClip:
    return job[0].load(job[1])


class ClipStore:
    """Encoded clips on a device, in half precision.

    Args:
        pipeline: Whose codec and text encoder make latents and tokens; the codec is on the device.
        device: Where clips are kept.
        capacity: Clips that it may hold; further ones are left out.
    """

    def __init__(self, pipeline: HydraPipeline, device: torch.device, capacity: int) -> None:
        self.pipeline, self.device, self.capacity = pipeline, device, capacity
        self._kept: dict[str, Tensor] = {}
        self.count = 0

    @torch.no_grad()
    def add(self, clips: list[TrainingClip]) -> None:
        """Encodes clips of one size and keeps them."""
        clips = clips[: self.capacity - self.count]
        if not clips:
            return
        codec = self.pipeline.codec
        halves = [self._encoded([getattr(clip, name) for clip in clips]) for name in ("context", "target")]
        cameras = [clip.cameras(codec.time_stride) for clip in clips]
        grid = (int(halves[1].shape[2]), int(halves[1].shape[3]), int(halves[1].shape[4]))
        rows = {
            "context": halves[0],
            "target": halves[1],
            "past": torch.stack([past for past, _ in cameras]),
            "future": torch.stack([future for _, future in cameras]),
            "text": self.pipeline.encode_text([clip.caption for clip in clips]),
            "subjects": torch.stack([clip.subject_share(grid) for clip in clips]),
        }
        for name, value in rows.items():
            if name not in self._kept:
                kind = torch.float32 if name in ("past", "future") else torch.float16
                self._kept[name] = torch.empty(self.capacity, *value.shape[1:], dtype=kind, device=self.device)
            self._kept[name][self.count : self.count + len(clips)] = value.to(self.device)
        self.count += len(clips)

    def batch(self, chosen: Tensor) -> LatentBatch:
        """Clips by number, int64 ``[B]``, in float32."""
        rows = {name: value[chosen].float() for name, value in self._kept.items()}
        return LatentBatch(
            context=rows["context"],
            target=rows["target"],
            cameras=(rows["past"], rows["future"]),
            text=rows["text"],
            subjects=rows["subjects"],
        )

    def deviation(self) -> Tensor:
        """Deviation of each latent channel over the targets that are kept, ``[C]``."""
        kept = self._kept["target"][: self.count].float()
        return kept.transpose(0, 1).flatten(1).std(1)

    def _encoded(self, videos: list[Any]) -> Tensor:
        frames = torch.stack([torch.from_numpy(video) for video in videos]).to(self.device)
        moved = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return self.pipeline.codec.encode(moved.to(self.pipeline.vae.dtype)).float()


@dataclass(frozen=True, eq=False, kw_only=True)
class Turn:
    """A memory and how clips are noised when it is its turn."""

    memory: Memory
    """On the device; its own weights are trained."""
    flow: FlowConfig
    """Loss and noise levels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Phase:
    """One training: as many steps as `steps`, or as many as fit into `seconds`."""

    turns: Mapping[str, Turn]
    """Memories by name, which take turns."""
    optimizer: OptimizerConfig
    """Its warm-up is of steps; its decay follows the share of steps, or of seconds, that is over."""
    batch: int
    """Clips a step."""
    seed: int
    """Of clips and noise."""
    ema: float
    """Decay of the averaged weights."""
    steps: int | None = None
    """Steps, or None."""
    seconds: float = math.inf
    """Wall time, if there are no steps."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What a phase leaves."""

    weights: Mapping[str, Mapping[str, Tensor]]
    """Averaged weights of the whole transformer for each memory, float32 on the device."""
    steps: int
    """Steps that were made."""
    seconds: float
    """Wall time."""
    losses: list[tuple[int, float]]
    """Step and mean training loss since the last one."""
    step_seconds: Mapping[str, float]
    """Time of one step under each memory, NaN if it had no turn."""


def train(
    model: HydraTransformer3DModel,
    phase: Phase,
    store: ClipStore,
    channels: Tensor,
    feed: Callable[[], list[TrainingClip]] = list,
) -> Outcome:
    """Trains the model and its memories from the weights that they have.

    Args:
        model: On the device; it ends with the averaged weights and the first memory.
        phase: What to do.
        store: Clips; it grows by what `feed` gives.
        channels: Weight of each latent channel (`flow.channel_weights`), on the device.
        feed: Asked before each step for further clips.

    Raises:
        TrainingStoppedError: If a loss is no number.
    """
    parts = _parts(model, phase.turns)
    averages = [value.detach().float().clone() for value in parts.values()]
    optimizer = torch.optim.AdamW(
        parts.values(),
        lr=phase.optimizer.learning_rate,
        betas=phase.optimizer.betas,
        weight_decay=phase.optimizer.weight_decay,
        fused=store.device.type == "cuda",
    )
    chance = torch.Generator(store.device).manual_seed(phase.seed)
    names, spent = list(phase.turns), _Spent()
    losses: list[tuple[int, float]] = []
    total, began, step = torch.zeros((), device=store.device), time.perf_counter(), 0
    model.train()
    while (over := _over(phase, step, time.perf_counter() - began)) < 1:
        if clips := feed():
            store.add(clips)
        name = names[step % len(names)]
        turn = phase.turns[name]
        for group in optimizer.param_groups:
            group["lr"] = _rate(phase.optimizer, step, over)
        chosen = torch.randint(store.count, (phase.batch,), generator=chance, device=store.device)
        with spent.measure(name, step, store.device):
            loss = _loss(model, turn, store.batch(chosen), channels, chance)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            # nothing flows into the weights of memories that had no turn: they keep no gradient
            nn.utils.clip_grad_norm_(parts.values(), phase.optimizer.clip_norm)
            optimizer.step()
            _average(averages, list(parts.values()), min(phase.ema, (1 + step) / (10 + step)))
        total += loss.detach()
        step += 1
        if step % CHECK_EVERY == 0:
            losses.append((step, _finite(float(total) / CHECK_EVERY, step)))
            total.zero_()
    seconds = time.perf_counter() - began
    with torch.no_grad():
        for value, average in zip(parts.values(), averages, strict=True):
            value.copy_(average)
    model.eval()
    found = {name: _whole(model, turn.memory) for name, turn in phase.turns.items()}
    model.memory = phase.turns[names[0]].memory
    times = {name: spent.mean(name) for name in names}
    return Outcome(weights=found, steps=step, seconds=seconds, losses=losses, step_seconds=times)


@torch.no_grad()
def validation(
    model: HydraTransformer3DModel, memory: Memory, store: ClipStore, ids: range, channels: Tensor
) -> dict[str, float]:
    """Mean unweighted loss of clips of the store at fixed levels with fixed noise (`validation.LEVELS`)."""
    model.memory = memory
    sums = dict.fromkeys(LEVELS, 0.0)
    for first in range(ids.start, ids.stop, 8):
        chosen = torch.arange(first, min(first + 8, ids.stop), device=store.device)
        clips = store.batch(chosen)
        noise = torch.randn(clips.target.shape, generator=torch.Generator().manual_seed(first)).to(store.device)
        for level in LEVELS:
            noisy = (1 - level) * clips.target + level * noise
            timestep = torch.full((len(chosen),), level * TRAIN_TIMESTEPS, device=store.device)
            with _autocast(store.device):
                predicted = model(clips.context, noisy, timestep, clips.text, clips.cameras).target
            error = (predicted.float() - (noise - clips.target)).square() * channels.view(1, -1, 1, 1, 1)
            sums[level] += float(error.mean()) * len(chosen) / len(ids)
    return {"validation": sum(sums.values()) / len(sums)} | {f"validation/{s}": loss for s, loss in sums.items()}


def _loss(
    model: HydraTransformer3DModel, turn: Turn, clips: LatentBatch, channels: Tensor, chance: torch.Generator
) -> Tensor:
    model.memory = turn.memory
    batch = noisy_batch(clips, turn.flow, _draw(clips, turn.flow, chance))
    with _autocast(clips.target.device):
        predicted = model(batch.clips.context, batch.noisy, batch.timestep, batch.clips.text, batch.clips.cameras)
    return flow_loss(predicted.target, batch, channels)


def _draw(clips: LatentBatch, flow: FlowConfig, chance: torch.Generator) -> Draws:
    """What chance decides, on the clips' device."""
    size, device = len(clips.target), clips.target.device

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=chance, device=device)

    def kept(share: float) -> Tensor:
        return (torch.rand(size, 1, 1, generator=chance, device=device) >= share).float()

    per_frame = flow.levels == "per_frame"
    columns = clips.context.shape[2] + clips.target.shape[2] if per_frame else 1
    return Draws(
        levels=torch.randint(GRID, (size, columns), generator=chance, device=device),
        noise=normal(clips.target),
        text=kept(flow.text_dropout),
        cameras=kept(flow.camera_dropout),
        history=normal(clips.context) if per_frame else None,
    )


def _autocast(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()


def _parts(model: HydraTransformer3DModel, turns: Mapping[str, Turn]) -> dict[str, nn.Parameter]:
    """Parameters of the backbone, and those of each memory under its name."""
    found = {name: value for name, value in model.named_parameters() if not name.startswith("memory.")}
    for key, turn in turns.items():
        found |= {f"{key} {name}": value for name, value in turn.memory.named_parameters()}
    for value in found.values():
        value.requires_grad_(True)
    return found


def _whole(model: HydraTransformer3DModel, memory: Memory) -> dict[str, Tensor]:
    model.memory = memory
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def _average(averages: list[Tensor], now: list[nn.Parameter], decay: float) -> None:
    torch._foreach_lerp_(averages, [value.float() for value in now], 1 - decay)


def _over(phase: Phase, step: int, seconds: float) -> float:
    return step / phase.steps if phase.steps is not None else seconds / phase.seconds


def _rate(optimizer: OptimizerConfig, step: int, over: float) -> float:
    """The recipe's learning rate, as if `over` of 10,000 steps after the warm-up were done."""
    if step < optimizer.warmup:
        return optimizer.rate(step, optimizer.warmup + 1)
    return optimizer.rate(optimizer.warmup + round(over * 10_000), optimizer.warmup + 10_000)


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise TrainingStoppedError(f"The loss before step {step} is {loss}.", "Give a lower learning rate.")
    return loss


class _Spent:
    """Time of steps by memory, measured now and then, since it waits for the device."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def measure(self, name: str, step: int, device: torch.device) -> Any:
        seen = self._seconds.setdefault(name, [])
        if step < CHECK_EVERY or len(seen) >= 5 or device.type != "cuda":
            began = time.perf_counter()
            yield
            if device.type != "cuda":
                seen.append(time.perf_counter() - began)
            return
        torch.cuda.synchronize()
        began = time.perf_counter()
        yield
        torch.cuda.synchronize()
        seen.append(time.perf_counter() - began)

    def mean(self, name: str) -> float:
        seen = self._seconds.get(name)
        return sum(seen) / len(seen) if seen else math.nan
