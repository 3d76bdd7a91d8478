"""``hmbench train-reference``: trains the reference model or a rival memory, found as an installed trainer.

The trainer comes from the entry-point group ``hmbench.trainers``: hmbench itself knows no model.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from hmbench.own_code import called
from hmbench.registry import TRAINERS

MODEL, DATA, LENGTH = "Model", "Data", "Length and pace"

Preset = Annotated[str, typer.Option(help="nano (CPU), mini (one GPU) or paper.", rich_help_panel=MODEL)]
MemoryName = Annotated[str, typer.Option(help="Memory: hydra, full-context, fov-retrieval, ...", rich_help_panel=MODEL)]
Also = Annotated[
    list[str] | None,
    typer.Option(
        help="Train in turn with this memory too (it has no weights of its own); may be repeated.",
        rich_help_panel=MODEL,
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(
        help="Where to begin: a finished run of the same preset; for --preset paper Wan 2.1 in diffusers' format.",
        rich_help_panel=MODEL,
    ),
]
Data = Annotated[
    str,
    typer.Option("--data", "-d", help="Folder in HM-World's layout, or 'mini' (rendered).", rich_help_panel=DATA),
]
Split = Annotated[str, typer.Option(help="Split of the folder.", rich_help_panel=DATA)]
Clips = Annotated[int | None, typer.Option(min=2, help="Use the first so many clips.", rich_help_panel=DATA)]
Prepared = Annotated[
    Path | None,
    typer.Option(help="Folder of codec and latents, shared between runs; default: in --out.", rich_help_panel=DATA),
]
Held = Annotated[int | None, typer.Option("--validation-clips", min=0, help="Clips held out.", rich_help_panel=DATA)]
Out = Annotated[Path, typer.Option("--out", "-o", help="The run's folder; a killed run goes on there.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps.", rich_help_panel=LENGTH)]
Batch = Annotated[int | None, typer.Option(min=1, help="Clips a step, over all processes.", rich_help_panel=LENGTH)]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="Peak, above 0.", rich_help_panel=LENGTH)]
NoiseShift = Annotated[
    float | None,
    typer.Option(help="Push noise levels towards noise; large: the first sampling step.", rich_help_panel=LENGTH),
]
SubjectWeight = Annotated[
    float | None, typer.Option(help="How many times errors on subjects count.", rich_help_panel=LENGTH)
]
CheckpointEvery = Annotated[
    int | None, typer.Option(min=1, help="Steps between checkpoints and validations.", rich_help_panel=LENGTH)
]
CodecSteps = Annotated[
    int | None, typer.Option(min=0, help="Steps of the codec; 0: principal components alone.", rich_help_panel=LENGTH)
]
Seed = Annotated[int, typer.Option(help="Of weights, order and noise.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N; several GPUs through `accelerate launch`.")]
Trainer = Annotated[str, typer.Option(help="Installed trainer (entry-point group hmbench.trainers).")]


def register(app: typer.Typer) -> None:
    """Adds ``train-reference``."""
    app.command("train-reference")(train_command)


def train_command(
    out: Out,
    preset: Preset = "nano",
    memory: MemoryName = "hydra",
    also: Also = None,
    base: Base = None,
    data: Data = "mini",
    split: Split = "train",
    clips: Clips = None,
    prepared: Prepared = None,
    validation_clips: Held = None,
    steps: Steps = None,
    batch: Batch = None,
    learning_rate: Rate = None,
    noise_shift: NoiseShift = None,
    subject_weight: SubjectWeight = None,
    checkpoint_every: CheckpointEvery = None,
    codec_steps: CodecSteps = None,
    seed: Seed = 0,
    device: Device = "cpu",
    trainer: Trainer = "reference",
) -> None:
    """Train the reference model with any memory: codec, latent cache, transformer, saved model.

    A run that was stopped goes on where it was when the same command is given again. The folder is a model:
    `hmbench eval --model OUT`. For a memory of your own: `hmbench eval --model module:NAME --option
    checkpoint=OUT`.
    """
    from hmbench.cli.console import out as screen

    options: dict[str, Any] = {
        key: value for key, value in locals().items() if key not in ("trainer", "screen", "options")
    }
    options["also"] = tuple(also or ())
    train = find_trainer(trainer)
    command = shlex.join(["hmbench", *sys.argv[1:]])
    with _Bars() as bars:
        folder = called("trainer", trainer, train, {**options, "command": command}, bars)
    # code that a folder names is never run, so that a memory of one's own is named beside its weights
    place = shlex.quote(str(folder))
    run = shlex.quote(str(Path("runs") / Path(folder).resolve().name))  # the untrained memory's run has the usual name
    model = place if ":" not in memory else f"{memory} --option checkpoint={place} --out {run}"
    screen.print(f"Trained: {folder}\nEvaluate it: hmbench eval --model {model}", highlight=False, soft_wrap=True)


def find_trainer(name: str) -> Any:
    """The installed trainer: called with options (a mapping) and a listener, it returns the model's folder.

    Raises:
        UserError: If none goes by that name.
    """
    return TRAINERS.find(name)


class _Bars:
    """The stages of a run as progress bars on stderr; under several processes only the main one is told anything."""

    def __init__(self) -> None:
        from hmbench.cli.console import progress_bar

        self._progress = progress_bar()
        self._task: Any = None

    def __enter__(self) -> _Bars:
        return self  # the bar comes with the first stage: a command that is refused before shows none

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def stage(self, name: str, total: int, done: int) -> None:
        """A new bar."""
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, completed=done, note="")

    def advance(self, done: int, note: str) -> None:
        """Moves the bar."""
        assert self._task is not None, "advance before stage"
        self._progress.update(self._task, completed=done, note=note)

    def notice(self, text: str) -> None:
        """Prints above the bar."""
        self._progress.console.print(text, highlight=False, soft_wrap=True, markup=False)
