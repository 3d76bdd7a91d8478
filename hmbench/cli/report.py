"""``hmbench report RUN ... --out DIR``: a static site for one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.errors import UserError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from hmbench.data.dataset import Dataset
    from hmbench.report.pages.content import Board
    from hmbench.report.pages.gallery import Plan

Runs = Annotated[list[Path], typer.Argument(help="Run folders of `hmbench eval` or `hmbench score`.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the site; an older site there is replaced.")]
WhichVideos = Annotated[
    str, typer.Option("--videos", help="Clips that get videos: none, all, or worst:N by the ranking metric.")
]
MaxSize = Annotated[
    str, typer.Option("--max-size", help="Refuse to start if it would take more, for example 300MB; none for any size.")
]
RankBy = Annotated[str, typer.Option("--rank-by", help="Metric that orders models and clips; by default the first.")]
Data = Annotated[str | None, typer.Option("--data", "-d", help="Where the data are now, if they moved.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Threads that encode videos.")]
Title = Annotated[str, typer.Option("--title", help="Heading of the first page.")]

LEAD = (
    "Does a subject that leaves the view come back at the right time and place, as itself, still moving, in a world "
    "that stayed the same?"
)


def register(app: typer.Typer) -> None:
    """Adds ``report``."""
    app.command("report")(report)


def report(
    runs: Runs,
    out: Out,
    videos: WhichVideos = "worst:8",
    max_size: MaxSize = "500MB",
    rank_by: RankBy = "",
    data: Data = None,
    workers: Workers = 2,
    title: Title = "hmbench report",
) -> None:
    """Write pages for looking at runs: tables, plots, a page per model, clip and metric, videos in step."""
    from hmbench.results.run_folder import RunFolder

    for run in runs:  # before anything heavy: a name may be wrong
        if (run / "run.json").is_file() or not (run / "seeds.json").is_file():
            RunFolder(run).read_manifest()
    from hmbench.results.seeds import seed_runs

    for one in (one for run in runs for one in seed_runs(run)):
        RunFolder(one).read_manifest()
    from hmbench.cli.console import errors
    from hmbench.cli.console import out as screen
    from hmbench.report.pages.content import Site
    from hmbench.report.pages.documents import explained, validity
    from hmbench.report.pages.from_runs import boards_from_runs
    from hmbench.report.pages.site import Videos, write_site
    from hmbench.report.pages.words import shown

    wanted = Videos(which=videos, max_bytes=parse_size(max_size), workers=workers)
    with errors.status("reading runs ..."):
        boards = boards_from_runs(runs, rank_by=[name.strip() for name in rank_by.split(",") if name.strip()])
    names = {metric.name for board in boards for metric in board.metrics}
    site = Site(title=shown(title), lead=LEAD, boards=tuple(boards), validity=validity(), explained=explained(names))
    with SiteProgress() as watcher:
        size = write_site(site, out, videos=wanted, open_data=lambda board: board_data(board, data), watcher=watcher)
    screen.print(f"{size / 1e6:.1f} MB. Open {out / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def board_data(board: Board, moved: str | None) -> Dataset | None:
    """The data of a board; None, with a word on the screen, if they are not there or are others."""
    from hmbench.cli.console import errors
    from hmbench.data.dataset import Wanted, open_dataset, open_recorded

    try:
        wanted = Wanted(samples=[clip.key for clip in board.clips])
        found = open_dataset(moved, wanted=wanted) if moved else open_recorded(board.data, wanted=wanted)
        same = found.revision(tuple(clip.key for clip in board.clips)) == board.revision
    except UserError as error:
        errors.print(f"No context and target: {error.what}", markup=False, highlight=False, soft_wrap=True)
        return None
    if not same:
        errors.print(
            f"No context and target: the data at {moved or board.data} are not those of {board.title}. Give --data.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        return None
    return found


def parse_size(text: str) -> int | None:
    """Bytes of ``30MB``, ``1.5 GB`` or a number; None for ``none``.

    Raises:
        UserError: For anything else.
    """
    import re

    if text.strip().lower() == "none":
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMG]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if not found:
        raise UserError(f"--max-size {text!r} is no size.", "Write for example 30MB, 1.5GB or none.")
    return round(float(found[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}[found[2].lower()])


class SiteProgress:
    """Says what videos will cost before any is made, then shows how far a build is; use as a context manager.

    Has the methods of `hmbench.report.pages.site.Watcher`.
    """

    def __init__(self) -> None:
        from hmbench.cli.console import progress_bar

        self._progress = progress_bar()
        self._videos: TaskID | None = None
        self._pages: TaskID | None = None

    def __enter__(self) -> SiteProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, board: Board, plan: Plan) -> None:
        """Says how many videos, and about how large."""
        if plan.videos:
            clips = f"{len(plan.clips)} clip{'' if len(plan.clips) == 1 else 's'}"
            text = f"{clips}, {plan.videos} videos, about {plan.bytes / 1e6:.1f} MB"
            self._progress.console.print(text, markup=False, highlight=False)
            self._videos = self._progress.add_task("videos", total=plan.videos, note="")

    def video(self) -> None:
        """Moves the bar of videos."""
        if self._videos is not None:
            self._progress.advance(self._videos)

    def stage(self, name: str, total: int) -> None:
        """Starts the bar of pages that belong together."""
        self._pages = self._progress.add_task("pages", total=total, note=name)

    def page(self) -> None:
        """Moves the bar of pages."""
        if self._pages is not None:
            self._progress.advance(self._pages)
