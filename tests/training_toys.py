"""A source of tiny moving pictures and a recipe far below nano: what matters in these tests is the machinery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reference_model.model.config import (
    _FROM_NOTHING,
    CodecConfig,
    HydraConfig,
    SamplerConfig,
    TextConfig,
    TransformerConfig,
)
from reference_model.training.clips import TrainingClip
from reference_model.training.config import (
    CodecTrainingConfig,
    FlowConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)

WIDTH, HEIGHT, FRAMES = 32, 16, 21
LIKE = ("wan", "nano")
"""Transformers: as Wan's (places on the picture's grid, velocities) and as the small recipes begin from nothing
(places in the world, channels of content, clean predictions, the picture in bands)."""
_TRANSFORMER = {"wan": {}, "nano": {**_FROM_NOTHING, "content": 4, "bands": 2, "patch": (1, 1, 2)}}
MEMORY = {"kind": "hydra", "window": 3, "top_k": 2, "kernel": (2, 1, 1), "stride": (2, 1, 1)}


class Waves:
    """Clips of drifting waves under a panning camera; clip k is a function of k."""

    name = "waves"

    def __init__(self, count=10, frames=FRAMES):
        self.count, self.frames, self.loaded = count, frames, []

    def ids(self):
        return tuple(f"wave-{k:03d}" for k in range(self.count))

    def load(self, clip_id):
        self.loaded.append(clip_id)
        k = int(clip_id[-3:])
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        t = np.arange(2 * self.frames)[:, None, None]
        waves = np.sin(0.3 * x + 0.2 * y + 0.1 * t * (1 + k % 3) + k)[..., None]
        video = np.clip(127.5 + 90 * waves * np.array([1.0, 0.5, -0.7]), 0, 255).astype(np.uint8)
        poses = np.tile(np.eye(4), (2 * self.frames, 1, 1))
        poses[:, 0, 3] = 0.05 * np.arange(2 * self.frames)
        half = self.frames
        return TrainingClip(
            context=video[:half],
            target=video[half:],
            context_poses=poses[:half],
            target_poses=poses[half:],
            caption=f"wave number {k}",
        )

    def revision(self):
        return f"waves-{self.count}-{self.frames}"


def pico_model(like="wan", **changes):
    parts = {
        "name": "pico-hydra",
        "width": WIDTH,
        "height": HEIGHT,
        "context_frames": FRAMES,
        "target_frames": FRAMES,
        "transformer": TransformerConfig(
            memory=MEMORY, dim=24, heads=2, layers=2, ffn_dim=32, freq_dim=16, **_TRANSFORMER[like]
        ),
        "codec": CodecConfig(latent_channels=4, hidden_channels=8, encoder_depth=1, decoder_depth=1),
        "text": TextConfig(dim=8, max_words=4),
        "sampler": SamplerConfig(steps=3, shift=3.0),
    }
    return HydraConfig(**{**parts, **changes})


def pico(steps=8, memory=None, like="wan", **run):
    model = pico_model(like)
    if memory is not None:
        model = replace(model, transformer=replace(model.transformer, memory=memory))
    settings = {
        "batch": 2, "validation_clips": 2, "sample_clips": 1, "log_every": 1,
        "validate_every": 4, "checkpoint_every": 4,
    }  # fmt: skip
    return TrainingConfig(
        model=model,
        steps=steps,
        codec=CodecTrainingConfig(steps=4, batch=2, frames=9, side=16, clips=4),
        flow=FlowConfig(shift=3.0, channel_power=1.0),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup=2, final=0.1),
        run=RunConfig(**{**settings, **run}),
    )
