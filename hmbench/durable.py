"""How hmbench puts bytes on the disk: whole, flushed, under a name that nobody else uses meanwhile.

    write_bytes(path, content)
    with replacing(path) as temporary: ...        # a library writes the file
    with replacing_folder(folder) as temporary: . # several files that belong together

What is written goes to a temporary neighbour, is flushed to the disk (fsync), takes its name, and the folder is
flushed, too: after a kill or a power loss there is the old file or the new one, never half of one. A temporary name
carries a random token and its writer holds a lock on it, so that processes of any container may share a folder, and
`sweep` can tell what a dead one left behind; whoever writes into a folder for the first time sweeps it. What the file
system refuses becomes a `StorageError`: what, why, what to do.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hmbench.errors import SampleError, StorageError, UserError

fcntl: Any
try:  # POSIX; elsewhere temporaries are told from live ones by their age
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None

_TEMPORARY = re.compile(r"^\..+\.part(-\d+)?(\.\w+)?$")
"""Names of temporaries: of this version (a token before ``.part``) and of earlier ones (a process id, or nothing)."""
_OURS = re.compile(r"^\..+\.[0-9a-f]{12}\.part$")
"""Names of this version's temporaries alone: nobody else's file looks like that."""
_OLD = 24 * 3600
"""Seconds after which a temporary belongs to nobody, where locks do not work."""


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all.

    Raises:
        StorageError: If the file system refuses.
    """
    with storing(path):
        make_folder(path.parent)
        temporary, handle = _own_file(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
        except BaseException:
            _discard(temporary)
            raise
        flush_folder(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file of the same name, which takes the place of `path` if the body ends well.

    Raises:
        StorageError: If the file system refuses, in whatever words a library says so.
    """
    with storing(path):
        with own_folder(path) as temporary:
            yield temporary / path.name
            _flush(temporary / path.name)
            (temporary / path.name).replace(path)
        flush_folder(path.parent)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder, which takes the place of `folder` with all its files if the body ends well.

    A folder of that name is put aside first and removed last; a kill between leaves `folder` missing, never mixed.

    Raises:
        StorageError: If the file system refuses.
    """
    with storing(folder):
        with own_folder(folder) as temporary:
            inner = temporary / folder.name
            inner.mkdir()
            yield inner
            flush_tree(inner)
            if folder.exists():
                folder.rename(temporary / f"old-{folder.name}")
            inner.rename(folder)
        flush_folder(folder.parent)


@contextmanager
def own_folder(path: Path) -> Iterator[Path]:
    """A new temporary folder beside `path`, locked, and removed at the end with all that is in it then.

    `replacing` and `replacing_folder` are made of it; use it alone where something else than a rename comes last.
    """
    make_folder(path.parent)
    _sweep_once(path.parent)
    while True:
        temporary = _temporary_name(path)
        temporary.mkdir()
        try:
            handle = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:
            continue  # swept between making and opening it
        if _hold(handle) and _is_at(handle, temporary):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        _discard(temporary)
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, and flushes their entries."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        if folder.parent == folder:
            break
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        flush_folder(one.parent)


def flush_folder(folder: Path) -> None:
    """Puts a folder's entries on the disk, where the system has a way to."""
    with suppress(PermissionError):  # a folder that may be written and not be read
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # not every file system knows it
                raise
        finally:
            os.close(handle)


def flush_tree(folder: Path) -> None:
    """Puts a file, or every file and folder below a folder, on the disk."""
    if not folder.is_dir():
        _flush(folder)
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            _flush(path)
        elif path.is_dir():
            flush_folder(path)
    flush_folder(folder)


def sweep(folder: Path, names: re.Pattern[str] = _TEMPORARY) -> list[Path]:
    """Removes temporaries that no living process holds; returns them. What cannot be removed stays.

    Args:
        folder: Looked at itself, not below.
        names: How they are called; earlier versions' ones may be taken for one only where nobody else writes.
    """
    removed: list[Path] = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if names.match(path.name) and (handle := _taken(path)) is not None:
                _discard(path)  # under the lock: a writer that made it just now sees that it is gone, and makes another
                os.close(handle)
                removed.append(path)
    return removed


def is_temporary(name: str) -> bool:
    """Whether a name is one that `write_bytes` and `replacing` use meanwhile."""
    return _TEMPORARY.match(name) is not None


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turns what the file system refuses into a `StorageError` about `path`.

    Raises:
        StorageError: For any OSError, and for what libraries raise of their own over a full disk.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_disk_full(error):
            raise
        raise storage_error(error, path) from error


def storage_error(error: BaseException, path: Path | None = None) -> StorageError:
    """What the file system refused, as a sentence and a remedy."""
    where = path or getattr(error, "filename", None) or "A file"
    number = error.errno if isinstance(error, OSError) else None
    if number is None and is_disk_full(error):
        number = errno.ENOSPC
    why = os.strerror(number) if number else " ".join(str(error).split()) or type(error).__name__
    what = f"{where} cannot be read or written: {why}."
    return StorageError(what, _REMEDIES.get(number or 0, _ELSE), error, number)


def unreadable(error: OSError, path: Path) -> SampleError:
    """That one file cannot be read: unlike a `StorageError` it concerns nothing but what is in it."""
    said = storage_error(error, path)
    return SampleError(f"{path} cannot be read: {said.strerror}.", said.hint)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, whatever its class, says that a file could not grow: no space, or no quota left."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return any(sign in str(error).lower() for sign in _FULL)


_FULL = (
    "no space left",
    "disk quota exceeded",
    f"os error {errno.ENOSPC})",
    f"os error {errno.EDQUOT})",
    "unexpected pos",
    "pytorchstreamwriter",
)
"""safetensors raises a class of its own and torch a RuntimeError, both without an errno; torch tells only that its
file did not grow ("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")."""
_KEPT = "what is complete is kept, and the same command goes on from there."
_ELSE = f"Check the path and the disk; {_KEPT}"
_ROOM = f"Make room, or choose another folder; {_KEPT}"
_PERMISSION = f"Choose another folder, or change who may read and write there; {_KEPT}"
_IN_THE_WAY = "A part of this path is a file where a folder is needed: choose another path, or move that file."
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "Choose a folder that can be written.",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "It is a folder where a file is needed: choose another path, or move that folder.",
    errno.ENOENT: f"It was removed meanwhile, or never there: check the path; {_KEPT}",
    errno.ENAMETOOLONG: "Choose a shorter name or path.",
    errno.ELOOP: "Symbolic links lead round in a circle: remove it.",
    errno.EMFILE: "Raise the limit (ulimit -n), or use fewer workers.",
    errno.EIO: f"Check the disk, or choose another; {_KEPT}",
    errno.ESTALE: f"The network file system lost it; {_KEPT}",
}


_swept: set[Path] = set()
"""Folders that this process has swept."""


def _sweep_once(folder: Path) -> None:
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder, _OURS)


def _own_file(path: Path) -> tuple[Path, int]:
    """A new temporary for `path`, open and locked."""
    _sweep_once(path.parent)
    while True:
        temporary = _temporary_name(path)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        if _hold(handle) and _is_at(handle, temporary):
            return temporary, handle
        os.close(handle)  # swept between making and locking it


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part")


def _hold(handle: int) -> bool:
    """Locks an open file or folder for as long as it stays open; a file system without locks counts as locked."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
    return True


def _is_at(handle: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def _taken(path: Path) -> int | None:
    """A temporary that no living process holds, open and locked; None if one does."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # no locks here
        pass
    if os.fstat(handle).st_mtime < time.time() - _OLD:
        return handle
    os.close(handle)
    return None


def _discard(path: Path) -> None:
    """Removes a temporary; a signal that comes meanwhile waits until it is gone."""
    try:
        _remove(path)
    except BaseException:
        _remove(path)
        raise


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
