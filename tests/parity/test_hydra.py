"""The released HyDRA transformer's tensors, reproduced through the public model class (float32, 1e-5 relative).

Everything but the sampling steps, which shared/parity/README.md defines, is read from the fixture's own files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounter

from reference_model.model.clip_state import ClipState
from reference_model.model.retrieval_attention import gathered_attention, local_windows, slices_inside
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.released.checkpoint import load_released

SHARED = Path(os.environ.get("HMBENCH_SHARED", Path(__file__).parents[3] / "shared"))
FOLDER = Path(os.environ.get("HMBENCH_PARITY", SHARED / "parity")) / "hydra"
TOLERANCE = 1e-5
OUTPUT_STEPS = (3, 7, 9)  # output[:, :, ::3, ::7, ::9]
TOKEN_STEP = 97  # tokens[:, ::97]

pytestmark = pytest.mark.skipif(
    not (FOLDER / "expected.safetensors").is_file(),
    reason=f"no HyDRA fixture at {FOLDER} (set HMBENCH_SHARED or HMBENCH_PARITY)",
)


@pytest.fixture(scope="module")
def sizes():
    return json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def expected():
    return load_file(FOLDER / "expected.safetensors")


@pytest.fixture(scope="module")
def weights():
    return load_file(FOLDER / "official_keys.safetensors")


def build(sizes, memory):
    return HydraTransformer3DModel(
        memory_settings=memory,
        patch_size=tuple(sizes["patch_size"]),
        num_attention_heads=sizes["num_heads"],
        attention_head_dim=sizes["dim"] // sizes["num_heads"],
        in_channels=sizes["in_dim"],
        text_dim=sizes["text_dim"],
        freq_dim=sizes["freq_dim"],
        ffn_dim=sizes["ffn_dim"],
        num_layers=sizes["num_layers"],
        eps=sizes["eps"],
    ).eval()


def retrieval_settings(sizes, expected, weights):
    """Window, top-k, kernel and stride as the fixture's tensors imply them."""
    kernel = tuple(weights["blocks.0.self_attn.tokenizer.conv.weight"].shape[2:])
    frames, slices = expected["hydra/affinity_masked_block0"].shape[1:]
    stride = (round((frames - kernel[0]) / (slices - 1)), *kernel[1:])
    blocked = expected["hydra/affinity_masked_block0"][0] <= -1e8
    fits = [
        window
        for window in range(1, frames + 1)
        if torch.equal(slices_inside(local_windows(frames, window), slices, kernel[0], stride[0]), blocked)
    ]
    assert fits, "no window explains the fixture's mask"
    window = sizes.get("window", 5 if 5 in fits else fits[0])
    top_k = expected["hydra/topk_block0"].shape[2]
    return {"kind": "hydra", "window": window, "top_k": top_k, "kernel": kernel, "stride": stride}


def run(model, expected, listen=True, **options):
    """All latents' velocity, and what the blocks recorded."""
    latents = expected["input/latents_fp16"].float()
    cameras = (expected["input/camera_context"], expected["input/camera_target"])
    past = cameras[0].shape[1] * model.patch[0]
    seen = {}
    with torch.no_grad():
        velocity = model(
            latents[:, :, :past],
            latents[:, :, past:],
            expected["input/timestep"],
            expected["input/text"],
            cameras,
            (lambda block, name, value: seen.__setitem__(f"{name}{block}", value)) if listen else None,
            **options,
        )
    past = velocity.context if velocity.context is not None else torch.full_like(velocity.target, torch.nan)
    return torch.cat((past, velocity.target), dim=2), seen


def assert_close(name, found, wanted):
    assert found.shape == wanted.shape, f"{name}: {list(found.shape)} instead of {list(wanted.shape)}"
    worst = ((found - wanted).abs().max() / wanted.abs().max()).item()
    typical = ((found - wanted).norm() / wanted.norm()).item()
    assert max(worst, typical) < TOLERANCE, f"{name} is off by {worst:.1e} (largest), {typical:.1e} (norm)"


def check_all(expected, prefix, output, seen):
    """Compares every tensor of the fixture under a prefix; an unknown name fails."""
    t, h, w = OUTPUT_STEPS
    names = [name for name in expected if name.startswith(prefix)]
    assert names
    for name in names:
        kind, wanted = name.removeprefix(prefix), expected[name]
        if kind == "output_sampled":
            assert_close(name, output[:, :, ::t, ::h, ::w], wanted)
        elif kind.endswith("_self_attn_sampled"):
            block = kind.removeprefix("block").removesuffix("_self_attn_sampled")
            assert_close(name, seen[f"self_attention{block}"][:, ::TOKEN_STEP], wanted)
        elif kind.startswith("affinity_masked_block"):
            found, free = seen[f"affinity{kind.removeprefix('affinity_masked_block')}"], wanted > -1e8
            assert torch.equal(found > -1e8, free), name
            assert torch.equal(found[~free], wanted[~free]), name
            assert_close(name, found[free], wanted[free])
        elif kind.startswith("topk_block"):
            assert torch.equal(seen[f"selected{kind.removeprefix('topk_block')}"], wanted.long()), name
        elif kind.startswith("block"):
            block = kind.removeprefix("block").removesuffix("_sampled")
            assert_close(name, seen[f"block{block}"][:, ::TOKEN_STEP], wanted)
        else:
            pytest.fail(f"the fixture has a tensor that this test does not know: {name}")


def test_retrieval_attention_is_the_released_one(sizes, expected, weights):
    # 12 s on one core
    model = build(sizes, retrieval_settings(sizes, expected, weights))
    load_released(model, weights)
    check_all(expected, "hydra/", *run(model, expected))


@pytest.mark.slow  # each as long again
@pytest.mark.parametrize("path", ["gathered windows", "one compiled graph", "the target alone, from a clip's state"])
def test_every_path_is_the_released_one(sizes, expected, weights, path):
    """The test above takes the default: windows as slices, torch's eager mode, all tokens of the last block."""
    model = build(sizes, retrieval_settings(sizes, expected, weights))
    load_released(model, weights)
    if path == "gathered windows":
        model.memory.attention = gathered_attention
        check_all(expected, "hydra/", *run(model, expected))
        return
    t, h, w = OUTPUT_STEPS
    wanted, options = expected["hydra/output_sampled"], {}
    if path == "one compiled graph":
        counter = CompileCounter()
        for block in model.blocks:
            block.compile(fullgraph=True, backend=counter)
    else:
        options = {"state": ClipState(), "context_too": False}
        run(model, expected, listen=False, **options)
    found = run(model, expected, listen=False, **options)[0][:, :, ::t, ::h, ::w]
    known = found.isfinite()
    assert_close(path, found[known], wanted[known])
    if path == "one compiled graph":
        assert known.all() and counter.frame_count == 1
        torch._dynamo.reset()
    else:
        assert known[:, :, -1].all() and known.float().mean() < 0.6


@pytest.mark.slow  # a minute on one core: every one of 62,400 tokens attends to all
def test_full_attention_is_the_released_one(sizes, expected, weights):
    model = build(sizes, {"kind": "full"})
    load_released(model, {name: value for name, value in weights.items() if ".tokenizer." not in name})
    check_all(expected, "full_context/", *run(model, expected))
