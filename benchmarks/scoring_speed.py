"""How fast one clip is scored, and what computing shared things once saves.

    python benchmarks/scoring_speed.py [--sizes 416x240 832x480] [--clips 2] [--frames 77] [--device cpu]

Scores synthetic clips with all metrics of the mini profile: in one pass over one `Case`, and metric by metric, each
with a case of its own, as running separate tools would. Tracking is timed apart, since it happens once either way: of
the prediction, and of the real clip, which only the first model that is scored on a clip pays for. Prints clips a
minute for the first and for every later model, and ratios; the ratios are what carries over to other machines.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from hmbench.case import Case
from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.metrics import default_metrics, unmet_need
from hmbench.protocols import Metric, SubjectTracker
from hmbench.subjects import create_tracker
from hmbench.subjects.oracle import OracleTracker
from hmbench.types import Sample, Track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["416x240", "832x480"])
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--frames", type=int, default=77)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    metrics = default_metrics(profile="mini", weights=None, device=given.device)
    tracker = create_tracker(profile="mini", weights=None, device=given.device)
    assert tracker is not None, "the mini profile ships its tracker"
    columns = ("one pass", "apart", "ratio", "track", "track real", "clips/min", "later models")
    print(f"{'size':>9}" + "".join(f"{name:>14}" for name in columns))
    for size in given.sizes:
        width, height = (int(v) for v in size.split("x"))
        seconds = np.zeros(4)
        for number in range(given.clips):
            sample, tracks = clip(width, height, given.frames, number)
            assert sample.truth is not None
            prediction = np.roll(sample.truth.target, 2, axis=2)
            whole = np.concatenate([sample.prompt.context, sample.truth.target])
            seconds += (
                timed(sample, prediction, tracks, metrics, shared=True),
                timed(sample, prediction, tracks, metrics, shared=False),
                tracked(tracker, prediction),
                tracked(tracker, whole),
            )
        together, apart, track, real = seconds / given.clips
        first, later = 60 / (together + track + real), 60 / (together + track)
        row = (together, apart, apart / together, track, real, first, later)
        print(f"{size:>9}" + "".join(f"{value:14.2f}" for value in row), flush=True)


def clip(width: int, height: int, frames: int, number: int) -> tuple[Sample, tuple[Track, ...]]:
    world = DiscWorld(DiscWorldConfig(samples=number + 1, frames=frames, height=height, width=width))
    sample = world.load(world.ids("all")[number])
    assert sample.truth is not None and sample.truth.target_labels is not None
    tracks = OracleTracker(sample.truth.target_labels).track(sample.truth.target)
    return replace(sample, id=f"{width}x{height}"), tracks


def tracked(tracker: SubjectTracker, video: np.ndarray) -> float:
    start = time.perf_counter()
    tracker.track(video)
    return time.perf_counter() - start


def timed(
    sample: Sample, prediction: np.ndarray, tracks: tuple[Track, ...], metrics: tuple[Metric, ...], *, shared: bool
) -> float:
    start = time.perf_counter()
    case = Case(sample, prediction, tracks)
    for metric in metrics:
        case = case if shared else Case(sample, prediction, tracks)
        if unmet_need(metric.info, case) is None:
            metric(case)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
