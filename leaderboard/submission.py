"""A finished run becomes a leaderboard entry: one JSON file that carries its own evidence.

A run is refused if its model is untrained, if a clip failed or is missing, or if its files no longer fit each other (a
prediction replaced after scoring, an edited row). What an entry holds is in `leaderboard.entry`.

    python -m leaderboard add runs/hydra --name hydra-mini --link https://...
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hmbench.digests import video_digest
from hmbench.errors import UserError
from hmbench.report.pages.events import read_events
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow, read_samples
from hmbench.results.summary import summarise
from leaderboard.entry import NAME, RESULTS, Entry, entry_digest, read_entries, read_entry, write_entry

__all__ = ["RESULTS", "Entry", "accept", "entry_digest", "entry_from_run", "read_entries", "read_entry"]


def accept(run_path: Path, *, name: str, link: str = "", results: Path = RESULTS, replace: bool = False) -> Path:
    """Checks a run and writes its entry.

    Args:
        run_path: Folder of `hmbench eval`.
        name: Name in tables: letters, digits, dots, dashes, underscores.
        link: Paper or code.
        results: Folder of entries.
        replace: Whether an entry of this name may be overwritten.

    Returns:
        The entry's path.

    Raises:
        UserError: If the run cannot be accepted; the message says why.
    """
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for an entry.", "Use up to 64 letters, digits, dots, dashes, underscores."
        )
    path = results / f"{name}.json"
    if path.exists() and not replace:
        raise UserError(f"There is an entry {path} already.", "Choose another --name, or add --replace.")
    write_entry(path, entry_from_run(run_path, name=name, link=link))
    return path


def entry_from_run(run_path: Path, *, name: str, link: str = "") -> Entry:
    """The entry of a run, after every check.

    Raises:
        UserError: If the run is untrained, incomplete or changed.
    """
    run = RunFolder(run_path)
    manifest, rows = run.read_manifest(), run.rows()
    if manifest.about.standing == "untrained":
        raise UserError(
            f"{run_path} is of an untrained model: {manifest.about.notice or manifest.model}",
            "Train it (`hmbench train-reference`), evaluate again, and submit that run.",
        )
    _check_complete(run, manifest, rows)
    _check_whole_split(manifest)
    videos = _check_unchanged(run, manifest, rows)
    described = read_samples(run_path) or {}
    clusters = {row.sample: row.cluster for row in rows}
    by_place = {(row.metric, row.sample): row.value for row in rows}
    values = {m: tuple(by_place[m, s] for s in manifest.samples) for m in manifest.metrics}
    about = manifest.about
    return Entry(
        name=name,
        kind="bound" if about.standing == "bound" else "model",
        standing=about.standing,
        description=about.description,
        link=link,
        data_name=manifest.data_name,
        data_revision=manifest.data_revision,
        split=manifest.split,
        profile=manifest.profile,
        tracker=manifest.tracker,
        seed=manifest.seed,
        weights=about.weights,
        settings=about.settings,
        options=manifest.options,
        environment=manifest.environment,
        metrics=manifest.metrics,
        order=tuple(dict.fromkeys(row.metric for row in rows)),
        samples=manifest.samples,
        clusters=tuple(clusters[s] for s in manifest.samples),
        values=values,
        means=summarise(rows, metrics=manifest.metrics),
        predictions=hashlib.sha256(" ".join(videos.values()).encode()).hexdigest()[:16],
        model=manifest.model,
        videos=videos,
        tracker_settings=manifest.tracker_settings,
        metric_weights=manifest.metric_weights,
        told_apart=told_apart(described.values()),
        clips=tuple(described.get(s, SampleRow(id=s)) for s in manifest.samples),
        events=tuple(read_events(run_path)),
    )


def told_apart(clips: Iterable[SampleRow]) -> str:
    """How the subjects of the clips were told apart, as `samples.jsonl` says."""
    return ", ".join(sorted({clip.told_apart for clip in clips if clip.told_apart}))


def _check_whole_split(manifest: RunManifest) -> None:
    """Refuses a run of a part of its split: boards are of whole splits. Data that are not here cannot be asked."""
    from hmbench.data.dataset import open_recorded

    try:
        ids = set(open_recorded(manifest.data).ids(manifest.split))
    except UserError:
        return
    if set(manifest.samples) < ids:
        raise UserError(
            f"This run has {len(manifest.samples)} of the {len(ids)} clips of {manifest.data_name}, split "
            f"{manifest.split!r}: no board is made of a part.",
            "Evaluate all of them, without --limit and --sample.",
        )


def _check_complete(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> None:
    failures = run.summary()["failures"]
    if failures:
        sample, why = next(iter(failures.items()))
        raise UserError(
            f"{run.path} is incomplete: {len(failures)} of {len(manifest.samples)} clips failed, "
            f"for example {sample} ({why}).",
            "Run the same `hmbench eval` command again to repeat them.",
        )
    there = {(row.sample, row.metric) for row in rows}
    wanted = {(sample, metric) for sample in manifest.samples for metric in manifest.metrics}
    if missing := sorted(wanted - there):
        raise UserError(
            f"{run.path} is incomplete: {len(missing)} rows are missing, "
            f"for example {missing[0][1]} of {missing[0][0]}.",
            "Run the same `hmbench eval` command again to finish it.",
        )
    if surplus := sorted(there - wanted):
        raise UserError(f"{run.path} has rows that it should not have, for example {surplus[0]}.", "Score it again.")


def _check_unchanged(run: RunFolder, manifest: RunManifest, rows: list[Row]) -> dict[str, str]:
    """Compares videos, scores, rows and summary with each other; returns the digest of each clip's video."""
    kept = {(row.sample, row.metric): row for row in rows}
    digests: dict[str, str] = {}
    for sample in manifest.samples:
        scores = run.read_scores(sample)
        for row in (one for one in scores.rows if one.metric in manifest.metrics):
            if kept.get((row.sample, row.metric)) != row:
                raise _changed(run, f"rows.jsonl and the scores of {sample} disagree on {row.metric}")
        digest = video_digest(_video(run, manifest, sample))
        if not str(scores.stamp).endswith(f":{digest}"):
            raise _changed(run, f"the prediction of {sample} is not the one that was scored")
        digests[sample] = digest
    summary = run.summary()["metrics"]
    for metric, found in summarise(rows).items():
        if summary.get(metric, {}).get("mean") != found.mean:
            raise _changed(run, f"summary.json does not follow from the rows of {metric}")
    return digests


def _changed(run: RunFolder, what: str) -> UserError:
    return UserError(f"{run.path} was changed after scoring: {what}.", "Score it again: `hmbench score --run`.")


def _video(run: RunFolder, manifest: RunManifest, sample: str) -> Path:
    path = run.prediction(sample)
    if not path.is_file():  # a run of somebody's videos names their folder as its model
        path = Path(manifest.model) / f"{sample}.mp4"
    if not path.is_file():
        raise UserError(f"The prediction of {sample} is missing in {run.path}.", "Submit a run with its predictions.")
    return path
