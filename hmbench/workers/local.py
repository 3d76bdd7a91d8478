"""Workers as plain interpreters of this machine, at the end of two pipes.

`multiprocessing` starts its workers by importing the caller's script again, so a script without
``if __name__ == "__main__"`` would start itself over and over, and its workers outlive a parent that was killed. These
import nothing but this package, read one piece of work at a time, and end when a pipe does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from hmbench.workers.engine import Broken, Died, Done, Engine, Happening, JobMaker, Ready, Role, Step, Task, Worker

_START = "import sys; sys.path[:] = sys.argv[1:]; from hmbench.workers.local import serve; serve()"


class LocalEngine(Engine):
    """Processes of this machine.

    Args:
        maker: Makes the job in each process.
        count: Processes at most.
    """

    def __init__(self, maker: JobMaker, count: int) -> None:
        self._maker, self._count, self._hired = maker, count, 0
        self._heard: SimpleQueue[Happening] = SimpleQueue()
        self._there: dict[Worker, _Process] = {}

    def room(self, role: Role) -> int:
        """As many as there may be, whatever the role."""
        return self._count

    def hire(self, role: Role) -> Worker:
        """Starts a process."""
        worker = Worker(role, self._hired)
        self._hired += 1
        self._there[worker] = _Process(worker, self._heard)
        self._there[worker].send((self._maker, role.name))
        worker.place = f"process {self._there[worker].popen.pid}"
        return worker

    def give(self, worker: Worker, task: Task) -> None:
        """Sends a task down the pipe."""
        self._there[worker].send(tuple(task))

    def happenings(self, timeout: float) -> Sequence[Happening]:
        """What the processes said."""
        found: list[Happening] = []
        with contextlib.suppress(Empty):
            found.append(self._heard.get(timeout=timeout) if timeout > 0 else self._heard.get_nowait())
            while True:
                found.append(self._heard.get_nowait())
        for happening in found:
            if isinstance(happening, Died):
                self._there.pop(happening.worker, None)
        return found

    def fire(self, worker: Worker) -> None:
        """Kills a process."""
        if (process := self._there.pop(worker, None)) is not None:
            process.stop.set()
            process.popen.kill()
            process.thread.join()

    def close(self) -> None:
        """Lets every process finish its piece, down to its next step, and end."""
        for process in self._there.values():
            process.stop.set()
            process.hang_up()
        for process in self._there.values():
            process.thread.join()
        self._there.clear()


class _Process:
    """One process, and the thread that listens to it."""

    def __init__(self, worker: Worker, heard: SimpleQueue[Happening]) -> None:
        self.worker, self.stop, self._heard = worker, Event(), heard
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the parent's; workers finish their piece and end with the pipe
        )
        self.thread = Thread(target=self._listen, daemon=True, name=f"hmbench-worker-{worker.number}")
        self.thread.start()

    def send(self, message: Any) -> None:
        """Sends a message; a process that is gone is heard of by the listener."""
        assert self.popen.stdin is not None
        data = pickle.dumps(message)  # what cannot be pickled is the caller's mistake
        with contextlib.suppress(OSError):
            self.popen.stdin.write(data)
            self.popen.stdin.flush()

    def hang_up(self) -> None:
        """Nothing more comes."""
        assert self.popen.stdin is not None
        with contextlib.suppress(OSError):
            self.popen.stdin.close()

    def _listen(self) -> None:
        assert self.popen.stdout is not None
        try:
            while not self.stop.is_set():
                kind, content = pickle.load(self.popen.stdout)
                self._heard.put(_KINDS[kind](self.worker, content))
        except (OSError, EOFError, pickle.UnpicklingError):
            pass
        self.popen.stdout.close()  # its next word finds nobody, and it ends
        self.hang_up()
        code = self.popen.wait()
        if not self.stop.is_set():
            self._heard.put(Died(self.worker, _how(code), innocent=False))


_KINDS: dict[str, Callable[[Worker, Any], Happening]] = {"ready": Ready, "step": Step, "done": Done, "broken": Broken}


def _how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"


def serve() -> None:
    """Works on what comes in by standard input until it ends, or until nobody listens any more."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up between the answers

    def say(kind: str, content: Any) -> None:
        try:
            answers.write(pickle.dumps((kind, content)))
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone; a return would only try to write once more

    try:
        maker, role = pickle.load(asked)
        job = maker(role)
        say("ready", job.about())
        while True:
            kind, item = pickle.load(asked)
            for word, content in said(job.do(kind, item)):
                say(word, content)
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - the caller raises it
        say("broken", portable(error))


def said(work: Generator[Any, None, Any]) -> Iterator[tuple[str, Any]]:
    """What a job says while it works: ("step", what it yields), and at last ("done", what it returns)."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            yield "done", end.value
            return
        yield "step", step


def portable(error: Exception) -> Exception:
    """An error that survives the way to another process, with the place where it happened in its notes."""
    error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
        return error.with_traceback(None)
    except Exception:  # noqa: BLE001 - an error may refuse in any way
        return RuntimeError(f"{type(error).__name__}: {error}")
