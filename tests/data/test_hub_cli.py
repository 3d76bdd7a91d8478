"""``hmbench data download`` and its companions as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
