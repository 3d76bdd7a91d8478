"""Small files, written whole or not at all, and read within limits: text, JSON, sealed JSON.

How they reach the disk is told in `hmbench.durable`. What hmbench wrote for itself can be sealed (`write_sealed`): a
digest of the content lies in the file, and `read_sealed` refuses any other content. JSON that anybody may have written
is read by `read_json`: bounded in size, depth and digits, without NaN, and of the kind that the caller expects.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import stat
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmbench.durable import unreadable, write_bytes
from hmbench.errors import SampleError, UserError

_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
SEAL = "digest"
"""Key of a sealed file's digest."""


@dataclass(frozen=True, kw_only=True)
class JsonLimits:
    """What JSON of others may take; far above anything that the field writes."""

    size: int = 256 * 1024**2
    """Bytes."""
    depth: int = 64
    """Objects and arrays inside one another."""
    digits: int = 40
    """Digits of a whole number."""


LIMITS = JsonLimits()


def write_json(path: Path, content: Any) -> None:
    """Writes JSON, whole or not at all."""
    write_text(path, json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def seal(content: dict[str, Any]) -> str:
    """The digest that `write_sealed` adds: sha256 of the content as compact sorted JSON."""
    return _digest(plain({key: value for key, value in content.items() if key != SEAL}))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON object with a digest of its content."""
    write_json(path, {**content, SEAL: seal(content)})


def read_sealed(path: Path, *, required: bool = True) -> dict[str, Any]:
    """Reads what `write_sealed` wrote, without the digest.

    Args:
        path: The file.
        required: False lets a file without digest pass: earlier versions wrote none.

    Raises:
        UserError: If the file is missing, damaged, or was changed since.
    """
    return unsealed(read_json(path, kind=dict), path, required=required)


def unsealed(content: dict[str, Any], path: Path, *, required: bool = True) -> dict[str, Any]:
    """The content of a sealed file that was read already, without its digest; see `read_sealed`."""
    found = content.pop(SEAL, None)
    if (required or found is not None) and found != _digest(content):  # read from JSON, it is plain
        why = "it carries no digest" if found is None else "its digest does not fit"
        raise UserError(f"{path} is not as hmbench wrote it: {why}.", "It was damaged or edited; make it again.")
    return content


def read_json(path: Path, *, kind: type | tuple[type, ...] = object, limits: JsonLimits = LIMITS) -> Any:
    """Reads JSON that anybody may have written.

    Args:
        path: The file.
        kind: What the whole must be, for example ``dict``.
        limits: What it may take.

    Raises:
        UserError: If the file is missing, no JSON, of another kind, beyond the limits, or holds NaN or infinity.
    """
    return parse_json(read_text_within(path, limits.size), str(path), kind=kind, limits=limits)


def parse_json(text: str, source: str, *, kind: type | tuple[type, ...] = object, limits: JsonLimits = LIMITS) -> Any:
    """JSON from text; `source` is what the message calls it. See `read_json`."""
    try:
        content = _decode(limits)(text)
        if text.count("{") + text.count("[") >= limits.depth:  # fewer cannot be nested too deep
            _check_depth(content, limits.depth)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise UserError(f"{source} is no valid JSON: {why}.", "Fetch or write it again.") from error
    if not isinstance(content, kind):
        wanted = " or ".join(_json_name(one) for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(
            f"{source} is no valid JSON of its kind: it holds {_json_name(type(content))}, expected {wanted}.",
            "Fetch or write it again.",
        )
    return content


def ascii_name(name: str) -> str:
    """A name without accents, as ids have it; letters of other scripts stay as they are.

    >>> ascii_name("Café Größe")
    'Cafe Grosse'
    """
    parts = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def file_name(name: Any) -> str:
    """A name that comes from elsewhere (a sample's id), if it is a plain file name and nothing more.

    Raises:
        SampleError: If it is no text, holds a path separator, starts with a dot, is empty or longer than 200; or if it
            ends with a dot or blank or is called like a device, which Windows takes for something else.
    """
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.+@ -]{0,198}[A-Za-z0-9_+@-])?", name):
        stem = name.partition(".")[0].rstrip().upper()
        if stem not in _DEVICES:
            return name
    raise SampleError(
        f"The sample id {str(name)[:200]!r} cannot name a file.",
        "Use letters, digits, '_', '-' and '.', and neither begin nor end with a dot.",
    )


_PLAIN = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """Tuples, paths and NumPy scalars as JSON types."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    np = sys.modules.get("numpy")  # who has none of its scalars need not import it
    if np is not None and isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def read_text_within(path: Path, most: int, what: str = "JSON") -> str:
    """Text of an ordinary file of at most `most` bytes, UTF-8; `what` it should be.

    Raises:
        UserError: If it is missing, no ordinary file, larger, or no text.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise UserError(f"{path} is no ordinary file.", "Check the path.")
        if found.st_size > most:
            raise UserError(
                f"{path} has {found.st_size >> 20} MiB; {what} of more than {most >> 20} MiB is not read.",
                "Check that it is the file that was meant.",
            )
        return path.read_text(encoding="utf-8-sig")  # editors of Windows begin a file with a mark
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no valid {what}: {error}.", "Fetch or write it again.") from error
    except OSError as error:
        raise unreadable(error, path) from error


@functools.cache
def _decode(limits: JsonLimits) -> Callable[[str], Any]:
    """What reads JSON and raises ValueError at a number beyond the limits, while it is still text."""

    def whole(text: str) -> int:
        if len(text) > limits.digits and len(text.lstrip("-")) > limits.digits:
            raise ValueError(f"a whole number has more than {limits.digits} digits")
        return int(text)

    def real(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("a number is beyond what a computer holds")
        return value

    return json.JSONDecoder(
        parse_int=whole, parse_float=real, parse_constant=_refuse_constant, object_pairs_hook=_object
    ).decode


def _check_depth(content: Any, most: int) -> None:
    """Raises ValueError where it is nested deeper; without recursion, since depth is what is in question."""
    level = [content]
    for _ in range(most):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            return
        level = below
    raise ValueError(f"it is nested more than {most} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that comes twice would hide one of its values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"it has {twice[:60]!r} twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _json_name(kind: type) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(kind, "a number")
