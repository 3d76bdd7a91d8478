import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.results.records import Row, RunManifest, read_rows, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.summary import bootstrap_interval, summarise


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


def test_interval_resamples_whole_clusters() -> None:
    """Clips of a cluster are copies of each other here: the interval must be as wide as for the clusters alone."""
    centres = np.random.default_rng(1).normal(size=12)
    names = [f"c{i}" for i in range(12)]
    few = bootstrap_interval(centres, names, seed=0)
    many = bootstrap_interval(np.repeat(centres, 10), [n for n in names for _ in range(10)], seed=0)
    assert few is not None and many is not None
    np.testing.assert_allclose(few, many)
    spread = centres.std() / np.sqrt(12)
    np.testing.assert_allclose(few, [centres.mean() - 1.96 * spread, centres.mean() + 1.96 * spread], atol=0.4 * spread)


def test_a_few_clusters_tell_nothing_about_spread() -> None:
    values = np.arange(12.0)
    assert bootstrap_interval(values, ["abcd"[i % 4] for i in range(12)], seed=0) is None
    assert bootstrap_interval(values, ["abcde"[i % 5] for i in range(12)], seed=0) is not None


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
