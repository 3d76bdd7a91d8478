"""What in a file of captions names a sample: ids, paths and file names, quoted, in brackets or numbered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SAMPLE_VIDEOS = ("cond.mp4", "tgt.mp4", "cond_mask.mp4", "tgt_mask.mp4", "cond", "tgt")
"""File names that a path to a sample may end in."""
ID_NAMES = frozenset(
    ["id", "sample", "sample_id", "sampleid", "name", "video", "video_id", "videoid", "video_path", "video_name",
    "clip", "clip_id", "key", "file", "filename", "file_name", "file_path", "path", "folder"]
)  # fmt: skip
"""What a column or a field is called that names the sample."""
CAPTION_NAMES = ("caption", "captions", "text", "prompt", "description", "cap")
"""What a column or a field is called that holds the caption, the most telling first."""
_SUFFIX = re.compile(r"\.(mp4|mkv|mov|avi|webm|json|txt)$", re.IGNORECASE)
_NUMBERED = re.compile(r"\d+[.):]?\s+|\d+[.)]\s*")
_AROUND = "\"'`[]()<>{} \t"


def numeric_order(name: str) -> list[tuple[int, int, str]]:
    """A key that puts sample2 before sample10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


class Labels:
    """Finds ids in labels.

    Args:
        ids: Samples that captions are wanted for.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = frozenset(ids)
        self._loose = {loose(name) for name in self.ids}
        self._lengths = sorted({len(name) for name in self.ids if len(name) > 3}, reverse=True)

    def id_of(self, label: object) -> str | None:
        """The sample that a label stands for: ``HM-World/sample1/cond.mp4`` is sample1, b/sample1 may be b-sample1."""
        if isinstance(label, int) and not isinstance(label, bool):
            label = str(label)
        if not isinstance(label, str) or len(label) > 2000:
            return None
        text = label.strip().lstrip("-*#•> \t").strip(_AROUND).rstrip(":,").rstrip(_AROUND)
        for one in (text, _NUMBERED.sub("", text, count=1) if _NUMBERED.match(text) else text):
            if (found := self._of_path(one)) is not None:
                return found
        return None

    def _of_path(self, text: str) -> str | None:
        if text in self.ids:
            return text
        parts = [part for part in text.replace("\\", "/").split("/") if part]
        if len(parts) > 1 and parts[-1].lower() in SAMPLE_VIDEOS:
            parts.pop()
        if not parts:
            return None
        for last in (parts[-1], _SUFFIX.sub("", parts[-1])):
            for start in range(max(0, len(parts) - 8), len(parts)):  # a sample may be called after its folders, too
                if (name := "-".join([*parts[start:-1], last])) in self.ids:
                    return name
        return None

    def resembles(self, line: str) -> str | None:
        """The id that a line begins with, or its first or last word, if that is one but for case, zeros or a suffix."""
        for length in self._lengths:
            if line[:length] in self.ids:
                return line[:length]
        words = [word for word in re.split(r"[\s|,;:=()\[\]<>{}\"'#/\\]+", line) if word]
        for word in (*words[:2], *words[-1:]):
            if loose(word) in self._loose:
                return loose(word)
        return None


def loose(name: str) -> str:
    """A name without what files of captions change in it."""
    return re.sub(r"0+(?=\d)", "", _SUFFIX.sub("", name).casefold())


def believable(found: Sequence[str], labels: Sequence[str], wanted: int) -> bool:
    """Whether lines really begin with ids: a caption, too, may begin with a word that is some sample's id.

    Args:
        found: Ids that the first words of lines are.
        labels: The first words of all lines.
        wanted: Number of samples.
    """
    return len(found) > 0 and len(set(labels)) == len(labels) and len(found) >= 0.9 * min(len(labels), wanted)
