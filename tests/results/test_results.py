import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.results.metric_record import metric_records
from hmbench.results.records import Row, RunManifest, read_rows, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.seeds import variation
from hmbench.results.summary import UNFINISHED, summarise


def rows(values: list[float | None], metric: str = "psnr") -> list[Row]:
    return [
        Row(
            sample=f"s{i}",
            metric=metric,
            version=1,
            value=v,
            reason=None if v is not None else "no mask",
            cluster=f"scene{i % 3}",
        )
        for i, v in enumerate(values)
    ]


def test_means_skip_and_count_missing_values() -> None:
    found = summarise(rows([1.0, None, 3.0, None]))["psnr"]
    assert (found.mean, found.scored, found.total, found.reasons) == (2.0, 2, 4, {"no mask": 2})


def test_nothing_scored_is_no_number() -> None:
    found = summarise(rows([None, None]))["psnr"]
    assert found.mean is None and found.low is None and found.scored == 0


def test_the_order_of_rows_changes_no_bit() -> None:
    values = list(np.random.default_rng(0).normal(size=40) * 1e3)
    forward = rows(values)
    assert summarise(forward) == summarise(forward[::-1])


def test_intervals_know_a_metrics_ends() -> None:
    found = summarise(
        [replace(row, cluster=f"scene{i % 5}") for i, row in enumerate(rows([0.0] * 15, "return_recall"))],
        metrics=metric_records({"return_recall": {"version": 1, "bounds": [0.0, 1.0]}}),
    )["return_recall"]
    assert found.low == 0.0
    assert found.high == pytest.approx(stats.binomtest(0, 5).proportion_ci(method="wilson").high)
    assert found.scenes == 5


def test_seeds_of_a_clip_are_one_value_of_it() -> None:
    values = np.random.default_rng(3).normal(20, 2, (15, 3))
    clips = [replace(row, cluster=f"scene{i % 5}") for i, row in enumerate(rows([0.0] * 15))]
    many = summarise([replace(row, value=v) for row, own in zip(clips, values, strict=True) for v in own])["psnr"]
    once = summarise([replace(row, value=own.mean()) for row, own in zip(clips, values, strict=True)])["psnr"]
    assert (many.scored, many.total) == (15, 15)
    assert (many.mean, many.low, many.high) == pytest.approx((once.mean, once.low, once.high))


def test_a_clip_is_missing_only_if_all_its_seeds_are() -> None:
    clips = rows([1.0, 2.0])
    lost = [replace(row, value=None, reason="no mask") for row in clips]
    found = summarise([clips[0], lost[0], lost[1], lost[1]])["psnr"]
    assert (found.mean, found.scored, found.total, found.reasons) == (1.0, 1, 2, {"no mask": 1})


def test_variation_is_split_by_levels() -> None:
    """Against the standard deviations that the values were drawn with."""
    rng = np.random.default_rng(0)
    drawn = [
        replace(rows([scene + clip + rng.normal(0, 0.5)])[0], sample=f"{i} {j}", cluster=str(i))
        for i, scene in enumerate(rng.normal(0, 2.0, 300))
        for j, clip in enumerate(rng.normal(0, 1.0, 3))
        for _ in range(4)
    ]
    found = variation(drawn)
    assert (found.scenes, found.clips, found.seeds) == pytest.approx((2.0, 1.0, 0.5), rel=0.08)
    alone = variation(rows([1.0, 2.0, 4.0]))
    assert alone.seeds is None and alone.clips is None


def test_mixed_versions_never_average() -> None:
    pair = rows([1.0, 2.0])
    with pytest.raises(ValueError, match="mix versions"):
        summarise([pair[0], replace(pair[1], version=2)])


def test_rows_round_trip_and_nan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows([1.5, None]))
    assert list(read_rows(path)) == rows([1.5, None])
    assert json.loads(path.read_text().splitlines()[1])["value"] is None
    with pytest.raises(ValueError):
        write_rows(path, rows([float("nan")]))
    assert list(read_rows(path)) == rows([1.5, None]), "a refused write must leave the old file"


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows([1.0, 2.0]))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(UserError, match=r"rows.jsonl, line 2 is damaged"):
        list(read_rows(path))
    with pytest.raises(UserError, match="There are no scores"):
        list(read_rows(tmp_path / "none.jsonl"))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not a run: it has no run\.json"):
        RunFolder(tmp_path).read_manifest()
    write_json(tmp_path / "run.json", {"format": 7, "colour": "red"})
    with pytest.raises(UserError, match="another version of hmbench"):
        RunFolder(tmp_path).read_manifest()


def test_manifest_round_trip(tmp_path: Path) -> None:
    manifest = RunManifest(
        model="noise", options={}, model_info={"name": "noise"}, data="disc", data_name="disc", data_revision="x",
        split="all", samples=("a", "b"), seed=3, profile="mini", device="cpu",
    )  # fmt: skip
    RunFolder(tmp_path).write_manifest(manifest)
    assert RunFolder(tmp_path).read_manifest() == manifest


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("model", "b"), ("options", {"steps": "3"}), ("model_info", {"name": "a", "weights": {"w": "2"}}),
        ("data_revision", "r2"), ("split", "test"), ("samples", ("s1",)), ("seed", 1),
    ],
)  # fmt: skip
def test_another_run_is_known_by_each_part_of_its_identity(field: str, other: object) -> None:
    one = RunManifest(
        model="a", options={"steps": "2"}, model_info={"name": "a", "weights": {"w": "1"}}, data="mini",
        data_name="mini", data_revision="r1", split="all", samples=("s1", "s2"), seed=0, profile="mini", device="cpu",
    )  # fmt: skip
    assert one.identity() == replace(one, device="cuda", metrics=metric_records({"psnr": {"version": 1}})).identity()
    assert one.identity() != replace(one, **{field: other}).identity()
    told = replace(one, model_info={**one.model_info, "standing": "model"})
    assert told.identity() == one.identity(), "runs of 0.1 did not say their standing"


def test_levels_of_variation_by_hand() -> None:
    """Two scenes of two clips of two seeds: sums of squares 14, 8.5 and 28.125, each freed of the level below."""
    seen = {("A", "a1"): (1, 3), ("A", "a2"): (5, 7), ("B", "b1"): (10, 12), ("B", "b2"): (10, 14)}
    many = [
        Row(sample=sample, metric="psnr", version=1, value=float(value), cluster=scene)
        for (scene, sample), values in seen.items()
        for value in values
    ]
    found = variation(many)
    assert found.seeds == pytest.approx(np.sqrt(14 / 4))
    assert found.clips == pytest.approx(np.sqrt(8.5 / 2 - 3.5 / 2))
    assert found.scenes == pytest.approx(np.sqrt(28.125 - 4.25 / 2))


def test_samples_without_a_row_are_counted_and_a_clip_without_a_scene_is_one() -> None:
    alone = [replace(row, cluster="") for row in rows([1.0, 2.0, None, 3.0])]
    found = summarise(alone, samples=9)["psnr"]
    assert (found.scored, found.total, found.scenes) == (3, 9, 3)
    assert found.reasons[UNFINISHED] == 5 and sum(found.reasons.values()) == 6
    assert UNFINISHED not in summarise(alone, samples=4)["psnr"].reasons


@pytest.mark.parametrize(("key", "value"), [("version", True), ("value", False), ("value", "1"), ("trained", 1)])
def test_a_truth_value_is_no_number(tmp_path: Path, key: str, value: object) -> None:
    (row,) = rows([1.0])
    (tmp_path / "rows.jsonl").write_text(json.dumps({**vars(row), key: value}) + "\n")
    with pytest.raises(UserError, match=rf"line 1 is damaged: .*its {key} is '{value}'"):
        list(read_rows(tmp_path / "rows.jsonl"))
