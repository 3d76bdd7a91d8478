"""Choices of people against metrics: by counting, against scipy, on people who do not exist, and on damaged files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.errors import UserError
from hmbench.results.intervals import mean_interval
from hmbench.study.agreement import MIN_CLIPS, agreement, kendall, metric_agreement
from hmbench.study.choices import Judgement
from hmbench.study.synthetic_raters import synthetic_choices

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def example(tmp_path: Path):
    spec = importlib.util.spec_from_file_location("agreement_example", BENCHMARKS / "agreement_example.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.example_runs(tmp_path)


def saved(tmp_path: Path, contents: list[dict]) -> list[Path]:
    paths = [tmp_path / f"choices{i}.json" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return paths


def judgement(rater: str, sample: str, preference: float) -> Judgement:
    nothing = frozenset[str](), frozenset[str]()
    return Judgement(rater=rater, sample=sample, preference=preference, wrong=nothing, repeated=False)


def test_accuracy_is_counted_and_ties_are_coins() -> None:
    samples = [f"s{i}" for i in range(12)]
    differences = {s: [1.0, -1.0, 0.0][i % 3] for i, s in enumerate(samples)}
    judged = [judgement(r, s, p) for s in samples for r, p in (("ann", 1.0), ("bo", -1.0 if s == "s0" else 1.0))]
    judged.append(judgement("cy", "s0", 0.0))
    found = metric_agreement("m", differences, judged)
    # four clips each, two people: right but for one judgement of s0, all wrong, all ties
    assert found.accuracy == pytest.approx((7 + 0 + 8 * 0.5) / 24)
    assert (found.clips, found.preferences) == (12, 24)
    shared = [(1 + np.sign(differences[j.sample]) * j.preference) / 2 for j in judged if j.preference]
    by_clip = mean_interval(np.array(shared), [j.sample for j in judged if j.preference], bounds=(0.0, 1.0))
    assert (found.low, found.high) == tuple(by_clip), "two raters give no interval of their own"


def test_tau_is_scipys_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = np.round(x + rng.normal(0, 1, 20))
    value, interval = kendall(x, y)
    assert value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert interval.low < value < interval.high and interval.high - interval.low < 0.9
    assert kendall(x, np.zeros(20)) == (None, None)
    assert kendall(x, x) == (1.0, None)


def test_people_who_do_not_exist_rank_metrics_as_they_were_made(tmp_path) -> None:
    runs, lead = example(tmp_path)
    files = saved(tmp_path, synthetic_choices(runs, lead, raters=5, sharpness=1.5, seed=0))
    found = agreement(files, runs)
    by_name = {m.metric: m for m in found.metrics}
    assert [m.metric for m in found.metrics] == ["sees_it", "sees_some", "sees_something_else"]
    assert by_name["sees_it"].low > 0.5
    assert by_name["sees_something_else"].low < 0.5 < by_name["sees_something_else"].high
    assert len(found.raters) == 5 and found.clips == 36
    # by hand, from the files alone: which side had which run is decided by the page's plan, undone here by the lead
    expected = sum(
        c["better"] != "equal" for f in files for c in json.loads(f.read_text())["choices"] if c["item"] < 36
    )
    assert by_name["sees_it"].preferences == expected
    assert found.words["vanished"]["verdicts"] == 0 < found.words["vanished"]["people"]


def test_sharp_people_agree_with_a_metric_that_is_their_lead(tmp_path) -> None:
    """End to end through sides, order and repeats: with certain people accuracy is exactly the metric's own."""
    runs, lead = example(tmp_path)
    sharp = synthetic_choices(runs, lead, raters=3, sharpness=1e3, undecided=0.0, seed=4)
    found = agreement(saved(tmp_path, sharp), runs)
    rows = [json.loads(line) for line in (runs[0] / "rows.jsonl").read_text().splitlines()]
    own = {r["sample"]: r["value"] for r in rows if r["metric"] == "sees_it"}
    expected = np.mean([np.sign(own[s]) == np.sign(lead[s]) for s in lead])
    assert next(m for m in found.metrics if m.metric == "sees_it").accuracy == pytest.approx(expected)
    assert found.between_people == found.with_themselves == 1.0
    assert found.first_preferred in {np.mean([v > 0 for v in lead.values()]), np.mean([v < 0 for v in lead.values()])}
    swapped = agreement(saved(tmp_path, sharp), runs[::-1])
    assert swapped == found, "the order in which runs are given is no matter"


def test_too_little_is_refused(tmp_path) -> None:
    runs, lead = example(tmp_path)
    contents = synthetic_choices(runs, lead, raters=3, seed=0)
    with pytest.raises(UserError, match="Choices of 1 person"):
        agreement(saved(tmp_path, contents[:1]), runs)
    for content in contents:
        content["choices"] = content["choices"][: MIN_CLIPS - 1]
    with pytest.raises(UserError, match=f"People judged {MIN_CLIPS - 1} clips"):
        agreement(saved(tmp_path, contents), runs)
    with pytest.raises(UserError, match="No choices"):
        agreement([], runs)
    few = metric_agreement("m", {"a": 1.0}, [judgement("ann", "a", 1.0)])
    assert few.accuracy is None and "on 1 clips that it has values of" in few.reason


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(format=9), "format 9, expected 1"),
        (lambda c: c.update(study="x" * 24), "were made on other runs or clips"),
        (lambda c: c.update(seed=1), "were made on other runs or clips"),
        (lambda c: c["choices"][0].update(better="both"), "better is 'both'"),
        (lambda c: c["choices"][0].update(left_wrong=["<b>"]), "faults that the page does not offer"),
        (lambda c: c["choices"][0].update(sample="clip99"), "do not fit|other runs or clips"),
        (lambda c: c["choices"].append(c["choices"][0]), "answered twice"),
        (lambda c: c.pop("rater"), "KeyError: 'rater'"),
        (lambda c: c.update(choices={"a": 1}), "choices is no list"),
    ],
)
def test_damaged_choices_are_a_sentence(tmp_path, change, sentence) -> None:
    runs, lead = example(tmp_path)
    contents = synthetic_choices(runs, lead, raters=2, seed=0)
    change(contents[0])
    with pytest.raises(UserError, match=sentence):
        agreement(saved(tmp_path, contents), runs)


def test_other_damage(tmp_path) -> None:
    runs, lead = example(tmp_path)
    files = saved(tmp_path, synthetic_choices(runs, lead, raters=2, seed=0))
    files[0].write_text("[1, 2")
    with pytest.raises(UserError, match="is no valid JSON"):
        agreement(files, runs)
    files[0].write_text("[1, 2]")
    with pytest.raises(UserError, match="holds an array, expected an object"):
        agreement(files, runs)
    with pytest.raises(UserError, match="There is no file"):
        agreement([tmp_path / "none.json"], runs)
    with pytest.raises(UserError, match="two files of 'synthetic 2'"):
        agreement([files[1], files[1]], runs)


def test_the_command_prints_and_writes(tmp_path) -> None:
    runs, lead = example(tmp_path)
    files = saved(tmp_path, synthetic_choices(runs, lead, raters=4, seed=0))
    done = CliRunner().invoke(
        app, ["study", "agreement", *map(str, files), *map(str, runs), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert "sees_it" in done.output
    record = json.loads((tmp_path / "out" / "agreement.json").read_text())
    assert record["metrics"][0]["metric"] == "sees_it"
    assert "Agreement with 4 people on 36 clips" in (tmp_path / "out" / "agreement.md").read_text()
    asked = CliRunner().invoke(app, ["study", "agreement", *map(str, files), *map(str, runs), "--json"])
    assert json.loads(asked.stdout)["metrics"] == record["metrics"]
