"""The leaderboard as a site: accepted entries become boards of `hmbench.report.pages`, runs add their videos.

An entry holds every value and, from format 2 on, every event, what its clips are and the digest of each video. A run
folder adds videos and tracks. Whether a run is the entry's is never taken from its name: its videos must have the
entry's digests; for entries of format 1, which have none, every score that follows from the frames alone must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmbench.digests import video_digest
from hmbench.report.pages.content import Board, Contender, Published, Site
from hmbench.report.pages.events import by_clip, read_events
from hmbench.report.pages.from_runs import (
    card_of,
    columns_of,
    command_line,
    cost_of,
    make_board,
    read_clips,
    read_metrics,
)
from hmbench.report.pages.words import file_names, shown, web_link
from hmbench.report.text_table import TextTable
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.results.sampled import sampling_differences
from hmbench.results.summary import summarise
from leaderboard.entry import Entry, entry_rows
from leaderboard.tables import verification

TITLE = "hmbench: hybrid memory in video world models"
LEAD = (
    "Does a subject that leaves the view come back at the right time and place, as itself, still moving, in a world "
    "that stayed the same? Entries carry their values clip by clip; models with untrained weights are not accepted."
)
FRAMES_ALONE = {"truth"}
"""What a score needs that follows from the frames alone."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A run folder that may hold an entry's videos."""

    path: Path
    """The folder."""
    manifest: RunManifest
    """What it says of itself."""
    rows: Mapping[tuple[str, str], Row] = field(default_factory=dict)
    """Metric and clip to row."""


def leaderboard_site(
    entries: Sequence[Entry],
    published: TextTable | None,
    *,
    rank_by: Sequence[str],
    runs: Sequence[Path] = (),
    validity: Mapping[str, Any] | None = None,
    explained: Mapping[str, str] | None = None,
) -> Site:
    """What the site shows.

    Args:
        entries: Accepted entries.
        published: Numbers of papers, shown apart.
        rank_by: Metrics to order by, by preference.
        runs: Run folders that may hold videos of the entries.
        validity: A study of what metrics can see.
        explained: Metric to what the documentation says of it.

    Raises:
        UserError: If a folder is no scored run.
    """
    sources = [_source(path) for path in runs]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.board, []).append(entry)
    files = file_names("-".join(part for part in key if part) for key in sorted(groups))
    boards = [
        board_of(groups[key], file, rank_by=rank_by, sources=sources)
        for key, file in zip(sorted(groups), files.values(), strict=True)
    ]
    boards.sort(key=lambda board: -len(board.contenders))
    return Site(
        title=TITLE,
        lead=LEAD,
        boards=tuple(boards),
        published=_published(published) if published else None,
        validity=validity,
        explained=explained or {},
    )


def board_of(entries: Sequence[Entry], file: str, *, rank_by: Sequence[str], sources: Sequence[Source] = ()) -> Board:
    """The board of entries that may stand together."""
    first = entries[0]
    matched = {entry.name: _matching(entry, sources) for entry in entries}
    described = _described(entries, [s for found in matched.values() for s in found])
    clips = read_clips(first.samples, dict(zip(first.samples, first.clusters, strict=True)), described)
    names = file_names(entry.name for entry in entries)
    about = {
        "data": shown(first.data_name),
        "data revision": shown(first.data_revision),
        "split": shown(first.split),
        "profile": shown(first.profile),
        "tracker": shown(first.tracker or "none"),
    }
    if first.told_apart:
        about["subjects told apart by"] = shown(first.told_apart)
    unlike = sampling_differences([entry.name for entry in entries], [entry.settings for entry in entries])
    if unlike:
        about["sampling"] = shown(" ".join(unlike))
    metrics, left_out = read_metrics(entries, order=first.order)
    about |= left_out
    about["verified"] = shown(verification(entries))
    data = next((s.manifest.data for found in matched.values() for s in found), "")
    return make_board(
        file=file,
        about=about,
        data=data,
        revision=first.data_revision,
        metrics=metrics,
        clips=clips,
        contenders=[_contender(entry, names[entry.name], matched[entry.name]) for entry in entries],
        rank_by=rank_by,
    )


def _contender(entry: Entry, file: str, sources: Sequence[Source]) -> Contender:
    rows = entry_rows(entry)
    values, _ = columns_of(rows, entry.samples)
    source = sources[0] if sources else None
    events = by_clip(entry.events) if entry.events else by_clip(read_events(source.path)) if source else {}
    digests = entry.videos or (_equal_clips(entry, source) if source else {})
    return Contender(
        name=shown(entry.name),
        file=file,
        ranked=entry.ranked,
        standing=shown(entry.standing or entry.kind),
        notice="" if entry.ranked else f"Not ranked: {shown(entry.standing or entry.kind)}.",
        description=shown(entry.description),
        link=web_link(str(entry.link)),
        command=command_of(entry),
        card=card_of(
            {
                "Settings": entry.settings,
                "Options": entry.options,
                "Weights (sha256)": entry.weights,
                "Metric weights": entry.metric_weights,
                "Tracker": {"name": entry.tracker or "none", **entry.tracker_settings},
                "Predictions (sha256, all together)": {"videos": entry.predictions},
                "Environment": entry.environment,
            }
        ),
        cost=cost_of(entry.settings),
        values=values,
        summaries={shown(m): found for m, found in summarise(rows, metrics=entry.metrics).items()},
        events=events,
        run=source.path if source else None,
        video_digests=digests,
    )


def command_of(entry: Entry) -> str:
    """The command that makes the run again; empty for entries that do not say their model."""
    if not entry.model:
        return ""
    words = ["eval", "--model", entry.model]
    words += [part for key, value in sorted(entry.options.items()) for part in ("--option", f"{key}={value}")]
    return command_line(words, entry.data_name, entry.split, entry.seed, entry.profile)


def _source(path: Path) -> Source:
    run = RunFolder(path)
    return Source(path=path, manifest=run.read_manifest(), rows={(r.metric, r.sample): r for r in run.rows()})


def _matching(entry: Entry, sources: Sequence[Source]) -> list[Source]:
    """Runs with at least one video that this entry was scored on, those with most first."""
    counted = [(len(_common(entry, source)), source) for source in sources]
    return [source for count, source in sorted(counted, key=lambda pair: -pair[0]) if count]


def _common(entry: Entry, source: Source) -> dict[str, str]:
    """Clip to the digest of the run's video, for clips whose video is the entry's."""
    if not entry.videos:
        return _equal_clips(entry, source)
    found = {clip: _digest(source, clip) for clip in source.manifest.samples if clip in entry.videos}
    return {clip: digest for clip, digest in found.items() if digest and digest == entry.videos[clip]}


def _equal_clips(entry: Entry, source: Source) -> dict[str, str]:
    """The same for entries without digests: all scores that follow from frames alone, in equal versions, are equal."""
    metrics = [
        name
        for name, info in entry.metrics.items()
        if info.needs == FRAMES_ALONE and (own := source.manifest.metrics.get(name)) and own.version == info.version
    ]
    place = {clip: i for i, clip in enumerate(entry.samples)}
    found = {}
    for clip in source.manifest.samples:
        if clip not in place or not metrics:
            continue
        pairs = [
            (entry.values[m][place[clip]], row.value if (row := source.rows.get((m, clip))) else None) for m in metrics
        ]
        known = [(a, b) for a, b in pairs if a is not None]
        if known and all(a == b for a, b in known) and (digest := _digest(source, clip)):
            found[clip] = digest
    return found


def _digest(source: Source, clip: str) -> str | None:
    path = RunFolder(source.path).prediction(clip)
    if Path(clip).name != clip or not path.is_file():
        return None
    return video_digest(path)


def _described(entries: Sequence[Entry], sources: Sequence[Source]) -> dict[str, SampleRow]:
    """What is known of each clip, from the entries, else from runs."""
    found: dict[str, SampleRow] = {}
    for source in sources:
        found |= read_samples(source.path) or {}
    for entry in entries:
        found |= {sample: clip for sample, clip in zip(entry.samples, entry.clips, strict=False) if not clip.unknown}
    return found


def _published(table: TextTable) -> Published:
    return Published(
        title=table.title,
        header=[shown(name) for name in table.header],
        rows=[[shown(cell) for cell in row] for row in table.rows],
        notes=[shown(note) for note in table.notes],
    )
