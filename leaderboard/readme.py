"""Tables of results in documents, made from the accepted entries: one source holds each figure.

    python -m leaderboard documents README.md docs/training/results.md

What stands between a mark and `END` is replaced; a test holds documents and entries equal. A mark says what it wants:

    <!-- results: python -m leaderboard documents -->
    <!-- results on DATA: ... -->                      entries on that data alone (`Entry.data_name`)
    <!-- results of psnr ssim on DATA: ... -->         these metrics
    <!-- differences of psnr from ENTRY on DATA: ... -->  each other model less that one, with paired tests
    <!-- seeds of psnr on DATA: ... -->                entries that were trained more than once, one beside the other

Worlds have boards of their own, so a document that shows several has a mark for each. An entry named ``NAME-seedN`` is
NAME trained again, if there is an entry NAME: in documents it stands among ``seeds``, and among the differences from an
entry of the same seed, nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from hmbench.errors import UserError, did_you_mean
from hmbench.files import write_text
from hmbench.report.text_table import number
from leaderboard.differences import differences_table
from leaderboard.entry import Entry

BEGIN = "<!-- results: python -m leaderboard documents -->"
"""The mark of the newest board, whatever its data."""
END = "<!-- results end -->"
COMMAND = ": python -m leaderboard documents -->"
MARK = re.compile(
    r"<!-- (?P<kind>results|differences|seeds)(?: of (?P<metrics>\w+(?: \w+)*?))?(?: from (?P<reference>[\w.-]+))?"
    rf"(?: on (?P<data>[\w.-]+))?{re.escape(COMMAND)}(?P<old>(?:(?!<!--).)*){re.escape(END)}",
    re.S,
)
COLUMNS = {
    "memory_score": ("memory score", 3),
    "reentry_success": ("re-entry success", 3),
    "return_recall": ("return recall", 2),
    "background_fidelity": ("background fidelity", 3),
    "psnr": ("PSNR (dB)", 2),
}
"""Metric to heading and digits; the metrics of a mark that names none."""
DIGITS = 3
"""Of metrics that are not in `COLUMNS`."""
GROUPS = {
    "models": "models",
    "tricks": "no memory: tricks and anchors",
    "bounds": "bounds: shown the truth, not ranked",
}
"""Groups of entries, and the line above each."""


def results_table(entries: Sequence[Entry], metrics: Sequence[str] = tuple(COLUMNS)) -> str:
    """A Markdown table, best first within each group, with 95 % intervals over scenes where there are any.

    Only entries that can be compared stand in it (`newest_board`); the others are named below.

    Args:
        entries: Of any boards.
        metrics: Columns; the first one orders, ties are ordered by PSNR.
    """
    entries, others = newest_board(entries, metrics)
    columns = _columns(metrics)
    lines = _head(columns)
    for name, line in GROUPS.items():
        group = sorted((e for e in entries if _group(e) == name), key=lambda entry: _order(entry, metrics[0]))
        if group:
            lines.append(f"| *{line}* |" + " |" * len(columns))
            lines += [_row(entry, columns) for entry in group]
    lines += ["", _clips(entries)]
    return "\n".join([*lines, *_left_out(others)])


def seeds_table(entries: Sequence[Entry], metrics: Sequence[str] = tuple(COLUMNS)) -> str:
    """A Markdown table of the entries that were trained more than once, in order of name and seed.

    Args:
        entries: Of any boards, further seeds among them.
        metrics: Columns.

    Raises:
        UserError: If nothing was trained more than once.
    """
    names = {entry.name for entry in entries}
    again = {_trained(name, names)[0] for name in names if _trained(name, names)[1] is not None}
    shown, others = newest_board([e for e in entries if _trained(e.name, names)[0] in again], metrics)
    if not shown:
        raise UserError("A document asks for seeds, and no entry NAME has one that is named NAME-seedN.", "Add one.")
    columns = _columns(metrics)
    rows = [_row(entry, columns) for entry in sorted(shown, key=lambda entry: _in_order(entry.name, names))]
    return "\n".join([*_head(columns), *rows, "", _clips(shown), *_left_out(others)])


def newest_board(entries: Sequence[Entry], metrics: Sequence[str] = tuple(COLUMNS)) -> tuple[list[Entry], list[Entry]]:
    """Entries of one board, and all others: the newest versions of the metrics, then where most entries are."""
    boards: dict[tuple[tuple[int, ...], object], list[Entry]] = {}
    for entry in entries:
        versions = tuple(entry.metrics[name].version if name in entry.metrics else 0 for name in metrics)
        boards.setdefault((versions, entry.board), []).append(entry)
    if not boards:
        return [], []
    best = max(boards, key=lambda key: (key[0], len(boards[key])))
    return boards[best], [entry for key, board in boards.items() if key != best for entry in board]


def rendered(text: str, entries: Sequence[Entry]) -> str:
    """A document's text with every table made anew.

    Raises:
        UserError: If a mark asks for data, metrics or an entry that are not there, or is none.
    """
    begun = {found.start() for found in MARK.finditer(text)}
    for line in re.finditer(rf"<!--[^\n]*?{re.escape(COMMAND)}", text):
        if line.start() not in begun:
            raise UserError(
                f"{line[0]} is not understood, or has no end before the next mark.",
                f"Write results, differences or seeds as `leaderboard/readme.py` tells, and {END} after each.",
            )
    return MARK.sub(lambda found: _block(found, entries), text)


def update_document(path: Path, entries: Sequence[Entry]) -> bool:
    """Replaces the tables of a document.

    Returns:
        Whether anything changed.

    Raises:
        UserError: If the document has no marks, or a mark asks for what is not there.
    """
    text = path.read_text(encoding="utf-8")
    if not MARK.search(text):
        raise UserError(f"{path} has no place for the results.", f"Write {BEGIN} and {END} around it.")
    new = rendered(text, entries)
    if new != text:
        write_text(path, new)
    return new != text


def _block(found: re.Match[str], entries: Sequence[Entry]) -> str:
    """What stands from a mark to its end."""
    data, metrics = found["data"], tuple((found["metrics"] or "").split()) or tuple(COLUMNS)
    names = sorted({entry.data_name for entry in entries})
    if data is not None:
        entries = [entry for entry in entries if entry.data_name == data]
        if not entries:
            raise UserError(f"A document asks for results on {data}, and no entry is on it.", did_you_mean(data, names))
    known = {name for entry in entries for name in entry.metrics}
    if unknown := [name for name in metrics if found["metrics"] and name not in known]:
        raise UserError(f"No entry has the metric {unknown[0]}.", did_you_mean(unknown[0], sorted(known)))
    own = {entry.name for entry in entries}
    if found["kind"] == "seeds":
        table = seeds_table(entries, metrics)
    elif found["kind"] == "results":
        table = results_table([entry for entry in entries if _trained(entry.name, own)[1] is None], metrics)
    else:
        if len(metrics) != 1 or found["reference"] is None:
            raise UserError(f"{_opening(found)} names no metric and entry.", "Write: differences of METRIC from ENTRY.")
        seed = _trained(found["reference"], own)[1]
        board = newest_board([entry for entry in entries if _trained(entry.name, own)[1] == seed], metrics)[0]
        models = [entry for entry in board if _group(entry) == "models"]
        digits = COLUMNS.get(metrics[0], ("", DIGITS))[1]
        table = differences_table(models, metrics[0], found["reference"], digits=digits)
    return f"{_opening(found)}\n{table}\n{END}"


def _opening(found: re.Match[str]) -> str:
    return found[0][: found.start("old") - found.start()]


def _trained(name: str, names: Collection[str]) -> tuple[str, int | None]:
    """An entry's name without its training's seed, and that seed.

    The seed is None unless the name is ``NAME-seedN`` and NAME is among `names`: others may be named by other seeds.
    """
    model, _, seed = name.rpartition("-seed")
    again = model in names and seed.isascii() and seed.isdigit()
    return (model, int(seed)) if again else (name, None)


def _in_order(name: str, names: Collection[str]) -> tuple[str, int]:
    model, seed = _trained(name, names)
    return model, -1 if seed is None else seed


def _columns(metrics: Sequence[str]) -> dict[str, tuple[str, int]]:
    return {name: COLUMNS.get(name, (name, DIGITS)) for name in metrics}


def _head(columns: Mapping[str, tuple[str, int]]) -> list[str]:
    return [
        "| model | " + " | ".join(heading for heading, _ in columns.values()) + " |",
        "|---|" + "---|" * len(columns),
    ]


def _row(entry: Entry, columns: Mapping[str, tuple[str, int]]) -> str:
    return "| " + " | ".join([f"`{entry.name}`", *(_cell(entry, m, d) for m, (_, d) in columns.items())]) + " |"


def _clips(entries: Sequence[Entry]) -> str:
    clips = sorted({(len(e.samples), e.data_revision) for e in entries})
    told = "; ".join(f"{count} clips of revision `{revision}`" for count, revision in clips)
    return f"{told}. Brackets: 95 % intervals over scenes."


def _left_out(others: Sequence[Entry]) -> list[str]:
    names = ", ".join(f"`{entry.name}`" for entry in others)
    said = f"Scored by other versions of the metrics, or on other clips, and not to be compared: {names}."
    return ["", said] if others else []


def _group(entry: Entry) -> str:
    if entry.standing == "no memory" or entry.name in ("copy-last", "reverse-context", "noise"):
        return "tricks"
    return "models" if entry.ranked else "bounds"


def _order(entry: Entry, first: str) -> tuple[float, float, str]:
    """Best first; an entry without the metric last."""

    def badness(metric: str) -> float:
        found = entry.means.get(metric)
        if found is None or found.mean is None:
            return float("inf")
        return found.mean if entry.metrics[metric].higher_is_better is False else -found.mean

    return badness(first), badness("psnr"), entry.name


def _cell(entry: Entry, metric: str, digits: int) -> str:
    found = entry.means.get(metric)
    if found is None or found.mean is None:
        return "–"
    text = number(found.mean, digits)
    if found.low is not None:
        text += f" [{number(found.low, digits)}, {number(found.high, digits)}]"
    return text
