"""Caption files of several folders of one archive, as one file: each caption by the path of its own sample.

A file describes the samples below its folder. Where two folders have a sample of one name, the name alone says nothing;
with the folder before it, `hmbench.data.caption_labels` finds the right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from hmbench.data.captions_file import captions_of, decoded
from hmbench.data.captions_lines import split_lines

Piece = tuple[PurePosixPath, bytes]
"""Folder of a caption file in the archive, and its bytes."""


def by_path(pieces: Sequence[Piece], samples: Iterable[PurePosixPath], before: bytes) -> bytes:
    """The captions of several files as lines of a path, a tab and a caption.

    Args:
        pieces: The files.
        samples: Folders of all samples that the archive was seen to have.
        before: What is in ``caption.txt``: lines that are in none of the files stay.
    """
    places = list(samples)
    found: dict[str, str] = {}
    for folder, content in pieces:
        below = [place for place in places if folder in place.parents]
        times = Counter(place.name for place in below)
        ids = {
            place.name if times[place.name] == 1 else "-".join(place.relative_to(folder).parts): place
            for place in below
        }
        captions = captions_of(decoded(content), list(ids)).captions
        found |= {ids[name].as_posix(): " ".join(split_lines(text)) for name, text in captions.items()}
    raw = {line.strip() for _, content in pieces for line in split_lines(decoded(content))}
    kept = [
        line
        for line in split_lines(decoded(before))
        if line.strip() and line.strip() not in raw and line.partition("\t")[0] not in found
    ]
    return "".join(f"{line}\n" for line in [*kept, *(f"{p}\t{text}" for p, text in found.items())]).encode()
