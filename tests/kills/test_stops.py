"""Ctrl-C, SIGTERM, a full disk and no permission at the file operations of every command.

One sentence, the right exit code, no litter; and the same command again ends as one that nobody stopped.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz_run import call
from fuzz_targets import CPU, Command, archives, discs
from kill_jobs import everything
from power_loss import Disk

from hmbench import durable
from hmbench.durable import is_temporary

SAMPLE = "00001_Noon_loc0_Straight_Sweep_0"
METRICS = ("--metric", "psnr", "--metric", "psnr_subject", "--no-tracking", *CPU)
FIRST, SECOND = "copy-last", "noise"


def _eval(model: str, out: str) -> Command:
    return ("eval", "-m", model, "-d", "data", *METRICS, "--out", out)


COMMANDS: dict[str, tuple[Command, ...]] = {
    "eval": (_eval(FIRST, "out/run"),),
    "generate": (("generate", "-m", FIRST, "-d", "data", *CPU, "--out", "out/run"),),
    "score": (("score", "--run", "out/run", "--metric", "ssim", "--no-tracking", *CPU),),
    "compare": (("compare", "a", "b", "--out", "out/c", "--videos", "1"),),
    "inspect": (("inspect", "a", SAMPLE, "--out", "out/i"),),
    "report": (("report", "a", "b", "--out", "out/site", "--videos", "none"),),
    "data index": (("data", "index", "data", "--out", "out/index.parquet", "--workers", "1"),),
    "data check": (("data", "check", "data", "--report", "out/findings.jsonl"),),
    "data make-mini": (("data", "make-mini", "out/mini", "--clips", "2", "--size", "32x32"),),
    "data download": (("data", "download", "--parts", "parts", "--out", "out/d", "--split", "all", "--no-index"),),
    "leaderboard add": (("leaderboard", "add", "a", "--name", "x", "--replace", "--results", "out/entries"),),
    "leaderboard site": (("leaderboard", "site", "out/site", "--results", "entries"),),
}
READ = {
    "generate": "*.mp4",
    "eval": "rows.jsonl",
    "score": "rows.jsonl",
    "data make-mini": "*.mp4",
    "data download": "*.mp4",
}
"""What must be equal in the end; everything, where nothing is said."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HMBENCH_CACHE", str(folder / "cache"))
        discs(folder)
        archives(folder)
        for model, out in ((FIRST, "a"), (SECOND, "b")):
            done = call(_eval(model, out))
            assert done.code == 0, done.text
        done = call(("leaderboard", "add", "a", "--name", "x", "--results", "entries"))
        assert done.code == 0, done.text
    return folder


def full(disk: Disk) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def forbidden(disk: Disk) -> None:
    raise OSError(errno.EACCES, os.strerror(errno.EACCES))


STOPS: dict[str, tuple[Callable[[Disk], None], int, str]] = {
    "Ctrl-C": (lambda disk: os.kill(os.getpid(), signal.SIGINT), 130, "Stopped by Ctrl-C."),
    "SIGTERM": (lambda disk: os.kill(os.getpid(), signal.SIGTERM), 143, "Stopped by SIGTERM."),
    "full disk": (full, 2, "No space left on device"),
    "no permission": (forbidden, 2, "Permission denied"),
}


def prepared(stage: Path, name: str, folder: Path) -> Path:
    """A working folder with what the command reads, and what it goes on from."""
    folder.mkdir(parents=True)
    for part in ("data", "parts", "a", "b", "entries"):
        (folder / part).symlink_to(stage / part)
    if name == "score":
        shutil.copytree(stage / "a", folder / "out" / "run")
    return folder


def left(folder: Path, name: str) -> dict[str, bytes]:
    pattern = READ.get(name)
    found = everything(folder / "out")
    if pattern == "rows.jsonl":
        return {k: v for k, v in found.items() if k.endswith(pattern)}
    return {k: v for k, v in found.items() if pattern is None or Path(k).match(pattern)}


def try_stops(stage: Path, tmp_path: Path, monkeypatch, name: str, stop: str, most: int) -> int:
    monkeypatch.setenv("HMBENCH_CACHE", str(stage / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    (command,) = COMMANDS[name]
    act, code, said = STOPS[stop]
    whole = prepared(stage, name, tmp_path / "whole")
    monkeypatch.chdir(whole)
    with Disk(whole / "out") as disk:
        done = call(command)
    assert done.code == 0 and disk.count > 0, done.text
    moments = sorted(random.Random(0).sample(range(disk.count), min(most, disk.count)))
    for moment in moments:
        folder = prepared(stage, name, tmp_path / f"{moment}")
        monkeypatch.chdir(folder)

        done_once: list[int] = []

        def before(disk: Disk, moment: int = moment, done_once: list[int] = done_once) -> None:
            if disk.count >= moment and (code == 2 or not done_once):  # a disk stays full; one signal is sent
                done_once.append(moment)
                act(disk)

        with Disk(folder / "out", before):
            done = call(command)
        if code == 2 and done.code == 0:  # what was refused was not needed any more, such as a folder that is there
            assert left(folder, name) == left(whole, name), moment
        else:
            assert done.code == code, (moment, done.text)
            assert said in done.text and "Traceback" not in done.text, (moment, done.text)
        durable._swept.clear()  # as another process would begin
        done = call(command)
        assert done.code == 0, (moment, done.text)
        assert left(folder, name) == left(whole, name), moment
        assert [p.name for p in folder.rglob("*") if is_temporary(p.name)] == [], moment
        shutil.rmtree(folder)
    return len(moments)


@pytest.mark.parametrize(("name", "stop"), [("eval", "SIGTERM"), ("data download", "full disk")])
def test_a_sample_of_stops(stage: Path, tmp_path: Path, monkeypatch, name: str, stop: str) -> None:
    assert try_stops(stage, tmp_path, monkeypatch, name, stop, most=1) == 1


@pytest.mark.slow
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("name", COMMANDS)
def test_stops_of_every_command(stage: Path, tmp_path: Path, monkeypatch, name: str, stop: str) -> None:
    assert try_stops(stage, tmp_path, monkeypatch, name, stop, most=8) >= 1
