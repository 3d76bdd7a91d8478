"""Ctrl-C and SIGTERM: one sentence and the exit code that shells and schedulers expect, no traceback."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hmbench.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""SIGTERM is what Slurm, Kubernetes and clouds send before they kill."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """While it lasts, the signals raise `Stopped` wherever the process is; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for other in SIGNALS:
            signal.signal(other, lambda again, _: os._exit(128 + again))
        raise Stopped(number)

    old = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def sentence(stopped: Stopped) -> str:
    """What the user reads."""
    name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}.get(signal.Signals(stopped.signal), "a signal")
    return f"Stopped by {name}. What was complete is kept; the same command goes on from there."
