"""The validity study's statistics by hand, its nuisances, and the study end to end on one small clip (slow)."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from hmbench.case import Case
from hmbench.data.mini_world import PROBE_KINDS, Probe
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.metrics.table import default_metrics
from hmbench.networks.embedder import load_embedder
from hmbench.study.body_faults import PAINTED, painted
from hmbench.study.documents import NUMBERS, command_of, page
from hmbench.study.heat_map import write_heat_map
from hmbench.study.nuisances import LEVELS, LIMITS, NUISANCES, disturbed
from hmbench.study.probe_clips import ProbeSource, Shown, Variant, clean_samples, shown_variants
from hmbench.study.validity import (
    EXPECTED,
    Measured,
    Study,
    StudyConfig,
    _shown_while_hidden,
    _Trackers,
    auc,
    auc_interval,
    monotonicity,
    run_study,
    signed_values,
)
from hmbench.study.validity_report import _versions, recall_by_size, summarise_study, to_markdown
from hmbench.subjects.oracle import OracleTracker
from tests.metrics import stage


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
    assert "| `up` | 0.95 | 1.00 [0.39, 1.00] |" in text
    assert "| `gone` | - | - |" in text
    assert "| frozen | frozen | frozen 2 |" in text


def test_recall_is_told_by_size():
    rows = recall_by_size(made_up())
    assert [(row["frames"], row["recall"]) for row in rows] == [(1, 0.0), (0, None), (2, 0.5), (0, None)]


def test_nuisances_are_small_and_change_no_shape():
    video = np.random.default_rng(0).integers(30, 200, (4, 32, 48, 3), dtype=np.uint8)
    video = np.repeat(np.repeat(video[:, ::8, ::8], 8, axis=1), 8, axis=2)
    for kind in NUISANCES:
        out = disturbed(video, kind, 1.0, fps=15.0)
        assert out.shape == video.shape and out.dtype == np.uint8
        assert 0 < np.abs(out.astype(int) - video).mean() < 60, kind
    np.testing.assert_array_equal(disturbed(video, "shift", 1.0, fps=15.0)[:, :, 2:], video[:, :, :-2])
    np.testing.assert_array_equal(disturbed(video, "late", 1.0, fps=15.0), video[[0, 0, 0, 1]])
    np.testing.assert_array_equal(disturbed(video, "late", 0.5, fps=15.0), video[[0, 0, 1, 2]])
    np.testing.assert_array_equal(disturbed(video, "late", 2.5, fps=15.0), video[[0, 0, 0, 0]])
    assert set(LIMITS) <= {*((kind, 1.0) for kind in NUISANCES), *LEVELS}
    np.testing.assert_array_equal(disturbed(video, "rate", 1.0, fps=15.0), video[[0, 0, 2, 2]])
    np.testing.assert_array_equal(disturbed(video, "rate", 0.5, fps=15.0), video[[0, 1, 2, 2]])
    assert disturbed(video, "brightness", 1.0, fps=15.0)[0, 0, 0, 0] == round(1.1 * int(video[0, 0, 0, 0]))


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
    assert forgotten["reentry_success"]["mean"] == 0, "places mean nothing in a view that nobody asked for"
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
        assert found[kind].count(right) >= 0.75 * len(found[kind]), (kind, found[kind])


def test_painted_faults_change_the_first_subject_and_nothing_else():
    case = stage.make_case([stage.HERO, stage.FRIEND], [stage.HERO, stage.FRIEND])
    truth = case.truth
    without, _ = stage.film([stage.FRIEND], range(stage.HALF, 2 * stage.HALF))
    for fault in sorted(PAINTED):
        video, labels = painted(case.sample, without, fault, 1.0)
        changed = (video != truth.target).any(axis=3)
        own = (labels == 1) | (truth.target_labels == 1)
        assert changed.any() and not (changed & ~own).any(), fault
    blob, _ = painted(case.sample, without, "blob", 1.0)
    shown = next(t for t in range(stage.HALF) if (truth.target_labels[t] == 1).any())
    assert len(np.unique(blob[shown][truth.target_labels[shown] == 1], axis=0)) == 1
    twice, _ = painted(case.sample, without, "mirrored", 1.0)
    box = np.argwhere(truth.target_labels[shown] == 1)
    (top, left), (bottom, right) = box.min(axis=0), box.max(axis=0) + 1
    mirrored = truth.target[shown, top:bottom, left:right][:, ::-1]
    np.testing.assert_array_equal(twice[shown, top:bottom, left:right], mirrored)
    _, ever = painted(case.sample, without, "ever-present", 1.0)
    before = truth.events[0].reentry - stage.HALF
    assert (ever[:before] == 1).any(axis=(1, 2)).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 0.875, 1.0])
@pytest.mark.parametrize("clean, faulty", [(8, 8), (16, 12)])
def test_the_interval_of_an_auc_holds_what_is_within_its_own_errors(value, clean, faulty):
    low, high = auc_interval(value, clean, faulty)
    ends = np.linspace(1e-6, 1 - 1e-6, 200001)  # all values whose own standard error reaches the measured one
    extra = (clean + faulty) / 2 - 1
    error = np.sqrt(ends * (1 - ends) * (1 + extra * ((1 - ends) / (2 - ends) + ends / (1 + ends))) / (clean * faulty))
    near = ends[np.abs(value - ends) <= 1.959964 * error]
    assert (low, high) == (pytest.approx(near.min(), abs=2e-5), pytest.approx(near.max(), abs=2e-5))
    assert high - low > 0.1


def test_an_auc_of_nothing_has_no_interval():
    assert np.isnan(auc_interval(float("nan"), 0, 3)).all()


def test_the_heat_map_shows_every_scored_metric_against_everything(tmp_path):
    def entry(auc, scored=2):
        return {"scored": scored, "faults": {"frozen": {"auc": auc}}, "nuisances": {"crf": {"auc": None}}}

    metrics = {"reentry_success": entry(0.97), "hota": entry(0.31), "lpips": entry(None, 0)}
    write_heat_map({"metrics": metrics}, tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    assert all(word in text for word in ("reentry_success", "hota", "frozen", "crf", ">.97<", ">.31<"))
    assert "lpips" not in text and ">nan<" not in text
    write_heat_map({"metrics": metrics}, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


def test_the_page_of_the_study_is_made_from_its_numbers():
    """After a study: python -m hmbench.study.documents STUDY docs."""
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert (docs / "metrics" / "validity.md").read_text() == page(json.loads((docs / NUMBERS).read_text()))


def test_the_page_says_the_command_of_its_own_clips():
    known = {"split": "test", "clips": 16, "size": [224, 128], "strengths": [0.5, 1.0]}
    said = "hmbench validate-metrics --split test --clips 16 --size 224x128"
    assert command_of(known) == command_of({**known, "seed": 0}) == f"{said} --strengths 0.5,1 --out V"
    assert command_of({**known, "seed": 3}) == f"{said} --seed 3 --strengths 0.5,1 --out V"


def test_how_much_of_an_absence_a_variant_shows_its_subject():
    """HERO is away in the target's first six frames, of which the variant shows it in the last four."""
    case = stage.make_case([stage.HERO], [stage.HERO])
    labels = case.truth.target_labels.copy()
    early = np.zeros_like(labels)
    early[2:, 20:44, 30:40] = 1
    shown = Shown(Variant("wrongway", 1.0), case.prediction, early)
    row = {"label": 1, "exit": 14, "reentry": 30}
    assert _shown_while_hidden(case, shown, row) == pytest.approx(4 / 6)
    assert _shown_while_hidden(case, shown._replace(labels=labels), row) == 0
    assert _shown_while_hidden(case, shown._replace(labels=None), row) is None
    labels[:6, 0, 0] = 1  # it is in sight all the time
    seen = dataclasses.replace(case.sample, truth=dataclasses.replace(case.truth, target_labels=labels))
    assert _shown_while_hidden(Case(seen, case.prediction, case.tracks), shown, row) is None


def test_the_page_names_metrics_whose_numbers_are_newer_than_the_study():
    now = {m.info.name: m.info.version for m in default_metrics(profile="mini", weights=None, device="cpu")}
    summary = {"profile": "mini", "versions": now}
    assert _versions(summary) == []
    summary["versions"] = {**now, "psnr": now["psnr"] - 1, "taken_out": 3}
    (said, _) = _versions(summary)
    assert said.startswith(f"Measured with earlier versions of `psnr` {now['psnr'] - 1} (now {now['psnr']}). ")


def test_a_study_of_other_metrics_does_not_track_again(tmp_path, monkeypatch):
    config = StudyConfig(parts=tmp_path)
    trackers = _Trackers(config)
    asked = []
    monkeypatch.setattr(trackers.real, "track", lambda video: asked.append(len(video)) or ())
    shown = Shown(Variant("clean", 0.0), np.zeros((5, 48, 64, 3), np.uint8), None)
    assert trackers.track(shown) == trackers.track(shown) == ()
    assert asked == [5]
    other = shown._replace(video=shown.video + 1)
    trackers.track(other)
    assert asked == [5, 5] and len(list((tmp_path / "tracks").iterdir())) == 2
