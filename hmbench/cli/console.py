"""Where the command line prints: results on stdout, everything about the way there on stderr."""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.errors import MarkupError
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from hmbench.cli.pace import Pace
from hmbench.errors import UserError
from hmbench.streams import harmless

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import RenderableType

    from hmbench.data.dataset import Dataset, Wanted
    from hmbench.results.records import RunManifest
    from hmbench.run.workers_request import Progress as Progressed


class SafeConsole(Console):
    """A console that shows control characters instead of sending them to the terminal.

    Captions, ids and file names come from strangers: an escape sequence in one of them could clear the screen, rename
    the window or hide a line.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Text as rich makes it, harmless."""
        try:
            return super().render_str(_own_tags(harmless(text)), **options)
        except MarkupError:  # a stranger's [/] closes nothing: it is text
            return super().render_str(escape(harmless(text)), **options)


def _own_tags(text: str) -> str:
    """Text in which only the tags that hmbench itself writes are markup."""
    return _TAG.sub(lambda found: found[0] if found[1] in _TAGS else f"\\{found[0]}", text)


_TAG = re.compile(r"(?<!\\)\[([a-z@/][^\[\]]*)\]")
_TAGS = {"bold", "bold red", "bold yellow", "red", "green", "yellow", "dim", "/"}
out = SafeConsole()
errors = SafeConsole(stderr=True)


class Mode:
    """How much is said, and in what form; ``--quiet`` and ``--json`` set it (`hmbench.cli.common`)."""

    quiet = False
    """No bars and no notes."""
    json = False
    """The result as JSON on stdout, everything else on stderr."""


MODE = Mode()


def show_json(content: Any) -> None:
    """A result as JSON, one object; what is no number is null."""
    import json

    from hmbench.files import plain

    print(json.dumps(plain(content), indent=1, allow_nan=False, default=str))  # noqa: T201


def show_error(error: UserError) -> None:
    """A user's mistake: what happened, and what to do about it."""
    errors.print(f"[bold red]Error:[/] {escape(error.what)}", soft_wrap=True, highlight=False)
    if error.hint:
        errors.print(f"  {escape(error.hint)}", soft_wrap=True, highlight=False)


class _Note(TextColumn):
    """A column for names of strangers: control characters are shown, and it stays one line."""

    def render(self, task: Task) -> Text:
        """The pace and the note, harmless; the pace alone where both have no room beside the bar."""
        whole = "  ".join(filter(None, _words(task)))
        return Text(whole if _fits(task) else _words(task)[0])


def _words(task: Task) -> tuple[str, str]:
    """Pace and note of a bar, each a line of harmless text."""
    pace, note = (harmless(str(task.fields.get(key, ""))).replace("\n", "\\n") for key in ("pace", "note"))
    return pace, note


def _fits(task: Task) -> bool:
    counts = 2 * len(f"{task.total or 0:.0f}") + 1
    beside = len(task.description) + _BAR + counts + len("0:00:00left0:00:00") + 6  # a blank between two columns
    return beside + len("  ".join(filter(None, _words(task)))) <= errors.width


_BAR = 16


class _Bars(Progress):
    """Bars; on a narrow screen a long name stands whole on a line of its own: a cut one cannot be copied."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The table of bars, and what the last one's note says if it has no room beside it."""
        yield from super().get_renderables()
        if self.tasks and not _fits(self.tasks[-1]):
            yield Text(f"  {_words(self.tasks[-1])[1]}", no_wrap=True, overflow="ellipsis")


def progress_bar() -> Progress:
    """A bar with count, elapsed and remaining time, on stderr, and a note beside or below it."""
    return _Bars(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=_BAR),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        _Note("{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=errors,
        expand=True,
        disable=MODE.quiet,
    )


def open_shown(spec: str, wanted: Wanted | None = None) -> Dataset:
    """The data that ``--data`` names; a bar shows how far the mini world is if it has to be rendered first.

    Raises:
        UserError: If nothing goes by that name, before anything heavy is imported.
    """
    from hmbench.run.name_checks import check_names

    check_names(model=None, data=spec, profile=None)
    from hmbench.data.dataset import open_dataset
    from hmbench.run.request import clips_told

    with RichReporter() as reporter:
        return open_dataset(spec, clips_told(reporter), wanted=wanted)


def show_notes(folder: Path, manifest: RunManifest, said: set[str]) -> None:
    """What a reader must know beside the table of a run, except what stands on the screen already."""
    from hmbench.results.notes import run_notes

    if MODE.quiet or MODE.json:
        return
    notice = manifest.about.notice
    for text in dict.fromkeys([*([notice] if notice else []), *run_notes(folder, manifest)]):
        if text not in said:
            out.print(f"[bold yellow]Note:[/] {escape(text)}", highlight=False, soft_wrap=True)


_PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True}


class RichReporter:
    """Shows the stages of a run as progress bars (see `hmbench.run.evaluate.Reporter`); use as a context manager."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._progress = progress_bar()
        self._task: TaskID | None = None
        self._verbose = verbose
        self._pace = Pace()
        self._stage = ("", 0, 0)
        self._failures: dict[tuple[str, str], int] = {}
        self.said: set[str] = set()
        """Notices that stand on the screen: each is said once."""

    def __enter__(self) -> RichReporter:
        return self  # the bar comes with the first stage: a command that is refused before shows none

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()
        for (stage, message), count in self._failures.items():
            if count > 1:
                others = f"{count - 1} more" if count > 2 else "one more"
                errors.print(f"[bold red]{stage} failed[/] alike for {others}: {escape(message)}", **_PLAIN)
        if kind is KeyboardInterrupt:
            errors.print("Stopped. What was complete is kept; the same command goes on from there.")

    def stage(self, name: str, total: int, done: int) -> None:
        """Starts a new bar; a note says how many samples were complete already."""
        self._progress.start()
        self._task = self._progress.add_task(name, total=total, completed=done, note="")
        self._pace, self._stage = Pace(done), (name, done, total)
        if done and not MODE.quiet:
            self._progress.console.print(f"{name}: {done} of {total} were complete already")

    def advance(self, sample_id: str) -> None:
        """Moves the bar."""
        assert self._task is not None, "advance before stage"
        name, done, total = self._stage
        self._stage = (name, done + 1, total)
        pace = self._pace.words(done + 1, total)
        speed = pace.partition(",")[0]  # the bar says what is left by itself
        self._progress.update(self._task, advance=1, pace=speed, note=sample_id)
        if not (errors.is_terminal or MODE.quiet) and self._pace.due():
            errors.print(f"{name}: {done + 1} of {total}, {pace}", highlight=False, soft_wrap=True)

    def progress(self, progress: Progressed) -> None:
        """One bar for all stages of a run with workers."""
        done = progress.scored if progress.scored is not None else progress.generated or 0
        counts = [] if progress.generated is None else [f"generated {progress.generated}"]
        counts += [] if progress.scored is None else [f"tracked {progress.tracked}", f"scored {progress.scored}"]
        counts += [f"failed {progress.failed}"] if progress.failed else []
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("run", total=progress.total, completed=done, note="")
            self._pace = Pace(done)
        note = ", ".join([*counts, *filter(None, [self._pace.words(done, progress.total)])])
        self._progress.update(self._task, completed=done, note=note)
        if (self._verbose or not errors.is_terminal) and not MODE.quiet and self._pace.due():
            errors.print(f"{progress.total} clips: {note}", highlight=False, soft_wrap=True)
            for line in progress.workers if self._verbose else ():
                errors.print(f"  {line}", highlight=False, soft_wrap=True)

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        """Prints a failure above the bar; those that say the same are counted and told once more at the end."""
        key = (stage, message.replace(sample_id, "a clip"))
        self._failures[key] = self._failures.get(key, 0) + 1
        if self._failures[key] == 1:
            text = f"[bold red]{stage} failed[/] for {escape(sample_id)}: {escape(message)}"
            self._progress.console.print(text, **_PLAIN)

    def notice(self, text: str) -> None:
        """Prints what the reader must know, once."""
        if text in self.said or MODE.quiet:
            return
        self.said.add(text)
        self._progress.console.print(f"[bold yellow]Note:[/] {escape(text)}", highlight=False, soft_wrap=True)
