"""Events as records say them, checked before any page is made of them: a stranger may have written the file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.report.pages.words import shown
from hmbench.results.run_folder import RunFolder
from hmbench.subject_names import current_name

WHOLE = ("label", "exit", "reentry")
"""Fields that must be whole numbers from 0 up."""
LARGEST = 10_000_000
"""Of a whole number: no clip has so many frames."""


def read_events(run: Path) -> list[dict[str, Any]]:
    """``events.jsonl`` of a run; empty where there is none.

    Raises:
        UserError: If a line is damaged.
    """
    try:
        return [checked_event(line) for line in RunFolder(run).lines("events.jsonl")]
    except ValueError as error:
        raise UserError(f"{run / 'events.jsonl'} is damaged: {error}.", "Score the run again.") from error


def checked_event(event: Any) -> dict[str, Any]:
    """An event with nothing but what pages can show.

    Args:
        event: A line of ``events.jsonl``, or an entry's record of one.

    Raises:
        ValueError: If it says nothing of when and in which clip.
    """
    if not isinstance(event, Mapping) or not isinstance(event.get("sample"), str):
        raise ValueError(f"an event names no clip: {str(event)[:80]}")
    whole: dict[str, int] = {}
    for key in WHOLE:
        value = event.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
            raise ValueError(f"an event of {shown(event['sample'])} has {key} {shown(value)}")
        whole[key] = value
    found: dict[str, Any] = {"sample": event["sample"], **whole, "hidden": max(0, whole["reentry"] - whole["exit"])}
    for key in ("subject", "category", "verdict"):
        found[key] = None if event.get(key) is None else shown(event[key])
    if found["subject"] is not None:
        found["subject"] = current_name(found["subject"])
    found["window"] = _numbers(event.get("window"), 2, int)
    found["place"] = _numbers(event.get("place"), 2, float)
    tracks = event.get("tracks") or ()
    found["tracks"] = [t for t in tracks if isinstance(t, int)] if isinstance(tracks, list | tuple) else []
    for key, value in event.items():
        name = shown(key)
        if name not in found and (isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))):
            found[name] = value
    return found


def by_clip(events: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Clip's key to its events, in their order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        found.setdefault(event["sample"], []).append(event)
    return found


def _numbers(values: Any, count: int, kind: type) -> list[Any] | None:
    """A list of so many finite numbers; None for anything else."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if any(not isinstance(v, int | float) or not math.isfinite(v) or abs(v) > LARGEST for v in values):
        return None
    return [kind(v) for v in values]
