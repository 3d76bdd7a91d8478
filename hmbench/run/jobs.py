"""What a worker process of a run does: loads model and metrics once, then generates and scores clips as it is told."""

from __future__ import annotations

import dataclasses
import os
import secrets
import socket
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.data.dataset import Wanted, open_dataset
from hmbench.errors import UserError
from hmbench.protocols import Batches, Metric, MetricInfo, Plans, Prepares, SubjectTracker
from hmbench.results.records import RunManifest
from hmbench.results.sample_scores import Failure
from hmbench.run.bench import Bench
from hmbench.run.environment import environment
from hmbench.run.request import EvalRequest
from hmbench.run.sharing import WORK
from hmbench.run.stages import Scorer

GENERATE, SCORE = "generate", "score"
PROBE_WAIT = 20.0
"""Seconds that a file written on one machine may take to be seen on another: NFS remembers what was not there."""
COMPARED_SAMPLES = 8
"""A worker's data are compared with the driver's on so many clips; comparing all would cost each worker minutes."""


class About(NamedTuple):
    """What a worker tells before it gets work."""

    host: str
    environment: dict[str, str]
    data_revision: str
    """Digest of the first samples."""
    device: str
    model_info: dict[str, Any] | None
    """What the model says of itself; None for a worker that only scores."""
    notices: tuple[str, ...]


class Scoring(NamedTuple):
    """What a worker tells when it has made metrics and tracker: enough to record the run, and rows of lost clips."""

    scorer: Scorer
    """Without networks: its metrics only say what they are."""
    manifest: RunManifest
    notices: tuple[str, ...]


class Done(NamedTuple):
    """What became of a task."""

    failure: Failure | None


class _Named:
    """A metric that only says what it is."""

    def __init__(self, info: MetricInfo) -> None:
        self.info = info

    def __call__(self, case: Any) -> Any:
        raise AssertionError("a metric of a driver, which does not score")


class _Notices:
    """A reporter that keeps notices."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def stage(self, name: str, total: int, done: int) -> None:
        """Ignores it."""

    def advance(self, sample_id: str) -> None:
        """Ignores it."""

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """Ignores it."""

    def notice(self, text: str) -> None:
        """Keeps it."""
        self.kept.append(text)


@dataclass(frozen=True, kw_only=True)
class ClipJobs:
    """Makes the job of a worker; travels to it (see `hmbench.workers.engine.JobMaker`)."""

    request: EvalRequest
    """The run; its device may be ``auto``."""
    samples: tuple[str, ...]
    """All samples of the run."""
    todo: tuple[str, ...]
    """Those that have no video."""
    probe: Probe
    """A file of the run folder that a worker must be able to read."""
    metrics: tuple[Metric, ...] | None = None
    """Instead of the profile's metrics."""
    tracker: SubjectTracker | None = None
    """Instead of the profile's tracker."""
    threads: int | None = None
    """Threads of a worker; None leaves it to the libraries."""
    generators: tuple[str, ...] = ()
    """Roles that load the model."""

    def __call__(self, role: str) -> ClipJob:
        """The job."""
        return ClipJob(self, role)


class ClipJob:
    """The job: see the module."""

    def __init__(self, jobs: ClipJobs, role: str) -> None:
        self._jobs, self._role = jobs, role
        self._heard = _Notices()
        self._told = False

    def about(self) -> About:
        """Checks that the run folder and the data are those of the driver, and loads the model."""
        jobs = self._jobs
        jobs.probe.check()
        if jobs.threads is not None:
            _use_threads(jobs.threads)
        request = dataclasses.replace(jobs.request, device=_device(jobs.request.device))
        data = open_dataset(request.data, wanted=Wanted(samples=jobs.samples))
        self._bench = Bench(request, data, self._heard, metrics=jobs.metrics, tracker=jobs.tracker)
        return About(
            host=socket.gethostname(),
            environment=environment(),
            data_revision=data.revision(jobs.samples[:COMPARED_SAMPLES]),
            device=request.device,
            model_info=self._load_model() if self._role in jobs.generators else None,
            notices=tuple(self._heard.kept),
        )

    def do(self, kind: str, item: str) -> Generator[Any, None, Done]:
        """Generates or scores a clip; before the first scoring it yields `Scoring`."""
        if kind == GENERATE:
            return Done(self._bench.generate(item))
        if not self._told:
            self._told = True
            seen = len(self._heard.kept)
            scorer, manifest = self._bench.scoring()
            bare = dataclasses.replace(scorer, metrics=tuple(_Named(m.info) for m in scorer.metrics), tracker=None)
            yield Scoring(bare, manifest, tuple(self._heard.kept[seen:]))
        return Done(self._bench.score(item))

    def _load_model(self) -> dict[str, Any]:
        bench, todo = self._bench, self._jobs.todo
        info = bench.model_info()
        model: object = None if bench.request.predictions else bench.model
        if isinstance(model, Batches) and model.batch > 1:
            raise UserError(
                f"Workers take one clip at a time, and batch={model.batch} was given.",
                "Leave out --workers or --option batch; `--gpus-per-worker 0.5` puts two workers on a GPU.",
            )
        if isinstance(model, Plans) and todo:
            for line in model.plan_lines():
                self._heard.notice(line)
        if isinstance(model, Prepares) and todo:
            model.prepare(sorted({bench.data.caption(i) or "" for i in todo}))
        return info


class Probe(NamedTuple):
    """A file that the driver wrote into the run folder: who cannot read it does not share the folder."""

    path: Path
    content: str
    host: str

    @classmethod
    def write(cls, folder: Path) -> Probe:
        """Writes one."""
        probe = cls(
            folder.resolve() / WORK / f"probe-{secrets.token_hex(8)}", secrets.token_hex(16), socket.gethostname()
        )
        probe.path.parent.mkdir(parents=True, exist_ok=True)
        probe.path.write_text(probe.content)
        return probe

    def check(self) -> None:
        """Reads it, and writes an answer beside it.

        Raises:
            UserError: If it cannot be read or answered here.
        """
        folder, here = self.path.parent.parent, socket.gethostname()
        deadline = time.monotonic() + PROBE_WAIT
        while not (self.path.is_file() and self.path.read_text() == self.content):
            if time.monotonic() > deadline or not folder.parent.is_dir():
                raise UserError(
                    f"{here} does not see the run folder {folder} of {self.host}.",
                    "Give --out a folder of a file system that all machines mount at one place, such as NFS or Lustre.",
                )
            time.sleep(0.5)
        try:
            answer = self.path.with_name(f"{self.path.name}.{here}.{os.getpid()}")
            answer.write_text(self.content)
            answer.unlink()
        except OSError as error:
            raise UserError(
                f"{here} cannot write to the run folder {folder}: {error.strerror}.", "Let every machine write there."
            ) from error


def _device(asked: str) -> str:
    """``auto`` as this process sees it."""
    import torch

    return asked if asked != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")


def _use_threads(count: int) -> None:
    """One worker's share of the processors, for every library that starts threads."""
    import torch

    torch.set_num_threads(count)
