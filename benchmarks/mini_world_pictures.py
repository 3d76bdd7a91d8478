"""Draws the pictures of the mini world's data card: ``python benchmarks/mini_world_pictures.py`` (two CPU minutes).

* mini-world-gallery.jpg: the 17 scenes, then the 49 subjects, each where a candidate clip shows it largest and whole
* mini-world-clips.jpg: the first eight test clips
* mini-world-failures.jpg: one clip with each fault
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from hmbench.data.mini_world import GENERATOR, ClipSpec, Probe, accepted_specs, render_clip
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_SWEEPS
from hmbench.data.mini_world.probes import PROBE_KINDS
from hmbench.data.mini_world.scenes import SCENES
from hmbench.data.mini_world.sheet import Picture, _bar, save_picture, strip

HERE = Path(__file__).parent.parent / "docs" / "images"
SMALL, LARGE = (224, 128), (416, 240)


def labelled(picture: Picture, text: str) -> Picture:
    return np.concatenate([_bar(text, picture.shape[1]), picture])


def grid(cells: list[Picture], columns: int) -> Picture:
    blank = np.zeros_like(cells[0])
    cells = cells + [blank] * (-len(cells) % columns)
    return np.concatenate([np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)])


def scene_cell(scene: int) -> Picture:
    """The first frame of a clip of the scene."""
    spec = ClipSpec(scene=scene, subjects=(scene * 7 % len(LOOKS),), subject_path=0, camera_path=3, seed=scene)
    return labelled(render_clip(spec, SMALL, half=5).frames[0], SCENES[scene].name)


def subject_cell(look: int, scene: int = 6, side: int = 112) -> Picture:
    """The subject where it is largest and wholly in the picture, in a square around it."""
    best: tuple[int, Picture] | None = None
    for seed, motion in itertools.product(range(3), (0, 2, 4)):
        spec = ClipSpec(
            scene=scene,
            subjects=(look,),
            subject_path=0,
            camera_path=motion + 7 * (seed % len(CAMERA_SWEEPS)),
            seed=seed,
        )
        clip = render_clip(spec, LARGE, half=5)
        for frame, inside in zip(clip.frames, clip.labels == 1, strict=True):
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            if not len(rows) or min(rows[0], columns[0]) < 2 or rows[-1] > LARGE[1] - 3 or columns[-1] > LARGE[0] - 3:
                continue
            area = int(inside.sum())
            if best is None or area > best[0]:
                best = area, _square(frame, (rows[0], rows[-1]), (columns[0], columns[-1]), side)
    picture = np.zeros((side, side, 3), np.uint8) if best is None else best[1]
    return labelled(picture, LOOKS[look].name)


def _square(frame: Picture, rows: tuple[int, int], columns: tuple[int, int], side: int) -> Picture:
    height, width = frame.shape[:2]
    reach = min(height, int(1.15 * max(rows[1] - rows[0], columns[1] - columns[0], 40)))
    top = int(np.clip((rows[0] + rows[1] - reach) / 2, 0, height - reach))
    left = int(np.clip((columns[0] + columns[1] - reach) / 2, 0, width - reach))
    return np.asarray(
        cv2.resize(frame[top : top + reach, left : left + reach], (side, side), interpolation=cv2.INTER_AREA), np.uint8
    )


def gallery() -> Picture:
    scenes = grid([scene_cell(k) for k in range(len(SCENES))], 6)
    subjects = grid([subject_cell(k) for k in range(len(LOOKS))], 12)
    width = max(scenes.shape[1], subjects.shape[1])
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0))) for part in (scenes, subjects)])


def clips(count: int = 8) -> Picture:
    rows = []
    for cell, spec in accepted_specs("test", seed=0, count=count):
        clip = render_clip(spec, SMALL)
        rows.append(strip(clip.frames, clip.labels, title=f"{cell}  {SCENES[spec.scene].name}"))
    return np.concatenate(rows)


def failures(number: int = 5) -> Picture:
    """One bright clip with each fault."""
    _, spec = list(accepted_specs("test", seed=0, count=number + 1))[number]
    rows = []
    for probe in (None, *(Probe(kind, 1.0) for kind in PROBE_KINDS)):
        clip = render_clip(spec, SMALL, probe)
        rows.append(strip(clip.frames, None, title="clean" if probe is None else probe.kind))
    return np.concatenate(rows)


if __name__ == "__main__":
    for name, draw in (("gallery", gallery), ("clips", clips), ("failures", failures)):
        save_picture(HERE / f"mini-world-{name}.jpg", draw())
    print(f"generator {GENERATOR}: drawn into {HERE}")
