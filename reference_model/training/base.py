"""Where a small run may begin: the transformer of a finished run, under any memory.

Time on a processor goes into one long training, and every rival continues from it for the same, shorter time: as the
paper's models all continue from Wan 2.1, which none of their memories trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from reference_model.model.codec import MiniVideoCodec
from reference_model.model.config import HydraConfig
from reference_model.released.checkpoint import read_weights, state_digest, tensors_digest
from reference_model.sampling.pipeline import HydraPipeline, build_pipeline
from reference_model.training.export import DIGESTS
from reference_model.training.stop import TrainingStoppedError

WEIGHTS = Path("transformer", "diffusion_pytorch_model.safetensors")
"""Of a finished small run; read as tensors, since the class of its memory need not be loaded."""
CODEC_REPORT = "report.json"
"""Beside a codec, written last."""
CODEC_CHECKPOINTS = "codec-checkpoints"
"""Beside a codec's folder while it is trained."""


@torch.no_grad()
def continue_from(pipeline: HydraPipeline, base: Path) -> None:
    """Gives the pipeline's transformer the backbone weights of a finished run, and its memory's where they fit.

    Args:
        pipeline: Untrained, with the codec that the run will use.
        base: Folder of a finished run of the same preset.

    Raises:
        TrainingStoppedError: If there is no finished run, or its codec or transformer differ.
    """
    vae = pipeline.vae
    assert isinstance(vae, MiniVideoCodec)
    _check_codec(base, vae)
    fitting = _fitting(base, pipeline.transformer.state_dict())
    _check_settings(base, dict(pipeline.transformer.config))
    pipeline.transformer.load_state_dict(fitting, strict=False)


def check_base(model: HydraConfig, base: Path, codec: Path) -> None:
    """Refuses a base that cannot fit, before anything is prepared.

    Args:
        model: What is trained.
        base: Folder of a finished run of the same preset.
        codec: Where this run finds its codec. If nothing is there, it takes the base's (`preparing.prepare_parts`).

    Raises:
        TrainingStoppedError: If there is no finished run, or its codec or transformer differ.
    """
    _check_finished(base)
    own = build_pipeline(model, 0).transformer
    _fitting(base, own.state_dict())
    _check_settings(base, dict(own.config))
    if not (codec / CODEC_REPORT).is_file():
        if codec.with_name(CODEC_CHECKPOINTS).exists():
            raise TrainingStoppedError(
                f"{codec.parent} holds a codec that is half trained, and {base} goes on only with its own.",
                "Give the --prepared folder that it was given, or a new one.",
            )
        return
    _check_codec(base, cast(MiniVideoCodec, MiniVideoCodec.from_pretrained(codec, local_files_only=True)))


def base_codec(base: Path) -> MiniVideoCodec:
    """The codec of a finished run."""
    codec = cast(MiniVideoCodec, MiniVideoCodec.from_pretrained(base, subfolder="vae", local_files_only=True))
    codec.eval()
    return codec


def _check_finished(base: Path) -> None:
    if not (base / DIGESTS).is_file():
        raise TrainingStoppedError(f"{base} holds no finished run.", "Give --base the --out folder of a finished run.")


def _check_codec(base: Path, own: MiniVideoCodec) -> None:
    _check_finished(base)
    codec = base_codec(base)
    if state_digest(codec) != state_digest(own):
        raise TrainingStoppedError(
            f"{base} was trained on the latents of another codec.", "Give the --prepared folder that it was given."
        )


def _check_settings(base: Path, own: dict[str, Any]) -> None:
    """Weights of equal sizes may still mean something else: where tokens stand, what is predicted.

    What is off (false, 0 or nothing) is as if it were not named: versions add and remove settings.
    """
    stored = json.loads((base / "transformer" / "config.json").read_text(encoding="utf-8"))
    asked = json.loads(json.dumps(own))
    for name in sorted(stored.keys() | asked.keys()):
        # tokens of the context may be noised otherwise from rival to rival, as memories differ
        if name.startswith("_") or name in ("memory_settings", "conditioning"):
            continue
        if (stored.get(name) or None) != (asked.get(name) or None):
            raise TrainingStoppedError(
                f"{base} has a transformer with {name} {stored.get(name)}, and this run asks for {asked.get(name)}.",
                "Give a base of the same --preset, made by this version.",
            )


def _fitting(base: Path, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The base's weights that have a place, all of the backbone's among them."""
    found = read_weights(base / WEIGHTS)
    shapes = {name: value.shape for name, value in own.items()}
    other = [
        name
        for name in shapes.keys() | found.keys()
        if not name.startswith("memory.") and (name not in found or shapes.get(name) != found[name].shape)
    ]
    if other:
        raise TrainingStoppedError(
            f"{base} has a transformer of other sizes (first difference: {min(other)}).",
            "Give a base of the same --preset.",
        )
    return {name: value for name, value in found.items() if shapes.get(name) == value.shape}


def base_record(base: Path | None) -> str | None:
    """What the card says of a base: its folder's name and the digest of its transformer."""
    if base is None:
        return None
    if not (base / DIGESTS).is_file():
        return base.name
    return f"{base.name}, transformer {tensors_digest(read_weights(base / WEIGHTS))[:16]}"
