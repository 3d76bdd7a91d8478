"""Trains the small models on one lent GPU within a given time: a base in turns, then every rival by the same steps.

    python benchmarks/gpu_train.py --out OUT --seconds 480 --device cuda
    python benchmarks/gpu_train.py --out OUT --toy      # a rehearsal on a CPU, a minute

It needs the checkout and an environment that imports it, no network, no data. Clips of both embedded worlds are drawn
by the machine's processors while the GPU trains on those that are there (`reference_model.training.resident`).

1. *Base.* All memories take turns on one backbone, so that each sees the same number of samples.
2. *Rivals.* Each goes on from the base under its own memory alone, for the same number of steps. Some get a second
   seed.

Everything is written as soon as it is there: ``base.safetensors`` (what a later call goes on from by
``--base``), ``models-K.safetensors`` (bfloat16, names ``<model>/<weight>``, below 16 MB each) and ``log.json``.
``python -m reference_model.training.adopt OUT`` makes shipped models of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from baselines.rivals import DFOT, FOV_RETRIEVAL, FRAME_PACK, FULL_CONTEXT, NO_MEMORY, RECENT_WINDOW
from reference_model.model.memory_kinds import build_memory
from reference_model.model.methods import HYDRA, Method
from reference_model.sampling.pipeline import build_pipeline
from reference_model.sampling.saved import load_saved
from reference_model.training.clips import Frames, TrainingClip
from reference_model.training.config import OptimizerConfig, train_nano
from reference_model.training.preparing import deviations
from reference_model.training.resident import ClipStore, Drawing, Outcome, Phase, Turn, train, validation
from reference_model.training.start import start_with_a_copy
from reference_model.training.trainer import MiniWorldClips
from reference_model.training.validation import sample_clip

METHODS = (HYDRA, FULL_CONTEXT, FOV_RETRIEVAL, RECENT_WINDOW, NO_MEMORY, FRAME_PACK, DFOT)
NAMES = tuple(method.name for method in METHODS)
SECOND_SEEDS = (HYDRA, FULL_CONTEXT, RECENT_WINDOW)
DFOT_SHIFT = 3.0
"""Its context has noise levels of its own and would hardly ever be seen clean under nano's shift of 5."""
A_FILE = 5
"""Models in one file, which stays below 16 MB."""
BASE = OptimizerConfig(learning_rate=2e-3, warmup=150, final=0.05, betas=(0.9, 0.98))
RIVAL = OptimizerConfig(learning_rate=7e-4, warmup=30, final=0.02, betas=(0.9, 0.98))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--turns", nargs="+", help="memories of the base; all unless given")
    parser.add_argument("--rivals", nargs="+", help="memories that go on by themselves, NAME or NAME-seed1")
    parser.add_argument("--fresh", action="store_true", help="begin from starting weights, with the codec of --begin")
    parser.add_argument("--begin", type=Path, default=Path("reference_model/weights/nano-hydra"), help="codec, weights")
    parser.add_argument("--base", type=Path, help="base.safetensors of an earlier call, which this one goes on from")
    parser.add_argument("--first-slot", type=int, default=0, help="of the worlds' clips: others than an earlier call's")
    parser.add_argument("--processes", type=int, help="that draw clips; all cores but one unless given")
    parser.add_argument("--seconds", type=float, default=480, help="wall time of it all")
    parser.add_argument("--share", type=float, default=0.5, help="of the time that the base gets")
    parser.add_argument("--batch", type=int, default=32, help="clips a step")
    parser.add_argument("--clips", type=int, default=12_000, help="most clips that are drawn")
    parser.add_argument("--held", type=int, default=32, help="clips held out, half of them of the easy world")
    parser.add_argument("--device", default="cuda", help="torch device")
    parser.add_argument("--toy", action="store_true", help="a rehearsal: few clips, few steps, on the CPU")
    given = parser.parse_args()
    if given.toy:
        given.device, given.seconds, given.batch, given.clips, given.held = "cpu", 40, 2, 4, 2
    return given


@dataclass(frozen=True)
class Softened:
    """Clips as an evaluation shows them: from videos of twice the size, whose colours have half the resolution.

    Frames straight from the renderer have finer colours than any H.264 video keeps; the codec's last channels, which
    hold them, would have three times the deviation that they were normalised by (2 in videos of 224x128 scaled down,
    2 with this).
    """

    source: MiniWorldClips
    share: float = 0.6
    """Of the softened colours in the mixture: closest to such videos in deviation and PSNR, of 0.3, 0.5, 0.7 and 1."""

    @property
    def name(self) -> str:
        """As the source's."""
        return self.source.name

    def ids(self) -> tuple[str, ...]:
        """As the source's."""
        return self.source.ids()

    def revision(self) -> str:
        """As the source's."""
        return self.source.revision()

    def load(self, clip_id: str) -> TrainingClip:
        """One clip."""
        clip = self.source.load(clip_id)
        return replace(clip, context=self._soft(clip.context), target=self._soft(clip.target))

    def _soft(self, frames: Frames) -> Frames:
        rgb = frames.astype(np.float32)
        colour = rgb - (rgb @ np.array((0.299, 0.587, 0.114), np.float32))[..., None]
        soft = colour
        for axis in (1, 2):
            at, last = np.arange(soft.shape[axis]), soft.shape[axis] - 1
            before, after = (np.take(soft, np.clip(at + d, 0, last), axis) for d in (-1, 1))
            soft = 0.25 * before + 0.5 * soft + 0.25 * after
        return np.clip(rgb + self.share * (soft - colour), 0, 255).round().astype(np.uint8)


class Day:
    """What all parts share."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.began = given, time.perf_counter()
        self.device, self.recipe = torch.device(given.device), train_nano()
        self.log: dict[str, Any] = {"arguments": {k: str(v) for k, v in vars(given).items()}, "phases": {}}
        given.out.mkdir(parents=True, exist_ok=True)
        sources = {
            split: Softened(MiniWorldClips(count=100_000, size=(112, 64), frames=(77, 77), split=split))
            for split in ("train", "easy-train")
        }
        # numba compiles once, before the processes are forked
        sources["train"].load("slot-90000")
        half = given.held // 2
        held = [(source, f"slot-{90_000 + k}") for source in sources.values() for k in range(half)]
        slots = range(given.first_slot, given.first_slot + given.clips // 2)
        drawn = [(source, f"slot-{k:05d}") for k in slots for source in sources.values()]
        processes = given.processes or max(1, (os.cpu_count() or 2) - 1)
        self.drawing = Drawing([*held, *drawn], processes)
        self.tell(f"drawing with {processes} processes")
        self.pipeline = load_saved(given.begin)
        self.pipeline.vae.to(self.device)
        if given.fresh:
            model = build_pipeline(self.recipe.model, seed=0).transformer
            start_with_a_copy(model, seed=0)
            self.pipeline.register_modules(transformer=model)
        self.transformer = self.pipeline.transformer.float().to(self.device)
        self.store = ClipStore(self.pipeline, self.device, given.clips + given.held)
        self.channels = torch.ones(self.recipe.model.codec.latent_channels, device=self.device)
        self.models: dict[str, dict[str, Tensor]] = {}

    def weigh(self) -> None:
        """Weights of channels: the recipe's, divided by the variance that channels have here where it is above 1.

        The last channels hold fine colours. The codec's training clips had less of them than these, and nobody can
        predict them: unweighed they would be most of the loss.
        """
        deviation = self.store.deviation().cpu()
        before = deviations(self.pipeline, self.recipe.model) ** self.recipe.flow.channel_power
        self.channels = (before / deviation.clamp_min(1.0).square()).to(self.device)
        self.channels /= self.channels.mean()
        self.log["latent_deviation"] = {"mean": float(deviation.mean()), "largest": float(deviation.max())}

    def left(self) -> float:
        """Seconds that are left."""
        return float(self.given.seconds) - (time.perf_counter() - self.began)

    def tell(self, text: str) -> None:
        """A line with the time."""
        print(f"[{time.perf_counter() - self.began:6.1f}] {text}", flush=True)

    def feed(self) -> list[Any]:
        """Clips that came in."""
        return self.drawing.ready(most=8)

    def turn(self, method: Method, seed: int) -> Turn:
        """A memory with fresh weights of its own."""
        described = method.describe(self.recipe.model)
        torch.manual_seed(seed)
        memory = build_memory(described, self.transformer.memory.backbone).to(self.device)
        flow = self.recipe.flow
        if method.per_frame_noise:
            flow = replace(flow, levels="per_frame", shift=DFOT_SHIFT)
        return Turn(memory=memory, flow=flow)

    def record(self, name: str, phase: Phase, outcome: Outcome, values: Mapping[str, Any]) -> None:
        """One line of the log."""
        samples = outcome.steps * phase.batch
        self.log["phases"][name] = {
            "memories": list(phase.turns),
            "steps": outcome.steps,
            "batch": phase.batch,
            "samples": samples,
            "samples_a_memory": samples / len(phase.turns),
            "seconds": outcome.seconds,
            "samples_per_second": samples / outcome.seconds,
            "clips": self.store.count,
            "seed": phase.seed,
            "learning_rate": phase.optimizer.learning_rate,
            "step_seconds": dict(outcome.step_seconds),
            "losses": outcome.losses,
            **values,
        }
        self.write_log()
        rate = samples / outcome.seconds
        self.tell(f"{name}: {outcome.steps} steps, {rate:.0f} samples/s, {self.store.count} clips, {_short(values)}")

    def write_log(self) -> None:
        """The log as it is."""
        (self.given.out / "log.json").write_text(json.dumps(self.log, indent=1))

    def validate(self, memory: Any, label: str = "") -> dict[str, float]:
        """Held-out loss of both worlds."""
        half = self.given.held // 2
        found = {}
        for world, ids in (("mini", range(half)), ("easy", range(half, 2 * half))):
            values = validation(self.transformer, memory, self.store, ids, self.channels)
            found |= {f"{label}{world} {key}": value for key, value in values.items()}
        return found

    def save_models(self) -> None:
        """All models so far."""
        names = list(self.models)
        for first in range(0, len(names), A_FILE):
            tensors = {
                f"{name}/{key}": value.to(torch.bfloat16).contiguous().cpu()
                for name in names[first : first + A_FILE]
                for key, value in self.models[name].items()
            }
            save_file(tensors, self.given.out / f"models-{first // A_FILE}.safetensors")


def base(day: Day) -> dict[str, dict[str, Tensor]]:
    """Weights of the whole transformer for each memory, after turns of all."""
    given = day.given
    turns = {method.name: day.turn(method, 0) for method in METHODS if method.name in (given.turns or NAMES)}
    if not given.fresh:
        turns["hydra"].memory.load_state_dict(day.transformer.memory.state_dict())
    if given.base is not None:
        found = load_file(given.base, device=str(day.device))
        known = {
            name: {key.split("/", 1)[1]: v for key, v in found.items() if key.split("/", 1)[0] in ("", name)}
            for name in turns
        }
        for name, turn in turns.items():
            day.transformer.memory = turn.memory
            day.transformer.load_state_dict(known[name])
    before = day.validate(next(iter(turns.values())).memory)
    day.tell(f"at the start {_short(before)}")
    seconds = max(4.0, given.share * day.left())
    phase = Phase(turns=turns, optimizer=BASE, batch=given.batch, seed=1, ema=0.998, seconds=seconds)
    outcome = train(day.transformer, phase, day.store, day.channels, day.feed)
    after = {}
    for name, turn in turns.items():
        found = day.validate(turn.memory, f"{name} ")
        after |= {k: v for k, v in found.items() if k.endswith(" validation")}
    day.record("base", phase, outcome, {"before": before, "after": after})
    shared = {f"/{k}": v for k, v in next(iter(outcome.weights.values())).items() if not k.startswith("memory.")}
    added = {
        f"{name}/{k}": v for name, found in outcome.weights.items() for k, v in found.items() if k.startswith("memory.")
    }
    save_file({k: v.contiguous().cpu() for k, v in (shared | added).items()}, given.out / "base.safetensors")
    day.log["step_seconds"] = dict(outcome.step_seconds)
    day.log["base_rate"] = outcome.steps / outcome.seconds
    return {name: dict(found) for name, found in outcome.weights.items()}


def rivals(day: Day, weights: dict[str, dict[str, Tensor]]) -> None:
    """Each memory by itself, by equal steps."""
    wanted = [(method, 0) for method in METHODS] + [(method, 1) for method in SECOND_SEEDS]
    if day.given.rivals:
        wanted = [(method, seed) for method, seed in wanted if _called(method, seed) in day.given.rivals]
    if day.given.toy:
        wanted = wanted[:1] + wanted[-1:]
    for number, (method, seed) in enumerate(wanted):
        name, turn = _called(method, seed), day.turn(method, seed)
        day.transformer.memory = turn.memory
        # a memory that had no turn has no weights of its own in the base: it begins with its starting ones
        shared = {k: v for k, v in weights[next(iter(weights))].items() if not k.startswith("memory.")}
        own = {f"memory.{k}": v for k, v in turn.memory.state_dict().items()}
        day.transformer.load_state_dict(weights.get(method.name, shared | own))
        if number == 0:
            steps = steps_each(day, [m.name for m, _ in wanted])
        phase = Phase(
            turns={method.name: turn}, optimizer=RIVAL, batch=day.given.batch, seed=10 + seed, ema=0.99, steps=steps
        )
        outcome = train(day.transformer, phase, day.store, day.channels, day.feed)
        values = day.validate(turn.memory)
        day.models[name] = dict(outcome.weights[method.name])
        day.record(name, phase, outcome, values)
        day.save_models()
        if day.left() < 3:
            day.tell("no time left: the rest is not trained")
            return


def _called(method: Method, seed: int) -> str:
    return method.name if not seed else f"{method.name}-seed{seed}"


def steps_each(day: Day, names: list[str]) -> int:
    """Steps that fit for each of these models; time of saving and validation is kept back."""
    times, mean = day.log["step_seconds"], 1 / day.log["base_rate"]
    each = [times.get(name, math.nan) for name in names]
    total = sum(mean if math.isnan(value) else max(value, 0.6 * mean) for value in each)
    spare = 1.5 * len(names) + 12
    return max(3, int(0.93 * (day.left() - spare) / total))


@torch.no_grad()
def sampling(day: Day) -> None:
    """PSNR of sampled held-out clips against the codec's output, for a few ways to sample, while time is left."""
    from reference_model.sampling.pipeline import build_scheduler
    from reference_model.training.validation import decode, psnr

    half = day.given.held // 2
    ways = [(8, 5.0, True), (8, 5.0, False), (16, 5.0, True), (4, 5.0, True), (16, 8.0, True)]
    for name in ("hydra", "full-context"):
        if name not in day.models:
            continue
        method = next(m for m in METHODS if m.name == name)
        day.transformer.memory = day.turn(method, 0).memory
        day.transformer.load_state_dict(day.models[name])
        for steps, shift, anew in ways:
            if day.left() < 2:
                return
            day.pipeline.scheduler = build_scheduler(shift, anew)
            found: dict[str, list[float]] = {"mini": [], "easy": []}
            for k in (*range(min(4, half)), *range(half, half + min(4, half))):
                clip = day.store.batch(torch.tensor([k], device=day.device))
                made = sample_clip(day.pipeline, clip, seed=k, steps=steps)
                found["mini" if k < half else "easy"].append(psnr(made, decode(day.pipeline, clip.target)))
            values = {world: sum(v) / len(v) for world, v in found.items()}
            day.log.setdefault("sampling", {})[f"{name} {steps} steps, shift {shift}, anew {anew}"] = values
            day.write_log()
            day.tell(f"{name} {steps} steps, shift {shift}, anew {anew}: {_short(values)}")


def _short(values: Mapping[str, Any]) -> str:
    keep = {k: v for k, v in values.items() if isinstance(v, float) and "/" not in k}
    return ", ".join(f"{k} {v:.4f}" for k, v in keep.items())


def main() -> None:
    """Runs the day."""
    torch.backends.cuda.matmul.allow_tf32 = True
    day = Day(arguments())
    given = day.given
    try:
        while day.store.count < given.held + (2 if given.toy else 4 * given.batch):
            clips = day.drawing.ready(least=1, most=8)
            if not clips:
                break
            day.store.add(clips)
        day.tell(f"{day.store.count} clips are there")
        day.weigh()
        day.log["machine"] = {
            "device": torch.cuda.get_device_name() if day.device.type == "cuda" else platform.machine(),
            "torch": torch.__version__,
            "cores": os.cpu_count(),
        }
        rivals(day, base(day))
        sampling(day)
        day.log["seconds"] = time.perf_counter() - day.began
        day.write_log()
        day.tell("done")
    finally:
        day.drawing.close()


if __name__ == "__main__":
    main()
