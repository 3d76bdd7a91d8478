"""What the background tells of the camera, published by itself: how far off it stands, how late it is, how it zooms.

These describe; they are no part of a score. A model that knows the place and stands beside it is told so here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.background.following import LEAST_FOUND, follows_camera, standing_right
from hmbench.metrics.background.registration import background_mask, registration_of
from hmbench.metrics.background.views import FINE_WIDTH
from hmbench.metrics.needs import TRUTH
from hmbench.protocols import MetricInfo
from hmbench.types import Score

LEAST_FRAMES = 5
"""Frames that must be found for a number about a clip."""
LEAST_FIT = 0.5
"""Correlation after registration below which a frame's zoom is not believed."""
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
_ELSEWHERE = "the background does not follow the asked camera"
_NOT_FOUND = "the background cannot be found again in the real one in enough frames"


class CameraError:
    """Degrees between where the prediction's camera stands and where it was asked to; mean over frames that are found.

    The delay is taken out first. A metre counts 4 degrees. Details hold `share_of_path` (1 is what the best standing
    camera has; more is worse than not moving at all), `found` and `in_view` as shares of frames.

    Args:
        share: Give the share of the path instead of degrees.
    """

    def __init__(self, *, share: bool = False) -> None:
        self.share = share
        self.info = MetricInfo(
            name="camera_error_share" if share else "camera_error",
            version=2,
            higher_is_better=False,
            unit="" if share else "degrees",
            bounds=(0.0, None),
            needs=frozenset({TRUTH}),
            source="hmbench: background found again among the real views",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where too few frames are found, or the share of a camera that stands is asked for."""
        found = registration_of(case)
        there = found.found >= LEAST_FOUND
        if there.sum() < LEAST_FRAMES:
            return Score.skipped(_NOT_FOUND)
        error = float(found.error[there].mean())
        share = None if np.isnan(found.following) else error / found.path
        details = {
            "found": float(there.mean()),
            "in_view": float(standing_right(found).mean()),
            "path": found.path,
            "share_of_path": share,
        }
        if not self.share:
            return Score(error, details=details)
        if share is None:
            return Score(float("nan"), "the asked camera stands still", details)
        return Score(share, details=details)


class CameraFollowing:
    """How surely the background follows the asked camera: 0 for whatever does not change, 1 for the truth."""

    info = MetricInfo(
        name="camera_following",
        version=3,
        higher_is_better=True,
        bounds=(None, None),
        needs=frozenset({TRUTH}),
        source="hmbench: how surely frames are more alike to the view of their time than to other views",
    )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where the asked camera stands still."""
        found = follows_camera(case)
        if found.follows is None:
            return Score.skipped("the asked camera stands still")
        return Score(found.share, details={"follows": found.follows, "view": found.view, "lag": found.lag})


class Lag:
    """Frames by which the background is late (negative: early); a number without a direction."""

    info = MetricInfo(
        name="lag",
        version=2,
        higher_is_better=None,
        unit="frames",
        needs=frozenset({TRUTH}),
        source="hmbench: the delay at which most frames show the view of their time",
    )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where the asked camera stands still or the prediction does not follow it."""
        found = follows_camera(case)
        if found.follows is None:
            return Score.skipped("the asked camera stands still, so that no delay can be seen")
        if not found.follows:
            return Score.skipped(_ELSEWHERE)
        return Score(float(found.lag))


class Zoom:
    """How much larger the background is shown than in the target: 1 is right; median over frames that stand right."""

    info = MetricInfo(
        name="zoom",
        version=2,
        higher_is_better=None,
        bounds=(0.0, None),
        needs=frozenset({TRUTH}),
        source="hmbench: affine registration (Evangelidis and Psarakis 2008) of frames in the asked view",
    )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where too few frames can be registered."""
        if follows_camera(case).follows is False:
            return Score.skipped(_ELSEWHERE)
        values = case.memo("background zoom", lambda: frame_zooms(case))
        values = values[np.isfinite(values)]
        if len(values) < LEAST_FRAMES:
            return Score.skipped(_NOT_FOUND)
        return Score(float(np.median(values)), details={"frames": len(values)})


def frame_zooms(case: Case) -> NDArray[np.float64]:
    """Magnification of each frame against the target's of its time, ``[T]``; NaN where it cannot be told."""
    found = registration_of(case)
    lag, right = found.lag, standing_right(found)
    free = background_mask(case)
    zooms = np.full(len(right), np.nan)
    target = case.truth.target
    for t in np.flatnonzero(right):
        if 0 <= t - lag < len(target):
            zooms[t] = magnification(case.prediction[t], target[t - lag], free[t])
    return zooms


def magnification(shown: NDArray[np.uint8], real: NDArray[np.uint8], free: NDArray[np.bool_]) -> float:
    """By how much a frame shows things larger than another; NaN if the two cannot be registered."""
    size = (FINE_WIDTH, max(round(FINE_WIDTH * shown.shape[0] / shown.shape[1]), 8))
    small = [cv2.cvtColor(cv2.resize(f, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for f in (real, shown)]
    mask = cv2.resize(free.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        fit, matrix = cv2.findTransformECC(small[0], small[1], start, cv2.MOTION_AFFINE, _STEPS, mask, 5)
    except cv2.error:  # it does not converge, or a picture is flat
        return float("nan")
    scale = float(np.linalg.det(np.asarray(matrix, np.float64)[:, :2]))
    return scale**0.5 if fit >= LEAST_FIT and scale > 0 else float("nan")
