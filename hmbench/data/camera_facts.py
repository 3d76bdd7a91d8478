"""What ``camera.json`` files really hold: their form, units and continuity, for `hmbench.data.inspection`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmbench.data.cameras import parse_cameras
from hmbench.data.facts import Fact, checked
from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.types import Poses

TOP_SPEED = 20.0
"""Metres a second that a camera hardly moves; the examples move up to 8.2 m in 5 seconds. Beyond it, units differ."""
_FPS = 15
_NOISE = 0.05
"""Metres or degrees that are no jump."""


class _Motion(NamedTuple):
    """Steps of one camera path, in metres and degrees a frame."""

    speed: float
    seam: tuple[float, float]
    largest: tuple[float, float]


def camera_facts(paths: Sequence[Path]) -> list[Fact]:
    """Facts about some samples' camera files."""
    forms, problems, motions = Counter[str](), list[str](), list[_Motion]()
    for path in paths:
        try:
            content = read_json(path)
            form, counts = _form(content)
            forms[form] += 1
            if counts is not None:
                motions.append(_motion(*parse_cameras(content, *counts, str(path))))
        except UserError as error:
            problems.append(error.what)
        except (ValueError, TypeError, OverflowError) as error:
            problems.append(f"{path}: {error}")
    right = {"cond_cam 77 + tgt_cam 77, 4x4 numbers", "older form, 149 strings"}
    facts = [
        checked(
            "camera.json",
            "cond_cam and tgt_cam with keys 0..76, 4x4 (or the older 149 strings)",
            "; ".join([*(f"{form} (x{n})" for form, n in forms.most_common(4)), *problems[:2]]) or "none",
            bool(forms) and not problems and set(forms) <= right,
        )
    ]
    if not motions:
        return facts
    low, high = min(m.speed for m in motions), max(m.speed for m in motions)
    jumps = [m for m in motions if any(s > 2 * o + _NOISE for s, o in zip(m.seam, m.largest, strict=True))]
    seam, largest = (tuple(max(getattr(m, k)[i] for m in motions) for i in (0, 1)) for k in ("seam", "largest"))
    return [
        *facts,
        checked(
            "camera units",
            "Unreal centimetres: a camera moves 0 to some metres a second",
            f"median speed {low:.2f} to {high:.2f} m/s if they are centimetres",
            high < TOP_SPEED,
        ),
        checked(
            "target goes on from context",
            "contiguous: the seam is a step like any other",
            f"a jump in {len(jumps)} of {len(motions)}; largest seam {seam[0]:.3f} m and {seam[1]:.2f} degrees, "
            f"largest other step {largest[0]:.3f} m and {largest[1]:.2f} degrees",
            not jumps,
        ),
    ]


def _motion(context: Poses, target: Poses) -> _Motion:
    poses = np.concatenate([context, target])
    metres = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turns = np.swapaxes(poses[:-1, :3, :3], 1, 2) @ poses[1:, :3, :3]
    degrees = np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    seam = len(context) - 1
    others = [np.delete(steps, seam) for steps in (metres, degrees)]
    return _Motion(
        speed=float(np.median(metres)) * _FPS,
        seam=(float(metres[seam]), float(degrees[seam])),
        largest=(float(others[0].max(initial=0)), float(others[1].max(initial=0))),
    )


def _form(content: Any) -> tuple[str, tuple[int, int] | None]:
    """A description, and the frame counts if the form is known."""
    if isinstance(content, dict) and {"cond_cam", "tgt_cam"} <= set(content):
        halves = [content["cond_cam"], content["tgt_cam"]]
        if all(isinstance(half, dict) for half in halves):
            counts = (len(halves[0]), len(halves[1]))
            value = next(iter(halves[0].values()), None)
            kind = (
                "4x4 numbers" if value is not None and np.shape(value) == (4, 4) else f"values like {str(value)[:60]!r}"
            )
            return f"cond_cam {counts[0]} + tgt_cam {counts[1]}, {kind}", counts
    if isinstance(content, dict) and "0" in content:
        count = len(content) + 5
        return f"older form, {len(content)} strings", (count // 2, count // 2) if count % 2 == 0 else None
    keys = ", ".join(list(content)[:5]) if isinstance(content, dict) else type(content).__name__
    return f"unknown form with {keys}", None
