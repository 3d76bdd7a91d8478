"""The tracker of a profile; torch and ultralytics are imported only here, when one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hmbench.protocols import SubjectTracker


def create_tracker(
    *,
    profile: str,
    weights: Path | None,
    device: str,
    method: Literal["bytetrack", "botsort"] = "botsort",
    any_class: bool = False,
) -> SubjectTracker | None:
    """YOLO11, ByteTrack or BoT-SORT, and linking by appearance; None where weights are missing (`tracker_missing`).

    Args:
        profile: ``mini``: the shipped detector and embedder. ``paper``: YOLO11x and DINO from the weights folder.
        weights: Folder filled by `hmbench weights pull`.
        device: Torch device.
        method: How detections become tracklets.
        any_class: Class-agnostic: whatever the detector finds is a subject.

    Raises:
        UserError: For an unknown profile, a weights folder that does not exist, or a damaged file.
    """
    if tracker_missing(profile=profile, weights=weights):
        return None
    from hmbench.subjects.detect import load_mini_detector, load_yolo11
    from hmbench.subjects.track import TrackerConfig, YoloTracker
    from hmbench.weights.backbones import FILES, find_backbones
    from hmbench.weights.pull import verify

    encoder = find_backbones(profile=profile, weights=weights, device=device).crops[""].get()
    if profile == "mini":
        detector = load_mini_detector(device, any_class=any_class)
    else:
        assert weights is not None, "tracker_missing answers for a profile without its weights"
        verify(weights, "yolo11")  # a pickle: only the bytes that were pulled are read
        detector = load_yolo11(weights / FILES["yolo11"], device, any_class=any_class)
    return YoloTracker(detector, encoder, TrackerConfig(method=method))


def tracker_missing(*, profile: str, weights: Path | None) -> str | None:
    """Why there can be no tracker, with the remedy; None if there can.

    Raises:
        UserError: For an unknown profile or a weights folder that does not exist.
    """
    from hmbench.weights.backbones import find_backbones, from_folder
    from hmbench.weights.files import shipped

    encoder = find_backbones(profile=profile, weights=weights, device="cpu").crops[""]
    if profile == "mini":
        there = shipped("detector").is_file()
        return (
            encoder.missing
            if there
            else "the shipped detector is missing; run: python -m hmbench.subjects.train_detector"
        )
    return from_folder("yolo11", weights, lambda path: path).missing or encoder.missing
