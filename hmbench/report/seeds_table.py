"""Runs of several seeds as one table: means over clips, intervals over scenes, and where the spread comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hmbench.report.run_tables import number, run_title
from hmbench.report.text_table import TextTable, arrow
from hmbench.results.records import RunManifest
from hmbench.results.seeds import Variation
from hmbench.results.summary import MetricSummary

HEADER = ("metric", "better", "mean", "95 % interval", "scored", "scenes", "clips", "seeds")


def seeds_table(
    manifest: RunManifest,
    summary: Mapping[str, MetricSummary],
    spread: Mapping[str, Variation],
    seeds: Sequence[str],
    *,
    headline_only: bool,
) -> TextTable:
    """The table.

    Args:
        manifest: Of any of the runs.
        summary: Metric to its mean over clips, where a clip's value is the mean over its seeds.
        spread: Metric to the standard deviations of its levels.
        seeds: What tells the runs apart.
        headline_only: Headline metrics that have a value, only.
    """
    shown = [s for s in summary.values() if not headline_only or (manifest.metrics[s.metric].headline and s.scored)]
    return TextTable(
        title=f"{run_title(manifest, summary)}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        header=HEADER,
        rows=[_line(manifest, s, spread[s.metric]) for s in sorted(shown, key=lambda s: s.mean is None)],
        notes=[
            f"A clip's value is the mean over its seeds ({', '.join(seeds)}); intervals are over scenes.",
            "Last three columns: standard deviations between scenes, clips of a scene, and seeds of a clip.",
        ],
        text_columns=2,
    )


def _line(manifest: RunManifest, s: MetricSummary, spread: Variation) -> tuple[str, ...]:
    info = manifest.metrics[s.metric]
    interval = f"{number(s.low)} .. {number(s.high)}" if s.low is not None else "-"
    levels = (number(value) for value in (spread.scenes, spread.clips, spread.seeds))
    better, scored = arrow(info.higher_is_better), f"{s.scored} of {s.total}"
    return s.metric, better, number(s.mean, info.unit), interval, scored, *levels
