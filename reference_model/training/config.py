"""Settings of a training run, as frozen records; recipes are functions that return one.

A recipe holds everything but data and seed; its memory is HyDRA's, and rivals change nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reference_model.model.config import HydraConfig, hydra_wan_1_3b, mini, nano
from reference_model.model.trainable import TrainingRule

Weighting = Literal["released", "none"]
Levels = Literal["shared", "per_frame"]
Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class CodecTrainingConfig:
    """Training of the mini codec; the paper's codec is frozen and has none."""

    steps: int = 2000
    """Optimizer steps after the start at the principal components; 0 keeps the linear codec."""
    batch: int = 8
    """Crops a step."""
    frames: int = 17
    """Frames of a crop, 4k + 1."""
    side: int = 64
    """Pixels of a crop's sides, a multiple of the codec's space stride."""
    clips: int = 96
    """Clips held in memory to crop from and to find the components of."""
    learning_rate: float = 2e-3
    """Peak; warm-up over the first twentieth, cosine to zero."""
    absolute: float = 0.1
    """Share of mean absolute error beside mean squared error: sharper edges for a little PSNR."""

    def __post_init__(self) -> None:
        if self.steps < 0 or min(self.batch, self.frames, self.side, self.clips) < 1:
            raise ValueError(f"codec training needs positive sizes, got {self}")


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Flow matching: which noise levels, and what counts in the loss."""

    shift: float
    """How far levels are pushed towards noise, the sampler's own."""
    weighting: Weighting = "released"
    """``released``: exp(-2 ((t - 500) / 1000)^2) less its minimum, mean 1, as the released code. ``none``: 1."""
    levels: Levels = "shared"
    """``shared``: one level a clip, context clean. ``per_frame``: an independent level for each latent frame of context
    and target (diffusion forcing)."""
    channel_power: float = 0.0
    """Squared errors of a latent channel count by its deviation before normalisation to this power: a strong channel
    is more of the picture, and normalised channels would all count alike. 0 for Wan's codec, as released."""
    subject_weight: float = 1.0
    """Squared errors count so many times where the target shows a subject (with the share of a latent that does). 1 as
    released; subjects are a few hundredths of a picture, which a short training otherwise leaves for last."""
    text_dropout: float = 0.1
    """Share of clips that are shown no caption, so that guidance on text has something to steer from."""
    camera_dropout: float = 0.0
    """Share of clips whose cameras are all zero. 0 as released: guidance keeps the cameras."""

    def __post_init__(self) -> None:
        if not (
            0 <= self.text_dropout < 1 and 0 <= self.camera_dropout < 1 and min(self.shift, self.subject_weight) > 0
        ):
            raise ValueError(f"dropouts must lie in [0, 1), shift and subject_weight above 0, got {self}")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW."""

    learning_rate: float
    """Peak."""
    warmup: int = 0
    """Steps of linear warm-up."""
    final: float = 1.0
    """Cosine decay down to this share of the peak at the last step; 1 is constant, as released."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the moments."""
    weight_decay: float = 0.01
    """Decoupled decay, torch's and so the released code's default."""
    clip_norm: float = 1.0
    """Gradients longer than this are scaled to it."""

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and self.clip_norm > 0 and self.warmup >= 0):
            raise ValueError(
                f"learning rate and clip_norm must lie above 0 and warm-up not below, got "
                f"{self.learning_rate}, {self.clip_norm} and {self.warmup}"
            )

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step (counted from 0), a function of the step alone: nothing to resume."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, steps - self.warmup)
        return self.learning_rate * (self.final + (1 - self.final) * (1 + math.cos(math.pi * min(1.0, share))) / 2)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a run is carried out and watched."""

    batch: int
    """Clips a step over all processes together."""
    micro_batch: int | None = None
    """Clips a process works on at once; None: all of its share. Gradients of the parts are summed."""
    precision: Precision = "no"
    """Mixed precision on a GPU; on a CPU it is float32 (autocast only slows old CPUs down)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: a third more time, a fraction of the memory."""
    ema: float | None = 0.999
    """Decay of the averaged weights that are saved as the model; None saves the last ones."""
    validation_clips: int = 8
    """Clips held out of training, from the end of a fixed shuffle of the ids."""
    validate_every: int = 250
    """Steps between validations."""
    sample_clips: int = 2
    """Held-out clips generated for a film strip at each validation; 0 for none."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    keep: int = 2
    """Checkpoints kept."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""

    def __post_init__(self) -> None:
        counts = (self.batch, self.validate_every, self.checkpoint_every, self.keep, self.log_every)
        if min(counts) < 1 or self.validation_clips < 0 or self.sample_clips < 0:
            raise ValueError(f"counts must be positive, got {self}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema must lie in [0, 1) or be None, got {self.ema}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that makes a run, except data and seed."""

    model: HydraConfig
    """What is trained."""
    memory: str = "hydra"
    """Name of the memory, as in tables and folders."""
    also: tuple[Mapping[str, Any], ...] = ()
    """Descriptions of memories without weights that train in turn with the model's own, step by step, on one backbone:
    a base for rivals that favours none of these."""
    rule: TrainingRule = "all"
    """``paper``: self-attention, cameras, projector and memory train, the rest is frozen. ``all``: everything."""
    start: Literal["copy", "default"] = "copy"
    """Starting weights: ``copy`` predicts noise less the mean of what is attended to (`start.start_with_a_copy`);
    ``default`` are the layers' own, or a pretrained model's."""
    steps: int = 2000
    """Steps."""
    codec: CodecTrainingConfig = field(default_factory=CodecTrainingConfig)
    """Of the mini codec."""
    flow: FlowConfig
    """Loss."""
    optimizer: OptimizerConfig
    """Optimizer."""
    run: RunConfig
    """Batch, precision, watching."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.steps=} must be at least 1")


def train_nano() -> TrainingConfig:
    """112x64 on one CPU core, in minutes: 1,200 samples.

    The bell over noise levels is left out here and in `train_mini`: it gives the levels near pure noise, where nothing
    but the memory can tell what to paint, a tenth of the weight, and a short training must learn to remember first.
    """
    model = nano()
    return TrainingConfig(
        model=model,
        steps=600,
        codec=CodecTrainingConfig(steps=400, clips=96),
        flow=FlowConfig(
            shift=model.sampler.shift, weighting="none", channel_power=1.5, subject_weight=8.0, text_dropout=0.05
        ),
        optimizer=OptimizerConfig(learning_rate=1.5e-3, warmup=30, final=0.05, betas=(0.9, 0.98)),
        run=RunConfig(batch=2, ema=0.99, validate_every=600, checkpoint_every=200),
    )


def train_mini() -> TrainingConfig:
    """224x128 on one GPU."""
    model = mini()
    return TrainingConfig(
        model=model,
        steps=40_000,
        codec=CodecTrainingConfig(steps=8000, clips=256),
        flow=FlowConfig(
            shift=model.sampler.shift, weighting="none", channel_power=1.0, subject_weight=8.0, text_dropout=0.05
        ),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup=500, final=0.02, betas=(0.9, 0.98)),
        run=RunConfig(batch=32, precision="bf16", ema=0.999, validate_every=1000, checkpoint_every=1000),
    )


def train_paper() -> TrainingConfig:
    """HyDRA on Wan 2.1 1.3B: 10,000 steps of 32 clips, learning rate 1e-5 (arXiv 2603.25716, section 5.1)."""
    model = hydra_wan_1_3b()
    return TrainingConfig(
        model=model,
        rule="paper",
        start="default",
        steps=10_000,
        codec=CodecTrainingConfig(steps=0),
        flow=FlowConfig(shift=model.sampler.shift, text_dropout=0.1),
        optimizer=OptimizerConfig(learning_rate=1e-5),
        run=RunConfig(
            batch=32,
            micro_batch=1,
            precision="bf16",
            gradient_checkpointing=True,
            ema=None,
            validate_every=500,
            checkpoint_every=500,
        ),
    )


TRAINING = {"nano": train_nano, "mini": train_mini, "paper": train_paper}
"""Recipes by preset."""
