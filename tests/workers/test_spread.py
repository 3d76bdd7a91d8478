"""Processes of this machine."""

from __future__ import annotations

import time
from pathlib import Path

import jobs_of_workers as jobs
import pytest

from hmbench.errors import UserError
from hmbench.workers.crew import Crew, Finished, GivenUp, Joined
from hmbench.workers.engine import Role, Task
from hmbench.workers.local import LocalEngine
from hmbench.workers.spread import Known, in_order, spread

ROLE = Role(name="napper", kinds=("nap",))


def test_results_come_in_the_order_of_the_groups() -> None:
    groups = [[0, 1], Known([100, 101, 102]), [2], Known([103]), [3, 4], [5]]
    found = list(in_order(jobs.slow_if_even, groups, 2))
    assert found == [[0, 1], [100, 101, 102], [2], [103], [3, 4], [5]]
    assert list(in_order(jobs.slow_if_even, [Known([1])], 2)) == [[1]]
    assert list(in_order(jobs.slow_if_even, [], 2)) == []


def test_no_more_than_a_few_groups_are_taken_ahead() -> None:
    taken = []

    def groups():
        for number in range(40):
            taken.append(number)
            yield Known([number])

    stream = in_order(jobs.square, groups(), 2)
    assert next(stream) == [0] and len(taken) <= 4 * 2


def test_a_killed_process_costs_what_it_was_at(tmp_path: Path) -> None:
    groups = [[(str(tmp_path), x) for x in (0, 1, 2, 3, 4)], [(str(tmp_path), 9)]]
    assert sorted(spread(jobs.die_once, groups, 2)) == [0, 1, 2, 3, 4, 9]
    assert (tmp_path / "died").exists()


def test_an_error_in_order_is_raised() -> None:
    with pytest.raises(UserError, match=r"No 7\."):
        list(in_order(jobs.refuse, [[7]], 2))


def test_a_job_that_hangs_or_dies_costs_its_own_item_alone() -> None:
    engine = LocalEngine(jobs.Naps, 2)
    items = [("ok", 0.0), ("hang", 60.0), ("die", 0.0), ("fine", 0.0)]
    crew = Crew(engine, [ROLE], [Task("nap", item) for item in items], tries=1, timeout=1.5)
    begun = time.monotonic()
    try:
        news = list(crew.news())
    finally:
        engine.close()
    assert sorted(n.result[0] for n in news if isinstance(n, Finished)) == ["fine", "ok"]
    lost = {n.task.item[0]: n.reason for n in news if isinstance(n, GivenUp)}
    assert lost == {"hang": "it took longer than 1.5 s", "die": "its process was killed by SIGKILL"}
    assert all(n.about[0] == "napper" for n in news if isinstance(n, Joined))
    assert time.monotonic() - begun < 50, "nobody waited for the one that hangs"


def test_a_bug_of_the_job_is_raised_with_its_place() -> None:
    engine = LocalEngine(jobs.Naps, 1)
    try:
        with pytest.raises(LookupError, match="a bug of the job") as raised:
            list(Crew(engine, [ROLE], [Task("nap", ("raise", 0.0))]).news())
    finally:
        engine.close()
    assert any("jobs_of_workers.py" in note for note in raised.value.__notes__)
