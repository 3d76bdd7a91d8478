"""`background_fidelity`: how much of the real background a prediction remembers, between knowing nothing and the truth.

Two factors, their geometric mean. *Following*: does the picture change as the place does when the camera turns, between
the best of a family of memoryless predictions (0) and the truth (1). *Structure*: is what stands in each window what
stood there, between a blank (0) and the truth (1). The truth counts as seen by a person: through half the resolution
and a pixel beside, so that what nobody sees costs nothing. Camera and timing are taken out before, within bounds, and
have numbers of their own (`hmbench.metrics.background.camera`).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np

from hmbench.case import Case
from hmbench.metrics.background.floor import LEAST_FLOOR, MARGIN, MOST_FLOOR, memoryless_following
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.background.registration import (
    background_mask,
    evidence_of,
    predicted_likeness,
    registration_of,
    target_views,
    truth_evidence,
)
from hmbench.metrics.background.structure import FINE_WIDTH, Structure, partners, structure
from hmbench.metrics.background.views import Likeness, Views, likeness, small_views
from hmbench.metrics.needs import LABELS, TRUTH
from hmbench.protocols import MetricInfo
from hmbench.types import Score, Video

_UNSEEN = "no target frame shows the background"


class Bounds(NamedTuple):
    """What a clip asks; the same for every prediction."""

    floor: float
    """Following of the best memoryless prediction, as a share of the truth's."""
    following: float
    """Following of the truth as a person sees it."""
    kept: float
    """Structure kept by the truth as a person sees it."""


class BackgroundFidelity:
    """Geometric mean of following and structure, each between knowing nothing (0) and the truth (1)."""

    def __init__(self) -> None:
        self.info = MetricInfo(
            name="background_fidelity",
            version=2,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS}),
            source="hmbench: camera following above the best memoryless prediction, and structure in windows",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no target frame shows background with structure.

        Where the asked camera stands still nobody can follow it, and structure alone is left: a still picture of the
        place is right there, and only the subjects ask for memory.
        """
        found = registration_of(case)
        shown = structure_of(case)
        if shown is None:
            return Score.skipped(_UNSEEN)
        bounds = case.memo("background bounds", lambda: _bounds(case))
        stands = math.isnan(found.following)
        following = 1.0 if stands else _between(found.following, bounds.floor, bounds.following)
        kept = _between(shown.kept, 0.0, bounds.kept)
        details = {
            "following": following,
            "structure": kept,
            "camera_stands": stands,
            "camera_following": None if stands else found.following,
            "kept": shown.kept,
            **{f"bound_{name}": value for name, value in bounds._asdict().items()},
        }
        return Score(kept if stands else math.sqrt(following * kept), details=details)


class BackgroundShare:
    """Share of the background's structure that is displaced, forgotten, or invented.

    Displaced is what is found beside its place (beyond 2 % of the width, within 5 %), forgotten what is not found near
    its place. Invented is structure that is shown and was not there: a flat picture forgets all and invents nothing,
    another place forgets and invents.

    Args:
        kind: Which.
    """

    def __init__(self, kind: Literal["displaced", "forgotten", "invented"]) -> None:
        self.kind = kind
        self.info = MetricInfo(
            name=f"background_{kind}",
            version=1,
            higher_is_better=False,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS}),
            source="hmbench: windows whose structure is found within 1 or 6 of 112 columns, correlation 0.4",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no target frame shows background with structure."""
        shown = structure_of(case)
        if shown is None:
            return Score.skipped(_UNSEEN)
        return Score(
            {"displaced": shown.displaced, "forgotten": shown.forgotten, "invented": shown.invented}[self.kind]
        )


def structure_of(case: Case) -> Structure | None:
    """Structure of the prediction's background, made once; None if the target shows none."""
    return case.memo("background structure", lambda: _structure(case))


def _structure(case: Case) -> Structure | None:
    # a picture that does not follow has no delay; what looks like one would excuse it from part of the clip
    lag = registration_of(case).lag if follows_camera(case).follows else 0
    seen = small_views(case.prediction, background_mask(case, predicted=True), FINE_WIDTH)
    return structure(seen, _fine_target(case), partners(predicted_likeness(case), lag))


def _fine_target(case: Case) -> Views:
    return case.memo(
        "background fine target",
        lambda: small_views(case.truth.target, background_mask(case, predicted=False), FINE_WIDTH),
    )


def _bounds(case: Case) -> Bounds:
    real = target_views(case)
    free = background_mask(case, predicted=False)
    seen = as_seen(case.truth.target)
    pairs = likeness(small_views(seen, free), real)
    floor, following = LEAST_FLOOR, 1.0
    if not math.isnan(registration_of(case).following):
        truth = truth_evidence(case)
        floor = min(max(memoryless_following(case) / truth + MARGIN, LEAST_FLOOR), MOST_FLOOR)
        following = _following(pairs) / truth
    kept = structure(small_views(seen, free, FINE_WIDTH), _fine_target(case), partners(pairs, 0))
    assert kept is not None, "the target shows background, its own copy does"
    return Bounds(floor, following, kept.kept)


def as_seen(video: Video) -> Video:
    """The video as somebody who does not look twice sees it: at half of 224 columns, a pixel of these to the right."""
    height, width = video.shape[1:3]
    small = (FINE_WIDTH, max(round(FINE_WIDTH * height / width), 4))
    aside = np.array([[1, 0, width / (2 * FINE_WIDTH)], [0, 1, 0]], np.float32)
    out = np.empty_like(video)
    for t, frame in enumerate(video):
        coarse = cv2.resize(cv2.resize(frame, small, interpolation=cv2.INTER_AREA), (width, height))
        out[t] = cv2.warpAffine(coarse, aside, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return out


def _following(pairs: Likeness) -> float:
    found = pairs.best()[0].max(axis=1).astype(np.float64)
    return float(evidence_of(pairs.near(np.zeros(2, np.int64)), found, 0).mean())


def _between(value: float, floor: float, ceiling: float) -> float:
    return min(max((value - floor) / max(ceiling - floor, 0.02), 0.0), 1.0)


KNOWN_OF_A_CLIP = (
    "background target views",
    "background fine target",
    "background truth's evidence",
    "background bounds",
)
"""Keys of `Case.memo` that depend on the sample alone: who scores several predictions of a clip may hand them on."""
