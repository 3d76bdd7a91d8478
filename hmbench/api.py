"""hmbench from Python: `open_data`, `evaluate`, `score`, `load_run`, `compare`. The guide is docs/api.md.

    import hmbench

    data = hmbench.open_data("mini", limit=4)
    run = hmbench.evaluate("hydra", data)
    print(run.summary(headline=True))

These do what the commands do, through the same code and into the same folders: a run that Python made is read by
``hmbench compare``, and the other way round.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hmbench.data.dataset import Dataset, Wanted, as_dataset, no_code, open_dataset
from hmbench.data.opened import Data
from hmbench.errors import UserError, did_you_mean
from hmbench.prefixes import whole_id
from hmbench.protocols import Metric, SubjectTracker, TruthModel, WorldModel
from hmbench.registry import as_model
from hmbench.results.run_view import Run
from hmbench.run.name_checks import check_names
from hmbench.run.request import EvalRequest, Reporter, Silent, checked_device, default_out
from hmbench.run.workers_request import Workers, parse_count

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Data", "Run", "compare", "evaluate", "load_run", "open_data", "score"]


AnyData = str | Path | Data | Dataset


def open_data(
    data: str | Path | Dataset = "mini",
    *,
    split: str = "all",
    limit: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Data:
    """Samples to iterate over.

    Args:
        data: ``"mini"`` and other installed names, ``"module:NAME"``, a folder in HM-World's layout, or an object with
            ``ids``, ``load``, ``caption`` and ``revision``.
        split: Part of the data, for example ``"test"``.
        limit: The first so many samples only.
        progress: Show how far the mini world is where it has to be rendered first.
        **options: The source's own options: ``open_data("own-video", video="a.mp4", camera="pan-left-and-back")``.

    Raises:
        UserError: If there is no such source, folder or split.
    """
    return _opened(data, Wanted(split, limit=limit), progress, options, limit)


def _opened(
    data: str | Path | Dataset,
    wanted: Wanted,
    progress: bool,
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Data:
    """Data of a split, of which those that are wanted will be read."""
    if not isinstance(data, str | Path):
        return Data(as_dataset(data, _named(data)), _named(data), {}, wanted.split, limit)
    check_names(model=None, data=str(data), profile=None)
    with _shown(progress) as reporter:
        found = open_dataset(str(data), _on_clip(reporter), options, wanted)
    return Data(found, str(data), options or {}, wanted.split, limit)


def evaluate(
    model: str | Path | type | WorldModel | TruthModel,
    data: AnyData = "mini",
    *,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    samples: Sequence[str] = (),
    metrics: Sequence[str | Metric] = (),
    tracker: str | SubjectTracker | None = None,
    profile: str = "mini",
    weights: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Generates with a model, follows the subjects, scores. The same call again goes on where it was stopped.

    Args:
        model: A name (``hmbench models``), ``"module:NAME"``, a saved model's folder, or an object (or class) with
            ``generate(prompt, *, seed) -> uint8 [Tt, H, W, 3]``.
        data: What `open_data` gives or takes.
        out: Run folder; by default ``runs/MODEL-DATA-seedN``.
        options: The model's own options, where it is named.
        limit: The first so many samples only.
        samples: These only, by id or the beginning of one.
        metrics: These only, all by name or all as objects; by default all of the profile.
        tracker: ``"botsort"``, ``"bytetrack"``, ``"module:NAME"`` or an object with ``track(video)``.
        profile: ``"mini"`` or ``"paper"``: the networks that metrics look through.
        weights: Folder of these networks (``hmbench weights pull DIR``).
        seed: Seed of the run.
        device: Torch device; ``auto`` takes a GPU if there is one.
        progress: Show bars and notices.
        **settings: Further fields of `hmbench.run.request.EvalRequest`: ``tracking=False``, ``workers="auto"``.

    Raises:
        UserError: For what you can mend. A sample that fails ends nothing: see ``run.rows().reason``.
    """
    from hmbench.run import evaluate as stages
    from hmbench.run import workers

    named = isinstance(model, str | Path)
    if named:
        check_names(model=str(model), data=None, profile=profile)
    wanted = Wanted(settings.pop("split", "all"), _several(samples), limit)
    source = data if isinstance(data, Data) else _opened(data, wanted, progress)
    built = None if named else as_model(model)
    name = str(model) if named else _named(model)
    shown = name if built is None else built.info.name
    asked = _settings(metrics, tracker, settings)
    request = EvalRequest(
        model=name,
        options={key: _text(value) for key, value in (options or {}).items()},
        out=Path(out) if out is not None else default_out(shown, source.spec, seed),
        profile=profile,
        weights=None if weights is None else Path(weights),
        seed=seed,
        device=checked_device(device),
        **_chosen(source, samples, limit),
        **asked.fields,
    )
    with _shown(progress) as reporter:
        if request.workers.asked:
            if built is not None or asked.metrics or asked.tracker:
                raise UserError("Workers take models, metrics and trackers by name alone.", 'Write "module:NAME".')
            workers.evaluate(request, reporter)
        else:
            stages.evaluate(
                request, reporter, metrics=asked.metrics, tracker=asked.tracker, model=built, data=source.source
            )
    return Run(request.out)


def score(
    videos: str | Path,
    data: AnyData | None = None,
    *,
    out: str | Path | None = None,
    metrics: Sequence[str | Metric] = (),
    tracker: str | SubjectTracker | None = None,
    limit: int | None = None,
    samples: Sequence[str] = (),
    profile: str = "mini",
    weights: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Scores videos that exist: anyone's, or those of a run, whose scores then add up.

    Args:
        videos: A folder of ``SAMPLE.mp4`` (other names: ``match="{id}_seed0.mp4"``), or a run folder.
        data: What the videos continue; a run knows its own.
        out: Run folder; by default ``runs/FOLDER-DATA-seed0``, or the run itself.
        metrics: As in `evaluate`.
        tracker: As in `evaluate`.
        limit: The first so many samples only.
        samples: These only.
        profile: ``"mini"`` or ``"paper"``.
        weights: Folder of the metrics' networks.
        device: Torch device.
        progress: Show bars and notices.
        **settings: Further fields of `EvalRequest`, among them ``match``, ``name``, and of how predictions are read:
            ``align``, ``frames``, ``fit``.

    Raises:
        UserError: For what you can mend, a folder without matching videos among it.
    """
    from hmbench.run import evaluate as stages

    folder = Path(videos)
    asked = _settings(metrics, tracker, settings)
    common = {
        "profile": profile,
        "weights": None if weights is None else Path(weights),
        "device": checked_device(device),
        **asked.fields,
    }
    if (folder / "run.json").is_file():
        run = Run(folder)
        if out is not None or limit or samples:
            raise UserError(
                "A run has its folder and its clips: out, limit and samples would change nothing.",
                "Leave them out, or score RUN/predictions as a folder of videos.",
            )
        source = (
            _opened(
                no_code(run.manifest.data), Wanted(samples=run.manifest.samples), progress, run.manifest.data_options
            )
            if data is None
            else data
            if isinstance(data, Data)
            else open_data(data, progress=progress)
        )
        request = EvalRequest(out=folder, data=source.spec, data_options=source.options, **common)
    else:
        found = "mini" if data is None else data
        wanted = Wanted(samples=_several(samples), limit=limit)
        source = found if isinstance(found, Data) else _opened(found, wanted, progress)
        place = Path(out) if out is not None else default_out(folder.resolve().name, source.spec, 0)
        request = EvalRequest(out=place, predictions=folder, **_chosen(source, samples, limit), **common)
    with _shown(progress) as reporter:
        stages.score(request, reporter, metrics=asked.metrics, tracker=asked.tracker, data=source.source)
    return Run(request.out)


def load_run(path: str | Path) -> Run:
    """A run that exists: ``.rows()``, ``.events()``, ``.samples()``, ``.summary()``, ``.scores()``, ``.video(id)``.

    Raises:
        UserError: If the folder is no run, or was damaged.
    """
    return Run(path)


def compare(
    *runs: str | Path | Run,
    metrics: str | Sequence[str] = "headline",
    all_pairs: bool = False,
    pool_seeds: bool = False,
) -> pd.DataFrame:
    """Paired differences of runs on the clips that they share, as `hmbench compare` prints them.

    Args:
        *runs: Two or more; the first is the reference.
        metrics: ``"headline"``, ``"all"``, or names.
        all_pairs: Every pair, not only against the first.
        pool_seeds: Runs that differ in their seed alone are one model.

    Returns:
        One line a metric and pair: the difference, its 95 % interval over scenes, and the p-value, plain and corrected
        by Holm over every line. NaN where there are too few scenes.

    Raises:
        UserError: If the runs must not be compared, with the reason.
    """
    from hmbench.report.compare import CompareSettings, compare_runs
    from hmbench.report.compare_frame import differences_frame

    folders = [run.path if isinstance(run, Run) else Path(run) for run in runs]
    wanted: Any = metrics if metrics in ("headline", "all") else [metrics] if isinstance(metrics, str) else metrics
    pairs: Any = "all" if all_pairs else "first"
    return differences_frame(compare_runs(folders, CompareSettings(metrics=wanted, pairs=pairs, pool_seeds=pool_seeds)))


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What was asked beside model and data."""

    fields: dict[str, Any]
    metrics: tuple[Metric, ...] | None
    tracker: SubjectTracker | None


def _settings(
    metrics: Sequence[str | Metric], tracker: str | SubjectTracker | None, more: Mapping[str, Any]
) -> _Settings:
    """Fields of the request, and what is an object rather than a name."""
    from hmbench.results.reading import Reading

    chosen: tuple[Any, ...] = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    objects = [one for one in chosen if not isinstance(one, str)]
    if objects and len(objects) < len(chosen):
        raise UserError("Metrics are given all by name or all as objects.", 'A metric of yours by name: "module:NAME".')
    reading = {field.name for field in dataclasses.fields(Reading)}
    fields = {key: value for key, value in more.items() if key not in reading}
    known = {field.name for field in dataclasses.fields(EvalRequest)} - {"model", "data", "data_options", "shard"}
    if unknown := sorted(set(fields) - known):
        raise UserError(f"There is no setting {unknown[0]!r}.", did_you_mean(unknown[0], known | reading))
    if read := {key: value for key, value in more.items() if key in reading}:
        fields["reading"] = Reading(**read)
    if isinstance(count := fields.get("workers"), int | str):
        fields["workers"] = Workers(count=parse_count(str(count)))
    if chosen and not objects:
        fields["metrics"] = chosen
    if isinstance(tracker, str):
        fields["tracker"] = tracker
    made: tuple[Any, ...] = tuple(one() if inspect.isclass(one) else one for one in objects)
    for one in made:
        if not (callable(one) and hasattr(getattr(one, "info", None), "name")):
            raise UserError(
                f"{one!r:.60} is no metric.", "A metric is a name, or an object with `info` that is called with a case."
            )
    return _Settings(fields, made or None, None if tracker is None or isinstance(tracker, str) else _tracker(tracker))


def _tracker(thing: Any) -> SubjectTracker:
    from hmbench.subjects.create import as_tracker

    return as_tracker(thing, (thing if inspect.isclass(thing) else type(thing)).__name__)


def _several(samples: Sequence[str]) -> tuple[str, ...]:
    return (samples,) if isinstance(samples, str) else tuple(samples)


def _chosen(source: Data, samples: Sequence[str], limit: int | None) -> dict[str, Any]:
    """Which samples of a source a request asks for."""
    whole = source.source.ids(source.split)
    ids = _several(samples)
    if source.ids == whole[: len(source.ids)] and not ids:
        first = None if len(source.ids) == len(whole) else len(source.ids)
        limit = min(n for n in (limit, first) if n is not None) if limit or first else None
    elif not ids:
        ids = source.ids
    else:
        ids = tuple(whole_id(one, source.ids, source.name) for one in ids)
    return {
        "data": source.spec,
        "data_options": source.options,
        "split": source.split,
        "samples": ids,
        "limit": limit,
    }


def _named(thing: Any) -> str:
    """``module:NAME`` of an object's class."""
    kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _on_clip(reporter: Reporter) -> Any:
    begun: list[str] = []

    def heard(name: str, total: int) -> None:
        if not begun:
            reporter.stage("render", total, 0)
        begun.append(name)
        reporter.advance(name)

    return heard


class _shown:  # noqa: N801
    """Bars and notices while something runs, or silence."""

    def __init__(self, progress: bool) -> None:
        from hmbench.cli.console import RichReporter

        self._reporter = RichReporter() if progress else None

    def __enter__(self) -> Reporter:
        return cast(Reporter, self._reporter.__enter__()) if self._reporter else Silent()

    def __exit__(self, *error: Any) -> None:
        if self._reporter:
            self._reporter.__exit__(*error)
