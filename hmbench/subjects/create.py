"""The tracker of a profile; torch and ultralytics are imported only here, when one is asked for."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path
from typing import Any, Literal, cast

from hmbench.errors import UserError
from hmbench.own_code import called, made_by
from hmbench.protocols import SubjectTracker
from hmbench.registry import TRACKERS
from hmbench.subjects.own import OwnTracker

Method = Literal["botsort", "bytetrack"]
SHIPPED = typing.get_args(Method)
"""Those that look through the profile's detector."""


def create_tracker(
    *,
    profile: str,
    weights: Path | None,
    device: str,
    method: str = "botsort",
    any_class: bool = False,
) -> SubjectTracker | None:
    """A tracker by name; None where its weights are missing (`tracker_missing`).

    Args:
        profile: ``mini``: the shipped detector and embedder. ``paper``: YOLO11x and DINO from the weights folder.
        weights: Folder filled by `hmbench weights pull`.
        device: Torch device.
        method: ``botsort``, ``bytetrack``, another installed tracker (entry-point group ``hmbench.trackers``) or
            ``module:NAME``: a factory that takes those of the other arguments that it names.
        any_class: Class-agnostic: whatever the detector finds is a subject.

    Raises:
        UserError: For an unknown profile or tracker, a weights folder that does not exist, or a damaged file.
    """
    factory = made_by("tracker", method, TRACKERS.find(method), "track")
    offered = {"profile": profile, "weights": weights, "device": device, "any_class": any_class}
    accepted = inspect.signature(factory).parameters
    found = called("tracker", method, factory, **{name: value for name, value in offered.items() if name in accepted})
    return found if found is None else as_tracker(found, method)


def as_tracker(found: Any, name: str) -> SubjectTracker:
    """A tracker: hmbench's own as it is, somebody's with a name, and looked at.

    Args:
        found: An object, or a class that is made without arguments.
        name: What it was asked for by.

    Raises:
        UserError: If it has no method ``track``.
    """
    if inspect.isclass(found):
        found = called("tracker", name, found)
    if type(found).__module__.startswith("hmbench."):
        return cast("SubjectTracker", found)
    if not callable(getattr(found, "track", None)):
        raise _no_tracker(name, type(found))
    return OwnTracker(found, name)


def check_tracker(method: str) -> None:
    """Refuses what cannot be a tracker, as far as can be told without making it.

    Raises:
        UserError: If there is none of that name, or its class has no method ``track``.
    """
    found = TRACKERS.find(method)
    if inspect.isclass(found) and not hasattr(found, "track"):
        raise _no_tracker(method, found)


def _no_tracker(name: str, kind: type) -> UserError:
    return UserError(
        f"What {name!r} gives is no tracker: {kind.__name__} has no method track.",
        "Give it track(video) -> tuple of Track (see examples/own_tracker.py).",
    )


def botsort(*, profile: str, weights: Path | None, device: str, any_class: bool = False) -> SubjectTracker | None:
    """YOLO11, BoT-SORT (which takes the camera's motion out), and linking by appearance."""
    return _yolo("botsort", profile, weights, device, any_class)


def bytetrack(*, profile: str, weights: Path | None, device: str, any_class: bool = False) -> SubjectTracker | None:
    """YOLO11, ByteTrack, and linking by appearance."""
    return _yolo("bytetrack", profile, weights, device, any_class)


def _yolo(method: Method, profile: str, weights: Path | None, device: str, any_class: bool) -> SubjectTracker | None:
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
    return YoloTracker(detector, encoder, TrackerConfig(method=method))


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
