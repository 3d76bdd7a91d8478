"""What a reader must know beside a run's numbers, each thing once: for the screen and under the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import parse_json
from hmbench.results.records import RunManifest

_MOST = 12


def run_notes(folder: Path, manifest: RunManifest) -> tuple[str, ...]:
    """Notices of the run, then what its samples say, one line a kind.

    Args:
        folder: The run; its ``samples.jsonl`` is read if it is there.
        manifest: The run's manifest.
    """
    samples = []
    path = folder / "samples.jsonl"
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                samples.append(parse_json(line, str(path)))
            except UserError:
                continue  # the reader of samples says so
    how = ", ".join(f"{key} {value}" for key, value in manifest.reading.items())
    own = [f"Predictions were read with {how}."] if how else []
    return tuple(dict.fromkeys([*manifest.notices, *own, *sample_notes(samples)]))


def sample_notes(samples: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Warnings and readings of samples, one line a kind with the number of samples that it holds for.

    Sentences that differ in their numbers alone are one kind; the first stands for all.
    """
    first: dict[str, str] = {}
    count: dict[str, int] = {}
    total = 0
    for sample in samples:
        total += 1
        texts = [*_texts(sample, "warnings"), *_texts(sample, "notes")]
        for kind in {re.sub(r"\d+(\.\d+)?", "#", text): text for text in texts}.items():
            first.setdefault(*kind)
            count[kind[0]] = count.get(kind[0], 0) + 1
    lines = [f"{text} ({count[kind]} of {total} samples)" for kind, text in first.items()]
    more = len(lines) - _MOST
    return (*lines[:_MOST], *([f"{more} more kinds of notes stand in samples.jsonl"] if more > 0 else []))


def _texts(sample: Mapping[str, Any], key: str) -> list[str]:
    found = sample.get(key) if isinstance(sample, Mapping) else None
    return [str(text) for text in found] if isinstance(found, list) else []
