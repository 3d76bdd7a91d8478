"""Small files, written whole or not at all: JSON and text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from hmbench.errors import UserError


def write_json(path: Path, content: Any) -> None:
    """Writes JSON atomically: a killed process leaves the old file or the new one, never half of one."""
    write_text(path, json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: If the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.", "Check the path.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no valid JSON: {error}.", "Fetch or write it again.") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name and renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """Tuples, paths and NumPy scalars as JSON types."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
