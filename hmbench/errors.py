"""The one error that a user is meant to read.

Everything below the command line raises `UserError` for what a user can mend; the command line prints it without a
traceback. Anything else that escapes is a bug in hmbench and keeps its traceback.
"""

from __future__ import annotations

import difflib
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


class SampleError(UserError):
    """One sample cannot be read or used; a run records it and goes on with the others."""


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
