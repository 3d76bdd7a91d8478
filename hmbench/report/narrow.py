"""Tables on a narrow screen: divided where they are too wide, so that no name is cut and no number broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hmbench.report.text_table import TextTable

GAP = 2
"""Between two columns, and around the table."""


def fitted(text: TextTable, width: int) -> list[TextTable]:
    """The table itself if its rows fit on one line each; else as tables that are less wide.

    First what several rows share (a model, a kind of clips) goes from its column into titles. Then columns of numbers
    may be broken between words, and where that is not enough they are shared out over several tables.

    Args:
        text: The table.
        width: Characters of a line.
    """
    if _total(_widths(text)) <= width:
        return [text]
    keys = [c for c in range(text.text_columns) if text.header[c] != "metric"]
    if keys and len(keys) < text.text_columns:
        parts = _by(text, keys)
        return [one for part in parts for one in fitted(part, width)]
    least = _widths(text, words=True)
    groups: list[list[int]] = [[]]
    for column in range(text.text_columns, len(text.header)):
        taken = [*range(text.text_columns), *groups[-1], column]
        if groups[-1] and _total([least[c] for c in taken]) > width:
            groups.append([])
        groups[-1].append(column)
    parts = [_columns(text, [*range(text.text_columns), *group]) for group in groups]
    return [
        replace(part, title=text.title if i == 0 else "", notes=text.notes if i == len(parts) - 1 else ())
        for i, part in enumerate(parts)
    ]


def column_widths(text: TextTable, width: int) -> list[int] | None:
    """Letters of each column on a screen where not everything fits on one line; None if it does.

    Every column has room for its longest word, then for its headings and cells in one line, as far as it goes.

    Args:
        text: The table, as `fitted` gave it.
        width: Characters of a line.
    """
    lines = _widths(text)
    whole = [max(len(name), letters) for name, letters in zip(text.header, lines, strict=True)]
    if _total(whole) <= width:
        return None
    if _total(lines) <= width:
        return lines
    found = _widths(text, words=True)
    while _total(found) < width and found != lines:
        for column, letters in enumerate(lines):
            found[column] += found[column] < letters and _total(found) < width
    return found


def longest_word(texts: Sequence[str]) -> int:
    """Letters of the longest word."""
    return max((len(word) for text in texts for word in text.split()), default=0)


def _widths(text: TextTable, *, words: bool = False) -> list[int]:
    """Letters that each column needs: for cells in one line, or broken between words. Headings may be broken."""
    found = []
    for column, name in enumerate(text.header):
        cells = [row[column] for row in text.rows]
        whole = column < text.text_columns or not words
        found.append(max(longest_word([name]), max(map(len, cells), default=0) if whole else longest_word(cells)))
    return found


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) + 1)


def _by(text: TextTable, keys: Sequence[int]) -> list[TextTable]:
    """One table for each value of these columns, which its title names."""
    rest = [c for c in range(len(text.header)) if c not in keys]
    groups: dict[tuple[str, ...], list[int]] = {}
    for r, row in enumerate(text.rows):
        groups.setdefault(tuple(row[c] for c in keys), []).append(r)
    parts = []
    for number, (values, rows) in enumerate(groups.items()):
        words = [f"{text.header[c]} " if c and len(keys) > 1 else "" for c in keys]
        named = " ".join(f"{word}{value}" for word, value in zip(["", *words[1:]], values, strict=True))
        part = replace(
            text,
            title=f"{text.title}: {named}",
            rows=[text.rows[r] for r in rows],
            bold=_moved(text.bold, rows, range(len(text.header))),
            underlined=_moved(text.underlined, rows, range(len(text.header))),
            notes=text.notes if number == len(groups) - 1 else (),
        )
        parts.append(replace(_columns(part, rest), text_columns=text.text_columns - len(keys)))
    return parts


def _columns(text: TextTable, columns: Sequence[int]) -> TextTable:
    """These columns alone."""
    rows = range(len(text.rows))
    return replace(
        text,
        header=[text.header[c] for c in columns],
        rows=[[row[c] for c in columns] for row in text.rows],
        bold=_moved(text.bold, rows, columns),
        underlined=_moved(text.underlined, rows, columns),
    )


def _moved(
    cells: frozenset[tuple[int, int]], rows: Sequence[int], columns: Sequence[int]
) -> frozenset[tuple[int, int]]:
    """Where cells stand in a part of the table; those that are not in it are left out."""
    at_row, at_column = ({old: new for new, old in enumerate(kept)} for kept in (rows, columns))
    return frozenset((at_row[r], at_column[c]) for r, c in cells if r in at_row and c in at_column)
