"""The background: does the prediction look where it was asked to look, and is what it shows there what was there.

`follows_camera` says in which frames a prediction stands in the asked view, `BackgroundFidelity` what it shows there.
"""

from __future__ import annotations

from hmbench.metrics.background.fidelity import BackgroundFidelity
from hmbench.metrics.background.following import Following, follows_camera

__all__ = ["BackgroundFidelity", "Following", "follows_camera"]
