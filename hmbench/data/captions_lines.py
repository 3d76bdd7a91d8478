"""Captions in lines: with an id before or behind them, under an id, in a table with a header, numbered, or bare."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from hmbench.data.caption_labels import CAPTION_NAMES, ID_NAMES, Labels, believable, numeric_order
from hmbench.data.captions_json import Pairs

_FOLDED = re.compile(r":\s*[>|][-+]?\s*$")
"""How YAML begins a text of its own lines."""
_NUMBER = re.compile(r"\s*(\d{1,9})[.)]\s*(.+)")
_PATH = re.compile(r"(.*?[/\\](?:[^/\\]+\.mp4|cond|tgt))\s+(.+)$")
"""A path, which may hold blanks, and a caption after it."""


def table(text: str, labels: Labels) -> Pairs | None:
    """Rows of a table whose first line names an id and a caption among its columns; None if there is no such line."""
    first, _, body = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("#\n ").partition("\n")
    for mark in "\t,;|":
        head = [cell.strip().strip('"').casefold() for cell in first.split(mark)]
        where = next((place for place, cell in enumerate(head) if cell in ID_NAMES), None)
        texts = [head.index(name) for name in CAPTION_NAMES if name in head]
        if where is None or not texts or len(head) < 2:
            continue
        try:
            return _rows(body, mark, len(head), (where, texts[0]), labels)
        except csv.Error:
            return None
    return None


def _rows(body: str, mark: str, width: int, columns: tuple[int, int], labels: Labels) -> Pairs:
    found = []
    for row in csv.reader(io.StringIO(body), delimiter=mark, skipinitialspace=True):
        if len(row) > width and columns[1] == width - 1:  # a caption that is not quoted and holds the mark
            row = [*row[: width - 1], (mark + " " if mark in ",;" else mark).join(row[width - 1 :])]
        if len(row) == width and labels.id_of(row[columns[0]]) and row[columns[1]].strip():
            found.append((row[columns[0]].strip(), row[columns[1]].strip()))
    return found


def marked(line: str, labels: Labels) -> tuple[str, str, str] | None:
    """Label, caption and form of a line in which a mark stands between an id and its caption, or None."""
    for form, read in _MARKED.items():
        pair = read(line)
        if pair is not None and any(c.isalnum() for c in pair[1]) and labels.id_of(pair[0]) is not None:
            return (*pair, form)
    return None


def spaced(lines: Sequence[str], labels: Labels) -> tuple[Pairs, bool]:
    """Lines that begin with an id and a blank, and whether the file can be believed to be in this form."""
    pairs, first = [], []
    for line in (one for one in lines if one[0] != "{"):
        label, _, rest = line.partition(" ")
        if labels.id_of(label) is None:
            found = _PATH.match(line) if "/" in line or "\\" in line else None
            label, rest = found.groups() if found else (label, rest)
        if rest.strip():
            first.append(label)
            if labels.id_of(label) is not None:
                pairs.append((label, unquoted(rest)))
    return pairs, believable([label for label, _ in pairs], first, len(labels.ids))


def behind(lines: Sequence[str], labels: Labels) -> Pairs:
    """Captions before their ids: ``caption<tab>id``, ``caption|id``, ``"caption",id``, ``caption (id)``."""
    for read in (_before("\t"), _before("|"), _comma, _in_brackets):
        rows = [pair for line in lines if (pair := read(line)) is not None]
        found = [(label, unquoted(text)) for text, label in rows if labels.id_of(label)]
        if believable([label for label, _ in found], [label for _, label in rows], len(labels.ids)):
            return found
    return []


def blocks(text: str, labels: Labels) -> Pairs:
    """An id on a line of its own, and its caption below or above it."""
    raw = [line.strip() for line in split_lines(text)]
    lines = [line for line in raw if line]
    alone = [number for number, line in enumerate(lines) if labels.id_of(line) is not None]
    if not alone:
        return []
    groups = [group for group in _groups(raw) if len(group) > 1]
    if len(groups) > 1 and all(len(group[0].split()) == 1 for group in groups):
        return _known([(group[0], " ".join(group[1:])) for group in groups], labels)
    for first in (0, 1):
        if len(lines) % 2 == 0 and all(len(line.split()) == 1 for line in lines[first::2]):
            return _known(list(zip(lines[first::2], lines[1 - first :: 2], strict=True)), labels)
    if alone[0] == 0 and sum(len(line.split()) == 1 for line in lines) == len(alone):
        ends = [*alone[1:], len(lines)]
        return _known([(lines[a], " ".join(lines[a + 1 : b])) for a, b in zip(alone, ends, strict=True)], labels)
    return []


def numbered(lines: Sequence[str]) -> list[str] | None:
    """Captions that are numbered from 0 or 1 without a gap, in the order of their numbers; None if they are not."""
    found = [_NUMBER.fullmatch(line) for line in lines]
    rows = sorted((int(one[1]), one[2].strip()) for one in found if one)
    whole = len(rows) == len(lines) > 1 and [n for n, _ in rows] == list(range(rows[0][0], rows[0][0] + len(rows)))
    return [text for _, text in rows] if whole and rows[0][0] in (0, 1) else None


def bare(text: str, labels: Labels) -> tuple[dict[str, str], str | None]:
    """Captions without ids by the ids in numeric order, or why they are nobody's.

    Only if there are as many as samples, and no line looks as if it named a sample. A line that is empty is the empty
    caption of a sample, unless all captions have such a line between them.
    """
    raw = [line.strip() for line in split_lines(text.strip("\r\n"))]
    lines = [line for line in raw if line]
    ids = sorted(labels.ids, key=numeric_order)
    named = [name for line in lines if (name := labels.resembles(line))]
    if len(set(named)) == len(named) and len(named) >= max(1, len(lines) / 2):
        return {}, f"its lines seem to name samples ({lines[0][:40]!r}) in a form that is not known"
    if lines[0][0] in "{[" or any(all(mark in line for line in lines) for mark in "\t|"):
        return {}, f"its lines look like a table or JSON ({lines[0][:40]!r}) that names no sample"
    if (sorted_ones := numbered(lines)) is not None:
        raw = lines = sorted_ones
    gaps = {len(part) for part in re.findall(r"(?<=x)-*(?=x)", "".join("x" if line else "-" for line in raw))}
    if len(lines) == len(ids) and len(gaps) <= 1:
        return dict(zip(ids, lines, strict=True)), None
    if len(raw) == len(ids):
        return {name: line for name, line in zip(ids, raw, strict=True) if line}, None
    empty = f" ({len(raw) - len(lines)} more are empty)" if len(raw) > len(lines) else ""
    return {}, (
        f"its {len(lines)} lines{empty} name no sample, and there are {len(ids)} samples: which caption belongs to "
        "which cannot be known"
    )


def split_lines(text: str) -> list[str]:
    """Lines by their ends alone: other separators that Unicode has are part of a caption."""
    return [_FOLDED.sub(":", line) for line in re.split(r"\r\n|\r|\n", text)]


def unquoted(text: str) -> str:
    """A caption without quotation marks around all of it."""
    text = text.strip()
    mark = text[:1]
    if mark not in ("'", '"'):
        return text
    whole = text[:-1] if text[-2:] == mark + "," else text  # a line of JSON or of Python
    inside = whole[1:-1]
    if len(whole) < 2 or whole[-1] != mark or mark in inside.replace(mark * 2, ""):
        return text
    return inside.replace(mark * 2, mark).strip()


def _split_at(mark: str) -> Callable[[str], tuple[str, str] | None]:
    """Reads a line as a label, a mark (or several of it), and a caption that may hold the mark again."""

    def read(line: str) -> tuple[str, str] | None:
        label, found, rest = line.partition(mark)
        return (label.strip(), unquoted(rest.lstrip(mark))) if found else None

    return read


def _at_pattern(mark: str) -> Callable[[str], tuple[str, str] | None]:
    def read(line: str) -> tuple[str, str] | None:
        parts = re.split(mark, line, maxsplit=1)
        return (parts[0], unquoted(parts[1])) if len(parts) == 2 else None

    return read


def _before(mark: str) -> Callable[[str], tuple[str, str] | None]:
    def read(line: str) -> tuple[str, str] | None:
        caption, found, label = line.rpartition(mark)
        return (caption.strip(), label.strip()) if found else None

    return read


def _in_brackets(line: str) -> tuple[str, str] | None:
    """``caption (id)``."""
    at = max(line.rfind("("), line.rfind("[")) if line[-1] in ")]" else -1
    return (line[:at].strip(), line[at:]) if at > 0 else None


def _comma(line: str) -> tuple[str, str] | None:
    """A line of a table with commas: what holds a comma is quoted; without quotes all commas but the first are text."""
    try:
        row = next(csv.reader([line], skipinitialspace=True, strict=True), [])
    except csv.Error:
        row = []
    return (row[0].strip(), row[1].strip()) if len(row) == 2 else _split_at(",")(line)


def _groups(raw: Sequence[str]) -> list[list[str]]:
    """Lines between empty lines."""
    groups: list[list[str]] = [[]]
    for line in raw:
        if line:
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return groups


def _known(pairs: Pairs, labels: Labels) -> Pairs:
    return [(name, unquoted(caption)) for name, caption in pairs if labels.id_of(name) is not None and caption]


_MARKED: dict[str, Callable[[str], tuple[str, str] | None]] = {
    "id, tab, caption": _split_at("\t"),
    "id|caption": _split_at("|"),
    "id: caption": _split_at(":"),
    "id, comma, caption": _comma,
    "id;caption": _split_at(";"),
    "id = caption": _at_pattern(r"=+>?"),
    "id - caption": _at_pattern(r"\s[-–—]+>?\s"),
    "id#caption": _at_pattern("#+"),
}
"""Forms with a mark between id and caption, the most telling first."""
