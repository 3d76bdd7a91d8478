"""Repaired DSC, tracking of a clip, the memory score, VBench's masked variant, pictures: on the stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmbench.case import Case
from hmbench.metrics import default_metrics, unmet_need
from hmbench.metrics.consistency import BackgroundConsistency, SubjectConsistency, consistency
from hmbench.metrics.dsc import DynamicSubjectConsistency
from hmbench.metrics.dsc_reference import DscReference
from hmbench.metrics.reentry.metrics import event_rows
from hmbench.metrics.reentry.readings import READINGS
from hmbench.metrics.summary import MemoryScore, power_mean
from hmbench.metrics.tracking import TrackingMetric
from hmbench.networks.backbones import Backbone
from hmbench.networks.pull import SOURCES
from hmbench.report.pictures import film_strip, trajectory_plot
from hmbench.types import Score
from tests.metrics import stage

ENCODER = Backbone("colour", stage.ColourEncoder)
NOISY = Backbone("noisy colour", stage.NoisyColourEncoder)
HERO, FRIEND = stage.HERO, stage.FRIEND


def dsc(kind, encoder=ENCODER):
    return DynamicSubjectConsistency(encoder, kind)


def views_of(video, boxes):
    return NOISY.get().crops(video, boxes).double()


def test_dsc_of_the_truth_is_one_and_of_a_stranger_is_the_floor():
    true = stage.make_case([HERO, FRIEND], [HERO, FRIEND])
    for kind in ("gt", "ctx", "reentry", "calibrated", "coverage"):
        assert dsc(kind)(true).value == pytest.approx(1, abs=0.02), kind
    swapped = stage.make_case([HERO, FRIEND], [stage.changed(HERO, colour=stage.GREEN), FRIEND])
    assert dsc("coverage")(swapped).value == pytest.approx(1, abs=0.02)
    assert dsc("calibrated")(swapped).value == pytest.approx(0.5, abs=0.02)
    assert dsc("ctx")(swapped).value < 0.7


def test_dsc_of_a_perfect_prediction_is_one_though_its_views_differ():
    """Views of one subject are not alike: a mean of them is shorter than one, and must not be held against a unit."""
    case = stage.make_case([HERO, FRIEND], [HERO, FRIEND])
    real = views_of(case.truth.target, case.truth.subjects[0].boxes[stage.HALF :])
    assert float(real.mean(dim=0).norm()) < 0.8, "the toy must be noisy enough to tell"
    assert dsc("calibrated", NOISY)(case).value == pytest.approx(1, abs=1e-6)


def test_dsc_calibrated_is_looks_times_coverage():
    half = stage.make_case([HERO], [stage.changed(HERO, again=(39, 60))])  # 9 of 18 frames
    assert dsc("coverage")(half).value == pytest.approx(0.5)
    assert dsc("ctx")(half).details["coverage"] == pytest.approx(0.5)
    assert dsc("calibrated")(half).value == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["ctx", "reentry", "gt"])
@pytest.mark.parametrize("from_behind", [False, True])
def test_dsc_is_the_mean_cosine_over_all_pairs_with_the_reference_alone(kind, from_behind):
    """Where the context does not show what a subject looks like, association leans on its target crops; this does not.

    Else the score against the context would be a score against the target.
    """
    case = stage.make_case([HERO], [stage.changed(HERO, again=(44, 60))])
    if from_behind:
        case.sample.prompt.context[case.truth.context_labels == 1] = stage.GOLD
    boxes = case.truth.subjects[0].boxes
    reference = {"gt": (case.truth.target, boxes[stage.HALF :])}.get(
        kind, (case.sample.prompt.context, boxes[: stage.HALF])
    )
    shown = views_of(case.prediction, case.tracks[0].boxes)
    by_hand = float((shown @ views_of(*reference).T).mean())
    assert dsc(kind, NOISY)(case).value == pytest.approx(by_hand, abs=1e-5)


def test_a_frame_between_two_windows_counts_once():
    """Seen before its re-entry, too, it plays in the windows before and after; each frame is in one of them."""
    case = stage.make_case([HERO], [stage.changed(HERO, hidden=(14, 24))])
    shown = views_of(case.prediction, case.tracks[0].boxes)
    assert len(shown) == stage.HALF
    real = views_of(case.truth.target, case.truth.subjects[0].boxes[stage.HALF :])
    assert dsc("gt", NOISY)(case).value == pytest.approx(float((shown @ real.T).mean()), abs=1e-5)


def test_dsc_against_a_context_that_never_shows_the_subject_is_a_skip():
    case = stage.make_case([stage.changed(HERO, hidden=(0, 30))], [HERO])
    assert dsc("ctx")(case).reason == "the context shows no subject of the target"
    assert dsc("gt")(case).value == pytest.approx(1, abs=0.02)
    empty = Case(case.sample, case.prediction, ())
    assert dsc("ctx")(empty).reason == "the context shows no subject of the target"


def test_dsc_of_an_empty_clip_is_the_worst_not_missing():
    empty = stage.make_case([HERO, FRIEND], [], tracks=())
    for kind in ("gt", "ctx", "reentry", "calibrated", "coverage"):
        score = dsc(kind)(empty)
        assert (score.value, score.details["coverage"]) == (0, 0), kind


def test_a_missing_subject_counts_in_the_calibrated_score_only():
    half = stage.make_case([HERO, FRIEND], [HERO])
    assert dsc("ctx")(half).value == pytest.approx(1, abs=0.02)
    assert dsc("ctx")(half).details["found"] == 1
    assert dsc("calibrated")(half).value == pytest.approx(0.5, abs=0.02)


def test_the_released_dsc_drops_what_it_cannot_see():
    class Maps:
        name = "maps"

        def maps(self, video):
            return torch.ones(len(video), 3, 4, 4)

    reference = DscReference(Backbone("maps", Maps), "target")
    assert "drops such clips" in (reference(stage.make_case([HERO], [], tracks=())).reason or "")
    assert reference(stage.make_case([HERO], [HERO])).value == pytest.approx(1)


def test_tracking_scores_of_the_truth_are_one_and_slivers_ask_for_nothing():
    case = stage.make_case([HERO, FRIEND], [HERO, FRIEND])
    for name in ("hota", "deta", "assa", "idf1"):
        assert TrackingMetric(name)(case).value == pytest.approx(1), name
    leaving = stage.changed(HERO, x=92, speed=1.0, hidden=(14, 26))  # walks out at the right edge
    assert TrackingMetric("hota")(stage.make_case([leaving], [leaving])).value > 0.99


def test_one_memory_alone_is_worth_a_quarter():
    assert power_mean(0.2, 0.6) == pytest.approx((0.2 + 0.6 + 2 * 0.12**0.5) / 4)
    assert (power_mean(1.0, 0.0), power_mean(0.0, 1.0), power_mean(1.0, 1.0), power_mean(0.0, 0.0)) == (
        0.25,
        0.25,
        1,
        0,
    )


def test_where_the_camera_stands_the_subjects_alone_count():
    true = stage.make_case([HERO], [HERO])
    score = MemoryScore(ENCODER)(true)
    assert score.value == score.details["dynamic"] == pytest.approx(1, abs=0.01)
    assert "stands still" in score.details["static_skipped"] and score.details["static"] is None
    assert MemoryScore(ENCODER)(stage.make_case([HERO], [], tracks=())).value == 0


def test_consistency_by_hand():
    features = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    # i = 1: (0.6 + 0.6) / 2; i = 2: (max(0, -0.6) + max(0, -1)) / 2
    assert consistency(features) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="two frames"):
        consistency(features[:1])


class MeanColour:
    name = "mean"

    def frames(self, video):
        values = torch.from_numpy(video.reshape(len(video), -1, 3).mean(axis=1)).float()
        return torch.nn.functional.normalize(values, dim=1)


def test_the_masked_background_ignores_a_flickering_subject():
    flicker = stage.make_case([HERO], [HERO])
    flicker.prediction[::2][flicker.truth.target_labels[::2] > 0] = (0, 0, 255)
    encoder = Backbone("mean", MeanColour)
    plain, masked = BackgroundConsistency(encoder), BackgroundConsistency(encoder, masked=True)
    assert masked(flicker).value > plain(flicker).value
    still = Case(flicker.sample, np.repeat(flicker.prediction[:1], stage.HALF, axis=0), ())
    assert SubjectConsistency(encoder)(still).value == pytest.approx(1)  # a still picture is perfect: know your metric


@pytest.fixture(scope="module")
def metrics():
    return default_metrics(profile="mini", weights=None, device="cpu", quality=True)


def answers(metrics, case):
    reasons = {m.info.name: unmet_need(m.info, case) for m in metrics}
    return {m.info.name: Score.skipped(reason) if (reason := reasons[m.info.name]) else m(case) for m in metrics}


SITUATIONS = ("true", "nothing found", "no tracker", "no truth")


@pytest.fixture(scope="module")
def situations(metrics):
    """Every metric's answer to: the truth itself, nothing found in it, no tracker, and nobody knows the future."""
    true = stage.make_case([HERO, FRIEND], [HERO, FRIEND])
    unknown = replace(true.sample, truth=None)
    cases = (
        true,
        Case(true.sample, true.prediction, ()),
        Case(true.sample, true.prediction, None),
        Case(unknown, true.prediction, true.tracks),
    )
    return {name: answers(metrics, case) for name, case in zip(SITUATIONS, cases, strict=True)}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_metric_answers_in_every_situation(metrics, situations, situation):
    assert len({m.info.name for m in metrics}) == len(metrics)
    for metric in metrics:
        name, score = metric.info.name, situations[situation][metric.info.name]
        low, high = metric.info.bounds
        if score.reason is None:
            assert low is None or score.value >= low - 1e-6, name
            assert high is None or score.value <= high + 1e-6, name
        elif "weights" in score.reason:
            only = name.removeprefix("quality_")
            wanted = f" --only {only}" if name.startswith("quality_") else ""
            assert f"run: hmbench weights pull DIR{wanted}, then pass --weights DIR" in score.reason
            assert not wanted or only in {source.name for source in SOURCES}


def test_what_a_clip_lacks_is_the_reason(metrics, situations):
    weightless = {name for name, score in situations["true"].items() if score.reason}
    # in the mini profile the masked variant alone says something of the background; the stage's camera stands still
    without = {name: situations["true"][name].reason or "" for name in weightless}
    told = {name for name, reason in without.items() if "weights" in reason or "stands still" in reason}
    assert weightless - told <= {
        "background_consistency",
        "body_facing",
        "body_gait",
    }  # toys are their own mirror image
    for metric in metrics:
        name, needs = metric.info.name, metric.info.needs
        reasons = {situation: situations[situation][name].reason or "" for situation in SITUATIONS}
        assert ("no real continuation" in reasons["no truth"]) == ("truth" in needs), name
        assert ("no tracker ran" in reasons["no tracker"]) == ("tracks" in needs), name
        if name not in weightless and not needs & {"truth", "tracks"}:
            assert set(reasons.values()) == {""}, name


def test_nothing_found_is_the_worst_value_of_whatever_rests_on_tracks(metrics, situations):
    """But for what has no bound, for the time before the return, and for the released script, which drops the clip."""
    asked = []
    for metric in (m for m in metrics if "tracks" in m.info.needs):
        info, score = metric.info, situations["nothing found"][metric.info.name]
        low, high = info.bounds
        worst = low if info.higher_is_better else high
        if info.name.startswith("dsc_ref"):
            assert "drops such clips" in score.reason
        elif info.name == "false_presence":
            assert score.value == 0
        elif info.name == "return_delay":
            assert score.value == 3 * stage.FPS
        elif worst is None or info.higher_is_better is None:
            assert score.reason == "no subject came back", info.name
        else:
            assert score.value == worst, info.name
            asked.append(info.name)
    assert {"memory_score", "hota", "idf1", "dsc_calibrated", "dsc_ctx", "place_error", "motion_direction"} <= set(
        asked
    )


def test_one_mask_over_several_subjects_asks_nothing_of_each(metrics):
    """The box around two people is nobody's: the truth itself failed against it."""
    case = stage.one_mask(stage.make_case([HERO, FRIEND], [HERO, FRIEND]))
    assert case.truth.events
    scores = answers(metrics, case)
    by_subject = [r.name for r in READINGS] + ["hota", "deta", "assa", "idf1", "memory_score"]
    by_subject += [f"dsc_{kind}" for kind in ("gt", "ctx", "reentry", "calibrated", "coverage")]
    for name in by_subject:
        assert (scores[name].reason or "").startswith("one mask covers several subjects"), name
    for name in ("psnr_subject", "ssim_background", "dsc_ref_gt", "dsc_ref_ctx", "background_forgotten"):
        assert scores[name].reason is None, name
    rows = event_rows(case, stage.ColourEncoder())
    assert [row["verdict"] for row in rows] == [None]


def test_pictures_show_who_plays_whom(tmp_path):
    case = stage.make_case([HERO, FRIEND], [HERO])
    rows = event_rows(case, stage.ColourEncoder())
    strip = film_strip(case.sample, case.prediction, case.tracks, rows[0])
    assert strip.ndim == 3 and strip.shape[1] > 8 * 200
    blank = film_strip(case.sample, case.prediction, (), rows[0])
    assert (strip != blank).any()  # boxes are drawn
    trajectory_plot(tmp_path / "a" / "paths.png", case.sample, case.tracks, rows)
    assert (tmp_path / "a" / "paths.png").read_bytes().startswith(b"\x89PNG")


def test_one_number_does_not_stand_under_two_names() -> None:
    """The mini profile has one network for whole frames: VBench's two dimensions would be equal to the last digit."""
    from hmbench.data.disc_world import DiscWorld
    from hmbench.metrics import default_metrics

    sample = DiscWorld().load(DiscWorld().ids("all")[0])
    assert sample.truth is not None
    case = Case(sample, sample.truth.target)
    found = {m.info.name: m for m in default_metrics(profile="mini", weights=None, device="cpu")}
    subject, background = (found[f"{name}_consistency"](case) for name in ("subject", "background"))
    assert 0 < subject.value < 1 and np.isnan(background.value)
    assert "would be subject_consistency again" in (background.reason or "")
    assert 0 < found["background_consistency_masked"](case).value != subject.value
