"""What a run at paper scale needs and what there is, said before it starts.

Weights are counted from the architecture. Activations of the transformer are counted by running two blocks on tensors
without data (`live_bytes`), with attention as one fused kernel; those of the codec scale from such a count at 832x480
(``benchmarks/paper_memory.py`` repeats it). What CUDA itself, cuDNN's workspaces and fragmentation take is an
allowance, not a measurement.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reference_model.model.config import HydraConfig
from reference_model.model.transformer import HydraTransformer3DModel

GIB = 2**30
ALLOWANCE = 3 * GIB // 2
"""CUDA context, workspaces and fragmentation: assumed, not measured."""
UMT5_PARAMETERS = 5_680_910_336
"""Of UMT5-XXL's encoder (counted; a test repeats it)."""
WAN_VAE_PARAMETERS = 126_892_531
"""Of Wan 2.1's codec (counted; a test repeats it)."""
CODEC_BYTES_PER_PIXEL = {False: 20_401.2, True: 7_166.3}
"""Live bytes of decoding 77 frames in float32 over the pixels of a frame, without and with tiles: 7.59 and 2.67 GiB at
832x480. Encoding takes less: 5.25 and 1.35 GiB. Tiles were counted as diffusers' sixteen of the same size."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """One part of the pipeline."""

    name: str
    """Part of the pipeline."""
    parameters: int
    """Numbers in it."""
    weights: int
    """Bytes of its weights."""
    active: int
    """Bytes of its activations at their largest."""


@dataclass(frozen=True, kw_only=True)
class RamPlan:
    """What is needed and what there is, in bytes."""

    device: str
    """Where the transformer and the codec run."""
    available: int
    """Free memory of the device (of the machine, for a CPU)."""
    total: int
    """All memory of the device."""
    host_available: int
    """Free memory of the machine."""
    components: tuple[Component, ...]
    """Transformer, codec, text encoder."""

    def needed(self, offload: str) -> int:
        """Bytes on the device while sampling; text is cached and its encoder gone.

        Args:
            offload: ``none``, ``model`` or ``sequential``, as `load_paper_pipeline` takes it.
        """
        transformer, codec, _ = self.components
        if offload == "none":
            return transformer.weights + codec.weights + max(transformer.active, codec.active) + ALLOWANCE
        if offload == "model":
            return max(transformer.weights + transformer.active, codec.weights + codec.active) + ALLOWANCE
        if offload == "sequential":
            return max(transformer.active, codec.active) + ALLOWANCE
        raise ValueError(f"offload must be 'none', 'model' or 'sequential', got {offload!r}")

    @property
    def needed_for_text(self) -> int:
        """Bytes wherever captions are encoded, once a run; 0 needed if all are cached."""
        text = self.components[2]
        return text.weights + text.active

    @property
    def offload(self) -> str | None:
        """The fastest mode that fits the device, None if none does."""
        return next((m for m in ("none", "model", "sequential") if self.needed(m) <= self.available), None)

    def lines(self) -> list[str]:
        """The plan as sentences, one a line."""
        said = [
            f"{c.name}: {c.parameters / 1e9:.2f} B parameters, {c.weights / GIB:.1f} GiB, "
            f"activations {c.active / GIB:.1f} GiB"
            for c in self.components
        ]
        modes = ", ".join(f"{self.needed(m) / GIB:.1f} GiB ({m})" for m in ("none", "model", "sequential"))
        said.append(
            f"needed while sampling, by offload: {modes}; {self.device} has {self.available / GIB:.1f} GiB free "
            f"of {self.total / GIB:.1f}"
        )
        said.append(
            f"needed to encode captions, once: {self.needed_for_text / GIB:.1f} GiB, "
            f"the machine has {self.host_available / GIB:.1f} GiB free; cached captions need none of it"
        )
        if self.offload is None:
            said.append("This does not fit: use a GPU with more memory, or a smaller model.")
        elif self.offload != "none":
            said.append(f"Use offload={self.offload}.")
        return said


def ram_plan(
    config: HydraConfig, device: str | torch.device, dtype: torch.dtype = torch.bfloat16, *, tiling: bool = True
) -> RamPlan:
    """What a configuration needs on a device, before anything is loaded; takes some seconds.

    Args:
        config: A recipe with Wan's codec and UMT5, such as `hydra_wan_1_3b`.
        device: Where it would run.
        dtype: Of transformer and text encoder.
        tiling: Whether the codec works in tiles.
    """
    if config.codec.kind != "wan" or config.text.kind != "umt5":
        raise ValueError(f"{config.name} runs on the small codec and text encoder; it needs no plan")
    target = torch.device(device)
    available, total, host = _free(target)
    size = torch.empty((), dtype=dtype).element_size()
    pixels = config.width * config.height
    parameters = transformer_parameters(config)
    return RamPlan(
        device=str(target),
        available=available,
        total=total,
        host_available=host,
        components=(
            Component(
                name="transformer",
                parameters=parameters,
                weights=parameters * size,
                active=transformer_activations(config, dtype),
            ),
            Component(
                name="codec",
                parameters=WAN_VAE_PARAMETERS,
                weights=WAN_VAE_PARAMETERS * 4,
                active=int(CODEC_BYTES_PER_PIXEL[tiling] * pixels),
            ),
            Component(
                name="text encoder",
                parameters=UMT5_PARAMETERS,
                weights=UMT5_PARAMETERS * size,
                active=512 * 10240 * 8 * size,  # 512 tokens, a few feed-forwards wide
            ),
        ),
    )


def transformer_parameters(config: HydraConfig) -> int:
    """Parameters of a configuration's transformer."""
    with init_empty_weights():
        model = HydraTransformer3DModel(**config.transformer_arguments())
    return sum(parameter.numel() for parameter in model.parameters())


def transformer_activations(config: HydraConfig, dtype: torch.dtype) -> int:
    """Largest sum of live activations in one evaluation without gradients, in bytes.

    Two blocks are run: without gradients a block's activations are gone before the next one's are made, but for its
    input, which the caller holds. Keys and values of the texts stay for all blocks, and are added.
    """
    arguments = {**config.transformer_arguments(), "num_layers": min(2, config.transformer.layers)}
    with init_empty_weights():
        model = HydraTransformer3DModel(**arguments).eval()
    nn.Module.to(model, dtype)
    latents, cameras, text, level = example_inputs(config, dtype)
    counted = live_bytes(lambda: model(latents[0], latents[1], level, text, cameras).target)
    layers, texts = config.transformer.layers, 1 if config.sampler.guidance == 1 else 2
    kept = 2 * text.shape[1] * config.transformer.dim * text.element_size()  # of a text, in a block
    return counted + (texts * layers - min(2, layers)) * kept


def example_inputs(
    config: HydraConfig, dtype: torch.dtype
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
    """Latents, cameras, text and noise level of one clip, without data."""
    codec = config.codec
    frames = [(n - 1) // codec.time_stride + 1 for n in (config.context_frames, config.target_frames)]
    size = (config.height // codec.space_stride, config.width // codec.space_stride)

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    latents = (empty(1, codec.latent_channels, frames[0], *size), empty(1, codec.latent_channels, frames[1], *size))
    cameras = (empty(1, frames[0], 12), empty(1, frames[1], 12))
    return latents, cameras, empty(1, 512, config.text.dim), torch.empty(1, device="meta")


def live_bytes(run: Callable[[], Any]) -> int:
    """Largest sum of bytes of the tensors that are alive at once while `run` works on tensors without data.

    Attention counts as a fused kernel, which makes no matrix of all queries and keys.
    """
    tracker = _LiveTensors()
    original = functional.scaled_dot_product_attention

    def fused(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        return torch.empty_like(query)

    functional.scaled_dot_product_attention = cast(Any, fused)
    try:
        with torch.no_grad(), tracker:
            run()
    finally:
        functional.scaled_dot_product_attention = original
    return tracker.peak


class _LiveTensors(TorchDispatchMode):
    """Adds up the storages made by operations until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._seen.update(storage for storage in _storages((args, kwargs)))  # weights and inputs, if they are new
        result = func(*args, **kwargs)
        for storage in _storages(result):
            self._note(storage)
        return result

    def _note(self, storage: Any) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


def _storages(tree: Any) -> list[Any]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _free(device: torch.device) -> tuple[int, int, int]:
    """Free and total bytes of the device, and free bytes of the machine."""
    import psutil

    memory = psutil.virtual_memory()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total), int(memory.available)
    return int(memory.available), int(memory.total), int(memory.available)


def __getattr__(name: str) -> Any:
    """Names of 0.1, in which memory meant RAM here and a model's memory elsewhere."""
    if name not in ("MemoryPlan", "memory_plan"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    now = {"MemoryPlan": "RamPlan", "memory_plan": "ram_plan"}[name]
    warnings.warn(f"{__name__}.{name} is now {now}.", DeprecationWarning, stacklevel=2)
    return globals()[now]
