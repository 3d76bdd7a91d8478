"""The loop of the carrier's networks: steps of AdamW with a cosine, averaged weights, checkpoints and measures.

A loss is a function of the step, so that a killed run ends with the weights of one that was not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference_model.training.checkpoints import Checkpoints, read_state
from reference_model.training.ema import WeightAverage, restore
from reference_model.training.monitor import Listener, Metrics, Silent
from reference_model.training.request import differences
from reference_model.training.stop import TrainingStoppedError

_FILE = "training.pt"


@dataclass(frozen=True, kw_only=True)
class SmallRecipe:
    """How a small network is trained."""

    steps: int
    """Steps."""
    batch: int
    """Clips or subjects a step."""
    learning_rate: float
    """Peak, after `warmup` steps; a cosine down to `final` of it."""
    betas: tuple[float, float]
    """Decay of AdamW's moments."""
    ema: float
    """Decay of the averaged weights, which are the result."""
    warmup: int = 100
    """Steps of linear warm-up, on top of the cosine."""
    final: float = 0.02
    """Share of the peak at the end."""
    weight_decay: float = 1e-2
    """Decoupled."""
    log_every: int = 100
    """Steps between lines of metrics.jsonl."""
    checkpoint_every: int = 500
    """Steps between checkpoints, a multiple of `log_every`: sums over steps need not be kept."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.log_every, self.checkpoint_every) < 1:
            raise ValueError(f"counts must be positive, got {self}")
        if self.checkpoint_every % self.log_every:
            raise ValueError(f"checkpoints come after a whole number of log lines, got {self}")

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * (self.final + (1 - self.final) * cosine)


@dataclass(frozen=True, kw_only=True)
class SmallRun:
    """What is trained where."""

    folder: Path
    """Of checkpoints and metrics.jsonl."""
    recipe: SmallRecipe
    """How."""
    made_of: Mapping[str, Any]
    """What the weights follow from besides the recipe, as plain values."""
    loss: Callable[[int], dict[str, Tensor]]
    """Parts of a step's loss; ``loss`` is what is made small."""
    measure: Callable[[], dict[str, float]]
    """What the averaged weights are worth on held-out clips."""


def train_small(name: str, net: nn.Module, run: SmallRun, listener: Listener | None = None) -> dict[str, float]:
    """Trains `net` in place; returns what its averaged weights, which it has in the end, are worth.

    Raises:
        TrainingStoppedError: If the folder holds another run, a loss is no number, or the disk is full.
    """
    listener, recipe = listener or Silent(), run.recipe
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    average = WeightAverage(net, recipe.ema)
    files = Checkpoints(run.folder / "checkpoints", keep=1)
    start = _resume(files, net, optimizer, average, run)
    listener.stage(name, recipe.steps, start)
    if start < recipe.steps:
        run.folder.mkdir(parents=True, exist_ok=True)
        metrics = Metrics(run.folder, start)
        try:
            _steps(start, (net, optimizer, average), run, (files, metrics, listener))
        finally:
            metrics.close()
    average.swap(net)
    net.eval()
    return run.measure()


def _steps(
    start: int,
    trained: tuple[nn.Module, torch.optim.Optimizer, WeightAverage],
    run: SmallRun,
    told: tuple[Checkpoints, Metrics, Listener],
) -> None:
    (net, optimizer, average), (files, metrics, listener), recipe = trained, told, run.recipe
    sums: dict[str, float] = {}
    since = start
    for step in range(start, recipe.steps):
        for name, value in _step(step, net, optimizer, run).items():
            sums[name] = sums.get(name, 0.0) + value
        average.update(net, step)
        done, last = step + 1, step + 1 == recipe.steps
        if last or done % recipe.log_every == 0:
            means = {name: value / (done - since) for name, value in sums.items()}
            metrics.write(done, {**means, "learning_rate": recipe.rate(step), **_measured(net, average, run)})
            listener.advance(done, f"loss {means['loss']:.4f}")
            sums, since = {}, done
        if last or done % recipe.checkpoint_every == 0:
            _save(files, done, trained, run)


def _step(step: int, net: nn.Module, optimizer: torch.optim.Optimizer, run: SmallRun) -> dict[str, float]:
    """One step.

    Raises:
        TrainingStoppedError: If the loss or its gradient is no number.
    """
    net.train()
    for group in optimizer.param_groups:
        group["lr"] = run.recipe.rate(step)
    parts = run.loss(step)
    optimizer.zero_grad(set_to_none=True)
    parts["loss"].backward()
    length = float(nn.utils.clip_grad_norm_(net.parameters(), 1.0))
    values = {name: float(part.detach()) for name, part in parts.items()}
    if not (math.isfinite(values["loss"]) and math.isfinite(length)):
        raise TrainingStoppedError(
            f"Training diverged: the loss of step {step + 1} is {values['loss']}, the length of its gradient {length}.",
            "Give another --seed, or look at the clips.",
        )
    optimizer.step()
    return values


def _measured(net: nn.Module, average: WeightAverage, run: SmallRun) -> dict[str, float]:
    """What the averaged weights are worth; the net keeps its own."""
    own = average.swap(net)
    net.eval()
    try:
        return run.measure()
    finally:
        restore(net, own)


def _record(run: SmallRun) -> dict[str, Any]:
    """What a checkpoint follows from; how often it is written or watched changes no weight."""
    recipe = {k: v for k, v in asdict(run.recipe).items() if k not in ("log_every", "checkpoint_every")}
    plain: dict[str, Any] = json.loads(json.dumps({"recipe": recipe, **run.made_of}))
    return plain


def _resume(
    files: Checkpoints, net: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage, run: SmallRun
) -> int:
    """Steps that are done.

    Raises:
        TrainingStoppedError: If they were done for another request.
    """
    files.remove_remains()
    newest = files.newest()
    if newest is None:
        return 0
    state = read_state(newest)
    asked = _record(run)
    if wrong := differences({**dict.fromkeys(asked), **state["made_of"]}, asked):  # what it does not say, it did not do
        raise TrainingStoppedError(
            f"{run.folder} holds a run that was asked for differently ({'; '.join(wrong)}).",
            "Give another --out, or the same settings.",
        )
    stored: dict[str, Any] = torch.load(newest / _FILE, map_location="cpu", weights_only=True)
    net.load_state_dict(stored["net"])
    optimizer.load_state_dict(stored["optimizer"])
    average.load(newest, net)
    return int(state["step"])


def _save(
    files: Checkpoints, step: int, trained: tuple[nn.Module, torch.optim.Optimizer, WeightAverage], run: SmallRun
) -> None:
    net, optimizer, average = trained

    def write(folder: Path) -> None:
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, folder / _FILE)
        average.save(folder, net, writes=True)

    files.guarded(step, write)
    files.finish(step, {"made_of": _record(run)})
