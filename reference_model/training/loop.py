"""Stage 3: the transformer, by flow matching, on any number of processes (devices and precision are accelerate's).

The batch of a step is the same whatever the number of processes: each takes its consecutive share, noise belongs to
the place in the whole batch, and gradients are averaged. So losses agree between one process and many, and between a
run that was killed and one that was not.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from reference_model.model.memory_kinds import build_memory
from reference_model.model.trainable import freeze
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.training.cache import LatentCache
from reference_model.training.checkpoints import Checkpoints, read_state
from reference_model.training.config import TrainingConfig
from reference_model.training.ema import WeightAverage, restore
from reference_model.training.flow import NoisyBatch, add_noise, channel_weights, flow_loss
from reference_model.training.monitor import Clock, Listener, Metrics
from reference_model.training.processes import share
from reference_model.training.randomness import clip_order
from reference_model.training.shards import compute_under, is_sharded, share_out, whole, whole_model
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.validation import decode, film_strip, psnr, sample_clip, validation_loss

SHARDS = "pytorch_model_fsdp_0"
"""What accelerate calls a sharded model in a checkpoint."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TransformerJob:
    """What is trained on what."""

    config: TrainingConfig
    """Settings."""
    seed: int
    """Of order, noise and dropout."""
    out: Path
    """The run's folder."""
    cache: LatentCache
    """Clips."""
    train_ids: tuple[str, ...]
    """Clips to learn from."""
    held_ids: tuple[str, ...]
    """Clips to validate on."""
    pipeline: HydraPipeline
    """Holds the transformer, at its starting weights."""
    deviations: Tensor
    """Deviation of each latent channel before normalisation, ``[C]``."""


def train_transformer(job: TransformerJob, accelerator: Accelerator, listener: Listener) -> HydraTransformer3DModel:
    """Trains (or goes on training) and returns the model with the weights to keep: the averaged ones if there are any.

    Raises:
        TrainingStoppedError: If loss, gradient or validation is no number, or the disk is full.
    """
    return _Loop(job, accelerator, listener).run()


class _Loop:
    def __init__(self, job: TransformerJob, accelerator: Accelerator, listener: Listener) -> None:
        config, run = job.config, job.config.run
        self.job, self.accelerator, self.listener = job, accelerator, listener
        self.local = share(run.batch, accelerator.num_processes)
        model = job.pipeline.transformer.to(accelerator.device)
        if run.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        trained = freeze(model, config.rule)
        optimizer = torch.optim.AdamW(
            trained.values(),
            lr=config.optimizer.learning_rate,
            betas=config.optimizer.betas,
            weight_decay=config.optimizer.weight_decay,
        )
        self.plain = model
        others = (build_memory(dict(described), model.memory.backbone) for described in config.also)
        self.memories = [model.memory, *others]
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.sharded = is_sharded(model)
        if self.sharded:
            compute_under(model, accelerator.autocast)
        self.average = None if run.ema is None else WeightAverage(model, run.ema)
        self.channels = channel_weights(job.deviations, config.flow.channel_power).to(accelerator.device)
        self.checkpoints = Checkpoints(job.out / "checkpoints", run.keep)

    def run(self) -> HydraTransformer3DModel:
        start, steps = self._resume(), self.job.config.steps
        metrics = Metrics(self.job.out, start) if self.accelerator.is_main_process else None
        self.listener.stage("transformer", steps, start)
        clock = Clock()
        self.model.train()
        if start == 0:
            self._watch(0, metrics)
        for step in range(start, steps):
            loss = self._step(step, clock)
            self._report(step + 1, loss, clock, metrics)
            if (step + 1) % self.job.config.run.validate_every == 0 or step + 1 == steps:
                self._watch(step + 1, metrics)
            if (step + 1) % self.job.config.run.checkpoint_every == 0 or step + 1 == steps:
                self._save(step + 1)
        if metrics:
            metrics.close()
        if self.average:
            restore(self.plain, self.average.weights)
        model = whole_model(self.plain, self.accelerator.is_main_process)
        model.eval()
        return model

    def _step(self, step: int, clock: Clock) -> float:
        """One optimizer step; the mean loss over all processes."""
        began = time.perf_counter()
        batch = self._batch(step)
        clock.waited(time.perf_counter() - began)
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.config.optimizer.rate(step, self.job.config.steps)
        self.optimizer.zero_grad(set_to_none=True)
        parts = batch.parts(self.job.config.run.micro_batch or self.local)
        total = torch.zeros((), device=self.accelerator.device)
        for number, part in enumerate(parts):
            last = number + 1 == len(parts)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                with self._remembering(step):
                    predicted = self.model(
                        part.clips.context, part.noisy, part.timestep, part.clips.text, part.clips.cameras
                    ).target
                loss = flow_loss(predicted, part, self.channels) * (len(part.noisy) / len(batch.noisy))
                self.accelerator.backward(loss)
            total += loss.detach()
        mean = self._checked(step, total)
        self.optimizer.step()
        if self.average:
            self.average.update(self.plain, step)
        clock.count(self.job.config.run.batch)
        return mean

    def _checked(self, step: int, total: Tensor) -> float:
        """Clips the gradients; the mean loss over all processes, which all stop together if it or a gradient is none.

        A finite loss may have gradients that are no numbers; the optimizer would put them into every weight.
        """
        length = whole(self.accelerator.clip_grad_norm_(self.model.parameters(), self.job.config.optimizer.clip_norm))
        seen = self.accelerator.gather(torch.stack((total, length.to(total))).unsqueeze(0))
        mean, longest = float(seen[:, 0].mean()), float(seen[:, 1].max())
        if not math.isfinite(mean):
            raise self._diverged(f"The loss of step {step + 1} is {mean}")
        # under fp16 accelerate's scaler meets infinite gradients now and then: it skips the step and scales less
        if self.accelerator.scaler is None and not math.isfinite(longest):
            raise self._diverged(f"The gradient of step {step + 1} has the length {longest}")
        return mean

    def _batch(self, step: int) -> NoisyBatch:
        """This process's share of a step's batch."""
        job, first = self.job, self.accelerator.process_index * self.local
        order = clip_order(job.seed, step, job.config.run.batch, len(job.train_ids))
        mine = order[first : first + self.local]
        clips = job.cache.batch([job.train_ids[k] for k in mine])
        places = list(range(first, first + self.local))
        return add_noise(clips, job.config.flow, job.seed, step, places).to(self.accelerator.device)

    def _report(self, done: int, loss: float, clock: Clock, metrics: Metrics | None) -> None:
        if done % self.job.config.run.log_every and done != self.job.config.steps:
            return
        values = clock.report()
        rate = self.job.config.optimizer.rate(done - 1, self.job.config.steps)
        if metrics:
            metrics.write(done, {"loss": loss, "learning_rate": rate, **values})
        note = f"loss {loss:.3f}, {values['samples_per_second']:.2f} samples/s, {values['memory_gb']:.1f} GB"
        self.listener.advance(done, note)

    def _watch(self, done: int, metrics: Metrics | None) -> None:
        """Validation loss on every process, so that all of them stop if it is no number; samples on the main one.

        A sharded model computes on all processes or on none, so that all of them sample.
        """
        job, device = self.job, self.accelerator.device
        with self._averaged():
            values = validation_loss(self.model, job.cache, job.held_ids, self.channels, device)
            if not all(math.isfinite(value) for value in values.values()):
                raise self._diverged(f"The validation loss after step {done} is {values['validation']}")
            if done and (self.sharded or self.accelerator.is_main_process):
                values |= self._samples(done)
        self.accelerator.wait_for_everyone()
        if metrics and values:
            metrics.write(done, values)
        if values:
            told = ", ".join(f"{k} {values[k]:.4g}" for k in ("validation", "sample_psnr") if k in values)
            self.listener.notice(f"step {done}: {told}")

    def _samples(self, done: int) -> dict[str, float]:
        """Film strips of generated futures under the true ones, and their mean PSNR against the codec's own output."""
        job, rows, values = self.job, [], []
        self.plain.eval()
        for number, clip_id in enumerate(job.held_ids[: job.config.run.sample_clips]):
            clip = job.cache.batch([clip_id])
            truth, made = decode(job.pipeline, clip.target), sample_clip(job.pipeline, clip, seed=number)
            values.append(psnr(made, truth))
            rows += [truth, made]
        self.plain.train()
        if not rows:
            return {}
        if self.accelerator.is_main_process:
            film_strip(job.out / "samples" / f"step-{done:08d}.png", rows)
        return {"sample_psnr": sum(values) / len(values)}

    @contextlib.contextmanager
    def _remembering(self, step: int) -> Iterator[None]:
        """The memory whose turn it is; outside, the model has its own, which is saved and validated."""
        own, self.plain.memory = self.memories[0], self.memories[step % len(self.memories)]
        try:
            yield
        finally:
            self.plain.memory = own

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        old = self.average.swap(self.plain) if self.average else None
        try:
            yield
        finally:
            share_out(self.plain)
            if old is not None:
                restore(self.plain, old)

    def _save(self, done: int) -> None:
        if self.accelerator.is_main_process:
            self.checkpoints.guarded(done, lambda folder: None)
        self.accelerator.wait_for_everyone()
        self.checkpoints.guarded(done, self._write)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.checkpoints.finish(done, {"seed": self.job.seed})
        self.accelerator.wait_for_everyone()

    def _write(self, folder: Path) -> None:
        self.accelerator.save_state(str(folder))
        if self.average:
            self.average.save(folder, self.plain, self.accelerator.is_main_process)

    def _resume(self) -> int:
        if self.accelerator.is_main_process:
            self.checkpoints.remove_remains()
        self.accelerator.wait_for_everyone()
        newest = self.checkpoints.newest()
        if newest is None:
            return 0
        if (newest / SHARDS).exists() != self.sharded:
            raise TrainingStoppedError(
                f"{newest} was written by {'a sharded' if not self.sharded else 'a whole'} model, and this run has the "
                "other kind.",
                "Launch as before (with or without FSDP), or give a new --out.",
            )
        self.accelerator.load_state(str(newest))
        if self.average:
            self.average.load(newest, self.plain)
        done = int(read_state(newest)["step"])
        self.listener.notice(f"going on from {newest.name}")
        return done

    def _diverged(self, what: str) -> TrainingStoppedError:
        newest = self.checkpoints.newest()
        kept = f"{newest.name} is the newest complete checkpoint" if newest else "no checkpoint was due yet"
        return TrainingStoppedError(
            f"{what}: training diverged; {kept} and is untouched.",
            "Give a lower --learning-rate and a new --out, or look at this step's clips.",
        )
