"""A large file is hashed once, as long as its size and time stay what they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reference_model.released.checkpoint import file_digest
from reference_model.sampling import digests


def test_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    hashed: list[Path] = []
    monkeypatch.setattr(digests, "file_digest", lambda path: hashed.append(path) or file_digest(path))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"a" * 100)
    first = digests.known_digest(path, large=100)
    assert first == file_digest(path) == digests.known_digest(path, large=100) and len(hashed) == 1
    path.write_bytes(b"b" * 100)  # another time
    assert digests.known_digest(path, large=100) == file_digest(path) != first and len(hashed) == 2
    os.utime(path, ns=(0, 1))
    digests.known_digest(path, large=100)
    assert len(hashed) == 3
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    note.write_text("{")  # cut off
    assert digests.known_digest(path, large=100) == file_digest(path) and len(hashed) == 4
    digests.known_digest(path, large=101)
    digests.known_digest(path, large=101)
    assert len(hashed) == 6  # small files are hashed each time


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"a" * 100)
    assert digests.known_digest(path, large=1) == file_digest(path)
