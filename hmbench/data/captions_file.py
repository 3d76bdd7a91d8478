"""``caption.txt``: one file of captions for all samples, in whichever form it comes, or refused with a reason.

HM-World's line format is not documented. Read are lines with an id (or a path, quoted, in brackets) before the caption
and a tab, ``|``, ``:``, ``,``, ``;``, ``=``, ``-``, ``#`` or a blank between them, or behind it; an id on a line of its
own; tables whose first line names the columns; JSON objects, lists, columns and JSON lines; and bare captions, a line a
sample. Bare ones go by the ids in numeric order (sample2 before sample10), and only if there are exactly as many lines
as samples and none seems to name one. What may be meant in two ways is nobody's caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.data.caption_labels import Labels, numeric_order
from hmbench.data.captions_json import Pairs, bare_list, json_pairs
from hmbench.data.captions_lines import bare, behind, blocks, marked, spaced, split_lines, table
from hmbench.errors import UserError
from hmbench.files import parse_json

MAX_BYTES = 64 << 20
"""Of the file; three times what HM-World's captions take."""
MAX_CAPTION = 20_000
"""Characters of one caption."""

_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""With which bytes a file says its coding, the longest first."""


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
    text = decoded(path.read_bytes())
    if text.startswith("version https://git-lfs.github.com/spec/"):
        raise UserError(f"{path} is a Git LFS pointer and not the captions.", "Run `git lfs pull`.")
    found = captions_of(text, ids)
    for name, caption in found.captions.items():
        if len(caption) > MAX_CAPTION:
            raise UserError(
                f"{path} has a caption of {len(caption):,} characters for {name}, more than {MAX_CAPTION:,}.",
                "Shorten it: HM-World's captions have a few hundred.",
            )
    return found


def names_sample(line: str, sample: str) -> bool:
    """Whether a line of such a file gives a sample its caption."""
    labels = Labels([sample])
    return marked(line.strip(), labels) is not None or spaced([line.strip()], labels)[1]


def is_json(text: str) -> bool:
    """Whether a file's text is one JSON object or array, to which no line can be added."""
    return _json(text) is not None


def decoded(data: bytes) -> str:
    """Text in UTF-8, -16 or -32; a line that is not UTF-8 is taken as Windows writes western languages."""
    for mark, coding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(coding, errors="replace")
    if len(data) > 3 and data[:4].count(0) == 2:  # two bytes a letter, and no mark that says so
        return data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(_line(line) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def _line(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def captions_of(text: str, ids: Sequence[str]) -> CaptionFile:
    """Captions in the text of a file."""
    lines = [line.strip() for line in split_lines(text) if line.strip()]
    if not lines:
        return CaptionFile({}, "empty", "the file is empty")
    labels = Labels(ids)
    if (content := _json(text)) is not None:
        return _of_json(content, labels)
    if rows := table(text, labels):
        return _without_contradictions(rows, "a table", labels)
    # a line may be in another form than the one above it: captions are added to files that somebody else wrote
    named: Pairs = []
    forms: list[str] = []
    rest = []
    for line in lines:
        entry = _json(line) if line[0] in "{[" else None
        if entry is not None:
            named += (found := json_pairs(entry, labels))
            forms += ["JSON lines"] * bool(found)
        elif line[0] != "{" and (pair := marked(line, labels)) is not None:
            named.append(pair[:2])
            forms.append(pair[2])
        else:
            rest.append(line)
    named, forms = _with_spaced(lines, rest, labels, named, forms)
    if not named and (named := blocks(text, labels)):
        forms = ["an id and below it its caption"]
    if not named and (named := behind(lines, labels)):
        forms = ["a caption and behind it its id"]
    if named:
        return _without_contradictions(named, ", ".join(dict.fromkeys(forms)), labels)
    captions, problem = bare(text, labels)
    return CaptionFile(captions, "unknown" if problem else "bare captions in numeric order of the ids", problem)


def _with_spaced(
    lines: Sequence[str], rest: Sequence[str], labels: Labels, named: Pairs, forms: list[str]
) -> tuple[Pairs, list[str]]:
    """Adds lines that begin with an id and a blank, if they are to be believed beside those with a mark."""
    whole = spaced(lines, labels)[1]
    if whole or named:
        taken = {labels.id_of(label) for label, _ in named}
        more = [pair for pair in spaced(rest, labels)[0] if labels.id_of(pair[0]) not in taken]
        if whole or len(named) >= len(more):
            return [*named, *more], [*forms, *["id caption"] * bool(more)]
    return named, forms


def _of_json(content: Any, labels: Labels) -> CaptionFile:
    """What a whole JSON file holds; lines of it are never taken for captions."""
    if pairs := json_pairs(content, labels):
        return _without_contradictions(pairs, "JSON", labels)
    texts = bare_list(content)
    if texts is not None and len(texts) == len(labels.ids) and not any(labels.resembles(text) for text in texts):
        ordered = sorted(labels.ids, key=numeric_order)
        return CaptionFile(dict(zip(ordered, texts, strict=True)), "a list of captions in numeric order of the ids")
    why = f"it is JSON, but none of the {len(labels.ids)} samples is named with a caption in it"
    return CaptionFile({}, "unknown", why)


def _json(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return parse_json(text, "captions")
    except UserError:
        return None


def _without_contradictions(pairs: Pairs, form: str, labels: Labels) -> CaptionFile:
    """Captions by id, without ids to which the file gives different ones."""
    captions: dict[str, set[str]] = {}
    for label, caption in pairs:
        if (name := labels.id_of(label)) is not None:
            captions.setdefault(name, set()).add(caption)
    several = sorted(name for name, found in captions.items() if len(found) > 1)
    problem = f"{len(several)} samples have several different captions, such as {several[0]}" if several else None
    return CaptionFile({name: next(iter(found)) for name, found in captions.items() if len(found) == 1}, form, problem)
