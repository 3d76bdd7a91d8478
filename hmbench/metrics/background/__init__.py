"""The background: does the prediction look where it was asked to look, and is what it shows there what was there.

`follows_camera` says in which frames a prediction stands in the asked view.
"""

from __future__ import annotations

from hmbench.metrics.background.following import Following, follows_camera

__all__ = ["Following", "follows_camera"]
