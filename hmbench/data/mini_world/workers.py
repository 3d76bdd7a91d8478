"""Worker processes for clips: plain interpreters at the end of two pipes.

`multiprocessing` starts its workers by importing the caller's script again, so a script without
``if __name__ == "__main__"`` would start itself over and over, and its workers outlive a parent that was killed. These
import nothing but this package, read one piece of work at a time, and end when a pipe does.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

from hmbench.errors import UserError

_START = "import sys; sys.path[:] = sys.argv[1:]; from hmbench.data.mini_world.workers import serve; serve()"
Work = Callable[[Any], Any]


def spread(work: Work, groups: Sequence[Sequence[Any]], count: int) -> Iterator[Any]:
    """Yield ``work(item)`` of every item of every group, as they come; the items of a group go to one process.

    A caller that stops early (closes the iterator, or is interrupted) waits for what is being worked on, no more.

    Args:
        work: A function of a module, or a partial of one.
        groups: The items.
        count: Processes at most.

    Raises:
        UserError: If ``work`` raises one, or if a process ends early.
    """
    todo: SimpleQueue[Sequence[Any]] = SimpleQueue()
    for group in groups:
        todo.put(group)
    done: SimpleQueue[Any] = SimpleQueue()
    stop = Event()
    threads = [Thread(target=_feed, args=(work, todo, done, stop), daemon=True) for _ in range(min(count, len(groups)))]
    try:
        for thread in threads:
            thread.start()
        for _ in range(sum(map(len, groups))):
            result = done.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _feed(work: Work, todo: SimpleQueue[Sequence[Any]], done: SimpleQueue[Any], stop: Event) -> None:
    """Keep one process busy until nothing is left to do, it fails, or the caller stops."""
    try:
        with subprocess.Popen(
            [sys.executable, "-c", _START, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the parent's; workers finish their piece and end with the pipe
        ) as process:
            assert process.stdin and process.stdout
            try:
                with suppress(Empty):
                    while True:
                        for item in todo.get_nowait():
                            if stop.is_set():
                                return
                            pickle.dump((work, item), process.stdin)
                            process.stdin.flush()
                            done.put(pickle.load(process.stdout))
            finally:
                with suppress(OSError):  # whatever a process that is gone did not read
                    process.stdin.close()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        gone = UserError(
            f"A worker process ended before its work was done ({error.__class__.__name__}).",
            "What it said stands above; if that is nothing, memory ran out: take fewer workers. "
            "Clips that are complete are kept, and the same command goes on from there.",
        )
        gone.__cause__ = error
        done.put(gone)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        done.put(error)


def serve() -> None:
    """Work on what comes in by standard input until it ends, or until nobody listens any more."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up between the answers
    while True:
        try:
            work, item = pickle.load(asked)
        except EOFError:
            return
        try:
            result = work(item)
        except UserError as error:
            result = error
        try:
            pickle.dump(result, answers)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)  # the parent is gone; a return would only try to write once more
