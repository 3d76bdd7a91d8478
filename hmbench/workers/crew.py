"""A crew: one queue of tasks, workers that take from it as they get free, and what to do when one dies or hangs.

    crew = Crew(engine, roles, [Task("render", 3), Task("render", 4)])
    for news in crew.news():
        if isinstance(news, Finished): ...

A task whose worker dies goes back to the front of the queue and is given to another; after `tries` deaths it is given
up. A death that was not the task's doing (a node that went away) does not count. `stop()` lets tasks in flight finish
for a grace time; nothing new is begun.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hmbench.errors import UserError
from hmbench.workers.engine import Broken, Died, Done, Engine, Happening, Ready, Role, Step, Task, Worker

LOOK = 1.0
"""Seconds after which a crew looks up from waiting: for workers to hire, deadlines, and whether it was stopped."""
STILLBORN = 3
"""So many workers may die in a row before any of them was ready."""


class Joined(NamedTuple):
    """A worker is ready for its first task."""

    worker: Worker
    about: Any


class Came(NamedTuple):
    """A worker came to a step of its task."""

    worker: Worker
    task: Task
    step: Any


class Finished(NamedTuple):
    """A task is done."""

    worker: Worker
    task: Task
    result: Any


class Returned(NamedTuple):
    """A task's worker was lost, and the task is in the queue again."""

    worker: Worker
    task: Task | None
    reason: str


class GivenUp(NamedTuple):
    """A task whose workers were lost once too often."""

    worker: Worker
    task: Task
    reason: str


class Passed(NamedTuple):
    """Time passed: every `LOOK` seconds at least."""


News = Joined | Came | Finished | Returned | GivenUp | Passed


@dataclass
class State:
    """What a worker is at."""

    worker: Worker
    since: float
    """Monotonic time at which it began what it is at."""
    ready: bool = False
    task: Task | None = None
    step: Any = None


class Crew:
    """See the module.

    Args:
        engine: Runs the workers.
        roles: Sorts of workers.
        tasks: To begin with.
        tries: How many workers one task may cost.
        timeout: Seconds that a task may take; None for as long as it likes.
        allowed: Asked before a task is given to a worker; one that it refuses is dropped.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        roles: Sequence[Role],
        tasks: Iterable[Task] = (),
        *,
        tries: int = 2,
        timeout: float | None = None,
        allowed: Callable[[Task], bool] = lambda task: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine, self.roles, self.tries, self.timeout = engine, tuple(roles), tries, timeout
        self._allowed, self._clock = allowed, clock
        self._queues: dict[str, deque[Task]] = {kind: deque() for role in roles for kind in role.kinds}
        self._states: dict[Worker, State] = {}
        self._lost: dict[int, int] = {}  # by identity: an item need not be hashable
        self._stillborn = 0
        self._until: float | None = None
        self._looked = 0.0
        for task in tasks:
            self.add(task)

    @property
    def states(self) -> list[State]:
        """Workers and what they are at, in order of hiring."""
        return list(self._states.values())

    def add(self, task: Task, *, first: bool = False) -> None:
        """Puts a task into the queue of its kind."""
        queue = self._queues[task.kind]
        queue.appendleft(task) if first else queue.append(task)

    def stop(self, grace: float) -> None:
        """Begins nothing new; what is in flight has `grace` seconds. Safe to call from a signal handler."""
        self._until = self._clock() + grace

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._until is not None

    def news(self) -> Iterator[News]:
        """What happens, until nothing is left to do, or the crew was stopped and its grace time is over.

        Raises:
            UserError: If a worker cannot be used at all: it raised, or workers die while loading.
        """
        while self._going():
            if not self.stopping:
                self._hire()
                self._give()
            happenings = self.engine.happenings(self._wait())
            for happening in happenings:
                yield from self._hear(happening)
            yield from self._late()
            if not happenings or self._clock() - self._looked >= LOOK:
                self._looked = self._clock()
                yield Passed()

    def _going(self) -> bool:
        busy = any(state.task for state in self._states.values())
        if self._until is not None:
            return busy and self._clock() < self._until
        return busy or any(self._queues.values())

    def _wait(self) -> float:
        """Seconds until something is due."""
        due = [LOOK]
        if self._until is not None:
            due.append(self._until - self._clock())
        if self.timeout is not None:
            due += [s.since + self.timeout - self._clock() for s in self._states.values() if s.task]
        return max(0.0, min(due))

    def _hire(self) -> None:
        """Workers for what is waiting, no more than there is room for or work."""
        for role in self.roles:
            there = [state for state in self._states.values() if state.worker.role is role]
            waiting = sum(len(self._queues[kind]) for kind in role.kinds + role.after)
            waiting += sum(s.task.kind in role.after for s in self._states.values() if s.task)
            idle = sum(state.task is None for state in there)
            limit = self.engine.room(role) if role.count is None else min(role.count, self.engine.room(role))
            if self._stillborn:  # one at a time until one is seen to live
                limit = min(limit, len(there) + (idle == 0))
            for _ in range(min(limit - len(there), waiting - idle)):
                worker = self.engine.hire(role)
                self._states[worker] = State(worker, self._clock())

    def _give(self) -> None:
        for state in self._states.values():
            if not state.ready or state.task is not None:
                continue
            if (task := self._next(state.worker.role)) is not None:
                state.task, state.step, state.since = task, None, self._clock()
                self.engine.give(state.worker, task)

    def _next(self, role: Role) -> Task | None:
        for kind in role.kinds:
            while self._queues[kind]:
                if self._allowed(task := self._queues[kind].popleft()):
                    return task
        return None

    def _hear(self, happening: Happening) -> Iterator[News]:
        state = self._states.get(happening.worker)
        if state is None:
            return  # of a worker that was fired meanwhile
        if isinstance(happening, Broken):
            raise happening.error
        if isinstance(happening, Ready):
            self._stillborn = 0
            yield Joined(happening.worker, happening.about)
            state.ready, state.since = True, self._clock()
        elif isinstance(happening, Died):
            yield from self._bury(state, happening.reason, innocent=happening.innocent)
        elif state.task is not None and isinstance(happening, Step):
            state.step = happening.step
            yield Came(happening.worker, state.task, happening.step)
        elif state.task is not None and isinstance(happening, Done):
            task, state.task, state.step, state.since = state.task, None, None, self._clock()
            self._lost.pop(id(task), None)
            yield Finished(happening.worker, task, happening.result)

    def _late(self) -> Iterator[News]:
        """Workers whose time for their task is over are ended."""
        if self.timeout is None:
            return
        for state in list(self._states.values()):
            if state.task is not None and self._clock() - state.since >= self.timeout:
                self.engine.fire(state.worker)
                yield from self._bury(state, f"it took longer than {self.timeout:g} s", innocent=False)

    def _bury(self, state: State, reason: str, *, innocent: bool) -> Iterator[News]:
        del self._states[state.worker]
        task = state.task
        if not state.ready and not innocent:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise UserError(
                    f"{STILLBORN} workers ended while they were loading; the last: {reason}.",
                    "Memory may have run out: take fewer workers. Without --workers the error shows where it happens.",
                )
        if task is None:
            yield Returned(state.worker, None, reason)
            return
        lost = self._lost[id(task)] = self._lost.get(id(task), 0) + (not innocent)
        if lost >= self.tries:
            del self._lost[id(task)]
            yield GivenUp(state.worker, task, reason)
        else:
            self.add(task, first=True)
            yield Returned(state.worker, task, reason)
