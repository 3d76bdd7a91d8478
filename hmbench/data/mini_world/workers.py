"""Worker processes live in `hmbench.workers`; this name is kept for those who import it."""

from hmbench.workers.spread import spread

__all__ = ["spread"]
