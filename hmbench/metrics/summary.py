"""One number to rank by: how well background and subjects were remembered, together.

`background_fidelity` and `reentry_success` are both calibrated per clip: 0 is the best that needs no memory, 1 the
truth. `memory_score` is their power mean of exponent 1/2: who remembers both has 1, who remembers one of them alone
has a quarter, who remembers neither has 0. A harmonic mean gave nothing to either memory alone, so that models which
know the place and lose the subjects stood beside tricks that know neither. Where a clip says nothing of the background
(following its camera needs no memory) the subjects alone count. How the choice was made: docs/metrics/summary.md.
"""

from __future__ import annotations

import numpy as np

from hmbench.case import Case
from hmbench.metrics.background.fidelity import BackgroundFidelity
from hmbench.metrics.needs import EVENTS, LABELS, SEPARATE, TRACKS, TRUTH
from hmbench.metrics.reentry.metrics import records_of
from hmbench.networks.backbones import Backbone, CropEncoder
from hmbench.protocols import MetricInfo
from hmbench.types import Score

EXPONENT = 0.5
"""Of the power mean: one memory alone is worth ``0.5 ** (1 / EXPONENT)``, a quarter."""
NOT_JUDGED = (
    "no event is judged: the tracker does not find even the real subject returned, or what needs no memory gets as much"
)
"""Why a clip has no score."""


class MemoryScore:
    """Power mean of `background_fidelity` and `reentry_success`.

    Args:
        encoder: What identity is judged by.
    """

    def __init__(self, encoder: Backbone[CropEncoder]) -> None:
        self.encoder = encoder
        self.background = BackgroundFidelity()
        self.info = MetricInfo(
            name="memory_score",
            version=10,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS, SEPARATE, EVENTS, TRACKS, encoder.name}),
            source="hmbench: power mean (exponent 1/2) of background_fidelity and reentry_success",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the encoder's weights, and where no event is judged."""
        if self.encoder.missing:
            return Score.skipped(self.encoder.missing)
        static = self.background(case)
        judged = [r.success for r in records_of(case, self.encoder.get()) if r.judged]
        if not judged:
            return Score.skipped(NOT_JUDGED)
        dynamic = float(np.mean(judged))
        if static.reason:
            return Score(dynamic, details={"static": None, "dynamic": dynamic, "static_skipped": static.reason})
        return Score(power_mean(static.value, dynamic), details={"static": static.value, "dynamic": dynamic})


def power_mean(a: float, b: float) -> float:
    """Of two numbers in [0, 1], with `EXPONENT`."""
    return float(((a**EXPONENT + b**EXPONENT) / 2) ** (1 / EXPONENT))
