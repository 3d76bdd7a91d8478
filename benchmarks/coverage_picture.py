"""Draws docs/images/coverage.png from the simulations: ``python benchmarks/coverage_picture.py``.

A dot is a simulated case of `hmbench study coverage` (docs/data/statistics-coverage.json); grey bands are wanted.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parent.parent / "docs"
PANELS = {
    "interval of a mean": ("95 % intervals of a mean: share that hold it", (0.92, 0.98), (0.88, 1.0)),
    "interval of a difference": ("of a paired difference: share that hold it", (0.92, 1.0), (0.88, 1.0)),
    "test": ("p-values up to 0.05 without a difference: share", (0.0, 0.06), (0.0, 0.1)),
}
"""Kind of case to title, what is wanted, and what is shown."""
KINDS = {"share": "#8f6bb3", "score": "#2a7fb8", "normal": "#3c8d40", "skewed": "#c8651b"}
"""First word of a shape to its colour: shares, scores from 0 to 1, normal values, skewed ones without an upper end."""


def main() -> None:
    cells = json.loads((DOCS / "data" / "statistics-coverage.json").read_text(encoding="utf-8"))["cells"]
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3.2), layout="constrained")
    for axis, (what, (title, wanted, shown)) in zip(axes, PANELS.items(), strict=True):
        axis.axhspan(*wanted, color="#dddddd", zorder=0)
        counts = sorted({cell["scenes"] for cell in cells if cell["what"] == what})
        for at, (start, colour) in enumerate(KINDS.items()):
            own = [c for c in cells if c["what"] == what and c["shape"].startswith(start)]
            places = [counts.index(cell["scenes"]) + 0.16 * (at - 1.5) for cell in own]
            axis.scatter(places, [cell["share"] for cell in own], s=12, color=colour, label=start, linewidths=0)
        axis.set(title=title, xlabel="scenes", ylim=shown)
        axis.set_xticks(range(len(counts)), map(str, counts))
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=8, loc="lower right", ncols=2)
    (DOCS / "images").mkdir(exist_ok=True)
    figure.savefig(DOCS / "images" / "coverage.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
