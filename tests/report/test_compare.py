"""`compare` on run folders made here, so that every number is known."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from hmbench.cli.compare import register
from hmbench.errors import UserError
from hmbench.report import compare_inputs
from hmbench.report.compare import CompareSettings, compare_runs
from hmbench.report.compare_inputs import KINDS, check_comparable, load_runs
from hmbench.report.compare_report import (
    MARK,
    breakdown_table,
    comparison_record,
    differences_table,
    means_table,
    report_tables,
    write_report,
)
from hmbench.report.forest_plot import forest_lines, write_forest
from hmbench.report.side_by_side import GAP, LABEL_HEIGHT, most_different, side_by_side
from hmbench.results.intervals import difference_interval
from hmbench.results.metric_record import metric_records
from hmbench.results.records import Row, RunManifest, read_rows, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow

SAMPLES = tuple(f"clip{i:02d}" for i in range(24))
METRICS = metric_records(  # as runs of 0.1 have them, which said neither needs nor bounds
    {
        "psnr": {"version": 1, "higher_is_better": True, "unit": "dB", "headline": True},
        "lpips": {"version": 2, "higher_is_better": False, "unit": "", "headline": True},
        "return_delay": {"version": 1, "higher_is_better": None, "unit": "frames", "headline": True},
        "detail": {"version": 1, "higher_is_better": True, "unit": "", "headline": False},
    }
)
MANIFEST = RunManifest(
    model="a",
    options={},
    model_info={"name": "a", "trained": None, "notice": None},
    data="disc",
    data_name="disc",
    data_revision="rev1",
    split="all",
    samples=SAMPLES,
    seed=0,
    profile="mini",
    device="cpu",
    metrics=METRICS,
    tracker=None,
)


def make_run(path: Path, name: str, shift: float = 0.0, *, skip: frozenset[str] = frozenset(), **changes) -> Path:
    """A run whose PSNR is a base value a clip, plus `shift`, plus a little noise of its own."""
    info = {"name": name, "trained": changes.pop("trained", None), "notice": changes.pop("notice", None)}
    info |= {"settings": changes.pop("settings", {})}
    info |= {"standing": changes.pop("standing")} if "standing" in changes else {}
    manifest = replace(MANIFEST, model=name, model_info=info, **changes)
    RunFolder(path).write_manifest(manifest)
    base = np.random.default_rng(0).normal(20, 3, len(SAMPLES))
    own = np.random.default_rng(len(name)).normal(0, 0.2, len(SAMPLES))
    rows = []
    for i, sample in enumerate(SAMPLES):
        if sample not in manifest.samples:
            continue
        psnr = float(base[i] + own[i] + shift)
        values = {"psnr": psnr, "lpips": 0.6 - psnr / 50, "return_delay": float(i % 3), "detail": psnr / 40}
        for metric, value in values.items():
            missing = sample in skip and metric == "psnr"
            rows.append(
                Row(
                    sample=sample,
                    metric=metric,
                    version=manifest.metrics[metric].version,
                    value=None if missing else value,
                    reason="no subject" if missing else None,
                    cluster=f"scene{i % 12}",
                )
            )
    write_rows(path / "rows.jsonl", rows)
    lines = [
        {
            "id": sample,
            "scene": f"scene{i % 12}",
            "num_subjects": 1 + i % 2,
            "max_hidden": (None, 10, 20, 40)[i % 4],
            "categories": ["person"] if i % 3 else ["animal", "person"],
            "camera_path": "Follow",
            "cell": "seen",
        }
        for i, sample in enumerate(SAMPLES)
    ]
    (path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def values_of(path: Path, metric: str) -> dict[str, float]:
    return {r.sample: r.value for r in RunFolder(path).rows() if r.metric == metric and r.value is not None}


def test_same_run_twice(tmp_path) -> None:
    run = make_run(tmp_path / "a", "a")
    comparison = compare_runs([run, run], CompareSettings(metrics="all"))
    for d in comparison.differences:
        assert d.test is not None
        assert (d.test.difference, d.test.p) == (0.0, 1.0)
        wilson = stats.binomtest(0, 12).proportion_ci(method="wilson").high  # what twelve scenes could have missed
        assert (d.test.low, d.test.high) == pytest.approx((-wilson, wilson))
        assert d.p_holm == (None if d.metric == "return_delay" else 1.0)
        assert d.test.ties == len(SAMPLES)
    assert all(m.best is None for m in comparison.means)
    assert len({run.label for run in comparison.runs}) == 2


def test_a_large_difference_is_significant_on_every_metric_with_a_direction(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", "a"), make_run(tmp_path / "better", "better", 5.0)]
    comparison = compare_runs(runs, CompareSettings(metrics="all"))
    tested = [d for d in comparison.differences if d.p_holm is not None]
    assert {d.metric for d in tested} == {"psnr", "lpips", "detail"}
    for d in tested:
        assert d.p_holm < 0.01
        assert (d.test.wins, d.test.losses) == (len(SAMPLES), 0)
    by_name = {m.metric: m for m in comparison.means}
    assert by_name["psnr"].best == by_name["lpips"].best == 1
    assert by_name["return_delay"].best is None


def test_numbers_equal_direct_computation(tmp_path) -> None:
    a, b = make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", 0.1)
    comparison = compare_runs([a, b], CompareSettings(metrics=["psnr"], seed=3))
    ours, theirs = values_of(b, "psnr"), values_of(a, "psnr")
    difference = np.array([ours[s] - theirs[s] for s in SAMPLES])
    found = comparison.differences[0]
    assert found.test.difference == pytest.approx(difference.mean(), rel=1e-12)
    scenes = [f"scene{i % 12}" for i in range(len(SAMPLES))]
    assert (found.test.low, found.test.high) == pytest.approx(difference_interval(difference, scenes, seed=3))
    assert comparison.means[0].runs[1].mean == pytest.approx(np.mean(list(ours.values())), rel=1e-12)
    sums = difference.reshape(2, 12).sum(axis=0)
    exact = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert found.test.scenes == 12
    assert found.test.p == found.p_holm >= exact
    assert found.test.p == pytest.approx(exact, abs=0.05)


def test_order_of_rows_does_not_matter(tmp_path) -> None:
    a, b = make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", 0.1)
    first = comparison_record(compare_runs([a, b]))
    rows = RunFolder(b).rows()
    write_rows(b / "rows.jsonl", rows[::-1])
    assert comparison_record(compare_runs([a, b])) == first


def test_only_shared_values_are_compared_and_counted(tmp_path) -> None:
    a = make_run(tmp_path / "a", "a", skip=frozenset(SAMPLES[:3]))
    b = make_run(tmp_path / "bb", "bb", skip=frozenset(SAMPLES[2:5]))
    comparison = compare_runs([a, b], CompareSettings(metrics=["psnr"]))
    means = comparison.means[0]
    assert (means.clips, means.scored) == (19, (21, 21))
    expected = math.fsum(values_of(a, "psnr")[s] for s in SAMPLES[5:]) / 19
    assert means.runs[0].mean == pytest.approx(expected, rel=1e-12)
    assert "19 of 24" in means_table(comparison).rows[0]


def test_unequal_counts_are_said(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", skip=frozenset(SAMPLES[:3]))]
    notes = means_table(compare_runs(runs, CompareSettings(metrics=["psnr"]))).notes
    assert "psnr has values on unequal numbers of clips (a 24, bb 21); its mean is over the common ones." in notes


def test_nothing_in_common_is_no_number(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", skip=frozenset(SAMPLES))]
    comparison = compare_runs(runs, CompareSettings(metrics=["psnr"]))
    assert comparison.differences[0].test is None
    assert comparison.means[0].runs == (None, None)
    table = means_table(comparison)
    assert table.rows == []
    assert "psnr has no value that all runs share: no subject" in table.notes
    write_report(comparison, tmp_path / "out")


def test_too_few_clips_are_said(tmp_path) -> None:
    runs = [make_run(tmp_path / name, name, shift, samples=SAMPLES[:6]) for name, shift in (("a", 0.0), ("bb", 9.0))]
    comparison = compare_runs(runs, CompareSettings(metrics=["psnr", "lpips"]))
    text = "Too few scenes to find anything: with 6 and 2 tests no corrected p-value can be below 0.06."
    assert any(warning.startswith(text) for warning in comparison.warnings)
    assert min(d.p_holm for d in comparison.differences) == pytest.approx(2 / 32)
    enough = compare_runs([make_run(tmp_path / "c", "c"), make_run(tmp_path / "dd", "dd")])
    assert not any("Too few" in warning for warning in enough.warnings)


def test_below_six_scenes_there_is_no_p_value(tmp_path) -> None:
    runs = [make_run(tmp_path / name, name, shift, samples=SAMPLES[:5]) for name, shift in (("a", 0.0), ("bb", 9.0))]
    comparison = compare_runs(runs, CompareSettings(metrics=["psnr"]))
    assert comparison.differences[0].p_holm is None and comparison.differences[0].test.p is None
    assert comparison.differences[0].test.low > 0
    assert any(w.startswith("No p-value on 5 scenes: flipping the signs") for w in comparison.warnings)
    row = differences_table(comparison).rows[0]
    assert row[-3:] == ["5/0/0", "–", "–"]


def test_untrained_and_truth_models_are_shown_and_never_ranked(tmp_path) -> None:
    runs = [
        make_run(tmp_path / "a", "a"),
        make_run(tmp_path / "bb", "bb", -1.0),
        make_run(tmp_path / "hydra", "hydra", 9.0, trained=False),
        make_run(tmp_path / "oracle", "oracle", 20.0, notice="oracle is shown the truth."),
    ]
    comparison = compare_runs(runs)
    assert all(m.best in (0, None) for m in comparison.means)
    assert comparison.means[0].best == 0
    text = means_table(comparison).markdown()
    assert f"hydra {MARK}" in text and f"oracle {MARK}" in text and f" a {MARK}" not in text
    for file in (table.markdown() for table in report_tables(comparison)[:2]):
        assert f"hydra {MARK}" in file
    assert f"{MARK} hydra: hydra has untrained weights: its numbers are no result. Not ranked." in comparison.warnings
    assert f"{MARK} oracle: oracle is shown the truth. Not ranked." in comparison.warnings


def test_what_is_true_of_several_models_is_said_once(tmp_path) -> None:
    """Six stand-ins filled the screen with six sentences, twice each."""
    notice = "No weights ship for mini-{0} yet; nano-{0} stands in for it, trained for a few hours."
    runs = [
        make_run(tmp_path / name, name, i, notice=notice.format(name), standing="stand-in")
        for i, name in enumerate(("hydra", "dfot"))
    ]
    runs.append(make_run(tmp_path / "o", "oracle", 20.0, notice="oracle is shown the truth."))
    once = f"hydra, dfot: {notice.format('NAME')}"
    oracle = f"{MARK} oracle: oracle is shown the truth. Not ranked."
    comparison = compare_runs(runs)
    assert [w for w in comparison.warnings if "weights" in w or "oracle" in w] == [once, oracle]
    write_report(comparison, tmp_path / "out")
    text = (tmp_path / "out" / "compare.md").read_text()
    assert text.count("No weights ship") == 1 and text.count("oracle is shown") == 1


def refusal(*runs: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        compare_runs(list(runs))
    return caught.value


def test_refusals(tmp_path) -> None:
    a = make_run(tmp_path / "a", "a")
    data = refusal(a, make_run(tmp_path / "b", "b", data_revision="rev2"))
    assert data.what == ("a and b cannot be compared: they used different data (data_revision rev1 and rev2).")
    assert data.hint == "Evaluate both on the same data."
    profile = refusal(a, make_run(tmp_path / "c", "c", profile="paper"))
    assert "they used different profiles (profile mini and paper)" in profile.what
    tracker = refusal(a, make_run(tmp_path / "d", "d", tracker="oracle"))  # nobody says what these metrics need
    assert "different trackers (tracker none and oracle)" in tracker.what
    assert "needs at least two runs" in refusal(a).what
    (tmp_path / "empty").mkdir()
    assert "is not a run" in refusal(a, tmp_path / "empty").what


def test_metrics_that_mean_something_else_are_left_out_or_refused_by_name(tmp_path) -> None:
    a = make_run(tmp_path / "a", "a")
    newer = {**METRICS, "psnr": replace(METRICS["psnr"], version=7)}
    run = make_run(tmp_path / "newer", "newer", metrics=newer)
    comparison = compare_runs([a, run])
    assert [m.metric for m in comparison.means] == ["lpips", "return_delay"]
    assert "Left out, since they used different versions of it (1 and 7): psnr." in comparison.warnings
    with pytest.raises(UserError, match="cannot be compared: they used different versions of psnr"):
        compare_runs([a, run], CompareSettings(metrics=["psnr"]))


def test_fidelity_needs_no_equal_tracker(tmp_path) -> None:
    needs = {name: replace(one, needs=frozenset({"truth"}), untold=frozenset()) for name, one in METRICS.items()}
    followed = frozenset({"truth", "labels", "events", "tracks"})
    needs["return_delay"] = replace(needs["return_delay"], needs=followed)
    runs = [make_run(tmp_path / t, t, metrics=needs, tracker=t) for t in ("botsort", "oracle")]
    comparison = compare_runs(runs)
    assert [m.metric for m in comparison.means] == ["psnr", "lpips"]
    assert any("different trackers" in w and "return_delay" in w for w in comparison.warnings)
    with pytest.raises(UserError, match="different trackers"):
        compare_runs(runs, CompareSettings(metrics=["return_delay"]))


def test_subjects_that_were_told_apart_otherwise_are_not_compared(tmp_path, monkeypatch) -> None:
    """And every clip's line is read once a run for that, not once a metric."""
    needs = {name: replace(one, needs=frozenset({"labels"}), untold=frozenset()) for name, one in METRICS.items()}
    needs["psnr"] = replace(needs["psnr"], needs=frozenset({"truth"}))
    runs = [make_run(tmp_path / name, name, metrics=needs) for name in "ab"]
    read: list[str] = []
    real = compare_inputs.read_samples
    monkeypatch.setattr(compare_inputs, "read_samples", lambda path: read.append(path.name) or real(path))
    everything = CompareSettings(metrics="all")
    assert len(compare_runs(runs, everything).means) == 4
    assert read == ["a", "b"]
    lines = [json.loads(line) for line in (runs[1] / "samples.jsonl").read_text().splitlines()]
    lines[5]["told_apart"] = "positions"
    (runs[1] / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    comparison = compare_runs(runs, everything)
    assert [m.metric for m in comparison.means] == ["psnr"]
    why = "the subjects of clip05 were told apart by exact labels and by positions"
    assert f"Left out, since {why}: lpips, return_delay, detail." in comparison.warnings
    with pytest.raises(UserError, match=why):
        compare_runs(runs, CompareSettings(metrics=["detail"]))


def test_one_screen_for_two_runs(tmp_path) -> None:
    from hmbench.report.compare_report import screen_tables

    comparison = compare_runs([make_run(tmp_path / "a", "a"), make_run(tmp_path / "b", "b", 1.0)])
    (table,) = screen_tables(comparison)
    assert table.header == ["metric", "a", "b", "difference [95 %]", "p (Holm)"] and len(table.rows) == 3
    psnr = next(d for d in comparison.differences if d.metric == "psnr")
    assert table.rows[0][3].startswith(f"{psnr.test.difference:.3f} [")
    cells = screen_tables(comparison, ["hidden"])[1]
    assert cells.title == "By hidden"
    with pytest.raises(UserError, match=r"Clips are not divided by 'sell'\. Did you mean 'cell'"):
        screen_tables(comparison, ["sell"])
    with pytest.raises(UserError, match="All clips are of one kind by 'camera path'"):
        screen_tables(comparison, ["camera"])


def test_other_seeds_are_warned_of(tmp_path) -> None:
    comparison = compare_runs([make_run(tmp_path / "a", "a"), make_run(tmp_path / "b", "b", seed=5)])
    assert "The runs used different seeds (0, 5): chance differs between them." in comparison.warnings


def test_runs_sampled_in_another_way_are_told_apart(tmp_path) -> None:
    first = {"dtype": "bfloat16", "codec_tiles": False, "guidance": 5.0, "as_released": False, "offload": "none"}
    other = {"dtype": "float32", "codec_tiles": True, "guidance": 1, "as_released": False, "offload": "model"}
    runs = [
        make_run(tmp_path / name, name, settings=settings)
        for name, settings in (("a", first), ("b", other), ("c", first), ("d", {}))
    ]
    said = [w for w in compare_runs(runs).warnings if "not sampled alike" in w]
    assert said == [
        "The runs were not sampled alike: number format bfloat16 for a, c; float32 for b.",
        "The runs were not sampled alike: codec in tiles no for a, c; yes for b.",
        "The runs were not sampled alike: guidance 5 for a, c; 1 for b.",
    ]
    assert not [w for w in compare_runs([runs[0], runs[2]]).warnings if "not sampled alike" in w]


def test_seeds_of_one_model_are_pooled(tmp_path) -> None:
    """The mean over seeds of each clip, in whatever order the runs are given; shifts of 1 and 3 average to 2."""
    a = make_run(tmp_path / "a", "a")
    seeds = [make_run(tmp_path / f"bb{n}", "bb", shift, seed=n) for n, shift in ((0, 1.0), (1, 3.0))]
    found = compare_runs([a, *seeds], CompareSettings(metrics=["psnr"], pool_seeds=True))
    assert [run.label for run in found.runs] == ["a", "bb (2 seeds)"]
    once = compare_runs([a, make_run(tmp_path / "mean", "bb", 2.0)], CompareSettings(metrics=["psnr"]))
    test, expected = found.differences[0].test, once.differences[0].test
    assert test.difference == pytest.approx(expected.difference)
    assert (test.low, test.high) == pytest.approx((expected.low, expected.high))
    assert "bb: each clip's value is the mean over the seeds 0, 1." in found.warnings
    assert not any("different seeds" in warning for warning in found.warnings)
    with pytest.raises(UserError, match="All runs are seeds of one model"):
        compare_runs(seeds, CompareSettings(pool_seeds=True))
    with pytest.raises(UserError, match="Two runs of bb"):
        compare_runs([a, seeds[0], seeds[0]], CompareSettings(pool_seeds=True))


class FakeData:
    """Data whose revision of some clips is their names and a secret."""

    name = "fake"

    def __init__(self, secret: str = "a") -> None:
        self.secret = secret

    def ids(self, split: str) -> tuple[str, ...]:
        return SAMPLES

    def revision(self, ids: tuple[str, ...]) -> str:
        return self.secret + "".join(sample[-2:] for sample in ids)


def test_different_clips_of_the_same_data_compare(tmp_path, monkeypatch) -> None:
    data = FakeData()
    a = make_run(tmp_path / "a", "a", data_revision=data.revision(SAMPLES))
    b = make_run(tmp_path / "b", "b", samples=SAMPLES[4:], data_revision=data.revision(SAMPLES[4:]))
    monkeypatch.setattr("hmbench.report.compare_inputs.open_recorded", lambda spec, options: data)
    assert compare_runs([a, b]).samples == SAMPLES[4:]
    monkeypatch.setattr("hmbench.report.compare_inputs.open_recorded", lambda spec, options: FakeData("changed since"))
    error = refusal(a, b)
    assert "they used different data" in error.what
    assert error.hint == "Evaluate both with the same --split and --limit."


def test_metric_choice(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", "a"), make_run(tmp_path / "b", "b")]
    assert [m.metric for m in compare_runs(runs).means] == ["psnr", "lpips", "return_delay"]
    assert len(compare_runs(runs, CompareSettings(metrics="all")).means) == 4
    with pytest.raises(UserError, match="Did you mean 'psnr'"):
        compare_runs(runs, CompareSettings(metrics=["psrn"]))


def test_pairs_and_their_correction(tmp_path) -> None:
    runs = [make_run(tmp_path / name, name, shift) for name, shift in (("a", 0.0), ("bb", 0.1), ("ccc", 0.2))]
    first = compare_runs(runs, CompareSettings(metrics=["psnr"]))
    assert [(d.model, d.reference) for d in first.differences] == [(1, 0), (2, 0)]
    every = compare_runs(runs, CompareSettings(metrics=["psnr"], pairs="all"))
    assert [(d.model, d.reference) for d in every.differences] == [(1, 0), (2, 0), (2, 1)]
    smallest = min(every.differences, key=lambda d: d.test.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 3 * smallest.test.p))


def test_breakdowns(tmp_path) -> None:
    a, b = make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", 0.1)
    comparison = compare_runs([a, b], CompareSettings(metrics=["psnr"]))
    kinds = {(x.by, x.value): x for x in comparison.breakdowns}
    assert {by for by, _ in kinds} == {"subjects", "hidden", "category"}  # one camera path and one cell divide nothing
    assert {value for by, value in kinds if by == "hidden"} == {"1 to 15 frames", "16 to 30 frames", "over 30 frames"}
    assert {value for by, value in kinds if by == "category"} == {"person", "animal and person"}
    lost = make_run(tmp_path / "lost", "lost", skip=frozenset(SAMPLES[::2]))
    halved = breakdown_table(compare_runs([a, lost], CompareSettings(metrics=["psnr"])), "subjects")
    assert [row[0] for row in halved.rows] == ["2"]  # nobody has a value on clips with one subject
    two = kinds["subjects", "2"]
    expected = [values_of(b, "psnr")[s] for s in SAMPLES[1::2]]
    assert two.clips == 12
    assert two.runs[1].mean == pytest.approx(np.mean(expected), rel=1e-12)


def test_report_files(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", "a_b"), make_run(tmp_path / "bb", "bb", 3.0, trained=False)]
    paths = write_report(compare_runs(runs), tmp_path / "out")
    assert {p.name for p in paths} == {
        "compare.md",
        "compare.tex",
        "means.csv",
        "differences.csv",
        "breakdowns.csv",
        "compare.json",
        "compare.png",
        "compare.pdf",
        "compare.svg",
    }
    assert all(p.stat().st_size > 100 for p in paths)
    record = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert record["runs"][1]["ranked"] is False
    assert record["differences"][0]["test"]["p"] < 0.01
    latex = (tmp_path / "out" / "compare.tex").read_text()
    assert r"a\_b" in latex and r"bb$^\dagger$" in latex and r"$\dagger$ bb is not ranked" not in latex
    assert latex.count(r"\label{tab:hmbench}") == 1 and r"\label{tab:hmbench-differences}" in latex
    header, *lines = (tmp_path / "out" / "differences.csv").read_text().splitlines()
    assert all(line.count(",") == header.count(",") for line in lines)
    assert (tmp_path / "out" / "compare.png").read_bytes()[:4] == b"\x89PNG"


def test_forest_counts_differences_in_standard_errors_of_the_first_run(tmp_path) -> None:
    runs = [make_run(tmp_path / n, n, shift) for n, shift in (("a", 0.0), ("bb", 1.0), ("ccc", -1.0))]
    comparison = compare_runs(runs)
    lines, left_out = forest_lines(comparison)
    assert [line.label for line in lines] == ["psnr ↑", "lpips ↓"]
    assert left_out == ["return_delay"], "it has no direction"
    means = {m.metric: m for m in comparison.means}
    unit = (means["psnr"].runs[0].high - means["psnr"].runs[0].low) / (2 * 1.959964)
    difference = means["psnr"].runs[1].mean - means["psnr"].runs[0].mean
    better, worse = lines[0].marks
    assert better.place == pytest.approx(difference / unit, rel=1e-9)
    assert better.low < better.place < better.high
    assert worse.place < 0 < better.place
    assert [m.place > 0 for m in lines[1].marks] == [True, False], "lower is better: turned, so that right is better"
    assert better.significant and worse.significant


def test_forest_fits_a_column_and_is_the_same_again(tmp_path) -> None:
    comparison = compare_runs([make_run(tmp_path / n, n, 0.5 * k) for k, n in enumerate(("a$_x", "bb", "ccc"))])
    first, second = (write_forest(comparison, tmp_path / n / "compare") for n in ("x", "y"))
    assert [p.suffix for p in first] == [".pdf", ".svg", ".png"]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.suffix
    svg = (tmp_path / "x" / "compare.svg").read_text()
    assert float(re.search(r'<svg [^>]*width="([0-9.]+)pt"', svg)[1]) == pytest.approx(3.35 * 72, abs=0.5)
    assert "psnr ↑" in svg and "better than a$_x" in svg, "text stays text"


def test_most_different_clips(tmp_path) -> None:
    a, b = make_run(tmp_path / "a", "a"), make_run(tmp_path / "bb", "bb", 0.1)
    comparison = compare_runs([a, b])
    ours, theirs = values_of(a, "psnr"), values_of(b, "psnr")
    expected = sorted(SAMPLES, key=lambda s: -abs(ours[s] - theirs[s]))[:4]
    assert most_different(comparison, "psnr", 4) == expected


def test_side_by_side_places_each_video(tmp_path) -> None:
    short = np.full((2, 20, 30, 3), 10, dtype=np.uint8)
    short[1] = 50
    long = np.full((5, 20, 30, 3), 200, dtype=np.uint8)
    video = side_by_side({"context": short, "modèle": long})
    assert video.shape == (5, LABEL_HEIGHT + 20, 2 * 30 + GAP, 3)
    assert (video[0, LABEL_HEIGHT:, :30] == 10).all()
    assert (video[4, LABEL_HEIGHT:, :30] == 50).all()
    assert (video[:, LABEL_HEIGHT:, 30 + GAP :] == 200).all()
    assert (video[0, :LABEL_HEIGHT, :30] < 100).any()


def run_cli(*arguments: str):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["compare", *arguments], env={"COLUMNS": "200"})


def test_command(tmp_path) -> None:
    runs = [str(make_run(tmp_path / "a", "a")), str(make_run(tmp_path / "bb", "bb", 3.0))]
    result = run_cli(*runs, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "bb − a" in result.output and "difference [95 %]" in result.output
    assert (tmp_path / "out" / "compare.md").is_file()


def test_command_says_what_models_need(tmp_path) -> None:
    result = run_cli(str(make_run(tmp_path / "a", "a")), "oracle")
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("oracle is no run folder, and to evaluate it as a model --data")


def test_decoders_are_part_of_comparability(tmp_path) -> None:
    """PyAV before 17 read BT.709 with BT.601's matrix: a perfect prediction had 37.5 dB, and nothing was said."""
    runs = {
        "old": make_run(tmp_path / "old", "old", environment={"av": "14.2.0"}),
        "older": make_run(tmp_path / "older", "older", environment={"av": "13.1.0"}),
        "new": make_run(tmp_path / "new", "new", environment={"av": "17.0.1", "ffmpeg": "libavcodec 61.1.1"}),
        "newer": make_run(tmp_path / "newer", "newer", environment={"av": "18.1.0", "ffmpeg": "libavcodec 62.28.102"}),
        "silent": make_run(tmp_path / "silent", "silent"),
    }

    def warnings(*names: str) -> list[str]:
        return check_comparable(load_runs([runs[name] for name in names]))

    with pytest.raises(UserError, match=r"old cannot be compared: it was scored with PyAV 14.2.0, which reads BT.709"):
        warnings("new", "old")
    assert warnings("new", "newer") == [
        "The runs decoded their videos with different libraries (PyAV 17.0.1 and 18.1.0): the last digits may differ."
    ]
    assert warnings("new", "new") == [] == warnings("new", "silent")
    assert len(warnings("old", "older")) == 1


def test_predictions_that_were_made_to_fit_are_named(tmp_path) -> None:
    a = make_run(tmp_path / "a", "a", reading={"align": "resample", "match": "{id}_s0.mp4"})
    b = make_run(tmp_path / "b", "b")
    said = "a: its predictions did not fit and were read with align resample."
    assert check_comparable(load_runs([a, b])) == [said]
    seeds = [make_run(tmp_path / f"b{n}", "b", seed=n) for n in (0, 1)]
    assert said in compare_runs([a, *seeds], CompareSettings(pool_seeds=True)).warnings


def test_metrics_that_only_some_runs_have_are_named(tmp_path) -> None:
    """A table without PSNR did not say that the second run had never been scored by it."""
    a, b = make_run(tmp_path / "a", "a"), make_run(tmp_path / "b", "b")
    write_rows(b / "rows.jsonl", [r for r in read_rows(b / "rows.jsonl") if r.metric not in ("psnr", "detail")])
    said = "psnr: not scored for b, so not compared. `hmbench score --run RUN --metric NAME` adds what is missing."
    assert said in compare_runs([a, b]).warnings and said in compare_runs([b, a]).warnings
    assert "not scored" not in " ".join(compare_runs([a, b], CompareSettings(metrics=["lpips"])).warnings)


@pytest.mark.parametrize(
    ("frames", "name"),
    [
        (None, None), (0, "never hidden"), (1, "1 to 15 frames"), (15, "1 to 15 frames"), (16, "16 to 30 frames"),
        (30, "16 to 30 frames"), (31, "over 30 frames"), (500, "over 30 frames"),
    ],
)  # fmt: skip
def test_bins_of_the_time_out_of_sight_hold_their_ends(frames: int | None, name: str | None) -> None:
    assert KINDS["hidden"](SampleRow(id="a", max_hidden=frames)) == name


def test_runs_that_looked_through_other_weights_are_not_compared(tmp_path: Path) -> None:
    """AlexNet swapped for another of equal size: LPIPS of one is not LPIPS of the other."""

    def looked(digest: str) -> dict:
        metrics = {name: replace(record, weights={}) for name, record in METRICS.items()}
        return metrics | {"lpips": replace(metrics["lpips"], weights={"alexnet/alexnet-owt-7be5be79.pth": digest})}

    a = make_run(tmp_path / "a", "a", metrics=looked("1" * 64))
    b = make_run(tmp_path / "b", "b", metrics=looked("2" * 64))
    with pytest.raises(UserError, match=r"lpips looked through different weights \(alexnet/alexnet-owt"):
        compare_runs([a, b], CompareSettings(metrics=["lpips"]))
    some = compare_runs([a, b], CompareSettings(metrics="all"))
    assert "lpips" not in {m.metric for m in some.means} and len(some.means) == 3
    assert any("looked through different weights" in w and w.endswith(": lpips.") for w in some.warnings)
    assert compare_runs([a, b], CompareSettings(metrics=("psnr",))).means[0].metric == "psnr"
    same = make_run(tmp_path / "c", "c", metrics=looked("1" * 64))
    assert compare_runs([a, same], CompareSettings(metrics="all")).means
    both = frozenset({"truth", "alexnet"})
    needs = {name: replace(r, needs=both, untold=frozenset()) for name, r in METRICS.items()}
    old = [
        make_run(tmp_path / f"old{k}", f"old{k}", metrics=needs, metric_weights={"alexnet/a.pth": str(k)})
        for k in range(2)
    ]
    with pytest.raises(UserError, match="looked through different weights"):
        compare_runs(old)
