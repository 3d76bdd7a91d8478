"""Readers of a run read what was scored: an edited row, event or sample is refused, and scoring mends it."""

import json
import shutil
from pathlib import Path

import pytest
from toys import MeanError, Sometimes

from hmbench.cli.inspect import _records
from hmbench.digests import file_digest
from hmbench.errors import UserError
from hmbench.files import write_sealed
from hmbench.report.compare import CompareSettings, compare_runs
from hmbench.report.pages.events import read_events
from hmbench.results.notes import run_notes
from hmbench.results.run_folder import SEALED_BY_SUMMARY, RunFolder
from hmbench.results.sample_row import read_samples
from hmbench.run.evaluate import EvalRequest, evaluate, score
from leaderboard.submission import accept

METRICS = (MeanError(), Sometimes())


def run(out: Path, seed: int) -> None:
    evaluate(EvalRequest(model="toys:toy", data="disc", out=out, seed=seed), metrics=list(METRICS))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run(folder / "a", 0)
    run(folder / "b", 1)
    return folder


@pytest.fixture
def both(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs, tmp_path / "runs"))


def edit_line(path: Path) -> None:
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    first["value" if "value" in first else "num_subjects"] = 9
    path.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")


DAMAGE = {
    "edited": edit_line,
    "a line gone": lambda path: path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n"),
    "a line twice": lambda path: path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n"),
    "empty": lambda path: path.write_text(""),
    "gone": lambda path: path.unlink(),
    "deep": lambda path: path.write_text("[" * 100_000 + "\n"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\n"),
}
READ = {
    "rows.jsonl": lambda folder: compare_runs([folder, folder.parent / "b"], CompareSettings()),
    "samples.jsonl": read_samples,
    "events.jsonl": read_events,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["rows.jsonl", "samples.jsonl"])
def test_what_was_edited_is_refused_and_scoring_mends_it(both: Path, name: str, damage: str) -> None:
    path = both / "a" / name
    before = path.read_bytes()
    DAMAGE[damage](path)
    readers = [lambda: compare_runs([both / "a", both / "b"], CompareSettings())]
    readers += [lambda: accept(both / "a", name="x", results=both / "board"), lambda: READ[name](both / "a")]
    for read in readers:
        with pytest.raises(UserError, match=r"not as it was scored"):
            read()
    assert not (both / "board").exists()
    score(EvalRequest(data="disc", out=both / "a"), metrics=list(METRICS))
    assert path.read_bytes() == before
    compare_runs([both / "a", both / "b"], CompareSettings())


def test_events_and_the_summary_are_sealed_too(both: Path) -> None:
    assert set(json.loads((both / "a" / "summary.json").read_text())["files"]) == set(SEALED_BY_SUMMARY)
    (both / "a" / "events.jsonl").write_text('{"sample": "x", "label": 1, "exit": 1, "reentry": 2}\n')
    with pytest.raises(UserError, match="not as it was scored"):
        read_events(both / "a")
    content = json.loads((both / "b" / "summary.json").read_text())
    content["metrics"]["mae"]["mean"] = 0.0
    (both / "b" / "summary.json").write_text(json.dumps(content))
    for read in (RunFolder(both / "b").summary, RunFolder(both / "b").rows):
        with pytest.raises(UserError, match="its digest does not fit"):
            read()


def test_runs_of_before_had_no_digests(both: Path) -> None:
    content = json.loads((both / "a" / "summary.json").read_text())
    for key in ("digest", "files"):
        del content[key]
    (both / "a" / "summary.json").write_text(json.dumps(content))
    assert len(RunFolder(both / "a").rows()) == 8
    (both / "a" / "summary.json").unlink()
    assert len(RunFolder(both / "a").rows()) == 8


def test_inspect_shows_no_edited_scores(both: Path) -> None:
    folder = RunFolder(both / "a")
    manifest = folder.read_manifest()
    sample = manifest.samples[0]
    _records(folder, sample)
    content = json.loads(folder.scores(sample).read_text())
    content["rows"][0]["value"] = 0.5
    folder.scores(sample).write_text(json.dumps(content))
    with pytest.raises(UserError, match="its digest does not fit"):
        _records(folder, sample)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("metrics", {"psnr": {"version": "1", "higher_is_better": True}}, "metric psnr, version"),
        ("metrics", {"psnr": {"version": 1}}, "metric psnr, higher_is_better"),
        ("options", {"a": 1}, "options, a"),
        ("model_info", {"name": None}, "model_info, name"),
        ("model_info", {"name": "x", "weights": {"a": []}}, "model_info, weights, a"),
        ("model_info", {"name": "x", "trained": "yes"}, "model_info, trained"),
        ("samples", ["../../victim"], "cannot name a file"),
        ("samples", ["CON"], "cannot name a file"),
        ("samples", ["a."], "cannot name a file"),
    ],
    ids=str,
)
def test_a_run_whose_digest_was_made_anew_is_still_looked_into(both: Path, key: str, value: object, said: str) -> None:
    path = both / "a" / "run.json"
    content = {k: v for k, v in json.loads(path.read_text()).items() if k != "digest"}
    write_sealed(path, {**content, key: value})
    with pytest.raises(UserError, match=said):
        RunFolder(both / "a").read_manifest()


@pytest.mark.parametrize("name", SEALED_BY_SUMMARY)
def test_bytes_that_are_no_text_are_one_sentence_whatever_their_digests_say(both: Path, name: str) -> None:
    """A changed byte in rows whose digests were made anew was a UnicodeDecodeError in every reader."""
    folder, summary = both / "a", both / "a" / "summary.json"
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b'"', b'"\xb2', 1))
    changed = {k: v for k, v in json.loads(summary.read_text()).items() if k != "digest"}
    write_sealed(summary, {**changed, "files": {n: file_digest(folder / n) for n in SEALED_BY_SUMMARY}})
    if name == "rows.jsonl":
        for reader in (lambda: list(RunFolder(folder).rows()), lambda: accept(folder, name="x", results=both / "e")):
            with pytest.raises(UserError, match=r"rows.jsonl, line 1 is damaged: it is no text in UTF-8"):
                reader()
    run_notes(folder, RunFolder(folder).read_manifest())
    READ["samples.jsonl"](folder)
