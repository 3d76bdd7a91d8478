"""A full disk: how to know one, and files that are whole or not there."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException

FAILURES = (Exception, CheckpointException)
"""What may say so: torch's sharded checkpoints raise a class that is no `Exception`, with the cause in its text."""
_SIGNS = (
    "no space left",
    "disk quota exceeded",
    f"os error {errno.ENOSPC})",
    f"os error {errno.EDQUOT})",
    "unexpected pos",
    "pytorchstreamwriter",
)
"""safetensors raises a class of its own and torch a RuntimeError, both without an errno; torch tells only that its
file did not grow ("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, whatever its class, says that a file could not grow: no space, or no quota left."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(sign in str(error).lower() for sign in _SIGNS)


def write_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """JSON under a temporary name, then renamed; NaN and infinity, which JSON does not know, are a ValueError."""
    write_text_atomically(path, json.dumps(content, indent=1, allow_nan=False))


def write_text_atomically(path: Path, text: str) -> None:
    """Text under a temporary name, then renamed; nothing stays of a failed attempt."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
