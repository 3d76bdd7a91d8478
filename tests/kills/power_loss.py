"""A disk that forgets: what stays of a folder if the power goes at any moment, given what was flushed until then.

Everything that a file system may lose is lost here, as ext4 and its like allow:

* bytes of a file that were not flushed (fsync) are there, cut, zero or gone, by the draw of a seed;
* names (made, renamed, removed) since their folder was flushed last are there up to some moment, and not after it.

`Disk` watches `os.fsync`, `os.replace`, `os.rename`, `os.unlink`, `os.mkdir` and `os.rmdir` (pathlib goes through
them), and learns from the folder itself what libraries wrote behind Python's back. `Disk.lost` writes what is left
after a power loss, `Disk.killed` what is left after a kill.
"""
# ruff: noqa: PTH100, PTH115, PTH116, PTH118

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path


class Disk:
    """A watched folder.

    Args:
        root: The folder.
        before: Called with this disk before each operation; `count` is its number.
    """

    WATCHED = ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir")

    def __init__(self, root: Path, before: Callable[[Disk], None] = lambda disk: None) -> None:
        self.root, self.before, self.count = root, before, 0
        self.flushed: dict[int, bytes] = {}
        """Inode to the bytes that were flushed."""
        self.names: dict[str, int | None] = {}
        """Path to inode (None: a folder) as the disk surely has it."""
        self.pending: list[tuple[str, str, dict[str, int | None]]] = []
        """Folder whose names changed, what happened, and all names below the root after it."""

    def __enter__(self) -> Disk:
        if self.root.exists():  # what was there before is on the disk
            self.names = self._all()
            self.flushed = {inode: Path(path).read_bytes() for path, inode in self.names.items() if inode is not None}
        self._real = {name: getattr(os, name) for name in self.WATCHED}
        for name in self.WATCHED:
            setattr(os, name, self._watch(name, self._real[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _watch(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def watched(*args, **keywords):
            where = self._place(name, args)
            if where is None:
                return real(*args, **keywords)
            self.before(self)
            self.count += 1
            found = real(*args, **keywords)
            if name == "fsync":
                self._flushed(args[0], where)
            else:
                for folder in {
                    str(Path(where).parent),
                    *([str(Path(args[1]).parent)] if name in ("replace", "rename") else []),
                }:
                    self.pending.append((folder, f"{name} {where}", self._all()))
            return found

        return watched

    def _place(self, name: str, args: tuple) -> str | None:
        """The path of a call, if it is below the root."""
        try:
            path = os.readlink(f"/proc/self/fd/{args[0]}") if name == "fsync" else os.path.abspath(os.fspath(args[0]))
        except (OSError, TypeError):
            return None
        return path if Path(path).is_relative_to(self.root) else None

    def _flushed(self, handle: int, where: str) -> None:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            self.flushed[found.st_ino] = Path(where).read_bytes()
            return
        own = {path: inode for path, inode in self._all().items() if str(Path(path).parent) == where}
        self.names = {path: i for path, i in self.names.items() if str(Path(path).parent) != where} | own
        self.pending = [change for change in self.pending if change[0] != where]

    def _all(self) -> dict[str, int | None]:
        names: dict[str, int | None] = {}
        for folder, folders, files in os.walk(self.root):
            names |= {os.path.join(folder, one): None for one in folders}
            names |= {os.path.join(folder, one): os.stat(os.path.join(folder, one)).st_ino for one in files}
        return names

    def killed(self, target: Path) -> None:
        """Writes what a process that is killed now leaves: all that it gave to the system."""
        shutil.copytree(self.root, target, symlinks=True) if self.root.exists() else target.mkdir(parents=True)

    def lost(self, target: Path, seed: int) -> None:
        """Writes what the disk has after the power went now and came back."""
        rng = random.Random(seed)
        names = dict(self.names)
        for folder, _, after in self.pending[: rng.randint(0, len(self.pending))]:  # a journal keeps the order
            own = {path: inode for path, inode in after.items() if str(Path(path).parent) == folder}
            names = {path: i for path, i in names.items() if str(Path(path).parent) != folder} | own
        real = {os.stat(path).st_ino: path for path, inode in self._all().items() if inode is not None}
        target.mkdir(parents=True)
        for path, inode in sorted(names.items()):
            place = target / Path(path).relative_to(self.root)
            if inode is None:
                place.mkdir(parents=True, exist_ok=True)
            elif place.parent.is_dir():
                content = self.flushed.get(inode)
                if content is None:
                    whole = Path(real[inode]).read_bytes() if inode in real else b""
                    cut = rng.randint(0, len(whole))
                    content = rng.choice(
                        [b"", whole[:cut], bytes(len(whole)), whole[:cut] + bytes(len(whole) - cut), whole]
                    )
                place.write_bytes(content)


def moments(
    prepare: Callable[[], object],
    work: Callable[[], object],
    root: Path,
    out: Path,
    *,
    kills: int,
    losses: int,
    seed: int,
) -> list[Path]:
    """Runs `work`, which fills or changes `root`, and keeps what is left at random moments of it.

    Args:
        prepare: Makes what is in `root` before.
        work: Deterministic; run twice, once to count its operations.
        root: What it fills.
        out: Where the remains go: ``kill-...`` and ``loss-...``.
        kills: Moments of a kill; more than there are operations: each of them.
        losses: Moments of a power loss, several at one operation if there are more.
        seed: Of moments and of what is lost.
    """
    prepare()
    with Disk(root) as disk:
        work()
    out.mkdir(parents=True)
    total, rng = disk.count, random.Random(seed)
    at_kill = set(rng.sample(range(total), min(kills, total)))
    at_loss = [rng.randrange(total) for _ in range(losses)]
    shutil.rmtree(root)
    prepare()

    def keep(disk: Disk) -> None:
        if disk.count in at_kill:
            disk.killed(out / f"kill-{disk.count:04d}")
        for number, moment in enumerate(at_loss):
            if moment == disk.count:
                disk.lost(out / f"loss-{disk.count:04d}-{number:03d}", seed + number)

    with Disk(root, keep):
        work()
    return sorted(out.iterdir())
