"""The commands as a stranger uses them: wrong folders and options, plain scripts, killed runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hmbench.cli import data_app
from hmbench.data.mini_world import GenerateConfig, Probe, generate
from hmbench.data.mini_world.card import shortfall, statistics
from hmbench.data.mini_world.generate import accepted_specs
from hmbench.data.mini_world.sheet import make_sheet, save_picture
from hmbench.data.mini_world.writer import write_captions
from hmbench.errors import UserError
from hmbench.workers.spread import spread

generation = sys.modules[GenerateConfig.__module__]  # by its path it is hidden behind the function of that name
REPOSITORY = Path(__file__).resolve().parents[3]
JOBS = """
import os, sys, time
from hmbench.errors import UserError

def square(x):
    print("noise that must not end up between the answers")
    return x * x, os.getpid()

def refuse(x):
    raise UserError(f"No {x}.", "Take another.")

def die(x):
    os._exit(3)

def nap(x):
    time.sleep(0.1)
    return x
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short clips."""
    out = tmp_path_factory.mktemp("mini") / "made"
    generate(small(out))
    return out


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that worker processes can import."""
    (tmp_path / "jobs_of_a_test.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "jobs_of_a_test", raising=False)
    import jobs_of_a_test  # type: ignore[import-not-found]

    return jobs_of_a_test


def small(out: Path, **changes: Any) -> GenerateConfig:
    return GenerateConfig(**({"out": out, "clips": 2, "size": (32, 32), "half": 5} | changes))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data_app, [str(a) for a in arguments])


def script(folder: Path, text: str, **options: Any) -> subprocess.Popen[str]:
    """Start a plain script, without any ``if __name__ == "__main__"``."""
    path = folder / "plain_script.py"
    path.write_text(text)
    where = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": where},
        **options,
    )


def test_a_foreign_folder_keeps_its_captions(tmp_path: Path) -> None:
    (tmp_path / "clip1").mkdir()
    (tmp_path / "caption.txt").write_text("clip1\tA caption that took an hour.\n")
    done = run("make-mini", tmp_path, "--clips", 1, "--size", "32x32")
    assert isinstance(done.exception, UserError)
    assert "has no mini.json but holds other things (caption.txt, clip1)" in done.exception.what
    assert "Take a new or empty folder" in done.exception.hint
    assert (tmp_path / "caption.txt").read_text() == "clip1\tA caption that took an hour.\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["caption.txt", "clip1"]


def test_hidden_files_do_not_fill_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    (tmp_path / ".mini.json.part-1").touch()  # what a run leaves that was killed in its first moment
    generate(small(tmp_path, clips=1))
    assert json.loads((tmp_path / "mini.json").read_text())["size"] == [32, 32]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    for out in (tmp_path / "afile", tmp_path / "afile" / "below"):
        done = run("make-mini", out, "--clips", 1)
        assert isinstance(done.exception, UserError), done.exception
        assert f"cannot be written to {out}" in done.exception.what and done.exception.hint


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generation, "write_clip", full)
    with pytest.raises(UserError, match=r"cannot be written to .*: No space left on device"):
        generate(small(tmp_path, clips=1))


@pytest.mark.parametrize("content", ["", '{"version": "mi', "[]", "\xff"])
def test_a_damaged_list_of_options_is_explained(tmp_path: Path, content: str) -> None:
    (tmp_path / "mini.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"cannot be told: .*mini.json is no .*delete this one"):
        generate(small(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mini.json"]


def test_of_two_first_runs_one_writes_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run's file appears after this one has looked and before it writes."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        target.write_text(json.dumps({"size": [64, 64]}))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(UserError, match=r"already holds other clips: .*size \[64, 64\] \(asked: \[32, 32\]\)"):
        generate(small(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mini.json"]


def test_file_systems_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    generation._check_folder(small(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mini.json"]


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [("--crf", 52, "crf) 52"), ("--crf", -1, "crf) -1"), ("--clips", 0, "0 clips"), ("--workers", 0, "on 0 workers")],
)
def test_options_are_known_to_be_good_before_anything_is_written(
    tmp_path: Path, option: str, value: int, sentence: str
) -> None:
    done = run("make-mini", tmp_path / "m", option, value)
    assert isinstance(done.exception, UserError) and sentence in done.exception.what and done.exception.hint
    assert not (tmp_path / "m").exists()


def test_probes_of_almost_one_strength_have_their_own_folders() -> None:
    names = [str(Probe("frozen", strength)) for strength in (1.0, 1, 0.5, 0.1234567, 0.1234568, np.float64(0.25))]
    assert names == ["frozen-1", "frozen-1", "frozen-0.5", "frozen-0.1234567", "frozen-0.1234568", "frozen-0.25"]
    for name in names:
        assert str(Probe.parse(name.replace("-", ":"))) == name


def test_running_out_of_candidates_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "MAX_ATTEMPTS", 3)
    monkeypatch.setattr(generation, "rejection", lambda spec, least: "collision")
    with pytest.raises(UserError, match=r"None of 3 candidates for clip 1 .*: 3 collision. Take another seed"):
        list(accepted_specs("test", 0, 1))


def test_a_damaged_journal_only_costs_time(made: Path, tmp_path: Path) -> None:
    report = generate(small(made))
    assert all(one.was_there for one in report.made)
    record = made / ".journal" / "00001.json"
    whole = record.read_text()
    for damaged in ("", "[]", '{"name": "x"}', whole[: len(whole) // 2]):
        record.write_text(damaged)
        again = generate(small(made))
        assert [one.was_there for one in again.made] == [True, False]
        assert [one[:5] for one in again.made] == [one[:5] for one in report.made]
        assert record.read_text() == whole


def truth(*runs: tuple[bool, int], half: int = 77) -> dict[str, Any]:
    area = [100 * seen for seen, frames in runs for _ in range(frames)]
    assert len(area) == 2 * half
    return {"num_context": half, "size": [64, 32], "subjects": [{"visible_area": area}]}


def test_which_clips_break_the_rules() -> None:
    there, away = True, False
    assert shortfall(truth((there, 50), (away, 50), (there, 54))) is None
    assert shortfall(truth((there, 154))) == "no exit and re-entry"
    assert shortfall(truth((there, 50), (away, 104))) == "no exit and re-entry"
    assert shortfall(truth((there, 74), (away, 7), (there, 73))) == "no exit and re-entry"
    assert shortfall(truth((there, 85), (away, 20), (there, 49))) == "no exit and re-entry"  # leaves in the target
    assert shortfall(truth((there, 50), (away, 81), (there, 23))) == "too short in view"
    assert shortfall(truth((away, 30), (there, 23), (away, 50), (there, 51))) == "too short in view"


def test_clips_without_an_event_are_counted(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of ten frames have none."""
    expected = {"no exit and re-entry": 2}
    assert generate(small(made)).shortfalls == expected
    assert statistics(made)["that break a rule of the filter at this size"] == expected
    for record in (made / ".journal").iterdir():  # as runs of before wrote it
        entry = json.loads(record.read_text())
        record.write_text(json.dumps({key: entry[key] for key in ("name", "attempts", "rejections")}))
    old = generate(small(made))
    assert old.shortfalls == expected and all(one.was_there for one in old.made)


@pytest.mark.parametrize("broken", [None, "too short in view"])
def test_the_command_tells_of_clips_that_break_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str | None
) -> None:
    monkeypatch.setattr(generation, "shortfall", lambda truth: broken)
    monkeypatch.setattr(generation, "render_clip", lambda *a, half: _short(*a))
    done = run("make-mini", tmp_path, "--clips", 1, "--size", "32x64")
    text = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert ("At 32x64, 1 of 1 clips break the filter's rules: 1 too short in view" in text) == (broken is not None)


def _short(*arguments: Any) -> Any:
    from hmbench.data.mini_world import render_clip

    return render_clip(*arguments, half=5)


@pytest.mark.parametrize("options", [("--clips", 0), ("--clips", -1), ("--columns", 0), ("--columns", -2)])
def test_an_empty_sheet_is_refused(made: Path, tmp_path: Path, options: tuple[str, int]) -> None:
    done = run("sheet", made, "--out", tmp_path / "s.png", *options)
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit) and options[0] in done.output
    with pytest.raises(UserError, match=r"is empty. Both must be at least 1"):
        make_sheet(made, **{"limit" if options[0] == "--clips" else "columns": options[1]})


def test_a_sheet_that_cannot_be_written(made: Path, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    (tmp_path / "folder.png").mkdir()
    for out in (tmp_path / "afile" / "s.png", tmp_path / "folder.png"):
        done = run("sheet", made, "--out", out)
        assert isinstance(done.exception, UserError), done.exception
        assert f"cannot be written to {out}" in done.exception.what
    with pytest.raises(UserError, match="JPEG holds 65500 pixels"):
        save_picture(tmp_path / "s.jpg", np.zeros((1, 70000, 3), np.uint8))


def test_half_written_clips_of_a_killed_run_are_no_clips(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    name = next(folder.glob("0*")).name
    shutil.copytree(folder / name, folder / f".{name}.part-77")
    assert statistics(folder)["clips"] == 2
    assert write_captions(folder) == 2 and ".part" not in (folder / "caption.txt").read_text()


def test_a_stopped_run_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "make_slot", stop)
    done = run("make-mini", tmp_path / "m", "--clips", 1, "--size", "32x32")
    assert done.exit_code != 0 and "Clips that were complete are kept" in done.output


def test_imported_examples_leave_other_captions_alone(tmp_path: Path) -> None:
    target = tmp_path / "clips"
    (target / "00001_mine").mkdir(parents=True)
    (target / "caption.txt").write_text("00001_mine\tA caption.\n")
    done = run("import-examples", tmp_path, target)
    assert isinstance(done.exception, UserError) and "holds other things (00001_mine)" in done.exception.what
    assert (target / "caption.txt").read_text() == "00001_mine\tA caption.\n"
    done = run("import-examples", tmp_path, target / "caption.txt")
    assert isinstance(done.exception, UserError) and "caption.txt is a file" in done.exception.what
    done = run("import-examples", tmp_path, tmp_path / "new")
    assert isinstance(done.exception, UserError) and "No example clips" in done.exception.what


def test_findings_that_cannot_be_written(made: Path, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    done = run("check", made, "--report", tmp_path / "afile" / "report.jsonl")
    assert isinstance(done.exception, UserError) and "findings cannot be written to" in done.exception.what


def test_workers_do_all_the_work(jobs: Any) -> None:
    results = list(spread(jobs.square, [[1, 2, 3], [4], [5, 6]], 2))
    assert sorted(value for value, _ in results) == [1, 4, 9, 16, 25, 36]
    pids = dict(results)
    assert pids[1] == pids[4] == pids[9] and pids[25] == pids[36]
    assert 1 <= len(set(pids.values())) <= 2 and os.getpid() not in pids.values()


def test_what_goes_wrong_in_a_worker_is_told(jobs: Any) -> None:
    with pytest.raises(UserError, match=r"No 7\. Take another\.") as refused:
        list(spread(jobs.refuse, [[7]], 1))
    assert refused.value.hint == "Take another."
    with pytest.raises(UserError, match=r"worker process ended before its work was done.*take fewer workers"):
        list(spread(jobs.die, [[1]], 1))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        list(spread(lambda x: x, [[1]], 1))  # no hang


def test_a_caller_that_stops_waits_for_one_piece_only(jobs: Any) -> None:
    work = spread(jobs.nap, [list(range(600))], 1)
    assert next(work) == 0
    start = time.monotonic()
    work.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 20  # the rest would take a minute


def test_workers_end_with_a_parent_that_was_killed(jobs: Any, tmp_path: Path) -> None:
    """Its error stream is theirs, too: it ends when the last of them has."""
    parent = script(
        tmp_path,
        "import jobs_of_a_test as jobs\n"
        "from hmbench.workers.spread import spread\n"
        "for x in spread(jobs.nap, [list(range(9999))] * 2, 2): print(x, flush=True)\n",
    )
    assert parent.stdout and parent.stdout.readline() == "0\n"
    parent.kill()
    _, said = parent.communicate(timeout=30)
    assert parent.returncode == -9 and "Traceback" not in said


@pytest.mark.slow
def test_a_killed_run_leaves_no_workers(tmp_path: Path) -> None:
    run_ = script(
        tmp_path,
        "from pathlib import Path\n"
        "from hmbench.data.mini_world import GenerateConfig, Probe, generate\n"
        f"config = GenerateConfig(out=Path({str(tmp_path / 'out')!r}), clips=40, size=(32, 32), half=5, workers=2)\n"
        "generate(config, lambda made: print(made.name, flush=True))\n",
    )
    assert run_.stdout and run_.stdout.readline().startswith("000")
    run_.kill()
    run_.communicate(timeout=60)
    done = len(list((tmp_path / "out" / ".journal").iterdir()))
    assert 1 <= done < 40
    assert not list((tmp_path / "out").glob(".*part*"))


def test_a_plain_script_gets_the_default_set_with_two_workers(tmp_path: Path) -> None:
    done = script(
        tmp_path,
        "from pathlib import Path\n"
        "import hmbench.data.mini_world.default as default\n"
        "default.DEFAULT_CLIPS, default.DEFAULT_SIZE = 2, (32, 32)\n"
        "print('once')\n"
        f"print(default.ensure_default_mini(Path({str(tmp_path)!r}), workers=2))\n",
    )
    said, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    once, folder = said.splitlines()
    assert once == "once" and errors == ""
    assert len(list(Path(folder).glob("*/truth.json"))) == 2 and (Path(folder) / ".complete").is_file()


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UserError("What.", "Hint.")))
    assert (error.what, error.hint, str(error)) == ("What.", "Hint.", "What. Hint.")
