"""``caption.txt``: one file of captions for all samples, in whichever form it comes, or refused with a reason.

HM-World's line format is not documented. Accepted: ``<id><tab>caption``, ``<id>: caption``, ``<id> caption``,
``<id>|caption``, ``<id>,"caption"`` (each with a path in place of the id, too), a line with an id and below it a line
with its caption, a JSON object or JSON lines with an id and a caption, and bare captions, a line a sample. Bare ones go
by the ids in numeric order (sample2 before sample10), and only if there are exactly as many lines as samples. What may
be meant in two ways is nobody's caption.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.errors import UserError
from hmbench.files import parse_json

MAX_BYTES = 64 << 20
"""Of the file; three times what HM-World's captions take."""
MAX_CAPTION = 20_000
"""Characters of one caption."""
SAMPLE_VIDEOS = ("cond.mp4", "tgt.mp4", "cond_mask.mp4", "tgt_mask.mp4", "cond", "tgt")
"""File names that a path to a sample may end in."""


class CaptionFile(NamedTuple):
    """What was read."""

    captions: dict[str, str]
    """By id; ids without one are absent."""
    form: str
    """How lines were read, for people; empty if there is no file."""
    problem: str | None = None
    """Why nothing, or not all, could be read."""


def read_captions(path: Path, ids: Sequence[str]) -> dict[str, str]:
    """Captions by id; ids without one are absent. A missing file gives none.

    Args:
        path: The file; it may be missing.
        ids: Sample ids that captions are wanted for.

    Raises:
        UserError: If the file or one of its captions is far larger than captions are, or it is a Git LFS pointer.
    """
    return read_caption_file(path, ids).captions


def read_caption_file(path: Path, ids: Sequence[str]) -> CaptionFile:
    """As `read_captions`, with how it was read and why not."""
    if not path.is_file():
        return CaptionFile({}, "")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UserError(
            f"{path} has {size / 2**20:.0f} MiB, more than the {MAX_BYTES >> 20} MiB that captions may have.",
            "HM-World's 59,225 captions take about 20 MiB: put the right file there.",
        )
    text = _decoded(path.read_bytes())
    if text.startswith("version https://git-lfs.github.com/spec/"):
        raise UserError(f"{path} is a Git LFS pointer and not the captions.", "Run `git lfs pull`.")
    found = _captions(text, ids)
    for name, caption in found.captions.items():
        if len(caption) > MAX_CAPTION:
            raise UserError(
                f"{path} has a caption of {len(caption):,} characters for {name}, more than {MAX_CAPTION:,}.",
                "Shorten it: HM-World's captions have a few hundred.",
            )
    return found


def numeric_order(name: str) -> list[tuple[int, int, str]]:
    """A key that puts sample2 before sample10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _captions(text: str, ids: Sequence[str]) -> CaptionFile:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return CaptionFile({}, "empty", "the file is empty")
    known = set(ids)
    if found := _json_object(text, ids):
        return CaptionFile(found, "JSON")
    # a line may be in another form than the one above it: captions are added to files that somebody else wrote
    named: list[tuple[str, str]] = list(_json_lines(lines, known).items())
    forms = ["JSON lines"] if named else []
    for line in (one for one in lines if not one.startswith("{")):
        for form, read in _MARKED.items():
            pair = read(line)
            if pair is not None and _as_id(pair[0]) in known and pair[1]:
                named.append(pair)
                forms.append(form)
                break
    spaced = _spaced(lines)
    if _believable(spaced, known) or named:
        # an id before a blank; a marked line, too, may have one
        taken = {_as_id(label) for label, _ in named}
        more = [pair for pair in spaced if _as_id(pair[0]) in known - taken]
        if _believable(spaced, known) or len(named) >= len(more):
            named += more
            forms += ["id caption"] * bool(more)
    if not named:
        named = [pair for pair in _alternating(lines) if _as_id(pair[0]) in known]
        forms = ["an id and below it its caption"]
    if named:
        return _without_contradictions(named, ", ".join(dict.fromkeys(forms)))
    return _bare(lines, ids)


def _without_contradictions(pairs: Sequence[tuple[str, str]], form: str) -> CaptionFile:
    """Captions by id, without ids to which different paths give different ones; of one label the last line counts."""
    captions: dict[str, dict[str, str]] = {}
    for label, caption in pairs:
        captions.setdefault(_as_id(label), {})[label] = caption
    several = sorted(name for name, found in captions.items() if len(set(found.values())) > 1)
    problem = f"{len(several)} samples have several different captions, such as {several[0]}" if several else None
    agreed = {name: next(iter(found.values())) for name, found in captions.items() if name not in several}
    return CaptionFile(agreed, form, problem)


def _believable(pairs: Sequence[tuple[str, str]], ids: set[str]) -> bool:
    """Whether lines begin with ids: a caption, too, may begin with a word that is some sample's id."""
    first = [_as_id(label) for label, _ in pairs]
    named = sum(name in ids for name in first)
    return named > 0 and len(set(first)) == len(first) and named >= 0.9 * min(len(pairs), len(ids))


def _as_id(label: str) -> str:
    """A path or quoted name as the id that it stands for: ``HM-World/sample1/cond.mp4`` is sample1."""
    name = label.strip().strip("\"'").rstrip(":,").replace("\\", "/").rstrip("/")
    parts = [part for part in name.split("/") if part]
    if len(parts) > 1 and parts[-1] in SAMPLE_VIDEOS:
        parts.pop()
    return parts[-1].removesuffix(".mp4") if parts else ""


def _split_at(mark: str) -> Callable[[str], tuple[str, str] | None]:
    """Reads a line as a label, a mark, and a caption that may hold the mark again."""

    def read(line: str) -> tuple[str, str] | None:
        label, found, rest = line.partition(mark)
        return (label.strip(), _unquoted(rest)) if found else None

    return read


def _comma(line: str) -> tuple[str, str] | None:
    """A line of a table with commas: what holds a comma is quoted; without quotes all commas but the first are text."""
    try:
        row = next(csv.reader([line], skipinitialspace=True, strict=True), [])
    except csv.Error:
        row = []
    return (row[0].strip(), row[1].strip()) if len(row) == 2 else _split_at(",")(line)


def _spaced(lines: Sequence[str]) -> list[tuple[str, str]]:
    words = [line.split(maxsplit=1) for line in lines]
    return [(pair[0], pair[1].strip()) for pair in words if len(pair) == 2]


def _alternating(lines: Sequence[str]) -> list[tuple[str, str]]:
    """An id, and below it its caption: every other line must be a single word."""
    if len(lines) % 2 or any(len(line.split()) > 1 for line in lines[::2]):
        return []
    return [(name, _unquoted(caption)) for name, caption in zip(lines[::2], lines[1::2], strict=True)]


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1].replace('""', '"').strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


_MARKED: dict[str, Callable[[str], tuple[str, str] | None]] = {
    "id, tab, caption": _split_at("\t"),
    "id|caption": _split_at("|"),
    "id: caption": _split_at(":"),
    "id, comma, caption": _comma,
}
"""Forms with a mark between id and caption, the most telling first."""


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


def _json_lines(lines: Iterable[str], ids: set[str]) -> dict[str, str]:
    captions: dict[str, str] = {}
    for line in lines:
        if line.startswith("{"):
            try:
                captions |= _entries([parse_json(line, "a caption")], ids)
            except UserError:
                continue
    return captions


def _entries(entries: Sequence[Any], ids: set[str]) -> dict[str, str]:
    """Captions from JSON objects, whichever of their strings is an id; the longest other string is the caption."""
    captions = {}
    for entry in entries:
        strings = [v for v in entry.values() if isinstance(v, str)] if isinstance(entry, dict) else []
        names = [s for s in strings if _as_id(s) in ids]
        rest = [s for s in strings if _as_id(s) not in ids]
        if names and rest:
            captions[_as_id(names[0])] = max(rest, key=len)
    return captions


def _bare(lines: Sequence[str], ids: Sequence[str]) -> CaptionFile:
    if len(lines) == len(ids):
        ordered = sorted(ids, key=numeric_order)
        return CaptionFile(dict(zip(ordered, lines, strict=True)), "bare captions in numeric order of the ids")
    return CaptionFile(
        {},
        "unknown",
        f"its {len(lines)} lines name no sample, and there are {len(ids)} samples: which caption belongs to which "
        "cannot be known",
    )
