"""From the score files of a run to what people read: rows, events, samples, summary and tables.

One process at a time assembles (`hmbench.run.sharing.writing`), and it reads the score files under the lock: whoever
assembles last has seen every file that was there when any other one asked for its turn. A turn that finds nothing new
since the last one reads the result instead of making it again, so that many shards that end together cost one
assembly, not one each.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from hmbench.errors import UserError
from hmbench.files import read_json, write_json, write_text
from hmbench.results.records import Row, RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_scores import SampleScores, stored_scores
from hmbench.results.summary import MetricSummary, summarise
from hmbench.run.sharing import WORK, writing

_encode = json.JSONEncoder(allow_nan=False).encode

READERS = 8
"""Files that are read at once: on a network file system the wait for each is what takes time."""
RESULTS = (
    "rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex",
)  # fmt: skip
"""What an assembly writes."""


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """What a run found."""

    manifest: RunManifest
    """What was run."""
    summary: dict[str, MetricSummary]
    """Metric name to mean and interval, in table order."""
    failures: dict[str, str]
    """Sample id to what went wrong."""
    missing: tuple[str, ...] = ()
    """Samples that others have yet to do, or that a stopped run left."""


def assemble(run: RunFolder, manifest: RunManifest, *, before_writing: Callable[[], None] | None = None) -> EvalResult:
    """Writes rows, events, samples, summary and tables from what is scored so far.

    Args:
        run: The run folder.
        manifest: What it holds.
        before_writing: Called between reading and writing; tests make this moment long.
    """
    with writing(run.path):
        covered = _covered(run, manifest)
        if (found := _assembled(run, manifest, covered)) is not None:
            return found
        result = _assemble(run, manifest, before_writing or (lambda: None))
        record = {"covered": covered, "missing": result.missing, "results": _results(run)}
        write_json(run.path / WORK / "assembled.json", record)
        return result


def _assemble(run: RunFolder, manifest: RunManifest, before_writing: Callable[[], None]) -> EvalResult:
    rows: list[Row] = []
    row_lines: list[str] = []
    event_lines: list[str] = []
    sample_lines: list[str] = []
    failures: dict[str, str] = {}
    scored: set[str] = set()
    for scores in _scores(run, manifest.samples):
        sample = scores.sample["id"]
        scored.add(sample)
        if scores.failures:
            failures[sample] = _failure_text(scores)
        for row in scores.rows:
            if row.metric not in manifest.metrics:
                continue  # taken out of the run (`hmbench.run.adding`)
            row_lines.append(_encode(vars(row)) + "\n")
            row.details.clear()  # no mean needs them, and those of 10,000 clips take gigabytes
            rows.append(row)
        event_lines += map(_line, scores.events)
        sample_lines.append(_line(_sample_line(scores)))
    missing = tuple(i for i in manifest.samples if i not in scored)
    found = summarise(rows, metrics=manifest.metrics, samples=len(manifest.samples))
    summary = {name: one for name, one in found.items() if name in manifest.metrics}
    before_writing()
    write_text(run.path / "rows.jsonl", "".join(row_lines))
    write_text(run.path / "events.jsonl", "".join(event_lines))
    write_text(run.path / "samples.jsonl", "".join(sample_lines))
    record = {
        "metrics": {name: asdict(one) for name, one in summary.items()},
        "failures": failures,
        "samples": len(manifest.samples),
        "scored_samples": len(scored) - len(failures),
        "notice": manifest.about.notice,
        "trained": manifest.about.trained,
    }
    run.write_summary(record)
    from hmbench.report.run_tables import write_run_tables

    write_run_tables(run.path, manifest, summary)
    return EvalResult(manifest=manifest, summary=summary, failures=failures, missing=missing)


def _scores(run: RunFolder, samples: Sequence[str]) -> Iterator[SampleScores]:
    """The score files that are there, in the order of the samples, read a few ahead.

    One that this version cannot use is passed over: it is scored anew by whose it is.
    """
    with ThreadPoolExecutor(READERS) as pool:
        ahead: deque[Future[SampleScores | None]] = deque()
        for sample in samples:
            ahead.append(pool.submit(stored_scores, run.scores(sample)))
            if len(ahead) > 4 * READERS and (found := ahead.popleft().result()) is not None:
                yield found
        yield from (found for one in ahead if (found := one.result()) is not None)


def _covered(run: RunFolder, manifest: RunManifest) -> str:
    """Digest of which score files there are, down to each one's time, and of what the tables say about the run."""
    digest = hashlib.sha256(json.dumps(manifest.content(), sort_keys=True, default=str).encode())
    folder = run.scores("x").parent
    if folder.is_dir():
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat() for entry in entries if entry.name.endswith(".json")}
        for name, stat in sorted(found.items()):
            digest.update(f"{name}\t{stat.st_ino}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _assembled(run: RunFolder, manifest: RunManifest, covered: str) -> EvalResult | None:
    """The result as the last assembly left it, if that saw the same files and nobody touched what it wrote."""
    try:
        record = read_json(run.path / WORK / "assembled.json")
        if record["covered"] != covered or record["results"] != _results(run):
            return None
        stored = run.summary()
        metrics = {
            name: MetricSummary(**stored["metrics"][name]) for name in manifest.metrics if name in stored["metrics"]
        }
        return EvalResult(
            manifest=manifest, summary=metrics, failures=stored["failures"], missing=tuple(record["missing"])
        )
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return None  # none yet, or a damaged one: it is made again


def _results(run: RunFolder) -> dict[str, list[int]]:
    """Size and time of each file that an assembly wrote."""
    stats = {name: (run.path / name).stat() for name in RESULTS}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _line(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True, allow_nan=False) + "\n"


def _failure_text(scores: SampleScores) -> str:
    """What `EvalResult.failures` says: the stage first."""
    return scores.failed if scores.failures[0].part in ("generate", "score") else f"score: {scores.failed}"


def _sample_line(scores: SampleScores) -> dict[str, Any]:
    """A sample's line: what it is, and what failed on it."""
    failed = {failure.part: failure.message for failure in scores.failures}
    return {**scores.sample, **({"failed": failed} if failed else {})}
