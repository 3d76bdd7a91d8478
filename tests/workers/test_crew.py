"""The queue, tries, deadlines and stopping, on an engine of the test's own whose clock the test moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest

from hmbench.errors import UserError
from hmbench.workers.crew import Came, Crew, Finished, GivenUp, Joined, Returned
from hmbench.workers.engine import Broken, Died, Done, Happening, Ready, Role, Step, Task, Worker

BOTH = Role(name="worker", kinds=("score", "generate"))


class Pretend:
    """An engine on which a task takes its item's seconds; `script` says what becomes of tasks of some items."""

    def __init__(self, room: int = 2) -> None:
        self.now, self.places, self.script, self.fired, self.hired = 0.0, room, {}, [], 0
        self._due: list[tuple[float, int, Happening]] = []
        self._order = 0
        self.given: list[tuple[int, Task]] = []

    def clock(self) -> float:
        return self.now

    def room(self, role: Role) -> int:
        return self.places

    def later(self, seconds: float, happening: Happening) -> None:
        self._order += 1
        self._due.append((self.now + seconds, self._order, happening))

    def hire(self, role: Role) -> Worker:
        worker = Worker(role, self.hired)
        self.hired += 1
        self.later(1.0, Ready(worker, self.hired) if not self.script.get("unborn") else Died(worker, "memory", False))
        return worker

    def give(self, worker: Worker, task: Task) -> None:
        self.given.append((worker.number, task))
        what = deque(self.script.get(task.item, ()))
        happening = what.popleft() if what else "done"
        self.script[task.item] = tuple(what)
        self.later(0.5, Step(worker, "half"))
        made = {
            "done": Done(worker, f"{task.kind} {task.item}"),
            "die": Died(worker, "it was killed", False),
            "gone": Died(worker, "its node was shut down", True),
            "broken": Broken(worker, LookupError("bug")),
        }
        if happening != "hang":
            self.later(float(str(task.item)[1:] or 1), made[happening])

    def happenings(self, timeout: float) -> Sequence[Happening]:
        until = self.now + timeout
        self._due = [entry for entry in self._due if entry[2].worker not in self.fired]
        if not self._due or min(self._due)[0] > until:
            self.now = until
            return []
        self.now = min(self._due, key=lambda entry: entry[:2])[0]
        ready = sorted((e for e in self._due if e[0] <= self.now), key=lambda entry: entry[:2])
        self._due = [e for e in self._due if e[0] > self.now]
        return [happening for _, _, happening in ready]

    def fire(self, worker: Worker) -> None:
        self.fired.append(worker)

    def close(self) -> None:
        pass


def tasks(*items: str, kind: str = "generate") -> list[Task]:
    return [Task(kind, item) for item in items]


def crew_of(engine: Pretend, work: list[Task], roles: Sequence[Role] = (BOTH,), **more) -> Crew:
    return Crew(engine, roles, work, clock=engine.clock, **more)


def test_a_slow_task_holds_no_other_up() -> None:
    engine = Pretend(2)
    done = [n.task.item for n in crew_of(engine, tasks("a9", "b1", "c1", "d1", "e1")).news() if isinstance(n, Finished)]
    assert done == ["b1", "c1", "d1", "e1", "a9"] and engine.hired == 2
    assert engine.now == 1 + 9


def test_what_stands_first_in_a_role_is_taken_first() -> None:
    engine = Pretend(1)
    crew = crew_of(engine, tasks("a1", "b1"))
    seen = []
    for news in crew.news():
        if isinstance(news, Finished):
            seen.append(news.result)
            if news.task.kind == "generate":
                crew.add(Task("score", news.task.item))
    assert seen == ["generate a1", "score a1", "generate b1", "score b1"]


def test_roles_take_their_kinds_and_are_hired_for_what_will_come() -> None:
    engine = Pretend(4)
    roles = (
        Role(name="gpu", kinds=("generate",), count=1),
        Role(name="cpu", kinds=("score",), count=1, after=("generate",)),
    )
    crew = crew_of(engine, tasks("a3", "b3"), roles)
    joined, order = [], []
    for news in crew.news():
        if isinstance(news, Joined):
            joined.append((news.worker.role.name, engine.now))
        if isinstance(news, Finished):
            order.append((news.worker.role.name, news.task.item))
            if news.task.kind == "generate":
                crew.add(Task("score", news.task.item))
    assert joined == [("gpu", 1.0), ("cpu", 1.0)], "the scorer loads while the first clip is generated"
    assert order == [("gpu", "a3"), ("cpu", "a3"), ("gpu", "b3"), ("cpu", "b3")] or order == [
        ("gpu", "a3"), ("gpu", "b3"), ("cpu", "a3"), ("cpu", "b3"),
    ]  # fmt: skip


def test_no_more_workers_than_tasks() -> None:
    engine = Pretend(32)
    assert len([n for n in crew_of(engine, tasks("a1", "b1", "c1")).news() if isinstance(n, Finished)]) == 3
    assert engine.hired == 3


def test_a_machine_that_joins_later_is_used() -> None:
    engine = Pretend(1)
    for news in crew_of(engine, tasks("a5", "b5", "c5", "d5")).news():
        if isinstance(news, Joined) and engine.hired == 1:
            engine.places = 4
    assert engine.hired == 4 and engine.now < 1 + 4 * 5


def test_a_death_costs_its_task_one_try_and_nothing_else() -> None:
    engine = Pretend(2)
    engine.script["b2"] = ("die",)
    news = list(crew_of(engine, tasks("a2", "b2", "c2")).news())
    assert sorted(n.task.item for n in news if isinstance(n, Finished)) == ["a2", "b2", "c2"]
    (back,) = [n for n in news if isinstance(n, Returned)]
    assert back.task == Task("generate", "b2") and back.reason == "it was killed"
    assert [t.item for _, t in engine.given].count("a2") == 1


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_task_is_given_up_after_so_many_deaths(tries: int) -> None:
    engine = Pretend(2)
    engine.script["b2"] = ("die",) * 9
    news = list(crew_of(engine, tasks("a2", "b2", "c2"), tries=tries).news())
    (lost,) = [n for n in news if isinstance(n, GivenUp)]
    assert lost.task.item == "b2" and [t.item for _, t in engine.given].count("b2") == tries
    assert sorted(n.task.item for n in news if isinstance(n, Finished)) == ["a2", "c2"]


def test_a_node_that_went_away_is_nobodys_fault() -> None:
    engine = Pretend(1)
    engine.script["a1"] = ("gone", "gone", "gone", "die")
    news = list(crew_of(engine, tasks("a1"), tries=2).news())
    assert [n.task.item for n in news if isinstance(n, Finished)] == ["a1"]


def test_a_task_that_hangs_is_ended_at_its_time() -> None:
    engine = Pretend(2)
    engine.script["b1"] = ("hang", "hang")
    news = list(crew_of(engine, tasks("a1", "b1", "c1"), timeout=30).news())
    (lost,) = [n for n in news if isinstance(n, GivenUp)]
    assert lost.task.item == "b1" and lost.reason == "it took longer than 30 s" and len(engine.fired) == 2
    assert sorted(n.task.item for n in news if isinstance(n, Finished)) == ["a1", "c1"]
    assert 61 <= engine.now <= 64


def test_stopping_begins_nothing_and_waits_for_what_is_in_flight() -> None:
    engine = Pretend(2)
    crew = crew_of(engine, tasks("a3", "b20", "c1", "d1"))
    finished = []
    for news in crew.news():
        if isinstance(news, Came):
            crew.stop(10)
        if isinstance(news, Finished):
            finished.append(news.task.item)
    assert finished == ["a3"] and {t.item for _, t in engine.given} == {"a3", "b20"}
    assert engine.now <= 1 + 0.5 + 10 + 0.01


def test_workers_that_die_while_loading_end_the_run() -> None:
    engine = Pretend(8)
    engine.script["unborn"] = True
    with pytest.raises(UserError, match="3 workers ended while they were loading; the last: memory"):
        list(crew_of(engine, tasks("a1", "b1", "c1", "d1")).news())


def test_a_mistake_of_the_caller_is_raised() -> None:
    engine = Pretend(1)
    engine.script["a1"] = ("broken",)
    with pytest.raises(LookupError, match="bug"):
        list(crew_of(engine, tasks("a1")).news())


def test_a_task_that_somebody_else_does_is_dropped() -> None:
    engine = Pretend(1)
    crew = crew_of(engine, tasks("a1", "b1", "c1"), allowed=lambda task: task.item != "b1")
    assert [n.task.item for n in crew.news() if isinstance(n, Finished)] == ["a1", "c1"]
