"""A look at a folder of predictions before anything is scored: headers alone, about ten milliseconds a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hmbench.data.dataset import Dataset
from hmbench.data.hm_world import HMWorld
from hmbench.digests import content_digest
from hmbench.errors import SampleError, UserError
from hmbench.results.prediction_files import Matched, find_predictions, none_matches
from hmbench.results.predictions import Expected, Plan, expected_of, plan_reading
from hmbench.results.reading import EXACT, Reading
from hmbench.run.request import Reporter
from hmbench.video.decode import Header, read_header
from hmbench.video.sources import source_header


class Look(NamedTuple):
    """What was found of one sample."""

    sample: str
    """Its id."""
    file: Path | None
    """Its prediction."""
    header: Header | None
    """What the file says; None if it cannot be read."""
    plan: Plan | None
    """How it will be read; None if it cannot be scored."""
    problem: str | None
    """Why not."""
    hint: str
    """What to do about it."""


class Checked(NamedTuple):
    """A folder of predictions, looked at."""

    looks: tuple[Look, ...]
    """One a sample, in order."""
    others: tuple[str, ...]
    """Videos that belong to no sample."""


def check_predictions(
    data: Dataset, ids: Sequence[str], folder: Path, *, match: str | None = None, reading: Reading = EXACT
) -> Checked:
    """Looks at every prediction's header.

    Args:
        data: The data.
        ids: Its samples.
        folder: The predictions.
        match: See `hmbench.results.prediction_files.find_predictions`.
        reading: What will be done with those that do not fit.

    Raises:
        UserError: If there is no such folder, or none of its files belongs to a sample.
    """
    matched = find_predictions(folder, ids, match)
    if not matched.files:
        raise none_matches(folder, ids, matched)
    return Checked(tuple(_look(data, sample, matched, reading) for sample in ids), matched.others)


def tell_problems(checked: Checked, reporter: Reporter) -> None:
    """Before scoring: one notice for what will fail; an error if nothing would be left.

    Raises:
        UserError: If no prediction can be scored.
    """
    bad = [look for look in checked.looks if look.problem and look.file]
    missing = [look for look in checked.looks if look.file is None]
    if len(bad) + len(missing) == len(checked.looks):
        look = (bad or missing)[0]
        others = f" None of the {len(checked.looks)} predictions can be scored." if len(checked.looks) > 1 else ""
        raise UserError(f"{look.problem}{others}", look.hint)
    if missing:
        names = ", ".join(look.sample for look in missing[:3]) + (", ..." if len(missing) > 3 else "")
        reporter.notice(f"{len(missing)} of {len(checked.looks)} samples have no prediction: {names}")
    if said := tell_same(checked):
        reporter.notice(said)
    if bad:
        reporter.notice(f"{len(bad)} of {len(checked.looks)} predictions cannot be scored. The first: {bad[0].problem}")


def tell_same(checked: Checked) -> str:
    """A sentence if two predictions are one file, or its copies: at most one of them is the sample's; else empty."""
    files = [(look.file, look.sample) for look in checked.looks if look.file is not None and look.file.is_file()]
    alike = [files]
    keys: tuple[Callable[[Path], object], ...] = (lambda path: path.stat().st_size, _middle, content_digest)
    for key in keys:  # the cheapest first: few files are read whole
        alike = [part for group in alike for part in _parted(group, key)]
    if not alike:
        return ""
    (_, first), (_, second) = alike[0][:2]
    return (
        f"{sum(map(len, alike))} of {len(checked.looks)} predictions are the same file as another one, byte for byte, "
        f"for example those of {first} and {second}"
    )


def _parted(files: Sequence[tuple[Path, str]], key: Callable[[Path], object]) -> list[list[tuple[Path, str]]]:
    """Groups of several files with one key."""
    groups: dict[object, list[tuple[Path, str]]] = {}
    for path, sample in files:
        groups.setdefault(key(path), []).append((path, sample))
    return [group for group in groups.values() if len(group) > 1]


def _middle(path: Path) -> bytes:
    """64 KiB from the middle of a file."""
    with path.open("rb") as file:
        file.seek(path.stat().st_size // 2)
        return file.read(1 << 16)


def kind_of(look: Look) -> tuple[str, ...]:
    """Frames, rate, size, length, colour and verdict: predictions of one kind are one line of the table."""
    if look.file is None:
        return "-", "-", "-", "-", "-", "missing"
    if look.header is None:
        return "-", "-", "-", "-", "-", _verdict(look)
    header = look.header
    rate = "none" if math.isnan(header.fps) else f"{header.fps:.4g} fps" + ("" if header.steady else ", uneven")
    seconds = "-" if math.isnan(header.seconds) else f"{header.seconds:.2f} s"
    verdict = _verdict(look)
    return (
        str(header.frames),
        rate,
        f"{header.width}x{header.height}",
        seconds,
        f"{header.codec} {header.pixels}",
        verdict,
    )


def _verdict(look: Look) -> str:
    if look.problem or look.plan is None:
        text = look.problem or ""
        return text.removeprefix(f"{look.file} ").rstrip(".")
    done = [f"{look.plan.dropped} context frames dropped"] if look.plan.dropped else []
    return "; ".join(["fits", *done, *look.plan.notes])


def _look(data: Dataset, sample: str, matched: Matched, reading: Reading) -> Look:
    path = matched.files.get(sample)
    if path is None:
        hint = "Generate it, or say how files are named: --match."
        return Look(sample, None, None, None, f"{sample} has no prediction.", hint)
    header: Header | None = None
    try:
        header = source_header(path)
        return Look(sample, path, header, plan_reading(path, header, _expected(data, sample), reading), None, "")
    except SampleError as error:
        return Look(sample, path, header, None, error.what, error.hint)


def _expected(data: Dataset, sample: str) -> Expected:
    """What its prediction has to be, from headers where the data are files."""
    if not isinstance(data, HMWorld):
        return expected_of(data.load(sample))
    context, target = (read_header(data.place(sample) / name) for name in ("cond.mp4", "tgt.mp4"))
    return Expected(context.frames, target.frames, context.fps, (context.height, context.width))
