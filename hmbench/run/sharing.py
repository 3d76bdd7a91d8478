"""Who works on a run folder: sessions, claims on samples, and the lock under which files of the whole run are written.

Processes of one machine or of many may work on one folder; all they share is its file system, which may be NFS. Hence

* a *session* is a file in ``.work/sessions`` whose time its process renews. It says who works here: host, process,
  since when, on which part. A session that is dead is seen at once on its own host (the process is gone), and
  elsewhere by its age, read off the file system's own clock so that hosts need not agree on the time;
* a *claim* is a hard link of the session to ``.work/claims/SAMPLE.STAGE``. Making a link is atomic on NFS, too, and the
  link shares the session's time: one heartbeat keeps all claims of a process alive, and they die with it;
* the *writer's lock* is `filelock.SoftFileLease`: short, renewed while held, taken over if its holder died.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import TypeVar

import psutil

from hmbench.errors import UserError

BEAT = 5.0
"""Seconds between two signs of life of a session."""
DEAD = 90.0
"""Seconds without one after which a session on another host counts as dead; NFS may hide a sign for 60."""
LEASE = 30.0
"""Seconds after which a writer's lock without a sign of life may be taken over."""
WORK = ".work"
TIDIED = 3
"""Times that a folder is made again that somebody tidied away."""
T = TypeVar("T")
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


_OPEN: set[str] = set()
"""Tokens of the sessions that this process has open."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that works on a run."""

    token: str
    """Its name here."""
    host: str
    """Host name."""
    pid: int
    """Process id on that host."""
    started: float
    """When the process began, by its host's clock: tells a process from another with the same id."""
    machine: str
    """Boot and process namespace: only within one can process ids be looked up."""
    since: str
    """When it began to work here, local time with zone."""
    part: tuple[int, int]
    """(k, n): its share of the samples."""
    command: str
    """What was typed."""

    def __str__(self) -> str:
        share = "" if self.part == (0, 1) else f", shard {self.part[0]} of {self.part[1]}"
        return f"process {self.pid} on {self.host} since {self.since}{share} ({self.command})"


def this_process(part: tuple[int, int]) -> Holder:
    """This process as a holder, under a new name."""
    return Holder(
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        machine=_machine(),
        since=datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        part=part,
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:300],
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Holds the lock under which one process at a time writes what concerns the whole run."""
    from filelock import SoftFileLease

    lease = SoftFileLease(folder / WORK / "lock", lease_duration=LEASE, poll_interval=0.1)

    def take() -> None:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        lease.acquire()

    _again(take)
    try:
        yield
    finally:
        lease.release()


def _again(make: Callable[[], T]) -> T:
    """What `make` gives; asked again where a folder that it had made was tidied away, empty, by one that ended."""
    for _ in range(TIDIED):
        with suppress(FileNotFoundError):
            return make()
    return make()


class Session:
    """The work of this process on a run folder, from `with` to its end.

    Args:
        folder: The run folder; it need not exist.
        part: (k, n): this process does every n-th sample from the k-th on.
        join: Share the work of whoever is there, instead of being refused.

    Raises:
        UserError: On entry, if another living process works on samples of this part and `join` is off.
    """

    def __init__(self, folder: Path, part: tuple[int, int] = (0, 1), *, join: bool = False) -> None:
        self.folder, self.join = folder, join
        self.holder = this_process(part)
        self._work = folder / WORK
        self._file = self._work / "sessions" / f"{self.holder.token}.json"
        self._new = not folder.exists()
        self._stop = Event()
        self._thread = Thread(target=self._beat, daemon=True, name="hmbench-session")

    def __enter__(self) -> Session:
        try:
            with writing(self.folder):
                others = self._living()
                self._sweep()
                if not self.join and (held := [o for o in others if _overlap(o.part, self.holder.part)]):
                    raise UserError(
                        f"{self.folder} is being worked on by {held[0]}.",
                        "Wait for it, or choose another --out; with --join this command shares the work that is left.",
                    )
                _again(self._announce)
                _OPEN.add(self.holder.token)
        except BaseException:
            self._tidy()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _OPEN.discard(self.holder.token)
        self._stop.set()
        self._thread.join()
        with suppress(OSError):  # where even this is refused, what ended the work is what has to be said
            for claim in self._claims():
                if (there := _read(claim)) is not None and there.token == self.holder.token:
                    claim.unlink(missing_ok=True)
            self._file.unlink(missing_ok=True)
            self._tidy()

    def claim(self, sample: str, stage: str) -> bool:
        """Takes a sample; False if another living process has it."""
        path = self._work / "claims" / f"{sample}.{stage}"
        if self._link(path):
            return True
        with writing(self.folder):  # a dead one's: taken over by one of those who see it
            if (owner := _read(path)) is not None and self._alive(owner):
                return owner.token == self.holder.token
            if owner is None and path.is_file() and self._now() - _time(path) < DEAD:
                return False  # it is just being written, on a file system without links
            path.unlink(missing_ok=True)
            return self._link(path)

    def release(self, sample: str, stage: str) -> None:
        """Gives a sample back, done or not."""
        (self._work / "claims" / f"{sample}.{stage}").unlink(missing_ok=True)

    def others(self) -> list[Holder]:
        """Living processes that work on this run beside this one."""
        return [o for o in self._living() if o.token != self.holder.token]

    def _announce(self) -> None:
        """Lets others see this session; from then on nobody tidies its folders away."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        _publish(self._file, json.dumps(asdict(self.holder)))
        (self._work / "claims").mkdir(exist_ok=True)

    def _link(self, path: Path) -> bool:
        try:
            os.link(self._file, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            try:
                with path.open("x") as file:
                    file.write(json.dumps(asdict(self.holder)))
            except FileExistsError:
                return False
        return True

    def _living(self) -> list[Holder]:
        """Holders of living sessions; files of dead ones are swept away. Called under the writer's lock."""
        found = []
        for path in sorted((self._work / "sessions").glob("*.json")):
            holder = _read(path)
            if holder is not None and self._alive(holder):
                found.append(holder)
            elif holder is not None:
                path.unlink(missing_ok=True)
        return found

    def _sweep(self) -> None:
        """Removes claims of the dead. Called under the writer's lock."""
        for claim in self._claims():
            if (owner := _read(claim)) is not None and not self._alive(owner):
                claim.unlink(missing_ok=True)

    def _alive(self, holder: Holder) -> bool:
        path = self._work / "sessions" / f"{holder.token}.json"
        if not path.is_file():
            return False
        if holder.machine == _machine() and holder.pid == os.getpid():
            return holder.token in _OPEN  # one of before, whose files could not be removed
        if holder.machine == _machine():
            with suppress(psutil.Error):
                return bool(abs(psutil.Process(holder.pid).create_time() - holder.started) < 3.0)
            return False
        return self._now() - _time(path) < DEAD

    def _now(self) -> float:
        """The file system's clock: the time that it gives a file that is touched now."""
        path = self._work / f"clock-{self.holder.token}"
        path.touch()
        now = _time(path)
        path.unlink(missing_ok=True)
        return now

    def _claims(self) -> list[Path]:
        return sorted((self._work / "claims").glob("*")) if (self._work / "claims").is_dir() else []

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):
                os.utime(self._file)  # without times: the server's clock, not this host's

    def _tidy(self) -> None:
        """Removes folders that are empty, so that a refused command leaves no trace; not those of who works here."""
        sessions = self._work / "sessions"
        if not (self.folder / "run.json").is_file() and not (sessions.is_dir() and any(sessions.iterdir())):
            own = (self.folder,) if self._new else ()
            for path in (self._work / "claims", self._work / "sessions", self._work, *own):
                with suppress(OSError):
                    path.rmdir()


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two shares have samples in common; only shares of one division are known to have none."""
    return a[1] != b[1] or a[0] == b[0]


def _publish(path: Path, text: str) -> None:
    part = path.with_suffix(".new")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _read(path: Path) -> Holder | None:
    """The holder that a file names; None if it is gone or no whole holder."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Holder)}
        return Holder(**{**{k: v for k, v in content.items() if k in known}, "part": tuple(content["part"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _time(path: Path) -> float:
    """A file's time as the server has it: opening a file makes an NFS client ask."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_mtime


@functools.cache
def _machine() -> str:
    """What process ids mean something in: this boot of this host, and the process namespace."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return " ".join(parts)
