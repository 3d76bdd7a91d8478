"""Do the metrics measure what they claim? Every metric on clips with exactly one known thing wrong.

    study = run_study(StudyConfig(clips=8), on_case=print)
    summary = summarise_study(study)

For each metric and fault: the AUC, that is the probability that a clean clip scores better than a faulty one (all pairs
of clips, ties count half), the same within pairs of one clip, and whether the value falls as the fault grows. For each
nuisance: the AUC again, where 0.5 is what a metric should give. A metric that cannot see a fault says so here.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

import hmbench.metrics as metrics_room
from hmbench.case import Case
from hmbench.data.mini_world import PROBE_KINDS, Probe
from hmbench.data.mini_world.motion import CONTEXT
from hmbench.data.mini_world.splits import SplitName
from hmbench.files import read_json, write_json
from hmbench.metrics.background.fidelity import KNOWN_OF_A_CLIP
from hmbench.metrics.needs import unmet_need
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.metrics.table import default_metrics
from hmbench.networks.identity import weights_identity
from hmbench.protocols import Metric, SubjectTracker
from hmbench.study.body_faults import BODY_FAULTS
from hmbench.study.nuisances import NUISANCES
from hmbench.study.probe_clips import (
    FORGOTTEN,
    CleanClip,
    ProbeSource,
    Shown,
    clean_clips,
    clean_sample,
    shown_variants,
)
from hmbench.subjects.boxes import present
from hmbench.subjects.reference_tracks import kept_tracks, reference_tracks
from hmbench.types import Sample, Score, Track
from hmbench.video.events import VISIBLE_SHARE
from hmbench.workers.spread import spread

EXPECTED = {
    "clean": "returned",
    "frozen": "frozen",
    "vanished": "vanished",
    "swapped": "changed identity",
    "distorted": "distorted",
    "delayed": "late",
    "displaced": "displaced",
    "duplicated": "duplicated",
    "wrongway": "wrong way",
    FORGOTTEN: "wrong view",
    "mirrored": "wrong facing",
    "moonwalk": "out of step",
    "sliding": "sliding",
    "blob": "faceless",
    "enlarged": "wrong size",
    "ever-present": "ever-present",
    "exchanged": "changed identity",
}
"""Variant to the verdict that is right for it."""
SIZE_BINS = (0.0012, 0.005, 0.01, 0.03, 1.0)
"""Visible share of the frame: edges of the bins of the tracker's recall."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is studied."""

    clips: int = 8
    """Clean clips."""
    split: SplitName = "test"
    """Split of the mini world; thresholds were set on ``train``."""
    seed: int = 0
    """Seed of the split."""
    size: tuple[int, int] = (224, 128)
    """(width, height) of the clips."""
    strengths: tuple[float, ...] = (0.5, 1.0)
    """Strengths of every fault and nuisance; the last one is the full one."""
    profile: str = "mini"
    """Whose backbones."""
    weights: Path | None = None
    """Weights folder."""
    device: str = "cpu"
    """Torch device."""
    cache: Path | None = None
    """Folder that keeps rendered clips."""
    workers: int = 1
    """Processes that clips are shared out over."""
    parts: Path | None = None
    """Folder that keeps each clip's results, and the tracks of every variant: a study that was stopped goes on there,
    and one of other metrics need not track again."""
    oracle: bool = False
    """Tracks from masks instead of the real tracker, to separate its errors from the metrics'."""


class Measured(NamedTuple):
    """One metric on one variant of one clip."""

    sample: str
    kind: str
    strength: float
    metric: str
    value: float | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Study:
    """All raw results."""

    config: StudyConfig
    """What was studied."""
    tracker: str
    """Name of the tracker."""
    directions: dict[str, bool | None]
    """Metric to whether higher is better."""
    versions: dict[str, int] = field(default_factory=dict)
    """Metric to the version of its numbers."""
    values: list[Measured] = field(default_factory=list)
    """Every metric on every variant."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Event rows, with `kind`, `strength`, `probed` (the event is the faulty subject's), `shown` (frames of the window
    in which the variant really shows the subject) and `shown_hidden` (the same of its absence, as a share); these two
    are None for nuisances."""
    recalls: list[tuple[float, bool]] = field(default_factory=list)
    """Of clean clips: visible share of a subject in a frame, and whether a track has it (IoU >= 0.5)."""
    _index: dict[int, dict[tuple[str, str, float], dict[str, float]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """The number of values to them by metric and variant: tables ask thousands of times."""

    def of(self, metric: str, kind: str, strength: float) -> dict[str, float]:
        """Sample to a metric's value on a variant; what was skipped is left out."""
        count = len(self.values)
        if count not in self._index:
            self._index.clear()
            index = self._index[count] = {}
            for v in self.values:
                if v.value is not None:
                    index.setdefault((v.metric, v.kind, v.strength), {})[v.sample] = v.value
        return self._index[count].get((metric, kind, strength), {})


def run_study(config: StudyConfig, on_case: Callable[[str], None] | None = None) -> Study:
    """Renders, tracks and scores all variants.

    Args:
        config: What.
        on_case: Called with the name of each clip that is done.

    Raises:
        UserError: For an unknown profile or a weights folder that does not exist.
    """
    metrics = default_metrics(profile=config.profile, weights=config.weights, device=config.device)
    trackers = _Trackers(config)
    study = Study(
        config=config,
        tracker=trackers.name,
        directions={m.info.name: m.info.higher_is_better for m in metrics},
        versions={m.info.name: m.info.version for m in metrics},
    )
    clips = [[clip] for clip in clean_clips(_source(config), config.clips)]
    work = functools.partial(study_clip, config)
    found = spread(work, clips, config.workers) if config.workers > 1 else (work(clip) for [clip] in clips)
    parts = []
    for part in found:
        parts.append(part)
        if on_case:
            on_case(part.name)
    for part in sorted(parts, key=lambda p: p.name):
        study.values.extend(part.values)
        study.events.extend(part.events)
        study.recalls.extend(part.recalls)
    return study


class ClipPart(NamedTuple):
    """What a study found of one clip."""

    name: str
    values: list[Measured]
    events: list[dict[str, Any]]
    recalls: list[tuple[float, bool]]


def study_clip(config: StudyConfig, clip: CleanClip) -> ClipPart:
    """All variants of one clip, from the kept parts where they are."""
    metrics = default_metrics(profile=config.profile, weights=config.weights, device=config.device)
    kept = None if config.parts is None else config.parts / f"{clip.name}-{_part_key(config, clip, metrics)}.json"
    if kept is not None and kept.is_file():
        known = read_json(kept)
        values = [Measured(*row) for row in known["values"]]
        return ClipPart(clip.name, values, known["events"], [(share, hit) for share, hit in known["recalls"]])
    trackers, source = _Trackers(config), _source(config)
    sample = clean_sample(source, clip)
    probes = tuple(Probe(kind, strength) for kind in PROBE_KINDS for strength in config.strengths)
    reference, part = trackers.reference(sample), ClipPart(clip.name, [], [], [])
    first: Case | None = None
    for shown in shown_variants(source, clip.spec, sample, probes, config.strengths):
        if config.oracle and shown.labels is None:
            continue
        case = Case(sample, shown.video, trackers.track(shown), reference)
        first = _with_truth_of(first, case, trackers.encoder.name)
        _score(part, metrics, case, shown)
    if kept is not None:
        write_json(kept, part._asdict())
    return part


def _source(config: StudyConfig) -> ProbeSource:
    return ProbeSource(split=config.split, seed=config.seed, size=config.size, cache=config.cache)


def _part_key(config: StudyConfig, clip: CleanClip, metrics: Sequence[Metric]) -> str:
    """Digest of all that decides a clip's part: what is studied, the metrics' versions and code, the study's code."""
    decides = [clip.spec.to_json(), config.size, config.strengths, config.profile, config.oracle]
    decides += [[m.info.name, m.info.version] for m in metrics]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
    for folder in (Path(__file__).parent, Path(metrics_room.__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class _Trackers:
    """The real tracker, or one that reads each variant's own masks."""

    def __init__(self, config: StudyConfig) -> None:
        from hmbench.errors import UserError
        from hmbench.networks.backbones import find_backbones
        from hmbench.subjects import create_tracker, tracker_missing

        self.real: SubjectTracker | None = None
        self.name = "oracle"
        self.kept = None if config.parts is None else config.parts / "tracks"
        self.weights = weights_identity(config.weights)
        self.encoder = find_backbones(profile=config.profile, weights=config.weights, device=config.device).crops[""]
        if not config.oracle:
            self.real = create_tracker(profile=config.profile, weights=config.weights, device=config.device)
            if self.real is None:
                missing = tracker_missing(profile=config.profile, weights=config.weights)
                raise UserError(f"There is no tracker: {missing}", "Or study the metrics alone: --oracle")
            self.name = self.real.name

    def track(self, shown: Shown) -> tuple[Track, ...]:
        if self.real is not None:
            if self.kept is None:
                return self.real.track(shown.video)
            return kept_tracks(self.real, shown.video, self.weights, self.kept)
        from hmbench.subjects.oracle import OracleTracker

        assert shown.labels is not None, "nuisances have no masks"
        return OracleTracker(shown.labels, encoder=self.encoder.get()).track(shown.video)

    def reference(self, sample: Sample) -> tuple[Track, ...] | None:
        return None if self.real is None else reference_tracks(self.real, sample, self.weights)


def _with_truth_of(first: Case | None, case: Case, encoder: str) -> Case:
    """Hands a clip's first case's features of the truth to its later cases; returns the first case."""
    if first is None:
        return case
    first.hand_on(case, (("parts", encoder), ("dsc_ref", "context"), ("dsc_ref", "target"), *KNOWN_OF_A_CLIP))
    return first


def _score(study: ClipPart, metrics: Iterable[Metric], case: Case, shown: Shown) -> None:
    kind, strength = shown.variant
    for metric in metrics:
        reason = unmet_need(metric.info, case)
        score = Score.skipped(reason) if reason else metric(case)
        value = None if score.reason else score.value
        study.values.append(Measured(case.sample.id, kind, strength, metric.info.name, value, score.reason))
    for row in event_rows(case):
        known = {
            "kind": kind,
            "strength": strength,
            "probed": row["label"] == 1,
            "shown": _frames_shown(shown, row),
            "shown_hidden": _shown_while_hidden(case, shown, row),
        }
        study.events.append({**row, **known})
    if kind == "clean":
        study.recalls.extend(detections(case))


def _frames_shown(shown: Shown, row: dict[str, Any]) -> int | None:
    """Frames of an event's window in which a variant really shows the subject; None for nuisances, or no window."""
    if shown.labels is None or "window" not in row:
        return None
    begin, end = (frame - CONTEXT for frame in row["window"])
    areas = (shown.labels[begin:end] == row["label"]).sum(axis=(1, 2))
    return int((areas >= VISIBLE_SHARE * shown.labels[0].size).sum())


def _shown_while_hidden(case: Case, shown: Shown, row: dict[str, Any]) -> float | None:
    """Share of the target frames of an absence in which a variant shows the subject; None for nuisances, or no frame.

    Who turns back on the way out is in view while it should be away.
    """
    labels, before = case.truth.target_labels, case.sample.num_context_frames
    if shown.labels is None or labels is None:
        return None
    away = slice(max(row["exit"] - before, 0), row["reentry"] - before)
    hidden = ~(labels[away] == row["label"]).any(axis=(1, 2))
    areas = (shown.labels[away] == row["label"]).sum(axis=(1, 2))[hidden]
    return float((areas >= VISIBLE_SHARE * labels[0].size).mean()) if len(areas) else None


def detections(case: Case) -> list[tuple[float, bool]]:
    """Of every subject in every target frame: its visible share of the frame, and whether a track has it."""
    from hmbench.subjects.boxes import framewise_iou

    num_context = case.sample.num_context_frames
    pixels = case.prediction[0, :, :, 0].size
    out = []
    for subject in case.truth.subjects:
        boxes, area = subject.boxes[num_context:], subject.visible_area[num_context:]
        best = np.zeros(len(boxes))
        for track in case.tracks or ():
            best = np.fmax(best, framewise_iou(track.boxes, boxes))
        shown = present(boxes) & (area >= SIZE_BINS[0] * pixels)
        out += [(float(a) / pixels, bool(b >= 0.5)) for a, b in zip(area[shown], best[shown], strict=True)]
    return out


def auc(better: Sequence[float], worse: Sequence[float]) -> float:
    """Probability that one of `better` is larger than one of `worse`; ties count half; NaN without values."""
    if not len(better) or not len(worse):
        return math.nan
    a, b = np.asarray(better, float)[:, None], np.asarray(worse, float)[None]
    return float((a > b).mean() + 0.5 * (a == b).mean())


def auc_interval(value: float, better: int, worse: int) -> tuple[float, float]:
    """95 % interval of an AUC, never of no width; NaN without values.

    Newcombe 2006 (Statistics in Medicine 25, 559-573), method 5: the ends at which the AUC lies 1.96 standard errors
    away, the error taken at the end itself, as Wilson's interval does for a share. The two samples count as
    independent; here they are the same clips, so that the interval is rather too wide.

    Args:
        value: The AUC.
        better: Number of clean clips.
        worse: Number of faulty clips.
    """
    if math.isnan(value) or not better or not worse:
        return math.nan, math.nan
    extra, z = (better + worse) / 2 - 1, float(norm.ppf(0.975))

    def beyond(end: float) -> float:
        spread = end * (1 - end) * (1 + extra * (1 - end) / (2 - end) + extra * end / (1 + end)) / (better * worse)
        return (value - end) ** 2 - z**2 * spread

    inside = 1e-9  # the ends 0 and 1 themselves solve the equation of a value that lies there
    low = brentq(beyond, 0.0, min(value, 1 - inside)) if value > 0 else 0.0
    high = brentq(beyond, max(value, inside), 1.0) if value < 1 else 1.0
    return float(low), float(high)


def monotonicity(curves: Sequence[Sequence[float]]) -> float:
    """Share of steps of growing strength at which the value does not rise; NaN without steps."""
    steps = [later <= earlier for curve in curves for earlier, later in itertools.pairwise(curve)]
    return float(np.mean(steps)) if steps else math.nan


def signed_values(study: Study, metric: str, kind: str, strength: float) -> dict[str, float]:
    """Sample to value, turned so that higher is better; what was skipped is left out.

    Numbers without a direction (an offset, a speed ratio) are turned into closeness to the clean clip's.
    """
    found = study.of(metric, kind, strength)
    direction = study.directions[metric]
    if direction is not None:
        return {sample: value if direction else -value for sample, value in found.items()}
    clean = study.of(metric, "clean", 0.0)
    return {sample: -abs(value - clean[sample]) for sample, value in found.items() if sample in clean}


def kinds_of(study: Study) -> tuple[list[str], list[str]]:
    """Faults and nuisances that the study has."""
    seen = {v.kind for v in study.values}
    return [k for k in (*PROBE_KINDS, FORGOTTEN, *BODY_FAULTS) if k in seen], [k for k in NUISANCES if k in seen]
