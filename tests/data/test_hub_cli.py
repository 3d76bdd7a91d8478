"""``hmbench data download`` and its companions as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hmbench.cli import app
from hmbench.errors import UserError
from hmbench.files import read_json
from tests.hm_world_archive import IDS, make_archive, split_parts
from tests.hub_server import hub_server


def hmbench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from hmbench.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "data", *arguments],
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_download(tmp_path: Path) -> None:
    with hub_server({"datasets/KlingTeam/HM-World": split_parts(make_archive())}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        out = str(tmp_path / "out")
        few = hmbench("download", "--split", "all", "--samples", "2", "--out", out, **environment)
        assert few.returncode == 0, few.stderr
        assert f"2 new samples, 0 there before, in {out}" in few.stdout and "at commit cccccccccccc" in few.stdout
        assert "Not checked against a sha256: HM-World_aa" in few.stdout
        assert "caption.txt was not reached" in few.stdout
        assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == list(IDS[:2])
        everything = hmbench("download", "--split", "all", "--out", out, **environment)
        assert "10 new samples, 2 there before" in everything.stdout and "caption" not in everything.stdout
        wrong = hmbench("download", "--split", "tset", "--out", out, **environment)
        assert wrong.returncode == 2 and "There is no split 'tset'." in wrong.stderr
        assert "Did you mean 'test'" in wrong.stderr


def run(*arguments: str) -> Result:
    """In this process; mistakes arrive as exceptions."""
    return CliRunner().invoke(app, ["data", *arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hmbench.cli.console.out.width", 250, raising=False)


def test_index_and_headers(disc_folder: Path) -> None:
    said = run("index", str(disc_folder), "--workers", "1").stdout
    assert f"2 samples in {disc_folder / 'index.parquet'} (0 unchanged, 0 cannot be used)." in said
    again = run("index", str(disc_folder), "--workers", "1", "--headers-only").stdout
    assert "(2 unchanged" in again


def test_splits_from_a_folder_and_from_a_list(disc_folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("\n".join(f"{i:05d}_City_loc1_Run_Pan_1" for i in range(300)) + "\n\n")
    said = run("splits", str(listed), "--out", str(tmp_path / "splits"), "--source", "made up").stdout
    content = read_json(tmp_path / "splits" / "hmworld-test-v1.json")
    assert content["chosen_from"]["count"] == 300 and content["source"] == "made up" and content["count"] > 0
    assert "fewer than 1000 test clips" in said and "No scene is held out" in said
    listed.write_bytes(b"\xff\xfe0\x000")
    with pytest.raises(UserError, match="is no valid list of ids"):
        run("splits", str(listed), "--out", str(tmp_path / "x"))
    assert run("splits", str(disc_folder), "--out", str(tmp_path / "discs")).exit_code == 0
    with pytest.raises(UserError, match="There is no folder or file"):
        run("splits", str(tmp_path / "none"), "--out", str(tmp_path))


def test_inspect(disc_folder: Path, tmp_path: Path) -> None:
    said = run("inspect", str(disc_folder)).stdout
    assert "DIFFERS" in said and "9 frames" in said and "lines differ from what hmbench expects" in said
    with pytest.raises(UserError, match="There is no folder"):
        run("inspect", str(tmp_path / "none"))
    with hub_server({"datasets/KlingTeam/HM-World": split_parts(make_archive())}) as hub:
        done = hmbench(
            "inspect", "KlingTeam/HM-World", "--samples", "1", HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home")
        )
    assert done.returncode == 0, done.stderr
    assert "HM-World_aa .. HM-World_ae" in done.stdout and "5 with a sha256" in done.stdout
    assert "damaged or no video" in done.stdout  # the archive of this test holds random bytes for videos


def test_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("cameras").stdout
    assert "pan-left-and-back" in said and "hm-world-right" in said


def test_download_from_a_folder_with_an_index(disc_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = run("download", "--parts", str(disc_folder), "--split", "all", "--samples", "1", "-o", str(out), "--index")
    assert "1 new samples" in said.stdout and (out / "index.parquet").is_file()
    with pytest.raises(UserError, match=r"No sample of split .test. was found"):
        run("download", "--parts", str(disc_folder), "--split", "test", "-o", str(tmp_path / "few"))
