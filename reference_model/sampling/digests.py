"""Digests of large weight files, hashed once as long as a file's size and time stay what they were.

17 GB take half a minute to a minute to hash, at each start and in each worker. What was found is kept in
hmbench's cache. Small files are hashed each time.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from hmbench.cache import cache_folder
from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from reference_model.released.checkpoint import file_digest

LARGE = 64 * 2**20
"""Bytes from which a digest is kept."""


def known_digest(path: Path, *, large: int = LARGE) -> str:
    """sha256 of a file.

    Args:
        path: The file.
        large: Bytes from which its digest is kept.
    """
    status = path.stat()
    if status.st_size < large:
        return file_digest(path)
    seen = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino]
    note = cache_folder() / "digests" / f"{hashlib.sha256(str(seen[0]).encode()).hexdigest()[:32]}.json"
    try:
        kept = read_json(note, kind=dict) if note.is_file() else {}
    except UserError:  # cut off or edited: hashed anew
        kept = {}
    if kept.get("file") == seen and isinstance(kept.get("sha256"), str):
        return str(kept["sha256"])
    digest = file_digest(path)
    with contextlib.suppress(OSError, UserError):  # a cache that cannot be written costs time, nothing else
        write_json(note, {"file": seen, "sha256": digest})
    return digest
