"""Reading a prediction: the frames that continue a sample, at its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmbench.errors import SampleError
from hmbench.types import Sample, Video
from hmbench.video.files import read_video, resize_video


def read_prediction(path: Path, sample: Sample) -> tuple[Video, dict[str, Any]]:
    """The target part of a prediction at the sample's size, and what had to be changed to get it.

    Args:
        path: The video: target frames alone, or context and target.
        sample: The sample that it continues.

    Raises:
        SampleError: If the file is missing, damaged or of another length.
    """
    video = read_video(path)
    before, after = sample.num_context_frames, sample.prompt.num_target_frames
    if len(video) not in {after, before + after}:
        raise SampleError(
            f"{path} has {len(video)} frames, expected {after} (the target) or {before + after} (context and target).",
            "Generate as many frames as the sample's target has.",
        )
    changes: dict[str, Any] = {}
    if len(video) == before + after:
        changes["context_frames_dropped"] = before
    height, width = sample.prompt.size
    if video.shape[1:3] != (height, width):
        changes["resized_from"] = [int(video.shape[2]), int(video.shape[1])]
    return resize_video(video[-after:], height, width), changes
