"""What knowing nothing of the camera is worth in a clip: the best of a family of memoryless predictions.

A picture that does not change follows the camera by exactly nothing, so that all stills (any context frame, flat and
blurred pictures, means of rows, of columns and of the context) are at the floor by construction and need not be tried.
What does change and may by luck change as the camera turns is tried: the context again, backwards, at half and double
speed, there and back, as four slides, and a slow fade from its last frame to its first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.registration import (
    LAG_COST,
    MAX_LAG,
    context_mask,
    evidence_of,
    own_time,
    target_views,
)
from hmbench.metrics.background.views import Floats, Views, likeness, small_views

LEAST_FLOOR = 0.05
"""Following that is worth nothing in any clip: twice what pasted subjects that come and go with the camera get."""

MARGIN = 0.03
"""Following above the best of the family that is still worth nothing: others of its kind differ by as much."""
MOST_FLOOR = 0.6
"""Where the camera goes back just as it came, the context backwards is the truth: no floor may reach that."""


def memoryless_following(case: Case) -> float:
    """The most that a memoryless prediction follows in this clip, over the truth's own, not yet divided by it."""
    context = small_views(case.sample.prompt.context, context_mask(case))
    real = target_views(case)
    steps = len(real.colours)
    fade = _fade(context, steps)
    both = likeness(
        Views(np.concatenate([context.colours, fade.colours]), np.concatenate([context.seen, fade.seen])), real
    )
    near, found = both.near(np.zeros(2, np.int64)), both.best()[0].max(axis=1).astype(np.float64)
    return max(_measured(near[rows], found[rows]) for rows in orders(len(context.colours), steps).values())


def orders(context: int, target: int) -> dict[str, NDArray[np.intp]]:
    """The family: which context frame each target frame shows; frames from `context` on are the fade's."""
    t = np.arange(target)
    last = context - 1
    return {
        "replay": np.minimum(t, last),
        "reverse": np.maximum(last - t, 0),
        "half speed": np.minimum(t // 2, last),
        "half speed, reverse": np.maximum(last - t // 2, 0),
        "double speed": last - np.abs(last - 2 * t % (2 * max(last, 1))),
        "double speed, reverse": np.abs(last - 2 * t % (2 * max(last, 1))),
        "slides": (t * 4 // target) * last // 3,
        "slides, reverse": last - (t * 4 // target) * last // 3,
        "fade": context + t,
        "fade back": context + t[::-1],
    }


def _fade(context: Views, steps: int) -> Views:
    """From the last context view to the first; where one is masked the other is seen alone."""
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None, None]
    weights = (1 - share) * context.seen[-1], share * context.seen[0]
    seen = weights[0] + weights[1]
    mixed = weights[0][..., None] * context.colours[-1] + weights[1][..., None] * context.colours[0]
    colours: Floats = mixed / np.maximum(seen, 1e-3)[..., None]
    return Views(colours * (seen > 0)[..., None], (seen > 0).astype(np.float32))


def _measured(near: Floats, found: NDArray[np.float64]) -> float:
    """Evidence of one of the family, its delay chosen as a prediction's is: where views of own times are most alike."""
    reach = min(MAX_LAG, len(near) - 1)
    shown = np.maximum(near, 0)
    lag = max(range(-reach, reach + 1), key=lambda k: float(own_time(shown, k).mean()) - LAG_COST * abs(k))
    return float(evidence_of(near, found, lag).sum()) / (len(near) - abs(lag))
