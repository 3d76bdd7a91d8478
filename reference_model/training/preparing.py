"""Stages 1 and 2: the codec and the latents of all clips, each found or made; what was made otherwise is refused."""

from __future__ import annotations

import gc
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from reference_model.model.codec import MiniVideoCodec
from reference_model.model.config import HydraConfig
from reference_model.model.text import CLEANING, HashedTextEncoder
from reference_model.released.checkpoint import state_digest
from reference_model.sampling.pipeline import HydraPipeline, build_pipeline
from reference_model.training.base import CODEC_CHECKPOINTS, CODEC_REPORT, base_codec, base_record, continue_from
from reference_model.training.cache import (
    CacheKey,
    Encoders,
    LatentCache,
    build_cache,
    check_key,
    encode_share,
    shards_missing,
)
from reference_model.training.codec_checkpoints import CodecCheckpoints
from reference_model.training.codec_training import CodecDivergedError, CodecReport, build_codec, measured, train_codec
from reference_model.training.disk import read_record, write_atomically
from reference_model.training.monitor import Listener
from reference_model.training.paper import paper_parts
from reference_model.training.request import TrainingRequest, differences
from reference_model.training.start import start_with_a_copy
from reference_model.training.stop import TrainingStoppedError

TYPICAL_WORDS = 128
"""Rows of text tokens that a caption of HM-World takes, of the 512 that UMT5 gives (assumed)."""
SPARE = 2 * 2**30
"""Bytes of the disk left free."""


def prepare_parts(
    request: TrainingRequest, device: torch.device, listener: Listener
) -> tuple[HydraPipeline, dict[str, Any]]:
    """The pipeline at its starting weights, and what is known of the codec, which is trained first where it is missing.

    Raises:
        TrainingStoppedError: If the folder of prepared things holds others.
    """
    config = request.config
    if config.model.codec.kind != "mini":
        return paper_parts(config.model, request.base), {}
    pipeline = build_pipeline(config.model, request.seed)
    codec, report = _codec(request, device, listener)
    pipeline.register_modules(vae=codec)
    if request.base is not None:
        continue_from(pipeline, request.base)
    elif config.start == "copy":
        start_with_a_copy(pipeline.transformer, request.seed)
    return pipeline, report


def prepare_latents(
    request: TrainingRequest, pipeline: HydraPipeline, accelerator: Accelerator, listener: Listener
) -> LatentCache:
    """The latents of all clips: every process encodes its share of what is missing, and all read all of it.

    Raises:
        TrainingStoppedError: If the disk is too small, or the folder holds latents of something else.
    """
    config, source, device = request.config, request.source, accelerator.device
    key = CacheKey(
        data=source.name,
        revision=source.revision(),
        codec=state_digest(cast(torch.nn.Module, pipeline.vae))[:16],
        text=_text_identity(config.model),
        size=(config.model.width, config.model.height),
    )
    folder, count = request.latents_folder, len(source.ids())
    missing = shards_missing(folder, count)
    if accelerator.is_main_process:
        check_disk(folder, config.model, missing, listener)
    listener.stage("latents", count, 0)
    if missing:
        pipeline.vae.to(device)
        if not isinstance(pipeline.text_encoder, HashedTextEncoder):
            pipeline.text_encoder.to(device)
        encoders = Encoders(
            video=lambda half: pipeline.codec.encode(half.to(device, pipeline.vae.dtype)),
            text=pipeline.encode_text,
            time_stride=pipeline.codec.time_stride,
        )
        share = (accelerator.process_index, accelerator.num_processes)
        with accelerator.main_process_first():  # and all have seen what is missing before anything is written
            check_key(folder, key)
        encode_share(folder, source, encoders, share, lambda done: listener.advance(done, ""))
        accelerator.wait_for_everyone()
        free(pipeline, device)
    with accelerator.main_process_first():
        # the first process writes what binds the shards together, the others find it
        return build_cache(folder, source, key, _nothing(pipeline), None)


def free(pipeline: HydraPipeline, device: torch.device) -> None:
    """Takes codec and text encoder off the device, which training needs for itself."""
    for part in (pipeline.vae, pipeline.text_encoder):
        cast(torch.nn.Module, part).to("cpu")
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def bytes_a_clip(model: HydraConfig) -> int:
    """What a clip takes in the cache: latents in two bytes a number, text as far as it is not zero."""
    frames = sum((n - 1) // model.codec.time_stride + 1 for n in (model.context_frames, model.target_frames))
    stride = model.codec.space_stride
    latents = model.codec.latent_channels * frames * (model.height // stride) * (model.width // stride)
    words = TYPICAL_WORDS if model.text.kind == "umt5" else model.text.max_words
    return 2 * (latents + words * model.text.dim)


def check_disk(folder: Path, model: HydraConfig, clips: int, listener: Listener) -> None:
    """Says what the latents will take, before days of encoding end on a full disk.

    Raises:
        TrainingStoppedError: If there is not as much room.
    """
    needed = clips * bytes_a_clip(model)
    if not needed:
        return
    there = next(place for place in (folder, *folder.parents) if place.exists())
    left = shutil.disk_usage(there).free
    said = f"latents of {clips:,} clips take about {_size(needed)}, {there} has {_size(left)} free"
    if needed + SPARE > left and needed > SPARE:
        raise TrainingStoppedError(f"The disk is too small: {said}.", "Give a --prepared folder on a larger disk.")
    if needed > SPARE:
        listener.notice(said)


def _size(number: int) -> str:
    return f"{number / 1e9:,.0f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"


def _nothing(pipeline: HydraPipeline) -> Encoders:
    """Encoders for a cache whose shards are all there: whatever is missing after all is encoded where it is."""

    def video(half: torch.Tensor) -> torch.Tensor:
        vae = pipeline.vae
        return pipeline.codec.encode(half.to(vae.device, vae.dtype))

    return Encoders(video=video, text=pipeline.encode_text, time_stride=pipeline.codec.time_stride)


def _text_identity(model: HydraConfig) -> str:
    """What a caption's tokens depend on; hashed words are what they were."""
    cleaning = f", cleaning {CLEANING}" if model.text.kind == "umt5" else ""
    return f"{model.text.kind} {model.text.dim}{cleaning}"


def deviations(pipeline: HydraPipeline, model: HydraConfig) -> Tensor:
    """Deviation of each latent channel before normalisation, ``[C]``; ones for Wan's codec."""
    vae = pipeline.vae
    if isinstance(vae, MiniVideoCodec):
        return cast(Tensor, vae.latent_std[1].detach().cpu().float())
    return torch.ones(model.codec.latent_channels)


def check_codec(request: TrainingRequest) -> None:
    """Compares a codec that is there with what this run would train.

    The seed is recorded and may differ: runs of several seeds share one codec. Reports of older runs do not say what
    their codec was made of, and a base's codec was made elsewhere; such a codec is accepted by its sizes.

    Raises:
        TrainingStoppedError: If it has other sizes, or was made of other clips or by other settings.
    """
    folder = request.codec_folder
    if request.config.model.codec.kind != "mini":
        return
    if not (folder / CODEC_REPORT).is_file():
        _checkpoints(request).check()
        return
    if not _same_sizes(_stored(folder), request.config.model):
        raise TrainingStoppedError(
            f"{folder} holds a codec of other sizes than {request.config.model.name} needs.",
            "Give another --prepared folder.",
        )
    report = read_record(folder / CODEC_REPORT)
    asked = {key: value for key, value in _made_of(request).items() if key != "seed"}
    found = {key: value for key, value in report.get("made_of", {}).items() if key in asked}
    if wrong := differences(found, asked):
        raise TrainingStoppedError(
            f"{folder} holds a codec that was made differently ({'; '.join(wrong)}).",
            "Give another --prepared folder, or the settings that it was made with.",
        )


def _codec(request: TrainingRequest, device: torch.device, listener: Listener) -> tuple[MiniVideoCodec, dict[str, Any]]:
    """The codec of its folder, trained first if it is not there, and its report."""
    folder, config = request.codec_folder, request.config
    report = folder / CODEC_REPORT
    if report.is_file():
        check_codec(request)
        return _stored(folder), read_record(report)
    if request.base is not None:
        return _adopted(request, request.base, device, listener)
    codec = build_codec(config.model.codec, request.seed)
    listener.stage("codec", max(1, config.codec.steps), 0)
    checkpoints = _checkpoints(request)
    try:
        found: CodecReport = train_codec(
            codec,
            request.source,
            request.split(),
            config.codec,
            request.seed,
            device,
            lambda step, loss: listener.advance(step, f"loss {loss:.5f}"),
            checkpoints,
        )
    except CodecDivergedError:
        checkpoints.remove()
        raise
    _keep(codec.cpu(), folder, {**asdict(found), "made_of": _made_of(request)})
    checkpoints.remove()
    if found.psnr is not None:
        listener.notice(f"codec: {found.psnr:.2f} dB on held-out clips ({found.linear_psnr:.2f} dB its linear part)")
    # read back, so that the first run and one that finds the codec here start from equal numbers
    return _stored(folder), asdict(found)


def _adopted(
    request: TrainingRequest, base: Path, device: torch.device, listener: Listener
) -> tuple[MiniVideoCodec, dict[str, Any]]:
    """The base's codec, measured on the clips that this run holds out, in the folder where its own would be."""
    codec, source = base_codec(base), base_record(base)
    found = {**asdict(measured(codec, request.source, request.split()[1], device)), "taken_from": source}
    _keep(codec, request.codec_folder, {**found, "made_of": {"base": source}})
    told = "" if found["psnr"] is None else f", {found['psnr']:.2f} dB on held-out clips"
    listener.notice(f"codec: that of {base.name}{told}")
    return _stored(request.codec_folder), found


def _keep(codec: MiniVideoCodec, folder: Path, report: dict[str, Any]) -> None:
    """Writes a codec and, last, its report."""
    try:
        codec.save_pretrained(folder)
        write_atomically(folder / CODEC_REPORT, report)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _checkpoints(request: TrainingRequest) -> CodecCheckpoints:
    return CodecCheckpoints(request.codec_folder.with_name(CODEC_CHECKPOINTS), _made_of(request))


def _made_of(request: TrainingRequest) -> dict[str, Any]:
    """What a codec follows from."""
    return {
        "revision": request.source.revision(),
        "seed": request.seed,
        "settings": asdict(request.config.codec),
        "held_out": list(request.split()[1]),
    }


def _stored(folder: Path) -> MiniVideoCodec:
    codec = cast(MiniVideoCodec, MiniVideoCodec.from_pretrained(folder, local_files_only=True))
    codec.eval()
    return codec


def _same_sizes(codec: MiniVideoCodec, model: HydraConfig) -> bool:
    wanted = build_codec(model.codec, 0).state_dict()
    own = codec.state_dict()
    return {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in wanted.items()}
