"""Memory and arithmetic of HyDRA at paper scale, counted on tensors without data: no GPU, no weights.

    python benchmarks/paper_memory.py --codec

Largest sum of live activations of one transformer evaluation and of the codec (minutes, with --codec), and the
floating-point operations of an evaluation: retrieval attention against attention to everything. These are counts of
what the code asks for, not measurements on a device.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reference_model.model.codec import WanCodec
from reference_model.model.config import HydraConfig, hydra_wan_1_3b
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.ram_plan import GIB, example_inputs, live_bytes, ram_plan, transformer_activations


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--codec", action="store_true", help="also count the codec")
    given = arguments.parse_args()
    config = hydra_wan_1_3b()
    for line in ram_plan(config, "cpu").lines():
        print(line)
    print(f"transformer activations, bf16: {transformer_activations(config, torch.bfloat16) / GIB:.2f} GiB")
    full = replace(config, transformer=replace(config.transformer, memory={"kind": "full"}))
    retrieval_flops, full_flops = evaluation_flops(config), evaluation_flops(full)
    print(f"one evaluation: {retrieval_flops / 1e12:.1f} TFLOP, with full attention {full_flops / 1e12:.1f} TFLOP")
    evaluations = config.sampler.steps * (2 if config.sampler.guidance != 1 else 1)
    print(f"one clip ({evaluations} evaluations): {evaluations * retrieval_flops / 1e15:.2f} PFLOP")
    if given.codec:
        for tiling in (False, True):
            count_codec(config, tiling)


def evaluation_flops(config: HydraConfig) -> int:
    """Floating-point operations (a multiplication and an addition are two) of one evaluation, all blocks."""
    counts = []
    for layers in (1, 2):  # all blocks are alike but for the last, which answers the target alone
        with init_empty_weights():
            model = HydraTransformer3DModel(**{**config.transformer_arguments(), "num_layers": layers}).eval()
        nn.Module.to(model, torch.bfloat16)
        latents, cameras, text, level = example_inputs(config, torch.bfloat16)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            model(latents[0], latents[1], level, text, cameras, context_too=False)
        counts.append(counter.get_total_flops())
    block = counts[1] - counts[0]
    return counts[0] + (config.transformer.layers - 1) * block


def count_codec(config: HydraConfig, tiling: bool) -> None:
    with torch.device("meta"):
        vae = AutoencoderKLWan().eval()
    codec = WanCodec(vae, tiled=tiling)
    pixels = config.width * config.height
    video = torch.empty(1, 3, config.target_frames, config.height, config.width, device="meta")
    latents = torch.empty(1, 16, 20, config.height // 8, config.width // 8, device="meta")
    for name, run in (("encode", lambda: codec.encode(video)), ("decode", lambda: codec.decode(latents))):
        start = time.perf_counter()
        peak = live_bytes(run)
        print(
            f"codec {name}, {'tiles' if tiling else 'whole'}: {peak / GIB:.2f} GiB, {peak / pixels:.1f} bytes a pixel "
            f"(counted in {time.perf_counter() - start:.0f} s)"
        )


if __name__ == "__main__":
    main()
