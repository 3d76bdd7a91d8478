"""A stranger's text made fit for a page, and names fit for files and addresses."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

WORD_JOINERS = "\u200c\u200d"
"""Format characters that words of some scripts need; they are kept."""
LONGEST = 4000
"""Characters of one text that are shown."""
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows gives to devices."""


def shown(value: object) -> str:
    r"""Text with every invisible character made visible, so that it looks like what it is.

    Control characters (terminal colours among them) become their pictures, characters that turn the reading direction
    or take no room become ``[U+202E]``, halves of surrogate pairs become the replacement character.

    >>> shown("a\x1b[31mb"), shown("abc\u202edef")
    ('a␛[31mb', 'abc[U+202E]def')
    """
    text = str(value)
    if len(text) > LONGEST:
        text = text[:LONGEST] + " …"
    if text.isprintable():  # nearly always: nothing of it is invisible
        return text
    return "".join(_visible(c) for c in text)


def web_link(address: str) -> str:
    """The address if it is one of the web (``https`` or ``http``, with a host), else nothing.

    >>> web_link("https://example.org/a"), web_link("javascript:alert(1)"), web_link("https:///x")
    ('https://example.org/a', '', '')
    """
    if any(_visible(c) != c or c.isspace() for c in address):
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme.lower() in {"https", "http"} and parts.netloc else ""


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name, the same one where it is fit, else a fit one with a digest; no two alike.

    Names that differ in case alone get different ones, too, for file systems that do not tell them apart.
    """
    out: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name in out:
            continue
        found = name if _is_fit(name) and name.casefold() not in taken else _made_fit(name)
        taken.add(found.casefold())
        out[name] = found
    return out


def number(value: float | None, unit: str = "") -> str:
    """A number for people, three or four digits that count; an en dash where there is none.

    >>> number(17.284, "dB"), number(-0.0123), number(None), number(1383296)
    ('17.28', '−0.012', '–', '1,383,296')
    """
    if value is None or value != value:
        return "–"
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif unit or abs(value) >= 10:
        text = f"{value:.2f}"
    else:
        text = f"{value:.3f}"
    return text.replace("-", "−") if float(text.replace(",", "")) != 0 else text.replace("-", "")


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return character if character in "\n\t" else chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    kind = unicodedata.category(character)
    if kind == "Cs":
        return "\ufffd"
    if (kind in {"Cc", "Cf", "Zl", "Zp"} and character not in WORD_JOINERS) or kind == "Co":
        return f"[U+{code:04X}]"
    return character


def _is_fit(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)) and (
        name.split(".")[0].casefold() not in RESERVED and not name.endswith(".") and name.casefold() != "index"
    )


def _made_fit(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name)[:40].strip('-') or 'x'}-{digest}"
