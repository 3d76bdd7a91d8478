"""Arrays that anybody may have written, ``.npy`` and ``.npz``: numbers only, and measured before they take memory."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import SampleError

MOST_BYTES = 8 << 30
"""Of one array."""


def read_array(path: Path, names: Sequence[str] = (), most: int = MOST_BYTES) -> NDArray[Any]:
    """One array of a file.

    Args:
        path: ``.npy``, or ``.npz`` with one array, or with one of these names.
        names: Which array of several is meant, the first that is there.
        most: Bytes that it may take.

    Raises:
        SampleError: If the file is damaged, larger, holds Python objects, or several arrays and none of these names.
    """
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, names)) as file:
                return _array(path, file, most)
        with path.open("rb") as file:
            return _array(path, file, most)
    except SampleError:
        raise
    except Exception as error:  # damaged archives and headers make zipfile and NumPy raise much
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise SampleError(f"{path} holds no array: {why}.", "Write it again by numpy.save.") from error


def _member(path: Path, archive: zipfile.ZipFile, names: Sequence[str]) -> str:
    found = [name.removesuffix(".npy") for name in archive.namelist()]
    wanted = next((name for name in names if name in found), found[0] if len(found) == 1 else None)
    if wanted is None:
        raise SampleError(
            f"{path} holds {len(found)} arrays ({', '.join(found[:4])}): which is meant cannot be known.",
            f"Write one alone{f', or name it {names[0]}' if names else ''}.",
        )
    return wanted + ".npy" if wanted + ".npy" in archive.namelist() else wanted


def _array(path: Path, file: IO[bytes], most: int) -> NDArray[Any]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if (size := math.prod(shape) * kind.itemsize) > most:
        raise SampleError(f"{path} holds an array of {size >> 20:,} MiB, more than {most >> 20:,}.", "Check the file.")
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
