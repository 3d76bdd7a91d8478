"""HyDRA, the reference model: a Wan-style video diffusion transformer whose self-attention retrieves memory tokens."""

from __future__ import annotations

import hmbench  # the names of 0.1 stay importable by its table

__all__ = ["hmbench"]
