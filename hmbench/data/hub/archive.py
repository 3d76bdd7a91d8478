"""Tar members from an untrusted stream: plain files and folders with harmless names, or a sentence.

Read header by header instead of with `tarfile`, which keeps every member in memory (59,225 samples of seven files)
and reads extended headers of any size whole. `tarfile.TarInfo.frombuf` still parses the 512 bytes. What is refused:
absolute and parent paths, links, devices, pipes, sparse files, names that are not UTF-8 or not valid everywhere, names
that come twice, members beyond size and count limits, and streams that inflate too much.
"""

from __future__ import annotations

import io
import itertools
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from hmbench.errors import UserError

BLOCK = 512
_SKIPPED = b"\0" * BLOCK
_CHUNK = 1 << 20
_FORBIDDEN = set('\\:*?"<>|')
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.CONTTYPE: "a contiguous file of another system",
}


class ArchiveError(UserError):
    """The archive is damaged, or holds something that no honest release of videos needs."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may demand; generous for HM-World, whose clips are megabytes."""

    member_bytes: int = 1 << 30
    """Size of one file."""
    members: int = 5_000_000
    """Files and folders: 59,225 samples of seven files are 0.5 million."""
    header_bytes: int = 1 << 16
    """Size of one extended header (long names)."""
    ratio: float = 100.0
    """Inflated bytes per compressed byte; videos do not compress, zip bombs reach 1000."""
    slack: int = 256 << 20
    """Inflated bytes before `ratio` counts."""


@dataclass(frozen=True)
class Member:
    """One file of an archive. Its data must be read before the next member is asked for, or they are skipped."""

    path: PurePosixPath
    """Relative path without ``..``."""
    size: int
    """Bytes."""
    read: Callable[[int], bytes]
    """Reads up to so many of the remaining bytes; empty at the end."""


Refuse = Callable[[str, str], None]
"""Called with a member's name and why it is refused; raises, or returns to have the member skipped."""


def stop_at(name: str, reason: str) -> None:
    """The default `Refuse`: the whole archive is not to be trusted."""
    raise ArchiveError(
        f"The archive member {name!r} {reason}.",
        "No honest release needs that: check where the archive comes from. Nothing of this member was written; "
        "--skip-refused leaves such members out and goes on.",
    )


def read_archive(
    stream: IO[bytes] | io.RawIOBase, *, limits: Limits | None = None, refuse: Refuse = stop_at
) -> Iterator[Member]:
    """Members of a tar archive, compressed with gzip or not.

    Args:
        stream: The bytes; only read forwards.
        limits: What the archive may demand.
        refuse: What to do with a member that is refused.

    Yields:
        Regular files; folders are passed over in silence, everything else goes to `refuse`. Archives may follow each
        other, as where each part is a whole one: their members follow each other.

    Raises:
        ArchiveError: If the stream is damaged, ends early, or inflates beyond the limits.
    """
    limits = limits or Limits()
    source = _Inflated(stream, limits)
    names: set[int] = set()
    count = 0
    while True:
        header = _next_header(source, limits)
        if header is None:
            if not _another_archive(source):
                break
            names.clear()
            continue
        count += 1
        if count > limits.members:
            raise ArchiveError(
                f"The archive has more than {limits.members} members.", "HM-World has about half a million: refused."
            )
        remaining = _Remaining(source, header.size if _has_data(header) else 0)
        reason = _objection(header, limits)
        if reason is None and not header.isdir():
            reason = _repeated(header.name, names)
        if reason is not None:
            refuse(header.name, reason)
        elif not header.isdir():
            yield Member(PurePosixPath(header.name), header.size, remaining.read)
        remaining.skip()
    source.drain()


class _Inflated:
    """Exact reads from a stream that may be gzip, with an eye on how much it inflates."""

    def __init__(self, stream: Any, limits: Limits) -> None:
        self._limits = limits
        self._taken = 0
        self._given = 0
        self._pieces = self._inflate(stream)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        pieces = []
        while size > 0:
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            pieces.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(pieces[-1])
        return b"".join(pieces)

    def put_back(self, data: bytes) -> None:
        """Gives data back that were read, to be read again."""
        self._rest = memoryview(data + bytes(self._rest))

    def exactly(self, size: int, what: str) -> bytes:
        """`size` bytes, or an error that names what was being read."""
        got = self.read(size)
        if len(got) < size:
            raise ArchiveError(
                f"The archive ends in the middle of {what}.", "A part is truncated or missing: fetch the parts again."
            )
        return got

    def drain(self) -> None:
        """Reads to the end of the stream, so that checksums of all of it are checked."""
        for _ in self._pieces:
            pass

    def _inflate(self, stream: Any) -> Iterator[bytes]:
        chunks = self._chunks(stream)
        first = next(chunks, b"")
        while len(first) < 2 and (more := next(chunks, b"")):
            first += more
        if first[:2] == b"\x1f\x8b":
            return self._gunzip(itertools.chain([first], chunks))
        if first[:2] in (b"\x28\xb5", b"PK", b"BZ", b"\xfd7"):
            raise ArchiveError("The archive is not compressed with gzip.", "Only .tar and .tar.gz streams are known.")
        return itertools.chain([first], chunks)

    def _chunks(self, stream: Any) -> Iterator[bytes]:
        while chunk := stream.read(_CHUNK):
            self._taken += len(chunk)
            yield chunk

    def _gunzip(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Gzip members one after another, their checksums checked; `gzip.GzipFile` reads 8 KiB at a time."""
        inflater = zlib.decompressobj(wbits=31)
        for chunk in chunks:
            while chunk:
                if inflater.eof:
                    if not chunk.strip(b"\0"):
                        break  # padding after the last member
                    inflater = zlib.decompressobj(wbits=31)
                try:
                    piece = inflater.decompress(chunk, _CHUNK)
                except zlib.error as error:
                    raise ArchiveError(
                        f"The compressed stream is damaged ({error}).",
                        "A part is damaged or out of order: fetch it again.",
                    ) from error
                chunk = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                self._check_ratio(len(piece))
                if piece:  # a few compressed bytes may give none yet
                    yield piece
        if not inflater.eof:
            raise ArchiveError(
                "The compressed stream ends early.", "A part is truncated or missing: fetch the parts again."
            )

    def _check_ratio(self, size: int) -> None:
        self._given += size
        if self._given > self._limits.slack + self._limits.ratio * self._taken:
            raise ArchiveError(
                f"The archive inflates {self._taken} bytes to more than {self._given}.",
                "Videos do not compress like that: it is a decompression bomb and was refused.",
            )


def _another_archive(source: _Inflated) -> bool:
    """Whether, after the zeros that end an archive, the header of another one comes; the source then stands before it.

    Anything else after the end is passed over, as tar does.
    """
    while (block := source.read(BLOCK)) == _SKIPPED:
        pass
    if len(block) < BLOCK:
        return False
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    source.put_back(block)
    return True


class _Remaining:
    """The data of one member, and the padding after it."""

    def __init__(self, source: _Inflated, size: int) -> None:
        self._source = source
        self._left = size
        self._padding = -size % BLOCK

    def read(self, size: int) -> bytes:
        piece = self._source.exactly(min(size, self._left), "a file")
        self._left -= len(piece)
        return piece

    def skip(self) -> None:
        while self._left:
            self.read(_CHUNK)
        self._source.exactly(self._padding, "the padding after a file")


def _next_header(source: _Inflated, limits: Limits) -> tarfile.TarInfo | None:
    """The next member's header with its extended headers applied; None at the archive's end."""
    extended: dict[str, str] = {}
    for _ in range(16):
        block = source.read(BLOCK)
        if not block or block == _SKIPPED:
            return None
        if len(block) < BLOCK:
            raise ArchiveError("The archive ends in the middle of a header.", "A part is truncated: fetch it again.")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(
                f"The archive has a damaged header ({error}).",
                "Parts may be damaged or out of order: fetch them again.",
            ) from error
        if header.type not in b"LKxgX" or len(header.type) != 1:
            return _apply(header, extended)
        if not 0 <= header.size <= limits.header_bytes:
            raise ArchiveError(
                f"The archive has an extended header of {header.size} bytes.",
                f"At most {limits.header_bytes} are accepted, which is far more than a name needs.",
            )
        data = _Remaining(source, header.size)
        content = data.read(header.size)
        data.skip()
        if header.type != tarfile.XGLTYPE:  # a global header names no single file
            extended |= _extended(header.type, content)
    raise ArchiveError("The archive piles up extended headers without a file.", "It is damaged or hostile: refused.")


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    if kind in b"LK":
        key = "path" if kind == b"L" else "linkpath"
        return {key: data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    records: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not len(length) + 2 < int(length) <= len(data):
            raise ArchiveError("The archive has a damaged extended header.", "Fetch the parts again.")
        record, data = data[len(length) + 1 : int(length) - 1], data[int(length) :]
        key_bytes, _, value = record.partition(b"=")
        records[key_bytes.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
    return records


def _apply(header: tarfile.TarInfo, extended: dict[str, str]) -> tarfile.TarInfo:
    header.name = extended.get("path", header.name).rstrip("/") or "/"
    if "size" in extended:
        header.size = int(extended["size"]) if extended["size"].isdigit() else -1
    if any(key.startswith("GNU.sparse") for key in extended):
        header.type = tarfile.GNUTYPE_SPARSE
    return header


def _has_data(header: tarfile.TarInfo) -> bool:
    return not (header.isdir() or header.type in _KINDS) or header.type in (
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
    )


def _objection(header: tarfile.TarInfo, limits: Limits) -> str | None:
    """Why a member is refused, or None."""
    if header.type in _KINDS:
        return f"is {_KINDS[header.type]}"
    if not (header.isdir() or header.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        return f"is of the unknown type {header.type!r}"
    if header.size < 0:
        raise ArchiveError(f"The archive member {header.name!r} has a damaged size.", "Fetch the parts again.")
    if header.size > limits.member_bytes:
        return f"has {header.size} bytes, more than the {limits.member_bytes} that any clip needs"
    return name_problem(header.name)


def name_problem(name: str) -> str | None:
    """Why a member's name is refused, or None: absolute, leading out, or not valid on every file system."""
    if any("\ud800" <= c <= "\udfff" for c in name):
        return "has a name that is not UTF-8"
    if name.startswith("/"):
        return "has an absolute path"
    pieces = name.split("/")
    if ".." in pieces:
        return "leads out of its folder with '..'"
    if any(unicodedata.category(c).startswith("C") for c in name):
        return "has control characters in its name"
    if forbidden := _FORBIDDEN & set(name):
        return f"has {' '.join(sorted(forbidden))} in its name, which not every file system can hold"
    if any(len(piece.encode()) > 200 for piece in pieces):
        return "has a name of more than 200 bytes"
    return None


def _repeated(name: str, names: set[int]) -> str | None:
    """Names that differ only by case or Unicode form are one file on many systems; only their hashes are kept."""
    key = hash(unicodedata.normalize("NFC", str(PurePosixPath(name))).casefold())
    if key in names:
        return "comes twice, and would overwrite what was extracted before"
    names.add(key)
    return None
