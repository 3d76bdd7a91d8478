"""What mask videos and in-frame flags really hold: colours, offsets, agreement, for `hmbench.data.inspection`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.facts import Fact, checked
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json
from hmbench.types import Video
from hmbench.video.events import VISIBLE_SHARE, find_events, visible_frames
from hmbench.video.files import read_video

MASK_THRESHOLD = 127
MIN_COLOUR_SHARE = 0.02
"""A colour counts from this share of all mask pixels; H.264 smears a few pixels of every other one along the edges."""
_NAMES = {(0, 0, 0): "black", (1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue"}
_NAMES |= {(1, 1, 0): "yellow", (1, 0, 1): "magenta", (0, 1, 1): "cyan", (1, 1, 1): "white"}


def mask_facts(folders: Sequence[Path]) -> list[Fact]:
    """Facts about some samples' masks and flags."""
    colours, problems, events = Counter[str](), [], []
    starts, agreements = Counter[str](), {-1: [0, 0], 0: [0, 0], 1: [0, 0]}
    between = total = read = 0
    for folder in folders:
        try:
            halves = [read_video(folder / f"{side}_mask.mp4") for side in ("cond", "tgt")]
        except SampleError as error:
            problems.append(error.what)
            continue
        if halves[0].shape[1:] != halves[1].shape[1:]:
            problems.append(f"the masks of {folder.name} have two sizes")
            continue
        read += 1
        video = np.concatenate(halves)
        colours.update(mask_colours(video))
        red = video[..., 0]
        between += int(((red > 64) & (red < 192)).sum())
        total += int((red > MASK_THRESHOLD).sum())
        seen = visible_frames((red > MASK_THRESHOLD).sum(axis=(1, 2)).astype(np.float64), red[0].size)
        events.append(len(find_events(seen, len(halves[0]), 1)))
        _compare_flags(folder / "check.json", seen, len(halves[0]), starts, agreements)
    if not read:
        missing = "; ".join(problem.rstrip(".") for problem in problems[:2]) or "none"
        return [checked("masks", "cond_mask.mp4 and tgt_mask.mp4", missing, False)]
    several = {c: n for c, n in colours.items() if c != "black"}
    facts = [
        checked(
            "mask colours",
            "red or white on black; one colour for all subjects, unless subjects differ (unknown)",
            ", ".join(f"{c} in {n} of {read} samples" for c, n in sorted(several.items())) or "black only",
            bool(several) and set(several) <= {"red", "white"},
        ),
        checked(
            "mask edges",
            "few pixels between black and full",
            f"{between / max(total, 1):.1%} of the mask's area is between 64 and 192",
            between < 0.25 * max(total, 1),
        ),
        checked(
            "events in the masks",
            "an exit in the context and a re-entry in the target in each",
            f"{sum(n > 0 for n in events)} of {read} samples have one (visible from {VISIBLE_SHARE:.2%} of a frame)",
            all(events),
        ),
    ]
    if problems:
        facts.append(checked("damaged masks", "none", "; ".join(problems[:3]), False))
    return facts + _flag_facts(starts, agreements)


def mask_colours(video: Video) -> list[str]:
    """Colours of a mask video (each channel below or above one half) that cover a share of what is not black."""
    bits = (video > MASK_THRESHOLD).astype(np.uint8)
    codes = bits[..., 0] * 4 + bits[..., 1] * 2 + bits[..., 2]
    counts = np.bincount(codes.ravel(), minlength=8)
    lit = counts[1:].sum()
    names = [_NAMES[(code >> 2 & 1, code >> 1 & 1, code & 1)] for code in range(8)]
    return [names[code] for code in range(1, 8) if lit and counts[code] >= MIN_COLOUR_SHARE * lit]


def _compare_flags(
    path: Path,
    seen: NDArray[np.bool_],
    num_context: int,
    starts: Counter[str],
    agreements: dict[int, list[int]],
) -> None:
    """Counts, for each offset of the flags, the frames in which "any subject in frame" agrees with the masks."""
    try:
        content = read_json(path)
    except UserError:
        return
    for key, part in (("cond_check", seen[:num_context]), ("tgt_check", seen[num_context:])):
        flags: dict[int, bool] = {}
        for entry in _entries(content.get(key) if isinstance(content, dict) else None):
            flags[int(entry["frame"])] = flags.get(int(entry["frame"]), False) or bool(entry["inFrame"])
        if not flags:
            continue
        starts[f"{key} frames {min(flags)}..{max(flags)}"] += 1
        base = num_context if key == "tgt_check" and min(flags) >= num_context else 0
        for offset, counts in agreements.items():
            for frame, inside in flags.items():
                place = frame - base + offset
                if 0 <= place < len(part):
                    counts[0] += bool(part[place]) == inside
                    counts[1] += 1


def _entries(node: Any) -> list[dict[str, Any]]:
    """Every ``{"frame": ..., "inFrame": ...}`` below a node, however deep."""
    if isinstance(node, dict):
        if {"frame", "inFrame"} <= set(node) and isinstance(node["frame"], int):
            return [node]
        return [entry for value in node.values() for entry in _entries(value)]
    return [entry for value in node for entry in _entries(value)] if isinstance(node, list) else []


def _flag_facts(starts: Counter[str], agreements: dict[int, list[int]]) -> list[Fact]:
    if not starts:
        return [checked("check.json against masks", "the flags follow the masks", "no flags could be read", False)]
    shares = {offset: right / count for offset, (right, count) in agreements.items() if count}
    best = max(shares, key=lambda offset: (round(shares[offset], 4), offset == 0))
    found = ", ".join(f"offset {offset:+d}: {share:.1%}" for offset, share in sorted(shares.items()))
    return [
        checked(
            "check.json frames",
            "0..76 in each half",
            "; ".join(f"{k} (x{n})" for k, n in starts.most_common(4)),
            all(k.endswith("frames 0..76") for k in starts),
        ),
        checked(
            "check.json against masks",
            "agree best at offset 0, in 90 % of frames or more",
            f"{found}; best at {best:+d}",
            best == 0 and shares[0] >= 0.9,
        ),
    ]
