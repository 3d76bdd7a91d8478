"""What a site shows, whoever measured it: boards of models that were measured on the same clips.

Runs and leaderboard entries are both read into these records (`from_runs`, `leaderboard.site`); nothing below them
knows where the numbers came from. Texts are made harmless here, once: whoever builds a record passes strangers' words
through `words.shown`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hmbench.report.ranking import Standing, standings
from hmbench.report.text_table import arrow
from hmbench.results.summary import MetricSummary

Numbers = tuple[float | None, ...]
"""A value a clip; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of a board."""

    key: str
    """Its id, as its data spell it: for files and records, never for a page."""
    id: str
    """Its id as pages show it."""
    file: str
    """Name of its page, without ending."""
    scene: str
    """Scene, by which intervals are clustered."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Kind of division (subjects, cell, camera path, ...) to this clip's, for filters and breakdowns."""
    hidden: int | None = None
    """Longest time out of sight, frames."""
    warnings: tuple[str, ...] = ()
    """What its data warn of."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of a board."""

    name: str
    """Name."""
    version: int
    """Version."""
    higher_is_better: bool | None
    """Direction; None for numbers that must not rank."""
    unit: str = ""
    """Unit; empty for a ratio."""
    bounds: tuple[float | None, float | None] = (None, None)
    """Smallest and largest value."""
    headline: bool = False
    """Shown without being asked for."""
    source: str = ""
    """Paper, section, equation."""
    needs: tuple[str, ...] = ()
    """What it needs of a clip."""
    weights: tuple[str, ...] = ()
    """Files of the networks that it looks through."""

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return arrow(self.higher_is_better)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One model on a board: what it is, and what was measured."""

    name: str
    """Name in tables, unique on its board."""
    file: str
    """Name of its page, without ending."""
    ranked: bool
    """False for bounds that saw the truth and for untrained weights: shown, never ranked."""
    standing: str = "model"
    """What its numbers are worth (`hmbench.protocols.Standing`)."""
    notice: str = ""
    """What must be said beside its numbers."""
    description: str = ""
    """One line."""
    link: str = ""
    """Paper or code, an address of the web."""
    command: str = ""
    """How to reproduce it."""
    card: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Heading to facts: settings, options, weights' digests, environment."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Name to number: parameters, steps, tokens; what plots can set a score against."""
    values: Mapping[str, Numbers]
    """Metric to its value on each clip."""
    reasons: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Metric to clip's place to why there is no value."""
    summaries: Mapping[str, MetricSummary]
    """Metric to mean and interval."""
    events: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Clip's key to its events, as `events.jsonl` has them."""
    run: Path | None = None
    """Its run folder, where its videos and tracks are; None if nobody gave one."""
    video_digests: Mapping[str, str] | None = None
    """Clip's key to the digest that its video must have to be shown; None trusts the run folder."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """Models that may be compared: equal data, split, profile and tracker."""

    file: str
    """Name in addresses, unique on the site."""
    title: str
    """What it was measured on, in a line."""
    about: Mapping[str, str]
    """Data, revision, split, profile, tracker."""
    data: str
    """Where the data are, as `--data` takes it; empty if unknown."""
    revision: str
    """Digest of its samples, as the data spell it."""
    metrics: tuple[Metric, ...]
    """In table order."""
    clips: tuple[Clip, ...]
    """In order."""
    contenders: tuple[Contender, ...]
    """Ranked ones first, best first by the first headline metric."""
    rank_by: str
    """The metric that orders."""

    @cached_property
    def by_name(self) -> dict[str, Metric]:
        """Metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    @cached_property
    def headline(self) -> list[Metric]:
        """What tables show unasked, the ranking metric first. Metrics of which nobody has a value stay away."""
        measured = {name for c in self.contenders for name, found in c.summaries.items() if found.mean is not None}
        there = [m for m in self.metrics if m.name in measured and m.name != self.rank_by]
        return [self.by_name[self.rank_by], *([m for m in there if m.headline] or there[:7])]

    def scored(self, metric: Metric) -> str | None:
        """How many clips have a value, ``30 of 32``, if that is the same for every model that has any."""
        found = {(s.scored, s.total) for c in self.contenders if (s := c.summaries.get(metric.name)) and s.scored}
        return "{} of {}".format(*found.pop()) if len(found) == 1 else None

    @cached_property
    def standings(self) -> dict[str, list[Standing | None]]:
        """Directed headline metric to each contender's standing."""
        return {m.name: self._standing(m) for m in self.headline if m.higher_is_better is not None}

    @cached_property
    def kinds(self) -> dict[str, list[str]]:
        """Division to its kinds of clips, of those that really divide."""
        found: dict[str, set[str]] = {}
        for clip in self.clips:
            for kind, value in clip.facts.items():
                found.setdefault(kind, set()).add(value)
        return {kind: sorted(values) for kind, values in found.items() if len(values) > 1}

    @cached_property
    def verdicts(self) -> list[str]:
        """Every verdict that is there: those whose events score best first, then by name."""
        scores: dict[str, list[float]] = {}
        for contender in self.contenders:
            for events in contender.events.values():
                for event in events:
                    if event.get("verdict") is not None:
                        known = scores.setdefault(str(event["verdict"]), [])
                        if event.get("success") is not None:
                            known.append(float(event["success"]))
        means = {word: round(sum(found) / len(found), 9) if found else -1.0 for word, found in scores.items()}
        return sorted(scores, key=lambda word: (-means[word], word))  # what has no score, such as "not judged", is last

    def _standing(self, metric: Metric) -> list[Standing | None]:
        means = [found.mean if c.ranked and (found := c.summaries.get(metric.name)) else None for c in self.contenders]
        columns = [c.values.get(metric.name, (None,) * len(self.clips)) for c in self.contenders]
        scenes = [clip.scene for clip in self.clips]
        return standings(means, columns, scenes, higher_is_better=bool(metric.higher_is_better), bounds=metric.bounds)


@dataclass(frozen=True, kw_only=True)
class Published:
    """Numbers that others reported: shown apart, never ranked with ours."""

    title: str
    """Heading."""
    header: Sequence[str]
    """Column names."""
    rows: Sequence[Sequence[str]]
    """Cells."""
    notes: Sequence[str] = ()
    """Sentences below."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Everything that is written."""

    title: str
    """Heading of the first page."""
    lead: str
    """A sentence or two under it."""
    boards: tuple[Board, ...]
    """The boards."""
    published: Published | None = None
    """Reported numbers."""
    validity: Mapping[str, Any] | None = None
    """A study of what metrics can see, as `hmbench validate-metrics` writes it."""
    explained: Mapping[str, str] = field(default_factory=dict)
    """Metric to what the documentation says of it."""
