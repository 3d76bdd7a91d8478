"""Clips a minute of the mini world, on one and on several workers.

    python benchmarks/mini_world_rendering.py --workers 2 --sizes 224x128 416x240 832x480 --clips 8

Times whole clips: acceptance filter, rendering (2 x 2 supersampled, masks, truth), writing, and the workers' start.
Kernels are compiled before the clock starts. Other processes on the machine slow it down, so the CPU seconds a clip
stand beside the clips a minute: cores * 60 / (CPU seconds a clip) is what the same cores would reach without them.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from hmbench.data.mini_world import GenerateConfig, generate
from hmbench.data.mini_world.generate import warm_up


def cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def measure(size: tuple[int, int], clips: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), cpu_seconds()
        config = GenerateConfig(out=Path(folder), split="train", clips=clips, size=size, workers=workers)
        report = generate(config)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        stored = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / clips / 1e6
    print(
        f"{size[0]}x{size[1]}: {clips} clips on {workers} workers in {wall:.1f} s = {60 * clips / wall:.1f} clips/min; "
        f"{cpu / clips:.2f} CPU s a clip = {workers * 60 * clips / cpu:.1f} clips/min on {workers} idle cores; "
        f"{stored:.2f} MB a clip; acceptance {report.acceptance:.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["224x128", "416x240", "832x480"])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    warm_up()
    print(f"load of the machine before the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    for text in arguments.sizes:
        width, height = (int(side) for side in text.split("x"))
        measure((width, height), arguments.clips, arguments.workers)


if __name__ == "__main__":
    main()
