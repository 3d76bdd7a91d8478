"""What telling the subjects of one mask apart costs a clip, and how often it is right.

    hmbench data make-mini out --as-hm-world --clips 12 --size 832x480
    python benchmarks/told_apart.py out --truth out-truth

CPU seconds of this process, so that a busy machine does not count; decoding is reported apart.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from hmbench.data.annotations import read_annotations
from hmbench.data.cameras import FOCAL_PER_WIDTH, parse_cameras
from hmbench.data.card import DataCard
from hmbench.data.hm_world import ASPECT
from hmbench.data.masks import find_palette, subject_pixels
from hmbench.data.told_apart.stage import Clip, tell_apart
from hmbench.files import read_json
from hmbench.types import Intrinsics
from hmbench.video.files import read_labels, read_video


def main() -> None:
    """Prints a line a clip and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--limit", type=int, default=12)
    asked = parser.parse_args()
    costs = []
    for folder in sorted(asked.data.glob("[!.]*/cond.mp4"))[: asked.limit]:
        costs.append(_one(folder.parent, asked.truth))
    decode, palette, apart = np.median(np.array(costs), axis=0)
    print(f"median CPU seconds: decode {decode:.2f}, mask colours {palette:.2f}, tell apart {apart:.2f}")


def _one(folder: Path, truth: Path | None) -> tuple[float, float, float]:
    marks = [time.process_time()]
    halves = [read_video(folder / f"{side}.mp4") for side in ("cond", "tgt")]
    masks = [read_video(folder / f"{side}_mask.mp4") for side in ("cond", "tgt")]
    marks.append(time.process_time())
    palette = find_palette(masks)
    mask = np.concatenate([subject_pixels(half, palette) for half in masks])
    marks.append(time.process_time())
    counts = len(halves[0]), len(halves[1])
    height, width = mask.shape[1:]
    lens = Intrinsics(focal=FOCAL_PER_WIDTH * max(width, height * ASPECT), width=width, height=height)
    poses = np.concatenate(parse_cameras(read_json(folder / "camera.json"), *counts, folder.name))
    clip = Clip(video=np.concatenate(halves), poses=poses, lens=lens, num_context=counts[0], name=folder.name)
    outcome = tell_apart(mask, None, read_annotations(folder, *counts), clip, DataCard(tracker="none"))
    marks.append(time.process_time())
    line = f"{folder.name[:40]}: {outcome.told.way}, {marks[3] - marks[2]:.2f} s"
    if truth is not None and outcome.told.way != "none":
        exact = read_labels(truth / folder.name / "masks.mkv")
        names = {s["name"]: s["label"] for s in read_json(truth / folder.name / "truth.json")["subjects"]}
        both = (exact > 0) & (outcome.labels > 0)
        right = sum(
            int(((outcome.labels == label) & (exact == names[note.name]))[both].sum())
            for label, note in outcome.known.notes.items()
        )
        line += f", {right / both.sum():.2%} of pixels right"
    print(line)
    return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]


if __name__ == "__main__":
    main()
