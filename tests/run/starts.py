"""Starts commands on one run folder at the same moment: a process that has imported everything forks one a command.

    python starts.py FOLDER TRIALS PAUSE SPEC SPEC ...

A SPEC is ``k/n`` or ``k/n+join``. Between reading scores and writing the summary each process sleeps PAUSE seconds.
Every trial has a folder of its own, FOLDER/0 and so on. Prints a line a process: its exit code (0 done, 1 broken,
2 refused) and what it said.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

from toys import MeanError, Sometimes

from hmbench.errors import UserError
from hmbench.run import assemble
from hmbench.run.evaluate import EvalRequest, evaluate

ASSEMBLE = assemble._assemble


def work(out: Path, spec: str, log: Path) -> str:
    shard, _, join = spec.partition("+")
    number, count = map(int, shard.split("/"))
    request = EvalRequest(
        model="toys:toy", data="disc", out=out, shard=(number, count), join=bool(join), options={"log": str(log)}
    )
    try:
        result = evaluate(request, metrics=[MeanError(), Sometimes()])
    except UserError as error:
        return f"2 {error}"
    except BaseException:  # noqa: BLE001 - a child that raised would leave no word of why
        return f"1 {traceback.format_exc()}"
    return f"0 {len(result.missing)} missing"


def main(out: Path, pause: float, specs: list[str]) -> None:
    assemble._assemble = lambda run, manifest, _: ASSEMBLE(run, manifest, lambda: time.sleep(pause))
    pids = []
    for number, spec in enumerate(specs):
        if (pid := os.fork()) == 0:
            said = work(out, spec, out.parent / f"{out.name}.log")
            (out.parent / f"{out.name}.{number}.txt").write_text(said)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    for number, _ in enumerate(specs):
        sys.stdout.write((out.parent / f"{out.name}.{number}.txt").read_text() + "\n")


if __name__ == "__main__":
    for trial in range(int(sys.argv[2])):
        main(Path(sys.argv[1]) / str(trial), float(sys.argv[3]), sys.argv[4:])
