"""Why positions that fit a mask are not believed all the same: they are of another time, or of other places.

A wrong position may lie on somebody else's body, and so a fit of 0.9 may come from positions that are a metre off, some
frames late, or of the clip's other half. Two things are hardly ever so where positions are right, however often scenery
hides somebody: they would lie on the mask more often at another time, and whole parts of the mask have nobody.

Letters: K subjects, T frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.data.told_apart.evidence import MaskEvidence
from hmbench.data.told_apart.placing import shifted
from hmbench.data.told_apart.readings import Fit, fit_of
from hmbench.types import Intrinsics, Poses
from hmbench.video.geometry import project

Floats = NDArray[np.float64]
ASKED = "are the positions of this clip?"
"""Ends what is said of positions that are not believed; `hmbench data check` fails such a clip."""
LAGS = (10, 15, 20, 30, 45, 60, 77)
"""Frames, both ways, by which positions may be of another time; fewer are found and taken out (`placing`)."""
BETTER = 0.03
"""By which the share of positions on the mask may not rise at another time."""
AS_EXPLAINED = 0.02
"""By which the share of explained frames may fall there."""
BESIDE = 0.15
"""Of a part's larger side: at this distance beside it a position is still over it."""
ABOVE = 1.0
"""Of the tallest part's height: the same above and below, since scenery may cut a body in two."""
NOBODYS = 0.25
"""Share of the frames with a mask that may show a large part which no position is over. On 25 test clips of the mini
world right positions have 0.16 at most, and 0.19 if they are 0.3 m off. Those of the other half, or of somebody who
stands still, have 0.40 and more wherever they gave wrong labels."""


def doubt(fit: Fit, poses: Poses, lens: Intrinsics, evidence: MaskEvidence) -> str | None:
    """Why the positions of a reading are not believed; None if they are.

    Args:
        fit: The reading's fit, with its placing.
        poses: Cameras, ``[T, 4, 4]``.
        lens: The lens.
        evidence: The mask.
    """
    if fit.placing is None:
        return None
    points = fit.placing.points
    return _of_other_places(points, poses, lens, evidence) or _of_another_time(fit, points, poses, lens, evidence)


def _of_another_time(fit: Fit, points: Floats, poses: Poses, lens: Intrinsics, evidence: MaskEvidence) -> str | None:
    found = {}
    for lag in (sign * lag for lag in LAGS for sign in (1, -1) if lag < len(poses) - 5):
        other = fit_of(fit.reading, shifted(points, lag), poses, lens, evidence)
        if other is not None and other.explained > fit.explained - AS_EXPLAINED:
            found[lag] = other.on_mask
    best = max(found, key=lambda lag: found[lag], default=0)
    if not found or found[best] < fit.on_mask + BETTER:
        return None
    way = "late" if best > 0 else "early"
    return (
        f"the positions lie on the mask more often if they come some {abs(best)} frames {way} "
        f"({found[best]:.0%} instead of {fit.on_mask:.0%}): {ASKED}"
    )


def _of_other_places(points: Floats, poses: Poses, lens: Intrinsics, evidence: MaskEvidence) -> str | None:
    pixels, depth = project(points, poses[None], lens)
    shown = lonely = 0
    for t, stats in enumerate(evidence.stats):
        parts = stats[1:][stats[1:, 4] >= evidence.least].astype(np.float64)
        if not len(parts):
            continue
        shown += 1
        low, size = parts[:, :2], parts[:, 2:4]
        beside = BESIDE * size.max(axis=1)
        above = ABOVE * np.maximum(size[:, 1], evidence.tallest[t])
        slack = np.stack([beside, above], axis=1)
        places = pixels[depth[:, t] > 0, t] / evidence.step
        over = (places[:, None] >= low - slack) & (places[:, None] <= low + size + slack)
        lonely += not over.all(axis=2).any(axis=0).all()
    if lonely <= NOBODYS * max(shown, 1):
        return None
    return f"in {lonely} of {shown} frames the mask shows somebody where no position is: {ASKED}"
