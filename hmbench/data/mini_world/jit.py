"""numba, with a place for its compiled kernels: beside them, or in hmbench's cache where that cannot be written."""

import os
import tempfile
from pathlib import Path

from hmbench.cache import cache_folder

_HERE = Path(__file__).parent


def compiled_folder(package: Path = _HERE) -> Path | None:
    """Where compiled kernels go; None where numba's own choice, ``__pycache__`` beside the module, can be written.

    In containers package and home are often read-only, and numba then finds no place and raises; ``HMBENCH_CACHE`` says
    where there is one. Where not even that can be written, a temporary folder serves this process.
    """
    own = package / "__pycache__"
    if os.access(own if own.is_dir() else package, os.W_OK):
        return None
    folder = cache_folder() / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hmbench-numba-"))


if "NUMBA_CACHE_DIR" not in os.environ and (_folder := compiled_folder()) is not None:
    os.environ["NUMBA_CACHE_DIR"] = str(_folder)

import numba as nb  # noqa: E402 - it reads the variable when it is imported

if "NUMBA_CACHE_DIR" in os.environ:
    vars(nb.config)["CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]  # somebody else may have imported it before

__all__ = ["compiled_folder", "nb"]
