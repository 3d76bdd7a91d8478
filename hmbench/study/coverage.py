"""Simulations behind the statistics: what intervals cover, how often tests err, with few scenes of unequal size.

A simulated benchmark has so many scenes, each with some clips. Clips of a scene resemble each other: a normal score is
drawn for each scene and each clip, mixed so that the scores of two clips of a scene correlate by `correlation`, and
turned into a value of the wanted distribution through its quantiles. What is tested is the code that tables use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hmbench.report.text_table import TextTable
from hmbench.results.intervals import Bounds, Scenes, difference_interval, mean_interval
from hmbench.results.statistics import MIN_TEST_SCENES, scene_p_values

Array = NDArray[np.float64]
SHARE = (0.0, 1.0)
NONE = (None, None)
LEVEL = 0.05
LAYOUTS: dict[int, dict[str, tuple[int, ...]]] = {
    4: {"uneven": (1, 2, 4, 6)},
    5: {"even": (3,) * 5, "uneven": (1, 2, 3, 4, 6), "one large": (1, 1, 2, 4, 12)},
    6: {"uneven": (1, 1, 2, 3, 4, 6)},
    10: {"even": (2,) * 10, "uneven": (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)},
    11: {"mini": (1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 3)},
    17: {"even": (4,) * 17, "uneven": (1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 8)},
}
"""Clips of each scene. ``mini`` is the default data's layout."""
CORRELATIONS = (0.0, 0.3, 0.8)


@dataclass(frozen=True)
class Shape:
    """A distribution of values, by its quantiles."""

    name: str
    """What tables call it."""
    quantile: Callable[[Array], Array]
    """Value at each probability."""
    mean: float
    """Its true mean."""
    bounds: Bounds
    """Ends of such a metric."""


SHAPES = (
    Shape("normal", lambda u: np.asarray(stats.norm.ppf(u)) + 20, 20.0, NONE),
    Shape("skewed (exponential)", lambda u: -np.log1p(-u), 1.0, (0.0, None)),
    Shape("score, skewed (beta 0.5, 4)", lambda u: np.asarray(stats.beta.ppf(u, 0.5, 4)), 0.5 / 4.5, SHARE),
    Shape("score, mostly 0", lambda u: np.where(u < 0.7, 0.0, stats.beta.ppf((u - 0.7) / 0.3, 2, 2)), 0.15, SHARE),
    Shape("share of 0.5", lambda u: (u < 0.5).astype(float), 0.5, SHARE),
    Shape("share of 0.05", lambda u: (u < 0.05).astype(float), 0.05, SHARE),
    Shape("share of 0.95", lambda u: (u < 0.95).astype(float), 0.95, SHARE),
)
_BY_NAME = {shape.name: shape for shape in SHAPES}
PAIRS = (
    ("normal", "normal"),
    ("score, skewed (beta 0.5, 4)", "score, skewed (beta 0.5, 4)"),
    ("share of 0.5", "share of 0.5"),
    ("share of 0.05", "share of 0.05"),
    ("skewed (exponential)", "its mean"),
)
"""Two models without a difference in the mean. The last pair has unequal shapes, the hardest case there is."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One simulated case."""

    what: str
    """``interval of a mean``, ``interval of a difference`` or ``test``."""
    scenes: int
    """How many."""
    layout: str
    """How clips are spread over them."""
    shape: str
    """Distribution, or the two that are compared."""
    correlation: float
    """Of the scores of two clips of a scene."""
    repeats: int
    """Simulated benchmarks."""
    share: float
    """Intervals that hold the true mean, of those given; or p-values up to 0.05."""
    given: float
    """Share of benchmarks that got an interval; for tests 1."""
    width: float | None
    """Median width of the intervals."""


def draw_values(
    sizes: Sequence[int], correlation: float, shape: Shape, repeats: int, rng: np.random.Generator
) -> Array:
    """Values of simulated benchmarks, ``[repeats, clips]``, clips of a scene side by side."""
    index = np.repeat(np.arange(len(sizes)), sizes)
    common = rng.normal(size=(repeats, len(sizes)))[:, index]
    own = rng.normal(size=(repeats, len(index)))
    scores = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return np.asarray(shape.quantile(np.asarray(stats.norm.cdf(scores))), dtype=np.float64)


def simulate(repeats: int, *, scenes: Sequence[int] = tuple(LAYOUTS), seed: int = 0) -> Iterator[Cell]:
    """All cases, one after another.

    Args:
        repeats: Simulated benchmarks a case; a coverage of 0.95 is known to 0.005 with 2,000.
        scenes: Which numbers of scenes, of those in `LAYOUTS`.
        seed: Seed; a case has the same draws whichever others are simulated.
    """
    for count in scenes:
        for layout, sizes in LAYOUTS[count].items():
            for correlation in CORRELATIONS:
                for number, shape in enumerate(SHAPES):
                    rng = np.random.default_rng([seed, count, len(sizes), sum(sizes), int(100 * correlation), number])
                    yield _mean_cell(count, layout, sizes, correlation, shape, repeats, rng)
                for number, names in enumerate(PAIRS):
                    rng = np.random.default_rng([seed, count, max(sizes), int(100 * correlation), 50 + number])
                    yield from _pair_cells(count, layout, sizes, correlation, names, repeats, rng)


def _mean_cell(
    count: int, layout: str, sizes: Sequence[int], correlation: float, shape: Shape, repeats: int, rng: Any
) -> Cell:
    clusters = _names(sizes)
    values = draw_values(sizes, correlation, shape, repeats, rng)
    found = [mean_interval(one, clusters, bounds=shape.bounds) for one in values]
    return _coverage("interval of a mean", count, layout, shape.name, correlation, found, shape.mean)


def _pair_cells(
    count: int, layout: str, sizes: Sequence[int], correlation: float, names: tuple[str, str], repeats: int, rng: Any
) -> Iterator[Cell]:
    shape, clusters = _BY_NAME[names[0]], _names(sizes)
    ours = draw_values(sizes, correlation, shape, repeats, rng)
    theirs = draw_values(sizes, correlation, shape, repeats, rng) if names[1] in _BY_NAME else shape.mean
    differences = ours - theirs
    label = " − ".join(names)
    found = [difference_interval(one, clusters, bounds=shape.bounds) for one in differences]
    yield _coverage("interval of a difference", count, layout, label, correlation, found, 0.0)
    if count >= MIN_TEST_SCENES:
        errors = sum(_rejects(Scenes.of(one, clusters)) for one in differences)
        yield Cell(
            what="test", scenes=count, layout=layout, shape=label, correlation=correlation, repeats=repeats,
            share=errors / repeats, given=1.0, width=None,
        )  # fmt: skip


def _rejects(scenes: Scenes) -> bool:
    """Whether all three p-values are small; the slow ones are asked only if the quick one is."""
    return all(p <= LEVEL for p in scene_p_values(scenes))


def _coverage(
    what: str, count: int, layout: str, shape: str, correlation: float, found: Sequence[Any], truth: float
) -> Cell:
    given = [interval for interval in found if interval is not None]
    held = sum(interval.low - 1e-9 <= truth <= interval.high + 1e-9 for interval in given)
    return Cell(
        what=what, scenes=count, layout=layout, shape=shape, correlation=correlation, repeats=len(found),
        share=held / len(given) if given else float("nan"), given=len(given) / len(found),
        width=float(np.median([interval.high - interval.low for interval in given])) if given else None,
    )  # fmt: skip


def _names(sizes: Sequence[int]) -> list[str]:
    return [f"scene {k}" for k, size in enumerate(sizes) for _ in range(size)]


def coverage_record(cells: Sequence[Cell], *, seed: int) -> dict[str, Any]:
    """What is kept of a simulation, as JSON types."""
    rows = [{**asdict(cell), "share": None if np.isnan(cell.share) else cell.share} for cell in cells]
    return {"seed": seed, "layouts": {str(k): v for k, v in LAYOUTS.items()}, "cells": rows}


def coverage_tables(record: dict[str, Any]) -> list[TextTable]:
    """A table a kind of case: a row a layout and distribution, a column a correlation within scenes."""
    kinds = {
        "interval of a mean": ("Share of 95 % intervals of a mean that hold it", "Wanted: 0.92 to 0.98."),
        "interval of a difference": (
            "Share of 95 % intervals of a paired difference that hold it",
            "Wanted: from 0.92.",
        ),
        "test": ("Share of p-values up to 0.05 without a difference in the mean", "Wanted: at most 0.06."),
    }
    return [_table(kind, title, note, record["cells"]) for kind, (title, note) in kinds.items()]


def _table(kind: str, title: str, note: str, cells: Sequence[dict[str, Any]]) -> TextTable:
    places = {(c["scenes"], c["layout"], c["shape"], c["correlation"]): c for c in cells if c["what"] == kind}
    rows = dict.fromkeys(key[:3] for key in places)
    correlations = sorted({key[3] for key in places})
    return TextTable(
        title=title,
        header=["scenes", "clips", "values", *(f"correlation {c:g}" for c in correlations)],
        rows=[
            [str(count), layout, shape, *(_cell(places[count, layout, shape, c]) for c in correlations)]
            for count, layout, shape in rows
        ],
        notes=[note],
        text_columns=3,
    )


def _cell(cell: dict[str, Any]) -> str:
    if cell["share"] is None:
        return "none given"
    part = "" if cell["given"] == 1 else f" ({100 * cell['given']:.0f} % given)"
    return f"{cell['share']:.3f}{part}"
