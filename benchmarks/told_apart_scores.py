"""Whether scores on clips whose subjects were told apart are those on exact labels: one prediction, scored with both.

    hmbench data make-mini out --as-hm-world --clips 24 --size 416x240 --probe frozen:1 --probe swapped:1
    python benchmarks/told_apart_scores.py out --truth out-truth

Predictions: the real continuation (oracle), what the nearest context frames show, every fault that was rendered beside
the truth, and a trained model. Each is tracked once. An event is compared with the exact one of the same subject that
returns within `SAME_FRAMES`; all verdicts and the scores `reentry_success` and `memory_score` are held against those on
exact labels. Prints every verdict that differs, and the shares.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hmbench.case import Case
from hmbench.data.hm_world import read_sample
from hmbench.metrics.reentry.event_record import EventRecord
from hmbench.metrics.reentry.records import event_records
from hmbench.metrics.table import default_metrics
from hmbench.networks.backbones import find_backbones
from hmbench.networks.identity import weights_identity
from hmbench.protocols import TruthModel
from hmbench.registry import create_model
from hmbench.subjects.create import create_tracker
from hmbench.subjects.reference_tracks import reference_tracks
from hmbench.types import Sample, Video
from hmbench.video.files import read_video

SAME_FRAMES = 4
"""Frames by which a return may be seen sooner or later: masks of H.264 are not exact."""


def main() -> None:
    """Prints a line a clip, a line a differing verdict, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--models", nargs="*", default=["nearest-view", "hydra"])
    asked = parser.parse_args()
    judge = Judge(asked.models)
    try:
        for folder in sorted(path.parent for path in asked.data.glob("[!.]*/cond.mp4"))[: asked.limit]:
            judge.clip(folder, asked.truth)
    finally:  # a long run that is stopped says what it has
        judge.report()


class Judge:
    """Scores clips twice and keeps what differed."""

    def __init__(self, models: list[str]) -> None:
        self.models = {name: create_model(name, profile="mini", device="cpu") for name in models}
        self.tracker = create_tracker(profile="mini", weights=None, device="cpu")
        self.encoder = find_backbones(profile="mini", weights=None, device="cpu").crops[""].get()
        self.score = next(
            m for m in default_metrics(profile="mini", weights=None, device="cpu") if m.info.name == "memory_score"
        )
        self.identity = weights_identity(None)
        self.pairs: list[tuple[str, EventRecord, EventRecord]] = []
        self.clips: dict[str, list[tuple[float, float]]] = {"reentry_success": [], "memory_score": []}
        self.exact = self.found = self.left_out = self.invented = self.refused = 0

    def clip(self, folder: Path, truth: Path) -> None:
        """Scores every prediction of a clip with both labels."""
        began = time.process_time()
        rich, poor = read_sample(truth / folder.name, ""), read_sample(folder, "")
        assert rich.truth is not None and poor.truth is not None, "both have labels"
        told = poor.truth.told_apart
        self.exact += len(rich.truth.events)
        if told is None or told.way == "none":
            self.refused += 1
            print(f"{folder.name}: not told apart: {told.reason if told else ''}", flush=True)
            return
        self.left_out += len(told.left_out)
        matched = _matched(rich, poor)
        self.found += len(matched)
        self.invented += len(poor.truth.events) - len(matched)
        reference = reference_tracks(self.tracker, rich, self.identity) if self.tracker else None
        for name, video in self._predictions(rich, truth, folder.name):
            tracks = self.tracker.track(video) if self.tracker else None
            cases = [Case(sample, video, tracks, reference) for sample in (rich, poor)]
            records = [event_records(case, self.encoder) for case in cases]
            for i, j in matched:
                exact, ours = records[0][i], records[1][j]
                self.pairs.append((name, exact, ours))
                if exact.verdict != ours.verdict:
                    print(f"{folder.name} {name} {exact.name} {exact.event}: {exact.verdict} is {ours.verdict}")
                    print(f"    {exact.event} {_text(exact)}\n    {ours.event} {_text(ours)}")
            means = [_mean([r.success for r in found]) for found in records]
            scores = [self.score(case).value for case in cases]
            for key, (a, b) in (("reentry_success", means), ("memory_score", scores)):
                if a is not None and b is not None:
                    self.clips[key].append((a, b))
        print(f"{folder.name}: {len(matched)} events, {time.process_time() - began:.0f} s", flush=True)

    def _predictions(self, sample: Sample, truth: Path, name: str) -> Iterator[tuple[str, Video]]:
        assert sample.truth is not None, "clips here have one"
        yield "oracle", sample.truth.target
        for path in sorted(truth.glob(f"probes/*/{name}/tgt.mp4")):
            yield path.parent.parent.name, read_video(path)
        for chosen, model in self.models.items():
            assert not isinstance(model, TruthModel), "these need no truth"
            yield chosen, model.generate(sample.prompt, seed=0)

    def report(self) -> None:
        """Prints the shares."""
        print(f"events: {self.exact} exact, {self.found} found, {self.left_out} left out as unclear, "
              f"{self.invented} invented; clips not told apart: {self.refused}")  # fmt: skip
        for name in sorted({name for name, _, _ in self.pairs}):
            mine = [(a, b) for n, a, b in self.pairs if n == name]
            same = sum(a.verdict == b.verdict for a, b in mine)
            gaps = _gaps([(a.success, b.success) for a, b in mine])
            print(f"{name}: verdict equal in {same} of {len(mine)}; event success apart by {np.median(gaps):.4f} in "
                  f"the median, {np.mean(gaps):.4f} on average, {max(gaps):.2f} at most")  # fmt: skip
        same = sum(a.verdict == b.verdict for _, a, b in self.pairs)
        print(f"all: verdict equal in {same} of {len(self.pairs)} ({same / max(len(self.pairs), 1):.1%})")
        for key, pairs in self.clips.items():
            gaps = _gaps(pairs)
            print(f"{key}: apart by {np.median(gaps):.4f} in the median of {len(gaps)} clips, {max(gaps):.3f} at most")


def _matched(rich: Sample, poor: Sample) -> list[tuple[int, int]]:
    """Indices of exact events and of ours that are the same return of the same subject."""
    assert rich.truth is not None and poor.truth is not None, "both have labels"
    names = [{s.label: s.name for s in sample.truth.subjects} for sample in (rich, poor) if sample.truth]
    return [
        (i, j)
        for i, a in enumerate(rich.truth.events)
        for j, b in enumerate(poor.truth.events)
        if names[0][a.label] == names[1][b.label] and abs(a.reentry - b.reentry) <= SAME_FRAMES
    ]


def _gaps(pairs: list[tuple[float, float]]) -> list[float]:
    """Differences of what both could measure; [NaN] for none. One that only one of them could measure is apart by 1."""
    known = [(a, b) for a, b in pairs if np.isfinite(a) or np.isfinite(b)]
    return [abs(a - b) if np.isfinite(a) and np.isfinite(b) else 1.0 for a, b in known] or [float("nan")]


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _text(record: EventRecord) -> str:
    numbers = {key: round(value, 3) for key, value in vars(record.numbers).items() if isinstance(value, float)}
    return f"success {record.success:.3f} {numbers} {record.numbers.path}"


if __name__ == "__main__":
    main()
