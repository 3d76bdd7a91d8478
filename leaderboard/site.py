"""The leaderboard as one static page: no script or style from elsewhere, light and dark, readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hmbench.report.text_table import TextTable, number
from leaderboard.submission import Entry
from leaderboard.tables import Board, board_table

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --line: #d4dae0; --page: #fff; --mark: #0a66c2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --dim: #98a2ad; --line: #343b43; --page: #14171a; --mark: #6cb2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, figcaption { color: var(--dim); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
td small { color: var(--dim); display: block; }
td.name { position: sticky; left: 0; background: var(--page); }
a { color: var(--mark); }
svg { width: 100%; max-width: 40rem; height: auto; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .axis { stroke: var(--line); } svg .bar { stroke: var(--mark); stroke-width: 3; } svg .dot { fill: var(--mark); }
svg .bound { stroke: var(--dim); } svg circle.bound { fill: var(--dim); }
"""


def page(boards: Sequence[Board], published: TextTable) -> str:
    """A complete HTML document.

    Args:
        boards: Our own measurements.
        published: Numbers reported by papers, shown apart.
    """
    sections = [_board_section(board) for board in boards] or ["<p>No entry has been accepted yet.</p>"]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>hmbench leaderboard</title>",
            f"<style>{STYLE}</style></head><body><main>",
            "<h1>hmbench: hybrid memory in video world models</h1>",
            "<p>Does a subject that leaves the view come back at the right time and place, as itself, still moving, "
            "in a world that stayed the same? Entries carry their values clip by clip; models whose weights are "
            "untrained are not accepted.</p>",
            *sections,
            _published_section(published),
            "</main></body></html>",
            "",
        ]
    )


def _board_section(board: Board) -> str:
    table = board_table(board)
    head = "".join(_header_cell(name, i < table.text_columns) for i, name in enumerate(table.header))
    lines = [
        f"<tr><td class=text>{escape(row[0])}</td>{_name_cell(entry)}"
        + "".join(_value_cell(cell, (r, c) in table.bold) for c, cell in enumerate(row[2:], start=2))
        + "</tr>"
        for r, (entry, row) in enumerate(zip(board.entries, table.rows, strict=True))
    ]
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    body = "".join(lines)
    return (
        f"<section><h2>{escape(board.title)}</h2>{_forest(board)}"
        f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{notes}</section>"
    )


def _forest(board: Board) -> str:
    """The ranking metric of every entry with its interval, as an inline picture."""
    found = [(e, e.means[board.rank_by], rank) for e, rank in zip(board.entries, board.ranks, strict=True)]
    known = [(e, m, rank) for e, m, rank in found if m["mean"] is not None]
    if not known:
        return ""
    ends = [m[k] for _, m, _ in known for k in ("low", "mean", "high") if m[k] is not None]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def across(value: float) -> float:
        return float(190 + 380 * (value - low) / span)

    rows = []
    for i, (entry, means, rank) in enumerate(known):
        y, kind = 20 + 24 * i, "" if rank else " bound"
        rows.append(f'<text x="180" y="{y + 4}" text-anchor="end">{escape(_clipped(entry.name))}</text>')
        if means["low"] is not None:
            rows.append(
                f'<line class="bar{kind}" x1="{across(means["low"]):.1f}" x2="{across(means["high"]):.1f}" '
                f'y1="{y}" y2="{y}"/>'
            )
        rows.append(f'<circle class="dot{kind}" cx="{across(means["mean"]):.1f}" cy="{y}" r="4.5"/>')
    base = 20 + 24 * len(known)
    rows.append(f'<line class="axis" x1="190" x2="570" y1="{base - 8}" y2="{base - 8}"/>')
    rows.append(f'<text x="190" y="{base + 10}">{number(low)}</text>')
    rows.append(f'<text x="570" y="{base + 10}" text-anchor="end">{number(high)}</text>')
    label = escape(f"{board.rank_by} of each entry with its 95 % interval")
    body = "".join(rows)
    return (
        f'<figure><svg viewBox="0 0 590 {base + 18}" role="img" aria-label="{label}">{body}</svg>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _published_section(table: TextTable) -> str:
    head = "".join(_header_cell(name, i < table.text_columns) for i, name in enumerate(table.header))
    rows = "".join(
        "<tr>"
        + "".join(f"<td{' class=text' if i < table.text_columns else ''}>{escape(c)}</td>" for i, c in enumerate(row))
        + "</tr>"
        for row in table.rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f"<section><h2>{escape(table.title)}</h2><div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{notes}</section>"
    )


def _header_cell(name: str, is_text: bool) -> str:
    return f"<th{' class=text' if is_text else ''}>{escape(name)}</th>"


def _name_cell(entry: Entry) -> str:
    name = escape(entry.name)
    # a submitted link may hold javascript:, so that only web addresses become links
    if entry.link.startswith(("https://", "http://")):
        name = f'<a href="{escape(entry.link, quote=True)}">{name}</a>'
    return f'<td class="text name" title="{escape(entry.description, quote=True)}">{name}</td>'


def _value_cell(cell: str, bold: bool) -> str:
    value, _, rest = cell.partition(" ")
    shown = f"<strong>{escape(value)}</strong>" if bold else escape(value)
    return f"<td>{shown}{f'<small>{escape(rest)}</small>' if rest else ''}</td>"


def _clipped(name: str, length: int = 24) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
