"""Where a paper-scale run begins: Wan 2.1's transformer, codec and text encoder from a folder in diffusers' format."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

from reference_model.model.config import HydraConfig
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import load_wan_base
from reference_model.sampling.pipeline import HydraPipeline, assemble_pipeline
from reference_model.training.stop import TrainingStoppedError

_PARTS = ("transformer", "vae", "text_encoder", "tokenizer")


def check_wan(config: HydraConfig, base: Path | None) -> Path:
    """The folder, if it has Wan's parts.

    Raises:
        TrainingStoppedError: If it has not.
    """
    missing = [part for part in _PARTS if base is None or not (base / part).is_dir()]
    if base is None or missing:
        raise TrainingStoppedError(
            f"{config.name} starts from Wan 2.1, and {base or 'no folder'} has no {missing[0]} in diffusers' format.",
            "Give --base the folder of Wan2.1-T2V-1.3B-Diffusers.",
        )
    return base


def paper_parts(config: HydraConfig, base: Path | None) -> HydraPipeline:
    """The pipeline before training: Wan's weights, cameras at zero, projector the identity, tokenizer a mean.

    Args:
        config: The model.
        base: Folder with ``transformer``, ``vae``, ``text_encoder`` and ``tokenizer``.

    Raises:
        TrainingStoppedError: If there is no such folder.
    """
    base = check_wan(config, base)
    model = HydraTransformer3DModel(**config.transformer_arguments())
    wan = WanTransformer3DModel.from_pretrained(base, subfolder="transformer", torch_dtype=torch.float32)
    load_wan_base(model, wan.state_dict(), str(base / "transformer"))
    # trained weights are float32 from first to last: a step through bf16 would round them; bf16 is autocast's business
    return assemble_pipeline(config, model, str(base), transformer_dtype=torch.float32)
