"""What the scripts of the pages read: JSON inside a script, since a page opened from disk may not fetch files.

    data/<board>/board.js      models, metrics, means, ranks, verdict counts: what the first page shows
    data/<board>/clips.js      clips and their facts, loaded by filters and by the index of clips
    data/<board>/values-<k>.js values of metric k, a row a model, a column a clip
    data/<board>/events.js     re-entries: model, clip, verdict, success, hidden time, place
    data/<board>/boxes-<clip>.js   boxes over a clip's videos

Columns are lists in one order, so that no stranger's name is ever a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmbench.report.pages.colours import verdict_colours
from hmbench.report.pages.content import Board, Clip, Contender, Metric
from hmbench.report.pages.gallery import ClipView
from hmbench.results.intervals import MIN_SCENES
from hmbench.results.summary import MetricSummary

STRIPS_SHOWN = 5
"""Film strips of one clip in the index: the target's and the first models'."""


def write_data(folder: Path, name: str, content: Any) -> None:
    """Writes ``<name>.js`` that hands its content to the page."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    # parsed as JSON, so that a key such as __proto__ is a key and nothing else
    script = f"hm.receive({json.dumps(name)},JSON.parse({json.dumps(text)}));\n"
    write_page(folder / f"{name}.js", script)


def write_page(path: Path, text: str) -> None:
    """Writes a file of a site: it can be made again, so that nobody waits until thousands of them are on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def board_record(board: Board, *, metric_files: Mapping[str, str]) -> dict[str, Any]:
    """What the first page needs of a board."""
    costs = sorted({name for c in board.contenders for name in c.cost})
    words = board.verdicts
    return {
        "file": board.file,
        "title": board.title,
        "about": list(board.about.items()),
        "rankBy": board.rank_by,
        "columns": [m.name for m in board.headline],
        "clips": len(board.clips),
        "fewScenes": MIN_SCENES,
        "kinds": list(board.kinds.items()),
        "models": [_model(board, c) for c in board.contenders],
        "metrics": [_metric(m, metric_files) for m in board.metrics],
        "summary": [[_summary(c.summaries.get(m.name)) for c in board.contenders] for m in board.metrics],
        "standing": [_standing(board, m) for m in board.metrics],
        "costs": [[name, [_short(c.cost.get(name)) for c in board.contenders]] for name in costs],
        "verdicts": {
            "words": words,
            "colours": [verdict_colours(words)[w] for w in words],
            "counts": [[n for _, n in verdict_counts(c, words)] for c in board.contenders],
        },
        "hasEvents": any(c.events for c in board.contenders),
    }


def clips_record(board: Board, views: Mapping[str, ClipView]) -> dict[str, Any]:
    """Clips, their facts as numbers into lists of values, and their film strips."""
    scenes = sorted({clip.scene for clip in board.clips})
    place = {scene: i for i, scene in enumerate(scenes)}
    facts = []
    for kind in sorted({kind for clip in board.clips for kind in clip.facts}):
        values = sorted({clip.facts[kind] for clip in board.clips if kind in clip.facts})
        at = {value: i for i, value in enumerate(values)}
        facts.append([kind, {"values": values, "of": [at.get(c.facts.get(kind, ""), -1) for c in board.clips]}])
    sizes = [p.made.size for view in views.values() for p in view.panels if p.made]
    return {
        "files": [clip.file for clip in board.clips],
        "ids": [None if clip.id == clip.file else clip.id for clip in board.clips],
        "scene": [place[clip.scene] for clip in board.clips],
        "hidden": [clip.hidden for clip in board.clips],
        "facts": facts,
        "strips": [_strips(board, clip, views.get(clip.key)) for clip in board.clips],
        "aspect": sizes[0][1] / sizes[0][0] if sizes else 16 / 9,
    }


def values_record(board: Board, metric: Metric) -> list[list[float | None] | None]:
    """A row a model: its value on each clip; None for a model that was not measured."""
    return [
        [_short(v) for v in column] if (column := c.values.get(metric.name)) is not None else None
        for c in board.contenders
    ]


def events_record(board: Board) -> list[list[Any]]:
    """A row an event and model."""
    words = {word: i for i, word in enumerate(board.verdicts)}
    rows = []
    for i, contender in enumerate(board.contenders):
        for k, clip in enumerate(board.clips):
            for event in contender.events.get(clip.key, ()):
                x, y = event.get("place") or (None, None)
                verdict = words.get(str(event.get("verdict")), -1)
                rows.append([i, k, verdict, _short(event.get("success")), event.get("hidden"), _short(x), _short(y)])
    return rows


def boxes_record(view: ClipView) -> list[dict[str, Any]]:
    """Boxes of a clip's panels, by their numbers: a model may be called ``context``."""
    return [
        {
            "panel": k,
            "size": list(panel.made.size),
            "tracks": [[t.name, t.colour, t.first, [list(b) if b else 0 for b in t.boxes]] for t in panel.tracks],
        }
        for k, panel in enumerate(view.panels)
        if panel.made is not None and panel.tracks
    ]


def verdict_counts(contender: Contender, words: Sequence[str]) -> list[tuple[str, int]]:
    """How many of a model's events have each verdict."""
    found = [str(e.get("verdict")) for events in contender.events.values() for e in events]
    return [(word, found.count(word)) for word in words]


def tag(contender: Contender) -> str:
    """A word for why a model is not ranked."""
    return "" if contender.ranked else contender.standing or "not ranked"


def tip(metric: Metric) -> str:
    """What a header says on hover."""
    better = {True: "Higher is better.", False: "Lower is better.", None: "Describes, does not rank."}
    return " ".join(part for part in (better[metric.higher_is_better], metric.source) if part)


def _model(board: Board, c: Contender) -> dict[str, Any]:
    return {
        "name": c.name,
        "page": f"b/{board.file}/models/{c.file}.html",
        "ranked": c.ranked,
        "tag": tag(c),
        "notice": c.notice,
        "description": c.description,
    }


def _metric(m: Metric, files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": m.name,
        "arrow": m.arrow,
        "better": {True: 1, False: -1, None: 0}[m.higher_is_better],
        "unit": m.unit,
        "bounds": list(m.bounds),
        "tip": tip(m),
        "page": f"metrics/{files[m.name]}.html",
    }


def _summary(found: MetricSummary | None) -> list[float | None] | None:
    if found is None:
        return None
    return [_short(found.mean), _short(found.low), _short(found.high), found.scored, found.total]


def _standing(board: Board, metric: Metric) -> list[tuple[int, bool] | None] | None:
    """Rank, and whether a paired test leaves it with the first, by model; None for metrics that were not tested."""
    standings = board.standings.get(metric.name)
    return None if standings is None else [(s.rank, s.with_first) if s else None for s in standings]


def _strips(board: Board, clip: Clip, view: ClipView | None) -> list[list[Any]]:
    if view is None:
        return []
    words = {word: i for i, word in enumerate(board.verdicts)}
    place = {c.name: i for i, c in enumerate(board.contenders)}
    found: list[list[Any]] = []
    for panel in view.panels:
        if panel.made is None or panel.kind == "context" or len(found) == STRIPS_SHOWN:
            continue
        verdicts: list[int] = []
        if panel.kind == "model":
            events = board.contenders[place[panel.title]].events.get(clip.key, ())
            verdicts = [words[str(e["verdict"])] for e in events if str(e.get("verdict")) in words]
        found.append([place.get(panel.title, -1) if panel.kind == "model" else -1, panel.made.strip.name, verdicts])
    return found


def _short(value: Any) -> float | None:
    """Five digits that count: what a page shows, at a third of the bytes."""
    if value is None or not isinstance(value, int | float):
        return None
    number = float(f"{float(value):.5g}")
    return number if number == number and abs(number) != float("inf") else None
