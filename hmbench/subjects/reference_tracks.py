"""Tracks of real clips, found once and kept: every model that is scored on a clip is held against the same ones.

Tracking the real clip takes as long as tracking two predictions. Its tracks depend on its frames and on the tracker
alone, so they lie in hmbench's cache under a key made of everything that decides them:

    <cache>/tracks/<2 hexadecimal digits>/<key>.json

Nothing is ever made invalid by hand: other frames, settings, weights, library versions or code are another key. An
entry that is damaged is made again. Writing is atomic, so that processes may share the folder; two that miss at the
same time both compute, and write the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hmbench.cache import cache_folder
from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.protocols import SubjectTracker
from hmbench.subjects.files import tracks_from_json, tracks_to_json
from hmbench.subjects.own import OwnTracker
from hmbench.types import Sample, Track, Video

log = logging.getLogger(__name__)
LIBRARIES = ("torch", "torchvision", "ultralytics", "lap", "numpy", "opencv-python")
"""Whose versions decide what a tracker finds."""


@runtime_checkable
class Described(Protocol):
    """A tracker that can say what decides its tracks besides frames and weights; only such ones are kept."""

    def settings(self) -> Mapping[str, Any]:
        """Everything that decides what it finds, as JSON types."""
        ...


def reference_tracks(tracker: SubjectTracker, sample: Sample, weights: Mapping[str, str]) -> tuple[Track, ...] | None:
    """Tracks of the whole real clip, ``Tc + Tt`` frames, from the cache where it has them; None without a truth.

    Args:
        tracker: Who finds them. One that does not say what decides its tracks is asked every time.
        sample: The clip.
        weights: Weight file to digest (`hmbench.networks.identity.weights_identity`).
    """
    if sample.truth is None:
        return None
    if not _kept(tracker):
        return _find(tracker, sample)
    assert isinstance(tracker, Described)
    key = track_key(tracker, sample, weights)
    path = cache_folder() / "tracks" / key[:2] / f"{key}.json"
    frames = sample.num_context_frames + len(sample.truth.target)
    return _once(path, key, frames, lambda: _find(tracker, sample))


def kept_tracks(tracker: SubjectTracker, video: Video, weights: Mapping[str, str], folder: Path) -> tuple[Track, ...]:
    """Tracks of any video, from a folder where it has them: a study tracks a thousand, and its metrics change.

    Args:
        tracker: Who finds them. One that is not `Described` is asked every time.
        video: uint8 ``[T, H, W, 3]``.
        weights: Weight file to digest (`hmbench.networks.identity.weights_identity`).
        folder: Where they are kept.
    """
    if not _kept(tracker):
        return tracker.track(video)
    assert isinstance(tracker, Described)
    key = _key(tracker, weights, "", video)
    return _once(folder / f"{key}.json", key, len(video), lambda: tracker.track(video))


def _kept(tracker: SubjectTracker) -> bool:
    """Whether all that decides its tracks is known: of somebody's own, only its author can say."""
    return tracker.kept if isinstance(tracker, OwnTracker) else isinstance(tracker, Described)


def _once(path: Path, key: str, frames: int, find: Callable[[], tuple[Track, ...]]) -> tuple[Track, ...]:
    known = _read(path, key, frames)
    if known is None:
        known = find()
        _write(path, key, known)
    return known


def track_key(tracker: Described, sample: Sample, weights: Mapping[str, str]) -> str:
    """Digest of all that decides the tracks of a real clip.

    The frames themselves stand for the data's revision: a revision may change with a caption, and two files of the same
    name and size may differ.
    """
    assert sample.truth is not None, f"{sample.id} has no real clip to track"
    return _key(tracker, weights, sample.id, sample.prompt.context, sample.truth.target)


def _key(tracker: Described, weights: Mapping[str, str], name: str, *videos: Video) -> str:
    digest = hashlib.sha256()
    decides = [tracker.settings(), dict(weights), _versions(), _code(), name]
    digest.update(json.dumps(decides, sort_keys=True).encode())
    for part in videos:
        digest.update(f"{part.dtype} {part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


def _find(tracker: SubjectTracker, sample: Sample) -> tuple[Track, ...]:
    """Tracks of both halves, each found by itself: a prediction's tracker does not know the context either.

    A tracker that is not `Described` reads the masks of the whole clip and is asked for all of it.
    """
    assert sample.truth is not None, f"{sample.id} has no real clip to track"
    if not isinstance(tracker, Described):
        return tracker.track(np.concatenate([sample.prompt.context, sample.truth.target]))
    before, after = len(sample.prompt.context), len(sample.truth.target)
    halves = (tracker.track(sample.prompt.context), 0, after), (tracker.track(sample.truth.target), before, 0)
    found = [_padded(track, start, stop) for tracks, start, stop in halves for track in tracks]
    return tuple(replace(track, id=number) for number, track in enumerate(found, 1))


def _padded(track: Track, before: int, after: int) -> Track:
    """The track as one of the whole clip."""
    boxes = np.pad(track.boxes, ((before, after), (0, 0)), constant_values=np.nan)
    return replace(track, boxes=boxes, scores=np.pad(track.scores, (before, after), constant_values=np.nan))


def _read(path: Path, key: str, frames: int) -> tuple[Track, ...] | None:
    """The entry, or None if there is none or it is not what was written."""
    try:
        if not path.is_file():
            return None
        content = read_json(path)
        if content["key"] != key or content["sum"] != _sum(content["tracks"]):
            raise ValueError("its digest does not fit")
        tracks = tracks_from_json(content["tracks"])
    except (UserError, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("%s is damaged and is made again: %s", path, error)
        return None
    return tracks if all(len(track.boxes) == frames for track in tracks) else None


def _write(path: Path, key: str, tracks: tuple[Track, ...]) -> None:
    """Keeps an entry; a folder that cannot be written costs time, not the run."""
    content = tracks_to_json(tracks)
    try:
        write_json(path, {"key": key, "sum": _sum(content), "tracks": content})
    except OSError as error:
        log.warning("Tracks of real clips are not kept: %s", error)


def _sum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _code() -> str:
    """Digest of the modules of this package, so that changed rules find no old tracks."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if not path.stem.startswith("train"):
            digest.update(path.read_bytes())
    return digest.hexdigest()
