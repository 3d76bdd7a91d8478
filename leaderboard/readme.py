"""The table of results in documents, made from the accepted entries: one source holds each figure.

    python -m leaderboard documents README.md docs/training.md

What stands between the two marks is replaced; a test holds documents and entries equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hmbench.errors import UserError
from hmbench.files import write_text
from hmbench.report.text_table import number
from leaderboard.entry import Entry

BEGIN = "<!-- results: python -m leaderboard documents -->"
END = "<!-- results end -->"
COLUMNS = (
    ("memory_score", "memory score", 3),
    ("reentry_success", "re-entry success", 3),
    ("return_recall", "return recall", 2),
    ("background_fidelity", "background fidelity", 3),
    ("psnr", "PSNR (dB)", 2),
)
"""Metric, heading, digits."""
GROUPS = {
    "models": "models",
    "tricks": "no memory: tricks and anchors",
    "bounds": "bounds: shown the truth, not ranked",
}
"""Groups of entries, and the line above each."""


def results_table(entries: Sequence[Entry]) -> str:
    """A Markdown table, best first within each group, with 95 % intervals over scenes where there are any.

    Only entries that can be compared stand in it (`newest_board`); the others are named below.
    """
    entries, others = newest_board(entries)
    heading = "| model | " + " | ".join(f"{name}" for _, name, _ in COLUMNS) + " |"
    lines = [heading, "|---|" + "---|" * len(COLUMNS)]
    for name, line in GROUPS.items():
        group = sorted((e for e in entries if _group(e) == name), key=_order)
        if group:
            lines.append(f"| *{line}* |" + " |" * len(COLUMNS))
            lines += [
                "| " + " | ".join([f"`{e.name}`", *(_cell(e, m, d) for m, _, d in COLUMNS)]) + " |" for e in group
            ]
    clips = sorted({(len(e.samples), e.data_revision) for e in entries})
    told = "; ".join(f"{count} clips of revision `{revision}`" for count, revision in clips)
    lines += ["", f"{told}. Brackets: 95 % intervals over scenes."]
    if others:
        names = ", ".join(f"`{e.name}`" for e in others)
        lines += ["", f"Scored by other versions of the metrics, or on other clips, and not to be compared: {names}."]
    return "\n".join(lines)


def newest_board(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Entries of one board, and all others: the newest versions of the shown metrics, then where most entries are."""
    boards: dict[tuple[tuple[int, ...], object], list[Entry]] = {}
    for entry in entries:
        versions = tuple(entry.metrics[name].version if name in entry.metrics else 0 for name, _, _ in COLUMNS)
        boards.setdefault((versions, entry.board), []).append(entry)
    if not boards:
        return [], []
    best = max(boards, key=lambda key: (key[0], len(boards[key])))
    return boards[best], [entry for key, board in boards.items() if key != best for entry in board]


def update_document(path: Path, entries: Sequence[Entry]) -> bool:
    """Replaces the table of a document.

    Returns:
        Whether anything changed.

    Raises:
        UserError: If the document has no marks.
    """
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.S)
    if not pattern.search(text):
        raise UserError(f"{path} has no place for the results.", f"Write {BEGIN} and {END} around it.")
    block = f"{BEGIN}\n{results_table(entries)}\n{END}"
    new = pattern.sub(lambda _: block, text)
    if new != text:
        write_text(path, new)
    return new != text


def _group(entry: Entry) -> str:
    if entry.standing == "no memory" or entry.name in ("copy-last", "reverse-context", "noise"):
        return "tricks"
    return "models" if entry.ranked else "bounds"


def _order(entry: Entry) -> tuple[float, float, str]:
    def mean(metric: str) -> float:
        found = entry.means.get(metric)
        return float("-inf") if found is None or found.mean is None else found.mean

    return -mean("memory_score"), -mean("psnr"), entry.name


def _cell(entry: Entry, metric: str, digits: int) -> str:
    found = entry.means.get(metric)
    if found is None or found.mean is None:
        return "–"
    text = number(found.mean, digits)
    if found.low is not None:
        text += f" [{number(found.low, digits)}, {number(found.high, digits)}]"
    return text
