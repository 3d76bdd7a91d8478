"""``hmbench data inspect``: what a folder or a stream really holds, against what is known of HM-World.

The dataset's documentation leaves much open (schema of ``character.json``, line format of ``caption.txt``, size and
rate of the clips, mask colours, how ``check.json`` counts). Each expectation becomes a line: what was expected, what
was found, and whether they agree, so that the first person with the real data knows in a minute what to fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hmbench.data.apart_facts import apart_facts
from hmbench.data.camera_facts import camera_facts
from hmbench.data.captions_file import read_caption_file
from hmbench.data.facts import Fact, checked, news
from hmbench.data.hm_world import find_samples
from hmbench.data.hub.extract import CAPTIONS, SAMPLE_FILES
from hmbench.data.ids import parse_id
from hmbench.data.json_shape import Shape
from hmbench.data.mask_facts import mask_facts
from hmbench.errors import SampleError, UserError
from hmbench.files import read_json
from hmbench.video.decode import read_header

if TYPE_CHECKING:
    from hmbench.data.hub.download import DownloadRequest, Watcher

FRAMES = 77


class ClipFacts(NamedTuple):
    """What a video's header says."""

    width: int
    height: int
    fps: float
    frames: int
    codec: str
    pixels: str

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.fps:g} fps, {self.frames} frames, {self.codec} {self.pixels}"


def clip_facts(path: Path) -> ClipFacts:
    """Header of a video, without decoding its frames.

    Raises:
        SampleError: If the file is missing or is no video.
    """
    header = read_header(path)
    return ClipFacts(header.width, header.height, header.fps, header.frames, header.codec, header.pixels)


def inspect_folder(root: Path, *, limit: int = 20, archive_facts: Sequence[Fact] = ()) -> list[Fact]:
    """Facts about a folder of samples.

    Args:
        root: Folder that holds the sample folders and ``caption.txt``.
        limit: How many samples to read, spread evenly; names and captions are always counted in all.
        archive_facts: Facts found before, put first.

    Raises:
        UserError: If no folder below `root` holds any of a sample's files.
    """
    root = root / "HM-World" if (root / "HM-World").is_dir() else root
    folders = sorted(p for p in root.iterdir() if p.is_dir() and any((p / n).exists() for n in SAMPLE_FILES))
    if not folders:
        folders = sorted(find_samples(root)[1].values())  # of parts that were extracted each into a folder of its own
    if not folders:
        raise UserError(
            f"No folder in {root} holds any of {', '.join(SAMPLE_FILES)}.",
            "Give the folder of the sample folders, or a folder of HM-World_* parts.",
        )
    chosen = [folders[i] for i in np.unique(np.linspace(0, len(folders) - 1, limit).astype(int))]
    return [
        *archive_facts,
        news("samples", "", f"{len(folders)}; {len(chosen)} read"),
        _ids(folders),
        _files(folders),
        *_clips(chosen),
        *camera_facts([f / "camera.json" for f in chosen]),
        *_json_facts(chosen),
        *mask_facts(chosen),
        *apart_facts(chosen),
        *_captions(root, folders, part_of_stream=bool(archive_facts)),
    ]


def inspect_stream(request: DownloadRequest, watcher: Watcher | None = None) -> list[Fact]:
    """Facts about a stream of parts (in a folder or on the Hub), then about the samples at its beginning.

    Args:
        request: What to extract; `out` must be an empty folder, `samples` says how many to look at.
        watcher: Told of the progress.
    """
    from hmbench.data.hub.download import RECORD, download
    from hmbench.data.hub.parts import listing_from_json

    report = download(replace(request, split="all", skip_refused=True), watcher)
    listing = listing_from_json(read_json(request.out / RECORD)["listing"])
    left_out = f"; left out for missing files: {len(report.incomplete)}" if report.incomplete else ""
    digests = sum(part.sha256 is not None for part in listing.parts)
    where = "not reached with these samples" if not report.captions else "reached"
    archive = [
        news("source", "", f"{report.source} {report.commit}".strip()),
        news(
            "parts",
            "number and sizes unknown",
            f"{len(listing.parts)}, {listing.parts[0].name} .. {listing.parts[-1].name}, "
            f"{listing.total / 1e9:.3f} GB, {digests} with a sha256",
        )
        if listing.parts
        else news("parts", "", "an extracted folder"),
        news("repository's other files", "", ", ".join(part.name for part in listing.loose[:8]) or "none"),
        checked(
            "order in the stream",
            "a sample's files lie together",
            f"{len(report.extracted)} samples in the first {report.bytes_read / 1e6:.1f} MB{left_out}",
            bool(report.extracted) and not report.incomplete,
        ),
        checked(
            "unknown files in the stream",
            "none besides caption.txt",
            ", ".join(f"{name} (x{count})" for name, count in report.passed_over.items()) or "none",
            not report.passed_over,
        ),
        checked("refused members", "none", "; ".join(report.refused[:5]) or "none", not report.refused),
        news("caption.txt in the stream", "first or last, unknown", where),
    ]
    return inspect_folder(request.out, limit=request.samples or 20, archive_facts=archive)


def _counts(values: Sequence[Any], most: int = 4) -> str:
    counted = Counter(str(v) for v in values).most_common()
    shown = "; ".join(f"{value} (x{count})" if len(counted) > 1 else value for value, count in counted[:most])
    return shown + (f"; {len(counted) - most} more" if len(counted) > most else "")


def _ids(folders: Sequence[Path]) -> Fact:
    unparsed = [f.name for f in folders if parse_id(f.name) is None]
    found = f"{len(folders) - len(unparsed)} of {len(folders)} parse"
    if unparsed:
        found += f"; not: {', '.join(unparsed[:3])}"
    else:
        found += f"; {len({p.scene for f in folders if (p := parse_id(f.name))})} scenes"
    return checked("ids", "00001_City_loc10_Complex_Follow_1", found, not unparsed)


def _files(folders: Sequence[Path]) -> Fact:
    counts = Counter(p.name for f in folders for p in f.iterdir())
    missing = [f"{n} missing in {len(folders) - counts[n]}" for n in SAMPLE_FILES if counts[n] != len(folders)]
    other = [f"{n} x{c}" for n, c in counts.items() if n not in SAMPLE_FILES]
    found = "; ".join([*missing, *other[:6]]) or "these seven in each"
    return checked("files", " ".join(SAMPLE_FILES), found, not missing and not other)


def _clips(folders: Sequence[Path]) -> list[Fact]:
    facts = []
    for name in SAMPLE_FILES[:4]:
        found, problems = [], []
        for folder in folders:
            if (folder / name).is_file():
                try:
                    found.append(clip_facts(folder / name))
                except SampleError as error:
                    problems.append(error.what)
        agrees = bool(found) and not problems and all(f.frames == FRAMES and abs(f.fps - 15) < 0.01 for f in found)
        expected = f"{FRAMES} frames at 15 fps; the examples are 832x480 h264 yuv420p"
        facts.append(checked(name, expected, "; ".join([_counts(found), *problems[:2]]) or "none", agrees))
    return facts


def _json_facts(folders: Sequence[Path]) -> list[Fact]:
    facts = []
    for name, expected in (
        ("character.json", ""),
        ("check.json", "{cond_check | tgt_check: {actor: {character: [{frame: int, inFrame: bool}]}}}"),
    ):
        shape, damaged = Shape(), 0
        for folder in folders:
            content = _load(folder / name)
            if content is None:
                damaged += (folder / name).is_file()
            else:
                shape.add(content)
        found = shape.describe() + (f"; {damaged} damaged" if damaged else "")
        right = {"cond_check", "tgt_check"} <= set(shape.keys) and "inFrame" in found and "frame" in found
        facts.append(checked(name, expected, found, right) if expected else news(name, "unknown", found))
    return facts


def _captions(root: Path, folders: Sequence[Path], part_of_stream: bool) -> list[Fact]:
    path = root / CAPTIONS
    if not path.is_file() and part_of_stream:
        return []  # it may come later; the facts of the stream say that it was not reached
    if not path.is_file():
        return [checked(CAPTIONS, "one for all samples", "missing", False)]
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    ids = [f.name for f in folders]
    read = read_caption_file(path, ids)
    captions = read.captions
    first = f"first line {lines[0][:100]!r}" if lines else "empty"
    return [
        news(CAPTIONS, "line format unknown", f"{len(lines)} lines, read as: {read.form}; {first}"),
        checked(
            "captions read",
            "one a sample",
            f"{len(captions)} of {len(ids)} samples" + (f"; {read.problem}" if read.problem else ""),
            len(captions) == len(ids),
        ),
    ]


def _load(path: Path) -> Any:
    try:
        return read_json(path)
    except UserError:
        return None
