"""sha256 of files, computed once: kept by place, size, times and inode in the cache folder (``digests.sqlite``).

The time of the last change of the inode (ctime) is one of the times: `cp -p`, `rsync -t` and archives whose files all
carry one date put other bytes in a file's place under the same size and date, and file systems give a freed inode away
again.

A file that changed in the last seconds is never kept: it could change again within the same tick of its clock. A cache
that cannot be used costs time, not the run. `content_digests(paths, trust=False)` reads every byte again, as
`hmbench data check` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hmbench.cache import cache_folder
from hmbench.durable import unreadable

_FRESH = 3.0
"""Seconds for which a changed file's digest is not kept."""
_MANY = 500
Key = tuple[str, int, int, int, int]
"""Absolute path, bytes, time of the content in nanoseconds, inode, time of the inode in nanoseconds."""
_TABLE = "digests_2"
"""Digests kept by earlier versions, without the inode's time, are not asked."""


def file_digest(path: Path) -> str:
    """sha256 of a file, hexadecimal, read now.

    Raises:
        SampleError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(error, path) from error


def video_digest(path: Path) -> str:
    """The digest by which scores and entries know a predicted video that is one file: 16 hexadecimal digits.

    Raises:
        SampleError: If it cannot be read.
    """
    return file_digest(path)[:16]


def content_digest(path: Path) -> str:
    """sha256 of a file, from the cache if the file did not change since."""
    return content_digests([path])[path]


def content_digests(paths: Iterable[Path], *, trust: bool = True) -> dict[Path, str]:
    """sha256 of files, hexadecimal.

    Args:
        paths: The files.
        trust: Whether digests of files that did not change may come from the cache.

    Raises:
        SampleError: If a file cannot be read.
    """
    keys = {path: _key(path) for path in paths}
    known = _known(keys.values()) if trust else {}
    found, new = {}, {}
    for path, key in keys.items():
        digest = known.get(key)
        if digest is None:
            digest = file_digest(path)
            if _key(path) == key and time.time() - max(key[2], key[4]) / 1e9 > _FRESH:
                new[key] = digest
        found[path] = digest
    if new:
        _keep(new)
    return found


def _key(path: Path) -> Key:
    try:
        stat = path.stat()
        return str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns
    except OSError as error:
        raise unreadable(error, path) from error


def _known(keys: Iterable[Key]) -> dict[Key, str]:
    wanted = list(keys)
    found: dict[Key, str] = {}
    with _store() as store:
        for start in range(0, len(wanted), _MANY) if store else ():
            assert store is not None
            part = wanted[start : start + _MANY]
            marks = ",".join("?" * len(part))

            query = f"SELECT path, size, changed, inode, inode_changed, sha256 FROM {_TABLE} WHERE path IN ({marks})"  # noqa: S608
            for row in store.execute(query, [key[0] for key in part]):
                found[row[:5]] = row[5]
    return found


def _keep(new: dict[Key, str]) -> None:
    with _store() as store:
        if store is not None:
            rows = [(*key, digest) for key, digest in new.items()]
            store.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
            store.commit()


@contextlib.contextmanager
def _store() -> Iterator[sqlite3.Connection | None]:
    """The cache, or None where there can be none; a damaged one is thrown away."""
    path = cache_folder() / "digests.sqlite"
    store: sqlite3.Connection | None = None
    with contextlib.suppress(OSError, sqlite3.Error):
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(path, timeout=10.0)
        store.execute(
            f"CREATE TABLE IF NOT EXISTS {_TABLE} (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, "
            "inode INTEGER, inode_changed INTEGER, sha256 TEXT)"
        )
    try:
        yield store
    except sqlite3.OperationalError:
        pass  # locked or full: the digests are computed
    except sqlite3.DatabaseError:
        with contextlib.suppress(OSError):
            path.unlink()
    finally:
        if store is not None:
            store.close()
