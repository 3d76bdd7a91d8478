"""How much of more workers' time is work: real Ray, and how long its start takes, said apart.

    python benchmarks/scale_out.py                        # 1 and 2 workers on two cores, 32 that only sleep
    python benchmarks/scale_out.py --only sleep --workers 32 --samples 2000

* **cores**: a run of the disc world by a model that computes for a second a clip, one thread a worker. One worker and
  two take turns, so that a machine that is busy with other things is busy for both. Efficiency: clips a minute of two
  workers over twice those of one.
* **sleep**: workers whose clips are sleeps of 2 to 6 s, so that the machine's cores do not matter. Efficiency:
  seconds slept over the seconds that workers were there, from when each was ready to the end; 1 is the ideal. What is
  missing is the driver's time, and workers that wait at the end for the last clip.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from hmbench.protocols import ModelInfo
from hmbench.run.request import EvalRequest
from hmbench.run.workers import run_on_workers
from hmbench.run.workers_request import Progress, Workers
from hmbench.types import Prompt, Video
from hmbench.workers.crew import Crew, Finished, Joined
from hmbench.workers.engine import Role, Task
from hmbench.workers.on_ray import RayEngine


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", choices=("cores", "sleep"))
    arguments.add_argument("--rounds", type=int, default=3, help="of one and two workers in turn")
    arguments.add_argument("--seconds", type=float, default=2.0, help="of computing a clip")
    arguments.add_argument("--workers", type=int, default=32, help="that sleep")
    arguments.add_argument("--samples", type=int, default=2000, help="that they sleep through")
    arguments.add_argument("--mean", type=float, default=4.0, help="seconds of a sleep")
    given = arguments.parse_args()
    if given.only != "sleep":
        cores(given.rounds, given.seconds)
    if given.only != "cores":
        sleep(given.workers, given.samples, given.mean)


class Computing:
    """A model that computes for so much processor time a clip."""

    def __init__(self, seconds: float) -> None:
        self.info = ModelInfo(name="computing", description="burns processor time")
        self.seconds = seconds

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        end = time.process_time() + self.seconds
        total = 0
        while time.process_time() < end:
            total += sum(range(10_000))
        return np.full((prompt.num_target_frames, *prompt.size, 3), total % 256, np.uint8)


def computing(*, seconds: float = 2.0) -> Computing:
    return Computing(seconds)


class Timed:
    """A reporter that knows when the first clip could begin and when the last was done."""

    def __init__(self) -> None:
        self.ready: float | None = None

    def stage(self, name: str, total: int, done: int) -> None: ...

    def advance(self, sample_id: str) -> None: ...

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        raise RuntimeError(message)

    def notice(self, text: str) -> None: ...

    def progress(self, progress: Progress) -> None:
        waiting = [line for line in progress.workers if "loading" in line]
        if self.ready is None and progress.workers and not waiting:
            self.ready = time.monotonic()
            self.before = progress.scored or 0


def cores(rounds: int, seconds: float) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for count in (1, 2):
            rates[count].append(clips_a_minute(count, seconds))
            print(f"round {turn}: {count} worker(s): {rates[count][-1]:.1f} clips a minute", flush=True)
    ratios = [two / one / 2 for one, two in zip(rates[1], rates[2], strict=True)]
    print(
        f"efficiency of two workers: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})"
    )


def clips_a_minute(count: int, seconds: float) -> float:
    """From when all workers are ready to the last clip's scores."""
    with tempfile.TemporaryDirectory() as scratch:
        heard = Timed()
        request = EvalRequest(
            out=Path(scratch) / "run", model=f"{Path(__file__).stem}:computing", options={"seconds": str(seconds)},
            data="disc", metrics=("psnr",), tracking=False, workers=Workers(count=count, gpus_each=0),
        )  # fmt: skip
        run_on_workers(request, heard)
        assert heard.ready is not None
        return (4 - heard.before) / (time.monotonic() - heard.ready) * 60


class Sleeper:
    """A job whose clips are sleeps."""

    def __init__(self, role: str) -> None: ...

    def about(self) -> None: ...

    def do(self, kind: str, item: float) -> Generator[Any, None, float]:
        yield "asleep"
        time.sleep(item)
        return item


def sleep(count: int, samples: int, mean: float) -> None:
    lengths = [mean * (0.5 + hashlib.sha256(str(n).encode()).digest()[0] / 255) for n in range(samples)]
    begun = time.monotonic()
    engine = RayEngine(Sleeper, address=None, cpus=count)
    role = Role(name="sleeper", kinds=("sleep",), count=count)
    crew = Crew(engine, [role], [Task("sleep", length) for length in lengths])
    ready: list[float] = []
    done = 0
    try:
        for news in crew.news():
            if isinstance(news, Joined):
                ready.append(time.monotonic())
            done += isinstance(news, Finished)
        end = time.monotonic()
    finally:
        engine.close()
    there = sum(end - moment for moment in ready)
    assert done == samples
    print(f"Ray's start: {engine.seconds:.1f} s; workers ready: first {ready[0] - begun:.1f} s, all {len(ready)} "
          f"{ready[-1] - begun:.1f} s")  # fmt: skip
    print(f"{samples} sleeps of {sum(lengths) / samples:.2f} s on {len(ready)} workers: {end - ready[0]:.1f} s; "
          f"efficiency {sum(lengths) / there:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
