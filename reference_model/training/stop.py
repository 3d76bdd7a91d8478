"""Why a run ended early, in a sentence for the user."""

from __future__ import annotations


class TrainingStoppedError(RuntimeError):
    """A run cannot go on; what was complete is kept.

    Args:
        what: What happened.
        hint: What to do.
    """

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} {hint}")
        self.what = what
        self.hint = hint
