"""A plain function over many items, on processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from hmbench.errors import UserError
from hmbench.workers.crew import Came, Crew, GivenUp
from hmbench.workers.engine import Role, Task
from hmbench.workers.local import LocalEngine

Work = Callable[[Any], Any]


class _Function:
    """A function as a job: each item's result is a step."""

    def __init__(self, work: Work, role: str) -> None:
        self._work = work

    def about(self) -> None:
        """Nothing to load."""

    def do(self, kind: str, item: tuple[int, Sequence[Any]]) -> Generator[Any, None, Any]:
        """Yields (group, number of the item in it, result); an error that a user can mend is a result."""
        group, items = item
        for number, one in enumerate(items):
            try:
                yield group, number, self._work(one)
            except UserError as error:
                yield group, number, error
                return


def spread(work: Work, groups: Sequence[Sequence[Any]], count: int, *, tries: int = 2) -> Iterator[Any]:
    """Yields ``work(item)`` of every item of every group, as they come; the items of a group go to one process.

    A process that is killed costs what it was working on, which another one does again. A caller that stops early
    (closes the iterator, or is interrupted) waits for what is being worked on, no more.

    Args:
        work: A function of a module, or a partial of one.
        groups: The items.
        count: Processes at most.
        tries: How many processes one group may cost.

    Raises:
        UserError: If ``work`` raises one, or if processes end early on one group.
    """
    with _crew(work, count, tries) as crew:
        for number, group in enumerate(groups):
            if group:
                crew.add(Task("item", (number, group)))
        seen: set[tuple[int, int]] = set()
        for group_number, number, result in _steps(crew):
            if (group_number, number) not in seen:  # the second try of a group begins at its start
                seen.add((group_number, number))
                yield result


class Known(NamedTuple):
    """A group whose results are known: no work, but a place in the order."""

    results: list[Any]


def in_order(work: Work, groups: Iterable[Sequence[Any] | Known], count: int, *, tries: int = 2) -> Iterator[list[Any]]:
    """Yields the results of each group, in the order of the groups, working at most a few groups a process ahead.

    Args:
        work: A function of a module, or a partial of one.
        groups: Groups of items, none empty; taken from the iterator as they are needed.
        count: Processes at most.
        tries: How many processes one group may cost.

    Raises:
        UserError: As `spread`.
    """
    stream, asked, given = iter(groups), 0, 0
    found: dict[int, dict[int, Any]] = {}
    sizes: dict[int, int] = {}

    with _crew(work, count, tries) as crew:
        steps = _steps(crew)
        while True:
            while asked - given < 4 * count and (group := next(stream, None)) is not None:
                if isinstance(group, Known):
                    found[asked], sizes[asked] = dict(enumerate(group.results)), len(group.results)
                else:
                    found[asked], sizes[asked] = {}, len(group)
                    crew.add(Task("item", (asked, group)))
                asked += 1
            if asked == given:
                return
            while len(found[given]) < sizes[given]:
                if (step := next(steps, None)) is None:
                    steps = _steps(crew)  # there was nothing left to do for a moment
                    continue
                group_number, number, result = step
                found.get(group_number, {})[number] = result  # of a group that was given already: its second try
            yield [found[given][number] for number in range(sizes.pop(given))]
            del found[given]
            given += 1


@contextmanager
def _crew(work: Work, count: int, tries: int) -> Iterator[Crew]:
    engine = LocalEngine(partial(_Function, work), count)
    crew = Crew(engine, [Role(name="worker", kinds=("item",))], tries=tries)
    try:
        yield crew
    finally:
        engine.close()


def _steps(crew: Crew) -> Iterator[tuple[int, int, Any]]:
    """(group, number in it, result) as they come.

    Raises:
        UserError: That the function raised, or because processes ended early.
    """
    for news in crew.news():
        if isinstance(news, GivenUp):
            raise UserError(
                f"A worker process ended before its work was done: {news.reason}.",
                "What it said stands above; if that is nothing, memory ran out: take fewer workers. "
                "Clips that are complete are kept, and the same command goes on from there.",
            )
        if isinstance(news, Came):
            if isinstance(news.step[2], UserError):
                raise news.step[2]
            yield news.step
