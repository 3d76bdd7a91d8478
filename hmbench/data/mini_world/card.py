"""Statistics of a mini world folder, side by side with what is known of HM-World and of its four public clips."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hmbench.data.cameras import parse_cameras
from hmbench.data.mini_world.filter import MIN_HIDDEN, MIN_SEEN
from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.video.events import find_events, visible_frames

QUANTILES = (0.05, 0.5, 0.95)


def statistics(folder: Path) -> dict[str, Any]:
    """Return counts and quantiles (5 %, median, 95 %) over a folder's clips.

    Args:
        folder: A folder made by `generate`.

    Raises:
        UserError: If the folder holds no clip of the mini world.
    """
    truths = [read_json(path, kind=dict) for path in sorted(folder.glob("[!.]*/truth.json"))]
    if not truths:
        raise UserError(f"{folder} holds no mini world clips.", "Make some with `hmbench data make-mini`.")
    cameras = [_camera(path.parent) for path in sorted(folder.glob("[!.]*/truth.json"))]
    first = [truth["subjects"][0] for truth in truths]
    events = [subject["events"][0] for subject in first if subject["events"]]
    return {
        "clips": len(truths),
        "with an event of the first subject": len(events),
        "that break a rule of the filter at this size": dict(Counter(filter(None, map(shortfall, truths)))),
        "candidates": sum(truth.get("attempts", 1) for truth in truths),
        "cells": dict(Counter(truth["cell"] for truth in truths)),
        "scenes": dict(Counter(truth["scene"] for truth in truths).most_common()),
        "subjects a clip": dict(sorted(Counter(len(truth["looks"]) for truth in truths).items())),
        "exit frame": _quantiles([e["exit"] for e in events]),
        "re-entry frame": _quantiles([e["reentry"] for e in events]),
        "gap, frames": _quantiles([e["reentry"] - e["exit"] for e in events]),
        "subject height, share of the frame": _quantiles(
            [h for t, s in zip(truths, first, strict=True) for h in _heights(t, s)]
        ),
        "subject speed, m/s": _quantiles([_speed(t, s) for t, s in zip(truths, first, strict=True)]),
        "camera speed, m/s": _quantiles([c["speed"] for c in cameras]),
        "yaw sweep, degrees": _quantiles([c["sweep"] for c in cameras]),
    }


def shortfall(truth: dict[str, Any]) -> str | None:
    """Return which rule of the exit-entry filter a finished clip breaks at its own size, or None.

    The filter looks at candidates in 112x64, about 16:9. Narrower frames show less at the sides, so that a clip that
    it took can lose its event there.

    Args:
        truth: Its ``truth.json``.
    """
    n, (w, h) = truth["num_context"], truth["size"]
    seen = visible_frames(np.array(truth["subjects"][0]["visible_area"], np.float64), w * h)
    events = [e for e in find_events(seen, n, 1, min_hidden=MIN_HIDDEN) if e.exit < n]
    if not events:
        return "no exit and re-entry"
    if min(seen[: events[0].exit].sum(), seen[events[0].reentry :].sum()) < MIN_SEEN:
        return "too short in view"
    return None


def _camera(folder: Path) -> dict[str, float]:
    truth = read_json(folder / "truth.json", kind=dict)
    n = truth["num_context"]
    poses = np.concatenate(parse_cameras(read_json(folder / "camera.json"), n, n, str(folder)))
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    heading = np.unwrap(np.arctan2(poses[:, 1, 2], poses[:, 0, 2]))
    return {"speed": float(np.median(steps)) * truth["fps"], "sweep": math.degrees(float(np.ptp(heading)))}


def _heights(truth: dict[str, Any], subject: dict[str, Any]) -> list[float]:
    w, h = truth["size"]
    inside = [b for b in subject["boxes"] if b and b[0] > 0 and b[1] > 0 and b[2] < w and b[3] < h]
    return [(b[3] - b[1]) / h for b in inside]


def _speed(truth: dict[str, Any], subject: dict[str, Any]) -> float:
    feet = np.array([[math.nan if v is None else v for v in row] for row in subject["feet"]])
    return float(np.nanmean(np.linalg.norm(np.diff(feet, axis=0), axis=1))) * float(truth["fps"])


def _quantiles(values: list[float]) -> list[float] | None:
    return [round(float(q), 2) for q in np.quantile(values, QUANTILES)] if values else None
