"""Functions and jobs that worker processes import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from hmbench.errors import UserError


def square(x: int) -> tuple[int, int]:
    return x * x, os.getpid()


def slow_if_even(x: int) -> int:
    time.sleep(0.05 if x % 2 == 0 else 0)
    return x


def refuse(x: int) -> int:
    raise UserError(f"No {x}.", "Take another.")


def die_once(arguments: tuple[str, int]) -> int:
    """Kills its own process the first time that it is asked for 3."""
    folder, x = arguments
    mark = Path(folder) / "died"
    if x == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


class Naps:
    """A job that sleeps, hangs, dies or fails as its item says."""

    def __init__(self, role: str) -> None:
        self.role = role

    def about(self) -> tuple[str, int]:
        return self.role, os.getpid()

    def do(self, kind: str, item: Any) -> Generator[Any, None, Any]:
        what, seconds = item
        yield "began"
        time.sleep(seconds)
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "raise":
            raise LookupError("a bug of the job")
        return what, os.getpid()
