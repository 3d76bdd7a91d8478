"""Loads a saved pipeline as it was saved: every component in the number format of its own files.

Diffusers loads in float32 unless told otherwise, which would double a paper-scale model stored in bfloat16.
"""

from __future__ import annotations

import importlib
import inspect
import json
import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from diffusers.utils import logging as diffusers_logging

from reference_model.model.transformer import HydraTransformer3DModel
from reference_model.sampling.pipeline import HydraPipeline

NAMES_OF_0_1 = ("reference_model.codec", "reference_model.text", "reference_model.transformer")
"""Modules that ``model_index.json`` of older models names; diffusers loads only what was imported before."""

_FORMATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def load_saved(folder: Path, kind: type[HydraPipeline] = HydraPipeline) -> HydraPipeline:
    """A pipeline from its folder, without network.

    Args:
        folder: What `save_pretrained` wrote.
        kind: Class of the pipeline.

    Raises:
        ValueError: If the transformer has settings that this version does not know: diffusers would leave them out.
    """
    _check_settings(folder)
    for name in NAMES_OF_0_1:
        importlib.import_module(name)
    formats = {part.name: found for part in sorted(folder.iterdir()) if (found := stored_format(part)) is not None}
    with warnings.catch_warnings(), _no_bars():
        # the argument's new name, `dtype`, is unknown to diffusers 0.36, which the project still accepts
        warnings.filterwarnings("ignore", message=".*torch_dtype.*", category=FutureWarning)
        pipeline = kind.from_pretrained(
            folder, local_files_only=True, torch_dtype={**formats, "default": torch.float32}
        )
    return cast(HydraPipeline, pipeline)


def _check_settings(folder: Path) -> None:
    path = folder / "transformer" / "config.json"
    if not path.is_file():
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
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


def stored_format(folder: Path) -> torch.dtype | None:
    """The format that most numbers of a component have on disk; None where it has no weights."""
    counts: Counter[str] = Counter()
    for file in folder.glob("*.safetensors"):
        counts.update(_elements(file))
    known = [name for name, _ in counts.most_common() if name in _FORMATS]
    return _FORMATS[known[0]] if known else None


def _elements(file: Path) -> Counter[str]:
    """Bytes of each number format, from the header alone."""
    with file.open("rb") as opened:
        (size,) = struct.unpack("<Q", opened.read(8))
        header = json.loads(opened.read(size))
    counts: Counter[str] = Counter()
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            counts[entry["dtype"]] += end - begin
    return counts
