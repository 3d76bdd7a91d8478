"""What 10,000 clips cost where they are read together: assembling, comparing, accepting and ranking.

    python benchmarks/many_samples.py                      # 2,500, 5,000 and 10,000 clips x 60 metrics, generated rows

Each is measured at three sizes; the last column is the time of the largest over that of half of it, 2 is linear.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmbench.digests import video_digest
from hmbench.durable import write_bytes
from hmbench.report.compare import CompareSettings, compare_runs
from hmbench.results.metric_record import metric_records
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_scores import SampleScores
from hmbench.run.assemble import assemble
from leaderboard.entry import read_entries
from leaderboard.submission import accept
from leaderboard.tables import board_table, make_boards

SCENES = 50


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", type=int, nargs="+", default=[2500, 5000, 10_000])
    arguments.add_argument("--metrics", type=int, default=60)
    given = arguments.parse_args()
    seconds: dict[str, list[float]] = {}
    for size in given.sizes:
        for name, took in measured(size, given.metrics):
            seconds.setdefault(name, []).append(took)
            print(f"{size} clips x {given.metrics} metrics: {name} {took:.1f} s", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for name, times in seconds.items():
        print(f"{name}: {', '.join(f'{t:.1f}' for t in times)} s; ratio {times[-1] / max(times[-2], 1e-9):.2f}")
    print(f"largest memory {memory:.2f} GiB")


def measured(size: int, metrics: int) -> Iterator[tuple[str, float]]:
    with tempfile.TemporaryDirectory() as scratch:
        a, b = (make_run(Path(scratch) / name, size, metrics, seed) for seed, name in enumerate("ab"))
        yield "assemble", timed(lambda: assemble(*a))
        yield "assemble again, nothing new", timed(lambda: assemble(*a))
        assemble(*b)
        folders = [a[0].path, b[0].path]
        yield "compare", timed(lambda: compare_runs(folders, CompareSettings(metrics="all")))
        entries = Path(scratch) / "entries"
        yield "leaderboard add", timed(lambda: accept(folders[0], name="a", results=entries))
        accept(folders[1], name="b", results=entries)
        yield (
            "leaderboard table",
            timed(lambda: [board_table(board) for board in make_boards(read_entries(entries), rank_by=["metric_0"])]),
        )


def timed(work: Callable[[], Any]) -> float:
    """Processor seconds: they do not count what other programs do meanwhile."""
    start = time.process_time()
    work()
    return time.process_time() - start


def make_run(path: Path, clips: int, metrics: int, seed: int) -> tuple[RunFolder, RunManifest]:
    """A run folder with score files as a run leaves them, of random numbers."""
    run = RunFolder(path)
    names = [f"metric_{n}" for n in range(metrics)]
    ids = tuple(f"{n:05d}_clip" for n in range(clips))
    described = {
        name: {"version": 1, "higher_is_better": True, "unit": "", "headline": n < 12, "bounds": [None, None]}
        for n, name in enumerate(names)
    }
    manifest = RunManifest(
        model=path.name, options={}, model_info={"name": path.name, "trained": True, "notice": None}, data="disc",
        data_name="generated", data_revision="0", split="all", samples=ids, seed=0, profile="mini", device="cpu",
        metrics=metric_records(described),
    )  # fmt: skip
    run.write_manifest(manifest)
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(clips, metrics))
    for n, sample in enumerate(ids):
        scene = f"scene {n % SCENES}"
        rows = tuple(
            Row(
                sample=sample, metric=name, version=1, value=float(values[n, m]), cluster=scene, model=path.name,
                trained=True, profile="mini", data_revision="0", details={"frames": 77, "mean": float(values[n, m])},
            )
            for m, name in enumerate(names)
        )  # fmt: skip
        about = {"id": sample, "scene": scene, "categories": ["dog"], "num_subjects": 1, "max_hidden": n % 40}
        video = run.prediction(sample)
        write_bytes(video, f"{path.name} {n}".encode())  # read for its digest alone
        by = dict.fromkeys(names, "0123456789abcdef:0123456789abcdef")
        SampleScores(rows=rows, sample=about, stamp=f"s:{video_digest(video)}", by=by).write(run.scores(sample))
    return run, manifest


if __name__ == "__main__":
    main()
