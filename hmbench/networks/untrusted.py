"""What a weight file of a stranger must be before any reader sees it: a weight file, whole, with finite numbers."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hmbench.errors import UserError

if TYPE_CHECKING:
    import torch

_HEADER = 100 * 1024**2
"""Bytes of a safetensors header beyond which its own reader refuses it, too."""
_NO_WEIGHTS = {f"torch.{kind}" for kind in ("bool", "int8", "uint8", "complex64", "complex128")}
"""Whoever loads these casts them without a word."""
_KINDS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".mat")


def check_weight_file(path: Path) -> None:
    """Refuses what a browser or git left in place of weights, and a safetensors file that is cut off.

    Raises:
        UserError: With what the file is.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"The weights {path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    if start.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is a Git LFS pointer, not the weights that it stands for.",
            "Fetch the file itself: `git lfs pull` in the repository that it came from.",
        )
    if start.lstrip()[:1] == b"<":
        raise UserError(f"{path} is a web page, not weights.", "Fetch the file itself; a download page was saved.")
    if not start.strip(b"\0"):
        raise UserError(f"{path} holds no weights: it is {'zeros' if start else 'empty'}.", "Fetch it again.")
    if path.suffix == ".safetensors":
        length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else size
        if length > min(size - 8, _HEADER) or start[8:9] != b"{":
            raise UserError(f"{path} is no safetensors file, or it is cut off ({size} bytes).", "Fetch it again.")


def check_weight_files(folder: Path) -> None:
    """`check_weight_file` for every weight file of a folder and those below; pipes and devices are refused by name."""
    for path in sorted(folder.rglob("*")):
        if path.exists() and not path.is_file() and not path.is_dir():  # whoever opens a pipe waits for ever
            raise UserError(f"{path} is no ordinary file.", "Fetch the model again.")
        if path.suffix in _KINDS and path.is_file():
            check_weight_file(path)


def check_torchscript(path: Path) -> None:
    """Refuses a TorchScript file whose program touches files, or calls anything but torch's own operations.

    TorchScript is no Python, and still a program: ``torch.save`` and ``torch.from_file`` in it write any file, when it
    runs or already when it is loaded.

    Raises:
        UserError: With what it calls, or if its program cannot be looked at.
    """
    check_weight_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("model.json") for name in archive.namelist()):
                raise UserError(f"{path} is TorchScript of a very old form.", "Export it again.")
            code = [
                archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if name.endswith(".py")
            ]
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is no TorchScript module: {error}.", "Export it again.") from error
    for text in code:
        if found := _TOUCHES_FILES.search(text):
            raise UserError(
                f"{path} is refused: its program calls {found[0].strip()!r}, which a network has no need of.",
                "Use an export that you made yourself, or whose source you know.",
            )


_TOUCHES_FILES = re.compile(r"\b(?:save|from_file|load_tensor)\b|\bops\.(?!(?:prim|aten|torchvision|quantized)\.)\w*")
"""Of torch's operations, those that take the name of a file; and operations of other packages."""


def check_finite(tensors: Mapping[str, torch.Tensor], source: object) -> None:
    """Refuses weights that hold NaN or infinity: what they compute is no result.

    Args:
        tensors: Name to tensor.
        source: What the message calls them.

    Raises:
        UserError: With the first such tensor.
    """
    for name, tensor in tensors.items():
        if str(tensor.dtype) in _NO_WEIGHTS:
            raise UserError(f"The weights {source} hold {name} as {tensor.dtype}.", "Fetch them in floating point.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise UserError(
                f"The weights {source} are damaged: {name} holds {count} numbers that are NaN or infinite.",
                "Fetch or train them again.",
            )
