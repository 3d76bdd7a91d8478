"""What generating several clips at once saves a clip: nano's shipped weights, one clip and a batch in turns.

    python benchmarks/batches.py --batch 4 --device cpu

A large GPU that a small model leaves idle gains; a processor that one clip fills does not. Times are wall seconds a
clip, each pair in one run; the largest difference between a clip alone and in the batch is printed in grey levels.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from hmbench.data.disc_world import DiscWorld
from hmbench.registry import create_model
from hmbench.types import Video
from reference_model.sampling.world_model import HydraWorldModel


def main() -> None:
    """Prints seconds a clip alone and in a batch, their ratio, and how far the frames are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    data = DiscWorld()
    ids = data.ids("all")
    prompts = [data.load(ids[i % len(ids)]).prompt for i in range(given.batch)]
    model = create_model("hydra", profile="nano", device=given.device, options={"batch": str(given.batch)})
    assert isinstance(model, HydraWorldModel), "hydra is one"
    seeds = list(range(given.batch))
    alone: list[Video] = []
    together: list[Video] = []

    def one_by_one() -> None:
        alone[:] = [model.generate(prompt, seed=seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def at_once() -> None:
        together[:] = model.generate_batch(prompts, seeds=seeds)

    seconds: list[tuple[float, float]] = []
    for number in range(given.repetitions + 1):
        pair = _timed(one_by_one) / given.batch, _timed(at_once) / given.batch
        if number:  # the first warms up
            seconds.append(pair)
    apart = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(alone, together, strict=True))
    first, second = (statistics.median(side) for side in zip(*seconds, strict=True))
    ratios = sorted(a / b for a, b in seconds)
    print(
        f"{given.device}: a clip alone {first:.2f} s, of {given.batch} at once {second:.2f} s, {first / second:.2f} "
        f"times faster (pairs {ratios[0]:.2f} to {ratios[-1]:.2f}); frames at most {apart} of 255 apart"
    )


def _timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
