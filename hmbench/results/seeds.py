"""Several seeds of one model: a level of variation below clips.

A sample's noise follows from the run's seed and the sample's id, so the noise of one clip says nothing of another's.
Then the mean of a clip's seeds is one value of that clip with less noise, and intervals over scenes hold for it as they
are: more seeds narrow them as far as noise was to blame, and no further. Counting seeds as clips would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hmbench.errors import UserError
from hmbench.files import file_name, read_sealed
from hmbench.results.records import Row

SEEDS_FILE = "seeds.json"
"""In a folder of runs of several seeds: which runs they are, and what they say together."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Where the spread of one metric comes from, as standard deviations (nested analysis of variance)."""

    scenes: float | None
    """Between scenes; None if no scene or only one has several clips."""
    clips: float | None
    """Between clips of a scene."""
    seeds: float | None
    """Between seeds of a clip; None if no clip has several."""


def one_row_a_clip(rows: Sequence[Row]) -> list[Row]:
    """The mean over the seeds of each sample; a sample is missing only if every seed of it is.

    Args:
        rows: Rows of one metric.
    """
    if len({row.sample for row in rows}) == len(rows):  # nearly always: one seed
        return list(rows)
    by_sample: dict[str, list[Row]] = {}
    for row in rows:
        by_sample.setdefault(row.sample, []).append(row)
    return [_mean_row(group) for group in by_sample.values()]


def seed_runs(folder: Path) -> tuple[Path, ...]:
    """The runs of a folder that `hmbench score --match '{id}_{seed}.mp4'` wrote, one a seed; none for any other folder.

    Raises:
        UserError: If its record is damaged.
    """
    path = folder / SEEDS_FILE
    if not path.is_file():
        return ()
    names = read_sealed(path).get("runs")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{path} is damaged: it has no runs.", "Score the predictions again.")
    return tuple(folder / file_name(name) for name in names.values())


def pool_seeds(runs: Sequence[Mapping[str, Mapping[str, Row]]]) -> dict[str, dict[str, Row]]:
    """Rows by metric and sample of runs that differ in their seed alone, as those of one run."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {
        name: {
            sample: _mean_row([run[name][sample] for run in runs])
            for sample in runs[0][name]
            if all(sample in run[name] for run in runs)
        }
        for name in names
    }


def variation(rows: Sequence[Row]) -> Variation:
    """Splits the spread of one metric into its levels, by the method of moments.

    Levels of unequal size are taken at their mean size, which is exact for equal ones. A part that comes out negative
    is 0: the levels below it explain everything.

    Args:
        rows: Rows of one metric, several a sample if there are several seeds.
    """
    scored = [row for row in rows if row.value is not None]
    clips = _grouped([(row.sample, float(row.value)) for row in scored if row.value is not None])
    scene_of = {row.sample: row.cluster or row.sample for row in scored}
    means = {sample: float(np.mean(values)) for sample, values in clips.items()}
    scenes = _grouped([(scene_of[sample], mean) for sample, mean in means.items()])
    noise = _within(list(clips.values()))
    between_clips = _within(list(scenes.values()))
    seeds_a_clip = len(scored) / max(1, len(clips))
    clip_part = None if between_clips is None else max(0.0, between_clips - (noise or 0.0) / seeds_a_clip)
    scene_part = None
    if between_clips is not None and len(scenes) > 1:
        clips_a_scene = len(clips) / len(scenes)
        spread = float(np.var([np.mean(values) for values in scenes.values()], ddof=1))
        scene_part = max(0.0, spread - between_clips / clips_a_scene)
    return Variation(scenes=_root(scene_part), clips=_root(clip_part), seeds=_root(noise))


def _mean_row(group: Sequence[Row]) -> Row:
    values = [row.value for row in group if row.value is not None]
    if len(group) == 1 or not values:
        return group[0]
    if len({row.version for row in group}) > 1:
        raise ValueError(f"seeds of {group[0].metric} mix versions")
    mean = math.fsum(values) / len(values)
    return replace(group[0], value=mean, reason=None, details={"seeds": len(group), "scored_seeds": len(values)})


def _grouped(pairs: Sequence[tuple[str, float]]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def _within(groups: Sequence[Sequence[float]]) -> float | None:
    """Pooled variance inside groups; None if no group has two values."""
    freedom = sum(len(group) - 1 for group in groups)
    if freedom == 0:
        return None
    return math.fsum(float(np.var(group)) * len(group) for group in groups) / freedom


def _root(variance: float | None) -> float | None:
    return None if variance is None else math.sqrt(variance)
