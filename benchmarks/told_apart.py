"""What telling the subjects of one mask apart costs a clip, and how often it is right.

    hmbench data make-mini out --as-hm-world --clips 12 --size 832x480
    python benchmarks/told_apart.py out --truth out-truth [--without-positions]

Prints a line a clip, then a table by number of subjects. A *subject frame* is a frame in which a subject shows the
least area that counts as seen. It is right if the box of its pixels overlaps that of the exact ones by half (IoU). It
is clear if its certainty is at least `SURE`. Events are those that a sample has, held against the exact ones of the
same subject. One whose return is seen `SAME_FRAMES` sooner or later is found. Costs are CPU seconds of this process,
so that a busy machine does not count; decoding is reported apart.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from hmbench.data.annotations import read_annotations
from hmbench.data.cameras import FOCAL_PER_WIDTH, parse_cameras
from hmbench.data.card import DataCard
from hmbench.data.hm_world import ASPECT, read_sample
from hmbench.data.masks import find_palette, subject_pixels
from hmbench.data.told_apart.quality import SURE
from hmbench.data.told_apart.stage import Clip, Outcome, tell_apart
from hmbench.files import read_json
from hmbench.subjects.boxes import framewise_iou, label_boxes
from hmbench.types import Intrinsics, LabelMaps, Video
from hmbench.video.events import VISIBLE_SHARE
from hmbench.video.files import read_labels, read_video

SAME_FRAMES = 4
"""Frames by which a return may be seen sooner or later: masks of H.264 are not exact."""
COLUMNS = {
    "clips": "clips",
    "refused": "not told apart",
    "pixels": "pixels right",
    "frames": "subject frames",
    "boxes": "right",
    "unclear": "unclear",
    "wrong but clear": "wrong but clear",
    "events": "events",
    "found": "found",
    "left out": "left out",
    "invented": "invented",
}


class Cost(NamedTuple):
    """CPU seconds of one clip."""

    decode: float
    palette: float
    apart: float


def main() -> None:
    """Prints a line a clip, the table and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--without-positions", action="store_true", help="as if there were no character.json")
    asked = parser.parse_args()
    costs: list[Cost] = []
    sums: dict[int, Counter[str]] = {}
    folders = sorted(path.parent for path in asked.data.glob("[!.]*/cond.mp4"))[: asked.limit]
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            if asked.without_positions:
                folder = _without_positions(folder, Path(scratch))
            costs.append(_one(folder, asked.truth, sums))
    if sums:
        _table(sums)
    median = Cost(*np.median(np.array(costs), axis=0))
    print(
        f"median CPU seconds: decode {median.decode:.2f}, mask colours {median.palette:.2f}, tell apart "
        f"{median.apart:.2f} (worst {max(cost.apart for cost in costs):.2f})"
    )


def _without_positions(folder: Path, scratch: Path) -> Path:
    poor = scratch / folder.name
    shutil.copytree(folder, poor, ignore=shutil.ignore_patterns("character.json"))
    return poor


def _one(folder: Path, truth: Path | None, sums: dict[int, Counter[str]]) -> Cost:
    marks = [time.process_time()]
    halves = [read_video(folder / f"{side}.mp4") for side in ("cond", "tgt")]
    masks = [read_video(folder / f"{side}_mask.mp4") for side in ("cond", "tgt")]
    marks.append(time.process_time())
    palette = find_palette(masks)
    mask = np.concatenate([subject_pixels(half, palette) for half in masks])
    marks.append(time.process_time())
    clip = clip_of(folder, halves)
    outcome = tell_apart(mask, None, read_annotations(folder, *map(len, halves)), clip, DataCard())
    marks.append(time.process_time())
    cost = Cost(*np.diff(marks).tolist())
    line = f"{folder.name[:40]}: {outcome.told.way}, {cost.apart:.2f} s"
    if truth is not None:
        exact = read_labels(truth / folder.name / "masks.mkv")
        names = {s["name"]: int(s["label"]) for s in read_json(truth / folder.name / "truth.json")["subjects"]}
        ours = _whose(outcome, exact, names)
        mine = _events(folder, truth / folder.name, {label: name for name, label in ours.items()})
        if not mine["refused"]:  # what is not told apart is scored by nobody, and is counted as that alone
            mine += Counter(_compared(outcome, exact, names, ours))
        sums.setdefault(len(names), Counter()).update(mine)
        if mine["both"]:
            line += f", pixels {mine['pixels'] / mine['both']:.2%}, boxes {mine['boxes']} of {mine['frames']}"
        line += ", not told apart" if mine["refused"] else f", events {mine['found']} of {mine['events']}"
    print(line, flush=True)
    return cost


def clip_of(folder: Path, halves: Sequence[Video]) -> Clip:
    """Frames, cameras and HM-World's lens of a clip, as the reader hands them on."""
    height, width = halves[0].shape[1:3]
    lens = Intrinsics(focal=FOCAL_PER_WIDTH * max(width, height * ASPECT), width=width, height=height)
    poses = np.concatenate(parse_cameras(read_json(folder / "camera.json"), *map(len, halves), folder.name))
    return Clip(video=np.concatenate(halves), poses=poses, lens=lens, num_context=len(halves[0]), name=folder.name)


def _whose(outcome: Outcome, exact: LabelMaps, names: dict[str, int]) -> dict[str, int]:
    """Exact name to the label of the outcome; by pixels where nothing said who is who, and names were made up."""
    ours = {note.name: label for label, note in outcome.known.notes.items()}
    return ours if set(ours) & set(names) else _by_pixels(outcome.labels, exact, names)


def _compared(outcome: Outcome, exact: LabelMaps, names: dict[str, int], ours: dict[str, int]) -> dict[str, int]:
    """Pixels and subject frames of one clip, and how many of them are right."""
    found: Counter[str] = Counter()
    both = (exact > 0) & (outcome.labels > 0)
    found["both"] = int(both.sum())
    for name, number in names.items():
        label = ours.get(name, 0)
        true, given = exact == number, (outcome.labels == label) & bool(label)
        found["pixels"] += int((true & given)[both].sum())
        seen = true.sum(axis=(1, 2)) >= VISIBLE_SHARE * true[0].size
        right = np.nan_to_num(framewise_iou(label_boxes(true), label_boxes(given))) >= 0.5
        sure = np.ones(len(seen), np.bool_)
        if outcome.certainty is not None and label:
            sure = np.nan_to_num(outcome.certainty[label - 1]) >= SURE
        found["frames"] += int(seen.sum())
        found["boxes"] += int((seen & right).sum())
        found["unclear"] += int((seen & ~sure).sum())
        found["wrong but clear"] += int((seen & ~right & sure).sum())
    return found


def _by_pixels(labels: LabelMaps, exact: LabelMaps, names: dict[str, int]) -> dict[str, int]:
    """Exact name to the label that shares most pixels with it, one to one."""
    given = [label for label in np.unique(labels).tolist() if label]
    shared = np.array(
        [[int(((exact == number) & (labels == label)).sum()) for label in given] for number in names.values()]
    )
    rows, columns = linear_sum_assignment(-shared)
    return {list(names)[row]: given[column] for row, column in zip(rows, columns, strict=True)}


def _events(poor: Path, rich: Path, ours: dict[int, str]) -> Counter[str]:
    """Events of the sample as a user reads it, held against the exact ones."""
    exact, sample = read_sample(rich, ""), read_sample(poor, "")
    assert exact.truth is not None and sample.truth is not None, "both have labels"
    told = sample.truth.told_apart
    found: Counter[str] = Counter(clips=1, events=len(exact.truth.events))
    if told is not None and told.way == "none":
        return found + Counter(refused=1)
    names = {s.label: s.name for s in exact.truth.subjects}
    taken = [(ours.get(event.label, ""), event.reentry) for event in sample.truth.events]
    for event in exact.truth.events:
        for name, reentry in taken:
            if name == names[event.label] and abs(reentry - event.reentry) <= SAME_FRAMES:
                found["found"] += 1
                taken.remove((name, reentry))
                break
    left = 0 if told is None else len(told.left_out)
    return found + Counter({"left out": left, "invented": len(taken)})


def _table(sums: dict[int, Counter[str]]) -> None:
    print("| subjects | " + " | ".join(COLUMNS.values()) + " |\n|" + "---|" * (len(COLUMNS) + 1))
    for count, found in sorted(sums.items()):
        cells = {key: str(found[key]) for key in COLUMNS}
        cells["pixels"] = f"{found['pixels'] / found['both']:.2%}" if found["both"] else "-"
        cells["boxes"] = f"{found['boxes'] / found['frames']:.2%}" if found["frames"] else "-"
        print(f"| {count} | " + " | ".join(cells.values()) + " |")


if __name__ == "__main__":
    main()
