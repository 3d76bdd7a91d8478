"""Tracks of real clips for readers of data: who is who where one mask covers everybody and nothing else tells.

`hmbench.data.told_apart` loads this by name, so that data do not import trackers.
"""

from __future__ import annotations

import functools

import numpy as np

from hmbench.networks.identity import weights_identity
from hmbench.protocols import SubjectTracker
from hmbench.subjects.create import create_tracker
from hmbench.subjects.reference_tracks import reference_tracks
from hmbench.types import Intrinsics, Prompt, Sample, Track, Truth, Video


def tracks_of(video: Video, num_context: int, name: str, tracker: str) -> tuple[tuple[Track, ...], str]:
    """Tracks of a whole real clip, and the tracker's name.

    They are the tracks that scoring with the same tracker asks for later, and kept in the same place.

    Args:
        video: ``[T, H, W, 3]``.
        num_context: Frames of the context.
        name: Id of the sample.
        tracker: ``mini``: the shipped detector.
    """
    found = _tracker(tracker)
    height, width = video.shape[1:3]
    poses = np.tile(np.eye(4), (len(video), 1, 1))
    prompt = Prompt(
        context=video[:num_context],
        context_poses=poses[:num_context],
        target_poses=poses[num_context:],
        caption="",
        fps=1.0,
        intrinsics=Intrinsics(focal=1.0, width=width, height=height),
    )
    truth = Truth(target=video[num_context:], context_labels=None, target_labels=None)
    sample = Sample(id=name, prompt=prompt, truth=truth)
    return reference_tracks(found, sample, weights_identity(None)) or (), found.name


@functools.cache
def _tracker(profile: str) -> SubjectTracker:
    found = create_tracker(profile=profile, weights=None, device="cpu")
    assert found is not None, f"the {profile} tracker is shipped"
    return found
