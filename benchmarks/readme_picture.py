"""The README's animated picture: a subject leaves, the camera returns, four models, four verdicts, in ten seconds.

python benchmarks/readme_picture.py OUT.webp --runs RUN RUN RUN RUN [--sample ID] [--data DIR]

Above: what really happens, context and target. Below: what each model makes of the target, with the box of whoever
plays the subject and, from the re-entry on, the verdict. Without --sample the clip is taken on which the verdicts
differ most. The picture is made again by this command whenever weights change; it stays under 3 MB.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hmbench.data.dataset import open_dataset
from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.prefixes import whole_id
from hmbench.report.pages.colours import UNKNOWN, verdict_colours
from hmbench.report.pages.content import Board, Clip, Contender
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.gallery import prediction
from hmbench.results.predictions import read_prediction
from hmbench.results.run_folder import RunFolder
from hmbench.subjects import tracks_from_json
from hmbench.types import Sample

MOST_BYTES = 3_000_000
SECONDS = 10.0
GAP, BAR, HEAD = 6, 24, 30
"""Pixels between pictures, above each, and above all."""
INK, PAPER, DIM = (22, 25, 29), (255, 255, 255), (85, 96, 108)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", nargs="+", type=Path, required=True)
    parser.add_argument("--sample")
    parser.add_argument("--data")
    parser.add_argument("--width", type=int, default=224, help="pixels of one picture")
    asked = parser.parse_args()
    boards = boards_from_runs(asked.runs)
    if len(boards) != 1:
        raise UserError("The runs are on different data.", "Give runs of the same clips.")
    board = boards[0]
    order = {folder: i for i, folder in enumerate(asked.runs)}
    models = sorted(board.contenders, key=lambda c: order[c.run] if c.run else 0)
    clip = choose(board, models, asked.sample)
    sample = open_dataset(asked.data or board.data).load(clip.key)
    frames = draw(sample, clip, models, asked.width)
    size = save(asked.out, frames)
    print(f"{asked.out}: {clip.id}, {len(frames)} pictures, {size / 1e6:.2f} MB")


def choose(board: Board, models: Sequence[Contender], wanted: str | None) -> Clip:
    """The clip that was asked for, or the one with most different verdicts among those with one event."""
    if wanted:
        wanted = whole_id(wanted, [clip.key for clip in board.clips], "The runs' data")
        return next(clip for clip in board.clips if clip.key == wanted)
    told = {
        clip.key: {str(e["verdict"]) for c in models for e in c.events.get(clip.key, ())[:1] if e.get("verdict")}
        for clip in board.clips
        if all(prediction(c, clip) is not None and len(c.events.get(clip.key, ())) == 1 for c in models)
    }
    if not told:
        raise UserError("No clip has one re-entry and a video of every run.", "Give other runs, or --sample.")
    best = max(told, key=lambda key: (len(told[key]), key))
    return next(clip for clip in board.clips if clip.key == best)


def draw(sample: Sample, clip: Clip, models: Sequence[Contender], width: int) -> list[Image.Image]:
    """Every second frame of the clip as one picture, from a little before the exit to the end of the window."""
    assert sample.truth is not None, f"{clip.id} has no truth"
    before = sample.num_context_frames
    event = models[0].events[clip.key][0]
    first = max(0, event["exit"] - 24)
    last = min(before + len(sample.truth.target), event["reentry"] + 50)
    videos = [read_prediction(path, sample)[0] for c in models if (path := prediction(c, clip)) is not None]
    boxes = [_played(c, clip) for c in models]
    subject = next(s for s in sample.truth.subjects if s.label == event["label"])
    colours = verdict_colours(str(c.events[clip.key][0].get("verdict")) for c in models)
    pictures = []
    for t in range(first, last, 2):
        real = sample.prompt.context[t] if t < before else sample.truth.target[t - before]
        hidden = event["exit"] <= t < event["reentry"]
        cells = [_cell(real, width, f"what really happens{': out of sight' if hidden else ''}", INK, subject.boxes[t])]
        for contender, video, box in zip(models, videos, boxes, strict=True):
            found = contender.events[clip.key][0]
            word = str(found.get("verdict") or "no verdict")
            if t < before:
                cells.append(_waiting(width, real.shape, contender.name))
                continue
            ends = t >= event["reentry"]
            name = f"{contender.name}: {word}" if ends else contender.name
            colour = _rgb(colours.get(word, UNKNOWN)) if ends else DIM
            cells.append(_cell(video[t - before], width, name, colour, box[t - before]))
        phase = "the model sees this" if t < before else "the model imagines this"
        pictures.append(_page(cells, f"frame {t}: {phase}", t, before, (first, last), event))
    return pictures


def save(path: Path, frames: Sequence[Image.Image]) -> int:
    """An animated WebP within `MOST_BYTES`, in lower quality if need be; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pause = round(1000 * SECONDS / len(frames))
    times = [pause] * (len(frames) - 1) + [1500]
    for quality in (80, 65, 50, 35, 20):
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=times,
            loop=0,
            quality=quality,
            method=4,
            minimize_size=True,
        )
        if path.stat().st_size <= MOST_BYTES:
            return path.stat().st_size
    raise UserError(f"{path} takes {path.stat().st_size / 1e6:.1f} MB.", "Give a smaller --width.")


def _played(contender: Contender, clip: Clip) -> np.ndarray:
    """Boxes of whoever plays the subject, ``[Tt, 4]``, NaN rows where nobody does."""
    assert contender.run is not None, contender.name
    played = set(contender.events[clip.key][0].get("tracks") or ())
    tracks = [t for t in tracks_from_json(_prediction_tracks(contender, clip)) if t.id in played]
    if not tracks:
        return np.full((10_000, 4), np.nan, np.float32)
    boxes = tracks[0].boxes.copy()
    for track in tracks[1:]:
        free = np.isnan(boxes[:, 0])
        boxes[free] = track.boxes[free]
    return boxes


def _prediction_tracks(contender: Contender, clip: Clip) -> Any:
    assert contender.run is not None, contender.name
    content: Mapping[str, Any] = read_json(RunFolder(contender.run).tracks(clip.key))
    return content["prediction"]


def _font(size: int) -> Any:
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _cell(frame: np.ndarray, width: int, name: str, colour: tuple[int, int, int], box: np.ndarray) -> Image.Image:
    scale = width / frame.shape[1]
    height = round(frame.shape[0] * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = np.ascontiguousarray(cv2.resize(frame, (width, height), interpolation=method))
    if not np.isnan(box).any():
        x0, y0, x1, y1 = (round(float(v) * scale) for v in box)
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour if colour != INK else (255, 255, 255), 2)
    out = Image.new("RGB", (width, height + BAR), PAPER)
    out.paste(Image.fromarray(picture), (0, BAR))
    pen = ImageDraw.Draw(out)
    if colour not in (INK, DIM):
        pen.rounded_rectangle((0, 2, width - 1, BAR - 3), 4, outline=colour, width=2)
    pen.text((6, 4), name, fill=INK, font=_font(12))
    return out


def _waiting(width: int, shape: tuple[int, ...], name: str) -> Image.Image:
    height = round(shape[0] * width / shape[1])
    out = Image.new("RGB", (width, height + BAR), PAPER)
    pen = ImageDraw.Draw(out)
    pen.rectangle((0, BAR, width, height + BAR), fill=(236, 239, 242))
    pen.text((6, 4), name, fill=DIM, font=_font(12))
    return out


def _page(
    cells: Sequence[Image.Image], title: str, t: int, before: int, ends: tuple[int, int], event: Mapping[str, Any]
) -> Image.Image:
    wide, high = cells[0].size
    across = max(2, (len(cells) - 1 + 1) // 2)
    rows = 1 + -(-(len(cells) - 1) // across)
    out = Image.new("RGB", (across * (wide + GAP) + GAP, HEAD + rows * (high + GAP)), PAPER)
    pen = ImageDraw.Draw(out)
    _time_line(pen, t, before, ends, event, (wide + 3 * GAP, HEAD + BAR + 24, out.width - 2 * GAP, HEAD + BAR + 40))
    pen.text((GAP, 8), title, fill=INK, font=_font(13))
    out.paste(cells[0], (GAP, HEAD))
    for k, cell in enumerate(cells[1:]):
        out.paste(cell, (GAP + (k % across) * (wide + GAP), HEAD + (1 + k // across) * (high + GAP)))
    return out


def _time_line(
    pen: Any, t: int, before: int, ends: tuple[int, int], event: Mapping[str, Any], box: tuple[int, int, int, int]
) -> None:
    """A bar of time: dark where the subject is in view, pale where it is hidden, a line where the target begins."""
    x0, y0, x1, y1 = box

    def at(frame: int) -> int:
        return round(x0 + (x1 - x0) * (frame - ends[0]) / (ends[1] - ends[0]))

    pen.rectangle((x0, y0, x1, y1), fill=(0, 114, 178))
    pen.rectangle((at(event["exit"]), y0, at(event["reentry"]), y1), fill=(213, 219, 226))
    pen.line((at(before), y0 - 5, at(before), y1 + 5), fill=INK, width=1)
    pen.line((at(t), y0 - 8, at(t), y1 + 8), fill=(213, 94, 0), width=3)
    pen.text((x0, y0 - 24), "in view", fill=DIM, font=_font(11))
    pen.text((at(event["exit"]) + 3, y0 - 24), "hidden", fill=DIM, font=_font(11))
    pen.text((at(event["reentry"]) + 3, y0 - 24), "must be back", fill=DIM, font=_font(11))
    pen.text((max(x0, at(before) - 40), y1 + 10), "context | target", fill=DIM, font=_font(11))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


if __name__ == "__main__":
    main()
