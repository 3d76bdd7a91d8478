"""How much faster this checkout computes than another one, in one run and at equal numbers.

    git worktree add ../before COMMIT
    python benchmarks/sampling_speed.py --before ../before

Two processes, one for each checkout, take turns, so that a busy minute hits both alike. Times are processor seconds of
one thread; the ratio is that of the medians. Both compute from the same seeds, and the largest difference of what they
give is printed beside the ratio, relative to the largest number. Work:

* ``generation``: one clip by the shipped nano weights, 77 + 77 frames;
* ``forward``: one evaluation of HyDRA at the paper's 62,400 tokens, with two narrow blocks;
* ``training``: one step of nano, forward and backward.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

WORK = ("generation", "forward", "training")


def cameras(frames: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Of context and target, near the identity."""
    g = torch.Generator().manual_seed(1)
    past, future = (torch.eye(4)[:3].reshape(12) + torch.randn(batch, frames, 12, generator=g) / 20 for _ in range(2))
    return past, future


def generation() -> Callable[[], Tensor]:
    """Nano's own weights on a moving pattern."""
    from reference_model.model.methods import HYDRA
    from reference_model.sampling.pipeline import GenerationRequest
    from reference_model.sampling.world_model import load_pipeline

    pipeline, _, _ = load_pipeline(HYDRA.apply("nano"), None, 0)
    video = torch.rand(1, 3, 77, 64, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    request = GenerationRequest(context=video, cameras=cameras(20), captions=["a dog walks past a house"])
    return lambda: pipeline(request, torch.Generator().manual_seed(0))


def forward() -> Callable[[], Tensor]:
    """HyDRA at the paper's grid of tokens: 40 frames of 30x52."""
    from reference_model.model.transformer import HydraTransformer3DModel

    torch.manual_seed(0)
    model = HydraTransformer3DModel(
        memory_settings={"kind": "hydra"}, num_attention_heads=2, attention_head_dim=48, text_dim=64, ffn_dim=384,
        num_layers=2,
    ).eval()  # fmt: skip
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 16, 40, 60, 104, generator=g)
    text, level = torch.randn(1, 512, 64, generator=g), torch.tensor([700.0])

    def run() -> Tensor:
        with torch.no_grad():
            return torch.as_tensor(model(latents[:, :, :20], latents[:, :, 20:], level, text, cameras(20)).target)

    return run


def training() -> Callable[[], Tensor]:
    """A step of nano on two clips of noise; what it gives is a gradient."""
    from reference_model.model.methods import HYDRA
    from reference_model.sampling.pipeline import build_pipeline

    model = build_pipeline(HYDRA.apply("nano"), 0).transformer.train()
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 128, 40, 8, 14, generator=g)
    text, level = torch.randn(2, 32, 128, generator=g), torch.tensor([700.0, 300.0])

    def run() -> Tensor:
        model.zero_grad()
        found = model(latents[:, :, :20], latents[:, :, 20:], level, text, cameras(20, 2)).target
        found.square().mean().backward()
        gradient = model.blocks[0].attn1.to_q.weight.grad
        assert gradient is not None
        return gradient

    return run


def serve(name: str, result: Path) -> None:
    """In a child: runs the work once a line on standard input and answers with its processor seconds."""
    torch.set_num_threads(1)
    work = {"generation": generation, "forward": forward, "training": training}[name]()
    torch.save(work(), result)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        work()
        print(json.dumps(time.process_time() - began), flush=True)


def start(checkout: Path, name: str, result: Path) -> subprocess.Popen[str]:
    """A child whose packages are those of this checkout; this very file is its program."""
    env = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", name, "--result", str(result)]
    return subprocess.Popen(
        command, env=env, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip


def answer(child: subprocess.Popen[str]) -> str:
    """The child's next line."""
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line:
        sys.exit(f"the process of {child.args!r} ended with code {child.wait()}")
    return line


def compare(name: str, before: Path, repetitions: int, scratch: Path) -> str:
    """One line of the table."""
    checkouts = {"before": before, "after": Path(__file__).resolve().parent.parent}
    results = {side: scratch / f"{name}-{side}.pt" for side in checkouts}
    children = {side: start(checkout, name, results[side]) for side, checkout in checkouts.items()}
    for child in children.values():
        while answer(child) != "ready":
            pass
    seconds: dict[str, list[float]] = {side: [] for side in children}
    for _ in range(repetitions):
        for side, child in children.items():
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
            seconds[side].append(float(answer(child)))
    for child in children.values():
        child.communicate()
    old, new = (torch.load(results[side]) for side in ("before", "after"))
    apart = float((new - old).abs().max() / old.abs().max())
    middle = {side: statistics.median(times) for side, times in seconds.items()}
    ratios = sorted(a / b for a, b in zip(seconds["before"], seconds["after"], strict=True))
    return (
        f"{name:11} {middle['before']:8.2f} s {middle['after']:8.2f} s {middle['before'] / middle['after']:6.2f}x "
        f"(pairs {ratios[0]:.2f} to {ratios[-1]:.2f})   apart {apart:.1e}"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    parser.add_argument("--serve", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.result)
        return
    if given.before is None:
        parser.error("name the other checkout: --before FOLDER")
    print(f"{'work':11} {'before':>10} {'after':>10} {'faster':>7}")
    for name in given.work:
        print(compare(name, given.before, given.repetitions, given.scratch), flush=True)


if __name__ == "__main__":
    main()
