"""How a run is shared among workers, and what is told of them: declared once, their options included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hmbench.errors import UserError
from hmbench.flags import flag

SHARING = "Many GPUs, many machines"
HAVE_WORKERS = "eval generate score compare"


def parse_count(text: str | None) -> int | None:
    """A number of workers; 0 for ``auto``, None for nothing.

    Raises:
        UserError: If it is neither.
    """
    if text is None or text == "auto":
        return None if text is None else 0
    if not (text.isdecimal() and int(text)):
        raise UserError(f"--workers {text!r} is no number of workers.", "Give 1, 2, ..., or auto.")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How a run is shared among worker processes on Ray (`hmbench.run.workers`)."""

    count: int | None = flag(
        None,
        "So many worker processes on Ray; auto: one a GPU, or one per two cores.",
        commands=HAVE_WORKERS, names=("--workers",), panel=SHARING, typed=str | None, read=parse_count,
    )  # fmt: skip
    """Workers at most; 0 for one a GPU, or one per two processors where there is none; None for no workers."""
    address: str | None = flag(
        None,
        "auto or HOST:PORT of a running Ray cluster, whose machines all share the work.",
        commands=HAVE_WORKERS, names=("--ray-address",), panel=SHARING,
    )  # fmt: skip
    """A running cluster; None starts Ray on this machine."""
    gpus_each: float | None = flag(
        None,
        "GPUs of each worker: 0.5 lets two share one, 0 takes none. By default 1 where there are GPUs.",
        commands=HAVE_WORKERS, names=("--gpus-per-worker",), panel=SHARING,
    )  # fmt: skip
    """GPUs of each worker, a fraction to share one; None for one where there are GPUs."""
    scorers: int = flag(
        0,
        "So many workers without GPU track and score, while the others only generate; 0: each does both.",
        commands="eval compare", names=("--score-workers",), panel=SHARING, minimum=0,
    )  # fmt: skip
    """So many workers without a GPU only track and score, and the others only generate; 0: every worker does both."""
    tries: int = flag(
        2,
        "Workers that one clip may cost (crashes, lost machines) before it is recorded as failed.",
        commands=HAVE_WORKERS, names=("--tries",), panel=SHARING, minimum=1,
    )  # fmt: skip
    """Workers that one clip may cost before it is recorded as failed."""
    timeout: float | None = flag(
        None,
        "Seconds that a worker may take to generate, or to score, one clip; by default no limit.",
        commands=HAVE_WORKERS, names=("--clip-timeout",), panel=SHARING,
    )  # fmt: skip
    """Seconds that generating or scoring one clip may take."""
    grace: float = flag(
        10.0,
        "Seconds that clips in flight have to end after Ctrl-C or SIGTERM.",
        commands=HAVE_WORKERS, names=("--grace",), panel=SHARING,
    )  # fmt: skip
    """Seconds that clips in flight have when the run is stopped."""

    @property
    def asked(self) -> bool:
        """Whether there are to be any."""
        return self.count is not None or self.address is not None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("workers", self.count, 0), ("tries", self.tries, 1), ("score workers", self.scorers, 0),
        ):  # fmt: skip
            if value is not None and value < least:
                raise UserError(f"There cannot be {value} {name}.", f"At least {least}.")
        if self.gpus_each is not None and not 0 <= self.gpus_each <= 64:
            raise UserError(f"A worker cannot have {self.gpus_each:g} GPUs.", "0.5 lets two share one.")
        if self.timeout is not None and not self.timeout > 0:
            raise UserError(f"A clip cannot take {self.timeout:g} s.", "Give seconds, or leave it out for no limit.")
        if not self.grace >= 0:
            raise UserError(f"Clips in flight cannot have {self.grace:g} s.", "Give seconds, or 0 to end them at once.")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run with workers is."""

    total: int
    """Clips of the run (of this shard)."""
    generated: int | None
    """Clips with a video; None where none are generated."""
    tracked: int
    """Clips whose subjects are tracked."""
    scored: int | None
    """Clips with scores; None where none are scored."""
    failed: int
    """Of these, those that failed wholly or in part."""
    workers: tuple[str, ...]
    """A line a worker: where it is and what it is at."""


@runtime_checkable
class ShowsWorkers(Protocol):
    """A reporter that shows all stages of a run with workers at once."""

    def progress(self, progress: Progress) -> None:
        """How far the run is; comes about every second."""
