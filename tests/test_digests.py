"""Digests kept between commands: right after any change that a file system shows, and never more than a help."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from hmbench import digests
from hmbench.digests import content_digest, content_digests
from hmbench.errors import UserError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def old_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, (time.time() - 100, time.time() - 100))
    return path


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def counting(monkeypatch) -> list[Path]:
    read: list[Path] = []
    real = digests.file_digest
    monkeypatch.setattr(digests, "file_digest", lambda path: (read.append(path), real(path))[1])
    return read


@pytest.fixture
def later(monkeypatch) -> None:
    """As if nothing had changed for a long time."""
    monkeypatch.setattr(digests, "_FRESH", -1000.0)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, cache: Path, later: None, monkeypatch) -> None:
    read = counting(monkeypatch)
    path = old_file(tmp_path / "a", b"one")
    assert [content_digest(path) for _ in range(3)] == [sha(b"one")] * 3 and len(read) == 1
    path.write_bytes(b"two")
    assert content_digest(path) == sha(b"two")
    assert content_digests([path], trust=False) == {path: sha(b"two")}


def test_other_bytes_in_place_under_the_old_size_and_date_are_seen(tmp_path: Path, cache: Path, later: None) -> None:
    """As `cp -p`, `rsync --inplace -t` and archives whose files all carry one date leave them."""
    path = old_file(tmp_path / "a", b"one")
    assert content_digest(path) == sha(b"one")
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert content_digest(path) == sha(b"two")


def test_another_file_of_equal_size_and_time_is_another_file(tmp_path: Path, cache: Path, later: None) -> None:
    path = old_file(tmp_path / "a", b"one")
    assert content_digest(path) == sha(b"one")
    other = old_file(tmp_path / "b", b"two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert content_digest(path) == sha(b"two")


def test_a_file_that_changed_just_now_is_not_kept(tmp_path: Path, cache: Path, monkeypatch) -> None:
    read = counting(monkeypatch)
    (tmp_path / "a").write_bytes(b"one")
    assert content_digest(tmp_path / "a") == content_digest(tmp_path / "a") == sha(b"one") and len(read) == 2


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100, b"SQLite format 3\0" + bytes(500)])
def test_a_damaged_cache_costs_time_alone(tmp_path: Path, cache: Path, damage: bytes) -> None:
    cache.mkdir()
    (cache / "digests.sqlite").write_bytes(damage)
    path = old_file(tmp_path / "a", b"one")
    assert [content_digest(path) for _ in range(3)] == [sha(b"one")] * 3


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert content_digest(old_file(tmp_path / "a", b"one")) == sha(b"one")
    with pytest.raises(UserError, match="cannot be read"):
        content_digest(tmp_path / "none")
