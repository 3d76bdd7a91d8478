"""A full disk, and files that are whole or not there: training's door to `hmbench.durable`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException

from hmbench.durable import flush_folder, flush_tree, is_disk_full, replacing, replacing_folder, write_bytes
from hmbench.errors import StorageError
from hmbench.files import LIMITS, parse_json, read_text_within

FAILURES = (Exception, CheckpointException)
"""What may say so: torch's sharded checkpoints raise a class that is no `Exception`, with the cause in its text."""
__all__ = [
    "FAILURES", "StorageError", "flush_folder", "flush_tree", "is_disk_full", "read_record", "replacing",
    "replacing_folder", "write_atomically", "write_text_atomically",
]  # fmt: skip


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object that an earlier command left; a damaged one is a sentence (`hmbench.files.read_json`)."""
    # reports of 0.1 hold NaN for what was not measured; today's hold null
    text = re.sub(r"([:,\[]\s*)(?:NaN|-?Infinity)\b", r"\1null", read_text_within(path, LIMITS.size))
    found: dict[str, Any] = parse_json(text, str(path), kind=dict)
    return found


def write_atomically(path: Path, content: Mapping[str, Any]) -> None:
    """JSON under a temporary name, then renamed; NaN and infinity, which JSON does not know, are a ValueError."""
    write_text_atomically(path, json.dumps(content, indent=1, allow_nan=False))


def write_text_atomically(path: Path, text: str) -> None:
    """Text under a temporary name, then renamed; nothing stays of a failed attempt."""
    write_bytes(path, text.encode("utf-8"))
