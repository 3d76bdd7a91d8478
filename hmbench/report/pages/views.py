"""What the templates are given: a clip's events and rows, a model's breakdowns, a metric's powers."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from hmbench.report.pages.content import Board, Clip, Contender, Metric, Site
from hmbench.report.pages.data_files import verdict_counts
from hmbench.report.pages.drawings import forest, power_bars
from hmbench.report.pages.gallery import ClipView
from hmbench.report.pages.in_view import EventKey, event_key
from hmbench.report.pages.words import number, shown
from hmbench.results.intervals import mean_interval
from hmbench.results.summary import MetricSummary

EXTREMES = 8
"""Clips listed as a model's worst and best."""
SHOWN_PANELS = 10
"""Videos that a clip's page shows at first; the others can be asked for."""
OPEN_EVENTS = 6
"""Events of a clip whose numbers are shown at once; those of the others are opened by a click."""
FACTS = {"sample", "label", "subject", "category", "exit", "reentry", "hidden", "verdict", "window", "tracks", "place"}
"""Fields of an event that are told in words, not in the table of its numbers."""
LOOP_BEFORE, LOOP_AFTER = 8, 45
"""Frames around a re-entry that a loop plays, where the window is not known."""


def clip_page(board: Board, at: int, view: ClipView) -> dict[str, Any]:
    """Content of a clip's page.

    Args:
        board: Its board.
        at: Its place among the board's clips.
        view: Its videos.
    """
    clip = board.clips[at]
    total = clip_length(board, clip, view)
    events = clip_events(board, clip, view, total)
    playable = view.frames if view.panels and not view.placed else total
    loops, names = _loops(events if view.placed else (), playable)
    reasons: dict[str, list[str]] = {}
    for c in board.contenders:
        for metric, found in c.reasons.items():
            if at in found:
                reasons.setdefault(found[at], []).append(f"{metric} of {c.name}")
    bests = {m.name: _best(board, m, at) for m in board.metrics}
    shown_models = [i for i, p in enumerate(view.panels) if p.made is not None]
    return {
        "clip": clip,
        "view": view,
        "events": events,
        "total": playable,
        "loops": loops,
        "loop_names": names,
        "before": board.clips[at - 1] if at else None,
        "after": board.clips[at + 1] if at + 1 < len(board.clips) else None,
        "verdicts_of": {c.name: _verdicts(c, clip) for c in board.contenders},
        "open_events": OPEN_EVENTS,
        "without": [p for p in view.panels if p.made is None and p.kind == "model"],
        "put_away": set(shown_models[SHOWN_PANELS:]),
        "reasons": {reason: named if len(named) <= 6 else [*named[:5], f"and {len(named) - 5} more"]
                    for reason, named in reasons.items()},
        "cells": lambda metric: value_cells(board, metric, at, bests[metric.name]),
        "no_videos": "This clip has no videos: they were not asked for (--videos), or nobody gave them.",
    }  # fmt: skip


def clip_length(board: Board, clip: Clip, view: ClipView) -> int:
    """Frames of the whole clip, as far as data, tracks, videos or events tell."""
    events = [e for c in board.contenders for e in c.events.get(clip.key, ())]
    windows = [int(e["window"][1]) for e in events if e.get("window")]
    return view.total_frames or max([1, view.frames, *(int(e["reentry"]) + 1 for e in events), *windows])


def clip_events(board: Board, clip: Clip, view: ClipView, total: int) -> list[dict[str, Any]]:
    """Events of a clip that any model's records have, each with every model's verdict, numbers and times in view."""
    own = {c.name: {event_key(e): e for e in c.events.get(clip.key, ())} for c in board.contenders}
    first = {key: event for events in reversed(own.values()) for key, event in events.items()}
    return [_event(board, key, first[key], own, view, total) for key in sorted(first, key=lambda k: (k[2], k))]


def _event(
    board: Board,
    key: EventKey,
    event: Mapping[str, Any],
    own: Mapping[str, Mapping[EventKey, Mapping[str, Any]]],
    view: ClipView,
    total: int,
) -> dict[str, Any]:
    found = {name: events.get(key) for name, events in own.items()}
    columns = _number_keys([e for e in found.values() if e])
    label, exit_frame, reentry = key
    real = view.real.get(label, ())
    rows: list[dict[str, Any]] = [{"name": "really", "spans": real, "verdict": "", "known": True}] if real else []
    files, table = {c.name: c.file for c in board.contenders}, []
    for name, e in found.items():
        verdict = _word((e or {}).get("verdict"))
        known = (name, key) in view.seen
        rows.append({"name": name, "spans": view.seen.get((name, key), ()), "verdict": verdict, "known": known})
        cells = [_event_number((e or {}).get(column)) for column in columns]
        table.append({"name": name, "file": files[name], "verdict": verdict, "cells": cells})
    rows = rows if view.panels else [row for row in rows if row["known"]]
    windows = [int(e["window"][1]) for e in found.values() if e and e.get("window")]
    return {
        "subject": shown(event.get("subject") or "a subject"),
        "category": shown(event.get("category") or ""),
        "exit": exit_frame,
        "reentry": reentry,
        "hidden": max(0, reentry - exit_frame),
        "total": total,
        "window": max(windows, default=reentry + LOOP_AFTER),
        "rows": rows or [{"name": "subject", "spans": (), "verdict": "", "known": False}],
        "columns": [shown(column).replace("_", " ") for column in columns],
        "table": table,
    }


def value_cells(board: Board, metric: Metric, at: int, best: float | None) -> Markup:
    """A line of the table of rows, a cell a model: of nearly a million cells none is worth a call of the template's."""
    return Markup("".join(_value_cell(c, metric, at, best) for c in board.contenders))  # noqa: S704 (escaped below)


def _value_cell(c: Contender, metric: Metric, at: int, best: float | None) -> str:
    """The value, the best in bold, or a dash with its reason on hover."""
    column = c.values.get(metric.name)
    value = column[at] if column is not None else None
    if value is None:
        reason = c.reasons.get(metric.name, {}).get(at, "not measured")
        return f'<td data-value="" title="{escape(reason)}">–</td>'
    text = number(value, metric.unit)  # digits and signs alone
    return f"<td><strong>{text}</strong></td>" if value == best and c.ranked else f"<td>{text}</td>"


def model_page(board: Board, at: int) -> dict[str, Any]:
    """Content of a model's page."""
    c = board.contenders[at]
    return {
        "c": c,
        "place": at,
        "counts": [(w, n) for w, n in verdict_counts(c, board.verdicts) if n],
        "breakdowns": breakdowns(board, c),
        "extremes": _extremes(board, c),
    }


def breakdowns(board: Board, c: Contender) -> dict[str, list[tuple[str, int, list[MetricSummary | None]]]]:
    """Kind of division to its lines: the kind of clip, how many clips, and each headline metric on them."""
    out = {}
    for kind, values in board.kinds.items():
        lines = []
        for value in values:
            places = [i for i, clip in enumerate(board.clips) if clip.facts.get(kind) == value]
            lines.append((value, len(places), [_summary(board, c, m, places) for m in board.headline]))
        out[kind] = lines
    return out


def metric_page(site: Site, metric: Metric, study: Study) -> dict[str, Any]:
    """Content of a metric's page."""
    forests = [
        (f"Models on {board.title}" if len(site.boards) > 1 else "Models", picture)
        for board in site.boards
        if metric.name in board.by_name and (picture := forest(board, board.by_name[metric.name])) is not None
    ]
    faults, nuisances = study.faults(metric.name), study.nuisances(metric.name)
    return {
        "explained": explained_parts(site.explained.get(metric.name, "")),
        "powers": faults,
        "powers_picture": power_bars(faults) if faults else "",
        "nuisances": nuisances,
        "nuisances_picture": power_bars(nuisances) if nuisances else "",
        "study": study.about,
        "forests": forests,
    }


class Study:
    """A validity study, read with nothing taken for granted.

    Args:
        content: What `hmbench validate-metrics` wrote; None if there is none.
    """

    def __init__(self, content: Mapping[str, Any] | None) -> None:
        self.content = content or {}
        metrics = self.content.get("metrics") or {}
        self.fault_names = list(dict.fromkeys(f for entry in metrics.values() for f in entry.get("faults") or ()))
        clips, split = self.content.get("clips"), self.content.get("split")
        self.about = f"Measured on {clips} clips of the mini world's {split} split." if clips else ""

    def faults(self, metric: str) -> list[tuple[str, float | None]]:
        """Fault to the probability of seeing it."""
        return self._auc(metric, "faults")

    def nuisances(self, metric: str) -> list[tuple[str, float | None]]:
        """Harmless change to the probability of taking it for a fault."""
        return self._auc(metric, "nuisances")

    def _auc(self, metric: str, part: str) -> list[tuple[str, float | None]]:
        entry = (self.content.get("metrics") or {}).get(metric) or {}
        return [(str(kind), found.get("auc")) for kind, found in (entry.get(part) or {}).items()]


def power_cell(power: float | None) -> Markup:
    """A cell of the table of powers, the darker the surer."""
    if power is None:
        return Markup('<td data-value="">–</td>')
    share = max(0.0, min(1.0, 2 * power - 1))
    kind = "strong" if share > 0.55 else "blind" if share < 0.2 else ""
    return Markup('<td class="power {}" style="--p: {:.0f}" data-value="{}">{}</td>').format(
        kind, 100 * share, power, f"{power:.2f}"
    )


def bounds(metric: Metric) -> str:
    """A metric's bounds in words."""
    low, high = metric.bounds
    if low is None and high is None:
        return "none"
    return f"{'−∞' if low is None else _end(low)} to {'∞' if high is None else _end(high)}"


def _end(value: float) -> str:
    """A bound as people write it: 0 and 1, not 0.000 and 1.000."""
    return f"{value:g}".replace("-", "−")


def explained_parts(text: str) -> list[tuple[bool, str]]:
    """Text with its `code` apart: pairs of whether it is code, and the text."""
    plain = html.unescape(text)
    return [(k % 2 == 1, part) for k, part in enumerate(re.split(r"`([^`]*)`", plain)) if part]


def _number_keys(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that hold a number or a flag in any event, the summary of them first, else in the order of the records."""
    keys = dict.fromkeys(["success", *(k for event in events for k in event if k not in FACTS)])
    return [k for k in keys if any(isinstance(e.get(k), int | float) for e in events)]


def _event_number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    return number(value) if isinstance(value, float) else "–"


def _word(verdict: Any) -> str:
    return "" if verdict is None else shown(verdict)


def _verdicts(c: Contender, clip: Clip) -> list[str]:
    return [_word(e["verdict"]) for e in c.events.get(clip.key, ()) if e.get("verdict") is not None]


def _loops(events: Sequence[Mapping[str, Any]], total: int) -> tuple[list[list[int]], list[str]]:
    """Parts of a clip that the player repeats, ``[first, end)`` within it, and what each is called."""
    loops = []
    for e in events:
        first = min(max(0, e["reentry"] - LOOP_BEFORE), total - 1)
        loops.append([first, max(first + 1, min(total, max(e["window"], e["reentry"] + 2)))])
    return [*loops, [0, total]], [*(f"{e['subject']} at {e['reentry']}" for e in events), "the whole clip"]


def _best(board: Board, metric: Metric, at: int) -> float | None:
    """The best value of the ranked models on a clip; None without a direction or a rival."""
    if metric.higher_is_better is None:
        return None
    found = [
        v
        for c in board.contenders
        if c.ranked and (column := c.values.get(metric.name)) and (v := column[at]) is not None
    ]
    if len(set(found)) < 2:  # a rank needs a rival, and where all are equal nobody is best
        return None
    return (max if metric.higher_is_better else min)(found)


def _summary(board: Board, c: Contender, metric: Metric, places: Sequence[int]) -> MetricSummary | None:
    column = c.values.get(metric.name)
    if column is None:
        return None
    scored = [i for i in places if column[i] is not None]
    values = np.array([column[i] for i in scored], dtype=np.float64)
    scenes = [board.clips[i].scene for i in scored]
    interval = mean_interval(values, scenes, bounds=metric.bounds) if scored else None
    return MetricSummary(
        metric=metric.name,
        version=metric.version,
        mean=float(values.mean()) if scored else None,
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        scored=len(scored),
        total=len(places),
        reasons={},
    )


def _extremes(board: Board, c: Contender) -> list[tuple[str, list[tuple[Clip, float, list[str]]]]]:
    column = c.values.get(board.rank_by)
    if column is None:
        return []
    up = board.by_name[board.rank_by].higher_is_better is not False
    order = sorted(
        (i for i, v in enumerate(column) if v is not None), key=lambda i: (column[i] or 0.0, i), reverse=not up
    )

    def listed(places: Sequence[int]) -> list[tuple[Clip, float, list[str]]]:
        return [(board.clips[i], float(column[i] or 0.0), _verdicts(c, board.clips[i])) for i in places]

    return [("Worst", listed(order[:EXTREMES])), ("Best", listed(order[::-1][:EXTREMES]))]
