"""What a run is asked for, and who hears how it goes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hmbench.errors import UserError
from hmbench.flags import flag, part
from hmbench.results.reading import EXACT, FITTING, Reading
from hmbench.run.place import place_of
from hmbench.run.workers_request import SHARING, Workers

if TYPE_CHECKING:
    from hmbench.data.dataset import OnClip


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


MOST_SEED = 10**18


def parse_shard(text: str | None) -> tuple[int, int]:
    """``k/n`` as numbers; of nothing, the place that a launcher such as srun gave this process.

    Raises:
        UserError: If it is not of that form.
    """
    if text is None:
        place = place_of(os.environ)
        return place.number, place.total
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise UserError(f"--shard {text!r} is not of the form k/n.", "For the first of four processes: --shard 0/4.")
    return int(number), int(count)


def several(values: list[str] | None) -> tuple[str, ...]:
    """What was given for an option that may be repeated."""
    return tuple(values or ())


def checked_device(device: str) -> str:
    """The device, if this machine has it; ``auto`` is resolved.

    Raises:
        UserError: If torch does not know it or cannot use it here.
    """
    import torch

    if device == "auto":
        return _own_gpu(torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
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


def _own_gpu(count: int) -> str:
    """The GPU of this process: several that a launcher started on one machine take one each."""
    local = place_of(os.environ).local
    return "cuda" if local is None or count < 2 else f"cuda:{local % count}"


RUN, DATA, SCORING, OWN = "Run", "Data", "Scoring", "Your own video"
ALL, MAKING, MEASURING, LOOKING = "eval generate score", "eval generate", "eval score", "check-predictions"
"""Commands that share an option; others are named beside it."""
NAMED: Any = str | None
SEVERAL: Any = list[str] | None


def names_of(values: list[str] | None) -> tuple[str, ...]:
    """Names that were given by repetition or with commas; each once."""
    return tuple(dict.fromkeys(name.strip() for value in values or () for name in value.split(",") if name.strip()))


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """What to evaluate on what, and where to put it. Each field is declared here alone, its option included."""

    out: Path = flag(
        help="Run folder; by default runs/MODEL-DATA-seedN.",
        commands=ALL,
        names=("--out", "-o"),
        panel=RUN,
        typed=Path | None,
    )
    """Run folder."""
    model: str | None = flag(
        None,
        "Model name (see `hmbench models`), package.module:factory, or folder.",
        commands=f"{MAKING} retrieval",
        names=("--model", "-m"),
        typed=str,
        otherwise=dict.fromkeys(("eval", "generate", "retrieval"), ...),
    )
    """Model name, ``module:factory`` or folder; None to score videos that exist already."""
    options: Mapping[str, str] = flag(
        make=dict,
        help="Model option name=value; repeatable.",
        commands=f"{MAKING} retrieval",
        names=("--option", "-O"),
        panel=RUN,
        typed=SEVERAL,
        read=parse_options,
    )
    """The model's own options, as text."""
    predictions: Path | None = flag(
        None, "Anyone's videos: a folder of SAMPLE.mp4, the target alone or context and target.", commands="score"
    )
    """Folder of ``<sample>.mp4`` to score instead of generating."""
    name: str | None = flag(
        None, "What tables call whoever made the videos; by default the folder's name.", commands="score"
    )
    """What tables call whoever made the predictions; None for their folder's name."""
    match: str | None = flag(
        None,
        "How files are named: a pattern like '{id}_seed0.mp4' ({seed}: all seeds), or a CSV of id and file.",
        commands="score check-predictions",
        panel=FITTING,
    )
    """How predictions are named: a pattern such as ``{id}_seed0.mp4``, or a CSV file of ids and files.

    With ``{seed}`` in it the command scores every seed (`hmbench.run.seeds`)."""
    reading: Reading = part(Reading, EXACT)
    """What to do with predictions of another rate, length or shape."""
    data: str = flag(
        "mini",
        "'mini', a folder in HM-World's layout, or package.module:source.",
        commands=f"{ALL} compare retrieval {LOOKING}",
        names=("--data", "-d"),
        panel=DATA,
        typed=NAMED,
        otherwise={"score": None, "compare": None, LOOKING: None},
    )
    """Name of a data source, ``module:NAME``, or a folder in HM-World's layout."""
    data_options: Mapping[str, Any] = field(default_factory=dict)
    """The data source's own options (JSON types)."""
    split: str = flag("all", "Split of the data, for example test.", commands=f"{ALL} compare {LOOKING}", panel=DATA)
    """Split of the data."""
    samples: tuple[str, ...] = flag(
        (),
        "This sample only, by its id or a beginning that no other has; repeatable.",
        commands=f"{ALL} {LOOKING}",
        names=("--sample",),
        panel=DATA,
        typed=SEVERAL,
        read=several,
    )
    """These ids only; empty for all of the split."""
    limit: int | None = flag(
        None, "The first so many samples only.", commands=f"{ALL} compare {LOOKING}", panel=DATA, minimum=1
    )
    """The first so many ids only."""
    seed: int = flag(
        0, "Seed of the run; each sample's seed follows from it.", commands=f"{MAKING} compare retrieval", panel=RUN
    )
    """Seed of the run."""
    profile: str = flag(
        "mini",
        "'mini' (weights in the package) or 'paper' (the paper's networks).",
        commands=f"{ALL} compare retrieval validate-metrics",
        panel=RUN,
    )
    """``mini`` or ``paper``: the model's scale and the metrics' backbones."""
    weights: Path | None = flag(
        None,
        "Folder of the metrics' networks (`hmbench weights pull DIR`).",
        commands=f"{MEASURING} compare validate-metrics",
        panel=SCORING,
    )
    """Folder of backbone weights (`hmbench weights pull`)."""
    metrics: tuple[str, ...] = flag(
        (),
        "This metric only, by name (docs/metrics.md) or package.module:NAME; repeatable, or with commas.",
        commands=MEASURING,
        names=("--metric", "--metrics"),
        panel=SCORING,
        typed=SEVERAL,
        read=names_of,
    )
    """These metrics only; empty for all."""
    quality: bool = flag(
        False,
        "Also MUSIQ and NIQE, which need no truth (`hmbench weights pull DIR --only musiq --only niqe`).",
        commands=MEASURING,
        names=("--quality/--no-quality",),
        panel=SCORING,
    )
    """Also the optional no-reference quality metrics of pyiqa."""
    vbench: bool = flag(
        False,
        "Also VBench's dimensions of motion (`hmbench weights pull DIR --only raft`).",
        commands=MEASURING,
        names=("--vbench/--no-vbench",),
        panel=SCORING,
    )
    """Also VBench's optional dimensions of motion."""
    tracking: bool = flag(
        True,
        "Follow subjects in the videos; without, what is about subjects is skipped.",
        commands=MEASURING,
        names=("--tracking/--no-tracking",),
        panel=SCORING,
    )
    """Whether to track subjects."""
    tracker: str = flag(
        "botsort",
        "How detections become tracks: botsort (takes the camera's motion out), bytetrack, or package.module:NAME.",
        commands=MEASURING,
        panel=SCORING,
    )
    """How detections become tracks: ``botsort``, ``bytetrack``, an installed tracker or ``module:NAME``."""
    any_class: bool = flag(
        False,
        "Follow whatever the detector finds, of any class.",
        commands=MEASURING,
        names=("--any-class",),
        panel=SCORING,
    )
    """Class-agnostic: whatever the detector finds is a subject."""
    shard: tuple[int, int] = flag(
        (0, 1),
        "k/n: every n-th sample from the k-th (from 0), to share a run without Ray; under torchrun, srun or a Slurm "
        "array, by default this process's own share.",
        commands=ALL,
        panel=SHARING,
        typed=str | None,
        read=parse_shard,
        otherwise=dict.fromkeys(("eval", "generate", "score")),
    )
    """(k, n): only every n-th sample, from the k-th on, so that n processes can share a run folder."""
    join: bool = flag(
        False,
        "If another process works on --out already, share the work that is left instead of being refused.",
        commands=ALL,
        names=("--join",),
        panel=SHARING,
    )
    """Share the work of a process that works on the run folder already, instead of being refused."""
    workers: Workers = part(Workers, Workers())
    """Worker processes on Ray; by default none."""
    device: str = flag(
        "cpu",
        "Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one.",
        commands=f"{ALL} compare retrieval models validate-metrics",
        panel=RUN,
        read=checked_device,
        otherwise=dict.fromkeys(("eval", "generate", "score", "compare", "retrieval", "validate-metrics"), "auto"),
    )
    """Torch device; looked at last, since it needs torch."""

    def __post_init__(self) -> None:
        number, count = self.shard
        if not 0 <= number < count:
            raise UserError(f"There is no shard {number} of {count}.", "Shards count from 0: 0/4, 1/4, 2/4, 3/4.")
        if abs(self.seed) >= MOST_SEED:  # beyond, the run's own record could not be read again
            raise UserError("The seed has too many digits.", f"Give one below {MOST_SEED:.0e}.")
        if self.any_class and not self.tracking:
            raise UserError("--any-class is about tracking, and --no-tracking was given.", "Give one of the two.")


def default_out(model: str, data: str, seed: int) -> Path:
    """``runs/<model>-<data>-seed<n>``: the same request finds its folder again and resumes."""
    parts = (Path(model).name.replace(":", "."), Path(data).resolve().name if Path(data).exists() else data)
    name = f"{parts[0]}-{parts[1].replace(':', '.')}-seed{seed}"
    return Path("runs") / "-".join(name.split())  # without blanks it can be copied into the next command


class Reporter(Protocol):
    """Hears how a run goes; the command line shows it, tests count it."""

    def stage(self, name: str, total: int, done: int) -> None:
        """A stage begins, with so many samples, some of which were complete."""

    def advance(self, sample_id: str) -> None:
        """One more sample is done."""

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """A sample failed; the run goes on."""

    def notice(self, text: str) -> None:
        """Something that the reader must know about the numbers."""


def clips_told(reporter: Reporter) -> OnClip:
    """What hears of each clip of the mini world that has to be rendered first, and tells the reporter."""
    begun: list[str] = []

    def on_clip(name: str, total: int) -> None:
        if not begun:
            reporter.stage("render", total, 0)
        begun.append(name)
        reporter.advance(name)

    return on_clip


class Silent:
    """Reports nothing."""

    def stage(self, name: str, total: int, done: int) -> None:
        """Ignores it."""

    def advance(self, sample_id: str) -> None:
        """Ignores it."""

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """Ignores it."""

    def notice(self, text: str) -> None:
        """Ignores it."""
