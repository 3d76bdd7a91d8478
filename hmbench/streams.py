"""Standard output that can say everything: one of cp1252 or latin-1 shows ``^`` for an arrow, not a traceback."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

_PLAIN = {
    "↑": "^", "↓": "v", "→": "->", "←": "<-", "–": "-", "—": "-", "−": "-", "±": "+-", "×": "x", "…": "...", "≥": ">=",
    "≤": "<=", "≈": "~", "·": ".", "•": "*", "‘": "'", "’": "'", "“": '"', "”": '"', "✓": "ok", "✗": "x",
}  # fmt: skip
NAME = "hmbench-plain"


def say_everything() -> None:
    """Lets standard output and error replace what their encoding lacks by something near it."""
    codecs.register_error(NAME, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors=NAME)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in lacking), error.end


def harmless(text: str) -> str:
    """Text with control characters (C0 but for tabs and new lines, C1, changes of direction) made visible."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _CONTROLS else repr(c)[1:-1] for c in text)


_CONTROLS = {"Cc", "Cf", "Cs", "Co"}
