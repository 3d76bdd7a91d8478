"""The index: right rows, whatever the number of processes; unchanged ones are taken over; damage is a row too."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from hmbench.data.hm_world import HMWorld
from hmbench.data.index import build_index, schema
from tests.hm_world_archive import IDS


@pytest.fixture
def folder(disc_folder: Path) -> Path:
    """Twelve samples under ids that parse, copies of two clips of discs."""
    first, second = sorted(p for p in disc_folder.iterdir() if p.is_dir())
    for number, name in enumerate(IDS):
        shutil.copytree(first if number % 2 else second, disc_folder / name)
    for original in (first, second):
        shutil.rmtree(original)
    (disc_folder / "caption.txt").write_text("".join(f"{name}\tcaption of {name}\n" for name in IDS[1:]))
    return disc_folder


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_rows_say_what_the_samples_are(folder: Path) -> None:
    report = build_index(folder, workers=1)
    assert (report.samples, report.reused, report.unusable) == (12, 0, 0)
    table = rows(report.path)
    assert [row["id"] for row in table] == sorted(IDS)
    for row in table:
        sample = HMWorld(folder).load(row["id"])
        assert sample.truth is not None
        assert (row["height"], row["width"]) == sample.prompt.size and row["fps"] == sample.prompt.fps
        assert (row["context_frames"], row["target_frames"]) == (9, 9) and row["decoded"]
        assert [(e["label"], e["exit"], e["reentry"]) for e in row["events"]] == [
            (e.label, e.exit, e.reentry) for e in sample.truth.events
        ]
        assert any("9 + 9 frames" in w for w in row["warnings"])
        camera = next(f for f in row["files"] if f["name"] == "camera.json")
        content = (folder / row["id"] / "camera.json").read_bytes()
        assert camera["sha256"] == hashlib.sha256(content).hexdigest() and camera["bytes"] == len(content)
    assert table[0]["scene"] == "City" and table[0]["location"] == "loc0" and table[0]["take"] == 1
    assert table[0]["caption"] is None and table[1]["caption"] == f"caption of {IDS[1]}"


def test_processes_change_nothing(folder: Path, tmp_path: Path) -> None:
    one = build_index(folder, tmp_path / "one.parquet", workers=1)
    two = build_index(folder, tmp_path / "two.parquet", workers=2)
    assert rows(one.path) == rows(two.path)


def test_unchanged_rows_are_taken_over(folder: Path) -> None:
    first = rows(build_index(folder, workers=1).path)
    assert build_index(folder, workers=1).reused == 12
    assert build_index(folder, workers=2).reused == 12
    shutil.rmtree(folder / IDS[3])
    (folder / IDS[5] / "notes.txt").write_text("new")
    (folder / "caption.txt").write_text((folder / "caption.txt").read_text().replace(f"caption of {IDS[7]}", "other"))
    report = build_index(folder, workers=1)
    assert (report.samples, report.reused) == (11, 9)
    after = {row["id"]: row for row in rows(report.path)}
    assert after[IDS[7]]["caption"] == "other" and "notes.txt" in [f["name"] for f in after[IDS[5]]["files"]]
    assert after[IDS[0]] == first[0]
    headers = build_index(folder, workers=1, decode=False)
    assert headers.reused == 11  # decoded rows know more than headers
    (folder / "index.parquet").write_bytes(b"no parquet")
    assert build_index(folder, workers=1).reused == 0


def test_a_stopped_build_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(build_index(folder, tmp_path / "whole.parquet", workers=1, decode=False).path)
    from hmbench import durable
    from hmbench.data import index

    real, made = index.index_row, []

    def stopping(task: Any) -> dict[str, Any]:
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(task)
        return real(task)

    monkeypatch.setattr(index, "index_row", stopping)
    with pytest.raises(KeyboardInterrupt):
        build_index(folder, workers=1, decode=False)
    monkeypatch.undo()
    (journal,) = (p for p in folder.iterdir() if p.suffix == ".journal")
    content = journal.read_bytes()
    for left, reused in (
        (content, 7),
        (content[: len(content) // 2], 3),  # half a line
        (content[:90] + bytes(40) + content[130:], 6),  # a block that a power loss took
        (b"[" * 100_000, 0),
    ):
        journal.write_bytes(left)
        (folder / "index.parquet").unlink(missing_ok=True)
        (folder / ".index.parquet.0123456789ab.part").touch()
        durable._swept.clear()  # each folder is swept once a process, and the next build is another's
        report = build_index(folder, workers=1, decode=False)
        assert report.reused == reused and rows(report.path) == whole
        assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []
    journal.write_bytes(content)
    (folder / "index.parquet").unlink()
    (folder / IDS[0] / "notes.txt").write_text("changed since")
    assert build_index(folder, workers=1, decode=False).reused == 6


SCRIPT = """
import os, sys, time
from pathlib import Path
sys.path[:0] = [{here!r}]
from hmbench.data.index import build_index
build_index(Path({folder!r}), workers=2, on_row=lambda name: print(name, flush=True))
"""


@pytest.mark.slow
def test_a_killed_build_leaves_no_workers_and_goes_on(folder: Path, tmp_path: Path) -> None:
    """Workers inherit the error stream: it ends when the last of them has."""
    original = folder / IDS[0]
    for number in range(60):
        shutil.copytree(original, folder / f"{number:05d}_City_loc0_Straight_Sweep_1")
    script = SCRIPT.format(folder=str(folder), here=str(Path(__file__).parents[2]))
    build = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    journal = folder / ".index.parquet.journal"
    while build.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") > 10):
        time.sleep(0.05)
    os.kill(build.pid, signal.SIGKILL)
    _, said = build.communicate(timeout=60)
    assert build.returncode == -signal.SIGKILL and b"Traceback" not in said
    kept = journal.read_bytes().count(b"\n")
    report = build_index(folder, workers=2)
    assert report.samples == 72 and report.unusable == 0 and 10 <= kept - 1 <= report.reused < 72
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_headers_only_then_decoded(folder: Path) -> None:
    table = rows(build_index(folder, workers=1, decode=False).path)
    assert {(r["context_frames"], r["target_frames"], r["decoded"]) for r in table} == {(9, 9, False)}
    assert all(row["events"] is None for row in table)
    assert build_index(folder, workers=1).reused == 0


@pytest.mark.parametrize("decode", [True, False])
def test_damage_is_a_row_with_an_error(folder: Path, decode: bool) -> None:
    video = folder / IDS[2] / "tgt.mp4"
    video.write_bytes(video.read_bytes()[:200])
    (folder / IDS[4] / "camera.json").write_text("{}")
    report = build_index(folder, workers=1, decode=decode)
    assert report.unusable == 2
    errors = {row["id"]: row["error"] for row in rows(report.path) if row["error"]}
    assert set(errors) == {IDS[2], IDS[4]} and "tgt.mp4" in errors[IDS[2]]
    assert "no known camera format" in errors[IDS[4]]


def test_datasets_loads_it(folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    report = build_index(folder, workers=1)
    loaded = datasets.load_dataset("parquet", data_files=str(report.path), split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == 12 and set(loaded.column_names) == set(schema().names)
    assert loaded[1]["files"][0]["bytes"] > 0 and np.isfinite(loaded["fps"]).all()
