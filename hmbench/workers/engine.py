"""What a crew needs of the thing that runs its workers, and the words that they exchange."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True, kw_only=True)
class Role:
    """A sort of worker: which tasks it takes, and what it needs."""

    name: str
    """Shown in messages."""
    kinds: tuple[str, ...]
    """Kinds of tasks it takes; what stands first is taken first."""
    count: int | None = None
    """Workers at most; None for as many as the engine has room for."""
    cpus: float = 1.0
    """Share of processors of each."""
    gpus: float = 0.0
    """GPUs of each; a half means that two share one."""
    after: tuple[str, ...] = ()
    """Kinds of tasks whose end brings tasks for this role: it is hired while those wait."""


class Task(NamedTuple):
    """One piece of work."""

    kind: str
    """Decides who takes it."""
    item: Any
    """What to work on."""


class Job(Protocol):
    """What a worker process does; made once in it by a `JobMaker`, then asked again and again."""

    def about(self) -> Any:
        """What the caller should know of this worker before it gets work; loads what takes long."""

    def do(self, kind: str, item: Any) -> Generator[Any, None, Any]:
        """Works on one item: yields the steps that it comes to, and returns the result."""


class JobMaker(Protocol):
    """Makes the job inside the worker's process; travels there by pickle."""

    def __call__(self, role: str) -> Job:
        """A job for a worker of that role."""


@dataclass(eq=False)
class Worker:
    """A worker as its engine knows it."""

    role: Role
    """Its sort."""
    number: int
    """Counts from 0 in order of hiring."""
    place: str = ""
    """Where it runs: host and process, once known."""
    handle: Any = field(default=None, repr=False)
    """The engine's own."""


class Ready(NamedTuple):
    """A worker has loaded what it needs."""

    worker: Worker
    about: Any


class Step(NamedTuple):
    """A worker has come to the next step of its task."""

    worker: Worker
    step: Any


class Done(NamedTuple):
    """A worker has finished its task."""

    worker: Worker
    result: Any


class Broken(NamedTuple):
    """A worker raised, instead of loading or of working: that is a mistake of the caller, not of one item."""

    worker: Worker
    error: Exception


class Died(NamedTuple):
    """A worker's process is gone."""

    worker: Worker
    reason: str
    innocent: bool
    """True if something else than its task took it away, such as a node that was shut down."""


Happening = Ready | Step | Done | Broken | Died


def no_room(role: Role) -> str:
    """What is said of a role that no machine can hold."""
    sorts = ((role.cpus, "processor"), (role.gpus, "GPU"))
    needs = " and ".join(f"{count:g} {name}{'s' * (count > 1)}" for count, name in sorts if count)
    return f"No machine of the cluster has the {needs} that a {role.name} takes. One that joins is used."


class Engine(Protocol):
    """Runs workers somewhere."""

    def room(self, role: Role) -> int:
        """How many workers of a role there may be now; it grows when machines join."""

    def hire(self, role: Role) -> Worker:
        """Starts a worker; `Ready` follows when it has loaded."""

    def give(self, worker: Worker, task: Task) -> None:
        """Starts a task on a worker that has none."""

    def happenings(self, timeout: float) -> Sequence[Happening]:
        """What happened, at once if something did, else within `timeout` seconds."""

    def fire(self, worker: Worker) -> None:
        """Ends a worker, whatever it does; nothing is heard of it any more."""

    def close(self) -> None:
        """Ends all workers, and the engine."""
