"""The set behind ``--data mini`` in the cache: what is missing or damaged is noticed and made again, nothing else."""

import shutil
from pathlib import Path

import pytest

from hmbench.data.mini_world import default
from hmbench.data.mini_world.splits import SPLITS, cell_of
from hmbench.data.splits import EMBEDDED_SPLITS


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default, "DEFAULT_CLIPS", 2)
        patch.setattr(default, "DEFAULT_SIZE", (32, 32))
        default.ensure_default_mini(folder, workers=1)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


DAMAGE = {
    "a clip gone": lambda clip: shutil.rmtree(clip),
    "a video gone": lambda clip: (clip / "cond.mp4").unlink(),
    "a video empty": lambda clip: (clip / "tgt.mp4").write_bytes(b""),
    "a flipped byte": lambda clip: flip(clip / "masks.mkv"),
    "captions gone": lambda clip: (clip.parent / "caption.txt").unlink(),
    "the mark damaged": lambda clip: (clip.parent / ".complete").write_text("{"),
    "the mark of an earlier version": lambda clip: (clip.parent / ".complete").write_text(""),
    "an earlier version, a video gone": lambda clip: (
        (clip.parent / ".complete").write_text(""),
        (clip / "cond.mp4").unlink(),
    ),
    "nothing": lambda clip: None,
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_set_that_shrank_is_completed(made: Path, tmp_path: Path, monkeypatch, what: str) -> None:
    monkeypatch.setattr(default, "DEFAULT_CLIPS", 2)
    monkeypatch.setattr(default, "DEFAULT_SIZE", (32, 32))
    cache = tmp_path / "cache"
    shutil.copytree(made, cache)
    folder = default.default_folder(cache)
    before = content(folder)
    first, second = sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    times = {path: path.stat().st_mtime_ns for path in second.iterdir()}
    DAMAGE[what](first)
    assert default.ensure_default_mini(cache, workers=1) == folder
    assert content(folder) == before
    assert {path: path.stat().st_mtime_ns for path in second.iterdir()} == times, "a whole clip was made again"


def test_splits_are_known_before_anything_is_drawn() -> None:
    for name, split in (("mini", "test"), ("mini-easy", "easy-test")):
        cells = {cell_of(split, slot) for slot in range(default.DEFAULT_CLIPS)}
        assert split in SPLITS and set(EMBEDDED_SPLITS[name]) == {"all", "test"} | cells
