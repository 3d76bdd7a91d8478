"""How fast a run is, in words: clips a minute and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 30.0
"""Seconds between two plain lines where the output is no terminal."""
SHORTEST = 0.05
"""Seconds that tell a speed: a bar that begins with its first clip done would show millions a minute."""


class Pace:
    """Counts from the first moment; what was complete before does not count as speed.

    Args:
        done: Clips that were complete at the start.
        clock: Monotonic seconds.
    """

    def __init__(self, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._before, self._start = clock, done, clock()
        self._said = self._start

    def words(self, done: int, total: int) -> str:
        """For example ``12.0 clips a minute, 3 min left``; empty before the first clip is done."""
        minutes = (self._clock() - self._start) / 60
        if done <= self._before or minutes < SHORTEST / 60:
            return ""
        rate = (done - self._before) / minutes
        return f"{rate:.3g} clip{'' if f'{rate:.3g}' == '1' else 's'} a minute, {_span((total - done) / rate)} left"

    def due(self) -> bool:
        """Whether it is time for another line; true once every `EVERY` seconds."""
        if self._clock() - self._said < EVERY:
            return False
        self._said = self._clock()
        return True


def _span(minutes: float) -> str:
    seconds = round(minutes * 60)
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
