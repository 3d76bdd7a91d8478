"""What depends on a clip alone (zeros, ceilings): found once, and kept in hmbench's cache for every later prediction.

    <cache>/clip-facts/<2 hexadecimal digits>/<key>.json

The key is made of everything that decides a fact: the clip's frames, masks and cameras, its known tracks, and the code
of the metrics. Other code or other frames are another key, so that nothing is ever made invalid by hand. A damaged
entry is made again; a cache that cannot be written costs time, not the run.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmbench.cache import cache_folder
from hmbench.case import Case
from hmbench.errors import UserError
from hmbench.files import read_json, write_json

DIGEST = "digest of the clip"
"""Key of `Case.memo` for it."""
log = logging.getLogger(__name__)


def clip_fact(
    case: Case, kind: str, compute: Callable[[], Any], sound: Callable[[Any], bool], *, tracks: bool = False
) -> Any:
    """A fact about the case's sample, JSON types: from the cache, else computed and kept.

    Args:
        case: Any case of the sample, its truth as it is.
        kind: Which fact, with everything that decides it besides the clip and the code.
        compute: Finds it.
        sound: Whether an entry of the cache has the right form.
        tracks: Whether the known tracks of the clip decide it, too.
    """
    key = hashlib.sha256(f"{kind} {_code()} {_digest(case, tracks=tracks)}".encode()).hexdigest()[:32]
    path = cache_folder() / "clip-facts" / key[:2] / f"{key}.json"
    known = _read(path)
    if known is not None and sound(known):
        return known
    found = compute()
    try:
        write_json(path, found)
    except OSError as error:
        log.warning("What is known of %s is not kept: %s", case.sample.id, error)
    return found


def _read(path: Path) -> Any:
    try:
        return read_json(path) if path.is_file() else None
    except (UserError, OSError, ValueError):
        return None


def _digest(case: Case, *, tracks: bool) -> str:
    """Digest of the clip's frames, masks, cameras and events, and of its known tracks."""
    parts = [case.memo(DIGEST, lambda: _of_clip(case))]
    if tracks:
        digest = hashlib.sha256()
        for track in case.reference_tracks or ():
            digest.update(np.ascontiguousarray(track.boxes).data)
            digest.update(np.ascontiguousarray(track.scores).data)
        parts.append(digest.hexdigest())
    return " ".join(parts)


def _of_clip(case: Case) -> str:
    prompt, truth = case.sample.prompt, case.truth
    digest = hashlib.sha256(f"{prompt.intrinsics} {prompt.fps} {[astuple(e) for e in truth.events]}".encode())
    frames: list[NDArray[Any]] = [prompt.context, truth.target, prompt.context_poses, prompt.target_poses]
    frames += [labels for labels in (truth.context_labels, truth.target_labels) if labels is not None]
    for array in frames:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@functools.cache
def _code() -> str:
    """Digest of the modules that decide facts, so that changed rules find no old ones."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([Path(__file__), *(here / "reentry").glob("*.py"), *(here / "background").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
