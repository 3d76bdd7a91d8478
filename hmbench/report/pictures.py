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

from hmbench.subjects.boxes import centres
from hmbench.types import Boxes, Sample, SubjectTruth, Track, Video

Image = NDArray[np.uint8]
COLUMNS = 8
BEFORE = 30
"""Frames before the exit that a strip begins with."""
WIDTH = 240
"""Pixels of one picture of a strip."""
COLOURS = ((230, 60, 60), (50, 120, 230), (60, 180, 75), (240, 160, 30), (150, 80, 200), (0, 170, 170))


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
    """Writes a plot of the target's subjects (solid) and the prediction's tracks (dashed): centres, and presence.

    Args:
        path: A PNG file.
        sample: The clip.
        tracks: The prediction's tracks.
        rows: The sample's event rows; their verdicts stand in the legend.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    truth = sample.truth
    subjects = truth.subjects if truth else ()
    num_context = sample.num_context_frames
    verdicts = {row["label"]: row["verdict"] for row in rows}
    owner = {track: row["label"] for row in rows for track in row.get("tracks") or ()}
    figure = Figure(figsize=(9, 7), layout="constrained")
    where, when = figure.subplots(2, 1, height_ratios=(3, 1))
    names = []
    for k, subject in enumerate(subjects):
        colour = _colour(subject.label)
        label = f"{subject.name}: {verdicts.get(subject.label, 'no event')}"
        x, y = _centres(subject.boxes[num_context:])
        where.plot(x, y, color=colour, label=label)
        _presence(when, subject.boxes[num_context:], 2 * k, colour, num_context)
        names.append((2 * k, subject.name))
    for k, track in enumerate(tracks):
        colour = _colour(owner[track.id]) if track.id in owner else (0.5, 0.5, 0.5)
        x, y = _centres(track.boxes)
        where.plot(x, y, "--", color=colour, label=f"track {track.id}")
        line = 2 * len(subjects) + k
        _presence(when, track.boxes, line, colour, num_context)
        names.append((line, f"track {track.id}"))
    height, width = sample.prompt.size
    where.set(xlim=(0, width), ylim=(height, 0), aspect="equal", title=f"{sample.id}: box centres, pixels")
    when.set(xlabel="frame", yticks=[n for n, _ in names], yticklabels=[name for _, name in names])
    if names:
        where.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


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


def _presence(axis: Any, boxes: Boxes, line: int, colour: tuple[float, ...], num_context: int) -> None:
    frames = np.flatnonzero(~np.isnan(boxes[:, 0])) + num_context
    axis.plot(frames, np.full(len(frames), line), "s", markersize=3, color=colour)


def _colour(number: int) -> tuple[float, ...]:
    return tuple(value / 255 for value in COLOURS[number % len(COLOURS)])
