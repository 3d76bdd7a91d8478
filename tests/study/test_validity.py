"""The validity study's statistics by hand, its nuisances, and the study end to end on one small clip (slow)."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hmbench.case import Case
from hmbench.data.mini_world import PROBE_KINDS, Probe
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.networks.embedder import load_embedder
from hmbench.study.probe_clips import ProbeSource, clean_samples, disturbed, shown_variants
from hmbench.study.validity import EXPECTED, Measured, Study, StudyConfig, auc, monotonicity, run_study, signed_values
from hmbench.study.validity_report import recall_by_size, summarise_study, to_markdown
from hmbench.subjects.oracle import OracleTracker


def test_auc_counts_pairs():
    assert auc([3, 4], [1, 2]) == 1
    assert auc([1, 2], [1, 2]) == 0.5
    assert auc([1], [0, 1, 2, 3]) == (1 + 0.5) / 4
    assert math.isnan(auc([], [1]))


def test_monotonicity_counts_steps_that_do_not_rise():
    assert monotonicity([[1, 0.5, 0.2], [1, 0.4, 0.6]]) == 3 / 4
    assert math.isnan(monotonicity([]))


def made_up() -> Study:
    config = StudyConfig(clips=2, strengths=(0.5, 1.0))
    study = Study(config=config, tracker="none", directions={"up": True, "down": False, "offset": None, "gone": True})
    for sample, base in (("a", 1.0), ("b", 0.9)):
        for kind, strength, value in (
            ("clean", 0.0, 0.0),
            ("frozen", 0.5, 0.3),
            ("frozen", 1.0, 0.6),
            ("crf", 1.0, 0.0),
        ):
            for metric, number in (("up", base - value), ("down", base + value), ("offset", value * 10)):
                study.values.append(Measured(sample, kind, strength, metric, number, None))
            study.values.append(Measured(sample, kind, strength, "gone", None, "no weights"))
        study.events.append({"kind": "frozen", "strength": 1.0, "probed": True, "verdict": "frozen"})
    study.recalls.extend([(0.002, False), (0.02, True), (0.02, False)])
    return study


def test_directions_are_turned_so_that_higher_is_better():
    study = made_up()
    assert signed_values(study, "down", "clean", 0.0) == {"a": -1.0, "b": -0.9}
    assert signed_values(study, "offset", "frozen", 1.0) == {"a": -6.0, "b": -6.0}


def test_the_summary_says_who_sees_what():
    summary = summarise_study(made_up())
    json.dumps(summary, allow_nan=False)
    assert summary["metrics"]["up"]["faults"]["frozen"]["auc"] == 1
    assert summary["metrics"]["up"]["faults"]["frozen"]["monotone"] == 1
    assert summary["metrics"]["up"]["nuisances"]["crf"]["auc"] == 0.5
    assert summary["metrics"]["gone"]["faults"]["frozen"]["auc"] is None
    assert summary["verdicts"] == {"frozen": {"frozen": 2}}
    text = to_markdown(summary)
    assert "| `up` | 0.95 | 1.00 (1.00) |" in text
    assert "| `gone` | - | - |" in text
    assert "* frozen (frozen): frozen 2" in text


def test_recall_is_told_by_size():
    rows = recall_by_size(made_up())
    assert [(row["frames"], row["recall"]) for row in rows] == [(1, 0.0), (0, None), (2, 0.5), (0, None)]


def test_nuisances_are_small_and_change_no_shape():
    video = np.random.default_rng(0).integers(30, 200, (4, 32, 48, 3), dtype=np.uint8)
    video = np.repeat(np.repeat(video[:, ::8, ::8], 8, axis=1), 8, axis=2)
    for kind in ("crf", "shift", "brightness"):
        out = disturbed(video, kind, 1.0, fps=15.0)
        assert out.shape == video.shape
        assert 0 < np.abs(out.astype(int) - video).mean() < 40
    np.testing.assert_array_equal(disturbed(video, "shift", 1.0, fps=15.0)[:, :, 1:], video[:, :, :-1])


@pytest.mark.slow
def test_the_study_runs_and_the_clean_clip_is_best(tmp_path):
    config = StudyConfig(clips=1, split="train", strengths=(1.0,), oracle=True, cache=tmp_path)
    study = run_study(config)
    summary = summarise_study(study)
    assert summary["verdicts"]["clean"] == {"returned": sum(summary["verdicts"]["clean"].values())}
    assert summary["metrics"]["reentry_success"]["clean"] > 0.99
    assert summary["metrics"]["return_recall"]["faults"]["vanished"]["auc"] == 1
    forgotten = {name: entry["faults"]["forgotten"] for name, entry in summary["metrics"].items()}
    assert forgotten["background_fidelity"]["auc"] == forgotten["memory_score"]["auc"] == 1
    assert forgotten["background_fidelity"]["mean"] < 0.3
    assert forgotten["reentry_success"]["mean"] > 0.9, "subjects before a forgotten background are right"
    assert summary["summaries"][0]["worst_fault"] == 1


@pytest.mark.slow
def test_each_fault_is_named_rightly_most_often_on_train_clips():
    encoder, source = load_embedder("cpu"), ProbeSource(split="train")
    found = {kind: [] for kind in EXPECTED}
    for spec, sample in clean_samples(source, 4):
        for shown in shown_variants(source, spec, sample, tuple(Probe(k) for k in PROBE_KINDS), (1.0,)):
            if shown.labels is None:  # nuisances have no masks
                continue
            tracks = OracleTracker(shown.labels).track(shown.video)
            rows = event_rows(Case(sample, shown.video, tracks), encoder)
            found[shown.variant.kind] += [row["verdict"] for row in rows if row["label"] == 1]
    assert set(found) == set(EXPECTED)
    for kind, right in EXPECTED.items():
        assert found[kind].count(right) >= 3, (kind, found[kind])
