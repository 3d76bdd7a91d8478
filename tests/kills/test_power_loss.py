"""Kills and power losses at any operation of a command: the same command ends with the same files, without litter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kill_jobs import JOBS, try_kills
from power_loss import Disk

from hmbench.files import write_text


@pytest.mark.parametrize("job", [j for j in JOBS if j.name in ("eval", "data download")], ids=lambda job: job.name)
def test_a_sample_of_kills_and_power_losses(job, tmp_path: Path) -> None:
    count = try_kills(job, tmp_path, kills=3, losses=3, seed=1)
    assert (count.kills, count.losses, count.failed) == (3, 3, [])


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_every_operation_and_power_losses(job, tmp_path: Path) -> None:
    count = try_kills(job, tmp_path, kills=1000, losses=20, seed=2)
    assert count.failed == [] and count.kills >= 9 and count.losses == 20


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
