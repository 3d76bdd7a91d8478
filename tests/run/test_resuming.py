"""Files of a run that were cut, edited or swapped: made again or refused, and the rows end as those of a whole run."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import Followed, Follower, MeanError, Sometimes

from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.files import seal, write_json
from hmbench.protocols import MetricInfo
from hmbench.results.records import read_rows
from hmbench.results.run_folder import RunFolder
from hmbench.run.evaluate import EvalRequest, EvalResult, evaluate, generate, score
from hmbench.types import Score

SAMPLE = DiscWorld().ids("all")[1]
RESULT_FILES = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex")


class Counted(MeanError):  # noqa: N818
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, case) -> Score:
        self.asked += 1
        return super().__call__(case)


def run(out: Path, metrics=None, tracker=None, **changes) -> EvalResult:
    request = EvalRequest(**{"model": "toys:toy", "data": "disc", "out": out, **changes})
    return evaluate(request, metrics=metrics or [MeanError(), Sometimes(), Followed()], tracker=tracker or Follower())


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULT_FILES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def edit(path: Path, **changes) -> None:
    write_json(path, {**json.loads(path.read_text()), **changes})


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: cut(path, 0.5),
    "last byte gone": lambda path: path.write_bytes(path.read_bytes()[:-2]),
    "a flipped bit": flip,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "another file": lambda path: path.write_text('{"colour": "red"}'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "null": lambda path: path.write_text("null"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "gone": lambda path: path.unlink(),
}
FILES = {
    "run": "run.json",
    "prediction": f"predictions/{SAMPLE}.mp4",
    "record of a prediction": f"predictions/{SAMPLE}.json",
    "tracks": f"tracks/{SAMPLE}.json",
    "scores": f"scores/{SAMPLE}.json",
    "rows": "rows.jsonl",
    "summary": "summary.json",
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again(whole: Path, copy: Path, file: str, damage: str) -> None:
    if (file, damage) == ("run", "gone"):
        pytest.skip("without run.json a folder with results is nobody's: refused, see test_evaluate")
    DAMAGE[damage](copy / FILES[file])
    assert run(copy).failures == {}
    assert results(copy) == results(whole)
    left, right = (replace(RunFolder(folder).read_manifest(), environment={}) for folder in (copy, whole))
    assert left == right


def change_value(path: Path) -> None:
    content = json.loads(path.read_text())
    content["rows"][0]["value"] = 0.999
    write_json(path, content)


def strip_seal(path: Path) -> None:
    content = json.loads(path.read_text())
    content["rows"][0]["value"] = 0.999
    del content["digest"]
    write_json(path, content)


@pytest.mark.parametrize("how", [change_value, strip_seal])
def test_edited_scores_never_reach_a_table(whole: Path, copy: Path, how) -> None:
    how(copy / FILES["scores"])
    score(EvalRequest(data="disc", out=copy), metrics=[MeanError(), Sometimes(), Followed()], tracker=Follower())
    assert results(copy) == results(whole)


EDITS = {"seed": 9, "profile": "paper", "samples": [], "model": "oracle", "data_revision": "x", "metrics": {},
         "options": {"fail_at": "Noon"}, "split": None, "digest": None, "format": 1}  # fmt: skip


@pytest.mark.parametrize("key", EDITS)
def test_an_edited_run_is_refused_by_score_and_made_again_by_eval(whole: Path, copy: Path, key: str) -> None:
    edit(copy / "run.json", **{key: EDITS[key]})
    with pytest.raises(UserError, match="not as hmbench wrote it"):
        score(EvalRequest(data="disc", out=copy), metrics=[MeanError()])
    run(copy)
    assert results(copy) == results(whole)


def test_predictions_of_another_run_are_not_taken_over(whole: Path, copy: Path) -> None:
    (copy / "run.json").write_bytes(b"")
    run(copy, seed=7)
    assert results(copy) != results(whole)
    run_of_seven = copy.parent / "seven"
    run(run_of_seven, seed=7)
    assert results(copy) == results(run_of_seven)


@pytest.mark.parametrize("kind", ["predictions", "scores", "tracks"])
def test_files_of_two_samples_that_changed_places(whole: Path, copy: Path, kind: str) -> None:
    """Predictions that changed places together with their records were scored without a word."""
    ids = RunFolder(copy).read_manifest().samples[:2]
    for suffix in {path.suffix for path in (copy / kind).iterdir()}:
        first, second = (copy / kind / f"{i}{suffix}" for i in ids)
        first.rename(copy / "kept")
        second.rename(first)
        (copy / "kept").rename(second)
    found = score(
        EvalRequest(data="disc", out=copy), metrics=[MeanError(), Sometimes(), Followed()], tracker=Follower()
    )
    if kind == "predictions":
        assert sorted(found.failures) == sorted(ids) and f"is the prediction of {ids[1]}" in found.failures[ids[0]]
        assert run(copy).failures == {}
    assert results(copy) == results(whole)


def test_a_run_killed_before_its_first_file_goes_on(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "predictions").mkdir(parents=True)
    (out / ".run.json.4711.part").write_text("{")
    (out / ".run.json.0123456789ab.part").write_text("")
    run(out)
    assert results(out) == results(whole)
    assert not list(out.rglob("*.part*"))


TRAVERSAL = ("../../../victim", "/tmp/victim", "a/../../b", "..", "", ".hidden", "a\x00b", "a\nb", 7, None, ["a"])


@pytest.mark.parametrize("sample", TRAVERSAL)
@pytest.mark.parametrize("sealed", [True, False])
def test_ids_of_a_strangers_run_cannot_leave_its_folder(copy: Path, sample, sealed: bool) -> None:
    victim = copy.parent / "victim.json"
    write_json(victim, {"mine": 1})
    content = json.loads((copy / "run.json").read_text())
    content["samples"] = [sample]
    content["format"] = 2 if sealed else 1
    content["digest"] = seal(content)
    if not sealed:
        del content["digest"]
    write_json(copy / "run.json", content)
    before = {p for p in copy.parent.rglob("*") if ".work" not in p.parts}
    with pytest.raises(UserError, match="cannot name a file"):
        score(EvalRequest(data="disc", out=copy), metrics=[MeanError()])
    with pytest.raises(UserError, match="cannot name a file"):
        RunFolder(copy).scores(sample)
    assert json.loads(victim.read_text()) == {"mine": 1}
    assert {p for p in copy.parent.rglob("*") if ".work" not in p.parts} == before


def test_scores_add_up(whole: Path, copy: Path) -> None:
    before = list(read_rows(copy / "rows.jsonl"))
    counted = Counted()
    for _ in range(2):
        score(EvalRequest(data="disc", out=copy), metrics=[counted])
    assert counted.asked == 4, "its code is not that of MeanError, whose values stood there; then nothing was stale"
    assert list(read_rows(copy / "rows.jsonl")) == before

    class Second(Counted):
        info = replace(MeanError.info, name="second")

    second = Second()
    score(EvalRequest(data="disc", out=copy), metrics=[second])
    rows = list(read_rows(copy / "rows.jsonl"))
    assert second.asked == 4 and len(rows) == len(before) + 4
    assert [row for row in rows if row.metric != "second"] == before
    assert set(RunFolder(copy).read_manifest().metrics) == {"mae", "sometimes", "followed", "second"}


def test_a_newer_version_replaces_its_own_rows_alone(copy: Path) -> None:
    before = {(r.sample, r.metric): r for r in read_rows(copy / "rows.jsonl")}
    newer = Counted()
    newer.info = replace(MeanError.info, version=4)
    score(EvalRequest(data="disc", out=copy), metrics=[newer])
    after = {(r.sample, r.metric): r for r in read_rows(copy / "rows.jsonl")}
    assert newer.asked == 4 and set(after) == set(before)
    assert {k for k in after if after[k] != before[k]} == {k for k in before if k[1] == "mae"}


class Notices:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def stage(self, name, total, done) -> None: ...
    def advance(self, sample) -> None: ...
    def failed(self, sample, stage, message) -> None: ...

    def notice(self, text) -> None:
        self.texts.append(text)


def test_what_does_not_go_with_new_scores_is_named_and_taken_out(copy: Path) -> None:
    heard = Notices()
    other = Follower(settings={"speed": 2})

    class Also(Followed):
        info = replace(Followed.info, name="also_followed")

    score(EvalRequest(data="disc", out=copy), heard, metrics=[Also()], tracker=other)
    (text,) = heard.texts
    assert "followed (it was scored with another tracker)" in text
    assert {row.metric for row in read_rows(copy / "rows.jsonl")} == {"mae", "sometimes", "also_followed"}


def test_weights_count_for_the_metrics_that_look_through_them(tmp_path: Path) -> None:
    class Through(Counted):
        info = MetricInfo(name="through", version=1, higher_is_better=True, needs=frozenset({"alexnet"}))

    weights = tmp_path / "w"
    (weights / "alexnet").mkdir(parents=True)
    through, plain_one = Through(), Counted()
    (weights / "alexnet" / "a.pth").write_bytes(bytes(3_000_000))
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run", weights=weights)
    evaluate(request, metrics=[through, plain_one])
    assert through.asked == plain_one.asked == 4
    (weights / "alexnet" / "a.pth").write_bytes(bytes(2_999_999) + b"x")  # another network of equal size
    evaluate(request, metrics=[through, plain_one])
    assert (through.asked, plain_one.asked) == (8, 4)
    record = RunFolder(tmp_path / "run").read_manifest().metrics
    assert list(record["through"].weights) == ["alexnet/a.pth"] and record["mae"].weights == {}


def test_a_run_of_the_last_version_goes_on(whole: Path, copy: Path) -> None:
    """Records without digests: videos are decoded once, and then recorded; scores are made again."""
    manifest = json.loads((copy / "run.json").read_text())
    del manifest["digest"]
    manifest["metrics"] = {name: {k: r[k] for k in ("name", "version")} for name, r in manifest["metrics"].items()}
    write_json(copy / "run.json", {**manifest, "format": 1})
    for path in (copy / "predictions").glob("*.json"):
        write_json(path, {k: v for k, v in json.loads(path.read_text()).items() if k in ("seed", "seconds")})
    for path in (copy / "scores").glob("*.json"):
        content = json.loads(path.read_text())
        write_json(path, {k: content[k] for k in ("stamp", "failures", "sample", "rows", "events")})
    times = {p: p.stat().st_mtime_ns for p in (copy / "predictions").glob("*.mp4")}
    run(copy)
    assert {p: p.stat().st_mtime_ns for p in (copy / "predictions").glob("*.mp4")} == times
    assert "sha256" in json.loads((copy / FILES["record of a prediction"]).read_text())
    assert (copy / "rows.jsonl").read_bytes() == (whole / "rows.jsonl").read_bytes()


def test_a_full_disk_ends_the_run_at_once_and_it_goes_on(whole: Path, tmp_path: Path, monkeypatch) -> None:
    import errno
    import os

    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device.*the same command goes on"):
        run(tmp_path / "run")
    made = len(list((tmp_path / "run" / "predictions").glob("*.mp4")))
    assert made < 4, "it went on generating what it could not keep"
    monkeypatch.undo()
    run(tmp_path / "run")
    assert results(tmp_path / "run") == results(whole)


def test_generating_again_makes_only_what_is_not_whole(copy: Path) -> None:
    cut(copy / FILES["prediction"], 0.7)
    times = {p: p.stat().st_mtime_ns for p in (copy / "predictions").glob("*.mp4")}
    generate(EvalRequest(model="toys:toy", data="disc", out=copy))
    changed = [p.stem for p, t in times.items() if p.stat().st_mtime_ns != t]
    assert changed == [SAMPLE]
    assert np.isfinite(json.loads((copy / FILES["record of a prediction"]).read_text())["seconds"])


class Counting(Follower):
    """Counts the videos that it follows."""

    asked = 0

    def track(self, video):
        self.asked += 1
        return super().track(video)


@pytest.mark.parametrize("first", ["psnr", "hota"])
def test_verdicts_come_with_the_first_metric_that_judges_returns(tmp_path: Path, first: str) -> None:
    """Whatever was scored before: `hota` follows subjects and judges nobody, `psnr` does not even follow them."""
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run", metrics=(first,))
    follower = Counting()
    evaluate(request, tracker=follower)
    events = read_events(tmp_path / "run")
    assert len(events) == 6 and {event["verdict"] for event in events} == {None}
    assert bool(follower.asked) == (first == "hota")
    evaluate(replace(request, metrics=("reentry_success",)), tracker=follower)
    judged = read_events(tmp_path / "run")
    assert [event["verdict"] for event in judged] == ["not judged"] * 6  # nobody follows the real ones either
    asked = follower.asked
    evaluate(replace(request, metrics=("psnr_background",)), tracker=follower)
    assert read_events(tmp_path / "run") == judged and follower.asked == asked


def read_events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
