"""Builds what scores a run: metrics and tracker of a profile, and the record of what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmbench.errors import UserError, did_you_mean
from hmbench.metrics.plugins import own_identity
from hmbench.networks.identity import weights_identity, weights_of
from hmbench.protocols import Metric, SubjectTracker
from hmbench.registry import METRICS
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import RunManifest
from hmbench.run.adding import add_up, said_of_dropped, stamp_of
from hmbench.run.request import EvalRequest, Reporter
from hmbench.run.stages import RowTags, Scorer

STRANGERS = (
    "The mini profile's detector knows the mini world's subjects only. On these data it finds pieces of bodies: read "
    "no number that rests on tracks (DSC, re-entry, HOTA, memory_score). Use --profile paper with `hmbench weights "
    "pull`."
)


def make_scorer(
    request: EvalRequest,
    manifest: RunManifest,
    metrics: Sequence[Metric] | None,
    tracker: SubjectTracker | None,
    reporter: Reporter,
) -> tuple[Scorer, RunManifest]:
    """Metrics and tracker of the request, and the manifest that records them beside what the run has already."""
    no_tracker = None if tracker else "none was given"
    notices: list[str] = []
    whole = metrics
    if metrics is None:
        whole, metrics = _known_metrics(request)
        if tracker is None and any("tracks" in metric.info.needs for metric in metrics):
            tracker, no_tracker = _default_tracker(request, manifest.samples, notices)
    for text in notices:
        reporter.notice(text)
    weights = weights_identity(request.weights)
    reading = {**request.reading.asked(), **({"match": request.match} if request.match else {})}
    asked_of = replace(
        manifest,
        profile=request.profile,
        tracker=tracker.name if tracker else None,
        tracker_settings=_settings(tracker),
        reading=reading,
        notices=tuple(notices),
    )
    tracks = _tracks_stamp(asked_of, no_tracker, weights if tracker else {}, request)
    places = {metric.info.name: place for place, metric in enumerate(whole or ())}
    asked = {
        metric.info.name: _record(metric, places[metric.info.name], asked_of, request, weights, tracks)
        for metric in metrics
    }
    follows = any(record.tracks is not None for record in asked.values())  # `--metric psnr` needs no detector
    if not follows:
        asked_of = replace(
            asked_of, tracker=manifest.tracker, tracker_settings=manifest.tracker_settings, notices=manifest.notices
        )
    added = add_up(manifest, asked_of, asked, tracks if follows else None)
    if said := said_of_dropped(added.dropped):
        reporter.notice(said)
    used = {name: digest for record in added.kept.values() for name, digest in (record.weights or {}).items()}
    manifest = replace(asked_of, metrics=added.metrics, metric_weights={**used, **weights})
    stamps = {name: record.stamp for name, record in added.metrics.items()}
    fingerprint = stamp_of(stamps, tracks if follows else None, manifest.metric_weights)
    tags = RowTags(manifest.about.name, manifest.about.trained, manifest.profile, manifest.data_revision)
    scorer = Scorer(
        metrics=metrics,
        tracker=tracker if follows else None,
        no_tracker=no_tracker,
        tags=tags,
        fingerprint=fingerprint,
        reading=request.reading,
        records=added.metrics,
        tracks=tracks if follows else None,
        weights=weights,
    )
    return scorer, manifest


def _tracks_stamp(
    manifest: RunManifest, no_tracker: str | None, weights: Mapping[str, str], request: EvalRequest
) -> str:
    """Digest of what decides tracks, and so events and the metrics that need them."""
    own = weights_of(["tracks"], weights)
    read = request.reading.asked()
    return stamp_of(manifest.tracker, manifest.tracker_settings, no_tracker, own, manifest.data_revision, read)


def _record(
    metric: Metric, place: int, manifest: RunManifest, request: EvalRequest, weights: Mapping[str, str], tracks: str
) -> MetricRecord:
    """What ``run.json`` says of a metric: what it is, the weights that it looks through, its stamp, its place."""
    own, follows = weights_of(metric.info.needs, weights), "tracks" in metric.info.needs
    record = MetricRecord.of(metric.info, weights=own, tracks=tracks if follows else None)
    decides = (request.profile, manifest.data_revision, request.reading.asked(), *own_identity(metric))
    return replace(record, stamp=stamp_of(record.content(), *decides), order=place)


def check_scoring(request: EvalRequest) -> None:
    """Refuses a request that could not be scored, before hours of generating and not after them.

    Raises:
        UserError: If there is no such metric, profile, tracker or weights folder.
    """
    from hmbench.subjects.create import check_tracker

    _default_metrics(request)
    check_tracker(request.tracker)


def _default_tracker(
    request: EvalRequest, samples: Sequence[str], notices: list[str]
) -> tuple[SubjectTracker | None, str | None]:
    """The profile's tracker, or why there is none; what readers must know of it goes to `notices`."""
    from hmbench.subjects.create import SHIPPED, create_tracker, tracker_missing

    if not request.tracking:
        return None, "--no-tracking was given"
    tracker = create_tracker(
        profile=request.profile,
        weights=request.weights,
        device=request.device,
        method=request.tracker,
        any_class=request.any_class,
    )
    if tracker is None:
        why = tracker_missing(profile=request.profile, weights=request.weights) or f"{request.tracker} gave no tracker"
        notices.append(f"Subjects are not tracked: {why}")
        return None, why
    if request.profile == "mini" and request.tracker in SHIPPED and not _mini_world(request.data, samples):
        notices.append(STRANGERS)
    return tracker, None


def _settings(tracker: SubjectTracker | None) -> dict[str, Any]:
    from hmbench.subjects.reference_tracks import Described

    return dict(tracker.settings()) if isinstance(tracker, Described) else {}


def _mini_world(data: str, samples: Sequence[str]) -> bool:
    """Whether the subjects are those that the shipped detector was trained on; the unit tests' discs pass, too."""
    if data in ("mini", "mini-easy", "disc"):
        return True
    folders = (Path(data), Path(data) / "HM-World")
    return any((f / i / "truth.json").is_file() for f in folders for i in samples[:1])


def _default_metrics(request: EvalRequest) -> tuple[Metric, ...]:
    return _known_metrics(request)[1]


def _known_metrics(request: EvalRequest) -> tuple[tuple[Metric, ...], tuple[Metric, ...]]:
    """All metrics in the order of tables, strangers' own last, and those of them that are asked for."""
    from hmbench.metrics.table import default_metrics, own_metrics

    where: dict[str, Any] = {"profile": request.profile, "weights": request.weights, "device": request.device}
    found = default_metrics(quality=request.quality, vbench=request.vbench, **where)
    own = own_metrics([name for name in request.metrics if ":" in name], **where)
    names = {metric.info.name for metric in found}
    wanted = {name for name in request.metrics if name not in own}
    if points := sorted((wanted - names) & METRICS.points().keys()):  # a package's own word for what it offers
        wanted -= set(points)
        wanted |= {metric.info.name for metrics in own_metrics(points, **where).values() for metric in metrics}
    for name in sorted(wanted - names):
        raise UserError(f"There is no metric {name!r}.", f"{did_you_mean(name, names)} Or give module:NAME.")
    added = [metric for metrics in own.values() for metric in metrics]
    if taken := sorted({metric.info.name for metric in added} & names):
        raise UserError(f"A metric is called {taken[0]!r} already.", "Give yours another name.")
    asked = (*(metric for metric in found if not request.metrics or metric.info.name in wanted), *added)
    return (*found, *added), asked
