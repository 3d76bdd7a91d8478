"""What ``hmbench train-reference`` runs, and clips as hmbench's data give them.

With `world_model.py` and `cli.py` the only files of this package that know hmbench.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hmbench.data.cameras import parse_cameras
from hmbench.data.dataset import Dataset, open_dataset
from hmbench.data.hm_world import HMWorld
from hmbench.errors import UserError, did_you_mean
from hmbench.files import read_json
from hmbench.types import Video
from hmbench.video.files import read_video, resize_video
from reference_model.model.memory_kinds import build_memory
from reference_model.model.methods import Method
from reference_model.sampling.method_factory import memory_method
from reference_model.training.clips import ClipSource, TrainingClip
from reference_model.training.config import TRAINING, OptimizerConfig, TrainingConfig
from reference_model.training.monitor import Listener
from reference_model.training.options import TrainOptions
from reference_model.training.run import TrainingRequest, run_training
from reference_model.training.stop import TrainingStoppedError

if TYPE_CHECKING:
    from hmbench.data.mini_world import ClipSpec
    from hmbench.data.mini_world.clip import RenderedClip

MINI_CLIPS = 1500
"""Clips of the embedded world that ``--data mini`` renders unless told otherwise."""
MINI_SPLITS: dict[str, Literal["train", "easy-train"]] = {"mini": "train", "mini-easy": "easy-train"}
"""Training splits of the embedded worlds by ``--data``."""


def train(options: TrainOptions, listener: Listener | None = None) -> Path:
    """Trains and returns the saved model's folder.

    Raises:
        UserError: For a mistake in the options, and when a run cannot go on.
    """
    config = training_config(options)
    size = (config.model.width, config.model.height)
    frames = (config.model.context_frames, config.model.target_frames)
    request = TrainingRequest(
        config=config,
        source=open_source(options, size, frames),
        out=options.out,
        prepared=options.prepared,
        seed=options.seed,
        device=options.device,
        base=options.base,
        command=options.command,
    )
    try:
        return run_training(request, listener)
    except TrainingStoppedError as error:
        raise UserError(error.what, error.hint) from error


def training_config(options: TrainOptions) -> TrainingConfig:
    """The recipe with what the options change.

    Raises:
        UserError: For an unknown preset or memory, or impossible values.
    """
    if options.preset not in TRAINING:
        raise UserError(f"There is no preset {options.preset!r}.", did_you_mean(options.preset, TRAINING))
    recipe = TRAINING[options.preset]()
    every, run, steps = options.checkpoint_every, recipe.run, _given(options.steps, recipe.steps)
    try:
        method = memory_method(options.memory)
        return replace(
            recipe,
            memory=method.name,
            also=tuple(_other_memory(name, method, recipe) for name in options.also),
            model=method.apply(options.preset),
            steps=steps,
            flow=replace(
                recipe.flow,
                levels="per_frame" if method.per_frame_noise else "shared",
                shift=recipe.flow.shift if options.noise_shift is None else options.noise_shift,
                subject_weight=(
                    recipe.flow.subject_weight if options.subject_weight is None else options.subject_weight
                ),
            ),
            optimizer=_paced(recipe.optimizer, steps, options.learning_rate),
            codec=replace(recipe.codec, steps=_given(options.codec_steps, recipe.codec.steps)),
            run=replace(
                run,
                batch=_given(options.batch, run.batch),
                validation_clips=_given(options.validation_clips, run.validation_clips),
                checkpoint_every=_given(every, _due(run.checkpoint_every, steps)),
                validate_every=_given(every, run.validate_every),
            ),
        )
    except ValueError as error:
        raise UserError(f"This cannot be trained: {error}.", "See `hmbench train-reference --help`.") from error


def _other_memory(name: str, main: Method, recipe: TrainingConfig) -> dict[str, Any]:
    """Description of a memory that takes turns with the main one.

    Raises:
        ValueError: If the two cannot share noise levels, or it has weights, which no saved model would hold.
    """
    other = memory_method(name)
    if (other.conditioning, other.per_frame_noise) != (main.conditioning, main.per_frame_noise):
        raise ValueError(f"{name} and {main.name} are trained on different noise levels and cannot take turns")
    described = other.describe(recipe.model)
    if build_memory(described, recipe.model.backbone()).num_parameters():
        raise ValueError(f"{name} has weights of its own; only memories without may take turns with {main.name}")
    return described


def _given(option: int | None, recipe: int) -> int:
    return recipe if option is None else option


def _paced(recipe: OptimizerConfig, steps: int, rate: float | None) -> OptimizerConfig:
    """The recipe's optimizer; its warm-up becomes a tenth of a run that it would take more than half of."""
    warmup = recipe.warmup if recipe.warmup <= steps // 2 else max(1, steps // 10)
    return replace(recipe, warmup=warmup, learning_rate=recipe.learning_rate if rate is None else rate)


def _due(every: int, steps: int) -> int:
    """Steps between checkpoints: the recipe's, or a quarter of a run that would end before the first."""
    return every if every < steps else max(1, steps // 4)


def open_source(options: TrainOptions, size: tuple[int, int], frames: tuple[int, int]) -> ClipSource:
    """The clips that ``--data`` names, at the model's size (width, height) and length.

    Raises:
        UserError: If there are none.
    """
    if options.data in MINI_SPLITS:
        count = _given(options.clips, MINI_CLIPS)
        return MiniWorldClips(count=count, size=size, frames=frames, split=MINI_SPLITS[options.data])
    dataset = open_dataset(options.data)
    ids = dataset.ids(options.split)[: options.clips]
    if not ids:
        raise UserError(
            f"The split {options.split!r} of {options.data} has no clips.", "Give another --split, or --split all."
        )
    if isinstance(dataset, HMWorld):
        return FolderClips(folder=dataset, clip_ids=ids, size=size, frames=frames)
    return DatasetClips(dataset=dataset, clip_ids=ids, size=size, frames=frames)


@dataclass(frozen=True)
class FolderClips:
    """Clips of a folder in HM-World's layout; of the masks only whether a subject is seen."""

    folder: HMWorld
    clip_ids: tuple[str, ...]
    size: tuple[int, int]
    frames: tuple[int, int]

    @property
    def name(self) -> str:
        """Name of the folder; of a mini world also its version, generator, split and seed."""
        record = self.folder.folder / "mini.json"
        if not record.is_file():
            return self.folder.name
        made = read_json(record)
        return (
            f"{made['version']} generator {made['generator']}, {made['split']} split, seed {made['seed']}, "
            f"{made['size'][0]}x{made['size'][1]}"
        )

    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return self.clip_ids

    def load(self, clip_id: str) -> TrainingClip:
        """Reads the two videos and the cameras.

        Raises:
            SampleError: If a file is missing or damaged.
        """
        path = self.folder.folder / clip_id
        context, target = (read_video(path / name) for name in ("cond.mp4", "tgt.mp4"))
        poses = parse_cameras(read_json(path / "camera.json"), len(context), len(target), str(path / "camera.json"))
        _check_length(clip_id, (len(context), len(target)), self.frames)
        width, height = self.size
        return TrainingClip(
            context=_resized(context, width, height),
            target=_resized(target, width, height),
            context_poses=poses[0],
            target_poses=poses[1],
            caption=self.folder.caption(clip_id) or "",
            subjects=self.folder.subjects_seen(clip_id, (len(context), len(target))),
        )

    def revision(self) -> str:
        """The folder's own digest of these clips."""
        return self.folder.revision(self.clip_ids)


@dataclass(frozen=True)
class DatasetClips:
    """Clips of any other `Dataset`."""

    dataset: Dataset
    clip_ids: tuple[str, ...]
    size: tuple[int, int]
    frames: tuple[int, int]

    @property
    def name(self) -> str:
        """The data's name."""
        return self.dataset.name

    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return self.clip_ids

    def load(self, clip_id: str) -> TrainingClip:
        """One clip, cut to nothing: its length must be the model's."""
        sample = self.dataset.load(clip_id)
        assert sample.truth is not None, f"{clip_id} has no target"
        _check_length(clip_id, (len(sample.prompt.context), len(sample.truth.target)), self.frames)
        width, height = self.size
        return TrainingClip(
            context=_resized(sample.prompt.context, width, height),
            target=_resized(sample.truth.target, width, height),
            context_poses=sample.prompt.context_poses,
            target_poses=sample.prompt.target_poses,
            caption=sample.prompt.caption,
            subjects=None if sample.truth.target_labels is None else sample.truth.target_labels > 0,
        )

    def revision(self) -> str:
        """The data's own digest of these clips."""
        return self.dataset.revision(self.clip_ids)


@dataclass(frozen=True)
class MiniWorldClips:
    """A training split of the embedded world, drawn in memory when asked for."""

    count: int
    size: tuple[int, int]
    frames: tuple[int, int]
    split: Literal["train", "easy-train"] = "train"

    @property
    def name(self) -> str:
        """Version, generator and split."""
        from hmbench.data.mini_world import GENERATOR
        from hmbench.data.mini_world.splits import version_of

        return (
            f"{version_of(self.split)} generator {GENERATOR}, {self.split} split, seed 0, "
            f"{self.size[0]}x{self.size[1]}, in memory"
        )

    def ids(self) -> tuple[str, ...]:
        """A number for each slot of the split."""
        return tuple(f"slot-{slot:05d}" for slot in range(self.count))

    def load(self, clip_id: str) -> TrainingClip:
        """Draws one clip."""
        from hmbench.data.mini_world.captions import captions

        clip = render_slot(self.split, int(clip_id.removeprefix("slot-")), self.size, self.frames[0])
        half = clip.num_context
        return TrainingClip(
            context=clip.frames[:half],
            target=clip.frames[half:],
            context_poses=clip.poses[:half],
            target_poses=clip.poses[half:],
            caption=captions(clip.spec).full,
            subjects=clip.labels[half:] > 0,
        )

    def revision(self) -> str:
        """Digest of what the clips follow from."""
        return hashlib.sha256(json.dumps([self.name, self.count, self.frames]).encode()).hexdigest()[:16]


def spec_of_slot(split: Literal["train", "easy-train"], slot: int) -> ClipSpec:
    """What the clip in a slot of a training split is made from: the first candidate that the filter takes."""
    from hmbench.data.mini_world import rejection
    from hmbench.data.mini_world.splits import candidate, least_share

    least = least_share(split)
    candidates = (candidate(split, 0, slot, attempt) for attempt in itertools.count())
    return next(spec for spec in candidates if rejection(spec, least=least) is None)


def render_slot(split: Literal["train", "easy-train"], slot: int, size: tuple[int, int], half: int) -> RenderedClip:
    """The clip in a slot of a training split, with its truth."""
    from hmbench.data.mini_world import render_clip

    return render_clip(spec_of_slot(split, slot), size, half=half)


def _resized(frames: Video, width: int, height: int) -> Video:
    return frames if frames.shape[1:3] == (height, width) else resize_video(frames, height, width)


def _check_length(clip_id: str, found: tuple[int, int], wanted: tuple[int, int]) -> None:
    if found != wanted:
        raise UserError(
            f"The clip {clip_id} has {found[0]} context and {found[1]} target frames; the preset trains on "
            f"{wanted[0]} and {wanted[1]}.",
            "Train on clips of that length.",
        )
