"""The tracker of a profile; torch and ultralytics are imported only here, when one is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from hmbench.errors import UserError, did_you_mean
from hmbench.protocols import SubjectTracker

Method = Literal["botsort", "bytetrack"]
METHODS: tuple[Method, ...] = get_args(Method)
"""Ways to make tracks of detections."""


def create_tracker(
    *,
    profile: str,
    weights: Path | None,
    device: str,
    method: str = "botsort",
    any_class: bool = False,
) -> SubjectTracker | None:
    """YOLO11, ByteTrack or BoT-SORT, and linking by appearance; None where weights are missing (`tracker_missing`).

    Args:
        profile: ``mini``: the shipped detector and embedder. ``paper``: YOLO11x and DINO from the weights folder.
        weights: Folder filled by `hmbench weights pull`.
        device: Torch device.
        method: How detections become tracklets: one of `METHODS`.
        any_class: Class-agnostic: whatever the detector finds is a subject.

    Raises:
        UserError: For an unknown profile or method, a weights folder that does not exist, or a damaged file.
    """
    chosen = tracking_method(method)
    if tracker_missing(profile=profile, weights=weights):
        return None
    from hmbench.networks.backbones import FILES, find_backbones
    from hmbench.networks.pull import verify
    from hmbench.subjects.detect import load_mini_detector, load_yolo11
    from hmbench.subjects.track import TrackerConfig, YoloTracker

    encoder = find_backbones(profile=profile, weights=weights, device=device).crops[""].get()
    if profile == "mini":
        detector = load_mini_detector(device, any_class=any_class)
    else:
        assert weights is not None, "tracker_missing answers for a profile without its weights"
        verify(weights, "yolo11")  # a pickle: only the bytes that were pulled are read
        detector = load_yolo11(weights / FILES["yolo11"], device, any_class=any_class)
    return YoloTracker(detector, encoder, TrackerConfig(method=chosen))


def tracking_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UserError: If there is none.
    """
    for method in METHODS:
        if method == name:
            return method
    raise UserError(f"There is no tracker {name!r}.", did_you_mean(name, METHODS))


def tracker_missing(*, profile: str, weights: Path | None) -> str | None:
    """Why there can be no tracker, with the remedy; None if there can.

    Raises:
        UserError: For an unknown profile or a weights folder that does not exist.
    """
    from hmbench.networks.backbones import find_backbones, from_folder
    from hmbench.networks.files import shipped

    encoder = find_backbones(profile=profile, weights=weights, device="cpu").crops[""]
    if profile == "mini":
        there = shipped("detector").is_file()
        return (
            encoder.missing
            if there
            else "the shipped detector is missing; run: python -m hmbench.subjects.train_detector"
        )
    return from_folder("yolo11", weights, lambda path: path).missing or encoder.missing
