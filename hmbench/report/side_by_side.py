"""Videos that show the same clip as several models continued it: context | target | model | model ..., with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.data.dataset import open_recorded
from hmbench.errors import UserError
from hmbench.report.compare import Comparison
from hmbench.report.compare_inputs import ComparedRun
from hmbench.results.prediction_files import stored_prediction
from hmbench.results.predictions import read_prediction
from hmbench.results.reading import reading_of
from hmbench.results.run_folder import RunFolder
from hmbench.types import Sample, Video
from hmbench.video.files import write_video

LABEL_HEIGHT = 18
"""Pixels of the strip above each picture."""
GAP = 4
"""Pixels between pictures."""


def most_different(comparison: Comparison, metric: str, count: int) -> list[str]:
    """Clips on which the runs' values lie farthest apart, the most different first.

    Raises:
        UserError: If no clip has a value of this metric in every run.
    """
    columns = []
    for run in comparison.runs:
        values = {r.sample: r.value for r in RunFolder(run.path).rows() if r.metric == metric and r.value is not None}
        columns.append(values)
    spread = {
        sample: max(found) - min(found)
        for sample in comparison.samples
        if len(found := [column[sample] for column in columns if sample in column]) == len(columns)
    }
    if not spread:
        raise UserError(f"No clip has a value of {metric} in every run.", "Choose another metric with --metric.")
    return sorted(spread, key=lambda sample: (-spread[sample], sample))[:count]


def write_side_by_side(comparison: Comparison, samples: Sequence[str], out: Path) -> list[Path]:
    """One video a sample, ``<rank>-<sample>.mp4``; returns their paths.

    Raises:
        UserError: If the data or a prediction is not there.
    """
    first = comparison.runs[0].manifest
    data = open_recorded(first.data, options=first.data_options)
    paths = []
    for rank, name in enumerate(samples, start=1):
        sample = data.load(name)
        panels: dict[str, Video] = {"context": sample.prompt.context}
        if sample.truth is not None:
            panels["target"] = sample.truth.target
        for run in comparison.runs:
            panels[run.label] = predicted_video(run, sample)
        path = out / f"{rank:02d}-{name}.mp4"
        write_video(path, side_by_side(panels), fps=sample.prompt.fps)
        paths.append(path)
    return paths


def side_by_side(panels: Mapping[str, Video]) -> Video:
    """Pictures beside each other under their names; shorter ones hold their last frame.

    Args:
        panels: Name to uint8 ``[T_i, H, W, 3]``, all of one size.

    Returns:
        uint8 ``[max T_i, LABEL_HEIGHT + H, n W + (n - 1) GAP, 3]``.
    """
    length = max(len(video) for video in panels.values())
    strips = []
    for name, video in panels.items():
        held = np.concatenate([video, np.repeat(video[-1:], length - len(video), axis=0)])
        label = np.broadcast_to(_label(name, video.shape[2]), (length, LABEL_HEIGHT, video.shape[2], 3))
        strips.append(np.concatenate([label, held], axis=1))
        strips.append(np.full((length, strips[-1].shape[1], GAP, 3), 255, dtype=np.uint8))
    return np.concatenate(strips[:-1], axis=2)


def _label(text: str, width: int) -> NDArray[np.uint8]:
    import cv2

    strip: NDArray[Any] = np.full((LABEL_HEIGHT, width, 3), 255, dtype=np.uint8)
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts know nothing else
    (needed, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    scale = 0.42 * min(1.0, (width - 4) / max(needed, 1))
    cv2.putText(strip, plain, (2, LABEL_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)
    return strip


def predicted_video(run: ComparedRun, sample: Sample) -> Video:
    """The prediction of a sample, read as the run was scored."""
    path = stored_prediction(RunFolder(run.path), run.manifest, sample.id)
    return read_prediction(path, sample, reading_of(run.manifest.reading))[0]
