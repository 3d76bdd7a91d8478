"""The three stages on one sample: generate, track, score. Each reads and writes files of a run folder, nothing else.

`hmbench.run.evaluate` runs them over all samples; a stranger's cluster may call them one by one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hmbench.case import Case
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json, write_json
from hmbench.metrics.needs import unmet_need
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.protocols import Metric, SubjectTracker, TruthModel, WorldModel
from hmbench.results.predictions import EXACT, Reading, read_prediction
from hmbench.results.records import Row
from hmbench.results.run_folder import RunFolder
from hmbench.subjects import tracks_from_json, tracks_to_json
from hmbench.subjects.reference_tracks import reference_tracks
from hmbench.types import Sample, Track, Video
from hmbench.video.files import write_lossless
from hmbench.video.sources import source_digest

T = TypeVar("T")


class RowTags(NamedTuple):
    """What every row of a run carries."""

    model: str
    trained: bool | None
    profile: str
    data_revision: str


class Failure(NamedTuple):
    """Something that went wrong on one sample."""

    part: str
    """A metric's name, ``tracker``, ``events``, or the stage if the sample failed as a whole."""
    message: str
    """What went wrong."""
    traceback: str
    """Where; empty for errors that explain themselves."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Everything that scoring a sample needs, made once for a run."""

    metrics: Sequence[Metric]
    """Metrics in table order."""
    tracker: SubjectTracker | None
    """Follows subjects in predictions; None if there is none."""
    no_tracker: str | None = None
    """Why there is none, with the remedy: rows that need tracks say it."""
    tags: RowTags
    """What rows carry."""
    fingerprint: str
    """Digest of metrics, versions, backbones, tracker and its settings; scores with another one are computed again."""
    reading: Reading = EXACT
    """What to do with predictions of another rate, length or shape."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Weight file to digest: part of what tells known tracks of real clips from others."""


def sample_seed(seed: int, sample_id: str) -> int:
    """The seed of one sample: it depends on the run's seed and the sample's id, not on order or process."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:4], "big") >> 1


def generate_sample(model: WorldModel | TruthModel, sample: Sample, run: RunFolder, seed: int) -> None:
    """Generates one prediction and stores it losslessly.

    Raises:
        SampleError: If the model needs a truth that is unknown, or its output has the wrong type, length or size.
    """
    started = time.monotonic()
    number = sample_seed(seed, sample.id)
    if isinstance(model, TruthModel):
        if sample.truth is None:
            raise SampleError(f"{model.info.name} needs the real future, which {sample.id} does not have.", "")
        video = model.generate_from_truth(sample.prompt, sample.truth, seed=number)
    else:
        video = model.generate(sample.prompt, seed=number)
    _check_output(video, sample, model.info.name)
    write_lossless(run.prediction(sample.id), video, fps=sample.prompt.fps)
    seconds = round(time.monotonic() - started, 3)
    write_json(run.prediction(sample.id).with_suffix(".json"), {"seed": number, "seconds": seconds})


def score_sample(sample: Sample, prediction: Path, run: RunFolder, scorer: Scorer) -> dict[str, Any]:
    """Tracks and scores one prediction; reuses tracks and scores that are complete.

    What breaks on this sample (the tracker, a metric, the events) costs its own rows alone: they carry the reason. Such
    a sample is scored again by the next run.

    Returns:
        The content of ``scores/<sample>.json``: rows, events, failures and what the sample is.

    Raises:
        SampleError: If the prediction cannot be read.
    """
    stamp = f"{scorer.fingerprint}:{source_digest(prediction)}"
    stored = run.scores(sample.id)
    if stored.is_file() and (content := read_json(stored)).get("stamp") == stamp:
        return dict(content)
    video, changes = read_prediction(prediction, sample, scorer.reading)
    tracked = attempt("tracker", lambda: _tracks(sample, video, run, scorer, stamp))
    if isinstance(tracked, Failure):
        case = Case(sample, video, no_tracks=f"it failed: {tracked.message}")
    else:
        case = Case(sample, video, *tracked, no_tracks=scorer.no_tracker)
    answers = [(m, attempt(m.info.name, functools.partial(_row, m, case, scorer.tags))) for m in scorer.metrics]
    events = attempt("events", lambda: event_rows(case) if sample.truth is not None else [])
    failures = [part for part in (tracked, *(answer for _, answer in answers), events) if isinstance(part, Failure)]
    content = {
        "stamp": None if failures else stamp,
        "failures": [failure._asdict() for failure in failures],
        "sample": describe_sample(sample, changes),
        "rows": [_read_as(_row_or_reason(metric, answer, sample, scorer.tags), changes) for metric, answer in answers],
        "events": [] if isinstance(events, Failure) else events,
    }
    write_json(stored, content)
    return content


def failed_sample(sample_id: str, stage: str, message: str, scorer: Scorer, run: RunFolder) -> dict[str, Any]:
    """Records a sample that could not be evaluated: a row with the reason for each metric, so that it is counted."""
    reason = f"{stage} failed: {message}"
    rows = [_skipped_row(metric, sample_id, reason, scorer.tags) for metric in scorer.metrics]
    failures = [Failure(stage, message, "")._asdict()]
    content = {"stamp": None, "failures": failures, "sample": {"id": sample_id}, "rows": rows, "events": []}
    write_json(run.scores(sample_id), content)
    return content


def failure_text(failures: Sequence[Mapping[str, str]]) -> str:
    """Failures of a sample as one line: parts that broke for one reason stand together."""
    by_reason: dict[str, list[str]] = {}
    for failure in failures:
        by_reason.setdefault(failure["message"], []).append(failure["part"])
    return "; ".join(f"{', '.join(parts)}: {message}" for message, parts in by_reason.items())


def describe_sample(sample: Sample, changes: dict[str, Any]) -> dict[str, Any]:
    """What comparisons break results down by."""
    truth, meta = sample.truth, sample.meta
    return {
        "id": sample.id,
        "scene": meta.scene,
        "cell": meta.cell,
        "camera_path": meta.camera_path,
        "subject_path": meta.subject_path,
        "num_subjects": len(truth.subjects) if truth and truth.subjects else None,
        "categories": sorted({subject.category for subject in truth.subjects}) if truth else [],
        "num_events": len(truth.events) if truth else None,
        "max_hidden": max((event.hidden for event in truth.events), default=None) if truth else None,
        "warnings": list(meta.warnings),
        **changes,
    }


def _check_output(video: Video, sample: Sample, name: str) -> None:
    want = (sample.prompt.num_target_frames, *sample.prompt.size, 3)
    if not isinstance(video, np.ndarray) or video.dtype != np.uint8 or video.shape != want:
        got = f"{video.dtype} {video.shape}" if isinstance(video, np.ndarray) else type(video).__name__
        raise SampleError(
            f"Model {name} returned {got} for {sample.id}, expected uint8 {want}.",
            "generate() must return uint8 frames [Tt, H, W, 3] at the prompt's size.",
        )


def _tracks(
    sample: Sample, video: Video, run: RunFolder, scorer: Scorer, stamp: str
) -> tuple[tuple[Track, ...] | None, tuple[Track, ...] | None]:
    """Tracks of the prediction and of the real clip; None without a tracker, or without a truth for the latter."""
    tracker = scorer.tracker
    if tracker is None:
        return None, None
    stored = run.tracks(sample.id)
    if stored.is_file() and (content := read_json(stored)).get("stamp") == stamp:
        reference = content["reference"]
        return tracks_from_json(content["prediction"]), None if reference is None else tracks_from_json(reference)
    found = tracker.track(video)
    real = reference_tracks(tracker, sample, scorer.weights)
    content = {
        "stamp": stamp,
        "tracker": tracker.name,
        "prediction": tracks_to_json(found),
        "reference": None if real is None else tracks_to_json(real),
    }
    write_json(stored, content)
    return found, real


def _row(metric: Metric, case: Case, tags: RowTags) -> dict[str, Any]:
    if reason := unmet_need(metric.info, case):
        return _skipped_row(metric, case.sample.id, reason, tags, _cluster(case.sample))
    score = metric(case)
    value = None if score.reason is not None else float(score.value)
    row = _as_dict(metric, case.sample.id, value, score.reason, tags, _cluster(case.sample), score.details)
    try:
        json.dumps(row, allow_nan=False, default=_scalar)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its answer is not JSON ({error}): {value} with {score.details}") from error
    return row


def _row_or_reason(metric: Metric, answer: dict[str, Any] | Failure, sample: Sample, tags: RowTags) -> dict[str, Any]:
    if isinstance(answer, Failure):
        return _skipped_row(metric, sample.id, f"score failed: {answer.message}", tags, _cluster(sample))
    return answer


def _read_as(row: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A row that says how its prediction was made to fit, where it was."""
    done = {key: value for key, value in changes.items() if key != "notes"}
    return {**row, "details": {**row["details"], "prediction": done}} if done else row


def _scalar(value: Any) -> Any:
    """NumPy scalars and paths as `write_json` stores them."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _skipped_row(metric: Metric, sample_id: str, reason: str, tags: RowTags, cluster: str = "") -> dict[str, Any]:
    return _as_dict(metric, sample_id, None, reason, tags, cluster or sample_id, {})


def _as_dict(
    metric: Metric,
    sample_id: str,
    value: float | None,
    reason: str | None,
    tags: RowTags,
    cluster: str,
    details: dict[str, Any],
) -> dict[str, Any]:
    row = Row(
        sample=sample_id,
        metric=metric.info.name,
        version=metric.info.version,
        value=value,
        reason=reason,
        cluster=cluster,
        details=details,
        **tags._asdict(),
    )
    return dict(vars(row))


def _cluster(sample: Sample) -> str:
    """Clips of one scene share their looks, so intervals resample scenes; without one, a clip is its own cluster."""
    return sample.meta.scene or sample.id


def attempt(part: str, work: Callable[[], T]) -> T | Failure:
    """What `work` gives, or what it raised.

    This is the one place that catches everything: a model, a codec or a metric may raise whatever it likes on one
    clip, and a night's results must not be lost for it. The text is recorded and shown, and the run exits non-zero.

    Args:
        part: What is tried, for the record.
        work: Does it.
    """
    try:
        return work()
    except UserError as error:
        return Failure(part, str(error), "")
    except Exception as error:  # noqa: BLE001
        return Failure(part, f"{type(error).__name__}: {error}", traceback.format_exc())
