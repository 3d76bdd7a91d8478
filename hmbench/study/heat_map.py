"""One picture of a validity study: every metric against every fault and nuisance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmbench.durable import replacing

CELL = 0.2
"""Inches a cell."""


def write_heat_map(summary: dict[str, Any], path: Path) -> None:
    """Draws the AUCs of `summarise_study`: a row a metric, a column a fault, then the nuisances after a gap.

    Blue sees what is wrong (1), white is chance (0.5), red prefers the faulty clip (0). Nuisances should be white.
    A cell without a number was skipped.

    Args:
        summary: The study.
        path: Ends on .svg, .png or .pdf.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [name for name, entry in summary["metrics"].items() if entry["scored"]]
    first = summary["metrics"][rows[0]]
    faults, nuisances = list(first["faults"]), list(first["nuisances"])
    columns = [*faults, "", *nuisances]
    values = np.full((len(rows), len(columns)), np.nan)
    for i, name in enumerate(rows):
        entry = summary["metrics"][name]
        for j, kind in enumerate(columns):
            value = (entry["faults"] | entry["nuisances"]).get(kind, {}).get("auc")
            values[i, j] = np.nan if value is None else value
    settings: dict[Any, Any] = {"font.size": 6, "svg.fonttype": "none", "svg.hashsalt": "hmbench"}
    with matplotlib.rc_context(settings):
        size = (CELL * 1.35 * len(columns) + 2.2, CELL * 0.75 * len(rows) + 1.2)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        axis.imshow(values, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
        for i, j in np.argwhere(~np.isnan(values)):
            dark = abs(values[i, j] - 0.5) > 0.35
            text = f"{values[i, j]:.2f}".replace("0.", ".")
            axis.text(j, i, text, ha="center", va="center", fontsize=4.5, color="white" if dark else "black")
        axis.set_yticks(range(len(rows)), rows)
        axis.set_xticks(range(len(columns)), columns, rotation=60, ha="left", rotation_mode="anchor")
        axis.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
        axis.spines[:].set_visible(False)
        axis.set_xlabel(f"{len(faults)} faults, then {len(nuisances)} nuisances; AUC against the clean clip")
        told = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(path.suffix[1:], {})
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=200, metadata=told)
