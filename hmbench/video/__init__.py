"""Pictures, cameras and time: exact reading and writing, pose algebra, exits and re-entries."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """Names that stood here in 0.1."""
    return getattr(importlib.import_module("hmbench.video.files"), name)
