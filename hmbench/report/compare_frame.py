"""Differences of runs as a pandas table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmbench.report.compare import Comparison
from hmbench.report.compare_report import labels

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("metric", "model", "reference", "difference", "low", "high", "p", "p_holm", "clips", "scenes", "reason")


def differences_frame(comparison: Comparison) -> pd.DataFrame:
    """One line a metric and pair, as `hmbench.compare` gives it; warnings stand in ``.attrs["warnings"]``."""
    import pandas as pd

    names = labels(comparison)
    lines = [
        {
            "metric": d.metric,
            "model": names[d.model],
            "reference": names[d.reference],
            "clips": d.clips,
            "p_holm": d.p_holm,
            **({key: getattr(d.test, key) for key in ("difference", "low", "high", "p", "scenes", "reason")}),
        }
        if d.test is not None
        else {"metric": d.metric, "model": names[d.model], "reference": names[d.reference], "clips": 0, "scenes": 0}
        for d in comparison.differences
    ]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    numbers = dict.fromkeys(("difference", "low", "high", "p", "p_holm"), "float64")
    table = table.astype(numbers)
    table.attrs["warnings"] = list(comparison.warnings)
    return table
