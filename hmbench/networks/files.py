"""Weight files: small ones that ship with hmbench, and reading any of them as tensors only, never as code.

Each shipped ``<name>.safetensors`` has a card ``<name>.json``: the command that made it, seed, data version, digest.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmbench.durable import replacing
from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.networks.untrusted import check_finite, check_weight_file

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent
_SHOWN = 300
"""Characters of a library's message that are passed on: torch lists every key that does not fit."""


def shipped(name: str) -> Path:
    """The file of a shipped weight, whether or not it is there."""
    return FOLDER / f"{name}.safetensors"


def read_card(name: str) -> dict[str, Any]:
    """What is recorded about a shipped weight.

    Raises:
        UserError: If it has no card.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise UserError(f"The shipped weight {name!r} has no card at {path}.", "Install hmbench again.")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def read_shipped(name: str) -> dict[str, torch.Tensor]:
    """The tensors of a shipped weight, checked against the digest in its card.

    Raises:
        UserError: If the file is missing or is not the one that the card describes.
    """
    path, card = shipped(name), read_card(name)
    if not path.is_file():
        raise UserError(f"The shipped weight {path} is missing.", f"Make it again: {card['command']}")
    found = digest(path)
    if found != card["sha256"]:
        raise UserError(
            f"{path} is not the file that its card describes (sha256 {found[:12]}, card {card['sha256'][:12]}).",
            f"Install hmbench again, or make it again: {card['command']}",
        )
    return read_state(path)


def write_shipped(folder: Path, name: str, state: dict[str, torch.Tensor], card: dict[str, Any]) -> Path:
    """Writes a weight and its card (digest and size are added), and returns the weight's path."""
    from safetensors.torch import save_file

    path = folder / f"{name}.safetensors"
    with replacing(path) as temporary:
        save_file({k: v.contiguous() for k, v in state.items()}, temporary)
        temporary.chmod(0o644)  # safetensors writes for the owner alone
    card = {**card, "sha256": digest(path), "bytes": path.stat().st_size}
    write_json(folder / f"{name}.json", card)
    return path


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """A state dict from ``.safetensors``, or from a torch file that holds nothing but tensors.

    Raises:
        UserError: If the file is damaged, holds code, something else than tensors, or NaN.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_weight_file(path)
    try:
        state: dict[str, torch.Tensor]
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError,
        AttributeError, MemoryError,
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())[:_SHOWN]
        raise UserError(f"The weights {path} cannot be read: {said}.", "Fetch them again.") from error
    if not (isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())):
        raise UserError(f"The weights {path} cannot be read: they are no tensors by name.", "Fetch them again.")
    check_finite(state, path)
    return state


@contextmanager
def fitting(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Says in a sentence that a file is not the network's, whatever building the network from it raises.

    Args:
        path: The file or folder that is read inside.
        others: What else the reader raises over a damaged file.

    Raises:
        UserError: With what does not fit.
    """
    import pickle

    from safetensors import SafetensorError

    expected: tuple[type[Exception], ...] = (
        LookupError, RuntimeError, ValueError, TypeError, AttributeError, OSError, EOFError, ImportError,
        pickle.UnpicklingError, SafetensorError, *others,
    )  # fmt: skip
    try:
        yield
    except expected as error:
        said = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise unfit(path, said[:_SHOWN] or type(error).__name__) from error


def unfit(path: Path, why: str) -> UserError:
    """The error for a file that is not the network's."""
    return UserError(
        f"The weights {path} do not fit the network: {why.rstrip('.')}.",
        "Delete them and fetch them again: hmbench weights pull DIR.",
    )


def digest_once(path: Path) -> str:
    """sha256 of a file, computed once a process; a file of another size or time is read again."""
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    return digest(path)


def digest(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
