"""Evaluates a model, or anyone's videos: generate -> track -> score, each stage from files to files, each resumable.

    >>> from hmbench.run.evaluate import EvalRequest, evaluate          # doctest: +SKIP
    >>> result = evaluate(EvalRequest(model="hydra", data="mini", out=Path("runs/hydra")))

A sample's files are complete or absent. A killed run that is started again goes on where it was and ends with the same
rows and summary, bit for bit; so does a run whose samples were shared among processes with `shard`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hmbench.data.dataset import Dataset, Wanted, chosen_ids, open_dataset
from hmbench.durable import sweep
from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.protocols import Metric, Plans, Prepares, SubjectTracker
from hmbench.registry import AnyModel
from hmbench.results.records import FORMATS, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_scores import Failure
from hmbench.run.assemble import EvalResult, assemble
from hmbench.run.bench import Bench, videos_info
from hmbench.run.empty_prompts import empty_prompts
from hmbench.run.environment import environment
from hmbench.run.predictions_check import check_predictions, tell_problems
from hmbench.run.request import EvalRequest, Reporter, Silent, clips_told
from hmbench.run.scorers import check_scoring
from hmbench.run.sharing import Session, writing

__all__ = [
    "EvalRequest", "EvalResult", "Reporter", "Silent", "assemble", "evaluate", "generate", "open_data", "open_run",
    "score", "select_samples", "share",
]  # fmt: skip


def evaluate(
    request: EvalRequest,
    reporter: Reporter | None = None,
    *,
    metrics: Sequence[Metric] | None = None,
    tracker: SubjectTracker | None = None,
    model: AnyModel | None = None,
    data: Dataset | None = None,
) -> EvalResult:
    """All stages.

    Args:
        request: What to evaluate.
        reporter: Hears how it goes.
        metrics: Instead of the profile's metrics.
        tracker: Instead of the profile's tracker.
        model: Instead of the model that the request names.
        data: Instead of the data that the request names.

    Raises:
        UserError: For what the user can mend, before anything is computed.
    """
    if metrics is None:
        check_scoring(request)
    with _session(request) as session:
        _generate(request, reporter or Silent(), session, model, data)
        return _score(request, reporter or Silent(), session, metrics, tracker, data)


def generate(request: EvalRequest, reporter: Reporter | None = None) -> RunManifest:
    """The first stage: a video for every sample that has none yet.

    Raises:
        UserError: If the model or data do not exist, or the folder holds another run or is being worked on.
    """
    with _session(request) as session:
        return _generate(request, reporter or Silent(), session)


def score(
    request: EvalRequest,
    reporter: Reporter | None = None,
    *,
    metrics: Sequence[Metric] | None = None,
    tracker: SubjectTracker | None = None,
    data: Dataset | None = None,
) -> EvalResult:
    """The other stages: tracks and scores, then rows, summary and tables.

    Args:
        request: What to score; with `predictions` the videos in that folder, else those of the run in `out`.
        reporter: Hears how it goes.
        metrics: Instead of the profile's metrics.
        tracker: Instead of the profile's tracker.
        data: Instead of the data that the request names.

    Raises:
        UserError: If the folder is no run or is being worked on, or the data are not the run's data.
    """
    if metrics is None:
        check_scoring(request)
    with _session(request) as session:
        return _score(request, reporter or Silent(), session, metrics, tracker, data)


def _session(request: EvalRequest) -> Session:
    if request.workers.asked:
        raise ValueError("these work in this process; hmbench.run.workers has the same functions for workers")
    return Session(request.out, request.shard, join=request.join)


def _generate(
    request: EvalRequest,
    reporter: Reporter,
    session: Session,
    model: AnyModel | None = None,
    data: Dataset | None = None,
) -> RunManifest:
    _refuse_other_options(request)
    data = data or open_data(request, reporter)
    ids = select_samples(data, request)
    bench = Bench(request, data, reporter, model=model)
    manifest = open_run(request, data, ids, bench.model_info())
    if bench.model.info.notice:
        reporter.notice(bench.model.info.notice)
    mine = share(ids, request)
    sweep_run(bench.run)
    why = {i: reason for i in mine if (reason := bench.why_not_done(i)) is not None}
    todo = list(why)
    for i, reason in why.items():
        if bench.run.prediction(i).is_file():
            reporter.notice(f"The prediction of {i} is made again: {reason.rstrip('.')}.")
    if todo:
        _prepare(bench.model, data, todo, reporter)
    reporter.stage("generate", len(mine), len(mine) - len(todo))
    _each(todo, "generate", session, bench.generate_together, reporter, bench.at_once)
    return manifest


def _score(
    request: EvalRequest,
    reporter: Reporter,
    session: Session,
    metrics: Sequence[Metric] | None,
    tracker: SubjectTracker | None,
    data: Dataset | None,
) -> EvalResult:
    data = data or open_data(request, reporter)
    bench = Bench(request, data, reporter, metrics=metrics, tracker=tracker)
    if request.predictions is not None:
        ids = select_samples(data, request)
        checked = check_predictions(data, ids, request.predictions, match=request.match, reading=request.reading)
        tell_problems(checked, reporter)
    manifest = run_to_score(request, data)
    _, manifest = bench.scoring(manifest)
    with writing(request.out):
        bench.run.write_manifest(manifest)
    mine = share(manifest.samples, request)
    reporter.stage("score", len(mine), 0)

    def work(samples: Sequence[str]) -> dict[str, Failure | None]:
        return {i: None if left_to_others(bench, session, i) else bench.score(i) for i in samples}

    _each(mine, "score", session, work, reporter)
    return assemble(bench.run, manifest)


def _each(
    ids: Sequence[str],
    stage: str,
    session: Session,
    work: Callable[[Sequence[str]], dict[str, Failure | None]],
    reporter: Reporter,
    at_once: int = 1,
) -> None:
    """Works on every sample that nobody else works on; those that somebody had are looked at once more at the end."""
    left: list[str] = []
    for last, samples in ((False, ids), (True, left)):
        for start in range(0, len(samples), at_once):
            mine: list[str] = []
            try:
                for sample in samples[start : start + at_once]:
                    if session.claim(sample, stage):
                        mine.append(sample)
                    elif not last:
                        left.append(sample)
                failures = work(mine)
            finally:
                for sample in mine:
                    session.release(sample, stage)
            for sample, failure in failures.items():
                if failure is not None:
                    reporter.failed(sample, stage, failure.message)
                reporter.advance(sample)


def left_to_others(bench: Bench, session: Session, sample: str) -> bool:
    """Whether a sample has no video because another process is generating it just now."""
    if bench.video(sample).exists() or bench.run.failure(sample, "generate").is_file():
        return False
    if not session.claim(sample, "generate"):
        return True
    session.release(sample, "generate")
    return False


def run_to_score(request: EvalRequest, data: Dataset) -> RunManifest:
    """The manifest of the run whose videos are scored.

    Raises:
        UserError: If the folder is no run, or the data are not the run's data.
    """
    run = RunFolder(request.out)
    if request.predictions is not None:
        return open_run(request, data, select_samples(data, request), videos_info(request.predictions, request.name))
    manifest = run.read_manifest()
    if data.revision(manifest.samples) != manifest.data_revision:
        raise UserError(
            f"The data at {request.data!r} are not those that {run.path} was generated for.",
            f"Give the --data that was used: {manifest.data!r}, unchanged.",
        )
    return manifest


def select_samples(data: Dataset, request: EvalRequest) -> tuple[str, ...]:
    """Ids that a request asks for.

    Raises:
        UserError: If it names an unknown id, or nothing is left.
    """
    return chosen_ids(data, request.split, request.samples, request.limit)


def _prepare(model: AnyModel, data: Dataset, ids: Sequence[str], reporter: Reporter) -> None:
    """Before a long run: says what is missing and what must be held, and lets the model encode all captions at once."""
    if said := empty_prompts(data, ids):
        reporter.notice(said)
    if isinstance(model, Plans):
        for line in model.plan_lines():
            reporter.notice(line)
    if isinstance(model, Prepares):
        model.prepare(sorted({data.caption(i) or "" for i in ids}))


def open_data(request: EvalRequest, reporter: Reporter) -> Dataset:
    """The data; where the mini world has to be rendered first, the reporter hears of it."""
    wanted = Wanted(request.split, request.samples, request.limit)
    run = RunFolder(request.out)
    if request.predictions is None and not request.model and (run.path / "run.json").is_file():
        wanted = Wanted(samples=run.read_manifest().samples)  # to be scored again
    return open_dataset(request.data, clips_told(reporter), request.data_options, wanted)


def open_run(request: EvalRequest, data: Dataset, ids: tuple[str, ...], info: dict[str, Any]) -> RunManifest:
    """The folder's manifest: a new one, or the one that is there if it is the same run."""
    run = RunFolder(request.out)
    if sample := next((above for above in run.path.absolute().parents if (above / "cond.mp4").is_file()), None):
        raise UserError(  # its files would belong to the data: nothing that was generated could be scored
            f"{run.path} is inside the sample {sample.name}, whose files would then be others.", "Choose another --out."
        )
    manifest = RunManifest(
        model=request.model or str(request.predictions),
        options=dict(request.options),
        model_info=info,
        data=request.data,
        data_options=dict(request.data_options),
        data_name=data.name,
        data_revision=data.revision(ids),
        split=request.split,
        samples=ids,
        seed=request.seed,
        profile=request.profile,
        device=request.device,
        environment=environment(),
    )
    with writing(run.path):
        return _same_or_new(run, manifest)


def _same_or_new(run: RunFolder, manifest: RunManifest) -> RunManifest:
    there = _manifest_there(run)
    if there is not None:
        ours, theirs = manifest.identity(), there.identity()
        differing = [key for key in ours if ours[key] != theirs[key]]
        if "samples" in differing:  # of other samples the revision is another, too
            differing = [key for key in differing if key != "data_revision"]
        if differing:
            raise _another_run(run.path, [_what_differs(key, ours[key], theirs[key]) for key in differing])
        return there
    if not (run.path / "run.json").is_file() and run.path.is_dir() and any(map(_foreign, run.path.iterdir())):
        raise UserError(f"{run.path} is not empty and holds no run.", "Choose a new --out folder.")
    run.write_manifest(manifest)
    return manifest


def _another_run(folder: Path, differing: Sequence[str]) -> UserError:
    free = next(path for n in itertools.count(2) if not (path := folder.with_name(f"{folder.name}-{n}")).exists())
    return UserError(
        f"{folder} holds another run: it differs in {' and '.join(differing)}.",
        f"Choose another --out, for example {free}, or delete that folder.",
    )


def _refuse_other_options(request: EvalRequest) -> None:
    """Says at once that the folder is a run of other options: the model and its data take their time."""
    there = _manifest_there(RunFolder(request.out))
    if there is not None and dict(there.options) != dict(request.options):
        raise _another_run(request.out, ["options"])


def _what_differs(key: str, ours: Any, theirs: Any) -> str:
    """The entry of a manifest, and what of the model's it is: its code, for example."""
    if key == "samples":
        return f"samples ({len(theirs)} there, {len(ours)} asked for: --limit, --sample)"
    if key != "model_info":
        return key
    ours, theirs = ({**info, **info.get("settings", {})} for info in (ours, theirs))
    inner = [name for name in sorted({*ours, *theirs} - {"settings"}) if ours.get(name) != theirs.get(name)]
    return f"model_info ({', '.join(inner[:4])})"


def _manifest_there(run: RunFolder) -> RunManifest | None:
    """The manifest in the folder; None if there is none, or it was damaged or edited: it is made again.

    That loses nothing and mixes nothing in: each prediction says which run made it.
    """
    path = run.path / "run.json"
    if not path.is_file():
        return None
    try:
        return run.read_manifest()
    except UserError:
        if _format_of(path) in (None, *FORMATS):
            return None
        raise  # a whole file of another version


def _format_of(path: Path) -> Any:
    with suppress(UserError):
        return read_json(path, kind=dict).get("format")
    return None


def _foreign(entry: Path) -> bool:
    """Whether a thing in a folder is neither a run's remains from before its ``run.json`` nor hidden."""
    return not entry.name.startswith(".") and not (entry.is_dir() and not any(entry.iterdir()))


def sweep_run(run: RunFolder) -> None:
    """Removes what killed processes left half written."""
    for folder in (run.path, *(run.path / name for name in ("predictions", "tracks", "scores", "errors"))):
        sweep(folder)


def share(ids: Sequence[str], request: EvalRequest) -> list[str]:
    """The samples of this process's shard."""
    number, count = request.shard
    return list(ids[number::count])
