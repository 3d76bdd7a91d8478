"""A whole run: codec, cache, transformer, saved model; each stage is skipped when it is done already.

* ``<out>/train.json``: what was asked; another request into the same folder is refused
* ``<prepared>/codec/``, ``<prepared>/latents/``: shared by runs that differ in memory, steps or seed
* ``<out>/checkpoints/``, ``metrics.jsonl``, ``tensorboard/``, ``samples/``, ``loss.png``
* ``<out>/model_index.json`` and folders beside it: the model, as `hmbench eval --model OUT` loads it, card, digests
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor

from reference_model.checkpoint import state_digest
from reference_model.codec import MiniVideoCodec
from reference_model.config import HydraConfig
from reference_model.pipeline import HydraPipeline, build_pipeline
from reference_model.text import HashedTextEncoder
from reference_model.training.base import base_record, continue_from
from reference_model.training.cache import CacheKey, Encoders, LatentCache, build_cache, write_atomically
from reference_model.training.clips import ClipSource, hold_out
from reference_model.training.codec_training import CodecReport, build_codec, train_codec
from reference_model.training.config import TrainingConfig
from reference_model.training.export import save_model
from reference_model.training.loop import TransformerJob, make_accelerator, train_transformer
from reference_model.training.monitor import Listener, Silent, plot_loss
from reference_model.training.paper import paper_parts
from reference_model.training.start import start_with_a_copy
from reference_model.training.stop import TrainingStoppedError

REQUEST = "train.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRequest:
    """One command."""

    config: TrainingConfig
    """Settings."""
    source: ClipSource
    """Clips."""
    out: Path
    """The run's folder."""
    prepared: Path | None = None
    """Folder of codec and cache; None: inside `out`."""
    seed: int = 0
    """Of weights, order and noise."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    base: Path | None = None
    """Where the transformer begins: for the paper's preset Wan 2.1 in diffusers' format, for the others a finished run
    of the same preset, or None."""
    command: str = ""
    """How the run was asked for, for the card."""


def run_training(request: TrainingRequest, listener: Listener | None = None) -> Path:
    """Runs all stages and returns the folder of the saved model.

    Raises:
        TrainingStoppedError: If the run cannot go on; what was complete is kept.
    """
    listener = listener or Silent()
    accelerator = make_accelerator(request.config, request.device)
    if not accelerator.is_main_process:
        listener = Silent()
    _remember(request, accelerator)
    prepared = request.prepared or request.out / "prepared"
    with accelerator.main_process_first():
        # the first process prepares, the others find it done
        pipeline, cache, report = _prepare(request, prepared, accelerator.device, listener)
    config = request.config
    train_ids, held_ids = hold_out(cache.ids, config.run.validation_clips)
    job = TransformerJob(
        config=config,
        seed=request.seed,
        out=request.out,
        cache=cache,
        train_ids=train_ids,
        held_ids=held_ids,
        pipeline=pipeline,
        deviations=_deviations(pipeline, config.model),
    )
    model = train_transformer(job, accelerator, listener)
    if accelerator.is_main_process:
        plot_loss(request.out, config.model.name)
        pipeline.register_modules(transformer=model.cpu())
        facts = {"codec": report, "cache": cache.digest, "clips": len(train_ids)}
        save_model(request.out, pipeline, config, {**facts, **_asked(request)})
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return request.out


def _prepare(
    request: TrainingRequest, prepared: Path, device: torch.device, listener: Listener
) -> tuple[HydraPipeline, LatentCache, dict[str, Any]]:
    config, source = request.config, request.source
    if config.model.codec.kind == "mini":
        pipeline = build_pipeline(config.model, request.seed)
        codec, report = _codec(request, prepared / "codec", device, listener)
        pipeline.register_modules(vae=codec)
        if request.base is not None:
            continue_from(pipeline, request.base)
        elif config.start == "copy":
            start_with_a_copy(pipeline.transformer, request.seed)
    else:
        pipeline, report = paper_parts(config.model, request.base), {}
    key = CacheKey(
        data=source.name,
        revision=source.revision(),
        codec=state_digest(cast(torch.nn.Module, pipeline.vae))[:16],
        text=f"{config.model.text.kind} {config.model.text.dim}",
        size=(config.model.width, config.model.height),
    )
    pipeline.vae.to(device)
    if not isinstance(pipeline.text_encoder, HashedTextEncoder):
        pipeline.text_encoder.to(device)
    encoders = Encoders(
        video=lambda half: pipeline.codec.encode(half.to(device, pipeline.vae.dtype)),
        text=pipeline.encode_text,
        time_stride=pipeline.codec.time_stride,
    )
    count = len(source.ids())
    listener.stage("latents", count, 0)
    cache = build_cache(prepared / "latents", source, key, encoders, lambda done: listener.advance(done, ""))
    return pipeline, cache, report


def _codec(
    request: TrainingRequest, folder: Path, device: torch.device, listener: Listener
) -> tuple[MiniVideoCodec, dict[str, Any]]:
    """The codec of `folder`, trained first if it is not there, and its report."""
    report = folder / "report.json"
    if report.is_file():
        codec = cast(MiniVideoCodec, MiniVideoCodec.from_pretrained(folder, local_files_only=True))
        if not _same_codec(codec, request.config.model):
            raise TrainingStoppedError(
                f"{folder} holds a codec of other sizes than {request.config.model.name} needs.",
                "Give another --prepared folder.",
            )
        return codec.eval(), dict(json.loads(report.read_text(encoding="utf-8")))
    config = request.config
    codec = build_codec(config.model.codec, request.seed)
    listener.stage("codec", max(1, config.codec.steps), 0)
    found: CodecReport = train_codec(
        codec,
        request.source,
        hold_out(request.source.ids(), config.run.validation_clips),
        config.codec,
        request.seed,
        device,
        lambda step, loss: listener.advance(step, f"loss {loss:.5f}"),
    )
    codec.cpu().save_pretrained(folder)
    write_atomically(report, asdict(found))
    listener.notice(f"codec: {found.psnr:.2f} dB on held-out clips ({found.linear_psnr:.2f} dB its linear part)")
    # read back, so that the first run and one that finds the codec here start from equal numbers
    return cast(MiniVideoCodec, MiniVideoCodec.from_pretrained(folder, local_files_only=True)).eval(), asdict(found)


def _same_codec(codec: MiniVideoCodec, model: HydraConfig) -> bool:
    wanted = build_codec(model.codec, 0).state_dict()
    own = codec.state_dict()
    return {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in wanted.items()}


def _deviations(pipeline: HydraPipeline, model: HydraConfig) -> Tensor:
    vae = pipeline.vae
    if isinstance(vae, MiniVideoCodec):
        return cast(Tensor, vae.latent_std[1].detach().cpu().float())
    return torch.ones(model.codec.latent_channels)


def _asked(request: TrainingRequest) -> dict[str, Any]:
    """The request as plain values."""
    config = json.loads(json.dumps(asdict(request.config)))
    return {
        "config": config,
        "data": request.source.name,
        "revision": request.source.revision(),
        "seed": request.seed,
        "base": base_record(request.base),
        "device": request.device,
        "command": request.command,
    }


def _remember(request: TrainingRequest, accelerator: Accelerator) -> None:
    """Writes the request, or compares it with the one that made the folder."""
    path = request.out / REQUEST
    asked = _asked(request)
    ignored = ("command", "device")
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if wrong := [key for key in asked if key not in ignored and found.get(key) != asked[key]]:
            raise TrainingStoppedError(
                f"{request.out} holds a run that was asked for differently ({', '.join(wrong)}).",
                f"Give another --out, or the settings that stand in {path}.",
            )
    elif accelerator.is_main_process:
        request.out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, asked)
    accelerator.wait_for_everyone()
