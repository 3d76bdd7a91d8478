"""One number to rank by: the harmonic mean of how well the background and the subjects were remembered.

`background_fidelity` is calibrated per clip: 0 is what repeating the last context frame gets, 1 the real background.
`memory_score` is its harmonic mean with `reentry_success`: a model cannot buy one memory with the other. The parts
stand beside it. Both choices were made by the validity study (docs/metrics.md), not by taste.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmbench.case import Case
from hmbench.metrics.fidelity import SSIM_BORDER, region_masks, region_means, ssim_maps
from hmbench.metrics.needs import EVENTS, LABELS, SEPARATE, TRACKS, TRUTH
from hmbench.metrics.reentry.metrics import records_of
from hmbench.networks.backbones import Backbone, CropEncoder
from hmbench.protocols import MetricInfo
from hmbench.types import Score

SMALL_GAP = 0.02
"""Least distance of copy-last from perfection; where the camera hardly moves, repeating is right and says nothing."""


class BackgroundFidelity:
    """SSIM of background pixels between copy-last's (0) and perfect (1), clipped to [0, 1]."""

    def __init__(self) -> None:
        self.info = MetricInfo(
            name="background_fidelity",
            version=1,
            higher_is_better=True,
            bounds=(0.0, 1.0),
            needs=frozenset({TRUTH, LABELS}),
            source="hmbench: 1 - (1 - SSIM) / (1 - SSIM of the repeated last context frame)",
            headline=True,
        )

    def __call__(self, case: Case) -> Score:
        """The score; skipped where no target frame shows background."""
        value, floor = case.memo("background_fidelity", lambda: _ssim_and_floor(case))
        if np.isnan(value):
            return Score.skipped("no target frame shows the background")
        share = 1 - (1 - value) / max(1 - floor, SMALL_GAP)
        return Score(min(max(share, 0.0), 1.0), details={"ssim": value, "copy_last": floor, "unclipped": share})


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
            version=4,
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


def _ssim_and_floor(case: Case) -> tuple[float, float]:
    masks = region_masks(case, "background")
    assert masks is not None, "the background is a region"
    inner = slice(SSIM_BORDER, -SSIM_BORDER)
    masks = masks[:, inner, inner]
    maps = case.memo("ssim_maps", lambda: ssim_maps(case.prediction, case.truth.target))
    values, _ = region_means(maps, masks)
    floor = case.memo("copy_last", lambda: _copy_last(case, masks))
    return (float(values.mean()), floor) if len(values) else (float("nan"), floor)


def _copy_last(case: Case, masks: NDArray[np.bool_]) -> float:
    still = np.broadcast_to(case.sample.prompt.context[-1], case.truth.target.shape)
    values, _ = region_means(ssim_maps(still, case.truth.target), masks)
    return float(values.mean()) if len(values) else 0.0
