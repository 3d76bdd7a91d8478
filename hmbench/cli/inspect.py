"""``hmbench inspect RUN SAMPLE``: what happened at each re-entry of one clip, as numbers and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hmbench.cli.completion import runs, samples
from hmbench.errors import UserError
from hmbench.prefixes import whole_id

if TYPE_CHECKING:
    from hmbench.results.run_folder import RunFolder
    from hmbench.results.sample_scores import SampleScores
    from hmbench.types import Sample

Run = Annotated[Path, typer.Argument(help="Folder of a scored run.", autocompletion=runs)]
SampleId = Annotated[str, typer.Argument(help="Id of a sample of that run, or its beginning.", autocompletion=samples)]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the pictures; RUN/inspect/SAMPLE.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="Where the data are now, if they moved.")]
COLUMNS = {
    "subject": "subject",
    "exit": "exit",
    "back": "reentry",
    "verdict": "verdict",
    "cover": "coverage",
    "looks": "identity",
    "off": "offset_heights",
    "motion": "agreement",
    "score": "success",
}
"""Heading to the event row's number; short, so that a line fits 80 columns."""


def register(app: typer.Typer) -> None:
    """Adds ``inspect``."""
    app.command("inspect")(inspect_command)


def inspect_command(run: Run, sample: SampleId, out: Out = None, data: Data = None) -> None:
    """Shows every exit and re-entry of one clip: verdict and numbers, a film strip each, and a plot of all paths."""
    from hmbench.results.run_folder import RunFolder

    folder = RunFolder(run)
    manifest = folder.read_manifest()  # before anything heavy: a name may be wrong
    sample = whole_id(sample, manifest.samples, f"The run {folder.path}")
    import cv2
    from rich.table import Table

    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as screen
    from hmbench.data.dataset import Wanted, open_dataset, open_recorded
    from hmbench.durable import make_folder, write_bytes
    from hmbench.report.pictures import film_strip, trajectory_plot
    from hmbench.results.prediction_files import stored_prediction
    from hmbench.results.predictions import read_prediction
    from hmbench.results.reading import reading_of
    from hmbench.subjects import tracks_from_json

    scores, tracked = _records(folder, sample)
    wanted = Wanted(samples=(sample,))
    source = (
        open_dataset(data, wanted=wanted)
        if data
        else open_recorded(manifest.data, options=manifest.data_options, wanted=wanted)
    )
    clip = source.load(sample)
    _check_events(scores, clip, folder.scores(sample))
    path = stored_prediction(folder, manifest, sample)
    prediction, _ = read_prediction(path, clip, reading_of(manifest.reading))
    tracks = tracks_from_json(tracked["prediction"]) if tracked else ()
    target = out or run / "inspect" / sample
    make_folder(target)
    table = Table(*COLUMNS)
    for number, row in enumerate(scores.events, 1):
        table.add_row(*(_shown(row.get(key)) for key in COLUMNS.values()))
        strip = film_strip(clip, prediction, tracks, row)
        write_bytes(target / f"event-{number}.png", cv2.imencode(".png", strip[..., ::-1])[1].tobytes())
    trajectory_plot(target / "trajectories.png", clip, tracks, list(scores.events))
    if MODE.json:
        show_json({"sample": sample, "tracked": tracked is not None, "events": scores.events, "pictures": str(target)})
        return
    screen.print(table if scores.events else f"{sample}: no subject leaves and returns in this clip.")
    if scores.events and tracked is None:
        text = f"No verdicts: subjects were not followed (--no-tracking). `hmbench score --run {run}` follows them."
        screen.print(text, markup=False, highlight=False, soft_wrap=True)
    screen.print(f"Pictures: {target}", markup=False, highlight=False, soft_wrap=True)


def _records(folder: RunFolder, sample: str) -> tuple[SampleScores, dict[str, Any] | None]:
    """Scores and tracks of a sample, as the run stored them."""
    from hmbench.files import read_sealed

    tracks = folder.tracks(sample)
    if not folder.scores(sample).is_file():
        raise UserError(f"{sample} has not been scored in {folder.path}.", "Run the same `hmbench eval` again.")
    scores = folder.read_scores(sample)
    if not scores.sample:
        raise UserError(
            f"{sample} was scored by another version of hmbench.", f"Run: hmbench score --run {folder.path}"
        )
    broken = {failure.part: failure.message for failure in scores.failures}
    for part in ("generate", "score", "events"):  # a metric's failure leaves the events as they are
        if part in broken:
            raise UserError(f"{sample} could not be evaluated: {broken[part]}", "Mend that, and evaluate again.")
    return scores, read_sealed(tracks, required=False) if tracks.is_file() else None


def _check_events(scores: SampleScores, clip: Sample, path: Path) -> None:
    """Refuses events that the clip cannot have had: nothing could be drawn of them."""
    labels = {subject.label for subject in clip.truth.subjects} if clip.truth else set()
    frames = clip.num_context_frames + clip.prompt.num_target_frames
    for event in scores.events:
        times = (event["exit"], event["reentry"], *(event.get("window") or ()))
        if event["label"] not in labels or not all(0 <= time <= frames for time in times) or times[1] >= frames:
            raise UserError(
                f"{path} is damaged: {clip.id} has no event of subject {event['label']} at the frames {times}.",
                "It was damaged or edited; score again.",
            )


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else escape(str(value))
