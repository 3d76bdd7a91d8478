"""``hmbench data make-mini`` and ``sheet``: make clips of the mini world, and look at clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hmbench.data.mini_world.as_hm_world import HMWorldForm
    from hmbench.data.mini_world.probes import Probe
    from hmbench.data.mini_world.splits import SplitName


def register(app: typer.Typer) -> None:
    """Adds the commands to ``hmbench data``."""
    app.command("make-mini")(make_mini_command)
    app.command("sheet")(sheet_command)


def make_mini_command(
    out: Annotated[Path, typer.Argument(help="Folder for the clips; a run that was stopped goes on there.")],
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    clips: Annotated[int, typer.Option(help="How many clips.")] = 16,
    size: Annotated[str, typer.Option(help="WxH, multiples of 16.")] = "416x240",
    seed: Annotated[int, typer.Option(help="Another seed, another set.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; as many as there are free cores is fastest.")] = 1,
    probe: Annotated[list[str] | None, typer.Option(help="Fault to render too, KIND:STRENGTH; repeatable.")] = None,
    crf: Annotated[int, typer.Option(help="H.264 quality of the videos, 0 to 51; smaller is better.")] = 17,
    as_hm_world: Annotated[
        bool, typer.Option("--as-hm-world", help="Write what HM-World has and no more; the truth goes to OUT-truth.")
    ] = False,
    form: Annotated[
        list[str] | None,
        typer.Option(help="With --as-hm-world: KEY=VALUE, for example positions=records or masks=white; repeatable."),
    ] = None,
) -> None:
    """Make clips of the mini world with exact truth, in HM-World's layout."""
    from hmbench.cli.console import errors, progress_bar
    from hmbench.cli.console import out as console
    from hmbench.data.mini_world.as_hm_world import impoverish, truth_folder
    from hmbench.data.mini_world.generate import GenerateConfig, Made, generate

    poor = _form(as_hm_world, form)
    config = GenerateConfig(
        out=out if poor is None else truth_folder(out),
        split=_split(split),
        clips=clips,
        size=_size(size),
        seed=seed,
        workers=workers,
        probes=_probes(probe),
        crf=crf,
    )
    with progress_bar() as progress:
        task = progress.add_task("mini world", total=clips, note="")

        def show(made: Made) -> None:
            progress.update(task, advance=1, note=made.name)

        try:
            report = generate(config, show)
        except KeyboardInterrupt:
            errors.print("Stopped. Clips that were complete are kept; the same command goes on from there.")
            raise
    if poor is not None:
        impoverish(config.out, out, poor)
        console.print(f"In HM-World's poverty: {out}; the truth of the same clips: {config.out}", highlight=False)
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.rejections.items()) or "none"
    candidates = sum(made.attempts for made in report.made)
    there = sum(made.was_there for made in report.made)
    console.print(
        f"{len(report.made)} clips in {config.out}" + (f" ({there} were there)" if there else ""), highlight=False
    )
    console.print(
        f"The exit-entry filter took {report.acceptance:.0%} of {candidates} candidates; rejected: {reasons}",
        highlight=False,
    )
    if report.shortfalls:
        broken = ", ".join(f"{count} {rule}" for rule, count in report.shortfalls.items())
        console.print(
            f"At {size}, {sum(report.shortfalls.values())} of {len(report.made)} clips break the filter's rules: "
            f"{broken} (it looks at 16:9, and narrower frames show less at the sides)",
            highlight=False,
        )


def sheet_command(
    folder: Annotated[str, typer.Argument(help="'mini', or a folder in HM-World's layout.")],
    out: Annotated[Path, typer.Option(help="Picture to write, .png or .jpg.")] = Path("sheet.png"),
    clips: Annotated[int, typer.Option("--clips", "--limit", min=1, help="Rows at most.")] = 12,
    columns: Annotated[int, typer.Option(min=1, help="Moments a clip.")] = 8,
    outlines: Annotated[bool, typer.Option(help="Draw the subjects' edges.")] = True,
) -> None:
    """Draw a contact sheet: a clip a row, from its first to its last frame."""
    from hmbench.cli.console import open_shown
    from hmbench.cli.console import out as console
    from hmbench.data.mini_world.sheet import make_sheet, save_picture
    from hmbench.errors import UserError

    if out.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise UserError(
            f"Sheets cannot be written as {out.suffix or 'a file without a suffix'}.", "End the name in .png or .jpg."
        )
    save_picture(out, make_sheet(open_shown(folder), limit=clips, columns=columns, outlines=outlines))
    console.print(f"Sheet of {folder}: {out}", highlight=False)


def _form(wanted: bool, texts: list[str] | None) -> HMWorldForm | None:
    from hmbench.data.mini_world.as_hm_world import HMWorldForm
    from hmbench.errors import UserError

    if texts and not wanted:
        raise UserError("--form says what HM-World's files look like.", "Add --as-hm-world.")
    return HMWorldForm.parse(texts or ()) if wanted else None


def _split(text: str) -> SplitName:
    from hmbench.data.mini_world.splits import SPLITS
    from hmbench.errors import UserError

    for split in SPLITS:
        if split == text:
            return split
    raise UserError(f"There is no split {text!r} in the mini world.", f"Choose one of {', '.join(SPLITS)}.")


def _size(text: str) -> tuple[int, int]:
    from hmbench.errors import UserError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UserError(f"{text!r} is no size.", "Write it as WIDTHxHEIGHT, for example 416x240.")
    return int(width), int(height)


def _probes(texts: list[str] | None) -> tuple[Probe, ...]:
    from hmbench.data.mini_world.probes import Probe
    from hmbench.errors import UserError

    try:
        return tuple(Probe.parse(text) for text in texts or ())
    except ValueError as error:
        raise UserError(
            f"A probe cannot be made: {error}.", "Write it as KIND:STRENGTH, for example frozen:1.0."
        ) from error
