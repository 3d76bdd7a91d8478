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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hmbench.case import Case
from hmbench.durable import replacing
from hmbench.errors import SampleError, StorageError, UserError
from hmbench.files import read_sealed, write_sealed
from hmbench.metrics.needs import EVENTS, SEPARATE, unmet_need
from hmbench.metrics.plugins import as_score
from hmbench.metrics.reentry.metrics import event_rows, judged
from hmbench.protocols import Batches, Metric, SubjectTracker, TruthModel, WorldModel
from hmbench.results.metric_record import MetricRecord
from hmbench.results.prediction_record import check_unchanged, write_record
from hmbench.results.predictions import read_prediction
from hmbench.results.reading import EXACT, Reading
from hmbench.results.records import Row
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow
from hmbench.results.sample_scores import Failure, SampleScores, stored_scores
from hmbench.run.adding import in_order, right_rows
from hmbench.run.outputs import frames_of
from hmbench.subjects import tracks_from_json, tracks_to_json
from hmbench.subjects.reference_tracks import reference_tracks
from hmbench.types import Sample, ToldApart, Track, Video
from hmbench.video.files import write_lossless
from hmbench.video.sources import source_digest

T = TypeVar("T")


class RowTags(NamedTuple):
    """What every row of a run carries."""

    model: str
    trained: bool | None
    profile: str
    data_revision: str


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
    """Digest of the run's metrics and of what decides their numbers; scores with another one are looked at again."""
    records: Mapping[str, MetricRecord] = field(default_factory=dict)
    """Metric to its record in the run's manifest, those of earlier commands included (`hmbench.run.adding`)."""
    tracks: str | None = None
    """Digest of what decides tracks and events; None if this command makes none and leaves those that are there."""
    reading: Reading = EXACT
    """What to do with predictions of another rate, length or shape."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Weight file to digest: part of what tells known tracks of real clips from others."""


def sample_seed(seed: int, sample_id: str) -> int:
    """The seed of one sample: it depends on the run's seed and the sample's id, not on order or process."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()[:4], "big") >> 1


def generate_sample(
    model: WorldModel | TruthModel, sample: Sample, run: RunFolder, seed: int, identity: str = ""
) -> None:
    """Generates one prediction and stores it losslessly, with a record that carries the digest of its bytes.

    Args:
        model: The model.
        sample: The sample.
        run: Where it goes.
        seed: The run's.
        identity: `run_identity` of the run.

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
    _keep(_output(video, sample, model.info.name), sample, run, identity, number, started)


def generate_samples(model: Batches, samples: Sequence[Sample], run: RunFolder, seed: int, identity: str = "") -> None:
    """`generate_sample` for several samples at once; clips of other lengths are batches of their own.

    Args:
        model: The model.
        samples: The samples.
        run: Where predictions go.
        seed: The run's.
        identity: `run_identity` of the run.

    Raises:
        SampleError: If an output has the wrong type, length or size; what was written before is whole.
    """
    lengths: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        lengths.setdefault((sample.num_context_frames, sample.prompt.num_target_frames), []).append(sample)
    for alike in lengths.values():
        started = time.monotonic()
        numbers = [sample_seed(seed, sample.id) for sample in alike]
        videos = model.generate_batch([sample.prompt for sample in alike], seeds=numbers)
        share = (time.monotonic() - started) * (1 - 1 / len(alike))  # a record says what one clip took
        for sample, video, number in zip(alike, videos, numbers, strict=True):
            _keep(_output(video, sample, model.info.name), sample, run, identity, number, started + share)


def _keep(video: Video, sample: Sample, run: RunFolder, identity: str, number: int, started: float) -> None:
    """Writes a prediction and its record, which comes first: a kill never leaves a video that nobody recorded."""
    path = run.prediction(sample.id)
    with replacing(path) as temporary:
        write_lossless(temporary, video, fps=sample.prompt.fps)
        seconds = round(time.monotonic() - started, 3)
        write_record(path, identity, {"seed": number, "seconds": seconds}, written=temporary)


def score_sample(sample: Sample, prediction: Path, run: RunFolder, scorer: Scorer) -> SampleScores:
    """Tracks and scores one prediction; reuses tracks and scores that are complete.

    What breaks on this sample (the tracker, a metric, the events) costs its own rows alone: they carry the reason. Such
    a sample is scored again by the next run.

    Returns:
        What ``scores/<sample>.json`` now holds.

    Raises:
        SampleError: If the prediction cannot be read.
    """
    if prediction == run.prediction(sample.id):
        check_unchanged(prediction)
    digest = source_digest(prediction)
    stamp, old = f"{scorer.fingerprint}:{digest}", stored_scores(run.scores(sample.id))
    if old is not None and old.stamp == stamp:
        return old
    stamps = {name: str(record.stamp) for name, record in scorer.records.items()}
    right = right_rows(old, stamps, digest)
    events_by = f"{scorer.tracks}:{digest}"
    before = str(old.events_by if old else None)
    keep_events = before == events_by or (scorer.tracks is None and before.endswith(f":{digest}"))
    todo = [metric for metric in scorer.metrics if metric.info.name not in right]
    if old is not None and not todo and keep_events and not old.failures:
        kept = in_order(right.values(), scorer.records)
        scores = replace(old, stamp=stamp, rows=kept, by={name: old.by[name] for name in right})
        scores.write(run.scores(sample.id))
        return scores
    video, changes = read_prediction(prediction, sample, scorer.reading)
    tracked = attempt("tracker", lambda: _tracks(sample, video, run, scorer, events_by))
    if isinstance(tracked, Failure):
        case = Case(sample, video, no_tracks=f"it failed: {tracked.message}")
    else:
        case = Case(sample, video, *tracked, no_tracks=scorer.no_tracker)
    answers = [(m, attempt(m.info.name, functools.partial(_row, m, case, scorer.tags))) for m in todo]
    events = old.events if keep_events and old and not judged(case) else _events(case)
    failures = [part for part in (tracked, *(answer for _, answer in answers), events) if isinstance(part, Failure)]
    broken = {failure.part for failure in failures} | {m.info.name for m in todo if isinstance(tracked, Failure)}
    rows = [
        *right.values(),
        *(_read_as(_row_or_reason(metric, answer, sample, scorer.tags), changes) for metric, answer in answers),
    ]
    scores = SampleScores(
        stamp=None if failures else stamp,
        failures=tuple(failures),
        sample=describe_sample(sample, changes).line(),
        rows=in_order(rows, scorer.records),
        by={row.metric: f"{stamps.get(row.metric)}:{digest}" for row in rows if row.metric not in broken},
        events=() if isinstance(events, Failure) else events,
        events_by=before if keep_events else (None if failures else events_by),
    )
    scores.write(run.scores(sample.id))
    return scores


def _events(case: Case) -> tuple[dict[str, Any], ...] | Failure:
    return attempt("events", lambda: tuple(event_rows(case)) if case.sample.truth is not None else ())


def failed_sample(sample_id: str, stage: str, message: str, scorer: Scorer, run: RunFolder) -> None:
    """Records a sample that could not be evaluated: a row with the reason for each metric, so that it is counted."""
    reason = f"{stage} failed: {message}"
    versions = {metric.info.name: metric.info.version for metric in scorer.metrics}
    versions |= {name: record.version for name, record in scorer.records.items()}
    rows = [_skipped_row(name, number, sample_id, reason, scorer.tags) for name, number in versions.items()]
    failed = (Failure(stage, message, ""),)
    scores = SampleScores(failures=failed, sample=SampleRow(id=sample_id).line(), rows=in_order(rows, scorer.records))
    scores.write(run.scores(sample_id))


def describe_sample(sample: Sample, changes: dict[str, Any]) -> SampleRow:
    """What comparisons break results down by."""
    truth, meta = sample.truth, sample.meta
    told = truth.told_apart if truth else None
    apart = truth is not None and bool(truth.subjects) and (told is None or told.way != "none")
    return SampleRow(
        id=sample.id,
        scene=meta.scene,
        cell=meta.cell,
        camera_path=meta.camera_path,
        subject_path=meta.subject_path,
        num_subjects=len(truth.subjects) if truth and apart else None,
        categories=tuple(sorted({subject.category for subject in truth.subjects})) if truth else (),
        num_events=len(truth.events) if truth else None,
        max_hidden=max((event.hidden for event in truth.events), default=None) if truth else None,
        warnings=tuple(meta.warnings),
        reading=changes,
        **(_how_told_apart(told) if told else {}),
    )


def _how_told_apart(told: ToldApart) -> dict[str, Any]:
    """How subjects were told apart and how sure that is; nothing where exact labels say it."""
    if told.way == "labels":
        return {}
    return {
        "told_apart": told.way,
        "told_apart_detail": told.detail,
        "told_apart_reason": told.reason,
        "certainty": tuple(round(value, 4) for value in told.certainty),
        "unclear_frames": tuple(told.unclear),
        "left_out_events": tuple({"label": e.label, "exit": e.exit, "reentry": e.reentry} for e in told.left_out),
    }


def _output(given: Any, sample: Sample, name: str) -> Video:
    """What a model returned for a sample, as frames."""
    want = (sample.prompt.num_target_frames, *sample.prompt.size, 3)
    return frames_of(given, want, sample.num_context_frames, name)


def _tracks(
    sample: Sample, video: Video, run: RunFolder, scorer: Scorer, stamp: str
) -> tuple[tuple[Track, ...] | None, tuple[Track, ...] | None]:
    """Tracks of the prediction and of the real clip; None without a tracker, or without a truth for the latter."""
    tracker = scorer.tracker
    if tracker is None:
        return None, None
    stored = run.tracks(sample.id)
    if (known := _stored_tracks(stored, stamp)) is not None:
        return known
    found = tracker.track(video)
    real = reference_tracks(tracker, sample, scorer.weights)
    content = {
        "stamp": stamp,
        "tracker": tracker.name,
        "prediction": tracks_to_json(found),
        "reference": None if real is None else tracks_to_json(real),
    }
    write_sealed(stored, content)
    return found, real


def _stored_tracks(path: Path, stamp: str) -> tuple[tuple[Track, ...], tuple[Track, ...] | None] | None:
    """Tracks of an earlier command by the same tracker; None if there are none, or they were damaged or edited."""
    if not path.is_file():
        return None
    try:
        content = read_sealed(path)
        if content.get("stamp") != stamp:
            return None
        reference = content["reference"]
        return tracks_from_json(content["prediction"]), None if reference is None else tracks_from_json(reference)
    except (UserError, KeyError):
        return None


def _row(metric: Metric, case: Case, tags: RowTags) -> Row:
    if reason := unmet_need(metric.info, case):
        return _skipped_row(metric.info.name, metric.info.version, case.sample.id, reason, tags, _cluster(case.sample))
    score = as_score(metric.info.name, metric(case))
    value = None if score.reason is not None else float(score.value)
    named = (metric.info.name, metric.info.version)
    details = {**score.details, **_rests_on(metric, case.sample)}
    row = _made(named, case.sample.id, value, score.reason, tags, _cluster(case.sample), details)
    try:
        json.dumps(vars(row), allow_nan=False, default=_scalar)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its answer is not JSON ({error}): {value} with {score.details}") from error
    return row


def _rests_on(metric: Metric, sample: Sample) -> dict[str, Any]:
    """What a value of this metric rests on where subjects were told apart rather than known."""
    told = sample.truth.told_apart if sample.truth else None
    if told is None or told.way in ("labels", "single", "none") or not {SEPARATE, EVENTS} & metric.info.needs:
        return {}
    return {"told_apart": told.way, "certainty": round(min(told.certainty, default=1.0), 4)}


def _row_or_reason(metric: Metric, answer: Row | Failure, sample: Sample, tags: RowTags) -> Row:
    if isinstance(answer, Failure):
        reason = f"score failed: {answer.message}"
        return _skipped_row(metric.info.name, metric.info.version, sample.id, reason, tags, _cluster(sample))
    return answer


def _read_as(row: Row, changes: Mapping[str, Any]) -> Row:
    """A row that says how its prediction was made to fit, where it was."""
    done = {key: value for key, value in changes.items() if key != "notes"}
    return replace(row, details={**row.details, "prediction": done}) if done else row


def _scalar(value: Any) -> Any:
    """NumPy scalars and paths as `write_json` stores them."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _skipped_row(name: str, version: int, sample_id: str, reason: str, tags: RowTags, cluster: str = "") -> Row:
    return _made((name, version), sample_id, None, reason, tags, cluster or sample_id, {})


def _made(
    metric: tuple[str, int],
    sample_id: str,
    value: float | None,
    reason: str | None,
    tags: RowTags,
    cluster: str,
    details: dict[str, Any],
) -> Row:
    return Row(
        sample=sample_id,
        metric=metric[0],
        version=metric[1],
        value=value,
        reason=reason,
        cluster=cluster,
        details=details,
        **tags._asdict(),
    )


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
    except StorageError:
        raise  # nothing can be kept any more: the run ends here, and goes on later
    except UserError as error:
        return Failure(part, str(error), "")
    except Exception as error:  # noqa: BLE001
        return Failure(part, f"{type(error).__name__}: {error}", traceback.format_exc())
