"""Puts the released model together: HyDRA's weights with codec and text encoder of Wan 2.1.

    python -m reference_model.released hydra.ckpt Wan2.1-T2V-1.3B-Diffusers hydra-paper

writes a folder that ``hmbench eval --model hydra --profile paper --option checkpoint=hydra-paper`` takes, and that
needs no network afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
from accelerate import init_empty_weights

from reference_model.checkpoint import CheckpointError, compare, from_released, read_weights
from reference_model.config import hydra_wan_1_3b
from reference_model.pipeline import assemble_pipeline
from reference_model.transformer import HydraTransformer3DModel


def import_released(checkpoint: Path, wan_folder: Path, out: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Writes the released model as a saved pipeline.

    Args:
        checkpoint: HyDRA's weights (torch or safetensors file, released names).
        wan_folder: Wan 2.1 T2V in diffusers' format, with ``vae``, ``text_encoder`` and ``tokenizer``.
        out: Folder to write.
        dtype: Of transformer and text encoder.

    Raises:
        CheckpointError: If the weights are not those of the released architecture.
    """
    config = hydra_wan_1_3b()
    transformer = load_transformer(checkpoint, config.transformer_arguments())
    assemble_pipeline(config, transformer, str(wan_folder), dtype).save_pretrained(out)


def load_transformer(checkpoint: Path, arguments: dict[str, object]) -> HydraTransformer3DModel:
    """A transformer that takes the tensors of a file as they are, without making random ones first."""
    weights = from_released(read_weights(checkpoint))
    with init_empty_weights():
        transformer = HydraTransformer3DModel(**arguments)
    if not (report := compare(transformer, weights)).fits:
        raise CheckpointError(str(checkpoint), report)
    transformer.load_state_dict(weights, strict=True, assign=True)
    return cast(HydraTransformer3DModel, transformer)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=import_released.__doc__)
    parser.add_argument("checkpoint", type=Path, help="HyDRA's weights")
    parser.add_argument("wan_folder", type=Path, help="Wan 2.1 T2V 1.3B in diffusers' format")
    parser.add_argument("out", type=Path, help="folder to write")
    given = parser.parse_args()
    import_released(given.checkpoint, given.wan_folder, given.out)


if __name__ == "__main__":
    main()
