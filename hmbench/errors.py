"""The one error that a user is meant to read.

Everything below the command line raises `UserError` for what a user can mend; the command line prints it without a
traceback. Anything else that escapes is a bug in hmbench and keeps its traceback.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

SHOWN_NAMES = 40
"""A hint lists so many names: all models and metrics fit, the ids of a data set do not."""


class UserError(Exception):
    """What happened and why in one sentence, and what to do about it in another.

    Args:
        what: What happened, with the offending value or path.
        hint: What the user can do now.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint


class Stopped(BaseException):
    """The process was told to stop (Ctrl-C, SIGTERM); what is complete is kept.

    No `Exception`, so that no guard around one clip takes it for the clip's failure.

    Args:
        signal: Number of the signal.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class SampleError(UserError):
    """One sample cannot be read or used; a run records it and goes on with the others."""


class StorageError(UserError, OSError):
    """The file system refuses (full, read-only, no permission): nothing more can be kept, a run ends here.

    It is an OSError, too: whoever expects the system's own keeps working.

    Args:
        what: What cannot be read or written, and why.
        hint: What the user can do now.
        cause: What the system or a library raised.
        number: The system's number of it, None if it has none.
    """

    def __init__(
        self, what: str, hint: str = "", cause: BaseException | None = None, number: int | None = None
    ) -> None:
        super().__init__(what, hint)
        self.errno = number
        self.strerror = os.strerror(number) if number else " ".join(str(cause or what).split())

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown name: its nearest neighbours, and everything there is.

    >>> did_you_mean("hydrra", ["hydra", "oracle"])
    "Did you mean 'hydra'? Available: hydra, oracle."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    guess = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"{guess}Available: {', '.join(names[:SHOWN_NAMES]) or 'none'}{more}."
