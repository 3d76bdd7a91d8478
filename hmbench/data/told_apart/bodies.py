"""Where the bodies of subjects are in the picture, and how large they are.

Letters: K subjects, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.evidence import MaskEvidence

Floats = NDArray[np.float64]
USUAL_SIZE = (0.8, 1.7)
"""Width and height in metres of a body that was never seen alone, where nobody was."""
LEAST_SEEN = 3
"""Frames that a body's size is taken from at least."""
EDGE_CLEAR = 0.1
"""Of a part's size: an edge that no other body comes nearer to is the body's own."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where bodies are in the picture, reduced pixels."""

    centre: Floats
    """Middle of each body, ``[K, T, 2]``; NaN where it is behind the camera or unknown."""
    scale: Floats
    """Reduced pixels a metre, ``[K, T]``."""
    depth: Floats
    """``[K, T]``; whoever is nearer stands in front."""


def body_sizes(evidence: MaskEvidence, places: Places) -> Floats:
    """Width and height of each body in metres.

    From whole parts that lie over its middle and over nobody else's; of a body that is never seen so, from the edges of
    shared parts that nobody else reaches.
    """
    count = len(places.scale)
    found: list[list[tuple[float, float]]] = [[] for _ in range(count)]
    cut: list[list[tuple[float, float]]] = [[] for _ in range(count)]
    shared: list[tuple[int, list[int], list[int]]] = []
    height, width = evidence.small.shape[1:]
    for t, stats in enumerate(evidence.stats):
        for left, top, wide, high, area in stats[1:].tolist():
            if area < evidence.least:
                continue
            over = _over(places, t, (left, top, wide, high))
            if len(over) == 1:
                k = over[0]
                whole = left > 0 and top > 0 and left + wide < width and top + high < height
                (found if whole else cut)[k].append((wide / places.scale[k, t], high / places.scale[k, t]))
            elif over:
                shared.append((t, [left, top, left + wide, top + high], over))
    sizes = np.full((count, 2), np.nan)
    for k in range(count):
        if len(found[k]) >= LEAST_SEEN:
            sizes[k] = np.percentile(found[k], 60, axis=0)
    usual = np.nanmean(sizes, axis=0) if np.isfinite(sizes).any() else np.array(USUAL_SIZE)
    guess = np.where(np.isfinite(sizes), sizes, usual)
    for k in np.flatnonzero(np.isnan(sizes[:, 0])).tolist():
        alone = np.max(cut[k], axis=0) if len(cut[k]) >= LEAST_SEEN else np.full(2, np.nan)
        sizes[k] = np.fmax(alone, _from_edges(k, shared, places, guess, (width, height)))
    return np.where(np.isfinite(sizes), sizes, usual)


def _over(places: Places, t: int, part: tuple[int, int, int, int]) -> list[int]:
    """Whose middles a part (x, y, width, height) lies over."""
    left, top, wide, high = part
    x, y = places.centre[:, t, 0], places.centre[:, t, 1]
    slack = 0.15 * max(wide, high)
    over = (x > left - slack) & (x < left + wide + slack) & (y > top - slack) & (y < top + high + slack)
    return np.flatnonzero(over).tolist()


def _from_edges(
    k: int, shared: list[tuple[int, list[int], list[int]]], places: Places, sizes: Floats, frame: tuple[int, int]
) -> Floats:
    """Size of a body in metres from the edges of shared parts that only it can reach; NaN where there are too few."""
    reach: list[list[float]] = [[], [], [], []]
    for t, box, over in shared:
        if k not in over:
            continue
        others = [j for j in over if j != k]
        half = sizes[others] * places.scale[others, t][:, None] / 2
        lows = (places.centre[others, t] - half).min(axis=0)
        highs = (places.centre[others, t] + half).max(axis=0)
        for axis in (0, 1):
            clear = EDGE_CLEAR * (box[axis + 2] - box[axis])
            middle, scale = places.centre[k, t, axis], places.scale[k, t]
            if box[axis] > 0 and lows[axis] - box[axis] > clear:
                reach[axis].append(float(middle - box[axis]) / scale)
            if box[axis + 2] < frame[axis] and box[axis + 2] - highs[axis] > clear:
                reach[axis + 2].append(float(box[axis + 2] - middle) / scale)
    sides = [float(np.percentile(r, 60)) if len(r) >= LEAST_SEEN else np.nan for r in reach]
    out = np.full(2, np.nan)
    for axis in (0, 1):
        known = [side for side in (sides[axis], sides[axis + 2]) if np.isfinite(side)]
        if known:
            out[axis] = 2 * sum(known) / len(known)
    return out
