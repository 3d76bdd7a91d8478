"""What a clip asks of a prediction's background: where memory begins, and what the truth reaches; kept in the cache."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from hmbench.case import Case
from hmbench.metrics.background.floor import memoryless_following, resized
from hmbench.metrics.background.registration import (
    STANDING,
    background_mask,
    following_of,
    other_views,
    path_of,
    target_views,
)
from hmbench.metrics.background.structure import partners, structure
from hmbench.metrics.background.views import FINE_WIDTH, likeness, small_views
from hmbench.metrics.clip_facts import clip_fact
from hmbench.types import Video

BOUNDS = "background bounds"
"""Key of `Case.memo` for the bounds of a clip, and of the cache."""
LEAST = 0.2
"""Share of the truth's following below which nothing follows in any clip: pictures that do not change, whatever comes
and goes on them (docs/metrics/background.md)."""
MARGIN = 0.04
"""Following above the best of the family that still needs no memory: others of its kind differ by as much."""
MOST = 0.85
"""Share of the truth's following from which on the best of the family leaves no room for memory to be seen."""


class Bounds(NamedTuple):
    """What a clip asks; the same for every prediction."""

    memoryless: float
    """Following of the best memoryless prediction."""
    member: str
    """Which one that is; empty where the camera stands."""
    truth: float
    """Following of the truth."""
    seen: float
    """Following of the truth as a person sees it."""
    kept: float | None
    """Structure kept by the truth as a person sees it; None if no frame shows background with structure."""

    @property
    def floor(self) -> float:
        """Share of the truth's following up to which no memory is needed."""
        return max(self.memoryless / self.truth + MARGIN, LEAST)

    @property
    def tells(self) -> bool:
        """Whether following tells memory from none in this clip."""
        return self.floor <= MOST

    @property
    def gate(self) -> float:
        """Share of the truth's following from which on a prediction is said to follow its camera."""
        return self.floor if self.tells else LEAST


def bounds_of(case: Case) -> Bounds:
    """The bounds of a case's clip, from the cache where it has them."""

    def find() -> Bounds:
        known = clip_fact(case, BOUNDS, lambda: _bounds(case)._asdict(), _sound, tracks=True)
        return Bounds(**known)

    return case.memo(BOUNDS, find)


def as_seen(video: Video) -> Video:
    """The video as somebody who does not look twice sees it: 224 columns wide, at half of them, one to the right."""
    height, width = video.shape[1:3]
    half, whole = ((w, max(round(w * height / width), 4)) for w in (FINE_WIDTH, 2 * FINE_WIDTH))
    aside = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    out = np.empty((len(video), whole[1], whole[0], 3), np.uint8)
    for t, frame in enumerate(video):
        coarse = cv2.resize(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), whole)
        out[t] = cv2.warpAffine(coarse, aside, whole, borderMode=cv2.BORDER_REPLICATE)
    return out


def _bounds(case: Case) -> Bounds:
    real, other = target_views(case), other_views(case)
    free, video = background_mask(case), as_seen(case.truth.target)
    seen = small_views(video, resized(free, (video.shape[1], video.shape[2])), of=case.sample.prompt.size)
    pairs = likeness(seen.coarse, real.coarse)
    kept = structure(seen.fine, real.fine, partners(pairs, 0))
    known = None if kept is None else kept.kept
    if path_of(case.sample.prompt.target_poses) < STANDING:
        return Bounds(0.0, "", 1.0, 1.0, known)
    truth = max(following_of(likeness(small_views(case.truth.target, free).coarse, real.coarse), other), 1e-6)
    family = memoryless_following(case)
    best = max(family, key=lambda name: family[name])
    return Bounds(family[best], best, truth, following_of(pairs, other), known)


def _sound(known: Any) -> bool:
    if not isinstance(known, dict) or set(known) != set(Bounds._fields):
        return False
    numbers = [known[name] for name in ("memoryless", "truth", "seen")]
    return all(isinstance(v, float | int) and math.isfinite(v) for v in numbers)
