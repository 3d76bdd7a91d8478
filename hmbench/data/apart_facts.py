"""Whether subjects can be told apart and cameras believed, for `hmbench.data.inspection`: the reader's own answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hmbench.data.camera_evidence import UNTOLD
from hmbench.data.facts import Fact, checked, news
from hmbench.data.hm_world import read_sample
from hmbench.errors import SampleError
from hmbench.types import ToldApart

MOST = 6
"""Samples that are read whole: each costs a second or two."""


def apart_facts(folders: Sequence[Path]) -> list[Fact]:
    """Facts about some samples, read as a benchmark would read them."""
    chosen = folders[:: max(1, len(folders) // MOST)][:MOST]
    told, problems, doubts = list[ToldApart](), list[str](), list[str]()
    for folder in chosen:
        try:
            sample = read_sample(folder, "")
        except SampleError as error:
            problems.append(f"{error.what} {error.hint}")
            continue
        truth = sample.truth
        doubts += [w for w in sample.meta.warnings if UNTOLD in w][:1]
        if truth is not None and truth.told_apart is not None:
            told.append(truth.told_apart)
    facts = [
        checked(
            "samples read whole",
            "cameras agree with the pictures, masks with check.json",
            "; ".join([f"{len(chosen) - len(problems)} of {len(chosen)}", *problems[:2], *doubts[:1]]),
            not problems,  # what is only doubted is told, and does not differ
        )
    ]
    if not told:
        return facts
    ways = Counter(t.way for t in told)
    reasons = Counter(t.reason for t in told if t.reason)
    found = ", ".join(f"by {way} in {count}" if way != "none" else f"not in {count}" for way, count in ways.items())
    found += "".join(f"; {reason} (x{count})" for reason, count in reasons.most_common(2))
    readings = Counter(t.detail for t in told if t.detail)
    unclear = sum(sum(t.unclear) for t in told)
    left = sum(len(t.left_out) for t in told)
    sure = min((c for t in told for c in t.certainty), default=1.0)
    return [
        *facts,
        checked("subjects told apart", "in every sample", found, "none" not in ways),
        news(
            "reading of positions",
            "unknown",
            "; ".join(f"{text} (x{n})" for text, n in readings.most_common(4)) or "none",
        ),
        checked(
            "certainty of subjects",
            "0.9 or more, no event left out",
            f"at least {sure:.2f}; {unclear} unclear frames of subjects; {left} events left out",
            sure >= 0.9 and not left,
        ),
    ]
