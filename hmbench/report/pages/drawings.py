"""Small pictures that need no script: a forest of intervals, bars of what a metric can see."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from hmbench.report.pages.content import Board, Metric
from hmbench.report.pages.words import number, shown

LEFT, RIGHT, ROW = 190, 30, 26
"""Pixels for names, for the margin, and of a line."""
WIDE = 620


def forest(board: Board, metric: Metric) -> Markup | None:
    """A line a model: mean and 95 % interval, those that are not ranked faint; None if no model has a value."""
    shown = [(c, found) for c in board.contenders if (found := c.summaries.get(metric.name)) and found.mean is not None]
    if not shown:
        return None
    ends = [v for _, f in shown for v in (f.mean, f.low, f.high) if v is not None]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0
    scale = (WIDE - LEFT - RIGHT) / span
    up = metric.higher_is_better is not False
    shown.sort(key=lambda pair: (not pair[0].ranked, -(pair[1].mean or 0) if up else (pair[1].mean or 0)))
    parts = []
    for i, (c, f) in enumerate(shown):
        y = 18 + ROW * i
        faint = "" if c.ranked else " un"
        parts.append(_text(LEFT - 12, y + 4, _cut(c.name), "end", faint))
        if f.low is not None and f.high is not None:
            a, b = LEFT + scale * (f.low - low), LEFT + scale * (f.high - low)
            parts.append(f'<line class="iv{faint}" x1="{a:.1f}" x2="{b:.1f}" y1="{y}" y2="{y}"/>')
        assert f.mean is not None, c.name
        x = LEFT + scale * (f.mean - low)
        parts.append(f'<circle class="pt{faint}" cx="{x:.1f}" cy="{y}" r="5"><title>{number(f.mean)}</title></circle>')
    base = 18 + ROW * len(shown)
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{base - 6}" y2="{base - 6}"/>')
    parts.append(_text(LEFT, base + 10, number(low, metric.unit), "start", " tick"))
    parts.append(_text(WIDE - RIGHT, base + 10, number(high, metric.unit), "end", " tick"))
    said = "; ".join(f"{c.name} {number(f.mean, metric.unit)}" for c, f in shown)
    return _svg(base + 18, f"{metric.name} of each model with its 95 % interval: {said}", parts)


def power_bars(powers: Sequence[tuple[str, float | None]]) -> Markup:
    """A bar a fault from 0 to 1 with a line at one half."""
    wide = WIDE - LEFT - RIGHT - 40
    parts = []
    for i, (fault, power) in enumerate(powers):
        y = 14 + ROW * i
        parts.append(_text(LEFT - 12, y + 4, _cut(fault), "end", ""))
        parts.append(f'<rect x="{LEFT}" y="{y - 7}" width="{wide}" height="14" rx="3" fill="none" class="axis"/>')
        if power is not None:
            parts.append(f'<rect class="pt" x="{LEFT}" y="{y - 7}" width="{wide * power:.1f}" height="14" rx="3"/>')
        parts.append(_text(LEFT + wide + 8, y + 4, number(power), "start", " tick"))
    base = 14 + ROW * len(powers)
    half = LEFT + wide / 2
    parts.append(f'<line class="half" x1="{half}" x2="{half}" y1="2" y2="{base - 8}"/>')
    said = "; ".join(f"{fault} {number(power)}" for fault, power in powers)
    return _svg(base + 4, f"Probability of seeing each fault: {said}", parts)


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind.strip()}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(shown(text))}</text>'


def _svg(height: float, label: str, parts: Sequence[str]) -> Markup:
    body = "".join(parts)
    said = escape(shown(label))
    return Markup(  # noqa: S704 - words are escaped where they are put in
        f'<svg class="forest" viewBox="0 0 {WIDE} {height:.0f}" role="img" aria-label="{said}">{body}</svg>'
    )


def _cut(name: str, length: int = 24) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
