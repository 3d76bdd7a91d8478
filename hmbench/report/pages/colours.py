"""Colours of verdicts, told apart by colour-blind readers (Okabe and Ito; Tol's muted)."""

from __future__ import annotations

from collections.abc import Iterable

KNOWN = {
    "returned": "#009e73",
    "late": "#56b4e9",
    "sliding": "#44aa99",
    "displaced": "#e69f00",
    "frozen": "#0072b2",
    "wrong way": "#cc79a7",
    "wrong view": "#ddcc77",
    "wrong size": "#999933",
    "changed identity": "#d55e00",
    "distorted": "#f0e442",
    "faceless": "#6699cc",
    "duplicated": "#882255",
    "ever-present": "#aa4499",
    "vanished": "#8a8f98",
    "not judged": "#d3d7dc",
}
"""Words whose colour should stay the same from site to site; any other word takes one that is left."""
SPARE = ("#117733", "#332288", "#661100", "#88ccee", "#cc6677", "#5e3c99", "#b2df8a", "#a6611a")
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
