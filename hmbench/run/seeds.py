"""Somebody's videos with several seeds a clip: an ordinary run for each seed, and one table over them.

    hmbench score --predictions videos --match '{id}_seed{seed}.mp4' --out runs/mine

writes ``runs/mine/seed-0``, ``runs/mine/seed-1``, ... each with its rows and events, as any run has them. Above them,
``rows.csv`` has the rows of all seeds; ``seeds.json`` and ``table.{md,csv,tex}`` have what they say together. A clip's
value is the mean over its seeds, intervals are over scenes, and the spread is split into scenes, clips and seeds
(`hmbench.results.seeds`). `hmbench compare` takes such a folder as one model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hmbench.data.dataset import Dataset
from hmbench.errors import UserError
from hmbench.files import write_sealed, write_text
from hmbench.report.seeds_table import seeds_table
from hmbench.report.text_table import to_csv
from hmbench.results.prediction_files import SEED, find_seeds
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.seeds import SEEDS_FILE, Variation, variation
from hmbench.results.summary import MetricSummary, summarise
from hmbench.run.assemble import EvalResult
from hmbench.run.request import EvalRequest

CSV = ("seed", "sample", "metric", "version", "value", "reason", "cluster")


@dataclass(frozen=True, kw_only=True)
class SeedsResult:
    """What runs of several seeds found."""

    runs: dict[str, EvalResult]
    """Seed, as file names have it, to its run."""
    summary: dict[str, MetricSummary]
    """Metric to its mean over clips and interval over scenes."""
    spread: dict[str, Variation]
    """Metric to where its spread comes from."""

    @property
    def manifest(self) -> RunManifest:
        """That of the first seed."""
        return next(iter(self.runs.values())).manifest


def seed_requests(request: EvalRequest, data: Dataset) -> dict[str, EvalRequest]:
    """Seed to the request that scores it alone; empty if the request's pattern names no seed.

    Raises:
        UserError: If no file fits the pattern, or the folder holds a run already.
    """
    if request.predictions is None:
        return {}
    seeds = find_seeds(request.predictions, data.ids("all"), request.match)
    if seeds and (request.out / "run.json").is_file():
        raise UserError(f"{request.out} holds the run of one seed.", "Choose another --out for several.")
    assert request.match is not None or not seeds
    return {
        seed: replace(
            request,
            match=str(request.match).replace(SEED, seed),
            seed=int(seed) if seed.isdecimal() else number,
            out=request.out / f"seed-{re.sub('[^A-Za-z0-9_.+-]', '_', seed)}",
            name=request.name or request.predictions.resolve().name,
        )
        for number, seed in enumerate(seeds)
    }


def score_seeds(
    request: EvalRequest, requests: dict[str, EvalRequest], score: Callable[[EvalRequest], EvalResult]
) -> SeedsResult:
    """Scores each seed, and writes what they say together.

    Args:
        request: The request for all of them.
        requests: What `seed_requests` gave.
        score: Scores one.
    """
    if len({one.out for one in requests.values()}) < len(requests):
        raise UserError("Two seeds would share a folder.", "Name them by letters, digits, '-', '_' and '.'.")
    runs = {seed: score(one) for seed, one in requests.items()}
    rows = {seed: RunFolder(one.out).rows() for seed, one in requests.items()}
    found = pooled(runs, rows)
    _write(request.out, requests, rows, found)
    return found


def pooled(runs: dict[str, EvalResult], rows: dict[str, list[Row]]) -> SeedsResult:
    """The runs of all seeds together.

    Args:
        runs: Seed to its run.
        rows: Seed to its rows.
    """
    manifest = next(iter(runs.values())).manifest
    together = [row for found in rows.values() for row in found]
    summary = summarise(together, metrics=manifest.metrics, samples=len(manifest.samples))
    spread = {name: variation([row for row in together if row.metric == name]) for name in summary}
    return SeedsResult(runs=runs, summary=summary, spread=spread)


def _write(out: Path, requests: dict[str, EvalRequest], rows: dict[str, list[Row]], found: SeedsResult) -> None:
    table = seeds_table(found.manifest, found.summary, found.spread, list(rows), headline_only=False)
    write_text(out / "table.md", table.markdown())
    write_text(out / "table.csv", table.csv())
    write_text(out / "table.tex", table.latex())
    write_text(out / "rows.csv", to_csv(CSV, list(_lines(rows))))
    record = {
        "format": 1,
        "runs": {seed: one.out.name for seed, one in requests.items()},
        "metrics": {name: {**asdict(one), "spread": asdict(found.spread[name])} for name, one in found.summary.items()},
    }
    write_sealed(out / SEEDS_FILE, record)


def _lines(rows: dict[str, list[Row]]) -> Sequence[list[object]]:
    return [[seed, *(getattr(row, name) for name in CSV[1:])] for seed, found in rows.items() for row in found]
