"""A run shared among workers on Ray: one queue of clips, generating and scoring as a pipeline.

This process alone opens the run, claims clips, and assembles. Workers hold model and metrics (`hmbench.run.jobs`) and
write each clip's files themselves, through the same `Bench` as a run in one process: the rows are the same bytes. What
passes between processes are clip names and what became of them.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hmbench.data.dataset import Dataset
from hmbench.errors import Stopped, UserError
from hmbench.protocols import Metric, SubjectTracker
from hmbench.results.prediction_record import done_predictions
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.run import evaluate as here
from hmbench.run.assemble import EvalResult, assemble
from hmbench.run.bench import Bench
from hmbench.run.empty_prompts import empty_prompts
from hmbench.run.evaluate import open_data, open_run, run_to_score, select_samples, share
from hmbench.run.jobs import COMPARED_SAMPLES, GENERATE, SCORE, About, ClipJobs, Done, Probe, Scoring
from hmbench.run.request import EvalRequest, Reporter, Silent, checked_device
from hmbench.run.scorers import check_scoring
from hmbench.run.sharing import Session, writing
from hmbench.run.stages import Scorer
from hmbench.run.workers_request import Progress, ShowsWorkers, Workers
from hmbench.workers.crew import Came, Crew, Finished, GivenUp, Joined, News, Passed, Returned
from hmbench.workers.engine import Role, Task, no_room
from hmbench.workers.on_ray import RayEngine, check_ray

MAY_DIFFER = ("platform", "git")
"""Entries of the environment in which machines of one cluster may differ."""
BOTH = (GENERATE, SCORE)
LONG = 120.0
"""Seconds after which it is said that no worker is ready."""


def evaluate(request: EvalRequest, reporter: Reporter | None = None) -> EvalResult:
    """All stages, in this process or on the request's workers (see `hmbench.run.evaluate.evaluate`)."""
    if not request.workers.asked:
        return here.evaluate(request, reporter)
    result = run_on_workers(request, reporter)
    assert isinstance(result, EvalResult)
    return result


def generate(request: EvalRequest, reporter: Reporter | None = None) -> RunManifest:
    """The first stage, in this process or on the request's workers (see `hmbench.run.evaluate.generate`)."""
    if not request.workers.asked:
        return here.generate(request, reporter)
    manifest = run_on_workers(request, reporter, stages=(GENERATE,))
    assert isinstance(manifest, RunManifest)
    return manifest


def score(request: EvalRequest, reporter: Reporter | None = None) -> EvalResult:
    """The other stages, in this process or on the request's workers (see `hmbench.run.evaluate.score`)."""
    if not request.workers.asked:
        return here.score(request, reporter)
    result = run_on_workers(request, reporter, stages=(SCORE,))
    assert isinstance(result, EvalResult)
    return result


def run_on_workers(
    request: EvalRequest,
    reporter: Reporter | None = None,
    *,
    stages: Sequence[str] = BOTH,
    metrics: Sequence[Metric] | None = None,
    tracker: SubjectTracker | None = None,
) -> EvalResult | RunManifest:
    """Generates and scores on the request's workers.

    Args:
        request: The run; ``auto`` as device is what each worker sees.
        reporter: Hears how it goes; one that `ShowsWorkers` sees all stages at once.
        stages: ``generate``, ``score`` or both.
        metrics: Instead of the profile's metrics.
        tracker: Instead of the profile's tracker.

    Returns:
        The result, or the manifest if nothing was scored.

    Raises:
        UserError: For what the user can mend: no Ray, no cluster, machines that differ, another process on the run.
        Stopped: If it was stopped by a signal; clips that were complete are kept.
    """
    reporter = reporter or Silent()
    check_ray()
    if request.workers.address is None and request.device != "auto":
        checked_device(request.device)
    if SCORE in stages and metrics is None:
        check_scoring(request)
    if GENERATE in stages and request.model is None:
        raise UserError("No model was named.", "Give --model, or score existing videos with `hmbench score`.")
    data = open_data(request, reporter)
    with Session(request.out, request.shard, join=request.join) as session:
        run = _Run(request, data, session, reporter, stages)
        if GENERATE in stages and request.predictions is None and (said := empty_prompts(data, run.todo)):
            reporter.notice(said)
        if run.todo or run.waiting:
            return run.go(tuple(metrics) if metrics is not None else None, tracker)
    nobody = dataclasses.replace(request, workers=Workers(), device=checked_device(request.device))
    return here.generate(nobody, reporter)  # looks whether it is the same run, and makes nothing


class _Run:
    """The driver: what is known of the run, and what to do about each piece of news."""

    def __init__(
        self,
        request: EvalRequest,
        data: Dataset,
        session: Session,
        reporter: Reporter,
        stages: Sequence[str],
    ) -> None:
        self.request, self.workers, self.data, self.session = request, request.workers, data, session
        self.reporter, self.stages = reporter, tuple(stages)
        self.folder = RunFolder(request.out)
        self.manifest: RunManifest | None = None
        self.scorer: Scorer | None = None
        self.opened = False
        self.first: About | None = None
        if GENERATE not in stages:
            self.manifest = run_to_score(request, data)
        self.ids = self.manifest.samples if self.manifest else select_samples(data, request)
        self.mine = share(self.ids, request)
        there = set(done_predictions(self.folder, self.mine)) if GENERATE in stages else set()
        self.todo = [i for i in self.mine if i not in there] if GENERATE in stages else []
        self.waiting = [i for i in self.mine if i in there or GENERATE not in stages] if SCORE in stages else []
        self.gpus = _gpus_wanted(request, self.workers)
        alone = self.workers.address is None
        self.count = _local_count(self.workers, self.gpus) if alone else self.workers.count or None
        self.generated = len(self.mine) - len(self.todo)
        self.tracked: set[str] = set()
        self.scored = self.failed = 0
        self._said: set[str] = set()

    def go(self, metrics: tuple[Metric, ...] | None, tracker: SubjectTracker | None) -> EvalResult | RunManifest:
        """Runs the crew to its end, and assembles."""
        probe = Probe.write(self.request.out)
        try:
            self._work(self._jobs(probe, metrics, tracker))
        finally:
            probe.path.unlink(missing_ok=True)
        assert self.manifest is not None, "no worker was ready, and nobody said so"
        return assemble(self.folder, self.manifest) if SCORE in self.stages else self.manifest

    def _jobs(self, probe: Probe, metrics: tuple[Metric, ...] | None, tracker: SubjectTracker | None) -> ClipJobs:
        """What the workers are told."""
        per_worker = (os.cpu_count() or 1) // self.count if self.count and not self.gpus else None
        return ClipJobs(
            request=dataclasses.replace(self.request, out=self.request.out.resolve()),
            samples=tuple(self.ids), todo=tuple(self.todo), probe=probe, metrics=metrics, tracker=tracker,
            threads=None if per_worker is None else max(1, per_worker),
            generators=("worker", "generator") if GENERATE in self.stages else (),
        )  # fmt: skip

    def _work(self, jobs: ClipJobs) -> None:
        """Starts Ray, and hears the crew to its end."""
        roles = self._roles(self.count, self.gpus, 1.0 if self.count else 2.0)
        cpus = sum((role.count or 1) * role.cpus for role in roles)
        engine = RayEngine(jobs, address=self.workers.address, cpus=cpus)
        try:
            if self.workers.address is not None:
                roles = self._cluster_roles(roles, engine.machines())
            crew = self._crew(engine, roles)
            with _stopping(crew, self.workers.grace, self.reporter) as stopped:
                for news in crew.news():
                    self._hear(news, crew)
            if stopped:
                raise Stopped(stopped[0])
        finally:
            engine.close()

    def _crew(self, engine: RayEngine, roles: Sequence[Role]) -> Crew:
        self._progress(())
        tasks = [Task(SCORE, i) for i in self.waiting] + [Task(GENERATE, i) for i in self.todo]
        return Crew(
            engine, roles, tasks, tries=self.workers.tries, timeout=self.workers.timeout,
            allowed=lambda task: self.session.claim(task.item, task.kind),
        )  # fmt: skip

    def _roles(self, count: int | None, gpus: float, cpus: float) -> list[Role]:
        """One sort of workers that does both, or generators and scorers."""
        kinds = tuple(stage for stage in (SCORE, GENERATE) if stage in self.stages)
        if self.workers.scorers == 0 or len(kinds) == 1:
            return [Role(name="worker", kinds=kinds, count=count, cpus=cpus, gpus=gpus)]
        scorers = Role(name="scorer", kinds=(SCORE,), count=self.workers.scorers, cpus=cpus, after=(GENERATE,))
        return [Role(name="generator", kinds=(GENERATE,), count=count, cpus=cpus, gpus=gpus), scorers]

    def _cluster_roles(self, roles: list[Role], machines: list[dict[str, float]]) -> list[Role]:
        """Roles as the cluster's machines can hold them.

        With GPUs, a worker takes one unless told otherwise. Nobody asks for more processors than the largest machine
        has: Ray would wait for ever for one that has them.
        """
        if self.workers.gpus_each is None and self.request.device != "cpu" and any(m.get("GPU") for m in machines):
            roles = [dataclasses.replace(role, gpus=1.0) if role.name != "scorer" else role for role in roles]
        most = max((machine.get("CPU", 0.0) for machine in machines), default=0.0)
        return [dataclasses.replace(role, cpus=min(role.cpus, most) if most >= 1 else role.cpus) for role in roles]

    def _hear(self, news: News, crew: Crew) -> None:
        if isinstance(news, Joined):
            self._join(news.about)
        elif isinstance(news, Came) and isinstance(news.step, Scoring):
            self._begin_scoring(news.step)
        elif isinstance(news, Finished):
            self._finish(news.task, news.result, crew)
        elif isinstance(news, Returned):
            what = f"{news.task.item} goes to another" if news.task else "another takes its place"
            self.reporter.notice(f"A worker was lost ({news.worker.place}: {news.reason}); {what}.")
        elif isinstance(news, GivenUp):
            self._give_up(news, crew)
        if isinstance(news, Passed):
            self._wait_for_room(crew)
        if isinstance(news, Passed | Finished | GivenUp):
            self._look_at_tracks(crew)
            self._progress(tuple(_line(state) for state in crew.states))

    def _join(self, about: About) -> None:
        """Opens the run with what the first worker tells; every other one must tell the same."""
        self._notices(about.notices)
        if about.model_info is not None and about.model_info.get("notice"):
            self._notices((about.model_info["notice"],))
        if not self.opened and about.model_info is not None:
            request = dataclasses.replace(self.request, device=about.device)
            there = open_run(request, self.data, tuple(self.ids), about.model_info)
            self.opened, self.manifest = True, self.manifest or there
        if self.first is None:
            self.first = about
            expected = self.data.revision(tuple(self.ids[:COMPARED_SAMPLES]))
        else:
            expected = self.first.data_revision
        if about.data_revision != expected:
            raise UserError(
                f"{about.host} sees other data at {self.request.data!r} than this machine.",
                "Let --data be one folder that all machines mount, or equal copies of it.",
            )
        if unlike := _unlike(self.first, about):
            raise UserError(
                f"{about.host} and {self.first.host} cannot share a run: {unlike}.",
                "Install the same versions on all machines (pip install -c constraints.txt).",
            )

    def _begin_scoring(self, told: Scoring) -> None:
        self._notices(told.notices)
        if self.scorer is None:
            self.scorer, self.manifest = told.scorer, told.manifest
            with writing(self.request.out):
                self.folder.write_manifest(told.manifest)
        elif told.scorer.fingerprint != self.scorer.fingerprint:
            raise UserError(
                "Workers do not score alike: their metrics, tracker or weights differ.",
                "Give --weights a folder that all machines share, and the same versions of hmbench.",
            )

    def _finish(self, task: Task, result: Done, crew: Crew) -> None:
        self.session.release(task.item, task.kind)
        if result.failure is not None:
            self.reporter.failed(task.item, task.kind, result.failure.message)
        if task.kind == GENERATE:
            self._generated(task.item, crew)
        else:
            self.scored += 1
            self.failed += result.failure is not None or self.folder.failure(task.item, GENERATE).is_file()
            self.reporter.advance(task.item)

    def _generated(self, sample: str, crew: Crew) -> None:
        self.generated += 1
        if SCORE in self.stages:
            crew.add(Task(SCORE, sample))
        else:
            self.reporter.advance(sample)

    def _give_up(self, news: GivenUp, crew: Crew) -> None:
        """A clip that cost as many workers as it may is a failure of that clip, as an error of the model would be."""
        task, tries = news.task, self.workers.tries
        message = f"{tries} worker{'s were' if tries > 1 else ' was'} lost on it: {news.reason}"
        bench = Bench(self.request, self.data, self.reporter)
        failure = bench.give_up(task.item, task.kind, message, self.scorer)
        self._finish(task, Done(failure), crew)

    def _look_at_tracks(self, crew: Crew) -> None:
        """Tracking and scoring are one task; that the first half is done is seen by its file."""
        for state in crew.states:
            if state.task is not None and state.task.kind == SCORE and self.folder.tracks(state.task.item).is_file():
                self.tracked.add(state.task.item)
                state.step = "scoring"

    def _wait_for_room(self, crew: Crew) -> None:
        """Says why nothing happens, where Ray finds no place for any worker."""
        if self.first is not None:
            return
        self._notices(no_room(role) for role in crew.roles if not crew.engine.room(role))
        waiting = [state for state in crew.states if not state.worker.place]
        if waiting and time.monotonic() - waiting[0].since > LONG:
            self._notices(("No worker is ready yet: Ray is still looking for room, or the model takes long to load.",))

    def _notices(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._said:
                self._said.add(text)
                self.reporter.notice(text)

    def _progress(self, lines: tuple[str, ...]) -> None:
        if isinstance(self.reporter, ShowsWorkers):
            progress = Progress(
                total=len(self.mine),
                generated=self.generated if GENERATE in self.stages else None,
                tracked=max(len(self.tracked), self.scored),
                scored=self.scored if SCORE in self.stages else None, failed=self.failed, workers=lines,
            )  # fmt: skip
            self.reporter.progress(progress)
        elif not lines:
            self.reporter.stage(" and ".join(self.stages), len(self.mine), 0)


def _gpus_wanted(request: EvalRequest, workers: Workers) -> float:
    """GPUs of a worker on this machine; on a cluster it is asked later."""
    if workers.gpus_each is not None:
        return workers.gpus_each
    if workers.address is not None or request.device == "cpu":
        return 0.0
    import torch

    return 1.0 if torch.cuda.is_available() else 0.0


def _local_count(workers: Workers, gpus: float) -> int:
    """How many workers on this machine: one a GPU share, or one per two processors."""
    if workers.count:
        return workers.count
    if gpus:
        import torch

        return max(1, int(torch.cuda.device_count() / gpus))
    return max(1, (os.cpu_count() or 1) // 2)


def _unlike(a: About, b: About) -> str:
    """In what two workers differ that may change a number; empty if in nothing."""
    found = [
        f"{name} is {a.environment.get(name)} and {b.environment.get(name)}"
        for name in sorted(a.environment.keys() | b.environment.keys())
        if name not in MAY_DIFFER and a.environment.get(name) != b.environment.get(name)
    ]
    if a.model_info is not None and b.model_info is not None and a.model_info != b.model_info:
        found.append("the model tells other settings or weights of itself")
    if a.device.split(":")[0] != b.device.split(":")[0]:
        found.append(f"their devices are {a.device} and {b.device}")
    return "; ".join(found)


def _line(state: Any) -> str:
    """A worker's line."""
    where = f"{state.worker.role.name} {state.worker.number} ({state.worker.place or 'not placed yet'})"
    seconds = time.monotonic() - state.since
    if not state.ready:
        return f"{where}: loading for {seconds:.0f} s"
    if state.task is None:
        return f"{where}: idle"
    doing = {GENERATE: "generating", SCORE: state.step if isinstance(state.step, str) else "tracking"}[state.task.kind]
    return f"{where}: {doing} {state.task.item} for {seconds:.0f} s"


@contextmanager
def _stopping(crew: Crew, grace: float, reporter: Reporter) -> Iterator[list[int]]:
    """While it lasts, Ctrl-C and SIGTERM stop the crew; a second one does not wait for clips in flight."""
    stopped: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if stopped:
            raise Stopped(number)
        stopped.append(number)
        crew.stop(grace)
        reporter.notice(f"Stopping: clips in flight have {grace:g} s to end; once more stops at once.")

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
