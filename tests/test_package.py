"""What is published: source archive and wheel, their contents, and a wheel that runs outside of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "hmbench/metrics/names.json",
    "hmbench/video/parity.mp4",
    "hmbench/networks/reid.safetensors",
    "hmbench/py.typed",
    "leaderboard/results/nearest-view.json",
)
READ = ("CHANGELOG.md", "constraints.txt", "docs/api.md", "docs/site.py", "examples/own_model.py")
"""What a stranger or a packager looks for in a source archive, and a wheel does without."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives made from what git knows, without a network."""
    pytest.importorskip("build")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "x", "-C", str(source)], input=archive.stdout, check=True)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, cwd=out, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_contents(built: Path) -> None:
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert set(NEEDED) - names == set()
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/", "examples/"))]
    for module in (ROOT / "hmbench").rglob("*.py"):
        assert module.relative_to(ROOT).as_posix() in names
    with tarfile.open(source) as content:
        inside = {name.partition("/")[2] for name in content.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", *NEEDED, *READ} <= inside
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")} <= inside


def test_descriptions_can_be_shown(built: Path) -> None:
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_wheel_runs_outside_of_the_checkout(built: Path, tmp_path: Path) -> None:
    """Unpacked beside its libraries: a table from discs, with an own model from the working folder."""
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    work = tmp_path / "work"
    work.mkdir()
    (work / "own_model.py").write_text((ROOT / "examples" / "own_model.py").read_text())
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "80"}

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=work, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert python("-m", "hmbench", "--version") == "hmbench 0.1.0\n"
    assert python("-c", "import hmbench; print(hmbench.__file__)").startswith(str(tmp_path / "site"))
    what = ("--model", "own_model:Freeze", "--data", "disc", "--limit", "1", "--metric", "psnr", "--no-tracking")
    table = python("-m", "hmbench", "eval", *what)
    assert "Freeze on disc" in table and "psnr" in table
