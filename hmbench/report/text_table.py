"""A table of texts, written as Markdown, CSV or LaTeX (booktabs). Imports nothing heavy, so that pages can use it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after the end of a row, LaTeX would read a bracket or a star as an option of the line break
    "*": "{*}",
    "†": r"$^\dagger$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}
ROWS = 40
"""Rows of one LaTeX table; more would not fit on a page."""
LATIN = range(0xA1, 0x180)
"""Characters beyond ASCII that every LaTeX knows."""


def latex_text(text: str) -> str:
    r"""Text that LaTeX prints as it is, whoever wrote it.

    Line ends become spaces, control characters and whatever plain LaTeX has no letter for their code.

    >>> latex_text("a_b & 50 % \\input{x}")
    'a\\_b \\& 50 \\% \\textbackslash{}input\\{x\\}'
    """

    def one(c: str) -> str:
        if c in LATEX_ESCAPES:
            return LATEX_ESCAPES[c]
        if c.isspace():
            return " "
        return c if " " <= c <= "~" or ord(c) in LATIN else f"{{[}}U+{ord(c):04X}]"

    return "".join(one(c) for c in text)


def arrow(higher_is_better: bool | None) -> str:
    """Which way is better, as tables show it; empty for numbers that must not rank."""
    return {True: "↑", False: "↓", None: ""}[higher_is_better]


def heading(metric: str, higher_is_better: bool | None, unit: str) -> str:
    """A metric as the head of a column: ``psnr ↑ (dB)``."""
    return " ".join(filter(None, [metric, arrow(higher_is_better), f"({unit})" if unit else ""]))


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Cells as a reader sees them."""

    title: str
    """Shown above."""
    header: Sequence[str]
    """Column names."""
    rows: Sequence[Sequence[str]]
    """Cells, as many a row as the header has."""
    notes: Sequence[str] = ()
    """Sentences shown below."""
    notice: str | None = None
    """A sentence that must stand with the title."""
    bold: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that stand out."""
    underlined: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that come second; LaTeX alone shows it."""
    text_columns: int = 1
    """Leading columns aligned left; the others are numbers and aligned right."""
    label: str = ""
    """What LaTeX refers to it by."""

    def __post_init__(self) -> None:
        if bad := [list(row) for row in self.rows if len(row) != len(self.header)]:
            raise ValueError(f"rows need {len(self.header)} cells as in {list(self.header)}, got {bad[0]}")

    def markdown(self) -> str:
        """GitHub's Markdown, title and notes included."""
        marks = [" :-- " if i < self.text_columns else " --: " for i in range(len(self.header))]
        lines = [_markdown_row(self.header), "|" + "|".join(marks) + "|"]
        lines += [
            _markdown_row([f"**{cell}**" if (r, c) in self.bold else cell for c, cell in enumerate(row)])
            for r, row in enumerate(self.rows)
        ]
        notes = [f"*{note}*" for note in self.notes]
        notice = [f"> **{self.notice}**"] if self.notice else []
        return "\n\n".join([f"### {self.title}", *notice, "\n".join(lines), *notes]) + "\n"

    def latex(self) -> str:
        r"""``table`` environments for booktabs and graphicx, `ROWS` rows in each; notes stand in small print below.

        A table that is wider than the line is scaled down to it.
        """
        columns = "l" * self.text_columns + "r" * (len(self.header) - self.text_columns)
        rows = [[self._latex_cell(r, c, cell) for c, cell in enumerate(row)] for r, row in enumerate(self.rows)]
        head, *lines = [" & ".join(row) + r" \\" for row in [[latex_text(name) for name in self.header], *rows]]
        caption = f"{self.title}. {self.notice}" if self.notice else f"{self.title}."
        parts = [lines[i : i + ROWS] for i in range(0, len(lines), ROWS)] or [[]]
        found = []
        for k, part in enumerate(parts):
            inside = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", head, r"\midrule", *part]
            body = fitted("\n".join([*inside, r"\bottomrule", r"\end{tabular}"]))
            told = f"{caption} Part {k + 1} of {len(parts)}." if len(parts) > 1 else caption
            label = f"{self.label}-{k + 1}" if k and self.label else self.label
            last = k == len(parts) - 1
            found.append(latex_float(body, caption=told, label=label, notes=self.notes if last else ()))
        return "\n".join(found)

    def _latex_cell(self, row: int, column: int, cell: str) -> str:
        text = latex_text(cell)
        if (row, column) in self.bold:
            return rf"\textbf{{{text}}}"
        return rf"\underline{{{text}}}" if (row, column) in self.underlined else text

    def csv(self) -> str:
        """Header and cells; no title, no notes."""
        return to_csv(self.header, self.rows)


def fitted(tabular: str) -> str:
    r"""A ``tabular`` that is scaled down to the width of the line if it is wider (graphicx)."""
    wide = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
    return f"\\sbox0{{%\n{tabular}}}%\n{wide}"


def latex_float(body: str, *, caption: str, label: str = "", notes: Sequence[str] = ()) -> str:
    r"""A ``table`` environment around LaTeX that is ready.

    Args:
        body: What stands between caption and notes.
        caption: As a reader sees it.
        label: What ``\ref`` takes; none if empty.
        notes: Sentences in small print, as a reader sees them.
    """
    small = [r"\par\smallskip\footnotesize\raggedright", *(latex_text(note) + r"\par" for note in notes)]
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\emergencystretch=3em\hbadness=10000",
        rf"\caption{{{latex_text(caption)}}}",
    ]
    lines += [rf"\label{{{label}}}"] if label else []
    return "\n".join([*lines, body, *(small if notes else []), r"\end{table}", ""])


def to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: fixed digits, a true minus sign, a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) != 0 else text.replace("-", "")


def p_value(value: float | None) -> str:
    """A p-value for people.

    >>> p_value(1.0), p_value(0.0123), p_value(0.00001)
    ('1.000', '0.012', '<0.001')
    """
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
