"""HyDRA as a `WorldModel`: the one file of this package that knows hmbench.

The prompt is resized to the size that the model works at and the generated frames back to the prompt's, both by plain
scaling, so that the whole picture is kept. Clips may have any 4k + 1 frames that the memory's settings allow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from hmbench.data.mini_world.splits import EASY_VERSION
from hmbench.digests import content_digest
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.networks.untrusted import check_finite, check_weight_file
from hmbench.protocols import ModelInfo
from hmbench.types import Prompt, Video
from hmbench.video.files import resize_video
from reference_model.carrying.carrier import Cameras
from reference_model.model.camera import camera_condition, relative_poses
from reference_model.model.codec import MiniVideoCodec, latent_frames
from reference_model.model.config import RECIPES, HydraConfig
from reference_model.released.checkpoint import file_digest, load_released, read_weights, state_digest
from reference_model.sampling.pipeline import (
    GenerationRequest,
    HydraPipeline,
    Noise,
    StepListener,
    build_pipeline,
)
from reference_model.sampling.saved import load_saved

WEIGHTS = Path(__file__).parent.parent / "weights"
"""Trained weights shipped with the package: a saved pipeline for each recipe that has them."""
WORLDS = {"mini": "", "mini-easy": "easy-"}
"""World that weights were trained on, and what stands for it in their folder's name, between preset and method."""


STRETCHED = 0.05
"""By how much a picture may be stretched to the model's shape for its subjects to be followed."""


class HydraWorldModel:
    """A pipeline behind hmbench's interface.

    Args:
        pipeline: The model.
        info: What runs record of it.
        on_step: Told of each finished sampling step.
        batch: Clips that it likes to generate at once.
    """

    def __init__(
        self, pipeline: HydraPipeline, info: ModelInfo, on_step: StepListener | None = None, *, batch: int = 1
    ) -> None:
        self.pipeline = pipeline
        self.info = info if batch == 1 else replace(info, settings={**info.settings, "batch": batch})
        self.on_step = on_step
        self.batch = batch

    def generate(self, prompt: Prompt, *, seed: int) -> Video:
        """The target frames at the prompt's size; equal prompt and seed give equal frames.

        Raises:
            UserError: If the clip's length does not suit the model.
        """
        return self._batch([prompt], torch.Generator().manual_seed(seed))[0]

    def generate_batch(self, prompts: Sequence[Prompt], *, seeds: Sequence[int]) -> list[Video]:
        """The target frames of several prompts at once, each with the noise that `generate` gives it.

        Args:
            prompts: Of equal numbers of frames; their sizes may differ.
            seeds: One a prompt.

        Raises:
            UserError: If the clips' length does not suit the model.
            ValueError: If the numbers of frames differ, or those of prompts and seeds.
        """
        if len({(len(p.context), p.num_target_frames) for p in prompts}) != 1 or len(prompts) != len(seeds):
            raise ValueError("a batch has clips of one length, and a seed for each")
        return self._batch(prompts, [torch.Generator().manual_seed(seed) for seed in seeds])

    def _batch(self, prompts: Sequence[Prompt], noise: Noise) -> list[Video]:
        self._check(len(prompts[0].context), prompts[0].num_target_frames)
        height, width = int(self.pipeline.config["height"]), int(self.pipeline.config["width"])
        stride = self.pipeline.codec.time_stride
        cameras = [camera_condition(p.context_poses, p.target_poses, stride) for p in prompts]
        request = GenerationRequest(
            context=torch.cat([to_tensor(resize_video(p.context, height, width)) for p in prompts]),
            cameras=(torch.cat([past for past, _ in cameras]), torch.cat([future for _, future in cameras])),
            captions=[p.caption for p in prompts],
            lenses=[lens_of(p, width) for p in prompts] if self._carries(prompts, width / height) else None,
        )
        video = self.pipeline(request, noise, self.on_step)
        clips = zip(prompts, video.split(1), strict=True)
        return [resize_video(to_video(clip), *prompt.size) for prompt, clip in clips]

    def _carries(self, prompts: Sequence[Prompt], aspect: float) -> bool:
        """Whether pictures keep their shape at the model's size: a carrier knows one focal length, not two."""
        shapes = [p.size[1] / p.size[0] / aspect for p in prompts]
        return self.pipeline.carrier is not None and all(abs(shape - 1) <= STRETCHED for shape in shapes)

    def _check(self, context_frames: int, target_frames: int) -> None:
        try:
            check_length(self.pipeline, context_frames, target_frames)
        except ValueError as error:
            raise UserError(
                f"{self.info.name} cannot continue {context_frames} frames by {target_frames}: {error}.",
                "Use clips of 4k + 1 context and 4k + 1 target frames, long enough for the memory, "
                "or set a smaller memory (--option top_k=N).",
            ) from error


def tell_stand_in(info: ModelInfo, config: HydraConfig, checkpoint: Path | None, world: str | None = None) -> ModelInfo:
    """`info`, with a notice if smaller shipped weights stand in for those of the recipe that was asked for.

    Args:
        info: What is recorded of the model.
        config: The recipe that was asked for.
        checkpoint: As given; weights that somebody chose need no notice.
        world: As given.
    """
    folder = shipped_folder(config.name, world)
    if checkpoint is not None or folder is None or folder.name == shipped_name(config.name, world):
        return info
    return replace(
        info,
        notice=f"No weights ship for {config.name} yet; {folder.name} stands in for it, trained for a few hours "
        "on a processor: it shows that everything works, not what the method can do.",
        standing="stand-in",
    )


def model_info(
    about: tuple[str, str], pipeline: HydraPipeline, weights: dict[str, str], untrained_seed: int | None
) -> ModelInfo:
    """What a run records of a pipeline.

    Args:
        about: Name and description of the model.
        pipeline: The model.
        weights: Digests of its weight files; ignored if it is untrained.
        untrained_seed: Seed of untrained weights; None if they were trained.
    """
    transformer, config = pipeline.transformer, pipeline.config
    width, height = config["width"], config["height"]
    context, target = clip_grids(pipeline, config["context_frames"], config["target_frames"])
    facts = transformer.memory.facts(context, target)
    trained = untrained_seed is None
    if not trained:
        weights = {
            "untrained transformer": state_digest(pipeline.transformer),
            "untrained codec": state_digest(pipeline.vae),
        }
    return ModelInfo(
        name=about[0],
        description=about[1],
        trained=trained,
        notice=None if untrained_seed is None else untrained_notice(about[0], untrained_seed),
        weights=weights,
        settings={
            "works_at": f"{width}x{height}; other sizes are scaled to it and the result back",
            "made_for_frames": [config["context_frames"], config["target_frames"]],
            "steps": config["steps"],
            "guidance": config["guidance"],
            "shift": pipeline.scheduler.config["shift"],
            "stochastic": pipeline.scheduler.config["stochastic_sampling"],
            "memory": dict(transformer.config["memory_settings"]),
            "conditioning": transformer.config["conditioning"],
            "tokens": (context.tokens + target.tokens) * transformer.bands,
            "tokens_seen_by_a_query": facts.tokens_seen,
            "noise_reaches_context": facts.noise_reaches_context,
            "parameters": sum(parameter.numel() for parameter in transformer.parameters()),
            "parameters_of_memory": facts.parameters,
            "device": str(pipeline.device),
            "dtype": str(transformer.dtype).removeprefix("torch."),
        },
    )


def untrained_notice(name: str, seed: int) -> str:
    """The sentence that every surface shows beside numbers of untrained weights."""
    return f"{name} runs with untrained weights (seed {seed}): its numbers are no result of the method."


def clip_grids(pipeline: HydraPipeline, context_frames: int, target_frames: int) -> Any:
    """Token grids of context and target, of one band, for a clip of this many pixel frames."""
    codec = pipeline.codec
    frames = [latent_frames(n, codec.time_stride) for n in (context_frames, target_frames)]
    size = [int(pipeline.config[side]) // codec.space_stride for side in ("height", "width")]
    return pipeline.transformer.grids(frames[0], frames[1], size[0], size[1])


def check_length(pipeline: HydraPipeline, context_frames: int, target_frames: int) -> None:
    """Raises ValueError if the pipeline cannot work on a clip of this many frames."""
    pipeline.transformer.memory.settings.check(*clip_grids(pipeline, context_frames, target_frames))


def lens_of(prompt: Prompt, width: int) -> Cameras:
    """Cameras of every frame, relative to the first target camera, and the focal length of a picture this wide."""
    halves = (prompt.context_poses, prompt.target_poses)
    past, future = (relative_poses(poses, prompt.target_poses[0])[:, :3] for poses in halves)
    focal = prompt.intrinsics.focal * width / prompt.size[1]
    return Cameras(torch.from_numpy(past).float(), torch.from_numpy(future).float(), focal)


def to_tensor(video: Video) -> torch.Tensor:
    """uint8 ``[T, H, W, 3]`` to float32 ``[1, 3, T, H, W]`` in [-1, 1]."""
    return torch.from_numpy(video).permute(3, 0, 1, 2).unsqueeze(0).float() / 127.5 - 1


def to_video(frames: torch.Tensor) -> Video:
    """Float ``[1, 3, T, H, W]`` in [-1, 1] to uint8 ``[T, H, W, 3]``, rounded.

    Raises:
        SampleError: If a number is NaN or infinite, which would become black.
    """
    if not bool(frames.isfinite().all()):
        raise SampleError(
            "The model computed NaN or infinity for this clip: that is no picture.",
            "Check its weights and options; half precision overflows where float32 does not.",
        )
    levels = ((frames[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 3, 0).numpy())


def recipe(profile: str) -> HydraConfig:
    """The recipe of a profile.

    Raises:
        UserError: If there is none of that name.
    """
    if profile not in RECIPES:
        raise UserError(f"There is no profile {profile!r}.", did_you_mean(profile, RECIPES))
    return RECIPES[profile]()


def usable_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: If torch does not know it or cannot use it here.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{name!r} is no torch device.", "Use cpu, cuda, cuda:1 or mps.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"The device {name} is not available: torch finds no CUDA.", "Use --device cpu.")
    return device


def check_world(config: HydraConfig, checkpoint: Path | None, world: str | None) -> None:
    """Refuses a world whose weights nobody shipped, before anything else stands in for them.

    Raises:
        UserError: If there is no such world, no such weights, or a checkpoint was chosen too.
    """
    if world is None:
        return
    if world not in WORLDS:
        raise UserError(f"There is no world {world!r} of the reference model.", did_you_mean(world, WORLDS))
    if checkpoint is not None:
        raise UserError("Options checkpoint and world both choose weights.", "Leave one of them out.")
    if shipped_folder(config.name, world) is None:
        raise UserError(
            f"No weights of {config.name} that were trained on {world} ship with this version.",
            f"Leave out --option world={world}: the weights of the whole mini world run on it too. Or train your own: "
            f"`hmbench train-reference --data {world}`.",
        )


def load_pipeline(
    config: HydraConfig,
    checkpoint: Path | None,
    seed: int,
    kind: type[HydraPipeline] = HydraPipeline,
    world: str | None = None,
) -> tuple[HydraPipeline, dict[str, str], bool]:
    """The pipeline, digests of its weight files, and whether they were trained.

    Args:
        config: The recipe.
        checkpoint: Folder or file; None: shipped weights under the recipe's name, or untrained ones.
        seed: Of untrained weights.
        kind: Class of the pipeline, for rival samplers.
        world: Which shipped weights: those trained on this one of `WORLDS`; None: on the mini world.

    Raises:
        UserError: If there are no such weights, or they do not fit.
    """
    folder = checkpoint if checkpoint is not None and checkpoint.is_dir() else None
    if checkpoint is None:
        folder = shipped_folder(config.name, world)
    if folder is not None:
        pipeline = _load_folder(folder, kind)
        if isinstance(pipeline.vae, MiniVideoCodec):
            pipeline.transformer.float()  # small models are stored in bfloat16 and computed in float32 everywhere
        return pipeline, weight_digests(folder), True
    if config.codec.kind != "mini":
        raise UserError(
            f"The model {config.name} exists only as trained weights, and {checkpoint or 'none'} was given.",
            "Fetch them with `python -m reference_model.released.paper_weights pull FOLDER` and give "
            "--option checkpoint=FOLDER, or use --profile mini.",
        )
    pipeline = build_pipeline(config, seed, kind)
    if checkpoint is None:
        return pipeline, {}, False
    if not checkpoint.is_file():
        raise UserError(f"There is no checkpoint {checkpoint}.", "Check the path: a saved pipeline's folder or a file.")
    check_weight_file(checkpoint)
    try:
        weights = read_weights(checkpoint)
        check_finite(weights, checkpoint)
        load_released(pipeline.transformer, weights, str(checkpoint))
    except UserError:
        raise
    except (ValueError, OSError, RuntimeError) as error:
        raise UserError(
            f"{checkpoint} cannot be used: {error}.", f"Give weights of the profile it was made for, not {config.name}."
        ) from error
    return pipeline, {checkpoint.name: file_digest(checkpoint)}, True


def shipped_name(name: str, world: str | None = None) -> str:
    """Where a recipe's weights stand: ``<preset>-<method>``, and ``<preset>-easy-<method>`` if trained on `mini-easy`.

    >>> shipped_name("nano-hydra"), shipped_name("nano-hydra", "mini-easy")
    ('nano-hydra', 'nano-easy-hydra')
    """
    preset, dash, method = name.partition("-")
    return f"{preset}{dash}{WORLDS[world or 'mini']}{method}"


def world_of_data(data: str) -> str:
    """The one of `WORLDS` that clips of that name belong to, as ``train.json`` names them.

    >>> world_of_data("mini-easy-v1 generator 3, easy-train split"), world_of_data("mini-v1 and mini-easy-v1")
    ('mini-easy', 'mini')
    """
    return "mini-easy" if data.startswith(EASY_VERSION) else "mini"


def shipped_folder(name: str, world: str | None = None) -> Path | None:
    """Weights shipped for a recipe ``<preset>-<method>``, or None; one world's never stand in for another's.

    As long as nobody trained ``mini-hydra``, ``nano-hydra`` stands in for it: the record says at which size it works.
    """
    for recipe_name in (name, name.replace("mini-", "nano-", 1)):
        candidate = shipped_name(recipe_name, world)
        if (WEIGHTS / candidate / "model_index.json").is_file():
            return WEIGHTS / candidate
    return None


def _load_folder(folder: Path, kind: type[HydraPipeline]) -> HydraPipeline:
    if not (folder / "model_index.json").is_file():
        raise UserError(
            f"The folder {folder} holds no usable pipeline: it has no model_index.json.",
            "Give a folder that save_pretrained wrote.",
        )
    return in_a_sentence(folder, lambda: load_saved(folder, kind))


def in_a_sentence(folder: Path, load: Callable[[], HydraPipeline]) -> HydraPipeline:
    """What `load` gives; whatever is wrong with a stranger's folder is one sentence.

    Raises:
        UserError: Instead of what `load` raised.
    """
    try:
        return load()
    except UserError:
        raise
    except (
        OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, ImportError, MemoryError,
        ArithmeticError, struct.error, SafetensorError,
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())[:500] or type(error).__name__
        raise UserError(
            f"The folder {folder} holds no usable pipeline: {said}", "Give a folder that save_pretrained wrote."
        ) from error


def weight_digests(folder: Path) -> dict[str, str]:
    """Digests of a saved pipeline's weight files, by their names in the folder."""
    return {str(file.relative_to(folder)): content_digest(file) for file in sorted(folder.glob("*/*.safetensors"))}
