"""Kills and power losses at any operation of a command: the same command ends with the same files, without litter."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from power_loss import Disk, moments
from toys import Followed, Follower, MeanError, Sometimes

from hmbench.data.index import build_index
from hmbench.data.mini_world.generate import GenerateConfig
from hmbench.data.mini_world.generate import generate as make_mini
from hmbench.durable import is_temporary
from hmbench.files import write_text
from hmbench.run.evaluate import EvalRequest, evaluate
from hmbench.run.sharing import WORK

RESULT_FILES = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex")


def evaluation(out: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=out)
    evaluate(request, metrics=[MeanError(), Sometimes(), Followed()], tracker=Follower())


def mini_world(out: Path) -> None:
    make_mini(GenerateConfig(out=out, clips=2, size=(32, 32), half=9))


def ends_alike(work: Callable[[Path], None], left: list[Path], whole: dict[str, bytes], names: Callable) -> None:
    """Goes on from each of the remains; who works on a run (`.work`) is another matter: that process lives on here."""
    for folder in left:
        shutil.rmtree(folder / WORK, ignore_errors=True)
        work(folder)
        assert names(folder) == whole, folder.name
        litter = [p for p in folder.rglob("*") if is_temporary(p.name)]
        assert litter == [], folder.name


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULT_FILES}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def try_moments(tmp_path: Path, work, names, *, kills: int, losses: int, seed: int) -> int:
    root = tmp_path / "root"
    left = moments(lambda: work(root), root, tmp_path / "left", kills=kills, losses=losses, seed=seed)
    ends_alike(work, left, names(root), names)
    return len(left)


def test_an_evaluation_survives_kills_and_power_losses(tmp_path: Path) -> None:
    assert try_moments(tmp_path, evaluation, results, kills=6, losses=6, seed=1) == 12


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_evaluation_survives_a_kill_at_every_operation_and_100_power_losses(tmp_path: Path, seed: int) -> None:
    assert try_moments(tmp_path, evaluation, results, kills=100, losses=25, seed=seed) >= 100


@pytest.mark.slow
def test_a_mini_world_survives_a_kill_at_every_operation(tmp_path: Path) -> None:
    assert try_moments(tmp_path, mini_world, everything, kills=100, losses=20, seed=0) >= 40


@pytest.mark.slow
def test_an_index_survives_a_kill_at_every_operation(tmp_path: Path, disc_folder: Path) -> None:
    def work(out: Path) -> None:
        build_index(disc_folder, out / "index.parquet", workers=1)

    assert try_moments(tmp_path, work, everything, kills=100, losses=20, seed=0) >= 20


def test_the_disk_forgets_what_was_not_flushed(tmp_path: Path) -> None:
    """The instrument itself: it loses what a plain write leaves, and keeps what `write_text` wrote."""
    root = tmp_path / "root"
    root.mkdir()
    with Disk(root) as disk:
        write_text(root / "kept", "whole")
        for number in range(8):
            (root / f"half-{number}.new").write_text("plain" * 100)
            os.replace(root / f"half-{number}.new", root / f"half-{number}")  # noqa: PTH105 - the watched one
        seen = set()
        for seed in range(40):
            disk.lost(tmp_path / str(seed), seed)
            assert (tmp_path / str(seed) / "kept").read_text() == "whole"
            for number in range(8):
                path = tmp_path / str(seed) / f"half-{number}"
                content = path.read_bytes() if path.exists() else None
                seen.add("gone" if content is None else "empty" if not content else "cut" if len(content) < 500 else
                         "whole" if content == b"plain" * 100 else "zeros")  # fmt: skip
    assert seen == {"gone", "empty", "cut", "zeros", "whole"}
