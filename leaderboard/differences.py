"""Paired differences between the entries of one board, for documents: one entry against all other models.

Tests and Holm's correction are those of `hmbench compare`; bounds and tricks are no models and take no part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmbench.errors import UserError, did_you_mean
from hmbench.report.text_table import number, p_value
from hmbench.results.statistics import PairedTest, holm, paired_test
from hmbench.results.summary import bounds_of
from leaderboard.entry import Entry


def differences_table(models: Sequence[Entry], metric: str, reference: str, *, digits: int) -> str:
    """A Markdown table of (model - reference), the largest first.

    Args:
        models: Models of one board, with the reference among them.
        metric: What is compared.
        reference: Name of the entry that the others are compared with.
        digits: After the point.

    Raises:
        UserError: If the reference is not among them, an entry lacks the metric, or nothing is left to compare.
    """
    first = next((entry for entry in models if entry.name == reference), None)
    if first is None:
        raise UserError(f"No model {reference} is on this board.", did_you_mean(reference, [e.name for e in models]))
    if without := [entry.name for entry in models if metric not in entry.metrics]:
        raise UserError(f"{metric} is not in {', '.join(without)}.", "Name a metric that all entries have.")
    found = [(entry.name, test) for entry in models if entry is not first and (test := _test(entry, first, metric))]
    if not found:
        raise UserError(f"No entry has a clip in common with {reference}.", "Add more entries to its board.")
    found.sort(key=lambda pair: (-pair[1].difference, pair[0]))
    tested = [test.p for _, test in found if test.p is not None]
    corrected = iter(holm(tested))
    unit = first.metrics[metric].unit
    head = ["model", f"{metric} less that of `{reference}`" + (f" ({unit})" if unit else ""), "clips", "win/tie/loss"]
    rows = [[*_cells(n, t, digits), p_value(None if t.p is None else next(corrected))] for n, t in found]
    lines = [" | ".join(row) for row in [[*head, "p (Holm)"], *rows]]
    told = f"Paired by clip, 95 % intervals and tests over {max(t.scenes for _, t in found)} scenes, Holm over "
    return "\n".join([f"| {lines[0]} |", "|---" * 5 + "|", *(f"| {line} |" for line in lines[1:])]) + (
        f"\n\n{told}{len(tested)} tests."
    )


def _test(entry: Entry, reference: Entry, metric: str) -> PairedTest | None:
    """None without a common clip."""
    pairs = list(zip(entry.values[metric], reference.values[metric], reference.clusters, strict=True))
    both = [(ours, theirs, scene) for ours, theirs, scene in pairs if ours is not None and theirs is not None]
    if not both:
        return None
    ours, theirs, scenes = zip(*both, strict=True)
    return paired_test(
        np.array(ours, dtype=float),
        np.array(theirs, dtype=float),
        scenes,
        higher_is_better=reference.metrics[metric].higher_is_better is not False,
        bounds=bounds_of(reference.metrics[metric]),
    )


def _cells(name: str, test: PairedTest, digits: int) -> list[str]:
    difference = number(test.difference, digits)
    if test.low is not None:
        difference += f" [{number(test.low, digits)}, {number(test.high, digits)}]"
    clips = test.wins + test.ties + test.losses
    return [f"`{name}`", difference, str(clips), f"{test.wins}/{test.ties}/{test.losses}"]
