"""Archives in HM-World's layout for tests: bytes that stand for videos, split like the release."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence

import numpy as np

from hmbench.data.hub.extract import SAMPLE_FILES

IDS = tuple(f"{i:05d}_{s}_loc{i % 7}_Complex_Follow_1" for i, s in enumerate(["City", "Forest", "Beach"] * 4))


def file_bytes(sample: str, name: str, size: int = 6000) -> bytes:
    """Incompressible bytes that only this file has."""
    seed = np.frombuffer(f"{sample}/{name}".encode(), dtype=np.uint8)
    return np.random.default_rng(seed.tolist()).bytes(size)


def member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a regular file."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def make_archive(
    ids: Sequence[str] = IDS,
    *,
    files: Sequence[str] = SAMPLE_FILES,
    root: str = "HM-World/",
    captions: str = "last",
    tar_format: int = tarfile.GNU_FORMAT,
    by_file: bool = False,
) -> bytes:
    """A gzip tar of samples."""
    buffer = io.BytesIO()
    text = "".join(f"{i}\ta caption of {i}\n" for i in ids).encode()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        if captions == "first":
            member(archive, f"{root}caption.txt", text)
        pairs = [(i, f) for f in files for i in ids] if by_file else [(i, f) for i in ids for f in files]
        for sample, name in pairs:
            member(archive, f"{root}{sample}/{name}", file_bytes(sample, name))
        if captions == "last":
            member(archive, f"{root}caption.txt", text)
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def split_parts(archive: bytes, count: int = 5, prefix: str = "HM-World_") -> dict[str, bytes]:
    """Cuts an archive into unequal parts named a, b, c, ..."""
    cuts = [len(archive) * i // count + (37 * i if i < count else 0) for i in range(count)] + [len(archive)]
    return {f"{prefix}a{chr(97 + i)}": archive[cuts[i] : cuts[i + 1]] for i in range(count)}
