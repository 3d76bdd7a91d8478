"""How fast one clip is scored, and what computing shared things once saves.

    python benchmarks/scoring_speed.py [--sizes 416x240 832x480] [--frames 77] [--device cpu]

Scores one synthetic clip with all metrics of the mini profile: in one pass over one `Case`, and metric by metric, each
with a case of its own, as running separate tools would. Prints clips a minute and the ratio; the ratio is what carries
over to other machines. Tracking is timed apart, since it happens once either way.
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
from hmbench.protocols import Metric
from hmbench.subjects import create_tracker
from hmbench.subjects.oracle import OracleTracker
from hmbench.types import Sample, Track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["416x240", "832x480"])
    parser.add_argument("--frames", type=int, default=77)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    metrics = default_metrics(profile="mini", weights=None, device=given.device)
    tracker = create_tracker(profile="mini", weights=None, device=given.device)
    print(f"{'size':>9} {'track s':>8} {'one pass s':>11} {'apart s':>8} {'ratio':>6} {'clips/min with tracking':>24}")
    for size in given.sizes:
        width, height = (int(v) for v in size.split("x"))
        sample, tracks = clip(width, height, given.frames)
        assert sample.truth is not None
        prediction = np.roll(sample.truth.target, 2, axis=2)
        start = time.perf_counter()
        if tracker is not None:
            tracker.track(prediction)
        tracking = time.perf_counter() - start
        together = timed(sample, prediction, tracks, metrics, shared=True)
        apart = timed(sample, prediction, tracks, metrics, shared=False)
        rate = 60 / (tracking + together)
        print(f"{size:>9} {tracking:8.1f} {together:11.1f} {apart:8.1f} {apart / together:6.2f} {rate:24.2f}")


def clip(width: int, height: int, frames: int) -> tuple[Sample, tuple[Track, ...]]:
    world = DiscWorld(DiscWorldConfig(samples=2, frames=frames, height=height, width=width))
    sample = world.load(world.ids("all")[1])
    assert sample.truth is not None and sample.truth.target_labels is not None
    tracks = OracleTracker(sample.truth.target_labels).track(sample.truth.target)
    return replace(sample, id=f"{width}x{height}"), tracks


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
