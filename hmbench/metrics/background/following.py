"""Whether a prediction follows the camera that it was asked to follow, and in which frames it stands where it should.

A subject's place means something only in the view that was asked for. The gate is about the camera alone: a blurred
picture of the right view follows, a sharp picture of another one does not, and what does not change cannot. It opens
where the best prediction that needs no memory ends (`hmbench.metrics.background.floor`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.bounds import bounds_of
from hmbench.metrics.background.registration import Registration, registration_of

IN_VIEW = 5.0
"""Degrees within which a frame stands where it was asked to stand: a seventh of the mini world's view."""
LEAST_FOUND = 0.2
"""Likeness below which a frame's place is not known."""
STEADY = 2
"""Frames to either side over which a frame's standing is steadied by majority."""


@dataclass(frozen=True, kw_only=True)
class Following:
    """Evidence that a prediction's background follows the asked camera."""

    follows: bool | None
    """Whether it does; None where the asked camera stands still, which asks nobody to follow."""
    share: float
    """0 for a picture that does not change, 1 for the truth; NaN where the camera stands still."""
    view: float
    """0 for the best prediction that needs no memory (and below for less), 1 for the truth; NaN as `share`."""
    lag: int
    """Frames by which it is late."""
    in_view: NDArray[np.bool_]
    """Frames ``[T]`` whose background stands within `IN_VIEW` degrees of the asked view, lag taken out; none if the
    clip as a whole does not follow, since a still picture stands right whenever the camera passes by."""


def follows_camera(case: Case) -> Following:
    """Whether and where the prediction's background follows the asked camera; the sample must have a truth."""
    return case.memo("follows camera", lambda: _judge(case))


def standing_right(found: Registration) -> NDArray[np.bool_]:
    """Frames that stand where they were asked to stand, ``[T]``, whatever the clip as a whole does."""
    right = (found.error <= IN_VIEW) & (found.found >= LEAST_FOUND)
    votes = np.convolve(np.pad(right.astype(np.float64), STEADY, mode="edge"), np.ones(2 * STEADY + 1), mode="valid")
    return np.asarray(votes > STEADY, np.bool_)


def _judge(case: Case) -> Following:
    found = registration_of(case)
    right = standing_right(found)
    if np.isnan(found.following):
        nan = float("nan")
        return Following(follows=None, share=nan, view=nan, lag=found.lag, in_view=right)
    bounds = bounds_of(case)
    share = found.following / bounds.truth
    view = (share - bounds.gate) / (1 - bounds.gate)
    return Following(
        follows=view > 0, share=share, view=view, lag=found.lag, in_view=right if view > 0 else np.zeros_like(right)
    )
