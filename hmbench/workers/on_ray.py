"""Workers as actors of Ray: on this machine, or on every machine of a cluster, also those that join later.

Ray is imported when an engine is made and not before. Without an address it is started here and ends with this
process, however that ends. An actor is never restarted by Ray: the crew decides what a death costs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import psutil

from hmbench.errors import UserError
from hmbench.workers.engine import Broken, Died, Done, Engine, Happening, Job, JobMaker, Ready, Role, Step, Task, Worker
from hmbench.workers.local import portable, said

CONNECT_SECONDS = 10.0
"""Seconds in which the head of a cluster must answer its port."""
LOOK_AT_CLUSTER = 2.0
"""Seconds between two looks at what the cluster has."""
STARTS = 4
"""Times that Ray is started here until it stands: on a machine that is busy, Ray 2.60 gives up if one of its own
processes needs more than 15 s, which no setting changes."""
OBJECT_STORE = 100 * 1024**2
"""Bytes of Ray's store on this machine: results are small, videos go by the file system."""


class Actor:
    """A worker's process: makes its job when asked what it is about, then works on one task at a time."""

    def __init__(self, maker: bytes, role: str, path: Sequence[str]) -> None:
        self._maker, self._role = maker, role
        sys.path += [entry for entry in path if entry not in sys.path]
        self._job: Job | None = None

    def about(self) -> Any:
        """("ready", what the job tells of itself), or ("broken", error)."""
        import ray

        place, node = f"{socket.gethostname()}, process {os.getpid()}", ray.get_runtime_context().get_node_id()
        try:
            self._job = pickle.loads(self._maker)(self._role)
            return "ready", (place, node, self._job.about())
        except Exception as error:  # noqa: BLE001 - the driver raises it
            return "broken", portable(error)

    def do(self, kind: str, item: Any) -> Generator[tuple[str, Any], None, None]:
        """("step", ...) as the job yields them, and ("done", ...) or ("broken", ...) at last."""
        assert self._job is not None, "asked to work before it was ready"
        try:
            yield from said(self._job.do(kind, item))
        except Exception as error:  # noqa: BLE001 - the driver raises it
            yield "broken", portable(error)


@dataclass
class _Handle:
    """An actor, and what is awaited of it."""

    actor: Any
    node: str | None = None
    awaited: Any = field(default=None)


def _holds(machine: dict[str, float], role: Role) -> int:
    """How many actors of a role fit on a machine with nothing else on it."""
    by_cpus = machine.get("CPU", 0.0) / role.cpus if role.cpus else float("inf")
    by_gpus = machine.get("GPU", 0.0) / role.gpus if role.gpus else float("inf")
    return int(min(by_cpus, by_gpus, 10**6) + 1e-9)


class RayEngine(Engine):
    """See the module.

    Args:
        maker: Makes the job in each actor.
        address: ``HOST:PORT`` or ``auto`` of a running cluster; None to start Ray on this machine.
        cpus: Processors that a Ray started here counts; what its workers ask for must fit.

    Raises:
        UserError: If Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, maker: JobMaker, *, address: str | None, cpus: float) -> None:
        self.ray = _import_ray()
        from ray import cloudpickle

        self._maker: bytes = cloudpickle.dumps(maker)  # type: ignore[no-untyped-call]
        self.local = address is None
        started = time.monotonic()
        _start(self.ray, address, cpus)
        self.seconds = time.monotonic() - started
        """What Ray's start took."""
        self._hired = 0
        self._awaited: dict[Any, Worker] = {}
        self._machines: list[dict[str, float]] = []
        self._looked = -LOOK_AT_CLUSTER

    def machines(self) -> list[dict[str, float]]:
        """What each machine of the cluster has, as it was at most `LOOK_AT_CLUSTER` seconds ago."""
        if time.monotonic() - self._looked >= LOOK_AT_CLUSTER:
            self._machines = [dict(node["Resources"]) for node in self.ray.nodes() if node["Alive"]]
            self._looked = time.monotonic()
        return self._machines

    def room(self, role: Role) -> int:
        """How many actors of a role the whole cluster could hold; each is on one machine."""
        return sum(_holds(machine, role) for machine in self.machines())

    def hire(self, role: Role) -> Worker:
        """Asks for an actor; Ray starts it where there is room."""
        worker = Worker(role, self._hired)
        self._hired += 1
        remote = self.ray.remote(Actor).options(
            num_cpus=role.cpus, num_gpus=role.gpus, max_restarts=0, max_task_retries=0
        )
        actor = remote.remote(self._maker, role.name, sys.path if self.local else [])
        worker.handle = _Handle(actor)
        self._await(worker, actor.about.remote())
        return worker

    def give(self, worker: Worker, task: Task) -> None:
        """Starts a task; its steps stream back."""
        stream = worker.handle.actor.do.options(num_returns="streaming").remote(task.kind, task.item)
        self._await(worker, stream)

    def happenings(self, timeout: float) -> Sequence[Happening]:
        """What the actors said."""
        if not self._awaited:
            time.sleep(timeout)
            return []
        waited = list(self._awaited)
        ready, _ = self.ray.wait(waited, num_returns=1, timeout=timeout, fetch_local=False)
        if ready and len(waited) > 1:  # whatever else is there already
            ready, _ = self.ray.wait(waited, num_returns=len(waited), timeout=0, fetch_local=False)
        return [happening for one in ready if (happening := self._heard(one)) is not None]

    def fire(self, worker: Worker) -> None:
        """Kills an actor."""
        self._forget(worker)
        with contextlib.suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.kill(worker.handle.actor, no_restart=True)

    def close(self) -> None:
        """Kills what is left; a Ray that was started here ends, a cluster goes on without us."""
        for worker in list(self._awaited.values()):
            self.fire(worker)
        self.ray.shutdown()

    def _await(self, worker: Worker, thing: Any) -> None:
        worker.handle.awaited = thing
        self._awaited[thing] = worker

    def _forget(self, worker: Worker) -> None:
        self._awaited.pop(worker.handle.awaited, None)

    def _heard(self, thing: Any) -> Happening | None:
        """One answer of an actor."""
        worker = self._awaited[thing]
        streams = isinstance(thing, self.ray.ObjectRefGenerator)
        try:
            word, content = self.ray.get(next(thing) if streams else thing)
        except StopIteration:
            self._forget(worker)
            return None
        except (self.ray.exceptions.RayActorError, self.ray.exceptions.RaySystemError) as error:
            self.fire(worker)  # one that cannot be reached may live on
            return Died(worker, _why(error), innocent=self._node_gone(worker))
        except self.ray.exceptions.RayError as error:
            self._forget(worker)
            return Broken(worker, UserError(f"Ray could not run a worker: {_first_line(error)}.", HINT_NODE))
        if word != "step":
            self._forget(worker)
        if word == "ready":
            worker.place, worker.handle.node, about = content
            return Ready(worker, about)
        if word == "broken":
            return Broken(worker, content)
        return Step(worker, content) if word == "step" else Done(worker, content)

    def _node_gone(self, worker: Worker) -> bool:
        """Whether the actor's node is no longer part of the cluster."""
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        return worker.handle.node is not None and worker.handle.node not in alive


HINT_NODE = "Every machine of the cluster needs the same hmbench (and its dependencies) installed."


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_worker_niceness", "0")  # its default, 15, starves workers
    try:
        import ray
        import ray.exceptions
        import ray.util.state
    except ImportError as error:
        raise _no_ray() from error
    return ray


def check_ray() -> None:
    """Refuses at once where there is no Ray, before data are made for it.

    Raises:
        UserError: If Ray is not installed.
    """
    if find_spec("ray") is None:
        raise _no_ray()


def _no_ray() -> UserError:
    return UserError(
        "Workers run on Ray, which is not installed.", "pip install 'hmbench[cluster]', or share with --shard."
    )


def _start(ray: Any, address: str | None, cpus: float) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if ray.is_initialized():
        raise UserError("Ray runs in this process already.", "Call ray.shutdown() first; hmbench starts its own.")
    try:
        if address is None:
            _start_here(ray, max(1, int(cpus + 0.999)), quiet)
        else:
            _listens(address)
            os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "2")  # tries: a port may belong to another program
            ray.init(address=address, **quiet)
    except Exception as error:
        if address is not None and _wants_a_token(error):
            raise UserError(
                f"The Ray cluster at {address!r} wants its token.",
                "Set RAY_AUTH_MODE=token here and for every `ray start`, with the cluster's token in ~/.ray/auth_token "
                "or RAY_AUTH_TOKEN (docs/scaling/clusters.md).",
            ) from error
        what = "Ray could not be started here" if address is None else f"There is no Ray cluster at {address!r}"
        raise UserError(
            f"{what}: {_first_line(error)}.",
            "Start again when the machine is less busy, or share with --shard."
            if address is None
            else "`ray start --head` starts one; without --ray-address it is started on this machine.",
        ) from error


def _wants_a_token(error: BaseException | None) -> bool:
    """Whether a cluster refused an error's caller: Ray does not send a token to an address that somebody typed."""
    while error is not None:
        if "InvalidAuthToken" in str(error) or "AuthenticationError" in type(error).__name__:
            return True
        error = error.__cause__ or error.__context__
    return False


def _listens(address: str) -> None:
    """Asks whether anybody listens at ``HOST:PORT``; Ray itself goes on asking for minutes.

    Raises:
        OSError: If nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def _start_here(ray: Any, cpus: int, quiet: dict[str, Any]) -> None:
    """Starts Ray on this machine; what a failed start left is ended before the next."""
    before = set(psutil.Process().children(recursive=True))
    for start in range(STARTS):
        try:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=OBJECT_STORE, **quiet)
            return
        except Exception:
            ray.shutdown()
            for process in set(psutil.Process().children(recursive=True)) - before:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if start == STARTS - 1:
                raise


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _why(error: BaseException) -> str:
    """Why an actor died, short: Ray's text is a page."""
    text = str(error)
    if "OOM" in text and "memory pressure" in text:
        return "its process was killed because the machine's memory ran out"
    if "exit code" in text and "exit type: INTENDED" in text:
        return "its process ended by itself"
    for mark, meaning in (("node has died", "its node was shut down"), ("was killed by", "it was killed")):
        if mark in text.lower():
            return meaning
    return "its process died (a crash, a signal, or memory that ran out)"
