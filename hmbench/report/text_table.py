"""A table of texts, written as Markdown, CSV or LaTeX (booktabs). Imports nothing heavy, so that pages can use it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{c: "\\" + c for c in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "†": r"$^\dagger$",
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "≥": r"$\geq$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
    }
)


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
    bold: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that stand out."""
    text_columns: int = 1
    """Leading columns aligned left; the others are numbers and aligned right."""

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
        return "\n\n".join([f"### {self.title}", "\n".join(lines), *notes]) + "\n"

    def latex(self) -> str:
        """A ``table`` environment for the package booktabs; notes stand in the caption."""
        columns = "l" * self.text_columns + "r" * (len(self.header) - self.text_columns)
        lines = [_latex_row(self.header)] + [
            _latex_row(row, {c for c in range(len(row)) if (r, c) in self.bold}) for r, row in enumerate(self.rows)
        ]
        caption = " ".join([f"{self.title}.", *self.notes]).translate(LATEX_ESCAPES)
        body = "\n".join(lines[1:])
        return (
            f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
            f"{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
        )

    def csv(self) -> str:
        """Header and cells; no title, no notes."""
        return to_csv(self.header, self.rows)


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


def _latex_row(cells: Sequence[str], bold: Collection[int] = ()) -> str:
    texts = [cell.replace("\n", " ").translate(LATEX_ESCAPES) for cell in cells]
    return " & ".join(rf"\textbf{{{t}}}" if i in bold else t for i, t in enumerate(texts)) + r" \\"
