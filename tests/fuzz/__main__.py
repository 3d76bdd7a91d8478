"""``python tests/fuzz --count 5000 --seed 7``: a campaign of mutations; exits with 1 if anything failed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

from fuzz_run import campaign  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Changes files in seeded ways and runs the commands that read them.")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target, for example videos")
    parser.add_argument("--fast", action="store_true", help="leave models and options out")
    parser.add_argument("--in-process", type=float, default=0.75, help="share that is read without the command line")
    parser.add_argument("--part", default="0/1", help="k/n: this process does every n-th mutation from the k-th on")
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    report = campaign(
        given.count,
        given.seed,
        fast=given.fast,
        only=given.only,
        tell=True,
        part=(part, parts),
        in_process=given.in_process,
    )
    sys.stdout.write("\n".join(report.lines()) + "\n")
    sys.exit(bool(report.findings))
