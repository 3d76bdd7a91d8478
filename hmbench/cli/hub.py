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
    app.command("index")(index_command)
    app.command("splits")(splits_command)
    app.command("inspect")(inspect_command)
    app.command("cameras")(cameras_command)
    app.command("caption")(caption_command)


def download_command(
    out: Out,
    split: Annotated[str, typer.Option(help="test, train or all (see docs/hm-world/download.md).")] = "test",
    samples: Annotated[
        int | None, typer.Option("--samples", "--limit", min=1, help="How many; by default all of the split.")
    ] = None,
    repo: Annotated[str, typer.Option(help="Dataset repository on the Hub.")] = REPO,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit; the commit is recorded.")] = "main",
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="What names of the archive's parts begin with, if not HM-World.")
    ] = None,
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
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="Then write index.parquet (headers and digests).")
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
        prefix=prefix,
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
            f"`hmbench data inspect {parts or repo}` says what is in the stream.",
        )
    if index:
        index_command(out, decode=False)


def index_command(
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Parquet file; by default in the folder.")] = None,
    workers: Workers = None,
    decode: Annotated[
        bool, typer.Option("--decode/--headers-only", help="Decode every video: finds damage and events.")
    ] = True,
) -> None:
    """Write index.parquet: a row a sample with its id's parts, frames, caption, events, deviations and digests."""
    from hmbench.cli.console import out as console
    from hmbench.cli.console import progress_bar
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.index import build_index

    total = len(HMWorld(folder).ids("all"))
    with progress_bar() as progress:
        task = progress.add_task("index", total=total, note="")
        report = build_index(
            folder,
            out,
            workers=workers,
            decode=decode,
            on_row=lambda sample: progress.update(task, advance=1, note=sample),
        )
    console.print(
        f"{report.samples} samples in {report.path} ({report.reused} unchanged, {report.unusable} cannot be used).",
        highlight=False,
        soft_wrap=True,
    )


def splits_command(
    ids: Annotated[Path, typer.Argument(help="Folder of samples, or a text file with an id a line.")],
    out: Out,
    source: Annotated[str, typer.Option(help="Where the ids come from, for whoever cites the file.")] = "",
) -> None:
    """Write hmworld-test-v1.json and hmworld-train-v1.json: ids, rule and digests, to publish and cite."""
    from hmbench.cli.console import MODE, show_json
    from hmbench.cli.console import out as console
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.splits import TEST_CLIPS, write_split
    from hmbench.files import read_text_within

    if ids.is_dir():
        everything = HMWorld(ids).ids("all")
    elif ids.is_file():
        lines = read_text_within(ids, 64 << 20, "list of ids").splitlines()
        everything = tuple(line.strip() for line in lines if line.strip())
    else:
        raise UserError(f"There is no folder or file {ids}.", "Give a folder of samples or a list of ids.")
    written = {
        out / f"hmworld-{name}-v1.json": write_split(
            out / f"hmworld-{name}-v1.json", everything, name, source or str(ids)
        )
        for name in ("test", "train")
    }
    if MODE.json:
        show_json([{"file": str(path), **content} for path, content in written.items()])
        return
    for path, content in written.items():
        cells = ", ".join(f"{count} {cell}" for cell, count in content["cells"].items())
        console.print(
            f"{path}: {content['count']} ids ({cells}), sha256 {content['sha256'][:12]}",
            highlight=False,
            soft_wrap=True,
        )
        if "test" in path.name and content["count"] < TEST_CLIPS:
            console.print(
                f"These ids give fewer than {TEST_CLIPS} test clips: the list is part of the release, or short."
            )
    if not content["held_out_scenes"]:
        console.print("No scene is held out: no id parses, or the rule picks none of these scenes.")


def inspect_command(
    what: Annotated[str, typer.Argument(help="Folder of samples, folder of parts, or a repository (owner/name).")],
    samples: Annotated[int, typer.Option("--samples", "--limit", min=1, help="How many samples to read.")] = 20,
    revision: Annotated[str, typer.Option(help="Revision of the repository.")] = "main",
) -> None:
    """Tell what a folder or stream really holds, against what is known of HM-World."""
    import tempfile
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Table

    from hmbench.cli.console import MODE, out, show_json
    from hmbench.data.hub.download import DownloadRequest
    from hmbench.data.hub.extract import complete_samples
    from hmbench.data.inspection import inspect_folder, inspect_stream

    folder = Path(what)
    if folder.is_dir() and (complete_samples(folder) or complete_samples(folder / "HM-World")):
        facts = inspect_folder(folder, limit=samples)
    else:
        if not folder.is_dir() and (what.count("/") != 1 or folder.is_absolute()):
            raise UserError(f"There is no folder {what}.", "Give a folder, or a repository as owner/name.")
        with tempfile.TemporaryDirectory() as scratch, _progress() as watcher:
            request = DownloadRequest(
                out=Path(scratch),
                samples=samples,
                repo=what,
                revision=revision,
                parts=folder if folder.is_dir() else None,
            )
            facts = inspect_stream(request, watcher)
    if MODE.json:
        show_json([asdict(fact) for fact in facts])
        return
    table = Table("about", "expected", "found", "", title=f"{what} against what is known of HM-World")
    for fact in facts:
        style = "bold red" if fact.verdict == "DIFFERS" else None
        table.add_row(*map(escape, (fact.topic, fact.expected, fact.found, fact.verdict)), style=style)
    out.print(table)
    differing = sum(fact.verdict == "DIFFERS" for fact in facts)
    out.print(f"{differing} of {len(facts)} lines differ from what hmbench expects.")


def cameras_command(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also draw each into this folder.")] = None,
) -> None:
    """List the camera presets for your own videos, and draw them."""
    from rich.table import Table

    from hmbench.cli.console import out as console
    from hmbench.data.camera_presets import PRESETS, draw_presets

    table = Table("preset", "what the camera does")
    for name, preset in PRESETS.items():
        table.add_row(name, preset.description)
    console.print(table)
    if out is not None:
        paths = draw_presets(out)
        console.print(f"{len(paths)} pictures in {out}", highlight=False, soft_wrap=True)


def caption_command(
    folder: Folder,
    model: Annotated[str, typer.Option("--model", "-m", help="Image-text-to-text model of the Hub, or its folder.")],
    device: Annotated[
        str, typer.Option(help="Torch device: cpu, cuda, cuda:1; auto takes a GPU if there is one.")
    ] = "auto",
    revision: Annotated[str | None, typer.Option(help="Revision of the model.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each context that the model is shown.")] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite/--keep", help="Replace captions that are there.")] = False,
) -> None:
    """Write captions for samples without one, from their context frames."""
    from hmbench.cli.console import out, progress_bar
    from hmbench.data.captions import TransformersCaptioner, caption_folder
    from hmbench.data.hm_world import HMWorld
    from hmbench.run.request import checked_device

    total = len(HMWorld(folder).ids("all"))
    captioner = TransformersCaptioner(model, device=checked_device(device), revision=revision)
    with progress_bar() as progress:
        task = progress.add_task("caption", total=total, note="")
        report = caption_folder(
            folder,
            captioner,
            num_frames=frames,
            overwrite=overwrite,
            on_sample=lambda sample: progress.update(task, advance=1, note=sample),
        )
    out.print(
        f"{len(report.written)} captions by {captioner.name}, {report.kept} kept, {len(report.empty)} left empty.",
        highlight=False,
        soft_wrap=True,
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
    if report.renamed:
        first = next(iter(report.renamed.items()))
        say(
            f"{len(report.renamed)} samples have a name that another folder of the archive had before, and were given "
            f"another, such as {first[1]} for {first[0]}."
        )
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
