"""How many workers a cluster holds, machine by machine: Ray itself is not started."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hmbench.run.workers import _Run
from hmbench.workers.engine import Role, no_room
from hmbench.workers.on_ray import LOOK_AT_CLUSTER, RayEngine


def engine_of(*machines: dict[str, float]) -> RayEngine:
    engine = object.__new__(RayEngine)
    nodes = [{"Alive": True, "Resources": machine} for machine in machines]
    nodes.append({"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}})  # it was shut down
    engine.ray = SimpleNamespace(nodes=lambda: nodes)
    engine._machines, engine._looked = [], -LOOK_AT_CLUSTER
    return engine


SMALL, LARGE = {"CPU": 1.0}, {"CPU": 7.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "cpus", "gpus", "room"),
    [
        ((SMALL, SMALL), 2.0, 0.0, 0),  # two processors, but on two machines
        ((SMALL, SMALL), 1.0, 0.0, 2),
        ((LARGE, SMALL), 2.0, 0.0, 3),
        ((LARGE, LARGE), 2.0, 1.0, 4),
        ((LARGE, SMALL), 2.0, 0.5, 3),
        ((SMALL,), 1.0, 1.0, 0),
        ((), 1.0, 0.0, 0),
    ],
)
def test_a_worker_is_on_one_machine(machines, cpus, gpus, room) -> None:
    assert engine_of(*machines).room(Role(name="worker", kinds=("score",), count=None, cpus=cpus, gpus=gpus)) == room


@pytest.mark.parametrize(
    ("machines", "gpus_each", "device", "asked"),
    [
        ([SMALL, SMALL], None, None, (1.0, 0.0)),  # no machine has two processors
        ([SMALL, LARGE], None, None, (2.0, 1.0)),
        ([SMALL, LARGE], None, "cpu", (2.0, 0.0)),
        ([SMALL, LARGE], 0.5, None, (2.0, 0.0)),  # the role has its share already
        ([], None, None, (2.0, 0.0)),
    ],
)
def test_nobody_asks_for_more_processors_than_a_machine_has(machines, gpus_each, device, asked) -> None:
    run = object.__new__(_Run)
    run.workers, run.request = SimpleNamespace(gpus_each=gpus_each), SimpleNamespace(device=device)
    (role,) = run._cluster_roles([Role(name="worker", kinds=("score",), count=None, cpus=2.0)], machines)
    assert (role.cpus, role.gpus) == asked


def test_what_no_machine_holds_is_said_at_once() -> None:
    said: list[str] = []
    run = object.__new__(_Run)
    run.first, run._said = None, set()
    run.reporter = SimpleNamespace(notice=said.append)
    roles = [Role(name="generator", kinds=("generate",), count=2, cpus=2.0, gpus=1.0)]
    crew = SimpleNamespace(roles=roles, engine=engine_of(SMALL), states=[])
    run._wait_for_room(crew)
    run._wait_for_room(crew)
    needs = "No machine of the cluster has the 2 processors and 1 GPU that a generator takes."
    assert said == [no_room(roles[0])] == [f"{needs} One that joins is used."]
