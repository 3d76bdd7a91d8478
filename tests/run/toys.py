"""Small models and metrics that behave badly on purpose; ``toys:<factory>`` once this folder is on the path."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmbench.case import Case
from hmbench.protocols import MetricInfo, ModelInfo
from hmbench.types import Prompt, Score, Track, Video


class Toy:
    def __init__(self, *, fail_at: str = "", shape: str = "", pause: float = 0.0, log: Path | None = None) -> None:
        self.info = ModelInfo(name="toy", description="seeded brightness", settings={"fail_at": fail_at})
        self.fail_at, self.shape, self.pause, self.log = fail_at, shape, pause, log

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        time.sleep(self.pause)
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{prompt.caption} {os.getpid()}\n")
        if self.fail_at and self.fail_at in prompt.caption:
            raise RuntimeError("the toy broke")
        frames = prompt.num_target_frames - (3 if self.shape == "short" else 0)
        shift = np.random.default_rng(seed).integers(-20, 20, (frames, 1, 1, 1))
        return np.clip(prompt.context[-1].astype(int) + shift, 0, 255).astype(np.uint8)


class Together(Toy):
    """Several clips at once, each as the toy alone; its log has a line a call."""

    def __init__(self, *, batch: int, fail_at: str = "", log: Path | None = None) -> None:
        super().__init__(fail_at=fail_at)
        self.batch, self.calls = batch, log

    def generate_batch(self, prompts: Sequence[Prompt], *, seeds: Sequence[int]) -> list[Video]:
        if self.calls is not None:
            with self.calls.open("a") as file:
                file.write(f"{len(prompts)}\n")
        return [self.generate(prompt, seed=seed) for prompt, seed in zip(prompts, seeds, strict=True)]


def together(*, batch: int = 1, fail_at: str = "", log: Path | None = None) -> Together:
    return Together(batch=batch, fail_at=fail_at, log=log)


def toy(*, fail_at: str = "", shape: str = "", pause: float = 0.0, log: Path | None = None) -> Toy:
    return Toy(fail_at=fail_at, shape=shape, pause=pause, log=log)


def untrained(*, profile: str = "mini") -> Toy:
    model = Toy()
    model.info = ModelInfo(name="untrained", description="", trained=False, notice="Untrained weights: no result.")
    return model


class MeanError:
    """Mean absolute error, skipped where the subject is a disc that moved away; enough to see rows and reasons."""

    info = MetricInfo(name="mae", version=3, higher_is_better=False, needs=frozenset({"truth"}), headline=True)

    def __call__(self, case: Case) -> Score:
        return Score(float(np.abs(case.prediction.astype(float) - case.truth.target).mean()), details={"frames": 1})


class Sometimes:
    """Skips every sample whose caption tells of two discs."""

    info = MetricInfo(name="sometimes", version=1, higher_is_better=True, headline=True)

    def __call__(self, case: Case) -> Score:
        if "2 coloured" in case.sample.prompt.caption:
            return Score.skipped("two discs")
        return Score(1.0)


class Breaks:
    """Raises on every clip, as a network whose weights do not fit would."""

    info = MetricInfo(name="breaks", version=1, higher_is_better=True, headline=True)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or OSError("no file named model.safetensors")

    def __call__(self, case: Case) -> Score:
        raise self.error


class Unstorable:
    """Gives a number, and a detail that JSON does not know."""

    info = MetricInfo(name="unstorable", version=1, higher_is_better=True)

    def __call__(self, case: Case) -> Score:
        return Score(1.0, details={"mean": float("nan")})


class Followed:
    """Needs tracks; counts them."""

    info = MetricInfo(name="followed", version=1, higher_is_better=True, needs=frozenset({"tracks"}))

    def __call__(self, case: Case) -> Score:
        return Score(float(len(case.tracks or ())))


class Follower:
    """A tracker that finds nobody, or breaks."""

    name = "follower"

    def __init__(self, error: Exception | None = None, settings: dict[str, object] | None = None) -> None:
        self.error = error
        self.told = settings or {}

    def settings(self) -> dict[str, object]:
        return self.told

    def track(self, video: Video) -> tuple[Track, ...]:
        if self.error is not None:
            raise self.error
        return ()


class Deadly(Toy):
    """Kills its own process on one clip: always, or only until a file of that name is there."""

    def __init__(self, at: str, mark: Path | None) -> None:
        super().__init__()
        self.at, self.mark = at, mark

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        if self.at in prompt.caption and not (self.mark and self.mark.exists()):
            if self.mark:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(prompt, seed=seed)


def deadly(*, at: str, mark: Path | None = None) -> Deadly:
    return Deadly(at, mark)


class Hanging(Toy):
    """Never comes back from one clip."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        if self.at in prompt.caption:
            time.sleep(3600)
        return super().generate(prompt, seed=seed)


def hanging(*, at: str) -> Hanging:
    return Hanging(at)
