"""Pictures of a re-entry for people: a film strip an event, and where everybody went.

Strip: the subject before it left (in the context, or in the real continuation), the real continuation, and the
prediction with the box and number of every track; boxes of tracks that play the subject are drawn thick. Plot: centres
over the frame, and who is there when.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.durable import replacing
from hmbench.subjects.boxes import centres
from hmbench.types import Boxes, Sample, SubjectTruth, Track, Video

Image = NDArray[np.uint8]
COLUMNS = 8
BEFORE = 30
"""Frames before the exit that a strip begins with."""
WIDTH = 240
"""Pixels of one picture of a strip."""
COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (230, 159, 0), (204, 121, 167), (86, 180, 233))
"""Okabe and Ito: told apart by colour-blind readers."""


def film_strip(sample: Sample, prediction: Video, tracks: tuple[Track, ...], row: dict[str, Any]) -> Image:
    """One event as three rows of pictures under a line of text.

    Args:
        sample: The clip.
        prediction: The model's frames ``[Tt, H, W, 3]``.
        tracks: Its tracks.
        row: The event's row of ``events.jsonl``.

    Returns:
        uint8 ``[h, w, 3]``.
    """
    truth = sample.truth
    assert truth is not None, f"{sample.id} has events, so it has a truth"
    subject = next(s for s in truth.subjects if s.label == row["label"])
    num_context = sample.num_context_frames
    before = np.linspace(max(0, row["exit"] - BEFORE), row["exit"], COLUMNS).round().astype(int)
    first, last = row.get("window") or (row["reentry"], num_context + len(prediction))
    after = np.linspace(first, last - 1, COLUMNS).round().astype(int) - num_context
    thick = set(row.get("tracks") or ())
    real, target = ([_real(sample, subject, int(t)) for t in times] for times in (before, after + num_context))
    found = [
        _picture(prediction[t], [(k.boxes[t], str(k.id), k.id, k.id in thick) for k in tracks], f"{num_context + t}")
        for t in after
    ]
    rows = [_labelled(np.concatenate(pictures, axis=1), name) for pictures, name in
            ((real, "before"), (target, "target"), (found, "prediction"))]  # fmt: skip
    return np.concatenate([_title(row, rows[0].shape[1]), *rows], axis=0)


def _real(sample: Sample, subject: SubjectTruth, t: int) -> Image:
    """The real frame `t`, counted from the first context frame, with the subject's box."""
    assert sample.truth is not None, f"{sample.id} has a subject, so it has a truth"
    num_context = sample.num_context_frames
    frame = sample.prompt.context[t] if t < num_context else sample.truth.target[t - num_context]
    return _picture(frame, [(subject.boxes[t], "", 0, True)], f"{t}")


def trajectory_plot(path: Path, sample: Sample, tracks: tuple[Track, ...], rows: list[dict[str, Any]]) -> None:
    """Writes a picture of where everybody went: paths over a frame of the target, and x over time.

    Solid: the target's subjects; dashed: the prediction's tracks, in the colour of the subject that they play, grey for
    nobody. Below, the time that a subject is hidden is shaded, and a line marks where the target begins.

    Args:
        path: A PNG, PDF or SVG file.
        sample: The clip.
        tracks: The prediction's tracks.
        rows: The sample's event rows; their verdicts stand in the legend.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    truth, num_context = sample.truth, sample.num_context_frames
    height, width = sample.prompt.size
    figure = Figure(figsize=(7, 2.2 + 5.6 * height / width + 1.6), layout="constrained")
    where, when = figure.subplots(2, 1, height_ratios=(5.6 * height / width, 2.2))
    where.imshow(_backdrop(sample), extent=(0, width, height, 0), alpha=0.55)
    owner = {track: row["label"] for row in rows for track in row.get("tracks") or ()}
    for subject in truth.subjects if truth else ():
        verdicts = [str(row["verdict"] or "no verdict") for row in rows if row["label"] == subject.label]
        name = f"{subject.name}: {', '.join(verdicts) or 'no event'}".replace("$", r"\$")
        _path(where, subject.boxes[num_context:], _colour(subject.label), "-", name)
        _over_time(when, subject.boxes, 0, _colour(subject.label), "-")
    for row in rows:
        when.axvspan(row["exit"], row["reentry"], color=_colour(row["label"]), alpha=0.13, linewidth=0)
    for track in tracks:
        colour = _colour(owner[track.id]) if track.id in owner else (0.45, 0.45, 0.45)
        _path(where, track.boxes, colour, "--", f"track {track.id}")
        _over_time(when, track.boxes, num_context, colour, "--")
    where.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    where.set_title(f"{sample.id}: paths in the target".replace("$", r"\$"), fontsize=8)
    total = num_context + sample.prompt.num_target_frames
    when.axvline(num_context, color="0.4", linewidth=0.8, linestyle=":")
    when.set(xlim=(0, total), ylim=(0, width), xlabel="frame (shaded: out of sight; dotted: the target begins)",
             ylabel="x of the box's middle, pixels")  # fmt: skip
    if where.get_legend_handles_labels()[0]:
        where.legend(fontsize=7, framealpha=0.85)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _backdrop(sample: Sample) -> Image:
    """The median of some target frames: the scene without who walks through it; without truth the last frame seen."""
    video = sample.truth.target if sample.truth is not None else sample.prompt.context[-1:]
    chosen = video[np.linspace(0, len(video) - 1, min(9, len(video))).round().astype(int)]
    return np.asarray(np.median(chosen, axis=0), np.uint8)


def _path(axis: Any, boxes: Boxes, colour: tuple[float, ...], line: str, label: str) -> None:
    x, y = _centres(boxes)
    axis.plot(x, y, line, color="white", linewidth=3.2, alpha=0.8)
    axis.plot(x, y, line, color=colour, linewidth=1.8, label=label)
    there = np.flatnonzero(~np.isnan(x))
    if len(there):
        axis.plot(x[there[-1]], y[there[-1]], "o", color=colour, markersize=5, markeredgecolor="white")


def _over_time(axis: Any, boxes: Boxes, first: int, colour: tuple[float, ...], line: str) -> None:
    x, _ = _centres(boxes)
    axis.plot(np.arange(first, first + len(x)), x, line, color=colour, linewidth=1.6)


def _picture(frame: Image, boxes: list[tuple[Boxes, str, int, bool]], number: str) -> Image:
    scale = WIDTH / frame.shape[1]
    size = (WIDTH, round(frame.shape[0] * scale))
    out = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    for box, text, colour, thick in boxes:
        if np.isnan(box).any():
            continue
        x0, y0, x1, y1 = (round(float(v) * scale) for v in box)
        ink = COLOURS[colour % len(COLOURS)]
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), ink, 2 if thick else 1)
        if text:
            _write(out, text, (x0 + 2, max(y0 - 3, 10)), ink)
    _write(out, number, (4, 12), (255, 255, 255))
    return out


def _labelled(strip: Image, name: str) -> Image:
    bar = np.full((strip.shape[0], 76, 3), 24, np.uint8)
    _write(bar, name, (4, strip.shape[0] // 2), (255, 255, 255))
    return np.concatenate([bar, strip], axis=1)


def _title(row: dict[str, Any], width: int) -> Image:
    bar = np.full((26, width, 3), 24, np.uint8)
    known = ("coverage", "identity", "offset_heights", "lag_frames", "agreement", "success")
    numbers = "  ".join(f"{key} {row[key]:.2f}" for key in known if row.get(key) is not None)
    text = f"{row['sample']}  {row['subject']}: {row['verdict'] or 'no verdict'}   hidden {row['hidden']}   {numbers}"
    _write(bar, text, (6, 17), (255, 255, 255))
    return bar


def _write(image: Image, text: str, at: tuple[int, int], ink: tuple[int, int, int]) -> None:
    for shift, colour in ((1, (0, 0, 0)), (0, ink)):
        place = (at[0] + shift, at[1] + shift)
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def _centres(boxes: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = centres(boxes).T
    return x, y


def _colour(number: int) -> tuple[float, ...]:
    return tuple(value / 255 for value in COLOURS[number % len(COLOURS)])
