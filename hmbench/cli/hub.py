"""``hmbench data download | index | splits | inspect | caption | cameras``: the real dataset and people's own clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmbench.errors import UserError

if TYPE_CHECKING:
    from hmbench.data.hub.download import DownloadReport, Watcher

REPO = "KlingTeam/HM-World"

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")]
Folder = Annotated[Path, typer.Argument(help="Folder of samples in HM-World's layout.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; by default one a core.")]
Parts = Annotated[
    Path | None,
    typer.Option("--parts", help="Folder of parts to read (with --keep-parts: to fetch into), or an extracted one."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands to ``hmbench data``."""
    app.command("download")(download_command)


def download_command(
    out: Out,
    split: Annotated[str, typer.Option(help="test, train or all (see docs/hm-world.md).")] = "test",
    samples: Annotated[int | None, typer.Option(min=1, help="How many; by default all of the split.")] = None,
    repo: Annotated[str, typer.Option(help="Dataset repository on the Hub.")] = REPO,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit; the commit is recorded.")] = "main",
    parts: Parts = None,
    keep_parts: Annotated[
        bool, typer.Option("--keep-parts/--stream", help="Fetch whole parts and keep them, or store nothing of them.")
    ] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused/--stop-at-refused", help="Leave out links and the like, or stop at them.")
    ] = False,
    to_the_end: Annotated[
        bool, typer.Option("--to-the-end/--stop-early", help="Read on for captions and the last part's digest.")
    ] = False,
) -> None:
    """Download HM-World: only the samples asked for, without storing the archive.

    The archive is one gzip stream: a call that resumes reads it from its beginning again, but writes only what is
    missing. HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE work as everywhere with huggingface-hub.
    """
    from hmbench.data.hub.download import DownloadRequest, download

    request = DownloadRequest(
        out=out,
        split=split,
        samples=samples,
        repo=repo,
        revision=revision,
        parts=parts,
        keep_parts=keep_parts,
        skip_refused=skip_refused,
        to_the_end=to_the_end,
    )
    with _progress() as watcher:
        report = download(request, watcher)
    _print_report(report, out)
    if not report.extracted and not report.present:
        raise UserError(
            f"No sample of split {split!r} was found in {report.source}.",
            f"`hmbench data inspect {parts or 'PARTS'}` says what is in the stream.",
        )


def _print_report(report: DownloadReport, folder: Path) -> None:
    from rich.markup import escape

    from hmbench.cli.console import out

    def say(text: str) -> None:
        out.print(escape(text), highlight=False, soft_wrap=True)

    pinned = f" at commit {report.commit[:12]}" if report.commit else ""
    say(
        f"{len(report.extracted)} new samples, {len(report.present)} there before, in {folder} "
        f"({report.bytes_read / 1e9:.2f} GB read from {report.source}{pinned})."
    )
    unverified = [name for name in report.parts_read if name not in report.parts_verified]
    if unverified:
        say(f"Not checked against a sha256: {', '.join(unverified)} (not read to its end, or none is listed).")
    if not report.captions:
        say("caption.txt was not reached: captions are empty. It may come last; --to-the-end reads on for it.")
    if report.split == "test" and not report.whole_stream:
        say("These are clips of the test reserve; which 1000 are the test split needs the whole list of ids.")
    for sample, missing in list(report.incomplete.items())[:10]:
        say(f"Left out {sample}: the archive has no {', '.join(missing)}.")
    for line in report.refused[:10]:
        say(f"Left out {line}.")
    if report.passed_over:
        names = ", ".join(f"{name} ({count})" for name, count in report.passed_over.items())
        say(f"Unknown files, not extracted: {names}.")


@contextmanager
def _progress() -> Iterator[Watcher]:
    """A bar of bytes and one of samples, each with its time left, on stderr."""
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from hmbench.cli.console import errors

    name, bar = TextColumn("{task.description}"), BarColumn()
    by_bytes = Progress(name, bar, DownloadColumn(), TransferSpeedColumn(), TextColumn("left"), TimeRemainingColumn())
    by_samples = Progress(name, bar, MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())

    class Bars:
        def on_start(self, total_bytes: int, wanted: int | None, present: int) -> None:
            self.bytes = by_bytes.add_task("archive", total=total_bytes or None)
            self.samples = by_samples.add_task("samples", total=wanted, completed=present)

        def on_bytes(self, count: int) -> None:
            by_bytes.advance(self.bytes, count)

        def on_sample(self, sample_id: str) -> None:
            by_samples.advance(self.samples)

    with Live(Group(by_bytes, by_samples), console=errors):
        yield Bars()
