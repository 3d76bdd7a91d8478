"""Boards from run folders: runs on the same data, split, profile and tracker share one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hmbench.errors import UserError
from hmbench.report.alike import Scored, unlike
from hmbench.report.compare_inputs import KINDS, ComparedRun, expanded, load_runs
from hmbench.report.pages.content import Board, Clip, Contender, Metric, Numbers
from hmbench.report.pages.events import by_clip, read_events
from hmbench.report.pages.words import file_names, shown, web_link
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.results.summary import summarise

LONGEST_NAME = 120
"""Characters of a model's name that pages show."""
OnRun = Callable[[str], None]


def boards_from_runs(
    folders: Sequence[Path], *, rank_by: Sequence[str] = (), on_run: OnRun | None = None
) -> list[Board]:
    """A board for each group of runs that may stand together.

    Args:
        folders: Run folders of `hmbench eval` or `hmbench score`; a folder of several seeds stands for its runs.
        rank_by: Metrics to order by; each board takes the first that its runs have, else its first headline one.
        on_run: Hears the label of each run that was read.

    Raises:
        UserError: If a folder is no scored run.
    """
    if not folders:
        raise UserError("No run was given.", "Give one or more folders of `hmbench eval`.")
    groups: dict[tuple[str, ...], list[ComparedRun]] = {}
    for run in load_runs(expanded(folders)):
        m = run.manifest
        groups.setdefault((m.data_name, m.data_revision, m.split, m.profile, m.tracker or ""), []).append(run)
    files = file_names("-".join((*key[:3], key[3], key[4])) for key in groups)
    return [_board(runs, file, rank_by, on_run) for runs, file in zip(groups.values(), files.values(), strict=True)]


def _board(runs: Sequence[ComparedRun], file: str, rank_by: Sequence[str], on_run: OnRun | None) -> Board:
    first = runs[0].manifest
    names = file_names(run.label for run in runs)
    contenders: list[Contender] = []
    scenes: dict[str, str] = {}
    order: dict[str, None] = {}
    for run in runs:  # one after the other: of twenty runs there may be a million rows
        rows = RunFolder(run.path).values()
        if len(scenes) < len(first.samples):  # of a run that failed there is little
            scenes |= {r.sample: r.cluster for r in rows}
            order |= dict.fromkeys(r.metric for r in rows)
        contenders.append(_contender(run, rows, names[run.label]))
        if on_run:
            on_run(run.label)
    clips = read_clips(first.samples, scenes, read_samples(runs[0].path) or {})
    metrics, left_out = read_metrics([run.manifest for run in runs], order=list(order))
    return make_board(
        file=file,
        about={**_about(first), **left_out},
        data=first.data,
        revision=first.data_revision,
        metrics=metrics,
        clips=clips,
        contenders=contenders,
        rank_by=rank_by,
    )


def make_board(
    *,
    file: str,
    about: Mapping[str, str],
    data: str,
    revision: str,
    metrics: Sequence[Metric],
    clips: Sequence[Clip],
    contenders: Sequence[Contender],
    rank_by: Sequence[str],
) -> Board:
    """A board with its contenders in order: ranked ones first, best first."""
    known = {m.name: m for m in metrics}
    headline = [m.name for m in metrics if m.headline and m.higher_is_better is not None]
    measured = {n for c in contenders for n, found in c.summaries.items() if found.mean is not None}
    there = [n for n in [*rank_by, *headline, *known] if n in known]
    by = next((n for n in there if n in measured), next(iter(there), None))  # pages order by what has values
    if by is None:
        raise UserError("The runs have no metric.", "Score them: `hmbench score --run FOLDER`.")
    upward = known[by].higher_is_better is not False

    def key(c: Contender) -> tuple[bool, bool, float, str]:
        found = c.summaries.get(by)
        mean = found.mean if found else None
        return not c.ranked, mean is None, 0.0 if mean is None else (-mean if upward else mean), c.name

    ordered = sorted(_named_apart(contenders), key=key)
    title = f"{about['data']}, {about['split']}: {len(clips)} clip{'s' if len(clips) != 1 else ''}"
    return Board(
        file=file,
        title=title,
        about=about,
        data=data,
        revision=revision,
        metrics=tuple(metrics),
        clips=tuple(clips),
        contenders=tuple(ordered),
        rank_by=by,
    )


def _named_apart(contenders: Sequence[Contender]) -> list[Contender]:
    """The same with names that differ: those that differed in invisible or cut characters alone get a number."""
    taken: set[str] = set()
    out = []
    for number, contender in enumerate(contenders, start=1):
        name = contender.name if len(contender.name) <= LONGEST_NAME else f"{contender.name[: LONGEST_NAME - 1]}…"
        name = name if name not in taken else f"{name} #{number}"
        taken.add(name)
        out.append(replace(contender, name=name))
    return out


def read_clips(samples: Sequence[str], scenes: Mapping[str, str], described: Mapping[str, SampleRow]) -> list[Clip]:
    """Clips from what `samples.jsonl` says of them.

    Args:
        samples: Ids, in order.
        scenes: Id to scene.
        described: Id to its line; ids without one have no facts.
    """
    files = file_names(samples)
    clips = []
    for sample in samples:
        entry = described.get(sample) or SampleRow(id=sample)
        facts = {kind: shown(value) for kind, of in KINDS.items() if (value := of(entry)) is not None}
        clips.append(
            Clip(
                key=sample,
                id=shown(sample),
                file=files[sample],
                scene=shown(scenes.get(sample) or entry.scene or sample),
                facts=facts,
                hidden=entry.max_hidden,
                warnings=tuple(shown(w) for w in entry.warnings),
            )
        )
    return clips


def read_metrics(scored: Sequence[Scored], *, order: Sequence[str]) -> tuple[list[Metric], dict[str, str]]:
    """Metrics that any run has, in the order of the rows.

    Returns:
        The metrics; and what tells readers which are left out, since runs have them in other versions or saw them
        through other networks: their numbers must not stand beside each other.
    """
    found: dict[str, MetricRecord] = {}
    for one in scored:
        for name, info in one.metrics.items():
            found.setdefault(name, info)
    left_out = {name: why for name in found if (why := unlike(scored, name))}
    names = [n for n in dict.fromkeys(order) if n in found]
    kept = [name for name in [*names, *(n for n in found if n not in names)] if name not in left_out]
    if found and not kept:
        name, why = next(iter(left_out.items()))
        raise UserError(
            f"The runs have no metric that can be compared: {name} has {why}.",
            "Score them again with one version of hmbench: `hmbench score --run FOLDER`.",
        )
    said = "; ".join(f"{name} ({why})" for name, why in left_out.items())
    return [_metric(found[name]) for name in kept], {"left out": shown(said)} if said else {}


def columns_of(rows: Sequence[Row], samples: Sequence[str]) -> tuple[dict[str, Numbers], dict[str, dict[int, str]]]:
    """Values and reasons by metric, in the order of the clips."""
    place = {sample: i for i, sample in enumerate(samples)}
    values: dict[str, list[float | None]] = {}
    reasons: dict[str, dict[int, str]] = {}
    names = {metric: shown(metric) for metric in {row.metric for row in rows}}
    for row in rows:
        at = place.get(row.sample)
        if at is None:
            continue
        name = names[row.metric]
        values.setdefault(name, [None] * len(samples))[at] = row.value
        if row.value is None:
            reasons.setdefault(name, {})[at] = shown(row.reason or "no reason was given")
    return {name: tuple(column) for name, column in values.items()}, reasons


def cost_of(settings: Mapping[str, Any]) -> dict[str, float]:
    """Numbers among a model's settings that a score can be set against: sizes, steps, tokens."""
    return {
        shown(key).replace("_", " "): float(value)
        for key, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    }


def card_of(parts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Headings with something under them, each as lines."""
    return {heading: flat(content) for heading, content in parts.items() if content}


def flat(content: Any, before: str = "") -> dict[str, str]:
    """Nested settings as lines: ``memory.top_k`` to its value."""
    if not isinstance(content, Mapping):
        return {before or "value": shown(content if isinstance(content, str) else json.dumps(content, default=str))}
    lines: dict[str, str] = {}
    for key, value in content.items():
        name = f"{before}.{shown(key)}" if before else shown(key)
        lines |= (
            flat(value, name)
            if isinstance(value, Mapping)
            else {name: shown(value if isinstance(value, str) else json.dumps(value, default=str))}
        )
    return lines


def command_of(manifest: RunManifest) -> str:
    """The command that makes the run again."""
    words = ["eval", "--model", manifest.model]
    words += [part for key, value in sorted(manifest.options.items()) for part in ("--option", f"{key}={value}")]
    if manifest.about.description == "videos from a folder":
        words = ["score", "--predictions", manifest.model]
    return command_line(words, manifest.data, manifest.split, manifest.seed, manifest.profile)


def command_line(words: Sequence[str], data: str, split: str, seed: int, profile: str) -> str:
    """A command of hmbench on some data, options left out that are as by default.

    Args:
        words: The command and what is its own.
        data: `--data`.
        split: `--split`.
        seed: `--seed`.
        profile: `--profile`.
    """
    asked = {"split": (split, "all"), "seed": (str(seed), "0"), "profile": (profile, "mini")}
    more = [part for name, (value, usual) in asked.items() if value != usual for part in (f"--{name}", value)]
    return shown(shlex.join(["hmbench", *words, "--data", data, *more]))


def _contender(run: ComparedRun, rows: Sequence[Row], file: str) -> Contender:
    manifest, about = run.manifest, run.manifest.about
    values, reasons = columns_of(rows, manifest.samples)
    settings = about.settings
    return Contender(
        name=shown(run.label),
        file=file,
        ranked=run.ranked,
        standing=about.standing,
        notice=shown(run.notice or ""),
        description=shown(about.description),
        link=web_link(str(manifest.model_info.get("link") or "")),
        command=command_of(manifest),
        card=card_of(
            {
                "Settings": settings,
                "Options": manifest.options,
                "Weights (sha256)": about.weights,
                "Metric weights": manifest.metric_weights,
                "Tracker": manifest.tracker_settings,
                "Environment": manifest.environment,
            }
        ),
        cost=cost_of(settings),
        values=values,
        reasons=reasons,
        summaries={shown(name): found for name, found in summarise(rows, metrics=manifest.metrics).items()},
        events=by_clip(read_events(run.path)),
        run=run.path,
    )


def _metric(record: MetricRecord) -> Metric:
    return Metric(
        name=shown(record.name),
        version=record.version,
        higher_is_better=record.higher_is_better,
        unit=shown(record.unit),
        bounds=record.bounds,
        headline=record.headline,
        source=shown(record.source),
        needs=tuple(shown(need) for need in sorted(record.needs)),
        weights=tuple(shown(file) for file in sorted(record.weights or ())),
    )


def _about(manifest: RunManifest) -> dict[str, str]:
    return {
        "data": shown(manifest.data_name),
        "data revision": shown(manifest.data_revision),
        "split": shown(manifest.split),
        "profile": shown(manifest.profile),
        "tracker": shown(manifest.tracker or "none"),
    }
