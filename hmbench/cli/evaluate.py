"""``hmbench eval`` and its halves, ``generate`` and ``score``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.cli.predictions import Align, Fit, Frames, Match, reading
from hmbench.errors import UserError

if TYPE_CHECKING:
    from hmbench.run.evaluate import EvalRequest, EvalResult

RUN, DATA, METRICS = "Run", "Data", "Scoring"

Model = Annotated[
    str, typer.Option("--model", "-m", help="Model name (see `hmbench models`), package.module:factory, or folder.")
]
Data = Annotated[
    str, typer.Option("--data", "-d", help="'mini', or a folder in HM-World's layout.", rich_help_panel=DATA)
]
Split = Annotated[str, typer.Option(help="Split of the data, for example test.", rich_help_panel=DATA)]
Limit = Annotated[int | None, typer.Option(min=1, help="The first so many samples only.", rich_help_panel=DATA)]
SampleIds = Annotated[
    list[str] | None, typer.Option("--sample", help="This sample only; repeatable.", rich_help_panel=DATA)
]
Seed = Annotated[int, typer.Option(help="Seed of the run; each sample's seed follows from it.", rich_help_panel=RUN)]
Device = Annotated[
    str, typer.Option(help="Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one.", rich_help_panel=RUN)
]
Profile = Annotated[
    str,
    typer.Option(help="'mini' (weights in the package) or 'paper' (the paper's networks).", rich_help_panel=RUN),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Run folder; by default runs/MODEL-DATA-seedN.", rich_help_panel=RUN),
]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", help="Model option name=value; repeatable.", rich_help_panel=RUN),
]
Shard = Annotated[
    str,
    typer.Option(help="k/n: every n-th sample from the k-th (from 0), to share a run.", rich_help_panel=RUN),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Folder of the metrics' networks (`hmbench weights pull DIR`).", rich_help_panel=METRICS),
]
MetricNames = Annotated[
    list[str] | None,
    typer.Option("--metric", help="This metric only; repeatable (names: docs/metrics.md).", rich_help_panel=METRICS),
]
Quality = Annotated[
    bool,
    typer.Option(
        help="Also MUSIQ and NIQE, which need no truth (`hmbench weights pull DIR --only musiq --only niqe`).",
        rich_help_panel=METRICS,
    ),
]
VBENCH = "Also VBench's dimensions of motion (`hmbench weights pull DIR --only raft`)."
VBench = Annotated[bool, typer.Option("--vbench/--no-vbench", help=VBENCH, rich_help_panel=METRICS)]
Tracking = Annotated[
    bool,
    typer.Option(
        help="Follow subjects in the videos; without, what is about subjects is skipped.",
        rich_help_panel=METRICS,
    ),
]
TRACKER = "How detections become tracks: botsort (takes the camera's motion out) or bytetrack."
TrackerName = Annotated[str, typer.Option("--tracker", help=TRACKER, rich_help_panel=METRICS)]
AnyClass = Annotated[
    bool,
    typer.Option("--any-class", help="Follow whatever the detector finds, of any class.", rich_help_panel=METRICS),
]
RunToScore = Annotated[Path | None, typer.Option("--run", help="A run folder of `hmbench generate` or `eval`.")]
Predictions = Annotated[
    Path | None,
    typer.Option(help="Anyone's videos: a folder of SAMPLE.mp4, the target alone or context and target."),
]
DataToScore = Annotated[
    str | None,
    typer.Option("--data", "-d", help="By default the run's own, or 'mini' for videos.", rich_help_panel=DATA),
]
OWN = "Your own video"
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
AllMetrics = Annotated[
    bool, typer.Option("--all-metrics", help="Show every metric, not only the headline ones.", rich_help_panel=METRICS)
]


def register(app: typer.Typer) -> None:
    """Adds ``eval``, ``generate`` and ``score``."""
    app.command("eval")(evaluate_command)
    app.command("generate")(generate_command)
    app.command("score")(score_command)


def evaluate_command(
    model: Model,
    data: Data = "mini",
    split: Split = "all",
    limit: Limit = None,
    sample: SampleIds = None,
    seed: Seed = 0,
    device: Device = "auto",
    profile: Profile = "mini",
    out: Out = None,
    option: Option = None,
    shard: Shard = "0/1",
    weights: Weights = None,
    metric: MetricNames = None,
    quality: Quality = False,
    vbench: VBench = False,
    tracking: Tracking = True,
    tracker: TrackerName = "botsort",
    any_class: AnyClass = False,
    all_metrics: AllMetrics = False,
    video: Video = None,
    camera: Camera = "pan-left-and-back",
    caption: Caption = "",
    video_size: VideoSize = "832x480",
    video_frames: VideoFrames = 77,
) -> None:
    """Evaluate a model: generate, track, score, and show the table.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from hmbench.cli.console import RichReporter
    from hmbench.run.evaluate import evaluate

    name = video.stem if video else data
    data = own_video_spec(video, camera, caption, video_size, video_frames) if video else data
    request = _request(
        model, data, split, limit, sample, seed, device, profile, out or default_out(model, name, seed), option, shard
    )
    request = _with_scoring(request, weights, metric, quality, vbench, tracking, tracker, any_class)
    with RichReporter() as reporter:
        result = evaluate(request, reporter)
    _finish(result, request.out, all_metrics, reporter.said)


def generate_command(
    model: Model,
    data: Data = "mini",
    split: Split = "all",
    limit: Limit = None,
    sample: SampleIds = None,
    seed: Seed = 0,
    device: Device = "auto",
    profile: Profile = "mini",
    out: Out = None,
    option: Option = None,
    shard: Shard = "0/1",
    video: Video = None,
    camera: Camera = "pan-left-and-back",
    caption: Caption = "",
    video_size: VideoSize = "832x480",
    video_frames: VideoFrames = 77,
) -> None:
    """Generate videos only; `hmbench score --run` scores them, on another machine if you like."""
    from hmbench.cli.console import RichReporter
    from hmbench.cli.console import out as screen
    from hmbench.run.evaluate import generate

    name = video.stem if video else data
    data = own_video_spec(video, camera, caption, video_size, video_frames) if video else data
    request = _request(
        model, data, split, limit, sample, seed, device, profile, out or default_out(model, name, seed), option, shard
    )
    with RichReporter() as reporter:
        manifest = generate(request, reporter)
    missing = [i for i in manifest.samples if not (request.out / "predictions" / f"{i}.mp4").is_file()]
    screen.print(
        f"{len(manifest.samples) - len(missing)} of {len(manifest.samples)} videos in {request.out}/predictions"
    )
    if missing and request.shard == (0, 1):
        raise typer.Exit(1)


def score_command(
    run: RunToScore = None,
    predictions: Predictions = None,
    data: DataToScore = None,
    split: Split = "all",
    limit: Limit = None,
    sample: SampleIds = None,
    device: Device = "auto",
    profile: Profile = "mini",
    out: Out = None,
    shard: Shard = "0/1",
    weights: Weights = None,
    metric: MetricNames = None,
    quality: Quality = False,
    vbench: VBench = False,
    tracking: Tracking = True,
    tracker: TrackerName = "botsort",
    any_class: AnyClass = False,
    all_metrics: AllMetrics = False,
    match: Match = None,
    align: Align = None,
    frames: Frames = "exact",
    fit: Fit = None,
) -> None:
    """Score videos that exist: those of a run, or anyone's, without any model.

    A run knows its clips and its folder; with --predictions, the clips are chosen here.
    """
    from hmbench.cli.console import RichReporter
    from hmbench.results.run_folder import RunFolder
    from hmbench.run.evaluate import score

    if (run is None) == (predictions is None):
        raise UserError("Give either --run or --predictions.", "--run RUN_FOLDER, or --predictions DIR --data DATA.")
    if run is not None:
        chosen = {"--out": out, "--limit": limit, "--sample": sample, "--split": split if split != "all" else None}
        if given := [name for name, value in chosen.items() if value]:
            raise UserError(
                f"A run has its folder and its clips: {' and '.join(given)} would change nothing.",
                "Leave it out, or score its videos elsewhere: --predictions RUN/predictions --data DATA --out DIR.",
            )
        data = data or RunFolder(run).read_manifest().data
        folder = run
    else:
        assert predictions is not None
        data = data or "mini"
        folder = out or default_out(predictions.resolve().name, data, 0)
    request = _request(None, data, split, limit, sample, 0, device, profile, folder, None, shard, predictions)
    request = _with_scoring(request, weights, metric, quality, vbench, tracking, tracker, any_class)
    request = replace(request, match=match, reading=reading(align, frames, fit))
    with RichReporter() as reporter:
        result = score(request, reporter)
    _finish(result, folder, all_metrics, reporter.said)


def parse_options(pairs: list[str] | None) -> dict[str, str]:
    """``name=value`` pairs as a dictionary.

    Raises:
        UserError: If one has no ``=``.
    """
    options = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"Option {pair!r} has no value.", "Write it as --option name=value.")
        options[name.strip()] = value.strip()
    return options


def own_video_spec(video: Path, camera: str, caption: str, size: str, frames: int) -> str:
    """The ``--data`` that stands for somebody's own video (see `hmbench.data.dataset.open_dataset`).

    Raises:
        UserError: If the size does not parse.
    """
    import json

    width, _, height = size.partition("x")
    if size != "own" and not (width.isdigit() and height.isdigit()):
        raise UserError(f"--video-size {size!r} is not of the form WIDTHxHEIGHT.", "For example 832x480, or 'own'.")
    shape = None if size == "own" else [int(height), int(width)]
    counts = {"num_context": frames, "num_target": frames}
    return json.dumps({"video": str(video), "camera": camera, "caption": caption, "size": shape, **counts})


def _request(
    model: str | None,
    data: str,
    split: str,
    limit: int | None,
    samples: list[str] | None,
    seed: int,
    device: str,
    profile: str,
    out: Path,
    options: list[str] | None,
    shard: str,
    predictions: Path | None = None,
) -> EvalRequest:
    from hmbench.run.evaluate import EvalRequest

    if profile not in {"mini", "paper"}:
        raise UserError(f"There is no profile {profile!r}.", "Available: mini, paper.")
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit()):
        raise UserError(f"--shard {shard!r} is not of the form k/n.", "For the first of four processes: --shard 0/4.")
    return EvalRequest(
        model=model,
        data=data,
        split=split,
        limit=limit,
        samples=tuple(samples or ()),
        seed=seed,
        device=checked_device(device),
        profile=profile,
        out=out,
        options=parse_options(options),
        shard=(int(number), int(count)),
        predictions=predictions,
    )


def checked_device(device: str) -> str:
    """The device, if this machine has it; ``auto`` is resolved.

    Raises:
        UserError: If torch does not know it or cannot use it here.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind, index = torch.device(device).type, torch.device(device).index
    except RuntimeError as error:
        raise UserError(f"There is no device {device!r}.", "Use cpu, cuda, cuda:1, ...") from error
    if kind != "cuda":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (index or 0) >= count:
        seen = "no GPU" if count == 0 else f"{count} GPU{'s' if count > 1 else ''}"
        raise UserError(
            f"--device {device} was asked for, but torch sees {seen}.",
            "GPUs count from 0; `hmbench doctor` lists them." if count else "Use --device cpu.",
        )
    return device


def _with_scoring(
    request: EvalRequest,
    weights: Path | None,
    metrics: list[str] | None,
    quality: bool,
    vbench: bool,
    tracking: bool,
    tracker: str,
    any_class: bool,
) -> EvalRequest:
    if any_class and not tracking:
        raise UserError("--any-class is about tracking, and --no-tracking was given.", "Give one of the two.")
    return replace(
        request,
        weights=weights,
        metrics=tuple(metrics or ()),
        quality=quality,
        vbench=vbench,
        tracking=tracking,
        tracker=tracker,
        any_class=any_class,
    )


def default_out(model: str, data: str, seed: int) -> Path:
    """``runs/<model>-<data>-seed<n>``: the same command finds its folder again and resumes."""
    parts = (Path(model).name.replace(":", "."), Path(data).resolve().name if Path(data).exists() else data)
    return Path("runs") / f"{parts[0]}-{parts[1]}-seed{seed}"


def _finish(result: EvalResult, folder: Path, all_metrics: bool, said: set[str]) -> None:
    """Prints the table, what was skipped and why, and where the files are; exits non-zero if a sample failed."""
    from rich.markup import escape

    from hmbench.cli.console import errors, show_notes
    from hmbench.cli.console import out as screen
    from hmbench.report.run_tables import screen_table, skipped_reasons

    screen.print(screen_table(result.manifest, result.summary, headline_only=not all_metrics))
    for reason, names in skipped_reasons(result.summary).items():
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        errors.print(f"[dim]skipped: {escape(shown)}: {escape(reason)}[/]", highlight=False, soft_wrap=True)
    show_notes(folder, result.manifest, said)
    if result.missing:
        screen.print(f"{len(result.missing)} samples are left to other shards.")
    screen.print(f"Rows, events and tables: {folder}", highlight=False, soft_wrap=True)
    if result.failures:
        counts = f"{len(result.failures)} of {len(result.manifest.samples)}"
        errors.print(f"[bold red]{counts} samples failed[/], wholly or in part (see {folder}/errors)", soft_wrap=True)
        raise typer.Exit(1)
