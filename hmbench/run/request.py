"""What a run is asked for, and who hears how it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from hmbench.errors import UserError
from hmbench.results.predictions import EXACT, Reading


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """What to evaluate on what, and where to put it."""

    out: Path
    """Run folder."""
    model: str | None = None
    """Model name, ``module:factory`` or folder; None to score videos that exist already."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The model's own options, as text."""
    predictions: Path | None = None
    """Folder of ``<sample>.mp4`` to score instead of generating."""
    match: str | None = None
    """How predictions are named: a pattern such as ``{id}_seed0.mp4``, or a CSV file of ids and files."""
    reading: Reading = EXACT
    """What to do with predictions of another rate, length or shape."""
    data: str = "mini"
    """``mini``, or a folder in HM-World's layout."""
    split: str = "all"
    """Split of the data."""
    samples: tuple[str, ...] = ()
    """These ids only; empty for all of the split."""
    limit: int | None = None
    """The first so many ids only."""
    seed: int = 0
    """Seed of the run."""
    device: str = "cpu"
    """Torch device."""
    profile: str = "mini"
    """``mini`` or ``paper``: the model's scale and the metrics' backbones."""
    weights: Path | None = None
    """Folder of backbone weights (`hmbench weights pull`)."""
    metrics: tuple[str, ...] = ()
    """These metrics only; empty for all."""
    quality: bool = False
    """Also the optional no-reference quality metrics of pyiqa."""
    vbench: bool = False
    """Also VBench's optional dimensions of motion."""
    tracking: bool = True
    """Whether to track subjects."""
    tracker: str = "botsort"
    """How detections become tracks: ``botsort`` or ``bytetrack``."""
    any_class: bool = False
    """Class-agnostic: whatever the detector finds is a subject."""
    shard: tuple[int, int] = (0, 1)
    """(k, n): only every n-th sample, from the k-th on, so that n processes can share a run folder."""
    join: bool = False
    """Share the work of a process that works on the run folder already, instead of being refused."""

    def __post_init__(self) -> None:
        number, count = self.shard
        if not 0 <= number < count:
            raise UserError(f"There is no shard {number} of {count}.", "Shards count from 0: 0/4, 1/4, 2/4, 3/4.")


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How a run is shared among worker processes on Ray (`hmbench.run.workers`)."""

    count: int | None = None
    """Workers at most; None for one a GPU, or one per two processors where there is none."""
    address: str | None = None
    """``auto`` or ``HOST:PORT`` of a running Ray cluster; None starts Ray on this machine."""
    gpus_each: float | None = None
    """GPUs of each worker, a fraction to share one; None for one where there are GPUs."""
    scorers: int = 0
    """So many workers without a GPU only track and score, and the others only generate; 0: every worker does both."""
    tries: int = 2
    """Workers that one clip may cost before it is recorded as failed."""
    timeout: float | None = None
    """Seconds that generating or scoring one clip may take."""
    grace: float = 10.0
    """Seconds that clips in flight have when the run is stopped."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("workers", self.count, 1), ("tries", self.tries, 1), ("score workers", self.scorers, 0),
        ):  # fmt: skip
            if value is not None and value < least:
                raise UserError(f"There cannot be {value} {name}.", f"At least {least}.")
        if self.gpus_each is not None and not 0 <= self.gpus_each <= 64:
            raise UserError(f"A worker cannot have {self.gpus_each:g} GPUs.", "0.5 lets two share one.")
        if self.timeout is not None and not self.timeout > 0:
            raise UserError(f"A clip cannot take {self.timeout:g} s.", "Give seconds, or leave it out for no limit.")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run with workers is."""

    total: int
    """Clips of the run (of this shard)."""
    generated: int | None
    """Clips with a video; None where none are generated."""
    tracked: int
    """Clips whose subjects are tracked."""
    scored: int
    """Clips that are done."""
    failed: int
    """Of these, those that failed wholly or in part."""
    workers: tuple[str, ...]
    """A line a worker: where it is and what it is at."""


@runtime_checkable
class ShowsWorkers(Protocol):
    """A reporter that shows all stages of a run with workers at once."""

    def progress(self, progress: Progress) -> None:
        """How far the run is; comes about every second."""


class Reporter(Protocol):
    """Hears how a run goes; the command line shows it, tests count it."""

    def stage(self, name: str, total: int, done: int) -> None:
        """A stage begins, with so many samples, some of which were complete."""

    def advance(self, sample_id: str) -> None:
        """One more sample is done."""

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """A sample failed; the run goes on."""

    def notice(self, text: str) -> None:
        """Something that the reader must know about the numbers."""


class Silent:
    """Reports nothing."""

    def stage(self, name: str, total: int, done: int) -> None:
        """Ignores it."""

    def advance(self, sample_id: str) -> None:
        """Ignores it."""

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """Ignores it."""

    def notice(self, text: str) -> None:
        """Ignores it."""
