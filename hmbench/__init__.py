"""hmbench: benchmark and evaluation toolkit for hybrid memory in video world models."""

from __future__ import annotations

from hmbench import _moved

__version__ = "0.1.0"

_moved.install()
