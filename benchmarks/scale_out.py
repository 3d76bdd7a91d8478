"""How much of more workers' time is work: real Ray, and how long its start takes, said apart.

    python benchmarks/scale_out.py                        # 1 and 2 workers on two cores, 32 that only sleep
    python benchmarks/scale_out.py --only sleep --workers 32 --samples 2000

* **cores**: a run of 16 discs by a model that computes for two seconds a clip, one thread a worker. One worker and two
  take turns, so that a machine that is busy with other things is busy for both. Clips a minute are counted on the score
  files, from when each worker has left its first to the last; what start and end of a run take is printed beside it.
  Efficiency: clips a minute of two workers over twice those of one.
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

from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.protocols import ModelInfo
from hmbench.run.request import EvalRequest
from hmbench.run.workers import run_on_workers
from hmbench.run.workers_request import Workers
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


WORLD = DiscWorld(DiscWorldConfig(samples=16))


def cores(rounds: int, seconds: float) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for count in (1, 2):
            rate, rest = clips_a_minute(count, seconds)
            rates[count].append(rate)
            said = f"{rate:.1f} clips a minute; start, first clips and end {rest:.1f} s"
            print(f"round {turn}: {count} worker(s): {said}", flush=True)
    ratios = [two / one / 2 for one, two in zip(rates[1], rates[2], strict=True)]
    print(
        f"efficiency of two workers: {statistics.median(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})"
    )


def clips_a_minute(count: int, seconds: float) -> tuple[float, float]:
    """From when each worker has left its first clip to the last clip's scores; and seconds of the rest of the run."""
    with tempfile.TemporaryDirectory() as scratch:
        module = Path(__file__).stem
        request = EvalRequest(
            out=Path(scratch) / "run", model=f"{module}:computing", options={"seconds": str(seconds)},
            data=f"{module}:WORLD", metrics=("psnr",), tracking=False, workers=Workers(count=count, gpus_each=0),
        )  # fmt: skip
        begun = time.monotonic()
        run_on_workers(request)
        whole = time.monotonic() - begun
        left = sorted(path.stat().st_mtime for path in (request.out / "scores").glob("*.json"))
        steady = left[-1] - left[count - 1]
        assert len(left) == 16
        return (16 - count) / steady * 60, whole - steady


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
