"""Loads a saved pipeline as it was saved: every component in the number format of its own files.

Diffusers loads in float32 unless told otherwise, which would double a paper-scale model stored in bfloat16.
"""

from __future__ import annotations

import importlib
import inspect
import re
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ModelMixin
from diffusers.utils import logging as diffusers_logging

from hmbench.digests import content_digest
from hmbench.files import parse_json, read_json
from hmbench.networks.untrusted import check_finite, check_weight_file, check_weight_files
from reference_model.model.codec import MiniVideoCodec
from reference_model.model.text import HashedTextEncoder
from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import HydraPipeline
from reference_model.sampling.setting_kinds import check_kinds

NAMES_OF_0_1 = ("reference_model.codec", "reference_model.text", "reference_model.transformer")
"""Modules that ``model_index.json`` of older models names; diffusers loads only what was imported before."""

_PACKAGES = ("reference_model", "baselines", "diffusers", "transformers")
"""Packages whose classes a saved pipeline may name."""
_MAKERS: dict[str, dict[str, Any]] = {
    "transformer": {"HydraTransformer3DModel": HydraTransformer3DModel},
    "vae": {"MiniVideoCodec": MiniVideoCodec},
    "text_encoder": {"HashedTextEncoder": HashedTextEncoder},
    "scheduler": {"FlowMatchEulerDiscreteScheduler": FlowMatchEulerDiscreteScheduler},
}
"""Classes of each part whose settings are looked at before they are made."""
_FORMATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def load_saved(
    folder: Path,
    kind: type[HydraPipeline] = HydraPipeline,
    *,
    formats: dict[str, torch.dtype] | None = None,
    parts: dict[str, Any] | None = None,
) -> HydraPipeline:
    """A pipeline from its folder, without network.

    Args:
        folder: What `save_pretrained` wrote.
        kind: Class of the pipeline.
        formats: Number formats of components instead of their files' own.
        parts: Components to use instead of those in the folder.

    Raises:
        ValueError: If the transformer has settings that this version does not know (diffusers would leave them out),
            or if settings are of other kinds than their classes take.
    """
    check_weight_files(folder)
    _check_digests(folder)
    _check_index(folder)
    _check_settings(folder, kind)
    for name in NAMES_OF_0_1:
        importlib.import_module(name)
    stored = {part.name: found for part in sorted(folder.iterdir()) if (found := stored_format(part)) is not None}
    wanted = {**stored, **(formats or {}), "default": torch.float32}
    with warnings.catch_warnings(), _no_bars(), _own_default_dtype():
        # the argument's new name, `dtype`, is unknown to diffusers 0.36, which the project still accepts
        warnings.filterwarnings("ignore", message=".*torch_dtype.*", category=FutureWarning)
        pipeline = kind.from_pretrained(folder, local_files_only=True, torch_dtype=wanted, **(parts or {}))
    _check_tensors(folder, pipeline)
    return cast(HydraPipeline, pipeline)


def _check_digests(folder: Path) -> None:
    """Refuses a trained model whose weights are not those that its training wrote (``digests.json``).

    Raises:
        ValueError: With the file that differs.
    """
    record = folder / "digests.json"
    for name, digest in (read_json(record, kind=dict) if record.is_file() else {}).items():
        path = folder / str(name)
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file() or content_digest(path) != digest:
            raise ValueError(f"{path} is not the file that {record} records (delete that record if you changed it)")


def _check_index(folder: Path) -> None:
    """Refuses an index that names classes of other packages: diffusers would import them, and importing runs code.

    Raises:
        ValueError: With the part and what it names.
    """
    path = folder / "model_index.json"
    index = read_json(path, kind=dict)
    for part, named in index.items():
        if part.startswith("_") or not isinstance(named, list):
            continue
        package = str(named[0]).partition(".")[0] if named else ""
        known = len(named) == 2 and package in _PACKAGES and re.fullmatch(r"[\w.]+", str(named[0]))
        if named != [None, None] and not (known and re.fullmatch(r"\w+", str(named[1]))):
            raise ValueError(f"{path} names {named} for {part}; only classes of {', '.join(_PACKAGES)} are loaded")


def _check_tensors(folder: Path, pipeline: HydraPipeline) -> None:
    """Refuses weights with a tensor too many or too few, which diffusers passes over, and numbers that are not finite.

    Raises:
        ValueError: With what does not fit.
    """
    for part, network in pipeline.components.items():
        files = sorted((folder / part).glob("*.safetensors"))
        if not isinstance(network, ModelMixin) or not files:
            continue
        stored = {name: one for file in files for name, one in _header(file).items() if name != "__metadata__"}
        own = network.state_dict()
        for name in sorted(stored.keys() & own.keys()):
            if own[name].is_floating_point() and stored[name]["dtype"] not in _FORMATS:  # a cast would round them
                raise ValueError(f"{folder / part}: {name} holds {stored[name]['dtype']}, not {', '.join(_FORMATS)}")
        for kind, names in (("does not know", stored.keys() - own.keys()), ("misses", own.keys() - stored.keys())):
            if names:
                raise ValueError(f"{folder / part}: the model {kind} {len(names)} tensors, such as {min(names)}")
        check_finite(network.state_dict(), folder / part)


def _check_settings(folder: Path, kind: type[HydraPipeline]) -> None:
    index = read_json(folder / "model_index.json", kind=dict)
    check_kinds({k: v for k, v in index.items() if not isinstance(v, list)}, kind.__init__, "model_index.json")
    for part, makers in _MAKERS.items():
        for name in ("config.json", "scheduler_config.json"):
            path = folder / part / name
            named = index.get(part)
            if path.is_file() and isinstance(named, list) and named and named[-1] in makers:
                check_kinds(read_json(path, kind=dict), makers[named[-1]].__init__, path)
    path = folder / "transformer" / "config.json"
    if not path.is_file():
        return
    stored = read_json(path, kind=dict)
    known = inspect.signature(HydraTransformer3DModel.__init__).parameters
    if unknown := sorted(name for name in stored if not name.startswith("_") and name not in known):
        raise ValueError(f"{path} has settings that this version of hmbench does not know: {', '.join(unknown)}")


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keeps diffusers from drawing its own progress bar into the caller's screen."""
    shown = diffusers_logging.is_progress_bar_enabled()
    diffusers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            diffusers_logging.enable_progress_bar()


@contextmanager
def _own_default_dtype() -> Iterator[None]:
    """Gives torch its default number format back: diffusers leaves the files' own there where a model fails to load."""
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def stored_format(folder: Path) -> torch.dtype | None:
    """The format that most numbers of a component have on disk; None where it has no weights."""
    counts: Counter[str] = Counter()
    for file in folder.glob("*.safetensors"):
        counts.update(_elements(file))
    known = [name for name, _ in counts.most_common() if name in _FORMATS]
    return _FORMATS[known[0]] if known else None


def _elements(file: Path) -> Counter[str]:
    """Bytes of each number format, from the header alone."""
    counts: Counter[str] = Counter()
    for name, entry in _header(file).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            counts[entry["dtype"]] += end - begin
    return counts


def _header(file: Path) -> dict[str, Any]:
    check_weight_file(file)
    with file.open("rb") as opened:
        (size,) = struct.unpack("<Q", opened.read(8))
        text = opened.read(size).decode("utf-8", "replace")
    return dict(parse_json(text, f"The header of {file}", kind=dict))
