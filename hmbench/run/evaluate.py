"""Evaluates a model, or anyone's videos: generate -> track -> score, each stage from files to files, each resumable.

    >>> from hmbench.run.evaluate import EvalRequest, evaluate          # doctest: +SKIP
    >>> result = evaluate(EvalRequest(model="hydra", data="mini", out=Path("runs/hydra")))

A sample's files are complete or absent. A killed run that is started again goes on where it was and ends with the same
rows and summary, bit for bit; so does a run whose samples were shared among processes with `shard`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hmbench.data.dataset import Dataset, open_dataset
from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json, write_json, write_text
from hmbench.protocols import Metric, Plans, Prepares, SubjectTracker
from hmbench.registry import AnyModel, create_model
from hmbench.results.records import Row, RunManifest, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.summary import MetricSummary, summarise
from hmbench.run.environment import environment
from hmbench.run.request import EvalRequest, Reporter, Silent
from hmbench.run.scorers import check_scoring, make_scorer
from hmbench.run.stages import each, failed_sample, failure_text, generate_sample, score_sample

__all__ = [
    "EvalRequest", "EvalResult", "Reporter", "Silent", "assemble", "evaluate", "generate", "score", "select_samples",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """What a run found."""

    manifest: RunManifest
    """What was run."""
    summary: dict[str, MetricSummary]
    """Metric name to mean and interval, in table order."""
    failures: dict[str, str]
    """Sample id to what went wrong."""
    missing: tuple[str, ...] = ()
    """Samples that other shards have yet to do."""


def evaluate(request: EvalRequest, reporter: Reporter | None = None) -> EvalResult:
    """All stages. Raises `UserError` for what the user can mend before anything is computed."""
    check_scoring(request)
    generate(request, reporter)
    return score(request, reporter)


def generate(request: EvalRequest, reporter: Reporter | None = None) -> RunManifest:
    """The first stage: a video for every sample that has none yet.

    Raises:
        UserError: If the model or data do not exist, or the folder holds another run.
    """
    reporter = reporter or Silent()
    if request.model is None:
        raise UserError("No model was named.", "Give --model, or score existing videos with `hmbench score`.")
    data = _open_data(request, reporter)
    ids = select_samples(data, request)
    model = create_model(request.model, profile=request.profile, device=request.device, options=request.options)
    run = RunFolder(request.out)
    manifest = _open_run(request, data, ids, asdict(model.info), run)
    if model.info.notice:
        reporter.notice(model.info.notice)
    todo = [i for i in _shard(ids, request) if not run.prediction(i).is_file()]
    if todo:
        _prepare(model, data, todo, reporter)
    mine = len(_shard(ids, request))
    reporter.stage("generate", mine, mine - len(todo))
    errors = run.path / "errors"

    def work(sample_id: str) -> None:
        generate_sample(model, data.load(sample_id), run, request.seed)
        (errors / f"{sample_id}.generate.json").unlink(missing_ok=True)
        reporter.advance(sample_id)

    each(todo, work, _recorder(errors, "generate", reporter))
    return manifest


def score(
    request: EvalRequest,
    reporter: Reporter | None = None,
    *,
    metrics: Sequence[Metric] | None = None,
    tracker: SubjectTracker | None = None,
) -> EvalResult:
    """The other stages: tracks and scores, then rows, summary and tables.

    Args:
        request: What to score; with `predictions` the videos in that folder, else those of the run in `out`.
        reporter: Hears how it goes.
        metrics: Instead of the profile's metrics.
        tracker: Instead of the profile's tracker.

    Raises:
        UserError: If the folder is no run, or the data are not the run's data.
    """
    reporter = reporter or Silent()
    if metrics is None:
        check_scoring(request)
    data = _open_data(request, reporter)
    run = RunFolder(request.out)
    if request.predictions is not None:
        ids = select_samples(data, request)
        manifest = _open_run(request, data, ids, _videos_info(request.predictions), run)
        source = request.predictions
    else:
        manifest, source = run.read_manifest(), run.predictions
        ids = manifest.samples
        if data.revision(ids) != manifest.data_revision:
            raise UserError(
                f"The data at {request.data!r} are not those that {run.path} was generated for.",
                f"Give the --data that was used: {manifest.data!r}, unchanged.",
            )
    scorer, manifest = make_scorer(request, manifest, metrics, tracker, reporter)
    run.write_manifest(manifest)
    mine = _shard(ids, request)
    reporter.stage("score", len(mine), 0)
    errors = run.path / "errors"
    record = _recorder(errors, "score", reporter)

    def work(sample_id: str) -> None:
        failure = errors / f"{sample_id}.generate.json"
        video = source / f"{sample_id}.mp4"
        if not video.is_file() and failure.is_file():
            failed_sample(sample_id, "generate", read_json(failure)["message"], scorer, run)
            reporter.advance(sample_id)
            return
        failures = score_sample(data.load(sample_id), video, run, scorer)["failures"]
        if failures:
            record(sample_id, failure_text(failures), "\n".join(f["traceback"] for f in failures).strip())
        else:
            (errors / f"{sample_id}.score.json").unlink(missing_ok=True)
            reporter.advance(sample_id)

    def on_error(sample_id: str, message: str, trace: str) -> None:
        failed_sample(sample_id, "score", message, scorer, run)
        record(sample_id, message, trace)

    each(mine, work, on_error)
    return assemble(run, manifest)


def assemble(run: RunFolder, manifest: RunManifest) -> EvalResult:
    """Writes rows, events, samples, summary and tables from what is scored so far."""
    contents = [read_json(run.scores(i)) for i in manifest.samples if run.scores(i).is_file()]
    contents = [content for content in contents if "failures" in content]  # older versions': another shard scores them
    scored = {content["sample"]["id"] for content in contents}
    missing = tuple(i for i in manifest.samples if i not in scored)
    rows = [Row(**row) for content in contents for row in content["rows"]]
    summary = {name: found for name, found in summarise(rows, seed=0).items() if name in manifest.metrics}
    failures = {c["sample"]["id"]: _failure_text(c["failures"]) for c in contents if c["failures"]}
    write_rows(run.path / "rows.jsonl", rows)
    _write_lines(run.path / "events.jsonl", [event for content in contents for event in content["events"]])
    _write_lines(run.path / "samples.jsonl", [_sample_line(content) for content in contents])
    result = EvalResult(manifest=manifest, summary=summary, failures=failures, missing=missing)
    record = {
        "metrics": {name: asdict(found) for name, found in summary.items()},
        "failures": failures,
        "samples": len(manifest.samples),
        "scored_samples": len(contents) - len(failures),
        "notice": manifest.model_info.get("notice"),
        "trained": manifest.model_info.get("trained"),
    }
    write_json(run.path / "summary.json", record)
    from hmbench.report.run_tables import write_run_tables

    write_run_tables(run.path, result.manifest, result.summary)
    return result


def select_samples(data: Dataset, request: EvalRequest) -> tuple[str, ...]:
    """Ids that a request asks for.

    Raises:
        UserError: If it names an unknown id, or nothing is left.
    """
    ids = data.ids(request.split)
    for wanted in request.samples:
        if wanted not in ids:
            raise UserError(
                f"{data.name} has no sample {wanted!r} in split {request.split!r}.", did_you_mean(wanted, ids)
            )
    ids = tuple(i for i in ids if not request.samples or i in request.samples)[: request.limit]
    if not ids:
        raise UserError(f"No samples in split {request.split!r} of {data.name}.", "Choose another --split or --limit.")
    return ids


def _prepare(model: AnyModel, data: Dataset, ids: Sequence[str], reporter: Reporter) -> None:
    """Before a long run: says what the machine must hold, and lets the model encode all captions at once."""
    if isinstance(model, Plans):
        for line in model.plan_lines():
            reporter.notice(line)
    if isinstance(model, Prepares):
        model.prepare(sorted({data.caption(i) or "" for i in ids}))


def _open_data(request: EvalRequest, reporter: Reporter) -> Dataset:
    """The data; where the mini world has to be rendered first, the reporter hears of it."""
    begun = False

    def on_clip(name: str, total: int) -> None:
        nonlocal begun
        if not begun:
            reporter.stage("render", total, 0)
        begun = True
        reporter.advance(name)

    return open_dataset(request.data, on_clip)


def _open_run(
    request: EvalRequest, data: Dataset, ids: tuple[str, ...], info: dict[str, Any], run: RunFolder
) -> RunManifest:
    """The folder's manifest: a new one, or the one that is there if it is the same run."""
    manifest = RunManifest(
        model=request.model or str(request.predictions),
        options=dict(request.options),
        model_info=info,
        data=request.data,
        data_name=data.name,
        data_revision=data.revision(ids),
        split=request.split,
        samples=ids,
        seed=request.seed,
        profile=request.profile,
        device=request.device,
        environment=environment(),
    )
    if (run.path / "run.json").is_file():
        there = run.read_manifest()
        ours, theirs = manifest.identity(), there.identity()
        differing = [key for key in ours if ours[key] != theirs[key]]
        if differing:
            raise UserError(
                f"{run.path} holds another run: its {' and '.join(differing)} differ.",
                "Choose another --out, or delete that folder.",
            )
        return there
    if run.path.is_dir() and any(run.path.iterdir()):
        raise UserError(f"{run.path} is not empty and holds no run.", "Choose a new --out folder.")
    run.write_manifest(manifest)
    return manifest


def _videos_info(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(
            f"There is no folder of predictions {folder}.", "Give the folder that holds <sample>.mp4 files."
        )
    return {"name": folder.name, "description": "videos from a folder", "trained": None, "notice": None}


def _shard(ids: Sequence[str], request: EvalRequest) -> list[str]:
    number, count = request.shard
    if not 0 <= number < count:
        raise UserError(f"There is no shard {number} of {count}.", "Shards count from 0: 0/4, 1/4, 2/4, 3/4.")
    return list(ids[number::count])


def _recorder(errors: Path, stage: str, reporter: Reporter) -> Callable[[str, str, str], None]:
    """Writes a failure beside the results and tells the reporter."""

    def record(sample_id: str, message: str, trace: str) -> None:
        write_json(errors / f"{sample_id}.{stage}.json", {"stage": stage, "message": message, "traceback": trace})
        reporter.failed(sample_id, stage, message)
        reporter.advance(sample_id)

    return record


def _failure_text(failures: Sequence[Mapping[str, str]]) -> str:
    """What `EvalResult.failures` says: the stage first."""
    text = failure_text(failures)
    return text if failures[0]["part"] in ("generate", "score") else f"score: {text}"


def _sample_line(content: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's line: what it is, and what failed on it."""
    failed = {failure["part"]: failure["message"] for failure in content["failures"]}
    return {**content["sample"], **({"failed": failed} if failed else {})}


def _write_lines(path: Path, entries: Sequence[Any]) -> None:
    write_text(path, "".join(json.dumps(entry, sort_keys=True, allow_nan=False) + "\n" for entry in entries))
