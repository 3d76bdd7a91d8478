"""Prompts as files, for a model that lives elsewhere: what it is given, in the form that it asks for, and nothing else.

A prompt folder holds ``context.mp4`` (lossless), ``first.png`` (the context's last frame, where image-to-video models
begin), ``caption.txt``, cameras, and ``prompt.json``, which says what each file means and how the answer must be
called. No frame of the target is in it.

    prompt/
      prompt.json      id, caption, rate, frames wanted, size, lens, convention of the cameras, seed
      context.mp4  first.png  caption.txt
      cameras.npz | cameras.json | cameras.txt

Letters: Tc context frames, Tt target frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from hmbench.data.camera_conventions import Convention, convention
from hmbench.data.dataset import Dataset
from hmbench.durable import replacing_folder
from hmbench.errors import UserError
from hmbench.files import read_json, write_text
from hmbench.types import Poses, Prompt, Video
from hmbench.video.files import write_lossless
from hmbench.video.geometry import invert

CameraFile = Literal["npz", "json", "colmap"]
Origin = Literal["first-target", "world"]
FORMAT = 1
"""Of ``prompt.json``."""


@dataclass(frozen=True, kw_only=True)
class PromptForm:
    """How prompts are written."""

    cameras: str = "opencv"
    """Convention of the matrices (`hmbench.data.camera_conventions`): ``opencv``, ``opencv-w2c``, ``opengl``, ..."""
    origin: Origin = "first-target"
    """Where the cameras' world begins: at the first target camera, or where the data have it."""
    file: CameraFile = "npz"
    """``npz``, ``json``, or COLMAP's ``images.txt`` lines (always OpenCV world-to-camera)."""
    fps: float | None = None
    """The model's rate; frames are the nearest in time, cameras between. None is the data's."""
    frames: int | None = None
    """Target frames that the model makes, at most those that there are at its rate; None is all."""


def write_prompt(folder: Path, name: str, prompt: Prompt, form: PromptForm, *, seed: int | None = None) -> None:
    """Writes one prompt folder, whole or not at all.

    Args:
        folder: It must not exist.
        name: The sample's id.
        prompt: What a model is given.
        form: How it is written.
        seed: Of the generation, if it is known.

    Raises:
        UserError: If the form cannot be made of this prompt.
    """
    known = convention(form.cameras)
    context, poses, wanted = resampled(prompt, form.fps, form.frames)
    if form.origin == "first-target":
        base = invert(wanted[:1])
        poses, wanted = base @ poses, base @ wanted
    fps = form.fps or prompt.fps
    lens = prompt.intrinsics
    matrix = [[lens.focal, 0.0, lens.width / 2], [0.0, lens.focal, lens.height / 2], [0.0, 0.0, 1.0]]
    file = {"npz": "cameras.npz", "json": "cameras.json", "colmap": "cameras.txt"}[form.file]
    record = {
        "format": FORMAT,
        "id": name,
        "caption": prompt.caption,
        "seed": seed,
        "fps": fps,
        "context_frames": len(context),
        "target_frames": len(wanted),
        "width": prompt.size[1],
        "height": prompt.size[0],
        "intrinsics": matrix,
        "cameras": {
            "file": file,
            "convention": "opencv-w2c" if form.file == "colmap" else known.name,
            "matrices": "world-to-camera" if form.file == "colmap" or not known.to_world else "camera-to-world",
            "metres_a_unit": 1.0 if form.file == "colmap" else known.metres,
            "origin": form.origin,
        },
        "answer": f"{name}.mp4",
    }
    with replacing_folder(folder) as scratch:
        write_lossless(scratch / "context.mp4", context, fps=fps)
        cv2.imwrite(str(scratch / "first.png"), np.ascontiguousarray(context[-1][..., ::-1]))
        (scratch / "caption.txt").write_text(prompt.caption + "\n", encoding="utf-8")
        _write_cameras(scratch / file, form, known, (poses, wanted), np.array(matrix))
        (scratch / "prompt.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")


def write_prompts(
    data: Dataset, ids: Sequence[str], out: Path, form: PromptForm, on_sample: Callable[[str], None] | None = None
) -> list[str]:
    """One folder a sample, and a note on what to do with them; folders that are there are left alone.

    Args:
        data: Where samples come from.
        ids: Samples.
        out: Folder of the prompt folders.
        form: How they are written.
        on_sample: Told of each new one.

    Returns:
        Ids that were written.
    """
    marker = out / "prompts.json"
    asked = {"data": data.name, "revision": data.revision(tuple(ids)), "form": vars(form), "samples": list(ids)}
    convention(form.cameras)
    before = read_json(marker, kind=dict) if marker.is_file() else asked
    if before.get("form") != asked["form"]:
        raise UserError(f"{out} holds prompts in another form.", "Take another folder.")
    same = before.get("samples") == asked["samples"]
    if before.get("data") != asked["data"] or (same and before.get("revision") != asked["revision"]):
        raise UserError(f"{out} holds prompts of other data ({before.get('data')}).", "Take another folder.")
    out.mkdir(parents=True, exist_ok=True)
    write_text(marker, json.dumps(asked, indent=1))
    write_text(out / "README.txt", _note(form))
    done = []
    for name in ids:
        if not (out / name / "prompt.json").is_file():
            write_prompt(out / name, name, data.load(name).prompt, form)
            done.append(name)
            if on_sample:
                on_sample(name)
    return done


def resampled(prompt: Prompt, fps: float | None, frames: int | None) -> tuple[Video, Poses, Poses]:
    """Context and cameras at a model's rate: frames nearest in time, cameras between their neighbours.

    Time 0 is the first target frame; the context's last frame stays the one just before it.

    Raises:
        UserError: If fewer target frames are there than asked for.
    """
    context, past, future = prompt.context, prompt.context_poses, prompt.target_poses
    if fps is not None and fps != prompt.fps:
        if fps <= 0:
            raise UserError(f"{fps} frames a second is no rate.", "Give a number above 0.")
        ratio = prompt.fps / fps
        count = int((len(future) - 1) / ratio + 1e-9) + 1
        places = np.arange(count, dtype=np.float64) * ratio
        back = np.arange(int((len(past) - 1) / ratio + 1e-9) + 1)[::-1] * ratio
        kept = np.asarray(len(past) - 1 - back, dtype=np.float64)
        context = context[np.clip(np.round(kept).astype(int), 0, len(past) - 1)]
        past, future = _between(past, kept), _between(future, places)
    if frames is not None:
        if not 1 <= frames <= len(future):
            raise UserError(
                f"{frames} target frames are asked for, and the clip has {len(future)} at this rate.",
                "Ask for fewer --frames, or another --fps.",
            )
        future = future[:frames]
    return context, past, future


def _between(poses: Poses, places: NDArray[np.float64]) -> Poses:
    """Poses at fractional frame numbers: straight in position, by the shortest turn in rotation."""
    if len(poses) == 1:
        return np.repeat(poses, len(places), axis=0)
    numbers = np.arange(len(poses))
    out = np.tile(np.eye(4), (len(places), 1, 1))
    out[:, :3, :3] = Slerp(numbers, Rotation.from_matrix(poses[:, :3, :3]))(places).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(places, numbers, poses[:, axis, 3])
    return out


def _write_cameras(
    path: Path, form: PromptForm, known: Convention, poses: tuple[Poses, Poses], lens: NDArray[np.float64]
) -> None:
    past, future = (known.matrices(half) for half in poses)
    if form.file == "npz":
        np.savez(path, context=past, target=future, intrinsics=lens)
    elif form.file == "json":
        content = {"context": past.tolist(), "target": future.tolist(), "intrinsics": lens.tolist()}
        path.write_text(json.dumps(content), encoding="utf-8")
    else:
        path.write_text(_colmap(np.concatenate(poses), len(poses[0])), encoding="utf-8")


def _colmap(poses: Poses, past: int) -> str:
    """Lines of COLMAP's ``images.txt``: id, quaternion (w first) and translation of world-to-camera, camera, name."""
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME (each followed by an empty line of points)"]
    for number, matrix in enumerate(invert(poses), start=1):
        x, y, z, w = Rotation.from_matrix(matrix[:3, :3]).as_quat(canonical=True)
        half, frame = ("context", number - 1) if number <= past else ("target", number - 1 - past)
        values = " ".join(f"{v:.9g}" for v in (w, x, y, z, *matrix[:3, 3]))
        lines += [f"{number} {values} 1 {half}/{frame:05d}.png", ""]
    return "\n".join(lines) + "\n"


def _note(form: PromptForm) -> str:
    rate = f"{form.fps:g} frames a second" if form.fps else "the data's own rate"
    return f"""Prompts for a model that lives elsewhere, one folder a sample.

Each folder has prompt.json (what everything means), context.mp4 (the past, lossless), first.png (its last frame),
caption.txt and cameras ({form.cameras}, {form.origin}, {form.file}), at {rate}.

Write one video a sample, named as "answer" in prompt.json says, into one folder, for example videos/ID.mp4: the frames
after the context, without it. Then:

    hmbench check-predictions videos DATA        does everything fit?
    hmbench score --predictions videos --data DATA --out runs/my-model
"""


def read_record(folder: Path) -> dict[str, Any]:
    """``prompt.json`` of a prompt folder."""
    content: dict[str, Any] = read_json(folder / "prompt.json", kind=dict)
    return content
