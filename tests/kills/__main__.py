"""``python tests/kills --kills 500 --losses 100 --seed 1``: kills and power losses over all jobs; 1 if any failed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from kill_jobs import JOBS, try_kills  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Stops commands at file operations, and runs them again.")
    parser.add_argument("--kills", type=int, default=500, help="over all jobs, every operation of a job at most")
    parser.add_argument("--losses", type=int, default=100, help="over all jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one job, for example eval")
    given = parser.parse_args()
    jobs = [job for job in JOBS if given.only in (None, job.name)]
    kills = losses = failed = 0
    for job in jobs:
        seed, mine = given.seed, [0, 0]
        share = [-(-given.kills // len(jobs)), -(-given.losses // len(jobs))]
        while (want := [share[0] - mine[0], share[1] - mine[1]]) != [0, 0]:
            with tempfile.TemporaryDirectory() as folder:
                one = try_kills(job, Path(folder), kills=want[0], losses=want[1], seed=seed)
            mine[0] += one.kills
            mine[1] += one.losses
            failed += len(one.failed)
            seed += 1
            sys.stderr.write("".join(f"{text}\n" for text in one.failed))
        kills, losses = kills + mine[0], losses + mine[1]
        sys.stdout.write(f"{job.name}: {mine[0]} kills, {mine[1]} power losses\n")
        sys.stdout.flush()
    sys.stdout.write(f"all: {kills} kills, {losses} power losses, {failed} failed\n")
    sys.exit(bool(failed))
