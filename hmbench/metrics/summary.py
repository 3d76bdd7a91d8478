"""One number to rank by: the harmonic mean of how well the background and the subjects were remembered.

`background_fidelity` is calibrated per clip: 0 is what knows nothing of the camera, 1 the real background.
`memory_score` is its harmonic mean with `reentry_success`: a model cannot buy one memory with the other. The parts
stand beside it. Both choices were made by the validity study (docs/metrics.md), not by taste.
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


class MemoryScore:
    """Harmonic mean of `background_fidelity` and `reentry_success`; 0 if either is 0.

    Args:
        encoder: What identity is judged by.
    """

    def __init__(self, encoder: Backbone[CropEncoder]) -> None:
        self.encoder = encoder
        self.background = BackgroundFidelity()
        self.info = MetricInfo(
            name="memory_score",
            version=5,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS, SEPARATE, EVENTS, TRACKS, encoder.name}),
            source="hmbench: harmonic mean of background_fidelity and reentry_success",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped without the encoder's weights."""
        if self.encoder.missing:
            return Score.skipped(self.encoder.missing)
        static = self.background(case)
        if static.reason:
            return static
        records = records_of(case, self.encoder.get())
        dynamic = float(np.mean([r.success for r in records]))
        return Score(harmonic_mean(static.value, dynamic), details={"static": static.value, "dynamic": dynamic})


def harmonic_mean(a: float, b: float) -> float:
    """Of two numbers in [0, 1]; 0 if either is 0."""
    return 2 * a * b / (a + b) if a > 0 and b > 0 else 0.0
