"""Clips on disk, in HM-World's own files, with the exact truth beside them.

HM-World's: ``cond.mp4 tgt.mp4 cond_mask.mp4 tgt_mask.mp4`` (H.264, subjects red on black), ``camera.json``
(Unreal axes, centimetres), ``character.json``, ``check.json``. Ours: ``masks.mkv`` (FFV1 label maps, bit exact) and
``truth.json``. A sample is written under a hidden name and renamed when it is complete.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.cameras import to_unreal
from hmbench.data.labels import boxes_from_masks
from hmbench.data.mini_world.captions import captions
from hmbench.data.mini_world.clip import RenderedClip, SubjectRecord
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.motion import CAMERA_PATHS, SUBJECT_PATHS
from hmbench.data.mini_world.scenes import SCENES
from hmbench.data.mini_world.spec import GENERATOR, VERSION, ClipSpec
from hmbench.durable import flush_folder, flush_tree, own_folder, storing
from hmbench.files import read_json, write_text
from hmbench.subject_names import NAMES_VERSION
from hmbench.video.events import find_events, visible_frames
from hmbench.video.files import write_labels, write_video

MASK_RED = np.uint8(255)
ROUND = 6
"""Decimals in truth.json: micrometres."""


def sample_id(index: int, spec: ClipSpec, location: int) -> str:
    """Return an id that parses like HM-World's: index, scene, location, subject path, camera path, take."""
    parts = (
        SCENES[spec.scene].name,
        f"loc{location}",
        SUBJECT_PATHS[spec.subject_path],
        CAMERA_PATHS[spec.camera_path],
    )
    return f"{index:05d}_{'_'.join(parts)}_{spec.seed}"


def write_clip(
    folder: Path, clip: RenderedClip, *, cell: str, crf: int = 17, extra: dict[str, Any] | None = None
) -> None:
    """Write one sample folder; nothing is seen under its name until it is complete.

    Args:
        folder: ``<root>/<id>``.
        clip: The clip.
        cell: Its cell of the split.
        crf: H.264 quality of the videos.
        extra: More entries for ``truth.json``.
    """
    with storing(folder), own_folder(folder) as temporary:
        part = temporary / folder.name
        part.mkdir()
        _write_files(part, clip, cell, crf, extra)
        flush_tree(part)
        try:
            part.rename(folder)
        except OSError:
            if not (folder / "truth.json").is_file():  # else another process finished the same clip first
                raise
        flush_folder(folder.parent)


def _write_files(part: Path, clip: RenderedClip, cell: str, crf: int, extra: dict[str, Any] | None) -> None:
    n = clip.num_context
    red = np.zeros_like(clip.frames)
    red[..., 0] = MASK_RED * (clip.labels > 0)
    for name, frames in (("cond", clip.frames[:n]), ("tgt", clip.frames[n:])):
        write_video(part / f"{name}.mp4", frames, fps=clip.fps, crf=crf)
    for name, frames in (("cond_mask", red[:n]), ("tgt_mask", red[n:])):
        write_video(part / f"{name}.mp4", frames, fps=clip.fps, crf=17)
    write_labels(part / "masks.mkv", clip.labels, fps=clip.fps)
    _dump(part / "camera.json", camera_json(clip))
    _dump(part / "character.json", character_json(clip))
    _dump(part / "check.json", check_json(clip))
    _dump(part / "truth.json", truth_json(clip, cell) | (extra or {}))


def write_captions(root: Path) -> int:
    """Write ``caption.txt`` (``<id><tab>caption``) and ``splits.json`` of a folder; return its number of samples."""
    texts, cells = {}, {}
    for path in sorted(root.glob("[!.]*/truth.json")):
        truth = read_json(path, kind=dict)
        texts[path.parent.name] = truth["captions"]["full"]
        cells[path.parent.name] = truth["cell"]
    lines = "".join(f"{name}\t{text}\n" for name, text in texts.items())
    write_text(root / "caption.txt", lines)
    splits: dict[str, list[str]] = {}
    for name, cell in cells.items():
        for split in {cell, "train" if cell == "train" else "test"}:
            splits.setdefault(split, []).append(name)
    write_text(root / "splits.json", json.dumps(splits, indent=1, sort_keys=True))
    return len(texts)


def camera_json(clip: RenderedClip) -> dict[str, Any]:
    """Return HM-World's ``camera.json``: camera-to-world, Unreal axes, centimetres, columns forward, right, up."""
    matrices = to_unreal(clip.poses)
    n = clip.num_context
    return {
        key: {str(i): matrix.tolist() for i, matrix in enumerate(half)}
        for key, half in (("cond_cam", matrices[:n]), ("tgt_cam", matrices[n:]))
    }


def character_json(clip: RenderedClip) -> dict[str, Any]:
    """Return positions by character and frame, Unreal axes, centimetres (our reading of an undocumented file)."""
    n = clip.num_context
    return {
        key: {
            s.name: {str(i): _numbers(p * np.array([100.0, -100.0, 100.0])) for i, p in enumerate(s.positions[part])}
            for s in clip.subjects
        }
        for key, part in (("cond_character", slice(0, n)), ("tgt_character", slice(n, None)))
    }


def check_json(clip: RenderedClip) -> dict[str, Any]:
    """Return in-frame flags by actor and character, frames of each half from 0."""
    n = clip.num_context
    pixels = clip.labels.shape[1] * clip.labels.shape[2]
    seen = {s.name: visible_frames(s.visible_area, pixels) for s in clip.subjects}
    return {
        key: {
            f"actor_{s.label}": {s.name: [{"frame": i, "inFrame": bool(v)} for i, v in enumerate(seen[s.name][part])]}
            for s in clip.subjects
        }
        for key, part in (("cond_check", slice(0, n)), ("tgt_check", slice(n, None)))
    }


def truth_json(clip: RenderedClip, cell: str) -> dict[str, Any]:
    """Return everything that is known of a clip; world axes as the HM-World reader gives them (z up, metres)."""
    h, w = clip.labels.shape[1:]
    k = np.array([[clip.focal, 0, w / 2], [0, clip.focal, h / 2], [0, 0, 1]])
    return {
        "version": VERSION,
        "generator": GENERATOR,
        "names": NAMES_VERSION,
        "spec": clip.spec.to_json(),
        "probe": None if clip.probe is None else {"kind": clip.probe.kind, "strength": clip.probe.strength},
        "switch": None if clip.switch is None else clip.switch.frame,
        "cell": cell,
        "scene": SCENES[clip.spec.scene].name,
        "family": SCENES[clip.spec.scene].family,
        "subject_path": SUBJECT_PATHS[clip.spec.subject_path],
        "camera_path": CAMERA_PATHS[clip.spec.camera_path],
        "looks": [LOOKS[i].name for i in clip.spec.subjects],
        "fps": clip.fps,
        "num_context": clip.num_context,
        "size": [w, h],
        "intrinsics": {"focal": clip.focal, "width": w, "height": h, "K": k.tolist()},
        "world": "right-handed, z up, metres: x = Unreal x, y = -Unreal y; cameras camera-to-world with OpenCV axes",
        "captions": captions(clip.spec)._asdict(),
        "subjects": [_subject(clip, s) for s in clip.subjects],
        "sha256": clip.digest(),
    }


def _subject(clip: RenderedClip, s: SubjectRecord) -> dict[str, Any]:
    pixels = clip.labels.shape[1] * clip.labels.shape[2]
    events = find_events(visible_frames(s.visible_area, pixels), clip.num_context, s.label)
    return {
        "label": s.label,
        "name": s.name,
        "category": s.category,
        "duplicate_of": s.duplicate_of,
        "swapped_to": None if s.swapped_to is None else dict(zip(("name", "category"), s.swapped_to, strict=True)),
        "visible_area": [int(v) for v in s.visible_area],
        "amodal_area": _numbers(s.amodal_area),
        "boxes": [_numbers(row) if row[0] == row[0] else None for row in boxes_from_masks(clip.labels == s.label)],
        "positions": [_numbers(row) for row in s.positions],
        "feet": [_numbers(row) for row in s.feet],
        "yaw": _numbers(s.yaw),
        "box3d": [_numbers(row) for row in s.box3d],
        "events": [{"exit": e.exit, "reentry": e.reentry} for e in events],
    }


def _numbers(values: NDArray[np.floating[Any]]) -> list[float | None]:
    return [None if math.isnan(v) else round(float(v), ROUND) for v in values]


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False), encoding="utf-8")
