"""All metrics, in the order of tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hmbench.errors import UserError
from hmbench.metrics.background.camera import CameraError, CameraFollowing, Lag, Zoom
from hmbench.metrics.background.fidelity import BackgroundFidelity, BackgroundShare
from hmbench.metrics.consistency import BackgroundConsistency, SubjectConsistency
from hmbench.metrics.dsc import DynamicSubjectConsistency
from hmbench.metrics.dsc_reference import DscReference
from hmbench.metrics.fidelity import Psnr, Region, Ssim
from hmbench.metrics.perceptual import Lpips
from hmbench.metrics.plugins import Setting, installed_metrics, named_metrics
from hmbench.metrics.reentry.metrics import ReentryMetric
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.summary import MemoryScore
from hmbench.metrics.tracking import TrackingMetric
from hmbench.networks.backbones import Backbones, find_backbones
from hmbench.protocols import Metric

REGIONS: tuple[Region, ...] = ("frame", "subject", "background")


def default_metrics(
    *, profile: str, weights: Path | None, device: str, quality: bool = False, vbench: bool = False
) -> tuple[Metric, ...]:
    """Every metric of a profile. One whose weights are missing is there, too: it gives a skip that names the command.

    Args:
        profile: ``mini`` or ``paper``.
        weights: Folder filled by `hmbench weights pull`; None if there is none.
        device: Torch device.
        quality: Add pyiqa's no-reference scores.
        vbench: Add VBench's dimensions of motion.

    Raises:
        UserError: For an unknown profile or a weights folder that does not exist.
    """
    found = find_backbones(profile=profile, weights=weights, device=device)
    setting = Setting(profile=profile, weights=weights, device=device, backbones=found)
    metrics = [metric for family in FAMILIES for metric in family(found)] + list(installed_metrics(setting))
    if quality:
        from hmbench.metrics.quality import NETWORKS, NoReferenceQuality

        metrics += [NoReferenceQuality(name, weights=weights, device=device) for name in NETWORKS]
    if vbench:
        from hmbench.metrics.vbench import vbench_metrics

        metrics += vbench_metrics(weights, device)
    names = [metric.info.name for metric in metrics]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"Two metrics are called {twice[0]!r}.", "Uninstall the package that offers the second one.")
    return tuple(metrics)


def own_metrics(
    names: Sequence[str], *, profile: str, weights: Path | None, device: str
) -> dict[str, tuple[Metric, ...]]:
    """Metrics of ``module:NAME``, by what was asked for.

    Args:
        names: What was asked for.
        profile: ``mini`` or ``paper``.
        weights: Folder filled by `hmbench weights pull`; None if there is none.
        device: Torch device.

    Raises:
        UserError: If one cannot be imported or is no metric.
    """
    found = find_backbones(profile=profile, weights=weights, device=device)
    return named_metrics(names, Setting(profile=profile, weights=weights, device=device, backbones=found))


def _summary(found: Backbones) -> list[Metric]:
    return [MemoryScore(found.crops[""]), BackgroundFidelity()]


def _camera(_: Backbones) -> list[Metric]:
    shares: tuple[Literal["displaced", "forgotten", "invented"], ...] = ("displaced", "forgotten", "invented")
    return [*map(BackgroundShare, shares), CameraFollowing(), CameraError(), CameraError(share=True), Lag(), Zoom()]


def _fidelity(found: Backbones) -> list[Metric]:
    return [
        *(Psnr(region) for region in REGIONS),
        *(Ssim(region) for region in REGIONS),
        *(Lpips(found.lpips, region) for region in REGIONS),
    ]


def _consistency(found: Backbones) -> list[Metric]:
    return [
        SubjectConsistency(found.subject_frames),
        BackgroundConsistency(found.background_frames, again=found.background_frames is found.subject_frames),
        BackgroundConsistency(found.background_frames, masked=True),
    ]


def _subjects(found: Backbones) -> list[Metric]:
    dsc = [
        DynamicSubjectConsistency(encoder, kind, suffix)
        for suffix, encoder in found.crops.items()
        for kind in ("gt", "ctx", "reentry", "calibrated", "coverage")
    ]
    return [
        DscReference(found.released_maps, "context"),
        DscReference(found.released_maps, "target"),
        *dsc,
        *(ReentryMetric(reading, found.crops[""]) for reading in READINGS),
        *(TrackingMetric(name) for name in ("hota", "deta", "assa", "idf1")),
    ]


FAMILIES = (_summary, _camera, _fidelity, _consistency, _subjects)
"""In the order of tables. A metric of hmbench's own stands in a family; others come by entry points."""
