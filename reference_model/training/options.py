"""Options of ``hmbench train-reference``, read without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command's options; None leaves a setting to the recipe."""

    preset: str = "nano"
    """``nano``, ``mini`` or ``paper``."""
    memory: str = "hydra"
    """Name of a method (entry-point group ``hmbench.memories``)."""
    also: Sequence[str] = ()
    """Names of methods without weights that train in turn with it, on the same backbone."""
    data: str = "mini"
    """A folder in HM-World's layout, or ``mini`` or ``mini-easy``: the train split of an embedded world, in memory."""
    split: str = "train"
    """Split of a folder."""
    clips: int | None = None
    """Use the first so many clips; for ``mini`` how many are rendered."""
    out: Path
    """The run's folder."""
    prepared: Path | None = None
    """Folder of codec and latents, to share between runs."""
    steps: int | None = None
    """Steps."""
    batch: int | None = None
    """Clips a step."""
    learning_rate: float | None = None
    """Peak learning rate."""
    noise_shift: float | None = None
    """How far noise levels are pushed towards noise."""
    subject_weight: float | None = None
    """How many times errors count where the target shows a subject."""
    validation_clips: int | None = None
    """Clips held out."""
    checkpoint_every: int | None = None
    """Steps between checkpoints."""
    codec_steps: int | None = None
    """Steps of the codec."""
    seed: int = 0
    """Of weights, order and noise."""
    device: str = "cpu"
    """``cpu``, ``cuda`` or ``cuda:N``."""
    base: Path | None = None
    """Where the transformer begins: Wan 2.1 in diffusers' format for ``paper``, else a finished run of the preset."""
    command: str = ""
    """How the run was asked for."""
