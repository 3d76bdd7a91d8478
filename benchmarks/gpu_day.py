"""What a GPU tells of the paper-scale model in a few minutes, with random weights: nothing is downloaded.

    python benchmarks/gpu_day.py --out OUT                    # not run on a GPU yet
    python benchmarks/gpu_day.py --out OUT --toy              # rehearsal on a CPU, seconds

1. *Parity.* Every fast path against float32 on the CPU (small sizes), and against the released way on the device.
2. *Time and memory* of one evaluation at 832x480, 77 + 77 frames: the released way (a loop over frames, rotation in
   complex float64), ours, ours compiled; floating-point operations and the share of the device's own matrix rate.
3. *Sampling*: a few steps with guidance, latents to latents, and what 50 of them take.
4. *Training*: one forward and backward pass of one clip with gradient checkpointing.

Each part is written to ``gpu_day.json`` as soon as it is done, and a part that fails says so and stops no other.
Training of the small models is `benchmarks/gpu_train.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from reference_model.model import memory as memory_module
from reference_model.model.clip_state import ClipState
from reference_model.model.config import HydraConfig, hydra_wan_1_3b
from reference_model.model.hydra_memory import HydraMemory
from reference_model.model.retrieval_attention import gathered_attention
from reference_model.model.rope import Rotation
from reference_model.model.trainable import freeze
from reference_model.model.transformer import HydraTransformer3DModel

TOY = {"dim": 96, "heads": 2, "layers": 2, "ffn_dim": 128, "freq_dim": 32}
SEED = 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--device", default="cuda", help="torch device")
    parser.add_argument("--seconds", type=float, default=240, help="no part begins after this")
    parser.add_argument("--only", action="append", help="this part only; repeatable")
    parser.add_argument("--toy", action="store_true", help="a rehearsal at toy size on the CPU")
    given = parser.parse_args()
    if given.toy:
        given.device = "cpu"
    return given


class Inputs:
    """Latents, cameras and text of one clip."""

    def __init__(self, config: HydraConfig, device: torch.device, dtype: torch.dtype, words: int = 512) -> None:
        chance = torch.Generator().manual_seed(SEED)
        frames = (config.context_frames - 1) // 4 + 1, (config.target_frames - 1) // 4 + 1
        size = config.height // 8, config.width // 8

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=chance).to(device, dtype)

        channels = config.codec.latent_channels
        self.context, self.target = (draw(1, channels, n, *size) for n in frames)
        self.cameras = draw(1, frames[0], 12), draw(1, frames[1], 12)
        self.text = draw(1, words, config.text.dim)
        self.timestep = torch.tensor([700.0], device=device)

    def evaluate(
        self, model: HydraTransformer3DModel, state: ClipState | None = None, context_too: bool = False
    ) -> Tensor:
        """The target's velocity; with a state as in every step of a sampler but the first."""
        inputs = (self.context, self.target, self.timestep, self.text, self.cameras)
        return model(*inputs, state=state, context_too=context_too).target


def build(config: HydraConfig, device: torch.device, dtype: torch.dtype) -> HydraTransformer3DModel:
    """The model with random weights, cameras and projector included, so that every part counts."""
    torch.manual_seed(SEED)
    with torch.device(device):
        model = HydraTransformer3DModel(**config.transformer_arguments())
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "camera_" in name or "projector" in name:
                value.add_(torch.randn_like(value) * 0.02)
    return model.to(dtype).eval()


def per_frame(queries: Tensor, keys: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """Retrieval attention as released: frame by frame, the keys of each copied out."""
    found = []
    for frame in range(queries.shape[1]):
        seen = index[:, frame].expand(len(queries), -1)
        chosen = [torch.stack([pool[b, seen[b]] for b in range(len(pool))]) for pool in (keys, values)]
        heads = (part.transpose(1, 2) for part in (queries[:, frame], *chosen))
        found.append(functional.scaled_dot_product_attention(*heads).transpose(1, 2))
    return torch.stack(found, dim=1)


def complex_rotate(x: Tensor, by: Rotation) -> Tensor:
    """Rotary embedding as released: a product of complex float64 numbers."""
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
    turned = pairs * torch.complex(by.cos.double(), by.sin.double())
    return torch.view_as_real(turned).flatten(-2).type_as(x)


@contextlib.contextmanager
def released_way(model: HydraTransformer3DModel) -> Iterator[None]:
    """Within it, the model computes as the released code does."""
    assert isinstance(model.memory, HydraMemory)
    own, turn = model.memory.attention, memory_module.rotate
    model.memory.attention = per_frame
    memory_module.rotate = complex_rotate  # type: ignore[assignment]
    try:
        yield
    finally:
        model.memory.attention = own
        memory_module.rotate = turn  # type: ignore[assignment]


class Day:
    """What the parts share."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.began = given, time.perf_counter()
        self.device = torch.device(given.device)
        self.cuda = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        self.config = self._config()
        given.out.mkdir(parents=True, exist_ok=True)
        self.found: dict[str, Any] = {
            "machine": {
                "device": torch.cuda.get_device_name() if self.cuda else platform.machine(),
                "torch": torch.__version__,
                "size": f"{self.config.width}x{self.config.height}",
                "layers": self.config.transformer.layers,
                "dtype": str(self.dtype),
            }
        }

    def _config(self) -> HydraConfig:
        config = hydra_wan_1_3b()
        if not self.given.toy:
            return config
        small = replace(config.transformer, **TOY)
        return replace(config, width=128, height=64, transformer=small, text=replace(config.text, dim=64))

    def run(self, parts: dict[str, Callable[[], dict[str, Any]]]) -> None:
        """All parts; one that fails is recorded with its reason."""
        for name, part in parts.items():
            if self.given.only and name not in self.given.only:
                continue
            if (at := time.perf_counter() - self.began) > self.given.seconds:
                self.found[name] = {"left_out": "no time"}
                continue
            print(f"[{at:6.1f}] {name}", flush=True)
            try:
                self.found[name] = part()
            except Exception as error:  # noqa: BLE001 - one part must not cost the others
                self.found[name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
                traceback.print_exc()
            print(json.dumps(self.found[name]), flush=True)
            self.found["seconds"] = time.perf_counter() - self.began
            (self.given.out / "gpu_day.json").write_text(json.dumps(self.found, indent=1) + "\n")
            if self.cuda:
                torch.cuda.empty_cache()

    def seconds(self, action: Callable[[], Any], repeats: int = 3, warm: int = 1) -> float:
        """Median time of an action."""
        times = []
        for number in range(warm + repeats):
            self.wait()
            began = time.perf_counter()
            action()
            self.wait()
            if number >= warm:
                times.append(time.perf_counter() - began)
        return sorted(times)[len(times) // 2]

    def peak(self, action: Callable[[], Any]) -> float | None:
        """Most memory during an action beyond what is held before, GB; None without a GPU: nobody counts there."""
        if not self.cuda:
            return None
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        action()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - held) / 1e9

    def wait(self) -> None:
        """Until the device is done."""
        if self.cuda:
            torch.cuda.synchronize()

    # parts

    @torch.no_grad()
    def rates(self) -> dict[str, Any]:
        """The device's own rates on random data: the ceilings that the others are measured against."""
        size = 8192 if self.cuda else 512
        a, b = (torch.randn(size, size, device=self.device, dtype=self.dtype) for _ in range(2))
        product = self.seconds(lambda: a @ b, repeats=5, warm=3)
        c = torch.randn(2**28 if self.cuda else 2**20, device=self.device)
        copy = self.seconds(c.clone, repeats=5, warm=2)
        return {"matrix_tflops": 2 * size**3 / product / 1e12, "copy_tb_per_s": 2 * 4 * c.numel() / copy / 1e12}

    @torch.no_grad()
    def parity(self) -> dict[str, Any]:
        """Differences from float32 on the CPU, at a small size."""
        small = replace(self.config.transformer, **TOY)
        config = replace(self.config, width=128, height=64, transformer=small, text=replace(self.config.text, dim=64))
        exact = build(config, torch.device("cpu"), torch.float32)
        wanted = Inputs(config, torch.device("cpu"), torch.float32, 16).evaluate(exact)
        found: dict[str, Any] = {}
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        for label, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            model = exact.to(self.device, dtype) if dtype == torch.float32 else exact.to(dtype)
            given = Inputs(config, self.device, dtype, 16)
            state = ClipState()
            found[f"{label} ours"] = _off(given.evaluate(model, state), wanted)
            found[f"{label} ours, second step"] = _off(given.evaluate(model, state), wanted)
            found[f"{label} ours, context too"] = _off(given.evaluate(model, context_too=True), wanted)
            with released_way(model):
                found[f"{label} released way"] = _off(given.evaluate(model, context_too=True), wanted)
        return found

    @torch.no_grad()
    def evaluation(self) -> dict[str, Any]:
        """One evaluation at full size: the released way, ours, ours compiled."""
        model = build(self.config, self.device, self.dtype)
        given = Inputs(self.config, self.device, self.dtype)
        state = ClipState()
        ours = given.evaluate(model, state)
        tflop = _tflop(model, given)
        found: dict[str, Any] = {"tflop": tflop, "parameters": sum(p.numel() for p in model.parameters())}
        found["ours_first_s"] = self.seconds(lambda: given.evaluate(model))
        found["ours_s"] = self.seconds(lambda: given.evaluate(model, state))
        found["ours_gb"] = self.peak(lambda: given.evaluate(model, state))
        with released_way(model):
            theirs = given.evaluate(model, context_too=True)
            found["released_way_s"] = self.seconds(lambda: given.evaluate(model, context_too=True), repeats=2)
            found["released_way_gb"] = self.peak(lambda: given.evaluate(model, context_too=True))
        found["difference"] = _off(ours, theirs)
        found["ratio"] = found["released_way_s"] / found["ours_s"]
        found["ours_tflops"] = tflop / found["ours_s"]
        self._utilised(found, "ours_tflops")
        return found

    @torch.no_grad()
    def compiled(self) -> dict[str, Any]:
        """The blocks compiled into one graph, and the last one, which answers the target alone, into another."""
        model = build(self.config, self.device, self.dtype)
        given, state = Inputs(self.config, self.device, self.dtype), ClipState()
        eager = given.evaluate(model, state)
        tflop = _tflop(model, given)
        began = time.perf_counter()
        model.compile_repeated_blocks(fullgraph=True, dynamic=False, backend="inductor" if self.cuda else "eager")
        first = given.evaluate(model, state)
        self.wait()
        found: dict[str, Any] = {"compile_s": time.perf_counter() - began}
        found["compiled_s"] = self.seconds(lambda: given.evaluate(model, state))
        found["compiled_gb"] = self.peak(lambda: given.evaluate(model, state))
        found["difference_from_eager"] = _off(first, eager)
        found["compiled_tflops"] = tflop / found["compiled_s"]
        found["graphs"] = int(torch._dynamo.utils.counters["stats"].get("unique_graphs", 0))
        self._utilised(found, "compiled_tflops")
        return found

    def _utilised(self, found: dict[str, Any], name: str) -> None:
        """The share of the device's own matrix rate, where that was measured."""
        if rate := self.found.get("rates", {}).get("matrix_tflops"):
            found["utilisation"] = found[name] / rate

    @torch.no_grad()
    def sampling(self) -> dict[str, Any]:
        """Two steps with guidance: two evaluations each, as released."""
        from reference_model.sampling.pipeline import build_scheduler, guided, set_noise_levels

        model = build(self.config, self.device, self.dtype)
        given = Inputs(self.config, self.device, self.dtype)
        scheduler, steps = build_scheduler(self.config.sampler.shift), 2
        latents = given.target.float()
        set_noise_levels(scheduler, steps, self.device)

        def sample() -> None:
            now, state = latents, ClipState()
            set_noise_levels(scheduler, steps, self.device)
            for timestep in scheduler.timesteps:
                level = timestep.expand(1)
                inputs = (given.context, now.to(self.dtype), level, given.text, given.cameras)
                both = [model(*inputs, state=state, context_too=False).target.float() for _ in range(2)]
                now = scheduler.step(guided(both, 5.0), timestep, now, return_dict=False)[0]

        taken = self.seconds(sample, repeats=1)
        return {"steps": steps, "seconds": taken, "seconds_of_50_steps": taken / steps * 50, "gb": self.peak(sample)}

    def training(self) -> dict[str, Any]:
        """Forward and backward of one clip under the paper's freeze rule, with gradient checkpointing."""
        model = build(self.config, self.device, torch.float32).train()
        trained = freeze(model, "paper")
        model.enable_gradient_checkpointing()
        given = Inputs(self.config, self.device, torch.float32)
        optimizer = torch.optim.AdamW(trained.values(), lr=1e-5, fused=self.cuda)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            cast: Any = torch.autocast("cuda", torch.bfloat16) if self.cuda else contextlib.nullcontext()
            with cast:
                loss = given.evaluate(model).float().square().mean()
            loss.backward()
            optimizer.step()

        taken = self.seconds(step, repeats=1)
        return {
            "seconds": taken,
            "trained_parameters": sum(value.numel() for value in trained.values()),
            "clips_a_second": 1 / taken,
            "gb": torch.cuda.max_memory_allocated() / 1e9 if self.cuda else None,
        }


def _tflop(model: HydraTransformer3DModel, given: Inputs) -> float:
    """Floating-point operations of one step, in 1e12; torch counts the gathering kernels and not all of the others."""
    memory, state = model.memory, ClipState()
    assert isinstance(memory, HydraMemory)
    given.evaluate(model, state)
    own, memory.attention = memory.attention, gathered_attention
    try:
        with FlopCounterMode(display=False) as counter:
            given.evaluate(model, state)
    finally:
        memory.attention = own
    return float(counter.get_total_flops()) / 1e12


def _off(found: Tensor, wanted: Tensor) -> dict[str, float]:
    """Relative differences: of norms, and the largest over the largest value."""
    a, b = found.detach().double().cpu(), wanted.detach().double().cpu()
    return {
        "norm": float((a - b).norm() / b.norm()),
        "largest": float((a - b).abs().max() / b.abs().max()),
    }


def main() -> None:
    """Runs the parts."""
    day = Day(arguments())
    parts = (day.rates, day.parity, day.evaluation, day.sampling, day.training, day.compiled)
    day.run({part.__name__: part for part in parts})
    print(f"{day.given.out / 'gpu_day.json'}")


if __name__ == "__main__":
    main()
