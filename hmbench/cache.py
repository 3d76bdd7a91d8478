"""Where hmbench keeps what it can make again.

``$HMBENCH_CACHE``, else ``$XDG_CACHE_HOME/hmbench``, else ``~/.cache/hmbench``.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The cache folder; it may not exist yet."""
    if own := os.environ.get("HMBENCH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hmbench"
