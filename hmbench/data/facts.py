"""One expectation about HM-World and what the data say: the lines that `hmbench data inspect` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["as expected", "DIFFERS", "new"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One expectation and what was found."""

    topic: str
    """What it is about."""
    expected: str
    """What is known; empty or "unknown" where nothing is."""
    found: str
    """What the data say."""
    verdict: Verdict
    """``new`` where there was no expectation."""


def checked(topic: str, expected: str, found: str, agrees: bool) -> Fact:
    """A fact that can agree or differ."""
    return Fact(topic=topic, expected=expected, found=found, verdict="as expected" if agrees else "DIFFERS")


def news(topic: str, expected: str, found: str) -> Fact:
    """A fact that nobody knew."""
    return Fact(topic=topic, expected=expected, found=found, verdict="new")
