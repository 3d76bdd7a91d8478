"""``caption.txt``: one file of captions for all samples, in whichever of four forms it comes.

HM-World's line format is not documented. Accepted: ``<id><tab>caption``; ``<id>: caption`` or ``<id> caption``; a JSON
object or JSON lines with an id and a caption; and bare captions, a line a sample, only if there are exactly as many
lines as samples (then in sorted order of the ids).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import parse_json

MAX_BYTES = 64 << 20
"""Of the file; three times what HM-World's captions take."""
MAX_CAPTION = 20_000
"""Characters of one caption."""


def read_captions(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Captions by id; ids without one are absent. A missing file gives none.

    Args:
        path: The file; it may be missing.
        ids: Sample ids that captions are wanted for, sorted.

    Raises:
        UserError: If the file or one of its captions is far larger than captions are, or it is a Git LFS pointer.
    """
    if not path.is_file():
        return {}
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UserError(
            f"{path} has {size / 2**20:.0f} MiB, more than the {MAX_BYTES >> 20} MiB that captions may have.",
            "HM-World's 59,225 captions take about 20 MiB: put the right file there.",
        )
    text = path.read_text(encoding="utf-8", errors="replace")
    if text.startswith("version https://git-lfs.github.com/spec/"):
        raise UserError(f"{path} is a Git LFS pointer and not the captions.", "Run `git lfs pull`.")
    found = _captions(text, ids)
    for name, caption in found.items():
        if len(caption) > MAX_CAPTION:
            raise UserError(
                f"{path} has a caption of {len(caption):,} characters for {name}, more than {MAX_CAPTION:,}.",
                "Shorten it: HM-World's captions have a few hundred.",
            )
    return found


def _captions(text: str, ids: Sequence[str]) -> dict[str, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _json_object(text, ids) or _labelled(lines, set(ids)) or _bare(lines, ids)


def _json_object(text: str, ids: Sequence[str]) -> dict[str, str]:
    if text.lstrip()[:1] not in ("{", "["):
        return {}
    try:
        content = parse_json(text, "captions")
    except UserError:
        return {}
    if not isinstance(content, dict):
        return _entries(content if isinstance(content, list) else [], set(ids))
    return {key: value for key in ids if isinstance(value := content.get(key), str)}


def _labelled(lines: Iterable[str], ids: set[str]) -> dict[str, str]:
    captions: dict[str, str] = {}
    for line in lines:
        if line.startswith("{"):
            try:
                captions |= _entries([parse_json(line, "a caption")], ids)
            except UserError:
                continue
            continue
        words = line.split(maxsplit=1)
        name = words[0].rstrip(":,").removesuffix(".mp4").rsplit("/", 1)[-1]
        if name in ids and len(words) == 2:
            captions[name] = words[1].strip()
    return captions


def _entries(entries: Sequence[Any], ids: set[str]) -> dict[str, str]:
    """Captions from JSON objects, whichever of their strings is an id; the longest other string is the caption."""
    captions = {}
    for entry in entries:
        strings = [v for v in entry.values() if isinstance(v, str)] if isinstance(entry, dict) else []
        names = [s for s in strings if s in ids]
        rest = [s for s in strings if s not in ids]
        if names and rest:
            captions[names[0]] = max(rest, key=len)
    return captions


def _bare(lines: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
    return dict(zip(ids, lines, strict=True)) if len(lines) == len(ids) else {}
