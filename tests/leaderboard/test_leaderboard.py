"""Submissions are accepted only if they are trained, complete and unchanged; tables rank only what may be ranked."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.results.records import Row, RunManifest, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.summary import summarise
from leaderboard.cli import app
from leaderboard.site import page
from leaderboard.submission import accept, read_entries, read_entry
from leaderboard.tables import PUBLISHED, board_csv, board_table, make_boards, published_table

SAMPLES = tuple(f"clip{i:02d}" for i in range(22))
METRICS = {
    "psnr": {"version": 1, "higher_is_better": True, "unit": "dB", "headline": True, "backbone": None},
    "lpips": {"version": 1, "higher_is_better": False, "unit": "", "headline": True, "backbone": "alex"},
    "extra": {"version": 1, "higher_is_better": True, "unit": "", "headline": False, "backbone": None},
}


def make_run(
    path: Path, shift: float = 0.0, *, notice: str | None = None, trained: bool | None = True, **changes
) -> Path:
    """A folder as `hmbench eval` leaves it, with known numbers."""
    fields = {"data_revision": "rev1", "metrics": METRICS, "samples": SAMPLES, "seed": 0, **changes}
    manifest = RunManifest(
        model="m",
        options={"top_k": "5"},
        model_info={
            "name": path.name,
            "description": "d",
            "trained": trained,
            "notice": notice,
            "weights": {"w": "ab"},
        },
        data="mini",
        data_name="mini-v1",
        split="test",
        profile="mini",
        device="cpu",
        tracker="yolo",
        **fields,
    )
    run = RunFolder(path)
    run.write_manifest(manifest)
    rng = np.random.default_rng(7)
    rows = []
    for i, sample in enumerate(SAMPLES):
        video = f"{path.name} {sample}".encode()
        run.prediction(sample).parent.mkdir(parents=True, exist_ok=True)
        run.prediction(sample).write_bytes(video)
        value = float(rng.normal(20, 0.5) + shift + 0.01 * i)
        values = {"psnr": value, "lpips": 1 - value / 50, "extra": None if i == 3 else 0.5}
        own = [
            Row(sample=sample, metric=m, version=manifest.metrics[m]["version"], value=v, cluster=f"scene{i % 11}")
            for m, v in values.items()
        ]
        own = [r if r.value is not None else replace(r, reason="no subject") for r in own]
        stamp = f"fp:{hashlib.sha256(video).hexdigest()[:16]}"
        write_json(run.scores(sample), {"stamp": stamp, "failure": None, "rows": [asdict(r) for r in own]})
        rows += own
    write_rows(path / "rows.jsonl", rows)
    summary = {m: asdict(s) for m, s in summarise(rows).items()}
    write_json(path / "summary.json", {"metrics": summary, "failures": {}})
    return path


def refusal(run: Path, tmp_path: Path, **options) -> UserError:
    with pytest.raises(UserError) as caught:
        accept(run, **{"name": "x", "results": tmp_path / "results", **options})
    assert not (tmp_path / "results" / "x.json").exists()
    return caught.value


def test_accepted_entry_holds_every_value(tmp_path) -> None:
    run = make_run(tmp_path / "good")
    entry = read_entry(accept(run, name="good", link="https://example.org", results=tmp_path / "results"))
    expected = summarise(RunFolder(run).rows())
    assert entry.means["psnr"]["mean"] == expected["psnr"].mean
    assert (entry.means["psnr"]["low"], entry.means["psnr"]["high"]) == (expected["psnr"].low, expected["psnr"].high)
    assert entry.means["extra"]["scored"] == 21
    assert entry.values["extra"][3] is None
    assert entry.options == {"top_k": "5"}
    assert entry.weights == {"w": "ab"}


def test_untrained_is_refused(tmp_path) -> None:
    error = refusal(make_run(tmp_path / "run", trained=False, notice="weights are untrained."), tmp_path)
    assert error.what.endswith("is of an untrained model: weights are untrained.")
    assert "train-reference" in error.hint


def test_failed_clips_are_refused(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    write_json(run / "summary.json", {**read_json(run / "summary.json"), "failures": {"clip01": "generate: boom"}})
    assert "is incomplete: 1 of 22 clips failed, for example clip01 (generate: boom)" in refusal(run, tmp_path).what


def test_missing_rows_are_refused(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    write_rows(run / "rows.jsonl", RunFolder(run).rows()[:-1])
    assert "is incomplete: 1 rows are missing, for example extra of clip21" in refusal(run, tmp_path).what


def test_edited_rows_are_refused(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    rows = RunFolder(run).rows()
    rows[0] = replace(rows[0], value=40.0)
    write_rows(run / "rows.jsonl", rows)
    assert "rows.jsonl and the scores of clip00 disagree on psnr" in refusal(run, tmp_path).what


def test_replaced_predictions_are_refused(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    RunFolder(run).prediction("clip05").write_bytes(b"a better video")
    assert "the prediction of clip05 is not the one that was scored" in refusal(run, tmp_path).what
    RunFolder(run).prediction("clip05").unlink()
    assert "The prediction of clip05 is missing" in refusal(run, tmp_path).what


def test_edited_summary_is_refused(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    summary = read_json(run / "summary.json")
    summary["metrics"]["psnr"]["mean"] += 1
    write_json(run / "summary.json", summary)
    assert "summary.json does not follow from the rows of psnr" in refusal(run, tmp_path).what


def test_names(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    assert "is no name for an entry" in refusal(run, tmp_path, name="../x").what
    accept(run, name="y", results=tmp_path / "results")
    assert "There is an entry" in refusal(run, tmp_path, name="y").what
    accept(run, name="y", results=tmp_path / "results", replace=True)


@pytest.mark.parametrize("resign", [False, True])
def test_touched_entries_are_refused(tmp_path, resign) -> None:
    path = accept(make_run(tmp_path / "run"), name="x", results=tmp_path / "results")
    record = json.loads(path.read_text())
    record["means"]["psnr"]["mean"] += 1
    if resign:  # even with a fresh digest, means must follow from the values
        record.pop("digest")
        record["digest"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="do not follow from its values" if resign else "was changed after"):
        read_entry(path)


def boards_of(tmp_path: Path, rank_by: tuple[str, ...] = ("psnr",)):
    return make_boards(read_entries(tmp_path / "results"), rank_by=rank_by)


def fill(tmp_path: Path) -> None:
    runs = {
        "good": make_run(tmp_path / "good", 1.0),
        "near": make_run(tmp_path / "near", 1.0),
        "bad": make_run(tmp_path / "bad", -2.0),
        "oracle": make_run(tmp_path / "oracle", 9.0, trained=None, notice="oracle is shown the truth."),
        "elsewhere": make_run(tmp_path / "elsewhere", 5.0, data_revision="rev2"),
    }
    for name, run in runs.items():
        accept(run, name=name, results=tmp_path / "results")


def test_ranking_within_boards_and_bounds_unranked(tmp_path) -> None:
    fill(tmp_path)
    first, second = boards_of(tmp_path)
    assert [e.name for e in first.entries] == ["good", "near", "bad", "oracle"]
    assert first.ranks == (1, 1, 3, None), "equal means share a rank"
    assert first.with_best == (True, True, False, False)
    assert [e.name for e in second.entries] == ["elsewhere"]
    downward = boards_of(tmp_path, ("no-such", "lpips"))[0]
    assert [e.name for e in downward.entries][:3] == ["good", "near", "bad"]
    assert downward.ranks == (1, 1, 3, None)
    with pytest.raises(UserError, match="share none of the metrics"):
        boards_of(tmp_path, ("nothing",))


def test_unequal_metric_versions_are_never_ranked_together(tmp_path) -> None:
    fill(tmp_path)
    newer = {**METRICS, "psnr": {**METRICS["psnr"], "version": 2}}
    accept(make_run(tmp_path / "newer", metrics=newer), name="newer", results=tmp_path / "results")
    with pytest.raises(UserError, match="different versions or backbones of psnr"):
        boards_of(tmp_path)


def test_tables(tmp_path) -> None:
    fill(tmp_path)
    board = boards_of(tmp_path)[0]
    text = board_table(board).markdown()
    assert re.search(r"\| 1 \| good \| \*\*", text)
    assert re.search(r"\| – \| oracle \| [0-9]", text)
    assert "extra" not in text
    assert "(21 of 22)" in board_csv(board) or "21,22" in board_csv(board)
    assert r"\toprule" in board_table(board).latex()


def test_published_numbers_are_marked_and_apart(tmp_path) -> None:
    table = published_table(PUBLISHED)
    assert len(table.rows) == 11
    assert all("(reported)" in row[-1] for row in table.rows)
    assert "20.357" in table.markdown()
    fill(tmp_path)
    assert all("reported" not in board_table(board).markdown() for board in boards_of(tmp_path))


def test_page_needs_nothing_from_elsewhere_and_escapes(tmp_path) -> None:
    fill(tmp_path)
    run = make_run(tmp_path / "evil", 0.5)
    manifest = RunFolder(run).read_manifest()
    evil = {**manifest.model_info, "description": '"><script>alert(1)</script>'}
    RunFolder(run).write_manifest(replace(manifest, model_info=evil))
    accept(run, name="evil", link="javascript:alert(1)", results=tmp_path / "results")
    html = page(boards_of(tmp_path), published_table(PUBLISHED))
    assert "<script" not in html
    assert "javascript:" not in html
    assert not re.search(r"(src|href)=[\"']?(?!https://example)", html)
    assert unbalanced_tags(html) == []
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert html.index("oracle") > 0
    assert "No entry has been accepted yet." in page([], published_table(PUBLISHED))


def unbalanced_tags(html: str) -> list[str]:
    """Tags that are not closed in order."""
    stack: list[str] = []
    wrong: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs) -> None:
            if tag != "meta":
                stack.append(tag)

        def handle_startendtag(self, tag, attrs) -> None:
            pass

        def handle_endtag(self, tag) -> None:
            if not stack or stack.pop() != tag:
                wrong.append(tag)

    Reader().feed(html)
    return wrong + stack


def test_metrics_keep_their_order(tmp_path) -> None:
    fill(tmp_path)
    columns = board_table(boards_of(tmp_path, ("lpips",))[0]).header
    assert [name.split()[0] for name in columns[2:]] == ["lpips", "psnr"]
    entry = read_entries(tmp_path / "results")[0]
    assert entry.order == ("psnr", "lpips", "extra")


def test_commands(tmp_path) -> None:
    run = make_run(tmp_path / "run")
    results = ["--results", str(tmp_path / "results")]
    runner = CliRunner()
    added = runner.invoke(app, ["add", str(run), "--name", "mine", *results])
    assert added.exit_code == 0, added.output
    assert "### mini-v1, test: 22 clips" in runner.invoke(app, ["table", *results]).output
    assert runner.invoke(app, ["table", "--format", "csv", *results]).output.startswith("rank,model,metric")
    written = runner.invoke(app, ["site", "--out", str(tmp_path / "page.html"), *results])
    assert written.exit_code == 0, written.output
    assert "mine" in (tmp_path / "page.html").read_text()


def test_no_torch_is_needed() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"  # not sys.modules[name] = None, which scipy takes for an imported torch
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('torch', 'torchvision', 'diffusers', 'transformers', 'cv2', 'av'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import leaderboard.cli, leaderboard.site, leaderboard.tables, leaderboard.submission\n"
        "from leaderboard.tables import *\n"
        "print(len(published_table().rows), make_boards([], rank_by=['psnr']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["11", "[]"]


def test_shipped_entries_are_intact() -> None:
    for entry in read_entries():
        assert entry.name
