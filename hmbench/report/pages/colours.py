"""Colours of verdicts, told apart by colour-blind readers (Okabe and Ito; Tol's muted)."""

from __future__ import annotations

from collections.abc import Iterable

KNOWN = {
    "returned": "#009e73",
    "late": "#56b4e9",
    "displaced": "#e69f00",
    "frozen": "#0072b2",
    "wrong way": "#cc79a7",
    "changed identity": "#d55e00",
    "distorted": "#f0c945",
    "duplicated": "#882255",
    "vanished": "#8a8f98",
}
"""Words whose colour should stay the same from site to site; any other word takes one that is left."""
SPARE = ("#44aa99", "#999933", "#aa4499", "#117733", "#332288", "#ddcc77", "#661100", "#6699cc")
UNKNOWN = "#8a8f98"


def verdict_colours(words: Iterable[str]) -> dict[str, str]:
    """A colour for each word."""
    found: dict[str, str] = {}
    spare = 0
    for word in words:
        if word in found:
            continue
        if word in KNOWN:
            found[word] = KNOWN[word]
        else:
            found[word] = SPARE[spare % len(SPARE)]
            spare += 1
    return found
