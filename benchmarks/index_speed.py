"""How fast `hmbench data index` is, and whether its memory stays flat: 10,000 tiny samples, several numbers of workers.

    python benchmarks/index_speed.py --samples 10000 --workers 1 2

Prints samples a second and the largest memory of the main process and of any worker after a quarter of the samples and
at the end. Timings on a shared machine vary; the ratios within one run and the memory are what to look at.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

from hmbench.data.cameras import to_unreal
from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.data.index import build_index
from hmbench.files import write_json
from hmbench.video.files import write_video


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--samples", type=int, default=10_000)
    arguments.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--headers-only", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "HM-World"
        make_samples(folder, given.samples)
        for workers in given.workers:
            report(folder, Path(scratch) / f"{workers}.parquet", workers, not given.headers_only)
        report(folder, Path(scratch) / f"{given.workers[0]}.parquet", given.workers[0], not given.headers_only)


def make_samples(folder: Path, count: int) -> None:
    """Copies of one tiny clip (5 + 5 frames) under ids of their own, seven files each."""
    world = DiscWorld(DiscWorldConfig(samples=1, frames=5))
    sample = world.load(world.ids("all")[0])
    assert sample.truth is not None
    first = folder / "00000_City_loc0_Complex_Follow_1"
    first.mkdir(parents=True)
    for side, video, poses in (
        ("cond", sample.prompt.context, sample.prompt.context_poses),
        ("tgt", sample.truth.target, sample.prompt.target_poses),
    ):
        write_video(first / f"{side}.mp4", video, fps=15)
        write_video(first / f"{side}_mask.mp4", video, fps=15)
        write_json(first / f"{side}.json", {str(i): m.tolist() for i, m in enumerate(to_unreal(poses))})
    halves = {f"{side}_cam": (first / f"{side}.json").read_text() for side in ("cond", "tgt")}
    (first / "camera.json").write_text("{" + ", ".join(f'"{key}": {text}' for key, text in halves.items()) + "}")
    for side in ("cond", "tgt"):
        (first / f"{side}.json").unlink()
    write_json(first / "character.json", {})
    write_json(first / "check.json", {})
    for number in range(1, count):
        shutil.copytree(first, folder / f"{number:05d}_Scene{number % 17}_loc{number % 12}_Complex_Follow_1")
    (folder / "caption.txt").write_text("".join(f"{path.name}\ta caption\n" for path in sorted(folder.iterdir())))


def report(folder: Path, path: Path, workers: int, decode: bool) -> None:
    """Builds an index and prints its speed and memory."""
    memory = Memory()
    start = time.perf_counter()
    with memory:
        built = build_index(folder, path, workers=workers, decode=decode)
    seconds = time.perf_counter() - start
    print(
        f"{built.samples} samples, {workers} workers, {built.reused} unchanged: {built.samples / seconds:.0f}/s; "
        f"main process {memory.at(0.25):.0f} MiB at a quarter, {memory.at(1.0):.0f} MiB at the end; "
        f"largest worker {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB; "
        f"file {path.stat().st_size / 1e6:.1f} MB",
        flush=True,
    )


class Memory:
    """Resident memory of this process over the rows of an index."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def at(self, share: float) -> float:
        """MiB at this share of the time."""
        return self._seen[min(int(share * len(self._seen)), len(self._seen) - 1)]

    def _watch(self) -> None:
        page = resource.getpagesize()
        while not self._stop.wait(0.2):
            self._seen.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20)


if __name__ == "__main__":
    main()
