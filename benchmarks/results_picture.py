"""Draws clips as several runs generated them, under the real continuation: a row a run, moments from left to right.

python benchmarks/results_picture.py DATA OUT.png --runs RUN RUN ... --samples ID ID
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hmbench.data.hm_world import HMWorld
from hmbench.data.mini_world.sheet import save_picture, strip
from hmbench.files import read_json
from hmbench.video.files import read_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", nargs="+", type=Path, required=True)
    parser.add_argument("--samples", nargs="+", required=True)
    parser.add_argument("--columns", type=int, default=6)
    asked = parser.parse_args()
    data, rows = HMWorld(asked.data), []
    for name in asked.samples:
        sample = data.load(name)
        assert sample.truth is not None, f"{name} has no target"
        rows.append(strip(sample.prompt.context, None, columns=asked.columns, title=f"{name}: context"))
        rows.append(strip(sample.truth.target, None, columns=asked.columns, title="target"))
        for run in asked.runs:
            video = read_video(run / "predictions" / f"{name}.mp4")
            rows.append(strip(video, None, columns=asked.columns, title=str(read_json(run / "run.json")["model"])))
    save_picture(asked.out, np.concatenate(rows))


if __name__ == "__main__":
    main()
