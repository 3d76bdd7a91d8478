"""What becomes of positions that are not those of the clip: labels that are right, no labels, or wrong ones.

    hmbench data make-mini out --as-hm-world --clips 64 --size 416x240
    python benchmarks/wrong_positions.py out --truth out-truth

Every clip of several subjects is told apart with its positions and with each kind of wrong ones, without a tracker.
Labels count as right where `RIGHT` of the mask's pixels have the right name. Wrong ones should not be: positions that
cannot be believed are to be refused. Prints a table of clips.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from told_apart import clip_of

from hmbench.data.annotations import read_annotations
from hmbench.data.card import DataCard
from hmbench.data.masks import find_palette, subject_pixels
from hmbench.data.told_apart.quality import judge
from hmbench.data.told_apart.stage import Outcome, tell_apart
from hmbench.files import read_json
from hmbench.video.files import read_labels, read_video

Floats = NDArray[np.float64]
RIGHT = 0.95
Change = Callable[[Floats, np.random.Generator], Floats]


def halves_swapped(paths: Floats, _: np.random.Generator) -> Floats:
    """The target's positions before the context's."""
    half = paths.shape[1] // 2
    return np.concatenate([paths[:, half:], paths[:, :half]], axis=1)


def late(frames: int) -> Change:
    """Positions of earlier frames."""
    return lambda paths, _: np.concatenate([np.repeat(paths[:, :1], frames, axis=1), paths[:, :-frames]], axis=1)


def off(metres: float) -> Change:
    """Everybody moved by as much in one level direction; positions are in centimetres."""

    def change(paths: Floats, draw: np.random.Generator) -> Floats:
        angle = draw.uniform(0, 2 * np.pi)
        return np.asarray(paths + 100 * metres * np.array([np.cos(angle), np.sin(angle), 0.0]))

    return change


def noisy(metres: float) -> Change:
    """Every frame's position with an error of its own."""
    return lambda paths, draw: paths + draw.normal(0, 100 * metres, paths.shape)


KINDS: dict[str, Change] = {
    "as they are": lambda paths, _: paths,
    "3 frames late": late(3),
    "0.3 m of noise": noisy(0.3),
    "0.3 m off": off(0.3),
    "0.6 m off": off(0.6),
    "1 m off": off(1.0),
    "2 m off": off(2.0),
    "15 frames late": late(15),
    "40 frames late": late(40),
    "halves swapped": halves_swapped,
    "backwards": lambda paths, _: paths[:, ::-1],
    "standing still": lambda paths, _: np.repeat(paths[:, :1], paths.shape[1], axis=1),
    "half as far": lambda paths, _: paths.mean(axis=(0, 1)) + 0.5 * (paths - paths.mean(axis=(0, 1))),
    "mirrored": lambda paths, _: paths * np.array([1.0, -1.0, 1.0]),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000)
    asked = parser.parse_args()
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for folder in sorted(path.parent for path in asked.data.glob("[!.]*/cond.mp4"))[: asked.limit]:
        _clip(folder, asked.truth / folder.name, found)
    print("| positions | right | refused | wrong |\n|---|---|---|---|")
    for kind, counts in found.items():
        print(f"| {kind} | {counts['right']} | {counts['refused']} | {counts['wrong']} |")


def _clip(folder: Path, truth: Path, found: dict[str, Counter[str]]) -> None:
    names = {s["name"]: int(s["label"]) for s in read_json(truth / "truth.json")["subjects"]}
    if len(names) < 2:
        return
    halves = [read_video(folder / f"{side}.mp4") for side in ("cond", "tgt")]
    masks = [read_video(folder / f"{side}_mask.mp4") for side in ("cond", "tgt")]
    palette = find_palette(masks)
    mask = np.concatenate([subject_pixels(half, palette) for half in masks])
    clip = clip_of(folder, halves)
    known, exact = read_annotations(folder, *map(len, halves)), read_labels(truth / "masks.mkv")
    raw = [actor.path for actor in known.actors]
    assert all(path is not None for path in raw), "these clips have positions"
    paths = np.stack([path for path in raw if path is not None])
    for kind, change in KINDS.items():
        changed = change(paths, np.random.default_rng(0))
        actors = tuple(replace(a, path=path) for a, path in zip(known.actors, changed, strict=True))
        outcome = tell_apart(mask, None, replace(known, actors=actors), clip, DataCard(tracker="none"))
        word, share = _word(outcome, exact, names)
        found[kind][word] += 1
        if word == "wrong" or (word == "refused" and kind == "as they are"):
            print(f"{folder.name[:40]} {kind}: {word}, {share:.2f} of pixels; {outcome.told}", flush=True)


def _word(outcome: Outcome, exact: NDArray[np.uint8], names: dict[str, int]) -> tuple[str, float]:
    if outcome.told.way != "positions" or outcome.certainty is None or outcome.unexplained is None:
        return "refused", float("nan")
    ours = {label: note.name for label, note in outcome.known.notes.items()}
    areas = np.stack([(outcome.labels == label).sum(axis=(1, 2)) for label in ours]).astype(np.float64)
    quality = judge(areas, outcome.certainty, outcome.unexplained, exact[0].size, tuple(ours.values()))
    if quality.reason is not None:
        return "refused", float("nan")
    both = (exact > 0) & (outcome.labels > 0)
    right = sum(int(((outcome.labels == label) & (exact == names[name]))[both].sum()) for label, name in ours.items())
    share = right / max(int(both.sum()), 1)
    return ("right" if share >= RIGHT else "wrong"), share


if __name__ == "__main__":
    main()
