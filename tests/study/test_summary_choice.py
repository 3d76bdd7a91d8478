"""How the one score is chosen, and the targets of a study, on made-up studies whose answers are known."""

from __future__ import annotations

import json

import pytest

from hmbench.metrics.summary import power_mean
from hmbench.study.summary_choice import CANDIDATES, PUBLISHED, Weighed, ranked, summary_lines, weigh_summaries
from hmbench.study.validity import Measured, Study, StudyConfig
from hmbench.study.validity_report import verdicts as verdicts_of
from hmbench.study.validity_targets import quiet_metrics, target_lines, targets

DIRECTIONS = {"background_fidelity": True, "reentry_success": True, "verdict_returned": True}


CLIPS = tuple("abcdefgh")


def study(**kinds: tuple[float, float, float]) -> Study:
    """Eight equal clips; kind to background, re-entry, verdict at full strength, half way to clean at half of it."""
    made = Study(config=StudyConfig(clips=8, strengths=(0.5, 1.0)), tracker="none", directions=dict(DIRECTIONS))
    for sample in CLIPS:
        for kind, values in {"clean": (1.0, 1.0, 1.0), **kinds}.items():
            for strength in (0.0,) if kind == "clean" else (0.5, 1.0):
                for metric, value in zip(DIRECTIONS, values, strict=True):
                    shown = 1 - (1 - value) * strength if strength else value
                    made.values.append(Measured(sample, kind, strength, metric, shown, None))
    return made


LOST = {"vanished": (0.95, 0.0, 0.0), "frozen": (0.98, 0.4, 0.0), "forgotten": (0.1, 1.0, 1.0), "crf": (0.8, 1.0, 1.0)}


def by_name(rows: list[dict]) -> dict[tuple, dict]:
    return {(row["name"], *row["of"]): row for row in rows}


def test_what_is_published_is_the_first_candidate():
    first = CANDIDATES[0]
    assert first.name == PUBLISHED and first.of == ("background_fidelity", "reentry_success")
    for a, b in ((0.3, 0.9), (0.0, 1.0), (1.0, 1.0)):
        assert first.combine((a, b)) == pytest.approx(power_mean(a, b))


def test_a_score_of_one_memory_alone_is_blind_to_the_other():
    rows = by_name(weigh_summaries(study(**LOST)))
    subjects, background = rows["alone", "reentry_success"], rows["alone", "background_fidelity"]
    assert (subjects["worst_fault"], subjects["worst_fault_kind"]) == (0.5, "forgotten")
    assert background["robust"] == pytest.approx(1 / 3)  # the codec costs more than a lost subject
    assert background["lead"] == pytest.approx(-2 / 3) and background["p"] < 0.01
    both = rows[PUBLISHED, "background_fidelity", "reentry_success"]
    assert (both["worst_fault"], both["robust"], both["monotone"]) == (1, 1, 1)
    mean = rows["arithmetic mean", "background_fidelity", "reentry_success"]
    assert both["robust"] == mean["robust"] == 1 and mean["p"] == 1
    assert weigh_summaries(study(**LOST))[0]["name"] == PUBLISHED


def test_a_mean_that_lets_one_memory_pay_for_the_other_loses():
    rows = by_name(weigh_summaries(study(crf=(0.55, 0.8, 1.0), swapped=(1.0, 0.38, 0.0))))
    power, arithmetic = (rows[name, *CANDIDATES[0].of] for name in (PUBLISHED, "arithmetic mean"))
    assert power["robust"] == 1 and arithmetic["robust"] == 0
    assert weigh_summaries(study(crf=(0.55, 0.8, 1.0), swapped=(1.0, 0.38, 0.0)))[0]["name"] != "arithmetic mean"


def test_ties_keep_what_is_published_and_a_better_one_goes_before():
    def weighed(name: str, *, worst: float = 1.0, lead=0.0, p=1.0, monotone=(0.0, 1.0), trick=0.0, one=1.0) -> Weighed:
        kept = 0.9 + monotone[0]
        return Weighed(name, ("x",), worst, "frozen", 0.9 + lead, lead, p, kept, *monotone, trick, one)

    def order(*found: Weighed) -> list[str]:
        return [w.name for w in ranked(list(found))]

    assert order(weighed("old"), weighed("new", lead=0.04, p=0.2)) == ["old", "new"]
    assert order(weighed("old"), weighed("new", lead=0.04, p=0.01)) == ["new", "old"]
    assert order(weighed("worse", lead=-0.04, p=0.01), weighed("old")) == ["old", "worse"]
    assert order(weighed("old"), weighed("new", worst=0.9, lead=0.1, p=0.01)) == ["old", "new"]
    assert order(weighed("old"), weighed("new", monotone=(0.05, 0.03))) == ["new", "old"]
    assert order(weighed("old"), weighed("new", monotone=(0.05, 0.2))) == ["old", "new"]
    assert order(weighed("worse", lead=-0.04, p=0.01, monotone=(0.1, 0.01)), weighed("old")) == ["old", "worse"]
    assert order(weighed("bought", trick=0.03, lead=0.1, p=0.01), weighed("old")) == ["old", "bought"]
    assert order(weighed("blind to one", one=0.6, lead=0.1, p=0.01), weighed("old")) == ["old", "blind to one"]


def test_a_mean_that_gives_nothing_to_one_memory_alone_stands_beside_the_tricks():
    made = study(**LOST, still=(0.0, 0.0, 0.0), turned=(0.02, 0.0, 0.0))
    rows = by_name(weigh_summaries(study(**LOST, first=(0.0, 0.0, 0.0), turned=(0.02, 0.0, 0.0))))
    power, harmonic, alone = (
        rows["power mean", *CANDIDATES[0].of],
        rows["harmonic mean", *CANDIDATES[0].of],
        rows["alone", "background_fidelity"],
    )
    assert (power["trick"], power["one_memory"]) == (pytest.approx(0.005), 1)
    assert (harmonic["trick"], harmonic["one_memory"]) == (0, 0.5)
    assert alone["trick"] == pytest.approx(0.02)
    assert weigh_summaries(made)[0]["name"] == PUBLISHED


def test_a_study_without_the_parts_has_no_candidates():
    made = study()
    made.directions.pop("reentry_success")
    assert weigh_summaries(made) == []
    text = "\n".join(summary_lines(weigh_summaries(study(**LOST))))
    assert "| harmonic mean | `background_fidelity`, `reentry_success` | - | - | 1.00 (" in text
    json.dumps(weigh_summaries(study()), allow_nan=False)


def entry(clean: float, fault: float | None, nuisance: float | None) -> dict:
    return {"clean": clean, "faults": {"frozen": {"auc": fault}}, "nuisances": {"crf": {"auc": nuisance}}}


METRICS = {
    "return_recall": entry(1.0, 0.5, 0.5),
    "identity_rank1": entry(0.9, 0.5, 0.5),
    "verdict_returned": entry(0.95, 0.97, 0.55),
    "place_error": entry(0.0, 1.0, 1.0),
    "motion_agreement": entry(0.9, 0.99, 0.35),
    "articulation": entry(1.0, 1.0, None),
    "psnr": entry(99.0, 1.0, 0.5),
}


def told(kind: str, *verdicts: str, shown: int | None = 45) -> tuple[Study, dict[str, dict[str, int]]]:
    """A study in which a fault's events have these verdicts, and their counts; the last event is another subject's."""
    made = study()
    for number, verdict in enumerate((*verdicts, verdicts[0])):
        known = {"kind": kind, "strength": 1.0, "probed": number < len(verdicts), "shown": shown}
        made.events.append({"sample": f"clip-{number}", "verdict": verdict, **known})
        made.events.append({"sample": f"clip-{number}", "verdict": "returned", **known, "strength": 0.5})
    return made, verdicts_of(made)


def test_only_what_no_nuisance_moves_may_see_a_fault():
    assert quiet_metrics(METRICS) == ["return_recall", "identity_rank1", "verdict_returned"]
    made, counts = told("frozen", *["frozen"] * 4, "late")
    assert counts == {"frozen": {"frozen": 4, "late": 1}}
    found = targets(made, METRICS, counts)
    assert found["faults"]["frozen"] == {"auc": 0.97, "best": ["verdict_returned"], "met": True}
    assert [found["clean"][name]["met"] for name in found["clean"]] == [True, False, True]
    assert found["verdicts"]["frozen"] == {"right": 4, "events": 5, "most": "frozen", "met": True}
    made, counts = told("frozen", *["frozen"] * 3, "late")
    fewer = targets(made, METRICS, counts)["verdicts"]["frozen"]
    assert fewer == {"right": 3, "events": 4, "most": "frozen", "met": False}
    metrics = {name: {**entry, "faults": {"moonwalk": {"auc": 1.0}}} for name, entry in METRICS.items()}
    made, counts = told("moonwalk", *["sliding"] * 3, "out of step", "late", "not judged")
    moonwalk = targets(made, metrics, counts)["verdicts"]
    assert moonwalk == {"moonwalk": {"right": 4, "events": 5, "most": "sliding", "met": True}}
    text = "\n".join(target_lines(found))
    assert "| frozen | 4 of 5 | frozen | yes | `verdict_returned` | 0.97 | yes |" in text
    assert "| `identity_rank1` | 0.900 | 0.95 | no |" in text


def test_nuisances_keep_the_score_and_tricks_get_none():
    made = Study(config=StudyConfig(clips=10, strengths=(0.5, 1.0)), tracker="none", directions={"memory_score": True})
    for number in range(10):
        name = f"clip-{number}"
        for kind, strength, value in [
            ("zoom", 1.0, 0.93 if number else 0.5),  # nine of ten hold 0.93
            ("zoom", 0.5, 0.1),  # half strength has no limit
            ("late", 2.5, 0.7 if number > 1 else 0.6),
            ("pinned", 1.0, 0.2 if number == 0 else 0.0),
            ("stuck", 1.0, 0.21 if number == 0 else 0.0),
        ]:
            made.values.append(Measured(name, kind, strength, "memory_score", value, None))
        made.values.append(Measured(name, "stuck", 1.0, "verdict_returned", None, "not judged"))
    found = targets(made, {}, {})
    assert found["nuisances"]["zoom"] == {"asked": 0.93, "held": 9, "clips": 10, "lowest": 0.5, "met": True}
    assert found["nuisances"]["5 frames late"] == {"asked": 0.7, "held": 8, "clips": 10, "lowest": 0.6, "met": False}
    assert found["tricks"]["pinned"] == {"values": {"memory_score": pytest.approx(0.02)}, "met": True}
    assert not found["tricks"]["stuck"]["met"]
    text = "\n".join(target_lines(found))
    assert "| 5 frames late | 0.7 | 8 of 10 | 0.600 | no |" in text
    assert "| stuck | 0.021 | - | no |" in text


@pytest.mark.parametrize(("shown", "right"), [(2, 2), (3, 1), (None, 1)])
def test_who_is_not_in_sight_is_rightly_vanished(shown, right):
    made, counts = told("frozen", "frozen", "vanished", shown=shown)
    assert targets(made, METRICS, counts)["verdicts"]["frozen"]["right"] == right


@pytest.mark.parametrize(("hidden", "right"), [(0.5, 2), (0.49, 1), (None, 1)])
def test_who_is_in_sight_all_the_time_is_rightly_ever_present(hidden, right):
    made, counts = told("frozen", "frozen", "ever-present")
    for row in made.events:
        row["shown_hidden"] = hidden
    assert targets(made, METRICS, counts)["verdicts"]["frozen"]["right"] == right


def test_a_tie_of_verdicts_is_not_the_right_one():
    found = targets(study(), METRICS, {"frozen": {"late": 2, "frozen": 2}})
    assert found["verdicts"]["frozen"]["most"] == "late and frozen"
    assert not found["verdicts"]["frozen"]["met"]
