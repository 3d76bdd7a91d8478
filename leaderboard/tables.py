"""Leaderboards from accepted entries: Markdown, CSV, LaTeX; the paper's own numbers apart.

Entries are ranked within a board (equal data revision, split, profile, tracker), by one metric, and only against
entries with the same version of it. Published numbers were measured by others, on clips nobody else has: they stand in
a table of their own, marked as reported, and are never ranked together with ours.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hmbench.errors import UserError, did_you_mean
from hmbench.report.alike import unlike
from hmbench.report.ranking import first_and_second, standings
from hmbench.report.text_table import TextTable, heading, number, to_csv
from hmbench.results.sampled import sampling_differences
from hmbench.results.summary import bounds_of
from leaderboard.entry import MEANS, RESULTS, Entry

PUBLISHED = RESULTS / "published.csv"


@dataclass(frozen=True, kw_only=True)
class Board:
    """Entries that may be compared, best first, bounds last."""

    data_name: str
    """Data."""
    data_revision: str
    """Digest of its samples."""
    split: str
    """Split."""
    profile: str
    """``mini`` or ``paper``."""
    tracker: str
    """Tracker; empty if none ran."""
    rank_by: str
    """Metric that orders."""
    entries: tuple[Entry, ...]
    """Ranked entries, best first, then bounds by name."""
    ranks: tuple[int | None, ...]
    """Rank of each entry, shared by equal means; None for bounds."""
    with_best: tuple[bool, ...]
    """True for entries that a paired test does not separate from the first."""

    @property
    def title(self) -> str:
        """What its numbers were measured on."""
        clips = len(self.entries[0].samples)
        return f"{self.data_name}, {self.split}: {clips} clips, {self.profile} profile, data {self.data_revision[:12]}"

    @property
    def columns(self) -> list[str]:
        """Metrics to show: the ranking one, then those that a metric's author calls headline; `unlike` ones are not."""
        return [self.rank_by, *(m for m in self._headline if m not in self.left_out)]

    @property
    def left_out(self) -> dict[str, str]:
        """Headline metrics whose numbers must not stand in one column, and why."""
        return {m: why for m in self._headline if (why := unlike(self.entries, m))}

    @property
    def _headline(self) -> list[str]:
        shared = [m for m in self.entries[0].order if all(m in e.metrics for e in self.entries)]
        return [m for m in shared if m != self.rank_by and any(e.metrics[m].headline for e in self.entries)]


def make_boards(entries: Sequence[Entry], *, rank_by: Sequence[str]) -> list[Board]:
    """Groups and ranks entries.

    Args:
        entries: Accepted entries.
        rank_by: Metrics to rank by; each board uses the first that all of its entries have.

    Raises:
        UserError: If entries of a board have none of these metrics in common, or in different versions.
    """
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.board, []).append(entry)
    return [_make_board(group, rank_by) for _, group in sorted(groups.items())]


def board_table(board: Board) -> TextTable:
    """A row an entry; bold: not separated from the best by a paired test."""
    columns = board.columns
    bold = {(i, 2) for i, same in enumerate(board.with_best) if same}
    second = set()
    for c, metric in enumerate(columns[1:], start=3):
        means = [e.means[metric].mean if rank else None for e, rank in zip(board.entries, board.ranks, strict=True)]
        upward = board.entries[0].metrics[metric].higher_is_better
        best, next_best = first_and_second(means, higher_is_better=upward)
        bold |= {(i, c) for i in best}
        second |= {(i, c) for i in next_best}
    return TextTable(
        title=board.title,
        header=["#", "model", *(_heading(board, metric) for metric in columns)],
        rows=[
            [str(rank or "–"), entry.name, *(_cell(entry, metric) for metric in columns)]
            for entry, rank in zip(board.entries, board.ranks, strict=True)
        ],
        notes=[
            f"Ranked by {board.rank_by}, where bold is what a paired test does not separate from the first; elsewhere "
            "bold is the best ranked mean. Brackets: 95 % intervals over scenes. –: not ranked.",
            verification(board.entries),
            *(f"Left out: {metric}, which the entries have in {why}." for metric, why in board.left_out.items()),
            *sampling_differences([e.name for e in board.entries], [e.settings for e in board.entries]),
        ],
        bold=frozenset(bold),
        underlined=frozenset(second),
        text_columns=2,
    )


def verification(entries: Sequence[Entry]) -> str:
    """Which of the entries were scored again from their videos, in a sentence."""
    names = [entry.name for entry in entries if entry.verified.get("on")]
    if not names:
        return "No entry is verified: none was scored again from its videos (check --rescore)."
    return f"Verified, that is scored again from its videos: {', '.join(names)}; {len(entries) - len(names)} are not."


def board_csv(board: Board) -> str:
    """Full precision, a line an entry and metric."""
    header = ["rank", "model", "metric", "version", *MEANS, "data_revision", "profile"]
    about = (board.data_revision, board.profile)
    rows = [
        [rank, e.name, m, e.metrics[m].version, *(getattr(e.means[m], key) for key in MEANS), *about]
        for e, rank in zip(board.entries, board.ranks, strict=True)
        for m in e.order
    ]
    return to_csv(header, rows)


def published_table(path: Path = PUBLISHED) -> TextTable:
    """Numbers from papers, in the order of their tables."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if not lines:
        raise UserError(f"{path} is empty.", "Restore it from the repository.")
    metrics = [name for name in lines[0] if name not in {"method", "setting", "source", "data"}]
    return TextTable(
        title="Reported by papers (not measured here, not comparable with the boards above)",
        header=["method", "setting", *metrics, "source"],
        rows=[[line["method"], line["setting"], *(line[m] for m in metrics), line["source"]] for line in lines],
        notes=[f"Data: {lines[0]['data']}. The clips were not released, so nobody else can measure on them."],
        text_columns=2,
    )


def _make_board(entries: Sequence[Entry], rank_by: Sequence[str]) -> Board:
    metric = next((m for m in rank_by if all(m in e.metrics for e in entries)), None)
    if metric is None:
        known = set.intersection(*(set(e.metrics) for e in entries))
        raise UserError(
            f"The entries on {entries[0].data_name} share none of the metrics {', '.join(rank_by)}.",
            did_you_mean(rank_by[0], known),
        )
    if why := unlike(entries, metric):
        raise UserError(
            f"Entries on {entries[0].data_name} have {metric} in different ways: {why}.",
            "Score the older runs again and replace their entries.",
        )
    upward = entries[0].metrics[metric].higher_is_better is not False
    means = {e.name: mean for e in entries if e.ranked and (mean := e.means[metric].mean) is not None}
    ranked = [e for e in entries if e.name in means]
    ranked.sort(key=lambda e: (-means[e.name] if upward else means[e.name], e.name))
    others = sorted((e for e in entries if e not in ranked), key=lambda e: e.name)
    first = entries[0]
    found = standings(
        [means[e.name] for e in ranked],
        [e.values[metric] for e in ranked],
        first.clusters,
        higher_is_better=upward,
        bounds=bounds_of(first.metrics[metric]),
    )
    placed = [s for s in found if s is not None]
    return Board(
        data_name=first.data_name,
        data_revision=first.data_revision,
        split=first.split,
        profile=first.profile,
        tracker=first.tracker or "",
        rank_by=metric,
        entries=(*ranked, *others),
        ranks=(*(s.rank for s in placed), *(None for _ in others)),
        with_best=(*(s.with_first for s in placed), *(False for _ in others)),
    )


def _heading(board: Board, metric: str) -> str:
    info = board.entries[0].metrics[metric]
    return heading(metric, info.higher_is_better, info.unit)


def _cell(entry: Entry, metric: str) -> str:
    found = entry.means[metric]
    text = number(found.mean)
    if found.low is not None:
        text += f" [{number(found.low)}, {number(found.high)}]"
    return text if found.scored == found.total else f"{text} ({found.scored} of {found.total})"
