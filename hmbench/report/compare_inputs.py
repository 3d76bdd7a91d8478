"""What `hmbench.report.compare` reads: runs, whether they may be compared, and what kind of clip each sample is."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hmbench.data.dataset import open_recorded
from hmbench.errors import UserError, did_you_mean
from hmbench.protocols import RANKED
from hmbench.report.alike import other_weights
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.results.sampled import sampling_differences
from hmbench.results.seeds import pool_seeds, seed_runs

RunRows = Mapping[str, Mapping[str, Row]]
"""Metric to sample to row."""
MUST_AGREE = {"profile": "profiles"}
"""Fields of a run's manifest that must be equal, and what to call them."""
TRACKED = frozenset({"tracks", "events"})
"""Needs of a metric whose numbers rest on the tracker."""
LABELLED = frozenset({"labels", "separate", "events", "tracks"})
"""Needs of a metric whose numbers rest on how subjects were told apart."""
FIRST_RIGHT_PYAV = 17
"""Earlier versions ignore the colour matrix that a file names."""
MARK = "†"
"""Beside models that are not ranked."""
HIDDEN_BINS = ((1, 15, "1 to 15 frames"), (16, 30, "16 to 30 frames"), (31, math.inf, "over 30 frames"))
"""Longest time out of sight: up to one second at 15 fps, up to two, more."""


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run of a comparison."""

    label: str
    """Name in tables, unique within the comparison."""
    path: Path
    """Its folder."""
    manifest: RunManifest
    """What it says of itself."""
    notice: str | None
    """What must be said beside its numbers."""

    @property
    def ranked(self) -> bool:
        """False for untrained models and for models that saw the truth."""
        return self.manifest.about.standing in RANKED


def expanded(folders: Sequence[Path]) -> list[Path]:
    """Run folders, a folder of several seeds replaced by its runs."""
    return [run for folder in folders for run in (seed_runs(folder) or (folder,))]


def load_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """Manifests of run folders, with a label for each that no other has."""
    manifests = [RunFolder(folder).read_manifest() for folder in folders]
    names = [manifest.about.name for manifest in manifests]
    labels = [
        name if names.count(name) == 1 else f"{name} ({folder.name})"
        for name, folder in zip(names, folders, strict=True)
    ]
    labels = [
        label if labels.count(label) == 1 else f"{label} #{number}" for number, label in enumerate(labels, start=1)
    ]
    return [
        ComparedRun(label=label, path=folder, manifest=manifest, notice=run_notice(manifest))
        for label, folder, manifest in zip(labels, folders, manifests, strict=True)
    ]


def pool_runs(
    runs: Sequence[ComparedRun], rows: Sequence[RunRows]
) -> tuple[list[ComparedRun], list[RunRows], list[str]]:
    """Joins runs that differ in their seed alone: a clip's value is the mean over seeds (`hmbench.results.seeds`).

    Returns:
        Runs, their rows, and a sentence for each group that was joined.
    """
    groups: dict[str, list[int]] = {}
    for index, run in enumerate(runs):
        identity = {key: value for key, value in run.manifest.identity().items() if key != "seed"}
        groups.setdefault(json.dumps(identity, sort_keys=True), []).append(index)
    pooled, columns, said = [], [], []
    for indices in groups.values():
        first = runs[indices[0]]
        if len(indices) == 1:
            pooled.append(first)
            columns.append(rows[indices[0]])
            continue
        seeds = [runs[i].manifest.seed for i in indices]
        if len(set(seeds)) < len(seeds):
            raise UserError(f"Two runs of {first.label} have the same seed.", "Give each run once.")
        name = first.manifest.about.name
        pooled.append(replace(first, label=f"{name} ({len(seeds)} seeds)"))
        columns.append(pool_seeds([rows[i] for i in indices]))
        said.append(f"{name}: each clip's value is the mean over the seeds {', '.join(map(str, seeds))}.")
    return pooled, columns, said


def run_notice(manifest: RunManifest) -> str | None:
    """What must be said beside the numbers of a run; None if nothing must."""
    about = manifest.about
    if about.trained is False and not about.notice:
        return f"{about.name} has untrained weights: its numbers are no result."
    return about.notice


def notice_lines(runs: Sequence[ComparedRun]) -> list[str]:
    """What must be said beside the runs' numbers, each thing once: of models whose names alone differ, together."""
    groups: dict[tuple[bool, str], list[ComparedRun]] = {}
    for run in runs:
        if run.notice:
            own = rf"(?<![^\W_]){re.escape(run.manifest.about.name)}(?![^\W_])"
            groups.setdefault((run.ranked, re.sub(own, "NAME", run.notice)), []).append(run)
    lines = []
    for (ranked, text), members in groups.items():
        line = f"{', '.join(run.label for run in members)}: {text if len(members) > 1 else members[0].notice}"
        lines.append(line if ranked else f"{MARK} {line} Not ranked.")
    return lines


def check_comparable(runs: Sequence[ComparedRun], *, seeds: bool = True) -> list[str]:
    """What a reader must know of these runs; of unequal seeds if `seeds`.

    Raises:
        UserError: If they differ in more than their models.
    """
    first = runs[0]
    for run in runs[1:]:
        for key, noun in MUST_AGREE.items():
            _must_agree(first, run, key, noun)
    _check_data(runs)
    warnings = [*notice_lines(runs), *_decoders(runs)]
    settings = [run.manifest.about.settings for run in runs]
    warnings += sampling_differences([run.label for run in runs], settings)
    for run in runs:
        how = ", ".join(f"{key} {value}" for key, value in run.manifest.reading.items() if key != "match")
        if how:
            warnings.append(f"{run.label}: its predictions did not fit and were read with {how}.")
    used = sorted({run.manifest.seed for run in runs})
    if seeds and len(used) > 1:
        warnings.append(f"The runs used different seeds ({', '.join(map(str, used))}): chance differs between them.")
    return list(dict.fromkeys(warnings))


def _must_agree(first: ComparedRun, run: ComparedRun, key: str, noun: str) -> None:
    ours, theirs = getattr(first.manifest, key), getattr(run.manifest, key)
    if ours != theirs:
        raise UserError(
            f"{first.label} and {run.label} cannot be compared: they used different {noun} "
            f"({key} {_short(ours)} and {_short(theirs)}).",
            "Evaluate both in the same way, for example with `hmbench compare MODEL MODEL --data ...`.",
        )


def comparable_metrics(
    runs: Sequence[ComparedRun], rows: Sequence[RunRows], names: Sequence[str], *, asked: bool
) -> tuple[list[str], list[str]]:
    """Metrics whose numbers mean the same in all runs, and what is left out: PSNR needs no equal tracker.

    Args:
        runs: The runs.
        rows: Their rows.
        names: The metrics.
        asked: They were asked for by name: one that cannot be compared is an error.

    Returns:
        The metrics that stay, and a sentence a reason for the others.

    Raises:
        UserError: If one that was asked for cannot be compared, or none can.
    """
    kept, refused = [], dict[str, list[str]]()
    first: UserError | None = None
    told_apart = functools.cache(lambda: _told_apart_otherwise(runs))  # reads every clip's line: once for all metrics
    for name in names:
        try:
            _check_metric(runs, rows, name, told_apart)
            kept.append(name)
        except UserError as error:
            if asked:
                raise
            first = first or error
            refused.setdefault(error.what.partition(" cannot be compared: ")[2].replace(name, "it"), []).append(name)
    if not kept and first is not None:
        raise first
    return kept, [f"Left out, since {why.rstrip('.')}: {', '.join(left)}." for why, left in refused.items()]


def _check_metric(
    runs: Sequence[ComparedRun], rows: Sequence[RunRows], name: str, told_apart: Callable[[], UserError | None]
) -> None:
    record = metric_info(runs, name)
    untold = record is None or "needs" in record.untold  # earlier versions did not say: it may rest on anything
    if record is None or untold or TRACKED & record.needs:
        for run in runs[1:]:
            _must_agree(runs[0], run, "tracker", "trackers")
    if (record is None or untold or LABELLED & record.needs) and (error := told_apart()) is not None:
        raise error
    check_versions(runs, rows, [name])


def _decoders(runs: Sequence[ComparedRun]) -> list[str]:
    """A warning where runs decoded with different versions; UserError where one of them decodes colours wrongly."""
    versions = {run.label: str(run.manifest.environment.get("av", "")) for run in runs}
    numbers = {label: version.partition(".")[0] for label, version in versions.items()}
    wrong = [label for label, number in numbers.items() if number.isdecimal() and int(number) < FIRST_RIGHT_PYAV]
    if wrong and len(wrong) < len(runs):
        raise UserError(
            f"{wrong[0]} cannot be compared: it was scored with PyAV {versions[wrong[0]]}, which reads BT.709 colours "
            "with BT.601's matrix.",
            f"Score it again with PyAV {FIRST_RIGHT_PYAV} or later: `hmbench score --run FOLDER`.",
        )
    libraries = {key: {run.manifest.environment.get(key) for run in runs} - {None} for key in ("av", "ffmpeg")}
    if all(len(found) < 2 for found in libraries.values()):
        return []
    shown = " and ".join(sorted({version for version in versions.values() if version})) or "unknown ones"
    return [f"The runs decoded their videos with different libraries (PyAV {shown}): the last digits may differ."]


def _check_data(runs: Sequence[ComparedRun]) -> None:
    """Raises unless all runs used the same data, or different clips of the same data."""
    first = runs[0]
    for run in runs[1:]:
        if _same_data(first.manifest, run.manifest):
            continue
        same_clips = set(run.manifest.samples) == set(first.manifest.samples)
        raise UserError(
            f"{first.label} and {run.label} cannot be compared: they used different data (data_revision "
            f"{_short(first.manifest.data_revision)} and {_short(run.manifest.data_revision)}).",
            "Evaluate both on the same data." if same_clips else "Evaluate both with the same --split and --limit.",
        )


def _same_data(ours: RunManifest, theirs: RunManifest) -> bool:
    """Equal revisions; or different clips of one dataset that still has both revisions."""
    if ours.data_revision == theirs.data_revision:
        return True
    if ours.data != theirs.data or set(ours.samples) == set(theirs.samples):
        return False
    try:
        data = open_recorded(ours.data, options=ours.data_options)
        known = set(data.ids("all"))
    except UserError:
        return False
    return all(known >= set(m.samples) and data.revision(m.samples) == m.data_revision for m in (ours, theirs))


def shared_samples(runs: Sequence[ComparedRun]) -> list[str]:
    """Clips that all runs have, in the order of the first."""
    shared = set.intersection(*(set(run.manifest.samples) for run in runs))
    if not shared:
        raise UserError("The runs have no clip in common.", "Evaluate the models on the same data and split.")
    return [sample for sample in runs[0].manifest.samples if sample in shared]


def rows_by_metric(run: ComparedRun, samples: set[str]) -> dict[str, dict[str, Row]]:
    """Rows of the chosen clips."""
    found: dict[str, dict[str, Row]] = {}
    for row in RunFolder(run.path).rows():
        if row.sample in samples:
            found.setdefault(row.metric, {})[row.sample] = row
    return found


def choose_metrics(runs: Sequence[ComparedRun], rows: Sequence[RunRows], wanted: Sequence[str]) -> list[str]:
    """Metric names for ``headline``, ``all`` or a list of names, of those that all runs have."""
    shared = [name for name in rows[0] if all(name in other for other in rows)]
    if not shared:
        raise UserError("The runs have no metric in common.", "Score them again with the same hmbench version.")
    if wanted == "all":
        return shared
    if wanted == "headline":
        return [name for name in shared if (record := metric_info(runs, name)) and record.headline] or shared
    for name in wanted:
        if name not in shared:
            raise UserError(f"Not every run has the metric {name!r}.", did_you_mean(name, shared))
    return list(wanted)


def not_in_all(runs: Sequence[ComparedRun], rows: Sequence[RunRows]) -> list[str]:
    """A sentence on headline metrics by which some runs were scored and others were not."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(name for columns in rows for name in columns):
        without = tuple(run.label for run, columns in zip(runs, rows, strict=True) if name not in columns)
        record = metric_info(runs, name)
        if without and record is not None and record.headline:
            lacking.setdefault(without, []).append(name)
    return [
        f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}: not scored for "
        f"{', '.join(without)}, so not compared. `hmbench score --run RUN --metric NAME` adds what is missing."
        for without, names in lacking.items()
    ]


def check_versions(runs: Sequence[ComparedRun], rows: Sequence[RunRows], names: Sequence[str]) -> None:
    """Raises UserError if a metric's numbers mean different things in different runs."""
    for name in names:
        versions = [sorted({row.version for row in columns[name].values()}) for columns in rows]
        for run in runs[1:]:
            if differing := other_weights(runs[0].manifest, run.manifest, name):
                raise UserError(
                    f"{runs[0].label} and {run.label} cannot be compared: {name} looked through different weights "
                    f"({', '.join(differing[:3])}).",
                    "Score both again with the same --weights: `hmbench score --run FOLDER --weights DIR`.",
                )
        for run, version in zip(runs, versions, strict=True):
            if version != versions[0]:
                raise UserError(
                    f"{runs[0].label} and {run.label} cannot be compared: they used different versions of {name} "
                    f"({_short(versions[0])} and {_short(version)}).",
                    "Score both again with one version of hmbench: `hmbench score --run FOLDER`.",
                )


def metric_info(runs: Sequence[ComparedRun], metric: str) -> MetricRecord | None:
    """Direction, unit and so on of a metric, from the first run that knows it."""
    return next((run.manifest.metrics[metric] for run in runs if metric in run.manifest.metrics), None)


def direction(runs: Sequence[ComparedRun], metric: str) -> bool | None:
    """Whether more is better; None for numbers that must not rank, and where no run says it."""
    record = metric_info(runs, metric)
    return None if record is None else record.higher_is_better


def _told_apart_otherwise(runs: Sequence[ComparedRun]) -> UserError | None:
    """The error if the subjects of a clip that two runs share were told apart in different ways."""
    ways = [{i: s.told_apart for i, s in (read_samples(run.path) or {}).items()} for run in runs]
    for run, theirs in zip(runs[1:], ways[1:], strict=True):
        for sample in sorted(set(ways[0]) & set(theirs)):
            ours = ways[0][sample]
            if ours != theirs[sample]:
                return UserError(
                    f"{runs[0].label} and {run.label} cannot be compared: the subjects of {sample} were told apart by "
                    f"{ours or 'exact labels'} and by {theirs[sample] or 'exact labels'}.",
                    "Score both again on the same data: `hmbench score --run FOLDER`.",
                )
    return None


def _number(value: object) -> str | None:
    return None if value is None else str(value)


def _hidden(sample: SampleRow) -> str | None:
    frames = sample.max_hidden
    if frames is None:
        return None
    return next((name for low, high, name in HIDDEN_BINS if low <= frames <= high), "never hidden")


KINDS: dict[str, Callable[[SampleRow], str | None]] = {
    "subjects": lambda sample: _number(sample.num_subjects),
    "hidden": _hidden,
    "category": lambda sample: " and ".join(sorted(set(sample.categories))) or None,
    "camera path": lambda sample: sample.camera_path,
    "cell": lambda sample: sample.cell,
}
"""What clips are divided by, from their line in ``samples.jsonl``; None leaves a clip out."""


def _short(value: Any) -> str:
    text = "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 20 else text[:12] + "..."
