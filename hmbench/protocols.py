"""The plug-in points: what a world model, a tracker and a metric must offer.

A stranger's package offers a model by an entry point in the group ``hmbench.models`` that names a factory::

    # pyproject.toml
    [project.entry-points."hmbench.models"]
    freeze = "my_package:freeze"

    # my_package.py
    class Freeze:
        info = ModelInfo(name="freeze", description="repeats the last context frame")

        def generate(self, prompt: Prompt, *, seed: int) -> Video:
            return np.repeat(prompt.context[-1:], prompt.num_target_frames, axis=0)

    def freeze(*, profile: str = "mini", device: str = "cpu") -> WorldModel:
        return Freeze()

A factory takes keyword arguments only. ``profile`` and ``device`` are passed if it accepts them; its other arguments
are the options that ``--option name=value`` sets, converted by their annotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args, runtime_checkable

if TYPE_CHECKING:
    from hmbench.case import Case
    from hmbench.types import Prompt, Score, Track, Truth, Video


Standing = Literal["model", "stand-in", "no memory", "untrained", "bound"]
"""What a model's numbers are worth: ``model`` competes; ``stand-in`` competes with smaller weights than its name says;
``no memory`` is a trick or an anchor that remembers nothing, and no model should stand below it; ``untrained`` weights
give no result; a ``bound`` was shown the truth."""
RANKED: frozenset[Standing] = frozenset({"model", "stand-in", "no memory"})
"""Standings that take part in rankings, in comparisons and on leaderboards alike."""


def standing_of(info: Mapping[str, Any]) -> Standing:
    """The standing in a run's record of its model; of version 0.1, which had none, as it follows from the rest."""
    for known in get_args(Standing):
        if info.get("standing") == known:
            return cast(Standing, known)
    if info.get("trained") is False:
        return "untrained"
    if info.get("notice"):
        return "stand-in" if info.get("trained") else "bound"
    return "model"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a run records of the model that it evaluated."""

    name: str
    """Short name, as in tables."""
    description: str
    """One line: what it does."""
    trained: bool | None = None
    """False: weights are untrained and its numbers are no result. None: it has no weights."""
    notice: str | None = None
    """A sentence that every surface (screen, run.json, table) must show beside the numbers."""
    standing: Standing = "model"
    """What its numbers are worth; untrained weights are ``untrained`` whatever is said here."""
    weights: dict[str, str] = field(default_factory=dict)
    """Weight files or names to their sha256 digests."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Resolved settings (JSON types): size it works at, frames, steps, guidance, memory."""

    def __post_init__(self) -> None:
        if self.trained is False:
            object.__setattr__(self, "standing", "untrained")


@runtime_checkable
class WorldModel(Protocol):
    """Generates the future of a clip."""

    info: ModelInfo

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """The frames after the context, uint8 ``[Tt, H, W, 3]`` at the prompt's size.

        The same prompt and seed give the same frames, whatever was generated before.
        """
        ...


@runtime_checkable
class Batches(Protocol):
    """A model that fills a device by several clips at once."""

    info: ModelInfo
    batch: int
    """Clips that it is given at once; recorded in its settings, since sums over a batch may round otherwise."""

    def generate_batch(self, prompts: Sequence[Prompt], *, seeds: Sequence[int]) -> list[Video]:
        """The frames after each context, as `WorldModel.generate` gives them alone up to rounding.

        Args:
            prompts: Of equal numbers of frames.
            seeds: One a prompt.
        """
        ...


@runtime_checkable
class TruthModel(Protocol):
    """A model that is shown the truth, to mark the bound that metrics can reach; tables flag it."""

    info: ModelInfo

    def generate_from_truth(self, prompt: Prompt, truth: Truth, *, seed: int) -> Video:
        """As `WorldModel.generate`, with the answer in sight."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A model that gains from knowing a run's captions: a large text encoder is loaded once and dropped."""

    def prepare(self, captions: Iterable[str]) -> int:
        """Encodes and caches captions; returns how many were new."""
        ...


@runtime_checkable
class Plans(Protocol):
    """A model that can tell what it needs of the machine."""

    def plan_lines(self) -> list[str]:
        """Sentences on the memory that is needed and the memory that is there."""
        ...


class SubjectTracker(Protocol):
    """Follows subjects through a video, from its frames alone."""

    name: str

    def track(self, video: Video) -> tuple[Track, ...]:
        """Tracks, longest first; empty if no subject was found."""
        ...


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """What a number means; a change of any number it may give is a change of `version`."""

    name: str
    """Column name, for example ``psnr_subject``."""
    version: int
    """Raised whenever the metric's numbers may change; unequal versions are never ranked together."""
    higher_is_better: bool | None
    """Direction; None for descriptive numbers that must not rank (an early or late re-entry in frames)."""
    unit: str = ""
    """``dB``, ``frames``, or empty for a ratio."""
    bounds: tuple[float | None, float | None] = (None, None)
    """Smallest and largest possible value, None where there is none; a perfect model reaches the better one."""
    needs: frozenset[str] = frozenset()
    """What a case must have: ``truth``, ``labels``, ``separate``, ``tracks``, ``events``, or names of backbones."""
    source: str = ""
    """Paper, section or equation it follows."""
    headline: bool = False
    """Shown in the table on screen; the others are in the files."""


class Metric(Protocol):
    """Scores one prediction.

    A row exists for every metric and sample: what cannot be measured is ``Score.skipped(reason)``, never 0.
    """

    info: MetricInfo

    def __call__(self, case: Case) -> Score:
        """The score of one case."""
        ...
