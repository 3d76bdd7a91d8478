"""``hmbench eval`` and its halves, ``generate`` and ``score``. Their options are declared in `EvalRequest`."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmbench.cli.options import Typed, default_out, takes_request
from hmbench.errors import UserError
from hmbench.run.name_checks import check_names
from hmbench.run.place import place_of
from hmbench.run.request import OWN, SCORING, EvalRequest, Reporter
from hmbench.run.workers_request import SHARING

if TYPE_CHECKING:
    from hmbench.results.records import RunManifest
    from hmbench.run.evaluate import EvalResult
    from hmbench.run.seeds import SeedsResult

RunToScore = Annotated[Path | None, typer.Option("--run", help="A run folder of `hmbench generate` or `eval`.")]
Video = Annotated[
    Path | None,
    typer.Option(help="Continue this video instead of --data; its last frames are the context.", rich_help_panel=OWN),
]
Camera = Annotated[
    str,
    typer.Option(help="Camera preset (`hmbench data cameras`), or a camera.json.", rich_help_panel=OWN),
]
Caption = Annotated[str, typer.Option(help="What the video shows.", rich_help_panel=OWN)]
VideoSize = Annotated[
    str, typer.Option(help="Width x height that it is cropped to; 'own' keeps its size.", rich_help_panel=OWN)
]
VideoFrames = Annotated[int, typer.Option(help="Frames of context and of target (4k + 1).", rich_help_panel=OWN)]
Fps = Annotated[float, typer.Option("--fps", help="Frames a second of context and target.", rich_help_panel=OWN)]
Fov = Annotated[
    float | None,
    typer.Option("--fov", help="Horizontal field of view of the video in degrees.", rich_help_panel=OWN),
]
Part = Annotated[str, typer.Option("--part", help="first or last: which of its frames it is.", rich_help_panel=OWN)]
Verbose = Annotated[bool, typer.Option("--verbose", help="Also say what each worker is at.", rich_help_panel=SHARING)]
AllMetrics = Annotated[
    bool, typer.Option("--all-metrics", help="Show every metric, not only the headline ones.", rich_help_panel=SCORING)
]


def register(app: typer.Typer) -> None:
    """Adds ``eval``, ``generate`` and ``score``."""
    app.command("eval")(takes_request("eval")(evaluate_command))
    app.command("generate")(takes_request("generate")(generate_command))
    app.command("score")(takes_request("score")(score_command))


def evaluate_command(
    typed: Typed,
    all_metrics: AllMetrics = False,
    video: Video = None,
    camera: Camera = "pan-left-and-back",
    caption: Caption = "",
    video_size: VideoSize = "832x480",
    video_frames: VideoFrames = 77,
    fps: Fps = 15.0,
    fov: Fov = None,
    part: Part = "last",
    verbose: Verbose = False,
) -> None:
    """Evaluate a model: generate, track, score, and show the table.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from hmbench.cli.console import RichReporter

    request = _to_generate(typed, own_video(video, camera, caption, video_size, video_frames, fps, fov, part))
    from hmbench.run.workers import evaluate

    with RichReporter(verbose=verbose) as reporter:
        say_place(typed, reporter)
        result = evaluate(request, reporter)
    _finish(result, request.out, all_metrics, reporter.said, request.metrics)


def generate_command(
    typed: Typed,
    video: Video = None,
    camera: Camera = "pan-left-and-back",
    caption: Caption = "",
    video_size: VideoSize = "832x480",
    video_frames: VideoFrames = 77,
    fps: Fps = 15.0,
    fov: Fov = None,
    part: Part = "last",
    verbose: Verbose = False,
) -> None:
    """Generate videos only; `hmbench score --run` scores them, on another machine if you like."""
    from hmbench.cli.console import RichReporter
    from hmbench.cli.console import out as screen

    request = _to_generate(typed, own_video(video, camera, caption, video_size, video_frames, fps, fov, part))
    from hmbench.run.workers import generate

    with RichReporter(verbose=verbose) as reporter:
        say_place(typed, reporter)
        manifest = generate(request, reporter)
    missing = [i for i in manifest.samples if not (request.out / "predictions" / f"{i}.mp4").is_file()]
    screen.print(
        f"{len(manifest.samples) - len(missing)} of {len(manifest.samples)} videos in {request.out}/predictions"
    )
    for path in joined_videos(manifest, request.out):
        screen.print(f"Context and continuation in one video: {path}", highlight=False, soft_wrap=True)
    if missing and request.shard == (0, 1):
        raise typer.Exit(1)


def score_command(
    typed: Typed, run: RunToScore = None, all_metrics: AllMetrics = False, verbose: Verbose = False
) -> None:
    """Score videos that exist: those of a run, or anyone's, without any model.

    A run knows its clips and its folder; with --predictions, the clips are chosen here.
    """
    from hmbench.cli.console import RichReporter

    request = _to_score(typed, run)
    from hmbench.run.workers import score

    with RichReporter(verbose=verbose) as reporter:
        say_place(typed, reporter)
        if requests := _of_seeds(request, reporter):
            from hmbench.run.seeds import score_seeds

            several = score_seeds(request, requests, lambda one: score(one, reporter))
        else:
            result = score(request, reporter)
    if requests:
        _finish_seeds(several, request.out, all_metrics)
    else:
        _finish(result, request.out, all_metrics, reporter.said, request.metrics)


def own_video(
    video: Path | None,
    camera: str,
    caption: str,
    size: str,
    frames: int,
    fps: float,
    fov: float | None,
    part: str,
) -> dict[str, Any] | None:
    """The options of the data source ``own-video``; None without a video.

    Raises:
        UserError: If there is no such video, or the size does not parse.
    """
    if video is None:
        return None
    if not video.exists():
        raise UserError(f"There is no video {video}.", "Check the path.")
    width, _, height = size.partition("x")
    if size != "own" and not (width.isdecimal() and height.isdecimal()):
        raise UserError(f"--video-size {size!r} is not of the form WIDTHxHEIGHT.", "For example 832x480, or 'own'.")
    options: dict[str, Any] = {
        "video": str(video),
        "camera": camera,
        "caption": caption,
        "size": None if size == "own" else [int(height), int(width)],
        "num_context": frames,
        "num_target": frames,
    }
    changed = {"fps": (fps, 15.0), "fov": (fov, None), "part": (part, "last")}
    return options | {name: value for name, (value, usual) in changed.items() if value != usual}


def say_place(typed: Typed, reporter: Reporter) -> None:
    """Says which share of the run this process took, and from what, where it was not told."""
    place = place_of(os.environ)
    if typed["shard"] is None and place.source:
        reporter.notice(f"This is shard {place.number} of {place.total}, by {place.source}.")


def _to_generate(typed: Typed, video: dict[str, Any] | None) -> EvalRequest:
    model, seed = typed["model"], typed["seed"]
    if video is None:
        return typed.request(out=typed["out"] or default_out(model, typed["data"], seed))
    check_names(model=model, data=None, profile=typed["profile"], tracker=typed.values.get("tracker"))
    from hmbench.data.own_video import check_own_video

    check_own_video(**video)
    name = f"{Path(video['video']).stem}-{Path(video['camera']).stem}"
    out = typed["out"] or default_out(model, name, seed)
    return typed.request(out=out, data="own-video", data_options=video)


def _to_score(typed: Typed, run: Path | None) -> EvalRequest:
    from hmbench.results.reading import folder_of_predictions
    from hmbench.results.run_folder import RunFolder

    predictions = typed["predictions"]
    if (run is None) == (predictions is None):
        raise UserError("Give either --run or --predictions.", "--run RUN_FOLDER, or --predictions DIR --data DATA.")
    if predictions is not None:
        folder_of_predictions(predictions)
    if run is None:
        data = typed["data"] or "mini"
        return typed.request(data=data, out=typed["out"] or default_out(predictions.resolve().name, data, 0))
    chosen = {f"--{name}": typed[name] for name in ("out", "limit") if typed[name]}
    chosen |= {"--sample": True} if typed["samples"] else {}
    chosen |= {"--split": True} if typed["split"] != "all" else {}
    if chosen:
        raise UserError(
            f"A run has its folder and its clips: {' and '.join(chosen)} would change nothing.",
            "Leave it out, or score its videos elsewhere: --predictions RUN/predictions --data DATA --out DIR.",
        )
    manifest = RunFolder(run).read_manifest()
    if typed["data"]:
        return typed.request(out=run)
    from hmbench.data.dataset import no_code

    return typed.request(out=run, data=no_code(manifest.data), data_options=manifest.data_options)


def _of_seeds(request: EvalRequest, reporter: Reporter) -> dict[str, EvalRequest]:
    """A request a seed where ``--match`` says ``{seed}``; none else."""
    if request.predictions is None or "{seed}" not in (request.match or ""):
        return {}
    from hmbench.run.evaluate import open_data
    from hmbench.run.seeds import seed_requests

    return seed_requests(request, open_data(request, reporter))


def _finish_seeds(result: SeedsResult, folder: Path, all_metrics: bool) -> None:
    """Prints the table over all seeds; exits non-zero if a sample of any of them failed."""
    from hmbench.cli.compare import screen_table
    from hmbench.cli.console import MODE, errors, show_json
    from hmbench.cli.console import out as screen
    from hmbench.report.seeds_table import seeds_table

    if MODE.json:
        runs = {seed: _as_json(one, folder / f"seed-{seed}") for seed, one in result.runs.items()}
        metrics = {name: asdict(one) for name, one in result.summary.items()}
        show_json({"runs": runs, "metrics": metrics, "spread": {n: asdict(v) for n, v in result.spread.items()}})
        screen = errors
    else:
        table = seeds_table(
            result.manifest, result.summary, result.spread, list(result.runs), headline_only=not all_metrics
        )
        screen.print(screen_table(table))
    if not MODE.quiet:
        screen.print(f"Rows of every seed, tables, and a run a seed: {folder}", highlight=False, soft_wrap=True)
    failed = {seed: one.failures for seed, one in result.runs.items() if one.failures}
    if failed:
        counts = ", ".join(f"{len(failures)} of seed {seed}" for seed, failures in failed.items())
        errors.print(f"[bold red]Samples failed[/], wholly or in part: {counts}", soft_wrap=True)
        raise typer.Exit(1)


def _finish(result: EvalResult, folder: Path, all_metrics: bool, said: set[str], asked: Collection[str] = ()) -> None:
    """Prints the table, what was skipped and why, and where the files are; exits non-zero if a sample failed."""
    from rich.markup import escape

    from hmbench.cli.console import MODE, errors, show_json, show_notes
    from hmbench.cli.console import out as screen
    from hmbench.report.run_tables import screen_table, skipped_reasons

    if MODE.json:
        show_json(_as_json(result, folder))
    else:
        table = screen_table(result.manifest, result.summary, headline_only=not all_metrics, asked=asked)
        screen.print(table)
    for reason, names in skipped_reasons(result.summary).items() if not (MODE.quiet or MODE.json) else ():
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        errors.print(f"[dim]skipped: {escape(shown)}: {escape(reason)}[/]", highlight=False, soft_wrap=True)
    show_notes(folder, result.manifest, said)
    if MODE.json:
        screen = errors
    if result.missing:
        screen.print(f"{len(result.missing)} samples are left to others, or to the same command again.")
    for path in joined_videos(result.manifest, folder):
        screen.print(f"Context and continuation in one video: {path}", highlight=False, soft_wrap=True)
    if not MODE.quiet:
        screen.print(f"Rows, events and tables: {folder}", highlight=False, soft_wrap=True)
    if result.failures:
        counts = f"{len(result.failures)} of {len(result.manifest.samples)}"
        errors.print(f"[bold red]{counts} samples failed[/], wholly or in part (see {folder}/errors)", soft_wrap=True)
        raise typer.Exit(1)


def _as_json(result: EvalResult, folder: Path) -> dict[str, Any]:
    """What ``--json`` prints: where the run is, and every metric's mean."""
    manifest = result.manifest
    return {
        "run": str(folder),
        "model": manifest.about.name,
        "data": manifest.data_name,
        "data_revision": manifest.data_revision,
        "samples": len(manifest.samples),
        "metrics": {name: asdict(one) for name, one in result.summary.items()},
        "failures": result.failures,
        "missing": list(result.missing),
    }


def joined_videos(manifest: RunManifest, folder: Path) -> list[Path]:
    """Of somebody's own video: what it showed and how the model continues it, as one mp4 a clip in ``RUN/videos``."""
    if manifest.data != "own-video":
        return []
    import numpy as np

    from hmbench.data.dataset import open_dataset
    from hmbench.results.run_folder import RunFolder
    from hmbench.video.files import read_video, write_video

    data, run, made = open_dataset(manifest.data, options=manifest.data_options), RunFolder(folder), []
    for sample in manifest.samples:
        if not run.prediction(sample).is_file():
            continue
        path = folder / "videos" / f"{sample}.mp4"
        prompt = data.load(sample).prompt
        whole = np.concatenate([prompt.context, read_video(run.prediction(sample))])
        write_video(path, whole, fps=prompt.fps)
        made.append(path)
    return made
