"""What a run writes while it runs: metrics.jsonl, TensorBoard, a picture of the loss, and the state of the clock."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch

from reference_model.training.disk import write_text_atomically

METRICS = "metrics.jsonl"


class Listener(Protocol):
    """Who watches a run: the command line's progress bars, or nobody."""

    def stage(self, name: str, total: int, done: int) -> None:
        """A stage of `total` units begins with `done` already there."""
        ...

    def advance(self, done: int, note: str) -> None:
        """So many units of the stage are done now."""
        ...

    def notice(self, text: str) -> None:
        """Something that the reader must know."""
        ...


class Silent:
    """Nobody watches."""

    def stage(self, name: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, done: int, note: str) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """Nothing."""


class Metrics:
    """Lines of ``metrics.jsonl`` and TensorBoard; on resuming, lines after the checkpoint are taken back.

    Args:
        folder: The run's folder.
        step: Steps that are done.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / METRICS
        # without a checkpoint nothing counts, not even the validation of step 0: it is made again
        kept = [row for row in read_metrics(folder) if step and int(row["step"]) <= step]
        write_text_atomically(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else 0)

    def write(self, step: int, values: dict[str, float]) -> None:
        """One line; values that JSON does not know are left out."""
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Ends TensorBoard's file."""
        self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Lines of a run, a last half-written one left out."""
    path = folder / METRICS
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the process was killed while it wrote this line
            break
    return rows


class Clock:
    """Samples a second, time left and time lost to data since the start or the last report."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self._samples = 0
        self._waited = 0.0
        self.seconds = 0.0

    def waited(self, seconds: float) -> None:
        """Adds time in which the model had no data."""
        self._waited += seconds

    def count(self, samples: int) -> None:
        """Adds finished samples."""
        self._samples += samples

    def report(self) -> dict[str, float]:
        """Rates since the last report, and a new start."""
        now = time.perf_counter()
        passed = max(now - self._since, 1e-9)
        values = {"samples_per_second": self._samples / passed, "data_wait": self._waited / passed}
        self.seconds += passed
        self._since, self._samples, self._waited = now, 0, 0.0
        return values | {"memory_gb": memory_gb()}


def memory_gb() -> float:
    """Peak GPU memory if there is a GPU, else resident memory, in GB."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / 1e9)
    return float(psutil.Process().memory_info().rss / 1e9)


def plot_loss(folder: Path, title: str) -> Path:
    """Training and validation loss of a run as ``loss.png``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_metrics(folder)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, label, mark, alpha in (("loss", "training", "", 0.4), ("validation", "validation", "o", 1.0)):
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            axes.plot(*zip(*points, strict=True), marker=mark, alpha=alpha, label=label)
    axes.set(xlabel="step", ylabel="flow-matching loss", title=title)
    axes.legend()
    path = folder / "loss.png"
    figure.savefig(path, dpi=80)
    return path
