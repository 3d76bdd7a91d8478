"""The re-entry family: did the subject come back, when, where, as itself, and moving right."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """Names that stood here in 0.1."""
    return getattr(importlib.import_module("hmbench.metrics.reentry.metrics"), name)
