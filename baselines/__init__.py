"""Rival memories on the reference model's backbone, and the trivial models that anchor every table."""

from __future__ import annotations

import hmbench  # the names of 0.1 stay importable by its table

__all__ = ["hmbench"]
