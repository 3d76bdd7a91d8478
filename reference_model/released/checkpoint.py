"""Weights on disk: released key names as data, strict loading with a report, digests.

The released HyDRA names its parameters as Wan's original code does; here they have diffusers' names. `RELEASED_NAMES`
is the whole difference. Nothing is loaded unless everything fits.
"""

from __future__ import annotations

import hashlib
import itertools
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

RELEASED_NAMES: tuple[tuple[str, str], ...] = (
    (r"blocks\.(\d+)\.self_attn\.tokenizer\.conv\.", r"memory.tokenizers.\1.conv."),
    (r"\.self_attn\.q\.", ".attn1.to_q."),
    (r"\.self_attn\.k\.", ".attn1.to_k."),
    (r"\.self_attn\.v\.", ".attn1.to_v."),
    (r"\.self_attn\.o\.", ".attn1.to_out.0."),
    (r"\.self_attn\.norm_", ".attn1.norm_"),
    (r"\.cross_attn\.q\.", ".attn2.to_q."),
    (r"\.cross_attn\.k\.", ".attn2.to_k."),
    (r"\.cross_attn\.v\.", ".attn2.to_v."),
    (r"\.cross_attn\.o\.", ".attn2.to_out.0."),
    (r"\.cross_attn\.norm_", ".attn2.norm_"),
    (r"(blocks\.\d+)\.norm3\.", r"\1.norm2."),
    (r"(blocks\.\d+)\.ffn\.0\.", r"\1.ffn.net.0.proj."),
    (r"(blocks\.\d+)\.ffn\.2\.", r"\1.ffn.net.2."),
    (r"(blocks\.\d+)\.modulation$", r"\1.scale_shift_table"),
    (r"\.cam_encoder_con\.", ".camera_context."),
    (r"\.cam_encoder_tgt\.", ".camera_target."),
    (r"^head\.modulation$", "scale_shift_table"),
    (r"^head\.head\.", "proj_out."),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
)
"""Released name (pattern) to the name here; the first pattern that fits a key applies. Other keys are equal in both."""

_ADDED_BY_HYDRA = re.compile(r"^memory\.|\.(camera_context|camera_target|projector)\.")
_WRAPPERS = ("pipe.dit.", "model.", "module.")


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """How a state dict fits a model."""

    missing: tuple[str, ...] = ()
    """Parameters that the file does not have."""
    unexpected: tuple[str, ...] = ()
    """Keys that the model does not have."""
    misshaped: tuple[str, ...] = ()
    """``name: shape in the file, shape in the model``."""

    @property
    def fits(self) -> bool:
        """True if every tensor has its place."""
        return not (self.missing or self.unexpected or self.misshaped)

    def __str__(self) -> str:
        if self.fits:
            return "everything fits"
        parts = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.misshaped))
        return "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in parts if names)


class CheckpointError(ValueError):
    """Weights do not fit the model; nothing was loaded."""

    def __init__(self, source: str, report: FitReport) -> None:
        super().__init__(f"weights of {source} do not fit the model: {report}")
        self.report = report


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a ``.safetensors`` file or a torch file (read with ``weights_only=True``), on the CPU.

    Raises:
        ValueError: If the file is damaged, holds something else, or would run code when read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} holds no weights that can be read safely: {reason}") from error
    while isinstance(content, dict) and (inner := content.get("state_dict", content.get("model"))) is not None:
        content = inner
    if not (isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())):
        raise ValueError(f"{path} holds no state dict of tensors")
    return content


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in the names used here, from one in released names (or already in the names used here)."""
    found = {_rename(_unwrapped(name)): tensor for name, tensor in weights.items()}
    if len(found) != len(weights):
        raise ValueError(f"{len(weights)} keys become {len(found)} names: two keys name the same parameter")
    return found


def compare(model: nn.Module, weights: Mapping[str, Tensor]) -> FitReport:
    """How `weights`, in the names used here, fit."""
    own = model.state_dict()
    common = sorted(own.keys() & weights.keys())
    return FitReport(
        missing=tuple(sorted(own.keys() - weights.keys())),
        unexpected=tuple(sorted(weights.keys() - own.keys())),
        misshaped=tuple(
            f"{name}: {list(weights[name].shape)} in the file, {list(own[name].shape)} in the model"
            for name in common
            if weights[name].shape != own[name].shape
        ),
    )


def load_released(model: nn.Module, weights: Mapping[str, Tensor], source: str = "the state dict") -> None:
    """Loads a released HyDRA state dict, all of it.

    Raises:
        CheckpointError: If anything is missing, left over or of another shape; the model is then unchanged.
    """
    renamed = from_released(weights)
    if not (report := compare(model, renamed)).fits:
        raise CheckpointError(source, report)
    model.load_state_dict(renamed, strict=True)


def load_wan_base(model: nn.Module, weights: Mapping[str, Tensor], source: str = "the state dict") -> tuple[str, ...]:
    """Loads a plain Wan 2.1 state dict (original or diffusers' names) into the backbone.

    Returns:
        Names of HyDRA's additions, which keep their starting values.

    Raises:
        CheckpointError: If the backbone does not fit; the model is then unchanged.
    """
    renamed = from_released(weights)
    report = compare(model, renamed)
    added = tuple(name for name in report.missing if _ADDED_BY_HYDRA.search(name))
    absent = tuple(name for name in report.missing if name not in set(added))
    strict = FitReport(missing=absent, unexpected=report.unexpected, misshaped=report.misshaped)
    if not strict.fits:
        raise CheckpointError(source, strict)
    model.load_state_dict(renamed, strict=False)
    return added


def align_memory(model: nn.Module) -> None:
    """Moves CPU tensors that do not begin at a multiple of 64 bytes, as those of a mapped safetensors file do not.

    Matrix kernels take another path for them, so that a loaded model would differ from the saved one in the last bit.
    """
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % 64:
            tensor.data = tensor.data.clone()


def file_digest(path: Path) -> str:
    """Sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_digest(model: nn.Module) -> str:
    """Sha256 of all parameters and buffers, names, types and shapes included; equal models have equal digests."""
    return tensors_digest(model.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """`state_digest` of a model from its tensors by name, whatever class they belong to."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _rename(name: str) -> str:
    for pattern, replacement in RELEASED_NAMES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPERS:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _some(names: Iterable[str], limit: int = 5) -> str:
    listed = list(names)
    rest = f", and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + rest
