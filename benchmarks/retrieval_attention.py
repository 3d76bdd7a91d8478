"""Retrieval attention against its dense twin and against full attention, from 10 to 80 latent frames.

    python benchmarks/retrieval_attention.py            # a minute on one core
    python benchmarks/retrieval_attention.py --height 30 --width 52 --dim 1536 --heads 12 --device cuda

Every method answers the same queries: gathered (each frame's own keys are copied out), dense (all keys under a mask:
the slow twin, equal results), full (every token sees every token, the baseline). Times are the best of a few runs, in
processor seconds of all threads on a CPU (which other programs disturb least) and in wall time on a GPU. Memory is the
largest sum of tensors alive beyond the inputs; torch's kernels for full attention store no matrix, so full attention
is cheap in memory and dear in time. The last lines fit time ~ frames ** p over the table's upper half: 1 is linear, 2
quadratic.
"""

from __future__ import annotations

import argparse
import math
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from reference_model.model.hydra_memory import HydraSettings
from reference_model.model.retrieval_attention import dense_attention, frame_tokens, gathered_attention
from reference_model.model.sequence import Grid


class Cost(NamedTuple):
    """One measurement."""

    seconds: float
    mebibytes: float


class LiveStorage(TorchDispatchMode):
    """Sums the tensor storage that operations create and that is still alive; remembers the largest sum.

    It sees exactly the tensors of the code inside, on every device; the scratch of a single kernel it does not see.
    """

    def __init__(self, inputs: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in inputs}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and counts what it returns."""
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.known:
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        self.known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


class Case(NamedTuple):
    """Inputs of one measurement."""

    queries: Tensor
    """``[1, F, S, H, d]``."""
    keys: Tensor
    """Of all frames, then of all memory slices, ``[1, P, H, d]``."""
    values: Tensor
    """Likewise."""
    index: Tensor
    """Keys that each frame sees, ``[1, F, L]``."""


def make_case(frames: int, given: argparse.Namespace) -> Case:
    """Random tokens of a clip, with window and a random choice of slices as HyDRA's rule allows."""
    settings = HydraSettings(window=given.window, top_k=given.top_k, short_clips="fewer")
    past = Grid(frames // 2, given.height, given.width)
    future = Grid(frames - past.frames, given.height, given.width)
    slices, kept = settings.slices(past, future), settings.retrieved(past, future)
    tokens, generator = past.tokens + future.tokens, torch.Generator().manual_seed(0)
    width = given.dim // given.heads

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(given.device)

    scores = torch.rand(frames, slices.frames, generator=generator).masked_fill(settings.blocked(past, future), -1.0)
    near = frame_tokens(settings.windows(past, future), future.tokens_per_frame)
    far = frame_tokens(scores.topk(kept, dim=1).indices, slices.tokens_per_frame, first=tokens)
    return Case(
        queries=draw(1, frames, future.tokens_per_frame, given.heads, width),
        keys=draw(1, tokens + slices.tokens, given.heads, width),
        values=draw(1, tokens + slices.tokens, given.heads, width),
        index=torch.cat((near, far), dim=1)[None].to(given.device),
    )


def full_attention(queries: Tensor, keys: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """Every token sees every token of the frames; the choice and the memory slices are not needed."""
    tokens = queries.shape[1] * queries.shape[2]
    out = functional.scaled_dot_product_attention(
        queries.flatten(1, 2).transpose(1, 2), keys[:, :tokens].transpose(1, 2), values[:, :tokens].transpose(1, 2)
    )
    return out.transpose(1, 2)


METHODS: dict[str, Callable[..., Tensor]] = {
    "gathered": gathered_attention,
    "dense": dense_attention,
    "full": full_attention,
}


def live_mebibytes(method: Callable[..., Tensor], case: Case) -> float:
    """Peak of live tensors beyond the inputs."""
    with LiveStorage(tuple(case)) as live:
        method(*case)
    return live.peak / 2**20


def seconds_once(method: Callable[..., Tensor], case: Case) -> float:
    """Time of one run."""
    clock = time.perf_counter if case.queries.is_cuda else time.process_time
    start = clock()
    method(*case)
    if case.queries.is_cuda:
        torch.cuda.synchronize()
    return clock() - start


def measure(cases: list[Case], repetitions: int) -> list[dict[str, Cost]]:
    """Costs of all methods on all cases; repetitions go round the whole table, so that a busy minute hits all alike."""
    memory = [{name: live_mebibytes(method, case) for name, method in METHODS.items()} for case in cases]
    times = [dict.fromkeys(METHODS, math.inf) for _ in cases]
    for _ in range(repetitions):
        for case, best in zip(cases, times, strict=True):
            for name, method in METHODS.items():
                best[name] = min(best[name], seconds_once(method, case))
    return [{name: Cost(best[name], used[name]) for name in METHODS} for best, used in zip(times, memory, strict=True)]


def exponent(frames: list[int], seconds: list[float]) -> float:
    """Slope of log(time) over log(frames), least squares over the upper half of the table."""
    half = max(0, min(len(frames) // 2, len(frames) - 2))
    x, y = [math.log(f) for f in frames[half:]], [math.log(s) for s in seconds[half:]]
    middle = sum(x) / len(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 20, 40, 60, 80], help="latent frames, at least 2")
    parser.add_argument("--height", type=int, default=8, help="rows of tokens a frame (mini: 8, paper: 30)")
    parser.add_argument("--width", type=int, default=14, help="columns of tokens a frame (mini: 14, paper: 52)")
    parser.add_argument("--dim", type=int, default=192, help="channels (mini: 192, paper: 1536)")
    parser.add_argument("--heads", type=int, default=4, help="attention heads (mini: 4, paper: 12)")
    parser.add_argument("--window", type=int, default=5, help="frames seen in full")
    parser.add_argument("--top-k", type=int, default=10, help="memory slices retrieved; fewer where a clip has fewer")
    parser.add_argument("--repetitions", type=int, default=3, help="runs to take the best of")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="torch device")
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    cases = [make_case(frames, given) for frames in given.frames]
    with torch.no_grad():
        costs = measure(cases, given.repetitions)
    print(
        f"{given.height}x{given.width} tokens a frame, {given.dim} channels, window {given.window}, top-k {given.top_k}"
    )
    print(f"{'':25}  time, gathered = 1     memory, gathered = 1")
    print("frames  tokens keys seen   dense    full       ms      dense    full      MiB")
    for frames, case, cost in zip(given.frames, cases, costs, strict=True):
        own, tokens = cost["gathered"], case.queries.shape[1] * case.queries.shape[2]
        times = "".join(f"{cost[name].seconds / own.seconds:8.2f}" for name in ("dense", "full"))
        memory = "".join(f"{cost[name].mebibytes / own.mebibytes:8.2f}" for name in ("dense", "full"))
        seen = case.index.shape[2]
        print(f"{frames:6} {tokens:7} {seen:9}{times} {own.seconds * 1e3:8.1f}   {memory} {own.mebibytes:8.1f}")
    for name in METHODS:
        print(f"{name:>9}: time ~ frames ** {exponent(given.frames, [cost[name].seconds for cost in costs]):.2f}")


if __name__ == "__main__":
    main()
