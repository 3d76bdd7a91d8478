"""Tracks on disk: ``tracks/<sample>.json``, JSON without NaN; an absent frame is null."""

from __future__ import annotations

from typing import Any

import numpy as np

from hmbench.errors import UserError
from hmbench.types import Track

FORMAT = 1


def tracks_to_json(tracks: tuple[Track, ...] | list[Track]) -> dict[str, Any]:
    """Tracks as JSON types; boxes keep a hundredth of a pixel, so that a read track scores as the written one."""
    return {"format": FORMAT, "tracks": [_one(track) for track in tracks]}


def tracks_from_json(content: Any) -> tuple[Track, ...]:
    """Tracks as written by `tracks_to_json`.

    Raises:
        UserError: If the content is something else.
    """
    try:
        if content["format"] != FORMAT:
            raise UserError(f"Tracks of format {content['format']} cannot be read.", "Track the predictions again.")
        return tuple(_read(entry) for entry in content["tracks"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"A file of tracks is damaged: {error!r}.", "Track the predictions again.") from error


def rounded(track: Track) -> Track:
    """A track as it will be after writing and reading: score this one, and resuming changes no number."""
    return _read(_one(track))


def _one(track: Track) -> dict[str, Any]:
    shown = track.present()
    return {
        "id": track.id,
        "category": track.category,
        "boxes": [
            [round(float(v), 2) for v in box] if there else None for box, there in zip(track.boxes, shown, strict=True)
        ],
        "scores": [round(float(s), 4) if there else None for s, there in zip(track.scores, shown, strict=True)],
        "embedding": None if track.embedding is None else [round(float(v), 5) for v in track.embedding],
    }


def _read(entry: dict[str, Any]) -> Track:
    absent = [np.nan] * 4
    embedding = entry["embedding"]
    return Track(
        id=int(entry["id"]),
        boxes=np.array([absent if box is None else box for box in entry["boxes"]], np.float32).reshape(-1, 4),
        scores=np.array([np.nan if s is None else s for s in entry["scores"]], np.float32),
        category=entry["category"],
        embedding=None if embedding is None else np.array(embedding, np.float32),
    )
