"""`background_fidelity`: how much of the real background a prediction remembers, between knowing nothing and the truth.

Two factors, their geometric mean. *Following*: does the picture change as the place does when the camera turns, between
the best of a family of predictions that need no memory (0) and the truth (1). *Structure*: is what stands in each
window what stood there, between a blank (0) and the truth (1). The truth counts as seen by a person: through half the
resolution and a pixel beside, so that what nobody sees costs nothing. Camera and timing are taken out before, within
bounds, and have numbers of their own (`hmbench.metrics.background.camera`).

A clip in which no memory is needed to follow (the camera stands, or goes back just as it came so that the context
backwards is the truth) says nothing of memory: it is skipped, with that reason, for everybody.
"""

from __future__ import annotations

import math
from typing import Literal

from hmbench.case import Case
from hmbench.metrics.background.bounds import BOUNDS, bounds_of
from hmbench.metrics.background.following import follows_camera
from hmbench.metrics.background.registration import (
    MASK,
    OTHER_VIEWS,
    TARGET_VIEWS,
    predicted_likeness,
    predicted_views,
    registration_of,
    target_views,
)
from hmbench.metrics.background.structure import Structure, partners, structure
from hmbench.metrics.clip_facts import DIGEST
from hmbench.metrics.needs import LABELS, TRUTH
from hmbench.protocols import MetricInfo
from hmbench.types import Score

UNSEEN = "no target frame shows the background"
STANDS = "the asked camera stands still, so that a still picture shows the background as well as memory does"


class BackgroundFidelity:
    """Geometric mean of following and structure, each between knowing nothing (0) and the truth (1)."""

    def __init__(self) -> None:
        self.info = MetricInfo(
            name="background_fidelity",
            version=4,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS}),
            source="hmbench: camera following above the best memoryless prediction, and structure in windows",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no target frame shows background, or where following it needs no memory."""
        found, view = registration_of(case), follows_camera(case)
        shown, bounds = structure_of(case), bounds_of(case)
        if shown is None or bounds.kept is None:
            return Score.skipped(UNSEEN)
        if view.follows is None:
            return Score.skipped(STANDS)
        if not bounds.tells:
            share = bounds.memoryless / bounds.truth
            return Score.skipped(f"what needs no memory ({bounds.member}) follows the camera as well here: {share:.2f}")
        following = _between(view.share, bounds.floor, bounds.seen / bounds.truth)
        kept = _between(shown.kept, 0.0, bounds.kept)
        details = {
            "following": following,
            "structure": kept,
            "camera_following": view.share,
            "kept": shown.kept,
            "lag": found.lag,
            "floor": bounds.floor,
            "floor_member": bounds.member,
            "bound_following": bounds.seen / bounds.truth,
            "bound_kept": bounds.kept,
        }
        return Score(math.sqrt(following * kept), details=details)


class BackgroundShare:
    """Share of the background's structure that is displaced, forgotten, or invented.

    Displaced is what is found beside its place (beyond 1 of 112 columns, within 6), forgotten what is not found near
    its place. Invented is structure that is shown and was not there: a flat picture forgets all and invents nothing,
    another place forgets and invents.

    Args:
        kind: Which.
    """

    def __init__(self, kind: Literal["displaced", "forgotten", "invented"]) -> None:
        self.kind = kind
        self.info = MetricInfo(
            name=f"background_{kind}",
            version=2,
            higher_is_better=False,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS}),
            source="hmbench: windows whose structure is found within 1 or 6 of 112 columns, correlation 0.4",
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no target frame shows background with structure."""
        shown = structure_of(case)
        if shown is None:
            return Score.skipped(UNSEEN)
        return Score(
            {"displaced": shown.displaced, "forgotten": shown.forgotten, "invented": shown.invented}[self.kind]
        )


def structure_of(case: Case) -> Structure | None:
    """Structure of the prediction's background, made once; None if the target shows none."""
    return case.memo("background structure", lambda: _structure(case))


def _structure(case: Case) -> Structure | None:
    # a picture that does not follow has no delay; what looks like one would excuse it from part of the clip
    lag = registration_of(case).lag if follows_camera(case).follows else 0
    return structure(predicted_views(case).fine, target_views(case).fine, partners(predicted_likeness(case), lag))


def _between(value: float, floor: float, ceiling: float) -> float:
    return min(max((value - floor) / max(ceiling - floor, 0.02), 0.0), 1.0)


KNOWN_OF_A_CLIP = (TARGET_VIEWS, MASK, OTHER_VIEWS, BOUNDS, DIGEST)
"""Keys of `Case.memo` that depend on the sample alone: who scores several predictions of a clip may hand them on."""
