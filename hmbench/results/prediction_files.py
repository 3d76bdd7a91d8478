"""Which file of a folder is the prediction of which sample."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hmbench.errors import UserError, did_you_mean
from hmbench.results.reading import folder_of_predictions
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.video.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES

SUFFIXES = (*VIDEO_SUFFIXES, ".npy")
_MOST = 1_000_000


SEED = "{seed}"
"""In a pattern: the part of a name that tells several predictions of a sample apart."""


class Matched(NamedTuple):
    """What a folder of predictions holds."""

    files: dict[str, Path]
    """Sample id to its file or folder of pictures; samples without one are absent."""
    others: tuple[str, ...]
    """Videos that belong to no sample."""


def find_predictions(folder: Path, ids: Sequence[str], match: str | None = None) -> Matched:
    """Predictions by sample.

    Args:
        folder: Where they are.
        ids: The samples.
        match: How files are named: a pattern with ``{id}`` such as ``{id}_seed0.mp4`` (other names in braces stand for
            anything), or a CSV file whose first column is the id and whose second is the file. By default
            ``<id>.mp4``, another video suffix, ``<id>.npy``, or a folder ``<id>`` of pictures. An id may be cut off
            at a ``_`` where that leaves one sample.

    Raises:
        UserError: If there is no such folder, the pattern has no ``{id}``, or a sample has several files.
    """
    folder_of_predictions(folder)
    if match and match.lower().endswith(".csv"):
        return _from_csv(Path(match), folder, ids)
    shape = _regex(match) if match else None
    known, found, others = set(ids), dict[str, list[Path]](), list[str]()
    for path in sorted(folder.rglob("*") if match and "/" in match else folder.iterdir()):
        if path.name.startswith("."):
            continue
        name = path.relative_to(folder).as_posix()
        if shape is not None:
            hit = shape.fullmatch(name)
            sample = hit["id"] if hit else None
        else:
            sample = _plain(path)
        if sample is not None and sample not in known:
            sample = _beginning(sample, ids)
        if sample in known:
            found.setdefault(sample, []).append(path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            others.append(name)
    for sample, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(p.relative_to(folder).as_posix() for p in paths[:4])
            raise UserError(
                f"{sample} has {len(paths)} predictions in {folder}: {names}.",
                "Are they of several seeds? --match '{id}_seed{seed}.mp4'. Else write the name's other parts out.",
            )
    return Matched({sample: paths[0] for sample, paths in found.items()}, tuple(others))


def find_seeds(folder: Path, ids: Sequence[str], match: str | None) -> tuple[str, ...]:
    """The seeds of which a folder has predictions, in order; none if the pattern does not say ``{seed}``.

    Args:
        folder: Where the predictions are.
        ids: The samples.
        match: A pattern such as ``{id}_seed{seed}.mp4``. Written with one of the seeds it is that seed's pattern.

    Raises:
        UserError: If there is no such folder, the pattern is none, or none of its files belongs to a sample.
    """
    if match is None or SEED not in match or match.lower().endswith(".csv"):
        return ()
    if match.count(SEED) > 1:
        raise UserError(f"The pattern {match!r} must have {{seed}} once.", "For example '{id}_seed{seed}.mp4'.")
    if not folder.is_dir():
        find_predictions(folder, ids, match)
    shape, known = _regex(match), set(ids)
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*") if "/" in match else folder.iterdir())]
    hits = [
        hit
        for name in names
        if (hit := shape.fullmatch(name)) is not None and (hit["id"] in known or _beginning(hit["id"], ids))
    ]
    if not hits:
        raise none_matches(folder, ids, Matched({}, tuple(n for n in names if Path(n).suffix.lower() in SUFFIXES)))
    found = {hit["seed"] for hit in hits}
    return tuple(sorted(found, key=lambda seed: (not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed)))


def stored_prediction(run: RunFolder, manifest: RunManifest, sample: str) -> Path:
    """Where a scored video is: in the run, or in the folder of videos that was scored."""
    own = run.prediction(sample)
    if own.is_file():
        return own
    folder = Path(manifest.model)  # a run of somebody's videos names their folder as its model
    files = find_predictions(folder, [sample], manifest.reading.get("match")).files if folder.is_dir() else {}
    return files.get(sample, own)


def none_matches(folder: Path, ids: Sequence[str], matched: Matched) -> UserError:
    """The error for a folder in which no sample has a prediction: what is there, and what was expected."""
    there, pattern = "it has no videos", "{id}_seed0.mp4"
    if matched.others:
        count = "one video" if len(matched.others) == 1 else f"{len(matched.others)} videos, for example"
        there = f"it holds {count} {matched.others[0]!r}"
    guess = next((shape for name in matched.others if (shape := _guess(name, ids))), None)
    hint = f"If these are the ones: --match '{guess}'." if guess else f"Other names: --match '{pattern}' or"
    return UserError(
        f"No file in {folder} is named after a sample of these data; {there}.",
        f"Expected {ids[0]}.mp4 and the like. {hint}" + ("" if guess else " a CSV of id and file."),
    )


def _guess(name: str, ids: Sequence[str]) -> str | None:
    """The pattern by which a file may be named after a sample; None if no sample's id is in its name."""
    for sample in ids:
        short = sample.partition("_")[0]
        for known in (sample, short):
            alone = rf"(?<![A-Za-z0-9]){re.escape(known)}(?![A-Za-z0-9])"
            if len(known) > 2 and re.search(alone, name):
                return re.sub(r"(seed[_-]?)\d+", r"\1" + SEED, re.sub(alone, "{id}", name, count=1), count=1)
    return None


def _beginning(name: str, ids: Sequence[str]) -> str | None:
    """The one sample whose id begins with this and a ``_``: ``00001.mp4`` is the prediction of ``00001_City_...``."""
    found = [sample for sample in ids if sample.startswith(f"{name}_")]
    return found[0] if len(found) == 1 else None


def _plain(path: Path) -> str | None:
    if path.suffix.lower() in SUFFIXES:
        return path.stem
    if path.is_dir() and any(p.suffix.lower() in PICTURE_SUFFIXES for p in path.iterdir()):
        return path.name
    return None


def _regex(match: str) -> re.Pattern[str]:
    if match.count("{id}") != 1 or match.count(SEED) > 1:
        raise UserError(f"The pattern {match!r} must have {{id}} once.", "For example --match '{id}_seed0.mp4'.")
    parts = re.split(r"(\{\w+\})", match)
    named = {"{id}": "(?P<id>.+)", SEED: "(?P<seed>[^/]+?)"}
    text = "".join(named.get(p, "[^/]+?" if re.fullmatch(r"\{\w+\}", p) else re.escape(p)) for p in parts)
    suffix = re.escape(Path(match).suffix)
    if suffix and Path(match).suffix.lower() in SUFFIXES:  # .MP4 is .mp4
        text = f"{text.removesuffix(suffix)}(?i:{suffix})"
    return re.compile(text)


def _from_csv(table: Path, folder: Path, ids: Sequence[str]) -> Matched:
    """Files named in a CSV, relative to the folder of predictions or to the CSV."""
    if not table.is_file():
        raise UserError(f"There is no file {table}.", "Give a CSV whose columns are id and file.")
    known, files, taken = set(ids), dict[str, Path](), dict[str, str]()
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            between = max(",;\t", key=text.readline().count)  # spreadsheets of some countries write semicolons
            text.seek(0)
            lines = [line for _, line in zip(range(_MOST), csv.reader(text, delimiter=between), strict=False)]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise UserError(f"{table} is no CSV of ids and files ({type(error).__name__}).", "Write it again.") from error
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if cells and cells[0] not in known:
            cells[0] = _beginning(cells[0], ids) or cells[0]
        if not any(cells) or (number == 1 and cells[0] not in known):
            continue  # a header
        if len(cells) < 2 or not cells[1]:
            raise UserError(f"{table}, line {number} has no file.", "Its columns are id and file.")
        if cells[0] not in known:
            continue
        if cells[0] in files:
            raise UserError(f"{table}, line {number} names {cells[0]} again.", "Give one file for each sample.")
        places = (folder / cells[1], table.parent / cells[1])
        place = next((place for place in places if place.exists()), places[0])
        if (other := taken.setdefault(os.path.normpath(place), cells[0])) != cells[0]:
            raise UserError(
                f"{table}, line {number} gives {cells[0]} the file of {other}.", "Give each sample its own file."
            )
        files[cells[0]] = place
    if not files:
        first = lines[-1][0] if lines and lines[-1] else ""
        raise UserError(f"{table} names no sample of these data.", did_you_mean(first, ids))
    return Matched(files, ())
