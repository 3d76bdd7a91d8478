"""``--shard``, ``--join``, ``--workers`` as they are typed, and how progress and stopping read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hmbench.cli.console import RichReporter
from hmbench.cli.pace import Pace
from hmbench.cli.stopping import sentence
from hmbench.errors import Stopped, UserError
from hmbench.run.request import checked_device, parse_shard
from hmbench.run.sharing import Session
from hmbench.run.workers_request import Progress, parse_count

QUICK = ("--data", "disc", "--model", "copy-last", "--metric", "psnr", "--no-tracking")
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_ARRAY_TASK_ID")


@pytest.fixture
def hmbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> tuple[int, str]:
        from hmbench.cli import main

        monkeypatch.setattr(sys, "argv", ["hmbench", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    return call


def test_a_rank_takes_its_share_and_says_so(hmbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "2 samples are left to others"), ("1", "4 of 4")):
        monkeypatch.setenv("RANK", rank)
        code, text = hmbench("eval", *QUICK, "--out", "run")
        assert code == 0 and f"This is shard {rank} of 2, by RANK and WORLD_SIZE." in text and said in text, text
    code, text = hmbench("eval", *QUICK, "--out", "whole", "--shard", "0/1")
    assert code == 0 and "This is shard" not in text and "4 of 4" in text
    assert Path("run/rows.jsonl").read_bytes() == Path("whole/rows.jsonl").read_bytes()


def test_a_folder_that_is_held_and_joining_it(hmbench, tmp_path: Path) -> None:
    with Session(tmp_path / "run"):
        code, text = hmbench("eval", *QUICK, "--out", "run")
        assert code == 2 and "is being worked on by process" in text and "--join" in text
        code, text = hmbench("eval", *QUICK, "--out", "run", "--join")
        assert code == 0 and "4 of 4" in text


def test_nothing_of_ray_is_imported_without_being_asked(hmbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert hmbench("eval", *QUICK, "--out", "run", "--limit", "1")[0] == 0
    monkeypatch.setattr("hmbench.run.workers.open_data", None)  # it is said before data are made
    code, text = hmbench("eval", *QUICK, "--out", "other", "--workers", "2")
    assert code == 2 and "Ray, which is not installed" in text and "hmbench[cluster]" in text, text


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_of_workers_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="is no number of workers"):
        parse_count(text)


def test_numbers_of_workers() -> None:
    assert (parse_count(None), parse_count("auto"), parse_count("3")) == (None, 0, 3)


def test_shards_of_a_launcher_and_their_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    assert parse_shard(None) == (0, 1) and parse_shard("2/3") == (2, 3)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "5")):
        monkeypatch.setenv(name, value)
    assert parse_shard(None) == (5, 8) and parse_shard("0/1") == (0, 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for count, device in ((8, "cuda:5"), (4, "cuda:1"), (1, "cuda")):
        monkeypatch.setattr("torch.cuda.device_count", lambda count=count: count)
        assert checked_device("auto") == device


def test_a_pace_counts_what_this_command_did() -> None:
    now = [0.0]
    pace = Pace(10, clock=lambda: now[0])
    assert pace.words(10, 40) == ""
    now[0] = 60.0
    assert pace.words(16, 40) == "6 clips a minute, 4 min left"
    assert pace.due() and not pace.due()
    now[0] = 1800.0
    assert pace.words(40, 4000) == "1 clip a minute, 66.0 h left"


def test_lines_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmbench.cli.pace.EVERY", 0.0)
    with RichReporter(verbose=True) as reporter:
        reporter.progress(Progress(total=8, generated=5, tracked=4, scored=3, failed=1, workers=("worker 0: idle",)))
    with RichReporter() as reporter:
        reporter.stage("score", 4, 1)
        reporter.advance("a")
    text = capfd.readouterr().err
    assert "8 clips: generated 5, tracked 4, scored 3, failed 1" in text and "  worker 0: idle" in text
    assert "score: 2 of 4" in text


def test_what_a_stopped_command_says() -> None:
    assert sentence(Stopped(signal.SIGTERM)) == (
        "Stopped by SIGTERM. What was complete is kept; the same command goes on from there."
    )
    assert not isinstance(Stopped(2), Exception), "no guard around one clip may take it for the clip's failure"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_with_its_code(number: int, code: int) -> None:
    script = (
        "import os, sys, hmbench.cli as c\n"
        "c.app.registered_commands[:1] = []\n"
        "@c.app.command('stop')\ndef stop() -> None:\n"
        f"    os.kill(os.getpid(), {int(number)})\n    import time; time.sleep(9)\n"
        "sys.argv = ['hmbench', 'stop']; c.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code and "goes on from there" in done.stderr and "Traceback" not in done.stderr
