"""Runs made here, with known numbers: any number of clips and models, hostile words on request, small videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hmbench.files import write_json, write_text
from hmbench.results.metric_record import MetricRecord, metric_records
from hmbench.results.records import Row, RunManifest, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.subjects import tracks_to_json
from hmbench.types import Event, Intrinsics, Prompt, Sample, SubjectTruth, Track, Truth
from hmbench.video.files import write_lossless

METRICS = metric_records(
    {
        "memory_score": {"version": 3, "higher_is_better": True, "unit": "", "headline": True, "bounds": [0, 1]},
        "psnr": {"version": 1, "higher_is_better": True, "unit": "dB", "headline": True, "bounds": [0, 100]},
        "lpips": {"version": 2, "higher_is_better": False, "unit": "", "headline": True, "bounds": [0, None]},
        "return_offset": {"version": 1, "higher_is_better": None, "unit": "frames", "headline": False, "bounds": None},
        "extra": {"version": 1, "higher_is_better": True, "unit": "", "headline": False, "bounds": [0, 1]},
    }
)
VERDICTS = ("returned", "late", "vanished", "a new word")
CELLS = ("seen", "unseen-scene", "unseen-subject", "unseen-both")
CONTEXT, TARGET = 20, 24
"""Frames of the small videos."""
SIZE = (48, 80)


def sample_ids(count: int) -> tuple[str, ...]:
    return tuple(f"{i:05d}_Place{i % 12}_loc{i % 5}_Walk_Pan_{100000 + i}" for i in range(count))


def make_run(
    path: Path,
    *,
    clips: int = 24,
    shift: float = 0.0,
    name: str | None = None,
    metrics: dict[str, MetricRecord] | None = None,
    samples: tuple[str, ...] | None = None,
    events: int = 1,
    videos: int = 0,
    trained: bool | None = True,
    notice: str | None = None,
    words: dict | None = None,
    seed: int = 0,
    scenes: int = 12,
    **changes,
) -> Path:
    """A run folder as `hmbench score` leaves it.

    `shift` is added to every value of a directed metric towards better; `words` replaces fields of ``model_info``.
    """
    metrics = metrics or METRICS
    ids = samples or sample_ids(clips)
    name = name or path.name
    info = {
        "name": name,
        "description": f"{name} of the tests",
        "trained": trained,
        "notice": notice,
        "weights": {"w.safetensors": "ab" * 32},
        "settings": {"steps": 8, "parameters": 1000 + len(name), "memory": {"top_k": 10}},
        **(words or {}),
    }
    fields = {
        "model": name,
        "options": {},
        "model_info": info,
        "data": "no-such-data",
        "data_name": "toy",
        "data_revision": "rev1",
        "split": "test",
        "samples": ids,
        "seed": seed,
        "profile": "mini",
        "device": "cpu",
        "metrics": metrics,
        "tracker": "toy",
    }
    manifest = RunManifest(**{**fields, **changes})
    run = RunFolder(path)
    run.write_manifest(manifest)
    base = np.random.default_rng(1).normal(0, 1, (len(ids), len(metrics)))
    own = np.random.default_rng(len(name) + seed).normal(0, 0.3, (len(ids), len(metrics)))
    rows, lines, samples_lines = [], [], []
    for i, sample in enumerate(ids):
        for k, (metric, about) in enumerate(metrics.items()):
            up = {True: 1, False: -1, None: 0}[about.higher_is_better]
            value: float | None = float(20 + base[i, k] + own[i, k] + up * shift)
            reason = None
            if metric == "extra" and i == 3:
                value, reason = None, "no subject <b>here</b>"
            rows.append(
                Row(
                    sample=sample,
                    metric=metric,
                    version=about.version,
                    value=value,
                    reason=reason,
                    cluster=f"Place{i % scenes}",
                )
            )
        for e in range(events):
            verdict = VERDICTS[(i + e + len(name)) % len(VERDICTS)]
            lines.append(
                {
                    "sample": sample,
                    "label": e + 1,
                    "subject": "Wolf",
                    "category": "animal",
                    "exit": 8,
                    "reentry": CONTEXT + 4 + i % 3,
                    "hidden": CONTEXT - 4 + i % 3,
                    "verdict": verdict,
                    "window": [CONTEXT + 4, CONTEXT + TARGET],
                    "tracks": [1],
                    "success": 0.9 if verdict == "returned" else 0.2,
                    "identity": 0.5,
                    "seen": True,
                    "place": [0.2 + 0.01 * (i % 50), 0.5],
                }
            )
        samples_lines.append(
            {
                "id": sample,
                "scene": f"Place{i % scenes}",
                "cell": CELLS[i % 4],
                "camera_path": ("Pan", "Truck")[i % 2],
                "num_subjects": 1 + i % 3,
                "categories": [("person", "animal")[i % 2]],
                "num_events": events,
                "max_hidden": 10 + i % 40,
                "warnings": [],
            }
        )
        if i < videos:
            write_lossless(run.prediction(sample), moving_square(TARGET, i + len(name)), fps=15)
            boxes = [[4.0 + t, 10, 24 + t, 40] if t > 3 else None for t in range(TARGET)]
            write_json(run.tracks(sample), tracks_file(boxes))
    write_rows(path / "rows.jsonl", rows)
    write_text(path / "events.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write_text(path / "samples.jsonl", "".join(json.dumps(line) + "\n" for line in samples_lines))
    return path


def tracks_file(boxes: list) -> dict:
    """Tracks of a prediction and of the real clip, as the tracking stage stores them."""
    found = np.array([b or [np.nan] * 4 for b in boxes], np.float32)
    scores = np.where(np.isnan(found[:, 0]), np.nan, 0.9).astype(np.float32)
    predicted = Track(id=1, boxes=found, scores=scores, category="animal")
    unseen = np.full((CONTEXT, 4), np.nan, np.float32)
    real = Track(
        id=1,
        boxes=np.concatenate([unseen, found]),
        scores=np.concatenate([unseen[:, 0], scores]),
        category="animal",
    )
    return {
        "stamp": "s",
        "tracker": "toy",
        "prediction": tracks_to_json((predicted,)),
        "reference": tracks_to_json((real,)),
    }


def moving_square(frames: int, seed: int) -> np.ndarray:
    """A square that walks over noise, uint8 ``[T, H, W, 3]``."""
    rng = np.random.default_rng(seed)
    video = np.broadcast_to(rng.integers(0, 120, (1, *SIZE, 3), dtype=np.uint8), (frames, *SIZE, 3)).copy()
    for t in range(frames):
        video[t, 10:40, 4 + t : 24 + t] = (230, 180, 40)
    return video


class ToyData:
    """The clips of these runs, with a square that leaves the context and comes back in the target."""

    name = "toy"

    def ids(self, split: str) -> tuple[str, ...]:
        return sample_ids(24)

    def caption(self, sample_id: str) -> str | None:
        return "A square."

    def revision(self, ids: tuple[str, ...]) -> str:
        return "rev1"

    def load(self, sample_id: str) -> Sample:
        whole = np.concatenate([moving_square(CONTEXT, 3), moving_square(TARGET, 3)])
        boxes = np.full((CONTEXT + TARGET, 4), np.nan, np.float32)
        for t in [*range(8), *range(CONTEXT + 4, CONTEXT + TARGET)]:
            boxes[t] = (4 + t % CONTEXT, 10, 24 + t % CONTEXT, 40)
        subject = SubjectTruth(
            label=1,
            name="Wolf",
            category="animal",
            boxes=boxes,
            visible_area=np.where(np.isnan(boxes[:, 0]), 0.0, 600.0),
        )
        poses = np.broadcast_to(np.eye(4), (CONTEXT + TARGET, 4, 4))
        prompt = Prompt(
            context=whole[:CONTEXT],
            context_poses=poses[:CONTEXT],
            target_poses=poses[CONTEXT:],
            caption='A <b>square</b> & "friends"',
            fps=15.0,
            intrinsics=Intrinsics(focal=80.0, width=SIZE[1], height=SIZE[0]),
        )
        truth = Truth(
            target=whole[CONTEXT:],
            context_labels=None,
            target_labels=None,
            subjects=(subject,),
            events=(Event(label=1, exit=8, reentry=CONTEXT + 4),),
        )
        return Sample(id=sample_id, prompt=prompt, truth=truth)
