"""Turns public example clips (``N.mp4``, ``camN.json``, ``caption.txt``) into HM-World samples with real targets.

Such a clip has a context video and the cameras of context and target, but no target video. Split in two, its second
half is a real target with real cameras for its first half. Pixels are unchanged: both halves are stored losslessly.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hmbench.errors import SampleError, UserError
from hmbench.files import read_json, read_text_within, write_json, write_text
from hmbench.video.files import probe, read_video, write_lossless


def import_examples(source: Path, target: Path, *, context_frames: int = 37, target_frames: int = 37) -> list[str]:
    """Writes an HM-World folder from example clips.

    Args:
        source: Folder with ``N.mp4``, ``camN.json`` and ``caption.txt`` (a line a clip, in order of N).
        target: Folder to write; existing samples of the same name are replaced.
        context_frames: Frames of each clip that become its context, of the form 4k + 1.
        target_frames: Frames after them that become its target, of the form 4k + 1.

    Returns:
        Ids of the samples, ``example-N``.

    Raises:
        UserError: If there are no clips, the split does not fit, or cameras are missing.
    """
    for name, count in (("context", context_frames), ("target", target_frames)):
        if count < 5 or count % 4 != 1:
            raise UserError(
                f"{count} {name} frames are not of the form 4k + 1.",
                "The causal video VAE works on 1 + 4k frames: 37 or 33, for example.",
            )
    clips = sorted((p for p in source.glob("*.mp4") if p.stem.isdecimal()), key=lambda p: int(p.stem))
    if not clips:
        raise UserError(f"No example clips in {source}.", "Expected files 1.mp4, cam1.json, ... and caption.txt.")
    captions = _captions(source / "caption.txt", len(clips))
    lines = []
    for clip, caption in zip(clips, captions, strict=True):
        sample_id = f"example-{clip.stem}"
        _import_one(clip, source / f"cam{clip.stem}.json", target / sample_id, (context_frames, target_frames))
        lines.append(f"{sample_id}\t{caption}\n")
    write_text(target / "caption.txt", "".join(lines))
    return [line.split("\t")[0] for line in lines]


def _import_one(clip: Path, cameras: Path, folder: Path, counts: tuple[int, int]) -> None:
    video, total = read_video(clip), sum(counts)
    if len(video) < total:
        raise SampleError(
            f"{clip} has {len(video)} frames, fewer than {counts[0]} + {counts[1]}.",
            "Ask for shorter halves with --context-frames and --target-frames.",
        )
    matrices = read_json(cameras)
    known: Any = matrices.get("cond_cam") if isinstance(matrices, dict) else None
    if not isinstance(known, dict) or not {str(i) for i in range(total)} <= set(known):
        raise SampleError(f"{cameras} has no camera for every frame of {clip.name}.", "Fetch the camera file again.")
    fps = probe(clip).fps
    write_lossless(folder / "cond.mp4", video[: counts[0]], fps=fps)
    halves = {
        "cond_cam": {str(i): known[str(i)] for i in range(counts[0])},
        "tgt_cam": {str(i): known[str(i + counts[0])] for i in range(counts[1])},
    }
    write_json(folder / "camera.json", halves)
    write_lossless(folder / "tgt.mp4", video[counts[0] : total], fps=fps)


def _captions(path: Path, count: int) -> list[str]:
    if not path.is_file():
        return [""] * count
    lines = [re.sub(r"\s+", " ", line).strip() for line in read_text_within(path, 64 << 20, "text").splitlines()]
    captions = [line for line in lines if line]
    if len(captions) != count:
        raise UserError(f"{path} has {len(captions)} captions for {count} clips.", "Give one line a clip.")
    return captions
