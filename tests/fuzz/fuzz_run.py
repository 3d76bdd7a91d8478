"""Runs commands in this process on changed files, and says what must not happen: tracebacks, hangs, silence."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import numpy as np
from fuzz_mutate import mutator_of, replace_file
from fuzz_targets import Done, Target, targets

LIMIT_S = 60.0
"""Of processor time for one command; the slowest right ones take 3."""

WAIT_S = 900.0
"""By the clock: whoever opens a pipe waits without working."""


class Hang(BaseException):
    """A command took too long; no ``except Exception`` of the code under test may catch it."""


@dataclass
class Report:
    """What a campaign found."""

    tried: Counter[str] = field(default_factory=Counter)
    """Mutations by target."""
    refused: Counter[str] = field(default_factory=Counter)
    """Of these, those that ended in a sentence."""
    findings: list[str] = field(default_factory=list)
    """What must not happen."""

    def lines(self) -> list[str]:
        """A line a target, and a line for all."""
        found = Counter(text.split(":", 1)[0] for text in self.findings)
        rows = [f"{n}: {c} tried, {self.refused[n]} refused, {found[n]} failed" for n, c in self.tried.items()]
        return [*rows, f"all: {self.tried.total()} tried, {self.refused.total()} refused, {len(self.findings)} failed"]


def call(arguments: Sequence[str]) -> Done:
    """One command line in this process."""
    old = sys.argv
    try:
        return _guarded(functools.partial(_command_line, tuple(arguments)))
    finally:
        sys.argv = old


def _command_line(arguments: tuple[str, ...]) -> None:
    import hmbench.cli

    sys.argv = ["hmbench", *arguments]
    hmbench.cli.main()


def _guarded(work: Callable[[], object]) -> Done:
    """What `work` prints and how it ends; a `UserError` is what a command line turns into exit code 2."""
    from hmbench.errors import UserError

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), _time_limit(LIMIT_S):
            work()
        return Done(0, out.getvalue())
    except UserError as error:
        return Done(2, f"{out.getvalue()}{error}")
    except SystemExit as stop:
        return Done(int(stop.code or 0), out.getvalue())
    except Hang:
        return Done(None, f"{out.getvalue()}HANG: more than {LIMIT_S:g} s of processor time\n{traceback.format_exc()}")
    except BaseException:  # noqa: BLE001
        return Done(None, out.getvalue() + traceback.format_exc())


@contextlib.contextmanager
def _bounded_memory(gigabytes: int = 16) -> Iterator[None]:
    """No input of a few kilobytes may take the machine's memory; afterwards the bound is as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = gigabytes << 30
    if soft == resource.RLIM_INFINITY or soft > wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@_bounded_memory()
def campaign(
    count: int,
    seed: int,
    *,
    fast: bool = False,
    only: str | None = None,
    tell: bool = False,
    part: tuple[int, int] = (0, 1),
    in_process: float = 0.9,
) -> Report:
    """So many mutations, spread over the targets by their weights.

    Args:
        count: How many.
        seed: Of the random generator; every mutation has its own generator, from the seed, the target and its number.
        fast: Leave the slow targets out.
        only: This target alone.
        tell: Print findings as they come.
        part: (k, n): every n-th mutation from the k-th on, so that n processes share a campaign.
        in_process: Share of the mutations that are read without the command line, where a target has such a reader.
    """
    kinds = [t for t in targets() if not (fast and t.slow) and only in (None, t.name)]
    total = sum(t.weight for t in kinds)
    report = Report()
    with tempfile.TemporaryDirectory() as root:
        for number, target in enumerate(kinds):
            folder = Path(root) / str(number)
            folder.mkdir()
            target.prepare(folder)
            if tell and target.right:
                _unchanged(target, folder)
            for index in range(part[0], max(1, round(count * target.weight / total)), part[1]):
                before = len(report.findings)
                _one(target, folder, seed, index, report, in_process)
                if tell and len(report.findings) > before:
                    sys.stderr.write(report.findings[-1] + "\n")
            shutil.rmtree(folder)
    return report


def _unchanged(target: Target, folder: Path, times: int = 6) -> None:
    """Commands on files that nobody changed must end well, or all that follows is refused for another reason.

    Raises:
        RuntimeError: With what the command said.
    """
    rng = np.random.default_rng(0)
    files = target.files(folder)
    for _ in range(times):
        path = files[int(rng.integers(len(files)))]
        with _kept(folder, path, target.whole):
            for command in target.commands(folder, path, rng):
                if (done := call(command)).code != 0:
                    raise RuntimeError(f"{target.name}, unchanged: {' '.join(command)}\n{done.text}")


def _one(target: Target, folder: Path, seed: int, index: int, report: Report, in_process: float) -> None:
    rng = np.random.default_rng([seed, *target.name.encode(), index])
    files = target.files(folder)
    path = files[int(rng.integers(len(files)))]
    with _kept(folder, path, target.whole):
        odd = rng.random() < 0.07
        if odd:
            what = replace_file(path, rng)
        else:
            what, content = mutator_of(path)(path.read_bytes(), rng, folder.parent)
            path.write_bytes(content)
            if target.reseal is not None:
                target.reseal(folder, path)
        report.tried[target.name] += 1
        commands = target.commands(folder, path, rng)
        jobs: list[tuple[tuple[str, ...], Callable[[], Done]]] = [(c, functools.partial(call, c)) for c in commands]
        if target.light and rng.random() < in_process:
            jobs = [(("read it",), functools.partial(_guarded, functools.partial(target.light, folder, path)))]
        for command, job in jobs:
            started = time.process_time()
            done = job()
            where = f"{target.name}: #{index} {path.relative_to(folder)} {what} | {' '.join(command)[:160]}"
            problem = _problem(done, folder)
            if target.after and not problem:
                problem = target.after(folder, command, done, odd)
            if problem:
                report.findings.append(f"{where}\n{problem}")
            elif time.process_time() - started > LIMIT_S / 2:
                report.findings.append(f"{where}\nSLOW: {time.process_time() - started:.0f} s of processor time")
            report.refused[target.name] += done.code != 0


def _problem(done: Done, folder: Path) -> str | None:
    """What must not be, or None."""
    if done.code is None or "Traceback (most recent call last)" in done.text:
        return done.text[-3000:]
    if done.code not in (0, 1, 2):
        return f"exit code {done.code}: {done.text[-500:]}"
    if done.code != 0 and not done.text.strip():
        return f"exit code {done.code} without a word"
    for error in folder.glob("**/errors/*.json"):
        try:
            trace = json.loads(error.read_text())["traceback"]
        except (ValueError, KeyError, TypeError, OSError):
            continue
        if trace:
            return f"recorded in {error.name}: {trace[-3000:]}"
    return None


@contextlib.contextmanager
def _kept(folder: Path, path: Path, whole: bool) -> Iterator[None]:
    """Afterwards the folder is as it was."""
    safe = folder.with_name(f"{folder.name}.safe")
    if not safe.exists():
        shutil.copytree(folder, safe)
    try:
        yield
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
        if whole:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(safe, folder)
        else:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            shutil.copy2(safe / path.relative_to(folder), path)


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    clocks = {signal.ITIMER_VIRTUAL: (signal.SIGVTALRM, seconds), signal.ITIMER_REAL: (signal.SIGALRM, WAIT_S)}
    old = {number: signal.signal(number, stop) for number, _ in clocks.values()}
    for clock, (_, limit) in clocks.items():
        signal.setitimer(clock, limit)
    try:
        yield
    finally:
        for clock, (number, _) in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, old[number])
