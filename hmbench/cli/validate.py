"""``hmbench validate-metrics``: what each metric can see, measured on clips with one known thing wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hmbench.cli.options import Typed, takes_request
from hmbench.errors import UserError

Clips = Annotated[int, typer.Option("--clips", "-n", min=1, help="Clean clips; each is shown with every fault.")]
Split = Annotated[str, typer.Option("--split", help="'test', or 'train', on which thresholds were set.")]
Size = Annotated[str, typer.Option("--size", help="Width x height of the clips, multiples of 16.")]
Strengths = Annotated[str, typer.Option("--strengths", help="Strengths of faults, rising up to 1, with commas.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the split's clips.")]
Oracle = Annotated[bool, typer.Option("--oracle", help="Take tracks from the true masks instead of the tracker.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for validity.json, .md and .svg.")]
Workers = Annotated[
    int, typer.Option("--processes", "--workers", min=1, help="Processes that clips are shared out over.")
]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder that keeps rendered clips between studies.")]


def register(app: typer.Typer) -> None:
    """Adds ``validate-metrics``."""
    app.command("validate-metrics")(takes_request("validate-metrics")(validate_metrics))


def validate_metrics(
    typed: Typed,
    out: Out = Path("validity"),
    clips: Clips = 8,
    split: Split = "test",
    size: Size = "224x128",
    strengths: Strengths = "0.5,1",
    oracle: Oracle = False,
    seed: Seed = 0,
    cache: Cache = None,
    processes: Workers = 1,
) -> None:
    """Score mini-world clips with exactly one thing wrong, and print what each metric can see.

    For every metric and fault: the AUC against true clips, and whether the value falls as the fault grows.

    A study that was stopped goes on where it was: each clip's results are kept in OUT/clips.

    For harmless changes (codec, shift, blur, ...): false alarms. And which verdict each faulty subject got.
    """
    from hmbench.cli.console import out as screen
    from hmbench.cli.console import progress_bar
    from hmbench.files import write_json, write_text
    from hmbench.study.heat_map import write_heat_map
    from hmbench.study.validity import StudyConfig, run_study
    from hmbench.study.validity_report import summarise_study, to_markdown

    if split not in ("train", "test"):
        raise UserError(f"There is no split {split!r} in the mini world.", "Choose train or test.")
    request = typed.request(out=out)
    config = StudyConfig(
        clips=clips,
        split="train" if split == "train" else "test",
        seed=seed,
        size=_size(size),
        strengths=_strengths(strengths),
        profile=request.profile,
        weights=request.weights,
        device=request.device,
        cache=cache,
        oracle=oracle,
        workers=processes,
        parts=out / "clips",
    )
    begun = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("clips", total=clips, note="")
        study = run_study(config, lambda line: bar.update(task, advance=1, note=line))
    summary = summarise_study(study)
    text = to_markdown(summary)
    write_json(out / "validity.json", {"summary": summary, "values": [v._asdict() for v in study.values]})
    write_json(out / "events.json", study.events)
    write_text(out / "validity.md", text)
    write_heat_map(summary, out / "validity.svg")
    screen.print(text, markup=False, highlight=False, soft_wrap=True)
    written = ", ".join(str(out / f"validity.{ending}") for ending in ("md", "json", "svg"))
    screen.print(f"Written: {written}", markup=False, highlight=False)
    screen.print(took(time.monotonic() - begun, clips, processes), markup=False, highlight=False)


def took(seconds: float, clips: int, processes: int) -> str:
    """How long a study took, so that whoever asks for more clips knows; clips of an earlier start took none of it."""
    each = seconds * processes / clips
    whole = f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"
    return f"{clips} clips took {whole} ({each:.0f} s a clip and process); --processes shares them out."


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise UserError(f"The size {text!r} is not WxH.", "Give two numbers, for example 224x128.") from None
    if width % 16 or height % 16 or min(width, height) < 64:
        raise UserError(f"Clips of {text} cannot be made.", "Both sides must be multiples of 16, at least 64.")
    return width, height


def _strengths(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"The strengths {text!r} are not numbers.", "Give for example 0.5,1.") from None
    if not values or list(values) != sorted(set(values)) or not 0 < values[0] <= values[-1] <= 1:
        raise UserError(f"The strengths {text!r} do not rise within (0, 1].", "Give for example 0.33,0.67,1.")
    return values
