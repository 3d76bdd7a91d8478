"""Submissions are accepted only if they are trained, complete and unchanged; tables rank only what may be ranked."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.report.pages.gallery import prediction
from hmbench.report.pages.site import write_site
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import Row, RunManifest, write_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow
from hmbench.results.statistics import holm, paired_test
from hmbench.results.summary import summarise
from leaderboard.cli import app
from leaderboard.readme import BEGIN, END, rendered, results_table, update_document
from leaderboard.site import leaderboard_site
from leaderboard.submission import accept, entry_digest, read_entries, read_entry
from leaderboard.tables import PUBLISHED, board_csv, board_table, make_boards, published_table

SAMPLES = tuple(f"clip{i:02d}" for i in range(22))
METRICS = {
    name: MetricRecord(name=name, version=1, **about, untold=frozenset({"needs", "bounds"}))
    for name, about in {
        "psnr": {"higher_is_better": True, "unit": "dB", "headline": True},
        "lpips": {"higher_is_better": False, "headline": True, "weights": {"alexnet/a.pth": "1"}},
        "extra": {"higher_is_better": True},
    }.items()
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
            Row(sample=sample, metric=m, version=manifest.metrics[m].version, value=v, cluster=f"scene{i % 11}")
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
    assert entry.means["psnr"].mean == expected["psnr"].mean
    assert (entry.means["psnr"].low, entry.means["psnr"].high) == (expected["psnr"].low, expected["psnr"].high)
    assert entry.means["extra"].scored == 21
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
    newer = {**METRICS, "psnr": replace(METRICS["psnr"], version=2)}
    accept(make_run(tmp_path / "newer", metrics=newer), name="newer", results=tmp_path / "results")
    with pytest.raises(UserError, match="have psnr in different ways: versions 1 and 2"):
        boards_of(tmp_path)


def test_entries_seen_through_other_weights_are_never_ranked_together(tmp_path) -> None:
    """Two AlexNets: LPIPS of one is not LPIPS of the other, and nobody may be first on it."""
    fill(tmp_path)
    swapped = {**METRICS, "lpips": replace(METRICS["lpips"], weights={"alexnet/a.pth": "2"})}
    accept(make_run(tmp_path / "swapped", metrics=swapped), name="swapped", results=tmp_path / "results")
    with pytest.raises(UserError, match=r"have lpips in different ways: different weights \(alexnet/a\.pth\)"):
        make_boards(read_entries(tmp_path / "results"), rank_by=["lpips"])
    board = next(b for b in boards_of(tmp_path) if "swapped" in {e.name for e in b.entries})
    assert board.columns == ["psnr"] and board.left_out == {"lpips": "different weights (alexnet/a.pth)"}
    assert "Left out: lpips, which the entries have in different weights (alexnet/a.pth)." in board_table(board).notes
    (shown,) = (b for b in leaderboard_site(read_entries(tmp_path / "results"), None, rank_by=["psnr"]).boards
                if "left out" in b.about)  # fmt: skip
    assert [m.name for m in shown.metrics] == ["psnr", "extra"]
    assert shown.about["left out"] == "lpips (different weights (alexnet/a.pth))"


def test_tables(tmp_path) -> None:
    fill(tmp_path)
    board = boards_of(tmp_path)[0]
    text = board_table(board).markdown()
    assert re.search(r"\| 1 \| good \| \*\*", text)
    assert re.search(r"\| – \| oracle \| [0-9]", text)
    assert "extra" not in text
    assert "No entry is verified: none was scored again from its videos" in text
    done = replace(board, entries=(replace(board.entries[0], verified={"on": "2026-11-28"}), *board.entries[1:]))
    others = len(board.entries) - 1
    assert f"scored again from its videos: {board.entries[0].name}; {others} are not." in board_table(done).markdown()
    assert "(21 of 22)" in board_csv(board) or "21,22" in board_csv(board)
    assert r"\toprule" in board_table(board).latex()


def test_published_numbers_are_marked_and_apart(tmp_path) -> None:
    table = published_table(PUBLISHED)
    assert len(table.rows) == 11
    assert all("(reported)" in row[-1] for row in table.rows)
    assert "20.357" in table.markdown()
    fill(tmp_path)
    assert all("reported" not in board_table(board).markdown() for board in boards_of(tmp_path))


def test_site_shows_entries_apart_from_published_numbers(tmp_path) -> None:
    fill(tmp_path)
    site = leaderboard_site(read_entries(tmp_path / "results"), published_table(PUBLISHED), rank_by=["psnr"])
    first, second = site.boards
    assert [c.name for c in first.contenders] == ["good", "near", "bad", "oracle"]
    assert [c.ranked for c in first.contenders] == [True, True, True, False]
    assert first.contenders[0].command == "hmbench eval --model m --option top_k=5 --data mini-v1 --split test"
    assert [c.name for c in second.contenders] == ["elsewhere"]
    write_site(site, tmp_path / "site")
    html = (tmp_path / "site" / "index.html").read_text()
    ours, reported = html.split('class="reported"')
    assert "20.357" in reported
    assert "20.357" not in ours
    assert "good" not in reported


def test_hostile_entries_stay_words(tmp_path) -> None:
    run = make_run(tmp_path / "evil", 0.5)
    manifest = RunFolder(run).read_manifest()
    evil = {**manifest.model_info, "description": '"><script>alert(1)</script>\x1b[31m\u202e'}
    RunFolder(run).write_manifest(replace(manifest, model_info=evil))
    accept(run, name="evil", link="javascript:alert(1)", results=tmp_path / "results")
    site = leaderboard_site(read_entries(tmp_path / "results"), None, rank_by=["psnr"])
    write_site(site, tmp_path / "site")
    for path in (tmp_path / "site").rglob("*.html"):
        assert "<script>alert" not in path.read_text()
        assert 'href="javascript' not in path.read_text()
    page = next((tmp_path / "site").rglob("evil.html")).read_text()
    assert "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u241b[31m[U+202E]" in page


def test_an_empty_leaderboard_says_so(tmp_path) -> None:
    write_site(leaderboard_site([], published_table(PUBLISHED), rank_by=["psnr"]), tmp_path / "site")
    assert "No entry has been accepted yet." in (tmp_path / "site" / "index.html").read_text()


def test_entries_hold_what_a_page_needs(tmp_path) -> None:
    run = make_run(tmp_path / "good", metric_weights={"net": "cd" * 32}, tracker_settings={"high": 0.5})
    event = {
        "sample": "clip02",
        "label": 1,
        "exit": 40,
        "reentry": 90,
        "verdict": "late",
        "success": 0.4,
        "tracks": [3],
    }
    (run / "events.jsonl").write_text(json.dumps(event) + "\n")
    lines = [{"id": s, "cell": "seen", "num_subjects": 2, "told_apart": "positions"} for s in SAMPLES]
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    entry = read_entry(accept(run, name="good", results=tmp_path / "results"))
    assert entry.format == 2
    assert entry.model == "m"
    assert entry.metric_weights == {"net": "cd" * 32}
    assert entry.tracker_settings == {"high": 0.5}
    assert entry.told_apart == "positions"
    assert entry.clips[5] == SampleRow(id="clip05", cell="seen", num_subjects=2, told_apart="positions")
    assert [(e["sample"], e["verdict"], e["hidden"]) for e in entry.events] == [("clip02", "late", 50)]
    video = RunFolder(run).prediction("clip07").read_bytes()
    assert entry.videos["clip07"] == hashlib.sha256(video).hexdigest()[:16]
    assert len(entry.videos) == 22
    digests = [entry.videos[s] for s in SAMPLES]
    assert entry.predictions == hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]


def test_entries_told_apart_differently_are_not_ranked_together(tmp_path) -> None:
    for name, way in (("exact", None), ("guessed", "positions")):
        run = make_run(tmp_path / name)
        lines = [{"id": s, **({"told_apart": way} if way else {})} for s in SAMPLES]
        (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        accept(run, name=name, results=tmp_path / "results")
    assert [[e.name for e in board.entries] for board in boards_of(tmp_path)] == [["exact"], ["guessed"]]


def test_only_videos_that_were_scored_are_shown(tmp_path) -> None:
    run = make_run(tmp_path / "good")
    entry = read_entry(accept(run, name="good", results=tmp_path / "results"))
    other = make_run(tmp_path / "other", 1.0)
    site = leaderboard_site([entry], None, rank_by=["psnr"], runs=[other, run])
    assert site.boards[0].contenders[0].run == run, "found by its videos, not by its name"
    clip = site.boards[0].clips[4]
    assert prediction(site.boards[0].contenders[0], clip) == RunFolder(run).prediction("clip04")
    RunFolder(run).prediction("clip04").write_bytes(b"a better video")
    assert prediction(site.boards[0].contenders[0], clip) is None
    assert leaderboard_site([entry], None, rank_by=["psnr"], runs=[other]).boards[0].contenders[0].run is None


def test_one_bad_entry_hides_no_other(tmp_path) -> None:
    fill(tmp_path)
    results = tmp_path / "results"
    (results / "half.json").write_text('{"format": 2, "name"')
    record = json.loads((results / "good.json").read_text())
    record.pop("digest")
    for name, change in {
        "short": {"values": {**record["values"], "psnr": record["values"]["psnr"][:-1]}},
        "events": {"events": [{"sample": "clip00", "label": 1, "exit": "soon", "reentry": 3}]},
        "list": {"clips": [1, 2]},
        "name": {"name": "../up"},
    }.items():
        changed = {**record, **change}
        changed["digest"] = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
        (results / f"{name}.json").write_text(json.dumps(changed))
    refused = {}
    entries = read_entries(results, lambda path, error: refused.update({path.stem: error.what}))
    assert sorted(e.name for e in entries) == ["bad", "elsewhere", "good", "near", "oracle"]
    assert set(refused) == {"half", "short", "events", "list", "name"}
    assert "psnr has not one number a clip" in refused["short"]
    assert "has exit soon" in refused["events"]
    checked = CliRunner().invoke(app, ["check", "--results", str(results)])
    assert isinstance(checked.exception, UserError)
    assert "5 of 10 entries are refused" in checked.exception.what
    assert "ok good (22 clips" in checked.output
    table = CliRunner().invoke(app, ["table", "--results", str(results)])
    assert table.exit_code == 0
    assert "Left out short.json" in table.stderr


@pytest.mark.parametrize(
    "content", ["7", '"../../etc/passwd"', "null", "[1]", "[[1, 2], [3, 4]]", "{}", '{"format": 2}']
)
def test_json_that_is_no_entry_is_left_out(tmp_path, content) -> None:
    (tmp_path / "bad.json").write_text(content)
    done = CliRunner().invoke(app, ["table", "--results", str(tmp_path)])
    assert done.exit_code == 0 and "Left out bad.json" in done.output, done.output


def test_names_of_files_reach_no_terminal_as_they_are(tmp_path) -> None:
    (tmp_path / "a\x1b]0;t\x07.json").write_text("{}")
    for command in ("check", "table"):
        done = CliRunner().invoke(app, [command, "--results", str(tmp_path)])
        assert "a\\x1b]0;t\\x07.json" in done.output and "\x1b]0" not in done.output


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
    written = runner.invoke(app, ["site", str(tmp_path / "site"), *results])
    assert written.exit_code == 0, written.output
    assert "mine" in (tmp_path / "site" / "index.html").read_text()
    assert runner.invoke(app, ["check", *results]).output.startswith(
        "ok mine (22 clips, 3 metrics, format 2, not verified"
    )


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


@pytest.mark.parametrize(
    ("trained", "notice", "standing", "ranked"),
    [
        (True, None, "model", True),
        (True, "nano weights stand in for it", "stand-in", True),
        (None, None, "model", True),
        (None, "it is shown the truth", "bound", False),
    ],
)
def test_who_is_ranked(tmp_path, trained, notice, standing, ranked) -> None:
    """Runs of 0.1 say no standing: it follows from their weights and their notice."""
    run = make_run(tmp_path / "run", trained=trained, notice=notice)
    entry = read_entry(accept(run, name="x", results=tmp_path / "results"))
    assert (entry.standing, entry.ranked) == (standing, ranked)
    assert entry.kind == ("bound" if standing == "bound" else "model")


@pytest.mark.parametrize("field", ["tracker", "profile", "split", "data_revision", "data_name"])
def test_a_board_is_one_way_of_measuring_on_one_set_of_clips(tmp_path, field) -> None:
    entry = read_entry(accept(make_run(tmp_path / "run"), name="x", results=tmp_path / "results"))
    assert entry.board != replace(entry, **{field: "another"}).board


def test_documents_get_their_table_from_the_entries(tmp_path) -> None:
    fill(tmp_path)
    accept(make_run(tmp_path / "noise", -9.0, trained=None), name="noise", results=tmp_path / "results")
    entries = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    path = tmp_path / "page.md"
    with pytest.raises(UserError, match="has no place for the results"):
        path.write_text("nothing")
        update_document(path, entries)
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert update_document(path, entries) and not update_document(path, entries)
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    names = re.findall(r"^\| (?:`([\w-]+)`|\*(.+?)\*) \|", text, re.M)
    assert ["".join(pair) for pair in names] == [
        "models", "good", "near", "bad", "no memory: tricks and anchors", "noise",
        "bounds: shown the truth, not ranked", "oracle",
    ]  # fmt: skip
    good = next(e for e in entries if e.name == "good").means["psnr"]
    assert f"{good.mean:.2f} [{good.low:.2f}, {good.high:.2f}]" in text
    assert "22 clips of revision `rev1`" in text


def test_a_table_holds_what_can_be_compared_and_names_the_rest(tmp_path) -> None:
    fill(tmp_path)
    entries = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    newer = replace(entries[0].metrics["psnr"], version=2)
    moved = [replace(e, metrics={**e.metrics, "psnr": newer}) for e in entries if e.name in ("good", "bad")]
    old = [e for e in entries if e.name in ("near", "oracle")]
    text = results_table([*old, *moved])
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.M) == ["good", "bad"]
    assert "not to be compared: `near`, `oracle`." in text
    elsewhere = [replace(e, data_revision="rev9") for e in moved[:1]]
    assert f"compared: `{moved[0].name}`" in results_table([*elsewhere, *entries])
    assert "not to be compared" not in results_table(entries)


def test_each_world_has_a_table_of_its_own(tmp_path) -> None:
    """An entry on other data changes no table but its own, even with newer metrics and in greater number."""
    fill(tmp_path)
    here = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    newer = {name: replace(metric, version=9) for name, metric in here[0].metrics.items()}
    easy = [replace(e, name=f"easy-{e.name}", data_name="easy", data_revision="rev7", metrics=newer) for e in here]
    extra = replace(easy[0], name="easy-more")
    mark = "<!-- results of lpips psnr on {}: python -m leaderboard documents -->\n<!-- results end -->\n"
    one, both = (rendered(mark.format(here[0].data_name) * n, here) for n in (1, 2))
    assert both == one * 2 and rendered(one, [*easy, extra, *here]) == one
    assert "easy-" not in one and "| model | lpips | PSNR (dB) |" in one
    text = rendered(mark.format("easy"), [*easy, extra, *here])
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, re.M)) == {e.name for e in (*easy, extra)}
    for asked, said in (("lpips psnr on nowhere", "results on nowhere"), ("lpis on easy", "the metric lpis")):
        with pytest.raises(UserError, match=said):
            rendered(mark.replace("lpips psnr on {}", asked), [*easy, *here])


def test_the_first_metric_orders_in_its_own_direction(tmp_path) -> None:
    for name, shift in {"middle": 0.0, "worst": -2.0, "best": 1.0}.items():
        accept(make_run(tmp_path / name, shift), name=name, results=tmp_path / "results")
    text = results_table(read_entries(tmp_path / "results"), ["lpips"])
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.M) == ["best", "middle", "worst"]


def test_documents_tell_paired_differences(tmp_path) -> None:
    fill(tmp_path)
    entries = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    rng = np.random.default_rng(3)
    shifts = {"good": rng.normal(0.3, 0.5, 22), "near": np.zeros(22), "bad": rng.normal(-0.2, 0.3, 22)}
    values = {e.name: e.values["psnr"] + shifts.get(e.name, np.ones(22)) for e in entries}
    missing = {"good": (5, 6)}
    moved = []
    for entry in entries:
        column = tuple(None if k in missing.get(entry.name, ()) else float(v) for k, v in enumerate(values[entry.name]))
        moved.append(replace(entry, values={**entry.values, "psnr": column}))
    mark = "<!-- differences of psnr from near on mini-v1: python -m leaderboard documents -->\n<!-- results end -->\n"
    text = rendered(mark, moved)
    tests, kept = {}, [k for k in range(22) if k not in (5, 6)]
    for name, clips in {"good": kept, "bad": list(range(22))}.items():
        scenes = [f"scene{k % 11}" for k in clips]
        tests[name] = paired_test(values[name][clips], values["near"][clips], scenes)
    wanted = []
    for (name, test), p in zip(tests.items(), holm([t.p for t in tests.values()]), strict=True):
        clips = np.subtract(values[name], values["near"])[kept if name == "good" else slice(None)]
        counts = f"{(clips > 0).sum()}/0/{(clips < 0).sum()}"
        about = f"{clips.mean():.2f} [{test.low:.2f}, {test.high:.2f}] | {len(clips)} | {counts} | {p:.3f}"
        wanted.append(f"| `{name}` | {about} |".replace("-", "\u2212"))
    assert [line for line in text.splitlines() if line.startswith("| `")] == wanted
    assert "over 11 scenes, Holm over 2 tests" in text and rendered(text, moved) == text
    for wrong, said in (
        ("from nobody", "No model nobody"),
        ("from oracle", "No model oracle"),
        ("", "names no metric"),
    ):
        with pytest.raises(UserError, match=said):
            rendered(mark.replace("from near", wrong).replace("  ", " "), moved)


def test_what_was_trained_again_stands_among_seeds(tmp_path) -> None:
    fill(tmp_path)
    entries = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    named = {e.name: e for e in entries}
    again = [
        replace(named[old], name=new)
        for old, new in {"bad": "good-seed2", "near": "good-seed0", "good": "near-seed0", "oracle": "seed3"}.items()
    ]
    mark = "<!-- {} on mini-v1: python -m leaderboard documents -->\n<!-- results end -->\n"

    def names(wanted: str, given=(*again, *entries)) -> list[str]:
        return re.findall(r"^\| `([\w-]+)` \|", rendered(mark.format(wanted), list(given)), re.M)

    assert names("results of psnr") == ["good", "near", "bad", "oracle", "seed3"]  # a name that only ends like one
    assert names("seeds of lpips") == ["good", "good-seed0", "good-seed2", "near", "near-seed0"]
    assert names("differences of psnr from good") == names("differences of psnr from good", entries) == ["near", "bad"]
    assert names("differences of psnr from near-seed0") == ["good-seed0"]
    text = rendered(mark.format("seeds of psnr"), [*again, *entries])
    near, cell = named["near"].means["psnr"], re.escape("`good-seed0` | ")
    assert re.search(rf"{cell}{near.mean:.2f} \[{near.low:.2f}, {near.high:.2f}\] \|\n", text)
    assert text == rendered(text, [*again, *entries]) and "22 clips of revision `rev1`" in text
    with pytest.raises(UserError, match="asks for seeds, and no entry NAME has one that is named NAME-seedN"):
        names("seeds of psnr", entries)
    # a seed in a name says nothing where there is no first training
    alone = [replace(named["bad"], name="mine-seed3"), *entries]
    assert sorted(names("results of psnr", alone)) == ["bad", "good", "mine-seed3", "near", "oracle"]
    with pytest.raises(UserError, match="asks for seeds"):
        names("seeds of psnr", alone)
    newer = {**again[0].metrics, "psnr": replace(again[0].metrics["psnr"], version=2)}
    text = rendered(mark.format("seeds of psnr"), [replace(again[0], metrics=newer), *again[1:], *entries])
    assert "not to be compared: `" in text and "`good-seed2`" in text


@pytest.mark.parametrize("wrong", ["seed of psnr", "results of psnr on mini-v1 and", "result"])
def test_a_mark_that_is_not_understood_or_has_no_end_is_a_sentence(tmp_path, wrong) -> None:
    fill(tmp_path)
    entries = [e for e in read_entries(tmp_path / "results") if e.data_revision == "rev1"]
    good = f"<!-- results on mini-v1: python -m leaderboard documents -->\n{END}\n"
    bad = f"<!-- {wrong}: python -m leaderboard documents -->"
    for text, named in ((f"{good}{bad}\n{END}\n{good}", bad), (good.replace(END, "kept") + good, good.split("\n")[0])):
        with pytest.raises(UserError, match=f"^{re.escape(named)} is not understood, or has no end"):
            rendered(text, entries)


def test_entries_sampled_in_another_way_are_told_apart(tmp_path):
    for name in ("exact", "tiled"):
        accept(make_run(tmp_path / name), name=name, results=tmp_path / "results")
    entries = read_entries(tmp_path / "results")
    told = [replace(e, settings={"codec_tiles": e.name == "tiled", "dtype": "bfloat16"}) for e in entries]
    assert board_table(make_boards(told, rank_by=["psnr"])[0]).notes[2:] == [
        "The runs were not sampled alike: codec in tiles no for exact; yes for tiled."
    ]
    assert len(board_table(make_boards(entries, rank_by=["psnr"])[0]).notes) == 2


STRANGE = (
    (("metrics", "psnr", "version"), "1", "psnr, version"),
    (("metrics", "psnr", "version"), True, "psnr, version"),
    (("metrics", "psnr", "higher_is_better"), "yes", "higher_is_better"),
    (("metrics", "psnr", "bounds"), [3, 1], "bounds"),
    (("metrics", "psnr", "bounds"), ["x", None], "bounds"),
    (("metrics", "psnr"), [], "metric psnr"),
    (("options", "top_k"), {"a": 1}, "options, top_k"),
    (("weights", "w"), None, "weights, w"),
    (("clusters", 3), [["a"], ["b"]], "has no name"),
    (("samples", 0), 7, "has no name"),
    (("values", "psnr", 0), True, "one number a clip"),
    (("seed",), "0", "its seed"),
    (("events",), {}, "its events"),
    (("name",), "../x", "its name"),
)


@pytest.mark.parametrize(("path", "value", "said"), STRANGE, ids=lambda v: str(v)[:30])
def test_an_entry_whose_digest_was_made_anew_is_still_looked_into(tmp_path, path, value, said) -> None:
    file = accept(make_run(tmp_path / "run"), name="x", results=tmp_path / "results")
    record = read_json(file)
    record.pop("digest")
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write_json(file, {**record, "digest": entry_digest(record)})
    with pytest.raises(UserError, match=said):
        read_entry(file)
